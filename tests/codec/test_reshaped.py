"""Recorded traces as storages, Phoenix and Next.js have them, counted by readers of a few lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.codec.reading import table
from traceq.semantics import Status

RECORDED = Path(__file__).parent.parent.parent / "fixtures" / "chat.json"
_Json = dict[str, Any]
_Row = tuple[str, str, str, bool]
"""Of a span: its trace, its own id, its service, and whether it is an error."""


@cache
def recorded() -> list[_Json]:
    """Give spans with their processes in them, as Elasticsearch keeps them."""
    return [
        {**span, "process": trace["processes"][span["processID"]]}
        for trace in json.loads(RECORDED.read_bytes())["data"][75:90]
        for span in trace["spans"]
    ]


def tags_of(span: _Json) -> _Json:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def parent_of(span: _Json) -> str | None:
    return next((each["spanID"] for each in span["references"]), None)


def as_fields(span: _Json) -> _Json:
    """Keep tags as fields, as with `--es.tags-as-fields`."""
    return {**span, "tags": [], "tag": {key.replace(".", "@"): value for key, value in tags_of(span).items()}}


def data_prepper(span: _Json) -> _Json:
    tags = tags_of(span)
    return {
        "traceId": span["traceID"],
        "spanId": span["spanID"],
        "parentSpanId": parent_of(span) or "",
        "name": span["operationName"],
        "kind": f"SPAN_KIND_{tags['span.kind'].upper()}" if "span.kind" in tags else "SPAN_KIND_UNSPECIFIED",
        "startTime": f"{span['startTime'] // 10**6}{span['startTime'] % 10**6:06}000",
        "endTime": f"{(span['startTime'] + span['duration']) * 1000}",
        "serviceName": span["process"]["serviceName"],
        "status": {"code": 2 if tags.get("otel.status_code") == "ERROR" else 0},
        "attributes": tags,
    }


def flat(span: _Json) -> _Json:
    """Give Data Prepper's earlier form: attributes are fields of the span."""
    whole = data_prepper(span)
    fields = {f"span.attributes.{key.replace('.', '@')}": value for key, value in whole.pop("attributes").items()}
    return {**whole, **fields, "status.code": whole.pop("status")["code"]}


def message(span: _Json) -> _Json:
    def id_of(written: str) -> str:
        return base64.b64encode(bytes.fromhex(written)).decode()

    kinds = {"string": ("STRING", "vStr"), "bool": ("BOOL", "vBool"), "int64": ("INT64", "vInt64")}
    tags = [(tag, *kinds.get(tag["type"], ("FLOAT64", "vFloat64"))) for tag in span["tags"]]
    return {
        "traceId": id_of(span["traceID"]),
        "spanId": id_of(span["spanID"]),
        "operationName": span["operationName"],
        "startTime": "2026-01-01T00:00:00Z",
        "duration": f"{span['duration'] / 10**6:.6f}s",
        "tags": [{"key": tag["key"], "vType": kind, field: tag["value"]} for tag, kind, field in tags],
        "process": {"serviceName": span["process"]["serviceName"]},
    }


def phoenix(span: _Json) -> _Json:
    return {
        "name": span["operationName"],
        "context": {"trace_id": span["traceID"], "span_id": span["spanID"]},
        "span_kind": "CHAIN",
        "parent_id": parent_of(span),
        "start_time": "2026-01-01T00:00:00.000001+00:00",
        "end_time": "2026-01-01T00:00:01+00:00",
        "status_code": tags_of(span).get("otel.status_code", "UNSET"),
        "status_message": "",
        "attributes": {key: value for key, value in tags_of(span).items() if key != "error"},
        "events": [],
    }


def next_js(span: _Json) -> _Json:
    return {
        "name": span["operationName"],
        "duration": span["duration"],
        "timestamp": span["startTime"] % 10**10,
        "id": int(span["spanID"], 16) % 10**9,
        "parentId": parent_of(span) and int(parent_of(span) or "0", 16) % 10**9,
        "tags": {},
        "startTime": span["startTime"] // 1000,
        "traceId": span["traceID"][:16],
    }


