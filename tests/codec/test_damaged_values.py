"""Values that decoders refuse cost themselves and nothing else, in every format of JSON, and are told of their span."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.reading import table
from tests.codec.test_damage import otlp, v1, zipkin
from tests.strategies import as_json
from traceq.codec.damage import MOST_LEVELS, marked, sound
from traceq.codec.documents import read_document

DEEP = 50_000
"""Deeper than any decoder goes."""


def tagged(value: str) -> list[bytes]:
    """Two traces in each of some formats; the second has an attribute with this value."""
    jaeger = v1(2)
    jaeger["spans"][0]["tags"] = [{"key": "x", "type": "string", "value": "@"}]
    written = otlp(2)
    written["scopeSpans"][0]["spans"][0]["attributes"] = [{"key": "x", "value": {"doubleValue": "@"}}]
    lists: list[list[Any]] = [[v1(1), jaeger], [zipkin(1), {**zipkin(2), "tags": {"x": "@"}}]]
    documents = [
        as_json({"data": lists[0]}),
        b"\n".join(map(as_json, lists[0])),
        as_json({"resourceSpans": [otlp(1), written]}),
        as_json(lists[1]),
        b"\n".join(map(as_json, lists[1])),
        json.dumps(lists[1][0], indent=1).encode() + json.dumps(lists[1][1], indent=1).encode(),
    ]
    return [each.replace(b'"@"', value.encode()) for each in documents]


@pytest.mark.parametrize(
    ("value", "code", "told", "shown"),
    [
        ("[" * DEEP + "1" + "]" * DEEP, "value-left-out", "nested too deep", None),
        ('{"a":' * DEEP + "1" + "}" * DEEP, "value-left-out", "nested too deep", None),
        ("NaN", "value-repaired", "none that JSON has", "NaN"),
        ("-Infinity", "value-repaired", "none that JSON has", "-Infinity"),
        ("-1.5e400", "value-repaired", "too large", "-1.5e400"),
    ],
    ids=["lists", "objects", "NaN", "infinity", "too large"],
)
def test_a_value_that_decoders_refuse_costs_no_more_than_itself(
    value: str, code: str, told: str, shown: str | None
) -> None:
    for body in tagged(value):
        read = table(body)

        first, second = map(read.span, range(2))
        assert (first.name, second.name) == ("get", "get")
        assert code in {each.code for each in read.warnings}
        assert any(told in each.message for each in read.warnings)
        assert {each.span_id for each in read.warnings} == {second.span_id}
        x = second.details.attributes().get("x")
        assert shown is None or x is None or str(x) in (shown, str(float(shown)))


def test_what_is_nested_too_deep_is_shown_by_its_beginning() -> None:
    (body, *_) = tagged("[" * 2000 + '"x"' + "]" * 2000)

    text = str(table(body).span(1).details.attributes()["x"])

    assert "[[[[[[[[" in text
    assert len(text) < 400


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just('"[[NaN{{1e999'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_is_sound_stays_as_it_is(value: object) -> None:
    body = as_json(value)

    assert sound(body) == (body, ())
    assert marked(memoryview(body), None) is None


@given(values, st.integers(MOST_LEVELS + 1, 500), st.sampled_from(["NaN", "-Infinity", "1e400"]))
def test_what_is_marked_is_put_right_in_the_same_way_as_what_is_not(value: object, levels: int, odd: str) -> None:
    plain, as_text = (
        as_json([value, "@", value]).replace(b'"@"', b"[" * levels + b"]" * levels + b"," + each.encode())
        for each in (odd, f'"{odd}"')
    )

    written = marked(memoryview(plain), RecursionError())

    assert written is not None
    assert b"\xfe" in bytes(written)
    assert json.loads(sound(bytes(written)).text) == json.loads(sound(as_text).text)


def test_a_line_of_a_log_that_is_unsound_is_read_with_the_others() -> None:
    for body in tagged("NaN"):
        assert read_document(body, "x").notes == ()


def test_a_line_with_several_documents_may_be_unsound() -> None:
    line = as_json(zipkin(1)) + as_json(zipkin(2, "g@")).replace(b"@", b"\xff") + as_json(zipkin(3, "NaN"))

    document = read_document(as_json(zipkin(4)) + b"\n" + line.replace(b'"NaN"', b"NaN") + b"\n", "x")

    assert [part.trace_id for part in document.parts] == [f"{number:032x}" for number in (4, 1, 2, 3)]
