"""Spans as storages keep them, and as Jaeger sends them: Elasticsearch, Data Prepper, protobuf messages as JSON."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.reading import described, record_of, records, table
from tests.strategies import as_json, v1_traces
from traceq.codec.documents import read_document
from traceq.errors import DecodeError
from traceq.semantics import Kind, Peer, Status
from traceq.traces import Event, Link

NS = 1_600_000_000_000_000_000
DOCUMENT: dict[str, Any] = {
    "traceID": "0a",
    "spanID": "0b",
    "operationName": "query",
    "references": [{"refType": "CHILD_OF", "traceID": "0a", "spanID": "0c"}],
    "startTime": NS // 1000,
    "startTimeMillis": NS // 10**6,
    "duration": 7,
    "tags": [
        {"key": "rows", "type": "int64", "value": "12"},
        {"key": "bytes", "type": "binary", "value": "00ff8068"},
        {"key": "cut", "type": "binary", "value": "00ff..."},
    ],
    "tag": {"span@kind": "client", "db@system": "mysql", "error": True, "share": 0.5},
    "logs": [
        {
            "timestamp": NS // 1000 + 1,
            "fields": [
                {"key": "event", "type": "string", "value": "sent"},
                {"key": "raw", "type": "binary", "value": "abcd"},
            ],
        }
    ],
    "process": {
        "serviceName": "app",
        "tags": [{"key": "key", "type": "binary", "value": "ff"}],
        "tag": {"host@name": "h1"},
    },
}


def test_a_document_of_elasticsearch_has_the_columns_and_details_that_it_tells() -> None:
    (record,) = records(as_json(DOCUMENT))

    assert (record.trace_id, record.span_ids, record.parent_ids) == ("0a", ["0b"], [("0c",)])
    assert (record.start_ns, record.duration_ns) == ([NS], [7000])
    assert (record.kinds, record.statuses) == ([Kind.CLIENT], [Status.ERROR])
    assert (record.services, record.names, record.hosts) == (["app"], ["query"], ["h1"])
    assert record.peers == [Peer("database", "mysql", "")]
    (details,) = record.details
    assert details.attributes() == {
        "rows": 12,
        "bytes": b"\0\xff\x80h",
        "cut": "00ff...",
        "span.kind": "client",
        "db.system": "mysql",
        "error": True,
        "share": 0.5,
    }
    assert details.resource() == {"key": b"\xff", "host.name": "h1"}
    assert details.events() == (Event(NS + 1000, "sent", {"raw": b"\xab\xcd"}),)


@pytest.mark.parametrize(
    "document",
    [
        {**DOCUMENT, "tag": {"@jaeger@warnings": '["one", "two"]'}, "tags": [], "warnings": None},
        {
            **DOCUMENT,
            "tag": None,
            "tags": [{"key": "@jaeger@warnings", "type": "string", "value": "two"}],
            "warnings": ["one"],
        },
    ],
    ids=["field", "tag"],
)
def test_what_jaeger_remarks_about_a_span_is_no_attribute(document: dict[str, Any]) -> None:
    (record,) = records(as_json(document))

    assert (record.details[0].attributes(), record.details[0].warnings()) == ({}, ("one", "two"))


HIT = {"_index": "jaeger-span-2020-09-13", "_source": DOCUMENT}
ANSWER = {"took": 1, "hits": {"total": {"value": 1}, "hits": [HIT]}}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(as_json(DOCUMENT), id="document"),
        pytest.param(as_json({"isPartial": False, "rawResponse": ANSWER}), id="dashboards"),
        pytest.param(as_json([DOCUMENT]), id="list"),
        pytest.param(as_json(HIT), id="elasticdump"),
        pytest.param(as_json(ANSWER), id="search"),
        pytest.param(json.dumps(ANSWER, indent=2).encode(), id="search-pretty"),
        pytest.param(as_json({"responses": [ANSWER]}), id="multi-search"),
        pytest.param(
            as_json({"index": {"_index": "jaeger-span"}}) + b"\n" + as_json(DOCUMENT) + b'\n{"delete":{"_id":"1"}}\n',
            id="bulk",
        ),
        pytest.param(
            as_json(DOCUMENT) + b"\n" + as_json({"serviceName": "app", "operationName": "query"}), id="services beside"
        ),
    ],
)
def test_documents_of_elasticsearch_are_found_however_they_are_wrapped(body: bytes) -> None:
    document = read_document(body, "x")

    assert [(part.trace_id, record_of(part).span_ids) for part in document.parts] == [("0a", ["0b"])]


def test_an_answer_without_hits_is_an_answer() -> None:
    assert read_document(as_json({"hits": {"hits": []}}), "x").parts == ()


@given(v1_traces())
def test_documents_say_what_the_trace_says(trace: dict[str, Any]) -> None:
    documents = [
        {**{key: value for key, value in span.items() if key != "processID"}, "process": process}
        for span in trace["spans"]
        for process in [trace["processes"][span["processID"]]]
    ]

    assert described(table(as_json(documents))) == described(table(as_json({**trace, "warnings": None})))


def proto_id(hex_id: str) -> str:
    return base64.b64encode(bytes.fromhex(hex_id)).decode()


def proto_time(us: int) -> str:
    seconds, rest = divmod(us, 10**6)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def proto_tag(tag: dict[str, Any]) -> dict[str, Any]:
    kind = tag["type"]
    name = {"string": "vStr", "bool": "vBool", "int64": "vInt64", "float64": "vFloat64", "binary": "vBinary"}[kind]
    value = tag["value"] in (True, "true") if kind == "bool" else tag["value"]
    return {"key": tag["key"], "vType": kind.upper(), name: value}


def proto_span(span: dict[str, Any], process: dict[str, Any]) -> dict[str, Any]:
    return {
        "traceId": proto_id(span["traceID"]),
        "spanId": proto_id(span["spanID"]),
        "operationName": span["operationName"],
        "references": [
            {"traceId": proto_id(each["traceID"]), "spanId": proto_id(each["spanID"]), "refType": each["refType"]}
            for each in span["references"]
        ],
        "startTime": proto_time(span["startTime"]),
        "duration": f"{span['duration'] // 10**6}.{span['duration'] % 10**6:06d}s",
        "tags": [proto_tag(tag) for tag in span["tags"]],
        "logs": [
            {"timestamp": proto_time(log["timestamp"]), "fields": [proto_tag(tag) for tag in log["fields"]]}
            for log in span["logs"]
        ],
        "process": {"serviceName": process["serviceName"], "tags": [proto_tag(tag) for tag in process["tags"]]},
        "warnings": span["warnings"],
    }


@given(v1_traces(), st.sampled_from([lambda spans: spans, lambda spans: {"result": {"spans": spans}}]))
def test_protobuf_messages_say_what_the_trace_says(trace: dict[str, Any], wrap: Any) -> None:
    spans = [proto_span(span, trace["processes"][span["processID"]]) for span in trace["spans"]]

    assert described(table(as_json(wrap(spans)))) == described(table(as_json({**trace, "warnings": None})))


def written_by_go(value: Any) -> Any:
    """Write a message as Go's own JSON does."""
    if isinstance(value, list):
        return [written_by_go(each) for each in value]
    if not isinstance(value, dict):
        return value
    kinds = ("STRING", "BOOL", "INT64", "FLOAT64", "BINARY")
    numbers = {"vType": kinds.index, "refType": ("CHILD_OF", "FOLLOWS_FROM").index}
    return {
        re.sub("(?<=[a-z])(?=[A-Z])", "_", key).lower(): numbers.get(key, written_by_go)(each)
        for key, each in value.items()
    }


