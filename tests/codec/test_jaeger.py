import gc
import json
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given

from tests import builders
from tests.codec.reading import described, records, table
from tests.strategies import as_json, v1_traces
from traceq.codec import jaeger
from traceq.codec.json_writers import encode_trace
from traceq.errors import DecodeError
from traceq.records import Codebook
from traceq.semantics import Attributes, Kind, Peer, Status
from traceq.traces import Event, Link

SPAN = {"traceID": "0a", "spanID": "01", "operationName": "get", "startTime": 1_700_000_000_000_001, "duration": 7}


def tag(key: str, kind: str | None, value: object) -> dict[str, object]:
    return {"key": key, "type": kind, "value": value}


def text_tags(tags: Mapping[str, str]) -> list[dict[str, object]]:
    return [tag(key, "string", value) for key, value in tags.items()]


def reference(span_id: str, kind: str | None = "CHILD_OF", trace_id: str = "0a") -> dict[str, object]:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def trace(*spans: Mapping[str, object], **fields: object) -> bytes:
    return as_json({"traceID": "0a", "spans": list(spans), **fields})


def attributes_of(*tags: object) -> Attributes:
    return records(trace({**SPAN, "tags": tags}))[0].details[0].attributes()


def test_a_span_becomes_a_row() -> None:
    body = trace(
        {
            **SPAN,
            "spanID": "00AB",
            "references": [reference("00FF")],
            "tags": text_tags({"span.kind": "client", "db.system": "mysql", "otel.status_code": "ERROR"}),
            "logs": [{"timestamp": 5, "fields": text_tags({"level": "info", "event": "sent"})}],
            "processID": "p1",
            "warnings": ["skewed"],
        },
        processes={"p1": {"serviceName": "shop", "tags": text_tags({"host.name": "n1"})}},
        warnings=["cut"],
    )

    (record,) = records(body)

    assert record.trace_id == "0a"
    assert record.span_ids == ["00ab"]
    assert record.parent_ids == [("00ff",)]
    assert record.start_ns == [1_700_000_000_000_001_000]
    assert record.duration_ns == [7_000]
    assert record.kinds == [Kind.CLIENT]
    assert record.statuses == [Status.ERROR]
    assert record.services == ["shop"]
    assert record.names == ["get"]
    assert record.hosts == ["n1"]
    assert record.peers == [Peer("database", "mysql", "")]
    assert record.warnings == ["cut"]
    (details,) = record.details
    assert details.attributes() == {"span.kind": "client", "db.system": "mysql", "otel.status_code": "ERROR"}
    assert details.resource() == {"host.name": "n1"}
    assert details.events() == (Event(5_000, "sent", {"level": "info"}),)
    assert details.links() == ()
    assert details.warnings() == ("skewed",)


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("string", "a", "a"),
        ("string", 5, 5),
        (None, 2.5, 2.5),
        ("bool", True, True),
        ("bool", "true", True),
        ("bool", "false", False),
        ("bool", "unset", "unset"),
        ("int64", 3, 3),
        ("int64", 3.0, 3),
        ("int64", "9007199254740993", 9007199254740993),
        ("int64", "-7", -7),
        ("int64", "1_0", "1_0"),
        ("int64", "9" * 5000, "9" * 5000),
        ("float64", 2, 2.0),
        ("float64", "0.25", 0.25),
        ("float64", "fast", "fast"),
        ("float64", True, True),
        ("binary", "AAEC", b"\x00\x01\x02"),
        ("binary", "no base64", "no base64"),
        ("binary", 5, 5),
        ("int64", None, None),
        ("string", ["a"], ["a"]),
    ],
)
def test_values_are_what_their_type_says(kind: str | None, sent: object, value: object) -> None:
    found = attributes_of(tag("k", kind, sent))["k"]

    assert (type(found), found) == (type(value), value)


def test_the_last_of_tags_with_one_key_counts() -> None:
    tags = [
        tag("error", "bool", value=True),
        tag("k", "string", "a"),
        tag("error", "bool", value=False),
        tag("k", "string", "b"),
    ]

    (record,) = records(trace({**SPAN, "tags": tags}))

    assert record.statuses == [Status.UNSET]
    assert record.details[0].attributes() == {"error": False, "k": "b"}


