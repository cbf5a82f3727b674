from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from msgspec.structs import replace

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, trace, traces
from traceq import load
from traceq.analysis.columns import columns
from traceq.analysis.learning import learn_lineage
from traceq.analysis.requests import LIFETIME_NS, RequestOptions, Requests, SetApart, find_requests, find_streams
from traceq.learned import NOTHING_KNOWN, Learned, Lineage
from traceq.semantics import Attributes, Kind, Peer
from traceq.traces import Traces


def at(span_id: str, parent_id: str | None, service: str) -> SpanSpec:
    return span(span_id, parent_id, 0, 10, service=service)


CALL_BACK = (
    at("root", None, "edge"),
    at("in", "root", "chat"),
    at("work", "in", "chat"),
    at("out", "work", "user"),
    at("back", "out", "chat"),
    at("other", "root", "chat"),
)


def names(traces: Traces, service: str | None, *, whole_trace: bool = False) -> tuple[list[str], list[str]]:
    found = find_requests(columns(traces), RequestOptions(service, whole_trace))
    owners = ["" if row < 0 else traces.span_ids[row] for row in found.entry]
    return [traces.span_ids[row] for row in found.entries], owners


def test_entries_are_the_topmost_spans_of_the_service_and_calls_back_belong_to_them() -> None:
    assert names(trace(*CALL_BACK), "chat") == (["in", "other"], ["", "in", "in", "in", "in", "other"])


def test_without_a_service_every_root_is_an_entry() -> None:
    assert names(trace(*CALL_BACK), None) == (["root"], ["root"] * 6)


def test_whole_traces_start_at_the_roots_of_those_that_the_service_takes_part_in() -> None:
    spans = (*CALL_BACK, at("alone", None, "cron"))

    assert names(trace(*spans), "user", whole_trace=True) == (["root"], ["root"] * 6 + [""])


def test_an_unknown_service_has_no_requests() -> None:
    assert names(trace(*CALL_BACK), "nobody") == ([], [""] * 6)


def lost(span_id: str, parent_id: str, kind: Kind, start_ns: int = 10, service: str = "chat") -> SpanSpec:
    return span(span_id, parent_id, start_ns, start_ns + 20, service=service, kind=kind)


ROOT = span("root", None, 0, 100, service="edge", kind=Kind.SERVER)
"""Everything that is lost lies within its time."""


def known(table: Traces) -> Lineage:
    return learn_lineage(columns(table))


def found_in(table: Traces, options: RequestOptions, lineage: Lineage = NOTHING_KNOWN) -> Requests:
    return find_requests(replace(columns(table), learned=Learned(lineage=lineage)), options)


def asked(table: Traces, service: str | None, lineage: Lineage = NOTHING_KNOWN) -> tuple[list[str], SetApart]:
    found = found_in(table, RequestOptions(service), lineage)
    return [table.span_ids[row] for row in found.entries], found.set_apart


def test_fragments_are_no_requests() -> None:
    table = trace(ROOT, lost("find", "gone", Kind.CLIENT), lost("save", "gone", Kind.CLIENT))

    assert asked(table, None) == (["root"], SetApart(1, 1, 2, 0))


def test_what_serves_a_service_is_a_request_of_it_whoever_called() -> None:
    table = trace(ROOT, lost("serve", "gone", Kind.SERVER), lost("consume", "gone", Kind.CONSUMER))

    assert asked(table, "chat") == (["serve", "consume"], SetApart())
    assert asked(table, None) == (["root"], SetApart(1, 1, 2, 0))


def test_a_request_of_which_only_fragments_are_there_is_counted_as_incomplete() -> None:
    table = trace(lost("find", "gone", Kind.CLIENT), lost("save", "gone", Kind.CLIENT))

    assert asked(table, None) == ([], SetApart(1, 1, 2, 1))
    assert asked(table, "chat") == ([], SetApart(1, 1, 2, 1))


def test_a_trace_with_nothing_above_its_first_span_is_a_request_where_that_was_never_seen_below_another() -> None:
    table = traces({"1": (lost("work", "gone", Kind.INTERNAL), lost("find", "work", Kind.CLIENT))})
    below = known(trace(ROOT, lost("work", "root", Kind.INTERNAL)))

    assert asked(table, None) == (["work"], SetApart())
    assert asked(table, None, below) == ([], SetApart(1, 1, 2, 1))