@given(v1_traces())
def test_messages_that_go_wrote_say_what_the_trace_says(trace: dict[str, Any]) -> None:
    spans = [
        {**written_by_go(proto_span(span, trace["processes"][span["processID"]])), "duration": span["duration"] * 1000}
        for span in trace["spans"]
    ]

    assert described(table(as_json({"spans": spans}))) == described(table(as_json({**trace, "warnings": None})))


def test_spans_of_a_batch_have_its_process() -> None:
    span = {"traceId": proto_id("0a" * 16), "spanId": proto_id("0b" * 8), "operationName": "get"}
    times = {"startTime": "2020-09-13T12:26:40.000000001Z", "duration": "22938000ns"}

    (record,) = records(as_json({"process": {"serviceName": "app"}, "spans": [{**span, **times}]}))

    assert (record.services, record.start_ns, record.duration_ns) == (["app"], [NS + 1], [22_938_000])


@pytest.mark.parametrize("process", [None, {"serviceName": "app"}])
@pytest.mark.parametrize("first", [None, 5, {}])
def test_what_is_no_span_in_a_batch_costs_itself(first: object, process: object) -> None:
    span = {"traceId": proto_id("0a" * 16), "spanId": proto_id("0b" * 8), "operationName": "get"}

    document = read_document(as_json({"spans": [first, span, [span]], "process": process}), "x.json")

    assert [part.trace_id for part in document.parts] == ["0a" * 16]
    assert document.notes == ("left out because they name no trace: 2 spans (first: x.json)",)


