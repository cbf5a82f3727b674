from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given

from tests.codec.reading import WRITTEN_KEYS, described, records, table
from tests.strategies import as_json, otlp_documents
from traceq.codec import by_trace, read_table
from traceq.codec.documents import read_document
from traceq.codec.json_writers import encode_trace
from traceq.codec.otlp_fields import _known, meaning_of, unknown_codes
from traceq.errors import DecodeError
from traceq.semantics import Kind, Peer, Status
from traceq.traces import Event, Link

TRACE_ID = "0" * 28 + "04d2"
SPAN_ID = "0" * 15 + "b"
SPAN = {"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "charge"}
CONSUMER = {"kind": 5}
PROCESSING = {
    "attributes": [
        {"key": "messaging.system", "value": {"stringValue": "kafka"}},
        {"key": "messaging.operation", "value": {"stringValue": "process"}},
    ]
}


def attribute(key: str, **value: object) -> dict[str, object]:
    return {"key": key, "value": value}


def document(*spans: object, resource: Sequence[object] = (), scope: object = None) -> bytes:
    scopes = [{"scope": scope, "spans": spans}]
    return as_json({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": scopes}]})


def test_a_span_becomes_a_row() -> None:
    body = document(
        {
            **SPAN,
            "parentSpanId": "0" * 15 + "A",
            "kind": 3,
            "startTimeUnixNano": "1700000000000000123",
            "endTimeUnixNano": "1700000000052000123",
            "traceState": "a=b",
            "attributes": [
                attribute("db.system", stringValue="mysql"),
                attribute("@jaeger@warnings", arrayValue={"values": [{"stringValue": "skewed"}]}),
            ],
            "events": [
                {"timeUnixNano": 9, "name": "late"},
                {"timeUnixNano": "5", "attributes": [attribute("k", intValue=1)]},
            ],
            "links": [{"traceId": "F" * 32, "spanId": "f" * 16, "attributes": [attribute("k", boolValue=True)]}],
            "status": {"code": 2, "message": "declined"},
        },
        resource=[attribute("service.name", stringValue="shop"), attribute("host.name", stringValue="n1")],
        scope={"name": "http", "version": "1", "attributes": [attribute("k", stringValue="v")]},
    )

    (record,) = records(body)

    assert record.trace_id == TRACE_ID
    assert record.span_ids == [SPAN_ID]
    assert record.parent_ids == [("0" * 15 + "a",)]
    assert record.start_ns == [1_700_000_000_000_000_123]
    assert record.duration_ns == [52_000_000]
    assert record.kinds == [Kind.CLIENT]
    assert record.statuses == [Status.ERROR]
    assert record.services == ["shop"]
    assert record.names == ["charge"]
    assert record.hosts == ["n1"]
    assert record.peers == [Peer("database", "mysql", "")]
    (details,) = record.details
    assert details.attributes() == {
        "otel.scope.k": "v",
        "otel.scope.name": "http",
        "otel.scope.version": "1",
        "otel.status_description": "declined",
        "w3c.tracestate": "a=b",
        "db.system": "mysql",
    }
    assert details.resource() == {"host.name": "n1"}
    assert details.events() == (Event(5, "log", {"k": 1}), Event(9, "late", {}))
    assert details.links() == (Link("f" * 32, "f" * 16, {"k": True}),)
    assert details.warnings() == ("skewed",)


def test_spans_of_a_trace_are_gathered_over_resources_and_scopes() -> None:
    def group(service: str, *spans: object) -> dict[str, object]:
        resource = {"attributes": [attribute("service.name", stringValue=service)]}
        return {"resource": resource, "scopeSpans": [{"spans": [span]} for span in spans]}

    other = {**SPAN, "traceId": "e" * 32}
    groups = [group("a", SPAN, other), group("b", {**SPAN, "spanId": "c" * 16})]

    found = records(as_json({"resourceSpans": groups}))

    assert [(record.trace_id, record.span_ids, record.services) for record in found] == [
        (TRACE_ID, [SPAN_ID, "c" * 16], ["a", "b"]),
        ("e" * 32, [SPAN_ID], ["a"]),
    ]


@pytest.mark.parametrize(
    ("trace_id", "span_id"),
    [
        pytest.param(TRACE_ID, SPAN_ID, id="hex"),
        pytest.param(TRACE_ID.upper(), SPAN_ID.upper(), id="upper-case"),
        pytest.param("AAAAAAAAAAAAAAAAAAAE0g==", "AAAAAAAAAAs=", id="base64"),
    ],
)
def test_ids_are_hex_or_base64(trace_id: str, span_id: str) -> None:
    link = {"traceId": trace_id, "spanId": "AAAAAAAAAP8="}

    span = {"traceId": trace_id, "spanId": span_id, "parentSpanId": span_id, "links": [link], **CONSUMER}
    (record,) = records(document(span))

    assert record.trace_id == TRACE_ID
    assert record.span_ids == [SPAN_ID]
    assert record.parent_ids == [(SPAN_ID, "0" * 14 + "ff")]
    assert record.details[0].links() == (Link(TRACE_ID, "0" * 14 + "ff", {}),)


@pytest.mark.parametrize("kind", [2, "2", "SPAN_KIND_SERVER"])
@pytest.mark.parametrize("code", [1, "1", "STATUS_CODE_OK"])
def test_enums_are_numbers_or_names(kind: object, code: object) -> None:
    (record,) = records(document({**SPAN, "kind": kind, "status": {"code": code}}))

    assert (record.kinds, record.statuses) == ([Kind.SERVER], [Status.OK])


@pytest.mark.parametrize("unknown", [99, "SPAN_KIND_NEW", None])
def test_unknown_enums_are_unspecified(unknown: object) -> None:
    (record,) = records(document({**SPAN, "kind": unknown, "status": {"code": unknown}}))

    assert (record.kinds, record.statuses) == ([Kind.UNSPECIFIED], [Status.UNSET])


def test_unknown_enums_are_told_of_each_span() -> None:
    times = {"startTimeUnixNano": 1_700_000_000 * 10**9, "endTimeUnixNano": 1_700_000_001 * 10**9}
    spans = [
        {**SPAN, **times, "spanId": f"{number:016x}", "kind": kind, "status": {"code": code}}
        for number, (kind, code) in enumerate([(99, 1), (99, 1), ("SPAN_KIND_\x1bNEW", -1), (2, 2), (None, "")], 1)
    ]
    scope = {"attributes": [attribute("service.name", stringValue="shop")]}
    body = as_json({"resourceSpans": [{"resource": scope, "scopeSpans": [{"spans": spans}]}]})

    told = [
        [(each.code, each.span_id, each.message) for each in read_table(groups, with_details=with_details).warnings]
        for groups in [by_trace(read_document(body, "x.json").parts).values()]
        for with_details in (False, True)
    ]

    kind = "kind is 99, which OTLP does not have"
    both = "kind is SPAN_KIND_\\x1bNEW, which OTLP does not have; status.code is -1, which OTLP does not have"
    code = "value-left-out"
    assert told == 2 * [[(code, f"{1:016x}", kind), (code, f"{2:016x}", kind), (code, f"{3:016x}", both)]]


def test_attributes_tell_kind_and_status_where_the_fields_do_not() -> None:
    told = [attribute("span.kind", stringValue="client"), attribute("error", boolValue=True)]

    (record,) = records(
        document({**SPAN, "attributes": told}, {**SPAN, "spanId": "c" * 16, "kind": 2, "attributes": told})
    )

    assert record.kinds == [Kind.CLIENT, Kind.SERVER]
    assert record.statuses == [Status.ERROR, Status.ERROR]


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ({"stringValue": ""}, ""),
        ({"boolValue": False}, False),
        ({"intValue": "9007199254740993"}, 9007199254740993),
        ({"intValue": 0}, 0),
        ({"doubleValue": 2}, 2.0),
        ({"doubleValue": "Infinity"}, float("inf")),
        ({"bytesValue": "AAEC"}, b"\x00\x01\x02"),
        ({"bytesValue": "?"}, "?"),
        ({"arrayValue": {"values": [{"intValue": 1}, {}]}}, [1, None]),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}}, {"a": "b"}),
        ({}, None),
        (None, None),
    ],
)
def test_values_are_read(sent: Mapping[str, object] | None, value: object) -> None:
    (record,) = records(document({**SPAN, "attributes": [{"key": "k", "value": sent}]}))

    found = record.details[0].attributes()["k"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("span", "parents", "child_of_counts", "links"),
    [
        pytest.param({"parentSpanId": ""}, (), {}, [], id="root"),
        pytest.param({"parentSpanId": "0" * 16}, (), {}, [], id="zeros"),
        pytest.param({"parentSpanId": "03"}, ("03",), {}, [], id="parent"),
        pytest.param({"links": [(TRACE_ID, "01")]}, (), {}, [(TRACE_ID, "01")], id="root-with-link"),
        pytest.param(
            {"parentSpanId": "03", "links": [(TRACE_ID, "01")]}, ("03",), {}, [(TRACE_ID, "01")], id="link-besides"
        ),
        pytest.param({**CONSUMER, "links": [(TRACE_ID, "01")]}, ("01",), {0: 0}, [], id="consumer"),
        pytest.param({**PROCESSING, "links": [(TRACE_ID, "01")]}, ("01",), {0: 0}, [], id="processing"),
        pytest.param(
            {**CONSUMER, "links": [("e" * 32, "01"), (TRACE_ID, "02")]},
            ("02",),
            {0: 0},
            [("e" * 32, "01")],
            id="other-trace",
        ),
        pytest.param(
            {**CONSUMER, "parentSpanId": "03", "links": [(TRACE_ID, "01")]},
            ("03", "01"),
            {0: 1},
            [(TRACE_ID, "01")],
            id="parent-first",
        ),
        pytest.param({"links": [("", "01"), (TRACE_ID, "00")]}, (), {}, [], id="void-links"),
        pytest.param(
            {"parentSpanId": "01", "links": [(TRACE_ID, "01", "follows_from")]},
            ("01",),
            {0: 0},
            [(TRACE_ID, "01", "follows_from")],
            id="reference-of-opentracing",
        ),
        pytest.param(
            {"parentSpanId": "01", "links": [(TRACE_ID, "01", "child_of")]},
            ("01",),
            {},
            [(TRACE_ID, "01", "child_of")],
            id="waited-for",
        ),
    ],
)
def test_links_into_the_trace_stand_in_for_the_parent_of_what_takes_a_message_alone(
    span: dict[str, object],
    parents: tuple[str, ...],
    child_of_counts: dict[int, int],
    links: Sequence[tuple[str, ...]],
) -> None:
    sent = span.get("links", [])
    assert isinstance(sent, list)

    (record,) = records(document({**SPAN, **span, "links": [sent_link(*each) for each in sent]}))

    assert record.parent_ids == [parents]
    assert record.child_of_counts == child_of_counts
    assert record.details[0].links() == tuple(
        Link(trace_id, span_id, {"opentracing.ref_type": told[0]} if told else {}) for trace_id, span_id, *told in links
    )


