from __future__ import annotations

from typing import Any

from hypothesis import given

from tests.codec.reading import WRITTEN_KEYS, described, table
from tests.strategies import as_json, otlp_documents, v1_traces
from traceq.codec.json_writers import encode_otlp_trace, lost
from traceq.traces import Traces


def written(traces: Traces) -> bytes:
    return b"\n".join(encode_otlp_trace(traces, position) for position in range(len(traces)))


@given(otlp_documents())
def test_otlp_reads_back_as_it_was(document: dict[str, Any]) -> None:
    original = table(as_json(document))

    if original.span_count:
        read = table(written(original))
        assert (described(read), read.warnings) == (described(original), original.warnings)
        # A parent by a link alone is told as FOLLOWS_FROM, which OTLP cannot say.
        assert set(lost(original, "otlp")) <= {"parents named by FOLLOWS_FROM become parents like others"}


@given(v1_traces())
def test_what_jaeger_tells_of_spans_reads_back_from_otlp(trace: dict[str, Any]) -> None:
    for span in trace["spans"]:
        span["references"] = [each for each in span["references"] if each["refType"] == "CHILD_OF"]
        span["warnings"] = None
        # Spans are grouped by what they ran in, which would change their order.
        span["processID"] = trace["spans"][0]["processID"]
    original = table(as_json({**trace, "warnings": None}))

    read = table(written(original))

    assert described(read, without=WRITTEN_KEYS) == described(original, without=WRITTEN_KEYS)
    assert lost(original, "otlp") == {}


SPAN = {"traceID": "0a", "spanID": "1", "operationName": "get", "startTime": 5, "duration": 7, "processID": "p1"}
FOLLOWING = {**SPAN, "spanID": "2", "references": [{"refType": "FOLLOWS_FROM", "traceID": "0a", "spanID": "1"}]}


def test_what_otlp_cannot_hold_is_counted() -> None:
    processes = {"p1": {"serviceName": "app", "tags": []}}
    whole = {"traceID": "0a", "spans": [SPAN, FOLLOWING], "processes": processes, "warnings": ["skewed"]}
    original = table(as_json([whole, {"traceID": "0b", "spans": []}]))

    assert lost(original, "otlp") == {
        "traces without spans are left out": 1,
        "parents named by FOLLOWS_FROM become parents like others": 1,
        "warnings about whole traces are left out": 1,
    }
    assert lost(original, "jaeger") == lost(original, "parquet") == {}
