"""The law of damaged spans: in every format of JSON, whatever one field of one span holds, the other spans stay whole.

What is wrong costs a value, or at most the span; it is told of its span, in the same words with and without details.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from tests.strategies import as_json
from traceq.codec import by_trace, read_table
from traceq.codec.documents import read_document
from traceq.codec.parts import parted
from traceq.traces import Traces

US = 1_700_000_000_000_000
NS = US * 1000
OTHER_TRACE, OTHER_SPAN = "d" * 32, "e" * 16
Json = dict[str, Any]
Write = Callable[[list[Json]], bytes]


def trace_id(number: int) -> str:
    return f"{number // 10:032x}"


def span_id(number: int) -> str:
    return f"{number:016x}"


def parent_of(number: int) -> str | None:
    return span_id(number // 10 * 10) if number % 10 else None


def calendar(number: int) -> str:
    return f"2023-11-14T22:13:20.{number:06d}Z"


def base64(digits: str) -> str:
    return b64encode(bytes.fromhex(digits)).decode()


def jaeger(number: int) -> Json:
    parent = parent_of(number)
    return {
        "traceID": trace_id(number),
        "spanID": span_id(number),
        "operationName": f"op{number}",
        "references": [{"refType": "CHILD_OF", "traceID": trace_id(number), "spanID": parent}] if parent else [],
        "startTime": US + number,
        "duration": 10,
        "tags": [{"key": "f", "type": "float64", "value": 1.5}, {"key": "span.kind", "type": "string", "value": "x"}],
        "logs": [{"timestamp": US, "fields": [{"key": "event", "type": "string", "value": "e"}]}],
        "process": {"serviceName": "app", "tags": [{"key": "hostname", "type": "string", "value": "h"}]},
        "warnings": ["odd"],
    }


def otlp(number: int) -> Json:
    nested = {"kvlistValue": {"values": [{"key": "q", "value": {"boolValue": True}}]}}
    return {
        "traceId": trace_id(number),
        "spanId": span_id(number),
        "traceState": "a=b",
        "parentSpanId": parent_of(number) or "",
        "name": f"op{number}",
        "kind": 2,
        "startTimeUnixNano": str(NS + number),
        "endTimeUnixNano": str(NS + number + 10),
        "attributes": [{"key": "d", "value": {"doubleValue": 1.5}}, {"key": "n", "value": nested}],
        "events": [{"timeUnixNano": str(NS), "name": "e", "attributes": [{"key": "z", "value": {"intValue": "5"}}]}],
        "links": [{"traceId": OTHER_TRACE, "spanId": OTHER_SPAN, "attributes": [{"key": "l", "value": {}}]}],
        "status": {"code": 2, "message": "broke"},
    }


def zipkin(number: int) -> Json:
    return {
        "traceId": trace_id(number),
        "id": span_id(number),
        "parentId": parent_of(number),
        "name": f"op{number}",
        "kind": "SERVER",
        "timestamp": US + number,
        "duration": 10,
        "localEndpoint": {"serviceName": "app", "ipv4": "1.2.3.4", "port": 80},
        "remoteEndpoint": {"serviceName": "client"},
        "tags": {"a": "b"},
        "annotations": [{"timestamp": US, "value": "hello"}],
    }


def zipkin_v1(number: int) -> Json:
    return {
        "traceId": trace_id(number),
        "id": span_id(number),
        "parentId": parent_of(number),
        "name": f"op{number}",
        "timestamp": US + number,
        "duration": 10,
        "annotations": [{"timestamp": US + number, "value": "sr", "endpoint": {"serviceName": "app", "port": 80}}],
        "binaryAnnotations": [{"key": "a", "value": "b", "endpoint": {"serviceName": "app"}}],
    }


def next_js(number: int) -> Json:
    return {
        "name": f"op{number}",
        "duration": 10,
        "timestamp": 123_456 + number * 1000,
        "id": number,
        "parentId": number // 10 * 10 if number % 10 else None,
        "tags": {"a": "b"},
        "startTime": US // 1000 + number,
        "traceId": trace_id(number),
    }


def python_console(number: int) -> Json:
    parent = parent_of(number)
    return {
        "name": f"op{number}",
        "context": {"trace_id": "0x" + trace_id(number), "span_id": "0x" + span_id(number), "trace_state": "[]"},
        "kind": "SpanKind.SERVER",
        "parent_id": "0x" + parent if parent else None,
        "start_time": calendar(number),
        "end_time": calendar(number + 10),
        "status": {"status_code": "ERROR", "description": "bad"},
        "attributes": {"a": "b", "l": [1, 2]},
        "events": [{"name": "e", "timestamp": calendar(number), "attributes": {"k": "v"}}],
        "links": [{"context": {"trace_id": OTHER_TRACE, "span_id": OTHER_SPAN}, "attributes": {"l": 1}}],
        "resource": {"attributes": {"service.name": "app"}},
    }


def phoenix(number: int) -> Json:
    return {
        "name": f"op{number}",
        "span_kind": "LLM",
        "parent_id": parent_of(number),
        "start_time": calendar(number),
        "end_time": calendar(number + 10),
        "status_code": "OK",
        "status_message": "",
        "events": [],
        "context.span_id": span_id(number),
        "context.trace_id": trace_id(number),
        "attributes.a": "b",
    }


def js_console(number: int) -> Json:
    parent = parent_of(number)
    return {
        "resource": {"attributes": {"service.name": "app"}},
        "instrumentationScope": {"name": "lib", "version": "1"},
        "traceId": trace_id(number),
        "parentSpanContext": {"traceId": trace_id(number), "spanId": parent} if parent else None,
        "name": f"op{number}",
        "id": span_id(number),
        "kind": 1,
        "timestamp": US + number,
        "duration": 10,
        "attributes": {"a": "b"},
        "status": {"code": 2, "message": "x"},
        "events": [{"name": "e", "attributes": {"k": "v"}, "time": [US // 10**6, 5]}],
        "links": [{"context": {"traceId": OTHER_TRACE, "spanId": OTHER_SPAN}, "attributes": {"l": 1}}],
    }


def go_stub(number: int) -> Json:
    parent = parent_of(number)
    attribute = {"Key": "a", "Value": {"Type": "STRING", "Value": "b"}}
    return {
        "Name": f"op{number}",
        "SpanContext": {"TraceID": trace_id(number), "SpanID": span_id(number)},
        "Parent": {"TraceID": trace_id(number), "SpanID": parent or "0" * 16},
        "SpanKind": 2,
        "StartTime": calendar(number),
        "EndTime": calendar(number + 10),
        "Attributes": [attribute],
        "Events": [{"Name": "e", "Attributes": [attribute], "Time": calendar(number)}],
        "Links": [{"SpanContext": {"TraceID": OTHER_TRACE, "SpanID": OTHER_SPAN}, "Attributes": [attribute]}],
        "Status": {"Code": "Error", "Description": "bad"},
        "Resource": [{"Key": "service.name", "Value": {"Type": "STRING", "Value": "app"}}],
        "InstrumentationLibrary": {"Name": "lib", "Version": "1"},
    }


def stored(number: int) -> Json:
    return {**jaeger(number), "tag": {"span@kind": "server", "share": 0.5}}


def data_prepper(number: int) -> Json:
    return {
        "traceId": trace_id(number),
        "spanId": span_id(number),
        "parentSpanId": parent_of(number) or "",
        "name": f"op{number}",
        "kind": "SPAN_KIND_SERVER",
        "startTime": calendar(number),
        "endTime": calendar(number + 10),
        "serviceName": "app",
        "status.code": 2,
        "span.attributes.http@method": "GET",
        "resource": {"attributes": {"host@name": "h"}},
        "instrumentationScope": {"name": "lib", "version": "1"},
        "events": [{"name": "e", "time": calendar(number), "attributes": {"k": "v"}}],
        "links": [{"traceId": OTHER_TRACE, "spanId": OTHER_SPAN, "attributes": {"l": 1}}],
    }


def jaeger_message(number: int) -> Json:
    trace, parent = base64(trace_id(number)), parent_of(number)
    return {
        "traceId": trace,
        "spanId": base64(span_id(number)),
        "operationName": f"op{number}",
        "references": [{"refType": "CHILD_OF", "traceId": trace, "spanId": base64(parent)}] if parent else [],
        "startTime": calendar(number),
        "duration": "0.000010s",
        "tags": [{"key": "a", "vStr": "b"}, {"key": "i", "vType": "INT64", "vInt64": "5"}],
        "logs": [{"timestamp": calendar(number), "fields": [{"key": "event", "vStr": "e"}]}],
        "process": {"serviceName": "app", "tags": [{"key": "hostname", "vStr": "h"}]},
    }


def as_list(spans: list[Json]) -> bytes:
    return as_json(spans)


def as_lines(spans: list[Json]) -> bytes:
    return b"\n".join(map(as_json, spans)) + b"\n"


def as_blocks(spans: list[Json]) -> bytes:
    return b"".join(json.dumps(span, indent=4).encode() + b"\n" for span in spans)


def as_traces(spans: list[Json]) -> list[Json]:
    return [
        {"traceID": trace_id(at), "spans": [s for n, s in zip(NUMBERS, spans, strict=True) if n // 10 == at // 10]}
        for at in (10, 20, 30)
    ]


def as_answer(spans: list[Json]) -> bytes:
    return as_json({"data": as_traces(spans)})


def as_trace_lines(spans: list[Json]) -> bytes:
    return as_lines(as_traces(spans))


def as_requests(spans: list[Json]) -> list[Json]:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]}
    return [{"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]} for span in spans]


def as_request(spans: list[Json]) -> bytes:
    return as_json({"resourceSpans": [each["resourceSpans"][0] for each in as_requests(spans)]})


def as_request_lines(spans: list[Json]) -> bytes:
    return as_lines(as_requests(spans))


def in_snake_case(spans: list[Json]) -> bytes:
    body = as_request(spans)
    for camel, snake in SNAKE.items():
        body = body.replace(f'"{camel}":'.encode(), f'"{snake}":'.encode())
    return body


SNAKE = {
    "resourceSpans": "resource_spans",
    "scopeSpans": "scope_spans",
    "traceId": "trace_id",
    "spanId": "span_id",
    "parentSpanId": "parent_span_id",
    "startTimeUnixNano": "start_time_unix_nano",
    "endTimeUnixNano": "end_time_unix_nano",
    "timeUnixNano": "time_unix_nano",
    "stringValue": "string_value",
    "doubleValue": "double_value",
}


def as_hits(spans: list[Json]) -> bytes:
    return as_json({"hits": {"hits": [{"_source": span} for span in spans]}})


def as_bulk(spans: list[Json]) -> bytes:
    return b"".join(b'{"index":{}}\n' + as_json(span) + b"\n" for span in spans)


def as_batch(spans: list[Json]) -> bytes:
    return as_json({"spans": spans})


class Family(NamedTuple):
    """A format, in a form in which people have it."""

    span: Callable[[int], Json]
    write: Write


FAMILIES = {
    "Jaeger": Family(jaeger, as_answer),
    "Jaeger, lines": Family(jaeger, as_trace_lines),
    "OTLP": Family(otlp, as_request),
    "OTLP, lines": Family(otlp, as_request_lines),
    "OTLP, snake_case": Family(otlp, in_snake_case),
    "OTLP, spans": Family(otlp, as_lines),
    "Zipkin": Family(zipkin, as_list),
    "Zipkin, lines": Family(zipkin, as_lines),
    "Zipkin v1": Family(zipkin_v1, as_list),
    "Next.js": Family(next_js, as_list),
    "Python": Family(python_console, as_blocks),
    "Phoenix": Family(phoenix, as_list),
    "JS": Family(js_console, as_list),
    "Go": Family(go_stub, as_lines),
    "Elasticsearch": Family(stored, as_hits),
    "Elasticsearch, bulk": Family(stored, as_bulk),
    "Data Prepper": Family(data_prepper, as_lines),
    "Jaeger's messages": Family(jaeger_message, as_lines),
    "Jaeger's messages, batch": Family(jaeger_message, as_batch),
}
NUMBERS = (10, 11, 20, 21, 30, 31)
SPOILED = (10, 21)
"""The first span, by which formats are told, and one further down."""
REMOVED = b""
WRONG = [
    REMOVED,
    *(b"null", b'""', b"[]", b"[1]", b"{}", b'{"a":1}', b"true", b"-1", b"1.5", b'"soon"', b"0"),
    *(str(number).encode() for number in (2**64 - 1, 2**64 - 5000, 10**400)),
    *(b"1e400", b"NaN", b"-Infinity", rb'"a\ud800b"', b'"a\xffb"', b'"a\0b"', b'"%b"' % (b"x" * 10_000)),
    *(b"[" * 2000 + b"]" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000),
]
MARK = "@@"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def spoiled(family: Family, number: int, path: tuple[Any, ...], wrong: bytes) -> bytes:
    spans: list[Any] = [json.loads(as_json(family.span(number))) for number in NUMBERS]
    holder = spans[NUMBERS.index(number)]
    for key in path[:-1]:
        holder = holder[key]
    if wrong is REMOVED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = MARK
    return family.write(spans).replace(f'"{MARK}"'.encode(), wrong)


def spans_of(traces: Traces) -> dict[str, tuple[object, ...]]:
    found = map(traces.span, range(traces.span_count))
    return {each.name: (each.trace_id, each.span_id, each.start_ns, each.duration_ns, each.service) for each in found}


def read_both_ways(body: bytes) -> tuple[Traces, tuple[str, ...]]:
    document = read_document(body, "x")
    groups = by_trace(parted(document.parts)).values()
    lean, whole = (read_table(groups, with_details=with_details) for with_details in (False, True))
    assert (lean.warnings, spans_of(lean)) == (whole.warnings, spans_of(whole))
    for row in range(whole.span_count):
        details = whole.span(row).details
        details.attributes(), details.resource(), details.events(), details.links(), details.warnings()
    return whole, document.notes


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_one_bad_span_costs_no_more_than_one_span(family: Family) -> None:
    untouched, _ = read_both_ways(family.write([family.span(number) for number in NUMBERS]))
    assert len(spans_of(untouched)) == len(NUMBERS)

    @given(st.sampled_from([(at, path) for at in SPOILED for path in places(family.span(at))]), st.sampled_from(WRONG))
    @examples(0.5)
    def law(place: tuple[int, tuple[Any, ...]], wrong: bytes) -> None:
        traces, notes = read_both_ways(spoiled(family, *place, wrong))

        others = {name: found for name, found in spans_of(untouched).items() if name != f"op{place[0]}"}
        assert spans_of(traces).items() >= others.items()
        assert traces.span_count == len(NUMBERS) or notes or "span-left-out" in {w.code for w in traces.warnings}

    law()


def test_an_annotation_without_text_makes_no_second_span() -> None:
    traces, _ = read_both_ways(spoiled(FAMILIES["Zipkin v1"], 21, ("annotations", 0, "value"), b'""'))

    assert traces.span_count == len(NUMBERS)