@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [
        ("bool", True, Status.ERROR),
        ("string", "true", Status.ERROR),
        ("string", "unset", Status.UNSET),
        ("string", "false", Status.UNSET),
        ("bool", "true", Status.ERROR),
        ("int64", 1, Status.UNSET),
        ("string", {"deep": 1}, Status.UNSET),
    ],
)
def test_errors_are_told_by_the_tag_error(kind: str, value: object, status: Status) -> None:
    (record,) = records(trace({**SPAN, "tags": [tag("error", kind, value)]}))

    assert record.statuses == [status]


ELSEWHERE = "bb"


@pytest.mark.parametrize(
    ("span", "parents", "links"),
    [
        pytest.param({}, (), [], id="none"),
        pytest.param({"references": None}, (), [], id="null"),
        pytest.param({"references": [reference("02")]}, ("02",), [], id="child-of"),
        pytest.param({"references": [reference("02", trace_id="000A")]}, ("02",), [], id="padded-trace-id"),
        pytest.param({"references": [reference("02", trace_id=f"beef{'a':0>16}")]}, ("02",), [], id="half-a-trace-id"),
        pytest.param({"references": [reference("02", "FOLLOWS_FROM")]}, ("02",), [], id="follows-from"),
        pytest.param({"references": [reference("02", None)]}, ("02",), [], id="type-missing"),
        pytest.param(
            {"references": [reference("02", "FOLLOWS_FROM"), reference("03"), reference("04")]},
            ("03", "04", "02"),
            [("0a", "02"), ("0a", "04")],
            id="child-of-first",
        ),
        pytest.param(
            {"references": [reference("02", trace_id=ELSEWHERE), reference("03")]},
            ("03",),
            [(ELSEWHERE, "02")],
            id="other-trace",
        ),
        pytest.param({"references": [reference("0000"), reference("", trace_id="")]}, (), [], id="zeros"),
        pytest.param({"references": [reference("02", trace_id="00")]}, (), [], id="trace-of-zeros"),
        pytest.param({"parentSpanID": "0C"}, ("0c",), [], id="old-export"),
        pytest.param({"parentSpanID": "0"}, (), [], id="old-export-root"),
        pytest.param({"parentSpanID": "0c", "references": [reference("02")]}, ("02",), [], id="references-win"),
    ],
)
def test_references_are_parents_or_links(
    span: Mapping[str, object], parents: tuple[str, ...], links: Sequence[tuple[str, str]]
) -> None:
    (record,) = records(trace({**SPAN, **span}))

    assert record.parent_ids == [parents]
    assert record.details[0].links() == tuple(Link(*link, {}) for link in links)


OTLP = tag("internal.span.format", "string", "otlp")
SCOPE = tag("otel.scope.name", "string", "web")
SDK = tag("telemetry.sdk.name", "string", "opentelemetry")
CONSUMER = tag("span.kind", "string", "consumer")


@pytest.mark.parametrize(
    ("tags", "process_tags", "parents", "links"),
    [
        pytest.param([], [], ("02",), (), id="opentracing"),
        pytest.param([tag("otel.status_code", "string", "ERROR")], [], ("02",), (), id="opentracing-failed"),
        pytest.param([OTLP], [], (), ("02",), id="otlp"),
        pytest.param([SCOPE], [], (), ("02",), id="scope"),
        pytest.param([], [SDK], (), ("02",), id="resource"),
        pytest.param([SCOPE, CONSUMER], [SDK], ("02",), (), id="consumer"),
    ],
)
def test_a_link_that_became_follows_from_is_no_parent_but_of_what_takes_a_message(
    tags: Sequence[object], process_tags: Sequence[object], parents: tuple[str, ...], links: tuple[str, ...]
) -> None:
    """Jaeger writes links of OTLP as FOLLOWS_FROM, which OpenTracing's clients named parents by."""
    span = {**SPAN, "references": [reference("02", "FOLLOWS_FROM")], "tags": tags, "processID": "p1"}
    process = {"serviceName": "web", "tags": process_tags}

    body = trace(span, processes={"p1": process})
    (record,) = records(body)
    columns = jaeger.read_coded(body, "0a", "x.json", Codebook(), with_details=False)

    assert record.parent_ids == [parents] == [columns.candidates(0)]
    assert record.details[0].links() == tuple(Link("0a", link, {}) for link in links)