def of_document(span: _Json) -> _Row:
    tags = {**{tag["key"]: tag["value"] for tag in span["tags"]}, **span.get("tag", {})}
    return span["traceID"], span["spanID"], span["process"]["serviceName"], tags.get("error") is True


def of_data_prepper(span: _Json) -> _Row:
    code = span.get("status", {}).get("code", span.get("status.code"))
    return span["traceId"], span["spanId"], span["serviceName"], code == 2


def of_message(span: _Json) -> _Row:
    is_error = {"key": "error", "vType": "BOOL", "vBool": True} in span["tags"]
    return span["traceId"], span["spanId"], span["process"]["serviceName"], is_error


def of_phoenix(span: _Json) -> _Row:
    return span["context"]["trace_id"], span["context"]["span_id"], "unknown-service", span["status_code"] == "ERROR"


def of_next_js(span: _Json) -> _Row:
    return span["traceId"], str(span["id"]), "nextjs", False


def lines(spans: list[_Json]) -> str:
    return "\n".join(map(json.dumps, spans))


def answer(spans: list[_Json]) -> str:
    hits = [{"_index": "jaeger-span", "_source": span} for span in spans]
    return json.dumps({"took": 1, "hits": {"total": {"value": len(hits)}, "hits": hits}})


def bulk(spans: list[_Json]) -> str:
    return "\n".join(json.dumps(each) for span in spans for each in ({"index": {"_index": "spans"}}, span))


def page(spans: list[_Json]) -> str:
    return json.dumps({"data": spans, "next_cursor": None})


def a_trace_a_line(spans: list[_Json]) -> str:
    traces: dict[str, list[_Json]] = {}
    for span in spans:
        traces.setdefault(span["traceId"], []).append(span)
    return lines(list(traces.values()))  # type: ignore[arg-type]  # Next.js writes lists


@pytest.mark.parametrize("written", [lines, answer, bulk, json.dumps], ids=["lines", "answer", "bulk", "list"])
@pytest.mark.parametrize(
    ("make", "read"),
    [
        pytest.param(dict, of_document, id="elasticsearch"),
        pytest.param(as_fields, of_document, id="elasticsearch-tags-as-fields"),
        pytest.param(data_prepper, of_data_prepper, id="data-prepper"),
        pytest.param(flat, of_data_prepper, id="data-prepper-flat"),
        pytest.param(message, of_message, id="jaeger-protobuf-json"),
    ],
)
def test_stored_documents(
    make: Callable[[_Json], _Json], read: Callable[[_Json], _Row], written: Callable[[list[_Json]], str]
) -> None:
    spans = list(map(make, recorded()))

    assert_counts(written(spans), map(read, spans))


@pytest.mark.parametrize("written", [page, lines, json.dumps], ids=["page", "lines", "list"])
def test_phoenix(written: Callable[[list[_Json]], str]) -> None:
    spans = list(map(phoenix, recorded()))

    assert_counts(written(spans), map(of_phoenix, spans))


@pytest.mark.parametrize("written", [a_trace_a_line, lines, json.dumps], ids=["a-trace-a-line", "lines", "list"])
def test_next_js(written: Callable[[list[_Json]], str]) -> None:
    spans = list(map(next_js, recorded()))

    assert_counts(written(spans), map(of_next_js, spans), least_errors=0)


def assert_counts(text: str, counted: Iterator[_Row], least_errors: int = 1) -> None:
    rows = list(counted)
    traces = table(text.encode())

    assert len(rows) == traces.span_count >= 2
    assert len({trace_id for trace_id, *_ in rows}) == len(traces) >= 2
    assert {service for _, _, service, _ in rows} == {traces.services[code] for code in traces.service_codes}
    assert sum(is_error for *_, is_error in rows) == sum(status == Status.ERROR for status in traces.statuses)
    assert sum(is_error for *_, is_error in rows) >= least_errors
