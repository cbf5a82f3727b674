from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import columns
from tests.codec import protobuf
from tests.codec.reading import described, record_of, table
from tests.strategies import as_json, otlp_documents
from traceq.assembly import joined
from traceq.codec import by_trace, read_table
from traceq.codec.documents import read_document
from traceq.codec.protobuf_requests import Requests, request_parts
from traceq.codec.runs import Form, Run
from traceq.codec.splitting import SplitOptions, split
from traceq.codec.wire import zstd
from traceq.errors import DecodeError
from traceq.semantics import Kind, Status
from traceq.sources.files import JsonFiles
from traceq.sources.interface import no_progress
from traceq.sources.slices import sliced
from traceq.traces import Event, Link, Traces

TRACE_ID = "0102030405060708090a0b0c0d0e0f10"


def span(number: int, **more: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE_ID,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{number - 1:016x}" if number > 1 else "",
        "name": "get",
        "kind": 2,
        "startTimeUnixNano": "1600000000000000001",
        "endTimeUnixNano": "1600000000000000501",
        "attributes": [],
        "events": [],
        "links": [],
        "status": {"code": 0, "message": ""},
        **more,
    }


def document(*spans: dict[str, Any]) -> dict[str, Any]:
    service = {"key": "service.name", "value": {"stringValue": "app"}}
    host = {"key": "host.name", "value": {"stringValue": "h1"}}
    scoped = {"scope": {"name": "lib", "version": "1"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": [service, host]}, "scopeSpans": [scoped]}]}


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def test_unknown_enums_are_told_of_each_span() -> None:
    spans = [span(1, kind=99), span(2, kind=99), span(3, status={"code": 7, "message": ""})]

    traces = table(protobuf.request(document(*spans)))

    kind, code = ("kind is 99, which OTLP does not have", "status.code is 7, which OTLP does not have")
    assert [(each.code, each.span_id, each.message) for each in traces.warnings] == [
        ("value-left-out", f"{1:016x}", kind),
        ("value-left-out", f"{2:016x}", kind),
        ("value-left-out", f"{3:016x}", code),
    ]
    assert list(traces.kinds) == [Kind.UNSPECIFIED, Kind.UNSPECIFIED, Kind.SERVER]


def test_a_span_has_the_columns_and_details_that_it_tells() -> None:
    attributes = [
        {"key": "n", "value": {"intValue": "-1"}},
        {"key": "nested", "value": {"arrayValue": {"values": [{"boolValue": True}, {"bytesValue": "AAE="}, {}]}}},
    ]
    event = {"timeUnixNano": "1600000000000000003", "name": "e", "attributes": attributes[:1]}
    link = {"traceId": "ff" * 16, "spanId": "ee" * 8, "attributes": []}
    told = span(2, attributes=attributes, events=[event], links=[link], status={"code": 2, "message": "broke"})

    (part,) = read_document(protobuf.request(document(told)), "x.pb").parts
    record = record_of(part)

    assert (record.trace_id, record.span_ids, record.parent_ids) == (TRACE_ID, [f"{2:016x}"], [(f"{1:016x}",)])
    assert (record.start_ns, record.duration_ns) == ([1_600_000_000_000_000_001], [500])
    assert (record.kinds, record.statuses) == ([Kind.SERVER], [Status.ERROR])
    assert (record.services, record.names, record.hosts) == (["app"], ["get"], ["h1"])
    (details,) = record.details
    assert details.attributes() == {
        "otel.scope.name": "lib",
        "otel.scope.version": "1",
        "otel.status_description": "broke",
        "n": -1,
        "nested": [True, b"\0\1", None],
    }
    assert details.resource() == {"host.name": "h1"}
    assert details.events() == (Event(1_600_000_000_000_000_003, "e", {"n": -1}),)
    assert details.links() == (Link("ff" * 16, "ee" * 8, {}),)
    assert details.warnings() == ()


@given(otlp_documents())
def test_protobuf_says_what_json_says(told: dict[str, Any]) -> None:
    binary, text = protobuf.request(told), as_json(told)

    assert described(table(framed(binary))) == described(table(text))


@given(otlp_documents())
def test_a_request_is_told_by_its_shape(told: dict[str, Any]) -> None:
    binary = protobuf.request(told)

    assert described(table(binary)) == described(table(as_json(told)))


BROKEN = b"\x0a\x7f"
"""A field that is longer than what follows."""


@given(otlp_documents())
def test_the_order_of_fields_means_nothing(told: dict[str, Any]) -> None:
    binary = protobuf.request(told)

    again = protobuf.backwards(binary)

    assert (len(again), protobuf.backwards(again)) == (len(binary), binary)
    assert described(table(again)) == described(table(binary))


@given(
    st.lists(otlp_documents(), min_size=2, max_size=4),
    st.sampled_from([bytes, protobuf.backwards]),
    st.sampled_from([lambda requests: framed(*requests), b"".join]),
)
def test_slices_of_many_small_messages_give_what_the_whole_gives(
    told: list[dict[str, Any]], ordered: Callable[[bytes], bytes], written: Callable[[list[bytes]], bytes]
) -> None:
    groups = [group for each in told for group in each["resourceSpans"]]
    body = written([ordered(protobuf.request({"resourceSpans": [group]})) for group in groups])

    found = split(body, "x.pb", SplitOptions(window=1))

    parts = [
        part
        for run in found.runs
        for part in request_parts(ranges(body, run), "x.pb", are_framed=run.form is Form.FRAMES)
    ]
    again = read_table(by_trace(parts).values(), with_details=True)
    assert described(again) == described(table(body))


def ranges(body: bytes, run: Run) -> list[memoryview]:
    return [memoryview(body)[start:stop] for start, stop in zip(run.starts, run.stops, strict=True)]


REQUESTS = [protobuf.request(document(span(2 * number + 1), span(2 * number + 2))) for number in range(4)]


def packed(message: bytes) -> bytes:
    written: bytes = zstd().compress(message)
    return written


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"".join(REQUESTS), id="one request"),
        pytest.param(framed(*REQUESTS), id="collector"),
        pytest.param(framed(*map(packed, REQUESTS)), id="collector with zstd"),
        pytest.param(gzip.compress(framed(*REQUESTS)), id="gzip"),
        pytest.param(packed(b"".join(REQUESTS)), id="zstd"),
        pytest.param(
            framed(*(packed(as_json(document(span(2 * n + 1), span(2 * n + 2)))) for n in range(4))), id="json in zstd"
        ),
    ],
)
def test_files_of_collectors_are_read_whole_and_in_slices(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "traces.pb").write_bytes(body)
    file = str(tmp_path / "traces.pb")

    whole = joined(list(JsonFiles((file,), no_progress).tables(with_details=True)), with_details=True)
    with sliced((file,), slice_bytes=100) as cut:
        parted = joined([t for each in cut.found.slices for t in each.tables(with_details=True)], with_details=True)

    assert columns(whole) == columns(parted)
    assert (whole.trace_ids, whole.span_count, list(whole.parents)) == ((TRACE_ID,), 8, list(range(-1, 7)))
    assert whole.warnings == ()