def test_of_a_span_with_a_parent_links_are_no_other_candidates() -> None:
    references = [reference("02", "FOLLOWS_FROM"), reference("03")]

    (record,) = records(trace({**SPAN, "references": references, "tags": [OTLP]}))

    assert record.parent_ids == [("03",)]
    assert record.details[0].links() == (Link("0a", "02", {}),)


@pytest.mark.parametrize(
    ("references", "counts"),
    [
        pytest.param([reference("02", "FOLLOWS_FROM")], {0: 0}, id="follows-from"),
        pytest.param([reference("02", "FOLLOWS_FROM", "000A")], {0: 0}, id="padded-trace-id"),
        pytest.param([reference("02", "FOLLOWS_FROM"), reference("03")], {0: 1}, id="both"),
        pytest.param([reference("02", None)], {}, id="type-missing"),
        pytest.param([reference("02", "FOLLOWS_FROM", "bb"), reference("03")], {}, id="other-trace"),
    ],
)
def test_references_tell_what_a_span_only_follows_from(references: Sequence[object], counts: Mapping[int, int]) -> None:
    (record,) = records(trace({**SPAN, "references": references}))

    assert record.child_of_counts == counts


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"startTime": "1700000000000001", "duration": "7"}, id="text"),
        pytest.param({"startTime": 1_700_000_000_000_001.0, "duration": 7.0}, id="floats"),
        pytest.param(
            {"startTime": 1, "startTimeUnixNano": "1700000000000001000", "durationNano": 7000}, id="nanoseconds-win"
        ),
    ],
)
def test_times_are_read_however_they_are_written(fields: Mapping[str, object]) -> None:
    (record,) = records(trace({**SPAN, **fields}))

    assert (record.start_ns, record.duration_ns) == ([1_700_000_000_000_001_000], [7_000])


def test_whatever_may_be_missing_is_null_or_empty() -> None:
    nulls = dict.fromkeys(
        ("operationName", "references", "startTime", "duration", "tags", "logs", "processID", "warnings")
    )

    (record,) = records(trace({"spanID": "01"}, {"spanID": "02", **nulls}, processes=None, warnings=None))

    assert record.names == ["", ""]
    assert record.services == ["", ""]
    assert record.start_ns == [0, 0]
    assert record.duration_ns == [0, 0]
    for details in record.details:
        told = (details.attributes(), details.resource(), details.events(), details.links(), details.warnings())
        assert told == ({}, {}, (), (), ())


def test_a_process_may_stand_in_the_span() -> None:
    inline = {"serviceName": "shop", "tags": text_tags({"k": "v"})}
    known = {"p1": {"serviceName": "cart"}, "p2": None}

    (record,) = records(
        trace(
            {**SPAN, "process": inline},
            {**SPAN, "spanID": "02", "processID": "p2", "process": inline},
            {**SPAN, "spanID": "03", "processID": "p1", "process": inline},
            {**SPAN, "spanID": "04", "processID": "p9"},
            processes=known,
        )
    )

    assert record.services == ["shop", "shop", "cart", ""]
    assert [details.resource() for details in record.details] == [{"k": "v"}, {"k": "v"}, {}, {}]


def test_events_are_sorted_and_named() -> None:
    logs = [
        {"timestamp": 9, "fields": text_tags({"event": "late"})},
        {"timestamp": 5, "fields": [*text_tags({"event": "a"}), *text_tags({"event": "b"})]},
        {"timestamp": 5, "timeUnixNano": "5001", "fields": [tag("event", "int64", 3)]},
        {"timestamp": None, "fields": None},
        {"timestamp": 1, "fields": text_tags({"event": "", "message": "x"})},
    ]

    (record,) = records(trace({**SPAN, "logs": logs}))

    assert record.details[0].events() == (
        Event(0, "log", {}),
        Event(1_000, "log", {"message": "x"}),
        Event(5_000, "a", {"event": "b"}),
        Event(5_001, "3", {}),
        Event(9_000, "late", {}),
    )