def test_where_the_span_that_entered_the_service_is_lost_its_request_is_incomplete() -> None:
    """`find` goes back below the call of `chat`, but that is not where `chat` was entered."""
    call = span("call", "root", 5, 60, service="edge", kind=Kind.CLIENT)
    serve = span("serve", "call", 6, 50, service="chat", kind=Kind.SERVER)
    seen = known(trace(ROOT, call, serve, lost("find", "serve", Kind.CLIENT)))
    table = trace(ROOT, call, lost("find", "gone", Kind.CLIENT))

    assert asked(table, None, seen) == (["root"], SetApart())
    assert asked(table, "chat", seen) == ([], SetApart(1, 1, 1, 1))


def test_what_something_calls_that_sends_no_spans_is_a_request() -> None:
    """A browser makes up the parent of five requests in one trace; a gateway that of one each in others."""
    browser = tuple(lost(f"page{i}", "tab", Kind.SERVER, 30 * i) for i in range(5))
    gateway = {f"g{i}": (span(f"s{i}", "gateway", 0, 9, name="serve"),) for i in range(5)}
    table = traces({"b": browser, **gateway})

    entries, set_apart = asked(table, None, known(table))

    assert len(entries) == 10
    assert set_apart == SetApart()


def test_what_comes_from_outside_within_the_time_of_a_request_is_part_of_that() -> None:
    spans = {f"{i:x}": (ROOT, lost("serve", "proxy", Kind.SERVER)) for i in range(1, 10)}
    late = (ROOT, lost("serve", "proxy", Kind.SERVER, 200))
    table = traces({**spans, "a": late})

    entries, set_apart = asked(table, None, known(table))

    assert entries == ["root"] * 10 + ["serve"]
    assert set_apart == SetApart(9, 9, 9, 0)


def test_drawing_a_trace_takes_fragments_for_requests() -> None:
    table = trace(ROOT, lost("find", "gone", Kind.CLIENT))

    found = find_requests(columns(table), RequestOptions(with_fragments=True))

    assert found.entries.tolist() == [0, 1]
    assert found.set_apart == SetApart()


EVENTS = {"http.response.header.content_type": "text/event-stream"}


def stream(span_id: str, parent_id: str | None, end_ns: int = 100, service: str = "chat") -> SpanSpec:
    return span(span_id, parent_id, 0, end_ns, service=service, name="GET /stream", kind=Kind.SERVER, attributes=EVENTS)


def test_streams_are_no_requests_unless_they_are_asked_for() -> None:
    table = trace(ROOT, stream("events", None), span("work", "events", 0, 10))

    everything = find_requests(columns(table), RequestOptions(include_streams=True))

    assert asked(table, None) == (["root"], SetApart(stream_count=1, stream_span_count=2))
    assert everything.entries.tolist() == [0, 1]
    assert everything.set_apart == SetApart()


def test_what_lies_around_a_stream_for_nearly_all_its_time_is_one() -> None:
    gateway = trace(span("gate", None, 0, 105, service="edge"), stream("events", "gate"))
    page = trace(span("page", None, 0, 200, service="edge"), stream("events", "page"))

    assert asked(gateway, None) == ([], SetApart(stream_count=1, stream_span_count=2))
    assert asked(page, None) == (["page"], SetApart())
    assert asked(page, "chat") == ([], SetApart(stream_count=1, stream_span_count=1))


def test_requests_of_operations_are_left_out_by_name() -> None:
    table = trace(ROOT, at("poll", None, "chat"), at("below", "poll", "chat"), at("poll2", None, "chat"))

    for text in ("poll", "chat:poll"):
        found = find_requests(columns(table), RequestOptions(without_operations=(text,)))
        assert found.entries.tolist() == [0, 3]
        assert found.set_apart == SetApart(excluded_count=1, excluded_span_count=2)


@given(tables())
def test_every_span_of_the_service_belongs_to_a_request_or_to_a_fragment(table: Traces) -> None:
    for service in table.services:
        found = found_in(table, RequestOptions(service), known(table))
        mine = [row for row in range(table.span_count) if table.span(row).service == service]
        assert all(found.entry[row] in found.entries for row in mine if found.entry[row] >= 0)
        assert sum(found.entry[row] < 0 for row in mine) <= found.set_apart.fragment_span_count