def of_length(length: int) -> bytes:
    """Make a request with span 9 that is as long as this: its name fills it."""

    def made(name_length: int) -> bytes:
        return scoped(protobuf.span(span(9, name="n" * name_length)))

    shortest = len(made(0))
    (found,) = (each for each in map(made, range(length - shortest - 12, length - shortest + 1)) if len(each) == length)
    return found


@pytest.mark.parametrize("length", [0x7B, 0x5B00, 0x5B007B], ids=hex)
def test_the_length_of_a_first_message_is_no_text_in_utf_16_or_utf_32(length: int, tmp_path: Path) -> None:
    (tmp_path / "traces.pb").write_bytes(framed(of_length(length), *REQUESTS))

    files = JsonFiles((str(tmp_path / "traces.pb"),), no_progress)

    assert joined(list(files.tables(with_details=False)), with_details=False).span_count == 9


def test_an_empty_request_is_a_request() -> None:
    assert Requests("x").parts([b""]) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            framed(packed(REQUESTS[0])[:-3]),
            "cannot read traces from x: a message that is packed with zstd is broken",
            id="zstd",
        ),
        pytest.param(
            protobuf.request(document(span(1, traceId=""))),
            "cannot read traces from resourceSpans of x: its spans name no trace",
            id="no trace",
        ),
        pytest.param(
            REQUESTS[0][:90],
            "cannot read traces from x: broken protobuf: it ends in the middle, and nothing before that is whole",
            id="cut in the first span",
        ),
        pytest.param(
            framed(protobuf.field(1, protobuf.field(2, BROKEN))),
            "cannot read traces from x: broken protobuf",
            id="broken",
        ),
    ],
)
def test_a_broken_message_is_refused_with_its_place(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        table_of(body)

    assert caught.value.message == message


DAMAGED = "broken, or cut off: 1 message, of which the spans before the break are read; others are missing"


@pytest.mark.parametrize("written", [bytes, framed], ids=["bare", "framed"])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_of_a_broken_message_the_spans_before_the_break_are_read(
    written: Callable[[bytes], bytes], at: int, tmp_path: Path
) -> None:
    # The length of its second span goes beyond its end.
    first, length, second = REQUESTS[at].rpartition(b"\x12\x45\x0a\x10")
    broken = first + length.replace(b"\x45", b"\x7f") + second
    body = b"".join(written(broken if number == at else each) for number, each in enumerate(REQUESTS))
    (tmp_path / "x.pb").write_bytes(body)

    whole = read_document(body, "x.pb")
    with sliced((str(tmp_path / "x.pb"),), slice_bytes=100) as cut:
        parted = joined([t for each in cut.found.slices for t in each.tables(with_details=True)], with_details=True)

    ids = tuple(f"{number:016x}" for number in range(1, 9) if number != 2 * at + 2)
    assert parted.span_ids == read_table(by_trace(whole.parts).values(), with_details=True).span_ids == ids
    assert (whole.notes, cut.found.notes) == ((DAMAGED,), (f"{tmp_path / 'x.pb'}: {DAMAGED}",))


@given(st.integers(0, len(b"".join(REQUESTS))))
def test_of_a_request_that_is_cut_off_every_whole_span_is_read(length: int) -> None:
    body = b"".join(REQUESTS)[:length]
    ends = [each.end() for each in re.finditer(re.escape(protobuf.field(15, b"\x12\x00\x18\x00")), body)]
    try:
        document = read_document(body, "x.pb")
    except DecodeError:
        assert not ends
        return

    found = read_table(by_trace(document.parts).values(), with_details=True)
    assert found.span_ids == tuple(f"{number:016x}" for number in range(1, len(ends) + 1))
    starts = {sum(map(len, REQUESTS[:number])) for number in range(len(REQUESTS) + 1)}
    assert document.notes == (() if length in starts else (DAMAGED,))


def other_request(*items: bytes, scopes: int = 2) -> bytes:
    """Make a request as those of traces are built, with other things in place of spans."""
    return protobuf.field(1, protobuf.field(1, b"") + protobuf.field(scopes, protobuf.fields(2, list(items))))


TIME = protobuf.fixed(1, "1600000000000000001")
GAUGE = protobuf.field(1, "queue.length") + protobuf.field(3, "1") + protobuf.field(5, protobuf.field(1, TIME))
SUM = protobuf.field(1, "sixteen.letters_") + protobuf.field(7, protobuf.field(1, TIME) + b"\x10\x02")
OLD_SUM = protobuf.field(1, "http.requests") + protobuf.field(2, "how many") + protobuf.field(6, TIME)
RECORD = TIME + b"\x10\x09" + protobuf.field(3, "INFO") + protobuf.field(9, protobuf.field(1, TRACE_ID))
METRICS = other_request(GAUGE, SUM)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param(METRICS, "metrics", id="metrics"),
        pytest.param(framed(METRICS, METRICS), "metrics", id="metrics in a file"),
        pytest.param(other_request(OLD_SUM, scopes=1000), "metrics", id="metrics of 2020"),
        pytest.param(other_request(RECORD), "logs", id="logs"),
    ],
)
def test_logs_and_metrics_are_no_spans(body: bytes, what: str) -> None:
    with pytest.raises(DecodeError, match=f"it looks like OTLP {what}$"):
        read_document(body, "x")


