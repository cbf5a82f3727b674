from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests import builders
from traceq.catalog import TraceSummary, Window
from traceq.query import TraceQuery
from traceq.sources.interface import Found, FoundSummaries
from traceq.sources.slowest import find_slowest, slowest_responses
from traceq.traces import TraceWarning
from traceq.where import parse_where

MS = 1_000_000
WINDOW = Window(0, 10_000_000 * MS)
EVERYTHING = "exact: every trace of the window was seen"
UNSEEN = (
    "not exact: every trace with {} of at least {} was seen, {} traces in all; others may last longer than each of "
    "their spans, as where a message waited"
)
"""Where no start is given, so that there is no end to looking."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A trace on the server: when it started, how long it lasts, and how long its longest matching span does."""

    start_ns: int
    duration_ns: int
    span_ns: int


@dataclass(slots=True)
class Server:
    """Answers searches as Jaeger does: the newest traces that have a span long enough."""

    traces: list[Kept]
    asked: list[int | None] = field(default_factory=list)
    """The minimum durations of all requests."""

    def search(self, query: TraceQuery) -> FoundSummaries:
        self.asked.append(query.min_duration_ns)
        fitting = [
            (number, trace)
            for number, trace in enumerate(self.traces)
            if trace.span_ns >= (query.min_duration_ns or 0)
            and trace.span_ns <= (query.max_duration_ns or trace.span_ns)
            and trace.start_ns in query.window
        ]
        newest = sorted(fitting, key=lambda pair: -pair[1].start_ns)[: query.limit]
        return FoundSummaries(
            tuple(summary(number, trace) for number, trace in newest),
            is_cut_off=query.limit is not None and len(newest) >= query.limit,
        )


def summary(number: int, trace: Kept) -> TraceSummary:
    return TraceSummary(f"{number + 1:032x}", "web", "GET /", trace.start_ns, trace.duration_ns, 1, 0, 0, ())


def lasting(*durations_ms: int) -> list[Kept]:
    """Make traces of one span, each newer than the one before."""
    return [Kept(start * MS, ms * MS, ms * MS) for start, ms in enumerate(durations_ms)]


