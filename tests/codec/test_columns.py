"""Reading for columns alone gives the columns that reading with details gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import columns
from tests.laws import examples
from tests.strategies import as_json, otlp_documents, v1_traces
from traceq.codec import jaeger, otlp, read_table
from traceq.codec.documents import read_document
from traceq.codec.parts import Part

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


def lean(groups: list[list[Part]]) -> list[object]:
    return columns(read_table(groups, with_details=False))


def whole(groups: list[list[Part]]) -> list[object]:
    return columns(read_table(groups, with_details=True))


def groups_of(body: bytes) -> list[list[Part]]:
    groups: dict[str, list[Part]] = {}
    for part in read_document(body, "x.json").parts:
        groups.setdefault(part.trace_id, []).append(part)
    return list(groups.values())


@contextmanager
def some_spans_at_a_time() -> Iterator[None]:
    """Read as large traces are read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaeger, "_LARGE_BYTES", 0)
        patch.setattr(jaeger, "_SPANS_AT_A_TIME", 2)
        patch.setattr(otlp, "_SPANS_AT_A_TIME", 2)
        yield


@pytest.fixture(params=[False, True], ids=["at once", "some spans at a time"])
def is_large(request: pytest.FixtureRequest) -> Iterator[None]:
    with some_spans_at_a_time() if request.param else nullcontext():
        yield


def assert_columns_are_the_same_both_ways(document: dict[str, Any]) -> None:
    """Read a document at once, and some spans at a time: an example takes longer to make than to read."""
    groups = groups_of(as_json(document))

    assert lean(groups) == whole(groups)
    with some_spans_at_a_time():
        assert lean(groups) == whole(groups)


@examples(0.5)
@given(st.lists(v1_traces(), max_size=4))
def test_jaeger(traces: list[dict[str, Any]]) -> None:
    assert_columns_are_the_same_both_ways({"data": traces})


@given(otlp_documents())
def test_otlp(document: dict[str, Any]) -> None:
    assert_columns_are_the_same_both_ways(document)


@pytest.mark.usefixtures("is_large")
def test_recorded_traces() -> None:
    groups = groups_of((FIXTURES / "chat.json").read_bytes())

    assert lean(groups) == whole(groups)


SPAN: dict[str, Any] = {"spanID": "1", "processID": "p1", "startTime": 5, "duration": 1, "operationName": "x"}


@pytest.mark.usefixtures("is_large")
@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([{"spanID": "AB"}, {"spanID": "cd", "parentSpanID": "AB"}], id="capital letters"),
        pytest.param([{}, {"references": [{"traceID": "A1", "spanID": "1"}], "spanID": "2"}], id="a capital trace id"),
        pytest.param(
            [{"processID": "nobody"}, {"process": {"serviceName": "in"}}, {"processID": None}], id="processes"
        ),
        pytest.param([{"startTime": None}, {"duration": -3}, {"startTimeUnixNano": 7}], id="times"),
        pytest.param([{}, {}, {"name": "other"}], id="one id"),
        pytest.param(
            [{}, {"spanID": "2", "references": [{"traceID": "a1", "spanID": "9"}, {"traceID": "a1", "spanID": "1"}]}],
            id="two candidates for the parent",
        ),
        pytest.param([{"spanID": "1", "references": [{"traceID": "a1", "spanID": "1"}]}], id="its own parent"),
    ],
)
def test_strange_traces(spans: list[dict[str, Any]]) -> None:
    processes = {"p1": {"serviceName": "s", "tags": []}, "p2": None}
    groups = groups_of(as_json({"traceID": "a1", "spans": [SPAN | span for span in spans], "processes": processes}))

    assert lean(groups) == whole(groups)


@pytest.mark.usefixtures("is_large")
@pytest.mark.parametrize(
    "span", [pytest.param({"spanID": "0000"}, id="no id"), pytest.param({"duration": "long"}, id="no number")]
)
def test_what_has_to_be_mended(span: dict[str, Any]) -> None:
    body = as_json({"traceID": "a1", "spans": [SPAN, SPAN | span], "processes": {"p1": {"serviceName": "s"}}})

    assert lean(groups_of(body)) == whole(groups_of(body))


def otlp_span(**parts: Any) -> dict[str, Any]:
    return {"traceId": "a" * 32, "spanId": "b" * 16, **parts}


@pytest.mark.usefixtures("is_large")
@pytest.mark.parametrize(
    "span",
    [
        pytest.param({"spanId": "0" * 16}, id="no id"),
        pytest.param({"endTimeUnixNano": "late"}, id="no number"),
        pytest.param({"attributes": [{"key": "span.kind", "value": 5}]}, id="no value"),
    ],
)
def test_what_has_to_be_mended_of_otlp(span: dict[str, Any]) -> None:
    groups = [[otlp_span(), otlp_span()], [otlp_span(), otlp_span(**span)]]
    body = as_json({"resourceSpans": [{"scopeSpans": [{"spans": spans}]} for spans in groups]})

    assert lean(groups_of(body)) == whole(groups_of(body))