def test_spans_of_which_nothing_but_a_name_is_left_are_spans() -> None:
    bare = protobuf.field(1, bytes.fromhex(TRACE_ID)) + protobuf.field(5, "get")

    assert table(other_request(bare)).names == ("get",)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        pytest.param(METRICS, "it looks like OTLP metrics", id="metrics"),
        pytest.param(packed(REQUESTS[0])[:-3], "a message that is packed with zstd is broken", id="broken"),
    ],
)
def test_a_message_without_traces_costs_one_message(other: bytes, why: str) -> None:
    body = framed(*REQUESTS, other)

    whole = read_document(body, "x")
    parted = split(body, "x", SplitOptions(window=10))

    ((part,), (run,)) = (whole.parts, parted.runs)
    assert (part.trace_id, len(record_of(part).span_ids)) == (TRACE_ID, 2 * len(REQUESTS))
    assert ([*run.starts], [*run.stops]) == ([0], [len(framed(*REQUESTS))])
    told = "left out because no traces can be read from them: 1 message (first: "
    assert whole.notes == (f"{told}{why})",)
    assert [note[: len(told)] for note in parted.notes] == [told]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        pytest.param(span(1, spanId="00" * 8), "id-missing", id="no id"),
        pytest.param(span(1, endTimeUnixNano=str(2**64 - 1)), "end-missing", id="end"),
    ],
)
def test_a_bad_span_is_put_right_and_told(bad: dict[str, Any], code: str) -> None:
    traces = table(protobuf.request(document(bad)))

    assert [warning.code for warning in traces.warnings] == [code]
    assert (traces.span_count, len(traces.span_ids[0])) == (1, 16)