def durations_ms(found: FoundSummaries) -> list[int]:
    return [trace.duration_ns // MS for trace in found.summaries]


def test_a_window_that_fits_is_searched_once() -> None:
    server = Server(lasting(5, 900, 20))

    found = find_slowest(server.search, TraceQuery(limit=10), 2)

    assert durations_ms(found) == [900, 20]
    assert (found.is_cut_off, found.notes) == (False, (EVERYTHING,))
    assert server.asked == [None]


def test_an_unlimited_source_is_asked_once() -> None:
    server = Server(lasting(5, 900, 20))

    assert durations_ms(find_slowest(server.search, TraceQuery(), 9)) == [900, 20, 5]


def test_slow_traces_older_than_the_limit_reaches_are_found() -> None:
    server = Server(lasting(900, 800, *range(1, 200)))

    found = find_slowest(server.search, TraceQuery(window=WINDOW, limit=20), 3)

    assert durations_ms(found) == [900, 800, 199]
    assert (found.is_cut_off, found.notes) == (False, (EVERYTHING,))
    assert server.asked[:2] == [None, 197 * MS]


def test_a_trace_that_lasts_longer_than_its_spans_is_found_by_looking_at_all() -> None:
    fast = [Kept(number * MS, 5 * MS, 5 * MS) for number in range(400)]
    late_message = Kept(-1 * MS + 20 * MS, 20_000 * MS, 3 * MS)
    server = Server([*fast, *(Kept(number * MS, 990 * MS, 990 * MS) for number in range(8)), late_message])

    found = find_slowest(server.search, TraceQuery(window=WINDOW, limit=20), 5)

    assert durations_ms(found) == [20_000, 990, 990, 990, 990]
    assert (found.is_cut_off, found.notes) == (False, (EVERYTHING,))


def test_what_was_not_looked_at_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceq.sources.slowest.MOST_LOOKED_AT", 100)
    server = Server(lasting(900, 800, *range(1, 2000)))

    found = find_slowest(server.search, TraceQuery(window=Window(0, 2000 * MS), limit=20), 2)

    assert (durations_ms(found), found.is_cut_off) == ([1999, 1998], True)
    [verdict] = found.notes
    assert verdict == (
        "not exact: every trace with a span of at least 2.00 s was seen and every one since 1970-01-01 00:00:01.875, "
        "200 traces in all; others may last longer than each of their spans, as where a message waited"
    )


def test_the_minimum_rises_until_the_answer_fits() -> None:
    server = Server(lasting(*range(1000, 0, -1)))

    found = find_slowest(server.search, TraceQuery(limit=10), 5)

    assert durations_ms(found) == [1000, 999, 998, 997, 996]
    assert found.is_cut_off
    assert found.notes == (UNSEEN.format("a span", "996 ms", 55),)


def test_more_of_one_duration_than_the_limit_holds_are_admitted() -> None:
    server = Server(lasting(*[7] * 50))

    found = find_slowest(server.search, TraceQuery(limit=10), 2)

    assert durations_ms(found) == [7, 7]
    assert found.is_cut_off
    [verdict] = found.notes
    assert verdict == (
        "not exact, slowest of 10 traces seen: the limit cuts off those of at least 7.00 ms, "
        "of at least 7.08 ms there are 0 in all"
    )
    assert server.asked[:3] == [None, 7 * MS, 28 * MS]


def test_slower_traces_behind_many_of_one_duration_are_found() -> None:
    server = Server(lasting(900, 800, *[7] * 50))

    found = find_slowest(server.search, TraceQuery(limit=10), 2)

    assert durations_ms(found) == [900, 800]
    assert (found.is_cut_off, found.notes) == (True, (UNSEEN.format("a span", "28.0 ms", 12),))


def test_too_high_a_minimum_is_lowered_until_enough_come_back() -> None:
    # Newest first: traces that last long although no span of them does, as when queues stand between spans.
    waiting = [Kept((1000 + number) * MS, 500 * MS, 2 * MS) for number in range(20)]
    server = Server([*lasting(*range(1, 101)), *waiting])

    found = find_slowest(server.search, TraceQuery(limit=20), 5)

    assert durations_ms(found) == [500, 500, 500, 500, 500]
    assert found.is_cut_off
    [verdict] = found.notes
    assert verdict == UNSEEN.format("a span", "87.5 ms", 40)
    assert server.asked[:2] == [None, 500 * MS]


def test_the_minimum_stays_below_the_maximum_asked_for() -> None:
    slow_with_short_spans = [Kept(number, 900 * MS, 40 * MS) for number in range(30)]
    server = Server(slow_with_short_spans)

    found = find_slowest(server.search, TraceQuery(limit=10, max_duration_ns=50 * MS), 3)

    assert server.asked == [None, 50 * MS, *server.asked[2:]]
    assert all(minimum is None or minimum <= 50 * MS for minimum in server.asked)
    assert found.is_cut_off


def test_conditions_on_spans_are_named_in_the_verdict() -> None:
    server = Server(lasting(900, 800, *range(1, 200)))

    found = find_slowest(server.search, TraceQuery(service="web", limit=20), 2)

    assert found.notes == (UNSEEN.format("a matching span", "198 ms", 22),)


def test_the_minimum_of_the_query_is_where_the_hunt_begins() -> None:
    server = Server(lasting(*range(1, 100)))

    find_slowest(server.search, TraceQuery(min_duration_ns=50 * MS, limit=10), 1)

    assert server.asked[0] == 50 * MS


def test_what_the_source_notes_is_told_once_and_the_services_are_counted() -> None:
    server = Server(lasting(900, 800, *range(1, 200)))

    def search(query: TraceQuery) -> FoundSummaries:
        return replace(server.search(query), notes=("something strange",), service_count=4)

    found = find_slowest(search, TraceQuery(limit=20), 2)

    assert found.notes == ("something strange", UNSEEN.format("a span", "198 ms", 22))
    assert found.service_count == 4


def test_what_is_strange_is_told_of_the_traces_given_alone_and_once() -> None:
    server = Server(lasting(5, 900, 20, 800))

    def search(query: TraceQuery) -> FoundSummaries:
        found = server.search(query)
        strange = (TraceWarning("orphan", trace.trace_id, "its parent is not there", "1") for trace in found.summaries)
        return replace(found, warnings=tuple(strange))

    found = find_slowest(search, TraceQuery(limit=2), 2)

    assert len(server.asked) > 1
    assert sorted(warning.trace_id for warning in found.warnings) == sorted(each.trace_id for each in found.summaries)


def test_no_trace_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="1 trace or more can be asked for, not 0"):
        find_slowest(Server([]).search, TraceQuery(), 0)


def test_more_than_the_limit_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="11 traces cannot be found with a limit of 10"):
        find_slowest(Server([]).search, TraceQuery(limit=10), 11)


def test_a_cut_off_answer_of_which_too_little_matches_is_admitted() -> None:
    def search(_query: TraceQuery) -> FoundSummaries:
        return FoundSummaries((summary(0, Kept(0, MS, MS)),), is_cut_off=True)

    found = find_slowest(search, TraceQuery(limit=10), 2)

    assert (durations_ms(found), found.is_cut_off) == ([1], True)
    assert found.notes == ("not exact, slowest of 1 trace seen: the limit cuts the answer off",)