def sent_link(trace_id: str, span_id: str, reference_type: str = "") -> dict[str, object]:
    told = [attribute("opentracing.ref_type", stringValue=reference_type)] if reference_type else []
    return {"traceId": trace_id, "spanId": span_id, "attributes": told}


def test_whatever_may_be_missing_is_null_or_empty() -> None:
    nulls = dict.fromkeys(
        ("parentSpanId", "name", "kind", "startTimeUnixNano", "attributes", "events", "links", "status", "traceState")
    )

    (record,) = records(document({**SPAN, **nulls}))

    assert (record.names, record.services, record.start_ns, record.duration_ns) == ([""], [""], [0], [0])
    (details,) = record.details
    told = (details.attributes(), details.resource(), details.events(), details.links(), details.warnings())
    assert told == ({}, {}, (), (), ())


@pytest.mark.parametrize(
    ("span", "message"),
    [
        pytest.param(
            {"spanId": SPAN_ID},
            "cannot read traces from resourceSpans[0] of x.json: its spans name no trace",
            id="trace-id",
        ),
        pytest.param(
            {**SPAN, "traceId": "0" * 32},
            "cannot read traces from resourceSpans[0] of x.json: its spans name no trace",
            id="zeros",
        ),
        pytest.param(5, "cannot read traces from resourceSpans[0] of x.json: its spans name no trace", id="number"),
    ],
)
def test_what_is_no_span_is_refused(span: object, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        records(document(span))

    assert caught.value.message == message


@given(otlp_documents())
def test_writing_as_jaeger_json_loses_nothing(sent: object) -> None:
    traces = table(as_json(sent))
    if not len(traces):
        return

    written = table(encode_trace(traces, 0))

    assert described(written, without=WRITTEN_KEYS) == described(traces, without=WRITTEN_KEYS)
    assert described(table(encode_trace(written, 0))) == described(written)


@pytest.mark.parametrize("odd", [True, 1.0])
def test_what_is_no_status_leaves_those_that_are(odd: object) -> None:
    """True equals 1 in Python, so that one such span made the status of all others unknown."""
    _known.cache_clear()

    assert [len(unknown_codes(1, each)) for each in (odd, 1, "STATUS_CODE_OK")] == [1, 0, 0]  # type: ignore[arg-type]
    assert meaning_of((), 1, 1).status is Status.OK