def table_of(body: bytes) -> None:
    for part in read_document(body, "x").parts:
        for details in record_of(part).details:
            details.attributes(), details.resource(), details.events(), details.links(), details.warnings()


def test_text_that_is_not_utf8_is_kept() -> None:
    told = protobuf.request(document(span(1, name="get?"))).replace(b"get?", b"get\xff")

    assert table(told).names == ("get\\xff",)


@given(
    st.sampled_from(REQUESTS),
    st.integers(0, 200),
    st.binary(max_size=9),
    st.integers(0, 9),
    st.sampled_from([framed, bytes]),
)
def test_damaged_messages_give_traces_or_a_decode_error(
    body: bytes, at: int, put: bytes, left_out: int, written: Callable[[bytes], bytes]
) -> None:
    damaged = body[:at] + put + body[at + left_out :]
    try:
        table_of(written(damaged))
    except DecodeError as error:
        assert "\n" not in error.message  # noqa: PT017  the error is not expected, only allowed


NOT_TEXT = protobuf.field(1, b"k\xff") + protobuf.field(2, protobuf.field(1, "v"))
WRONG = {
    "attribute": (protobuf.field(9, BROKEN), "value-repaired", "attributes[0] is broken, and shown as its bytes"),
    "text of an attribute": (protobuf.field(9, NOT_TEXT), "value-repaired", "some of its text is broken"),
    "name": (protobuf.field(5, b"g\xff"), "value-repaired", "some of its text is broken"),
    "event": (protobuf.field(11, BROKEN), "value-left-out", "events[0] is broken"),
    "attribute of an event": (
        protobuf.field(11, protobuf.field(3, BROKEN)),
        "value-repaired",
        "events[0].attributes[0] is broken, and shown as its bytes",
    ),
    "link": (protobuf.field(13, BROKEN), "value-left-out", "links[0] is broken"),
    "status": (protobuf.field(15, BROKEN), "value-left-out", "status is broken"),
    "deep": (
        protobuf.field(
            9, protobuf.field(2, reduce(lambda inner, _: protobuf.field(5, protobuf.field(1, inner)), range(200), b""))
        ),
        "value-repaired",
        "attributes[0] is broken, and shown as its bytes",
    ),
}