def test_a_trace_keeps_its_services_whatever_its_first_span_lacks() -> None:
    spans = [{"spanID": "1", "operationName": "get", "startTime": NS // 1000, "processID": "p1"}]
    trace = {"processes": {"p1": {"serviceName": "app"}}, "spans": spans, "traceID": "0a"}

    assert table(as_json(trace)).services == ("app",)


DATA_PREPPER: dict[str, Any] = {
    "traceId": "0a" * 16,
    "spanId": "0b" * 8,
    "parentSpanId": "0c" * 8,
    "name": "get",
    "kind": "SPAN_KIND_SERVER",
    "startTime": "2020-09-13T12:26:40.000000001Z",
    "endTime": "2020-09-13T12:26:40.000000003Z",
    "durationInNanos": 2,
    "serviceName": "app",
    "traceGroup": "get",
}
PARTED = {
    "attributes": {"http.request.method": "GET"},
    "resource": {"attributes": {"host.name": "h1"}},
    "status": {"code": 2, "message": "broke"},
    "instrumentationScope": {"name": "lib", "version": "1"},
}
FLAT = {
    "span.attributes.http@request@method": "GET",
    "resource.attributes.host@name": "h1",
    "status.code": 2,
    "status.message": "broke",
}


SCOPE = {"instrumentationScope.name": "lib", "instrumentationScope.version": "1"}
LIBRARY = {"instrumentationLibrary.name": "lib", "instrumentationLibrary.version": "1"}


@pytest.mark.parametrize("more", [PARTED, FLAT | SCOPE, FLAT | LIBRARY], ids=["objects", "flat", "early"])
def test_a_document_of_data_prepper_is_read(more: dict[str, Any]) -> None:
    events = [{"name": "e", "time": "2020-09-13T12:26:40.000000002Z", "attributes": {"a@b": 1}}]
    links = [{"traceId": "0d" * 16, "spanId": "0e" * 8, "attributes": {"c@d": 2}}]

    document = {**DATA_PREPPER, **more, "events": events, "links": links}

    (record,) = records(as_json({"hits": {"hits": [{"_source": document}]}}))

    assert (record.trace_id, record.span_ids, record.parent_ids) == ("0a" * 16, ["0b" * 8], [("0c" * 8,)])
    assert (record.start_ns, record.duration_ns) == ([NS + 1], [2])
    assert (record.kinds, record.statuses) == ([Kind.SERVER], [Status.ERROR])
    assert (record.services, record.hosts) == (["app"], ["h1"])
    (details,) = record.details
    assert details.attributes() == {
        "otel.scope.name": "lib",
        "otel.scope.version": "1",
        "otel.status_description": "broke",
        "http.request.method": "GET",
    }
    assert details.events() == (Event(NS + 2, "e", {"a.b": 1}),)
    assert details.links() == (Link("0d" * 16, "0e" * 8, {"c.d": 2}),)


def test_spans_that_name_no_trace_are_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        records_at_x(as_json({**DOCUMENT, "traceID": ""}))

    assert caught.value.message == "cannot read traces from x: its spans name no trace"


def records_at_x(body: bytes) -> None:
    for part in read_document(body, "x").parts:
        for details in record_of(part).details:
            details.attributes(), details.resource(), details.events(), details.links(), details.warnings()


PLAIN = {**DOCUMENT, "traceID": "0a" * 16, "spanID": "0b" * 8, "references": [], "warnings": None}
BODIES = [as_json(ANSWER), as_json([DATA_PREPPER]), as_json(proto_span(PLAIN, DOCUMENT["process"]))]


@given(st.sampled_from(BODIES), st.data())
def test_damaged_documents_give_traces_or_a_decode_error(body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    put = data.draw(st.sampled_from([b"", b"{", b"}", b'"', b"\n", b"null", b"-1", b"\xff", b"[]", b"9" * 30]))
    try:
        records_at_x(body[:start] + put + body[start + data.draw(st.integers(0, 20)) :])
    except DecodeError as error:
        assert "\n" not in error.message  # noqa: PT017  the error is not expected, only allowed