def test_the_rounds_end() -> None:
    # Newer ones are faster, and a great many of each duration: twelve leaps do not reach the slowest.
    server = Server(lasting(*[4**magnitude for magnitude in range(14, -1, -1) for _ in range(50)]))

    found = find_slowest(server.search, TraceQuery(limit=10), 5)

    assert len(server.asked) == 12
    assert found.is_cut_off
    assert found.notes == ("not exact, slowest of 110 traces seen: the limit cuts off those of at least 17 m 29 s",)


@given(
    durations=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), max_size=300),
    limit=st.integers(3, 40),
    count=st.integers(1, 3),
    has_start=st.booleans(),
)
def test_an_answer_that_is_called_exact_is(
    durations: list[tuple[int, int]],
    limit: int,
    count: int,
    has_start: bool,  # noqa: FBT001 - drawn
) -> None:
    server = Server([Kept(start * MS, (ms + pause) * MS, ms * MS) for start, (ms, pause) in enumerate(durations)])

    found = find_slowest(server.search, TraceQuery(window=WINDOW if has_start else Window(), limit=limit), count)

    slowest = sorted((ms + pause for ms, pause in durations), reverse=True)[:count]
    assert durations_ms(found) == slowest or found.is_cut_off
    assert not (found.is_cut_off and has_start)
    assert len(found.summaries) == min(count, len(durations))


def responding(*pairs_ms: tuple[int, int]) -> Server:
    """Make a server whose traces hold a response of the first time, and last for the second."""
    return Server([Kept(start * MS, whole * MS, own * MS) for start, (own, whole) in enumerate(pairs_ms)])


def response_search(server: Server) -> Callable[[TraceQuery], FoundSummaries]:
    def search(query: TraceQuery) -> FoundSummaries:
        found = server.search(query)
        kept = {f"{number + 1:032x}": trace for number, trace in enumerate(server.traces)}
        told = tuple(replace(each, response_ns=kept[each.trace_id].span_ns) for each in found.summaries)
        return replace(found, summaries=told)

    return search


LATE_MESSAGES = [(100, 7_200_000), (2_000, 2_000), *[(100, 100)] * 200]


def test_responses_are_compared_and_not_how_long_messages_waited() -> None:
    server = responding(*LATE_MESSAGES)

    found = find_slowest(
        response_search(server), TraceQuery(service="web", window=WINDOW, limit=20), 1, by_response=True
    )

    assert [each.response_ns for each in found.summaries] == [2_000 * MS]
    assert found.notes == ("exact: every trace with a matching span of at least 400 ms was seen",)
    assert (found.is_cut_off, len(server.asked)) == (False, 3)


@pytest.mark.parametrize(
    "condition", [TraceQuery(attributes=(("user", "1"),)), TraceQuery(where=parse_where("operation = inner"))]
)
def test_with_conditions_a_slow_response_need_not_be_the_span_that_meets_them(condition: TraceQuery) -> None:
    server = responding(*LATE_MESSAGES)
    query = dataclasses.replace(condition, service="web", window=WINDOW, limit=20)

    found = find_slowest(response_search(server), query, 1, by_response=True)

    assert found.notes == (EVERYTHING,)


class OneTable:
    """A source of one table, for any question."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.asked: list[TraceQuery] = []

    def find(self, query: TraceQuery, *, with_attributes: bool = True, is_sample: bool = False) -> Found:
        assert (with_attributes, is_sample) == (False, False)
        self.asked.append(query)
        return self.found


@pytest.mark.parametrize(
    ("operation", "responses"),
    [(None, {"t1": 60, "t2": 30, "t3": 0}), ("inner", {"t1": 50, "t2": 0, "t3": 0})],
    ids=["service", "operation"],
)
def test_a_response_is_the_longest_span_that_the_service_did_not_call_itself(
    operation: str | None, responses: dict[str, int]
) -> None:
    table = builders.traces(
        {
            "t1": [
                builders.span("a", None, 0, 60, service="web"),
                builders.span("b", "a", 5, 55, service="web", name="inner"),
                builders.span("c", "b", 900, 1_900, service="mail"),
            ],
            "t2": [builders.span("d", None, 0, 90, service="edge"), builders.span("e", "d", 0, 30, service="web")],
            "t3": [builders.span("f", None, 0, 99, service="edge")],
        }
    )
    source = OneTable(Found(table, notes=("a note",), is_partial=True))

    found = slowest_responses(source, TraceQuery(service="web", operation=operation), 3)  # type: ignore[arg-type]  # all that is asked of it

    assert {each.trace_id: each.response_ns for each in found.summaries} == responses
    assert [each.trace_id for each in found.summaries] == ["t1", "t2", "t3"]
    assert (found.notes, found.is_partial) == (("a note", EVERYTHING), True)


def test_responses_of_no_service_in_particular_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="name one"):
        slowest_responses(OneTable(Found(builders.traces({}))), TraceQuery(), 3)  # type: ignore[arg-type]  # never asked