def both_ways(body: bytes) -> Traces:
    groups = by_trace(read_document(body, "x.pb").parts).values()
    lean, whole = (read_table(groups, with_details=with_details) for with_details in (False, True))
    assert (lean.warnings, lean.span_ids, lean.start_ns) == (whole.warnings, whole.span_ids, whole.start_ns)
    described(whole)
    return whole


def scoped(*spans: bytes) -> bytes:
    return protobuf.field(1, protobuf.field(1, b"") + protobuf.field(2, protobuf.fields(2, list(spans))))


@pytest.mark.parametrize(("wrong", "code", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_is_broken_in_a_span_costs_no_more_than_itself(wrong: bytes, code: str, told: str) -> None:
    traces = both_ways(scoped(protobuf.span(span(1)), protobuf.span(span(2)) + wrong, protobuf.span(span(3))))

    assert len(traces.span_ids) == 3
    found = [(each.code, each.span_id, each.message) for each in traces.warnings if each.code != "service-missing"]
    assert found == [(code, f"{2:016x}", told)]


def test_a_broken_span_is_left_out_and_told() -> None:
    traces = both_ways(scoped(protobuf.span(span(1)), protobuf.span(span(2)) + BROKEN, protobuf.span(span(3))))

    assert traces.span_ids == (f"{1:016x}", f"{3:016x}")
    told = {(each.code, each.message) for each in traces.warnings}
    assert ("span-left-out", "a span in resourceSpans of x.pb is broken") in told


@pytest.mark.parametrize(
    ("resource", "scope", "told"),
    [
        (protobuf.field(1, BROKEN), b"", "resource.attributes[0] is broken, and shown as its bytes"),
        (b"", BROKEN, "scope is broken"),
        (b"", protobuf.field(1, b"\xff"), "some of its text is broken"),
    ],
)
def test_a_broken_resource_or_scope_leaves_the_spans(resource: bytes, scope: bytes, told: str) -> None:
    inner = protobuf.field(1, scope) + protobuf.field(2, protobuf.span(span(1)))

    traces = both_ways(protobuf.field(1, protobuf.field(1, resource) + protobuf.field(2, inner)))

    assert traces.span_ids == (f"{1:016x}",)
    assert told in {each.message for each in traces.warnings}


@given(st.data())
def test_with_any_byte_of_a_span_changed_the_others_are_whole(data: st.DataObject) -> None:
    event = {"timeUnixNano": "1600000000000000003", "name": "e", "attributes": []}
    attribute = {"key": "nested", "value": {"arrayValue": {"values": [{"stringValue": "v"}]}}}
    written = bytearray(protobuf.span(span(2, attributes=[attribute], events=[event])))
    for _ in range(data.draw(st.integers(1, 3))):
        written[data.draw(st.integers(18, len(written) - 1))] = data.draw(st.integers(0, 255))

    traces = both_ways(scoped(protobuf.span(span(1)), bytes(written), protobuf.span(span(3))))

    others = {(each.span_id, each.name, each.start_ns) for each in map(traces.span, range(traces.span_count))}
    assert {(f"{number:016x}", "get", 1_600_000_000_000_000_001) for number in (1, 3)} <= others
    dropped = [each for each in traces.warnings if each.code in ("span-left-out", "duplicate-dropped")]
    assert traces.span_count + len(dropped) == 3