def test_what_has_no_spans_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        jaeger.read_coded(msgspec.Raw(b'{"traceID":"0a","x":1}'), "0a", "x.json", Codebook(), with_details=True)

    assert caught.value.message == "cannot read trace 0a of x.json: Object missing required field spans"


def test_spans_without_a_trace_id_are_refused() -> None:
    with pytest.raises(DecodeError, match=r"cannot read a trace of x\.json: its spans have no traceID"):
        records(b'{"spans":[{"spanID":"1"}]}')


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(*, is_enabled: bool) -> None:
    was_enabled = gc.isenabled()
    (gc.enable if is_enabled else gc.disable)()

    table(trace(SPAN))
    left = gc.isenabled()
    (gc.enable if was_enabled else gc.disable)()

    assert left == is_enabled


def test_a_trace_is_written_as_jaeger_writes_it() -> None:
    traces = builders.trace(
        builders.span("01", None, 1_000, 9_000, service="shop", kind=Kind.SERVER, resource={"host.name": "n1"}),
        builders.span(
            "02",
            "01",
            2_001,
            4_000,
            service="shop",
            name="SELECT",
            kind=Kind.CLIENT,
            status=Status.ERROR,
            resource={"host.name": "n1"},
            attributes={
                "db.system": "mysql",
                "rows": 2**60,
                "share": 1.0,
                "raw": b"\x00",
                "ids": [1, "a"],
                "none": None,
            },
            events=[Event(builders.EPOCH_NS + 1, "sent", {"ok": True})],
            links=[Link("bb", "07", {"why": "batch"})],
            warnings=["skewed"],
        ),
        builders.span("03", "99", 0, 0, service="cart", status=Status.OK),
        trace_id="0a",
        warnings=["cut"],
    )

    written = encode_trace(traces, 0)

    assert b'"traceID":"0a","spans":[{"traceID":"0a","spanID":"01","operationName":"01","references":[]' in written
    start_us = builders.EPOCH_NS // 1000
    assert json.loads(written) == {
        "traceID": "0a",
        "spans": [
            {
                "traceID": "0a",
                "spanID": "01",
                "operationName": "01",
                "references": [],
                "startTime": start_us + 1,
                "duration": 8,
                "tags": text_tags({"span.kind": "server"}),
                "logs": [],
                "processID": "p1",
                "warnings": None,
            },
            {
                "traceID": "0a",
                "spanID": "02",
                "operationName": "SELECT",
                "references": [
                    reference("01"),
                    {**reference("07", "FOLLOWS_FROM", "bb"), "tags": text_tags({"why": "batch"})},
                ],
                "startTime": start_us + 2,
                "duration": 1,
                "tags": [
                    tag("db.system", "string", "mysql"),
                    tag("rows", "int64", str(2**60)),
                    tag("share", "float64", 1.0),
                    tag("raw", "binary", "AA=="),
                    tag("ids", "string", '[1,"a"]'),
                    tag("none", "string", ""),
                    tag("span.kind", "string", "client"),
                    tag("otel.status_code", "string", "ERROR"),
                    tag("error", "bool", value=True),
                ],
                "logs": [
                    {
                        "timestamp": start_us,
                        "fields": [tag("event", "string", "sent"), tag("ok", "bool", value=True)],
                        "timeUnixNano": str(builders.EPOCH_NS + 1),
                    }
                ],
                "processID": "p1",
                "warnings": ["skewed"],
                "startTimeUnixNano": str(builders.EPOCH_NS + 2_001),
                "durationNano": "1999",
            },
            {
                "traceID": "0a",
                "spanID": "03",
                "operationName": "03",
                "references": [reference("99")],
                "startTime": start_us,
                "duration": 0,
                "tags": text_tags({"otel.status_code": "OK"}),
                "logs": [],
                "processID": "p2",
                "warnings": None,
            },
        ],
        "processes": {
            "p1": {"serviceName": "shop", "tags": text_tags({"host.name": "n1"})},
            "p2": {"serviceName": "cart", "tags": []},
        },
        "warnings": ["cut"],
    }


@given(v1_traces())
def test_writing_loses_nothing(sent: object) -> None:
    traces = table(as_json(sent))

    assert described(table(encode_trace(traces, 0))) == described(traces)
