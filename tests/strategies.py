"""Arbitrary traces for hypothesis, as the JSON that servers and collectors write, and arbitrary conditions."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from traceq.where import All, Not, Where
from traceq.where import Any as AnyOf

_KEYS = [
    "span.kind",
    "error",
    "otel.status_code",
    "db.system",
    "peer.service",
    "messaging.system",
    "messaging.operation",
    "messaging.consumer_group",
    "messaging.destination.temporary",
    "http.route",
    "http.url",
    "event",
    "é",
]
_INT64 = st.integers(-(2**63), 2**63 - 1)
# Half a surrogate pair is not text that JSON as UTF-8 can hold.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
trace_hex_ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
_TIMES_NS = st.integers(1_600_000_000_000_000_000, 1_700_000_000_000_000_000)


def _v1_tag(key: str, kind: str, value: object) -> dict[str, object]:
    return {"key": key, "type": kind, "value": value}


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


_keys = st.one_of(st.sampled_from(_KEYS), texts)
_special = st.sampled_from(
    ["client", "server", "producer", "true", "false", "unset", "ERROR", "OK", "mysql", "receive", "http://a:1/b"]
)
v1_tags = st.lists(
    st.one_of(
        st.builds(_v1_tag, _keys, st.just("string"), st.one_of(_special, texts)),
        st.builds(_v1_tag, _keys, st.just("bool"), st.one_of(st.booleans(), st.sampled_from(["true", "false"]))),
        st.builds(_v1_tag, _keys, st.just("int64"), st.one_of(_INT64, _INT64.map(str))),
        st.builds(_v1_tag, _keys, st.just("float64"), st.floats(allow_nan=False, allow_infinity=False)),
        st.builds(_v1_tag, _keys, st.just("binary"), st.binary(max_size=4).map(_encoded)),
    ),
    max_size=5,
)


@cache
def _parents(position: int) -> st.SearchStrategy[int | None]:
    """Choose an earlier span, one that is not there (-1), or none: so there are no rings."""
    return st.sampled_from((*[None] * (position + 1), *range(-1, position)))


@cache
def _elsewhere(trace_id: str) -> st.SearchStrategy[list[str]]:
    """Give ids of other traces."""
    return st.lists(trace_hex_ids.filter(lambda each: each != trace_id), max_size=2)


def _span_id(position: int) -> str:
    return f"{position + 0xABC0:016x}"


@st.composite
def v1_traces(draw: st.DrawFn) -> dict[str, Any]:
    """Give a trace object of Jaeger's v1 API: several roots, orphans, links, shared processes, all types of tags."""
    trace_id = draw(trace_hex_ids)
    process_ids = draw(st.lists(st.sampled_from(["p1", "p2", "p3"]), min_size=1, unique=True))
    spans = [draw(_v1_spans(trace_id, position, process_ids)) for position in range(draw(st.integers(1, 5)))]
    processes = {key: {"serviceName": draw(texts), "tags": draw(v1_tags)} for key in process_ids}
    return {"traceID": trace_id, "spans": spans, "processes": processes, "warnings": draw(_remarks)}


_remarks = st.one_of(st.none(), st.lists(texts, max_size=2))


@st.composite
def _v1_spans(draw: st.DrawFn, trace_id: str, position: int, process_ids: list[str]) -> dict[str, Any]:
    parent = draw(_parents(position))
    kind = draw(st.sampled_from(["CHILD_OF", "FOLLOWS_FROM"]))
    references = [] if parent is None else [_v1_reference(kind, trace_id, _span_id(parent))]
    elsewhere = draw(_elsewhere(trace_id))
    references += [_v1_reference("FOLLOWS_FROM", other, "00000000000000ff") for other in elsewhere]
    return {
        "traceID": trace_id,
        "spanID": _span_id(position),
        "operationName": draw(texts),
        "references": draw(st.permutations(references)) if len(references) > 1 else references,
        "startTime": draw(_TIMES_NS) // 1000,
        "duration": draw(st.integers(0, 10**9)),
        "tags": draw(v1_tags),
        "logs": draw(st.lists(_v1_logs, max_size=2)),
        "processID": draw(st.sampled_from(process_ids)),
        "warnings": draw(_remarks),
    }


def _v1_reference(kind: str, trace_id: str, span_id: str) -> dict[str, Any]:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


_v1_logs = st.fixed_dictionaries({"timestamp": _TIMES_NS.map(lambda time_ns: time_ns // 1000), "fields": v1_tags})

_any_values = st.recursive(
    st.one_of(
        st.one_of(_special, texts).map(lambda text: {"stringValue": text}),
        st.booleans().map(lambda value: {"boolValue": value}),
        _INT64.map(lambda value: {"intValue": str(value)}),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda value: {"doubleValue": value}),
        st.sampled_from(["NaN", "Infinity", "-Infinity"]).map(lambda text: {"doubleValue": text}),
        st.binary(max_size=4).map(lambda raw: {"bytesValue": _encoded(raw)}),
        st.just({}),
    ),
    lambda inner: st.lists(inner, max_size=2).map(lambda values: {"arrayValue": {"values": values}}),
    max_leaves=4,
)
otlp_attributes = st.lists(st.fixed_dictionaries({"key": _keys, "value": _any_values}), max_size=5)


@st.composite
def otlp_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Give an OTLP document of one trace under several resources and scopes."""
    trace_id = draw(trace_hex_ids)
    positions = iter(range(100))
    groups = [
        {
            "resource": {"attributes": [*_service(draw(texts)), *draw(otlp_attributes)]},
            "scopeSpans": [
                {
                    "scope": {"name": draw(texts), "version": draw(texts)},
                    "spans": [draw(_otlp_spans(trace_id, next(positions))) for _ in range(draw(st.integers(0, 2)))],
                }
                for _ in range(draw(st.integers(0, 2)))
            ],
        }
        for _ in range(draw(st.integers(1, 2)))
    ]
    return {"resourceSpans": groups}


def _service(name: str) -> list[dict[str, Any]]:
    return [{"key": "service.name", "value": {"stringValue": name}}]


@st.composite
def _otlp_spans(draw: st.DrawFn, trace_id: str, position: int) -> dict[str, Any]:
    start_ns = draw(_TIMES_NS)
    parent = draw(_parents(position))
    elsewhere = draw(_elsewhere(trace_id))
    return {
        "traceId": trace_id,
        "spanId": _span_id(position),
        "parentSpanId": "" if parent is None else _span_id(parent),
        "name": draw(texts),
        "kind": draw(st.integers(0, 5)),
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(start_ns + draw(st.integers(0, 10**12))),
        "attributes": draw(otlp_attributes),
        "events": [
            {"timeUnixNano": str(draw(_TIMES_NS)), "name": draw(texts), "attributes": draw(otlp_attributes)}
            for _ in range(draw(st.integers(0, 2)))
        ],
        "links": [
            {"traceId": other, "spanId": "00000000000000ff", "attributes": draw(otlp_attributes)} for other in elsewhere
        ],
        "status": {"code": draw(st.integers(0, 2)), "message": draw(texts)},
    }


def as_json(value: object) -> bytes:
    """Write a document as a server would."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def wheres(leaves: st.SearchStrategy[Where]) -> st.SearchStrategy[Where]:
    """Give conditions that are made of these with `not`, `and` and `or`."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: All(tuple(parts))),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        ),
        max_leaves=6,
    )
