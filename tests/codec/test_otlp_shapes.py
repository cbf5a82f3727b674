"""OTLP JSON in snake_case, and parts of documents by themselves."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given

from tests.codec.reading import described, table
from tests.strategies import as_json, otlp_documents

KEYS = [
    "resourceSpans",
    "scopeSpans",
    "traceId",
    "spanId",
    "parentSpanId",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "timeUnixNano",
    "stringValue",
    "boolValue",
    "intValue",
    "doubleValue",
    "arrayValue",
    "bytesValue",
]


def in_snake_case(value: Any) -> Any:
    if isinstance(value, list):
        return [in_snake_case(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key) if key in KEYS else key: in_snake_case(each)
        for key, each in value.items()
    }


@given(otlp_documents())
def test_snake_case_says_what_camel_case_says(document: dict[str, Any]) -> None:
    assert described(table(as_json(in_snake_case(document)))) == described(table(as_json(document)))


@given(otlp_documents())
def test_elements_of_a_document_say_what_it_says(document: dict[str, Any]) -> None:
    elements = [each for each in document["resourceSpans"] if each["scopeSpans"]]
    whole = described(table(as_json({"resourceSpans": elements})))

    assert described(table(as_json(elements))) == whole
    assert described(table(as_json(in_snake_case(elements)))) == whole


SPAN = {"traceId": "0a" * 16, "spanId": "0b" * 8, "name": "trace_id", "startTimeUnixNano": "1600000000000000000"}
SPAN["endTimeUnixNano"] = SPAN["startTimeUnixNano"]


@pytest.mark.parametrize("written", [SPAN, in_snake_case(SPAN)], ids=["camelCase", "snake_case"])
def test_a_span_without_its_resource_has_no_service(written: dict[str, Any]) -> None:
    traces = table(json.dumps(written, indent=1).encode())

    assert (traces.span_ids, traces.names) == (("0b" * 8,), ("trace_id",))
    assert [warning.code for warning in traces.warnings] == ["service-missing"]


def test_words_within_text_are_left_alone() -> None:
    written = in_snake_case({**SPAN, "name": '{"trace_id": 1}', "attributes": []})
    written["attributes"] = [{"key": "trace_id", "value": {"string_value": '"span_id":'}}]

    span = table(as_json(written)).span(0)

    assert (span.name, span.details.attributes()) == ('{"trace_id": 1}', {"trace_id": '"span_id":'})