@given(tables())
def test_every_span_is_in_a_request_or_in_a_fragment(table: Traces) -> None:
    found = found_in(table, RequestOptions(without_operations=("put",)), known(table))
    roots = np.flatnonzero(columns(table).parents < 0)

    assert np.count_nonzero(found.entry >= 0) + found.set_apart.span_count == table.span_count
    assert found.set_apart.fragment_count <= len(set(table.missing_parents.values())) * len(table)
    assert found.set_apart.incomplete_count <= found.set_apart.fragment_trace_count
    if not table.missing_parents:
        assert found.entries.size + found.set_apart.excluded_count == roots.size


@given(tables())
def test_requests_are_the_same_trace_by_trace(table: Traces) -> None:
    lineage = known(table)
    for service in (None, *table.services):
        parts = [asked(part, service, lineage) for part in table]
        entries, set_apart = asked(table, service, lineage)
        assert entries == [span_id for ids, _ in parts for span_id in ids]
        assert set_apart == sum((apart for _, apart in parts), SetApart())


SECOND = 10**9
CHAT = Path(__file__).parents[2] / "fixtures/chat.json"


def streams(table: Traces) -> list[str]:
    return [table.span_ids[row] for row in find_streams(columns(table)).nonzero()[0].tolist()]


def served(name: str = "GET /stream", length_ns: int = 600 * SECOND, kind: Kind = Kind.SERVER) -> SpanSpec:
    return span("entry", None, 0, length_ns, name=name, kind=kind)


def sent(count: int, every_ns: int, name: str = "GET /stream http send", **options: object) -> list[SpanSpec]:
    return [
        span(f"s{i}", "entry", i * every_ns, i * every_ns + 1000, name=name, **{"kind": Kind.INTERNAL, **options})  # type: ignore[arg-type]
        for i in range(count)
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.response.header.content_type": "text/event-stream"},
        {"http.response.header.content-type": ["text/event-stream; charset=utf-8"]},
        {"http.request.header.upgrade": "websocket"},
        {"rpc.type": "BIDI_STREAMING", "rpc.system": "grpc"},
    ],
)
def test_attributes_tell_a_stream(attributes: Attributes) -> None:
    one = span("one", None, 0, SECOND, name="GET /stream", kind=Kind.SERVER, attributes=attributes)
    other = span("other", None, 0, SECOND, name="GET /page", kind=Kind.SERVER, attributes={"http.route": "/page"})

    assert streams(trace(one, other)) == ["one"]


def test_an_answer_that_comes_in_pieces_is_an_answer() -> None:
    attributes = {"http.response.header.content_type": "text/event-stream"}
    answer = span("answer", None, 0, SECOND, name="POST /chat/completions", kind=Kind.SERVER, attributes=attributes)

    assert streams(trace(answer)) == []


def test_messages_of_a_websocket_tell_it() -> None:
    message = span("in", "entry", 10, 20, name="GET /ws websocket receive", kind=Kind.INTERNAL)

    assert streams(trace(served(length_ns=100), message)) == ["entry"]


def test_messages_sent_with_long_pauses_and_nothing_else_tell_a_stream() -> None:
    assert streams(trace(served(), *sent(40, 15 * SECOND))) == ["entry"]


@pytest.mark.parametrize(
    ("entry", "below"),
    [
        (served(length_ns=LIFETIME_NS - 1), sent(20, SECOND)),
        (served(), sent(4, 100 * SECOND)),
        (served(), sent(500, SECOND // 2)),
        (served(), [*sent(40, 15 * SECOND), span("query", "entry", 0, 60 * SECOND, name="SELECT")]),
        (served(), sent(40, 15 * SECOND, name="load page")),
        (served(), sent(40, 15 * SECOND, name="orders send", kind=Kind.PRODUCER)),
        (served(), sent(40, 15 * SECOND, name="mail.send", peer=Peer("host", "mail", ""))),
        (served(name="nightly", kind=Kind.INTERNAL), sent(40, 15 * SECOND)),
        (served(), []),
    ],
    ids=["short", "few", "quick", "busy", "other names", "published", "sent elsewhere", "job", "merely slow"],
)
def test_a_slow_request_is_no_stream(entry: SpanSpec, below: list[SpanSpec]) -> None:
    assert streams(trace(entry, *below)) == []


def test_no_request_of_the_recorded_product_is_a_stream() -> None:
    assert streams(load(CHAT)) == []
