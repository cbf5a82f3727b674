from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, trace, traces
from traceq.analysis.clocks import clock_codes
from traceq.analysis.columns import columns
from traceq.analysis.critical_path import find_paths
from traceq.analysis.grouping import depths
from traceq.analysis.learning import LearnedSums, corrected, find_skew, learn
from traceq.analysis.outliving import is_told_free
from traceq.semantics import Kind, Status
from traceq.traces import Traces


def client(span_id: str, parent_id: str | None, start_ns: int, end_ns: int, service: str = "a") -> SpanSpec:
    return span(span_id, parent_id, start_ns, end_ns, kind=Kind.CLIENT, service=service, host=f"host-{service}")


def server(span_id: str, parent_id: str | None, start_ns: int, end_ns: int, service: str = "b") -> SpanSpec:
    return span(span_id, parent_id, start_ns, end_ns, kind=Kind.SERVER, service=service, host=f"host-{service}")


@pytest.mark.parametrize(
    ("spans", "shifts"),
    [
        pytest.param([client("c", None, 0, 10), server("s", "c", 2, 8)], [0, 0], id="a server that fits stays"),
        pytest.param([client("c", None, 0, 10), server("s", "c", -40, -34)], [0, 42], id="early: centred"),
        pytest.param([client("c", None, 0, 10), server("s", "c", 40, 46)], [0, -38], id="late: centred"),
        pytest.param([client("c", None, 0, 10), server("s", "c", 3, 30)], [0, 0], id="longer and late: asynchronous"),
        pytest.param([client("c", None, 0, 10), server("s", "c", -3, 30)], [0, 3], id="longer and early: least shift"),
        pytest.param(
            [
                client("c", None, 0, 10),
                server("s", "c", -40, -34),
                span("i", "s", -39, -36, service="b", host="host-b"),
            ],
            [0, 42, 42],
            id="what is below on the same clock moves along",
        ),
        pytest.param(
            [
                client("c", None, 0, 20),
                server("s", "c", -40, -24),
                client("d", "s", -38, -28, service="b"),
                server("t", "d", 6, 12, service="z"),
            ],
            [0, 42, 42, 0],
            id="what is below on a right clock stays",
        ),
        pytest.param(
            [span("c", None, 0, 10, kind=Kind.CLIENT), span("s", "c", -40, -34, kind=Kind.SERVER)],
            [0, 0],
            id="one service without hosts has one clock",
        ),
        pytest.param(
            [
                span("c", None, 0, 10, kind=Kind.CLIENT, service="a", host="h"),
                span("s", "c", -40, -34, kind=Kind.SERVER, service="b", host="h"),
            ],
            [0, 0],
            id="two services on one host have one clock",
        ),
        pytest.param(
            [
                span("p", None, 0, 10, kind=Kind.PRODUCER, service="a"),
                span("k", "p", -5, 30, kind=Kind.CONSUMER, service="b"),
            ],
            [0, 0],
            id="a consumer may ask before there is a message",
        ),
        pytest.param(
            [
                span("p", None, 0, 10, kind=Kind.PRODUCER, service="a"),
                span("k", "p", 50, 80, kind=Kind.CONSUMER, service="b"),
            ],
            [0, 0],
            id="a consumer long after its producer is just late",
        ),
    ],
)
def test_the_shifts_of_a_hand_drawn_trace(spans: list[SpanSpec], shifts: list[int]) -> None:
    skew = find_skew(columns(trace(*spans)))

    assert skew.shift_ns.tolist() == shifts
    assert skew.span_count == sum(shift != 0 for shift in shifts)
    assert skew.largest_ns == max(abs(shift) for shift in shifts)


@pytest.mark.parametrize(
    ("spans", "shift"),
    [
        pytest.param(
            [
                span("r", None, 0, 110, service="a", host="ha"),
                span("c", "r", 5, 105, kind=Kind.CLIENT, service="a", host="ha", status=Status.ERROR),
                server("s", "c", 70, 160),
            ],
            0,
            id="a client that gave up",
        ),
        pytest.param(
            [client("c", None, 0, 10), span("s", "c", 50, 55, service="b", host="host-b", follows_from=True)],
            0,
            id="what merely follows",
        ),
    ],
)
def test_what_proves_nothing_moves_nothing(spans: list[SpanSpec], shift: int) -> None:
    assert int(find_skew(columns(trace(*spans))).shift_ns.sum()) == shift


def pair(number: int, server_ns: int, *, length_ns: int = 600) -> list[SpanSpec]:
    """Give a call of 1,000 ns, and its server's span that begins a given number of ns later."""
    return [
        client("c", None, number, number + 1000),
        server("s", "c", number + server_ns, number + server_ns + length_ns),
    ]


def shifts(calls: list[list[SpanSpec]]) -> set[int]:
    table = columns(traces({f"{number:x}": spans for number, spans in enumerate(calls, 1)}))
    return set(find_skew(table).shift_ns[table.parents >= 0].tolist())


def test_one_service_has_one_clock_where_only_one_of_two_spans_names_its_host() -> None:
    spans = columns(trace(span("c", None, 0, 10, host="h"), span("s", "c", 2, 8)))

    callers, callees = clock_codes(spans, np.array([0]), np.array([1]))

    assert callers.tolist() == callees.tolist()


def test_one_offset_has_to_explain_all_calls_of_two_clocks() -> None:
    # Bounds on how far the server's clock is ahead: 5,000 to 5,400, 4,900 to 5,300 and 4,700 to 5,100; 5,050 is left.
    assert shifts([pair(0, 5_400), pair(7, 5_300), pair(20, 5_100)]) == {-5_050}


def test_a_late_end_among_calls_that_fit_is_no_proof() -> None:
    assert shifts([pair(0, 100), pair(0, 200), pair(0, 700), pair(0, 300)]) == {0}


def test_a_handful_of_late_ends_is_no_proof_and_more_are() -> None:
    late = [pair(0, 600), pair(7, 700), pair(20, 650), pair(30, 600)]

    assert shifts(late) == {0}
    assert shifts([*late, pair(40, 700)]) == {-450}


def test_a_call_that_begins_after_its_caller_ended_is_a_proof() -> None:
    assert shifts([pair(0, 1_000), pair(7, 900)]) == {-750}
    assert shifts([pair(0, 999), pair(7, 900)]) == {0}


def test_calls_in_both_directions_bound_an_offset() -> None:
    calls = [
        [client("c", None, 0, 100), server("s", "c", 1_010, 1_090)],
        [client("c", None, 1_000, 1_100, service="b"), server("s", "c", 10, 70, service="a")],
    ]
    table = columns(traces({"1": calls[0], "2": calls[1]}))

    # From 990 to 1,010 one way, from 990 to 1,030 the other way.
    assert find_skew(table).shift_ns.tolist() == [0, -1_000, 0, 1_000]


def test_a_clock_that_drifts_is_followed() -> None:
    second = 10**9
    calls = [pair(number * second, 100_000 * number + 200) for number in range(40)]
    table = columns(traces({f"{number:x}": spans for number, spans in enumerate(calls, 1)}))

    spans, _ = corrected(table)

    begins = (spans.start_ns - spans.start_ns[spans.parents])[spans.parents >= 0]
    assert ((begins >= 0) & (begins <= 400)).all()


def test_clocks_are_compared_over_others() -> None:
    """The host of `c` is never called from the root's, and runs with the wrong clock of the one that calls it."""
    spans = [
        client("1", None, 0, 1000),
        server("2", "1", 5_100, 5_900),
        client("3", "2", 5_200, 5_800, service="b"),
        server("4", "3", 5_300, 5_700, service="c"),
        client("5", "1", 10, 990),
    ]
    assert find_skew(columns(trace(*spans))).shift_ns.tolist() == [0, -5_000, -5_000, -5_000, 0]


@given(tables(), st.data())
def test_where_clocks_are_right_nothing_moves(drawn: Traces, data: st.DataObject) -> None:
    """Children are put within their parents; only what gave up, was handed over or follows may lie elsewhere."""
    starts, ends = (
        list(drawn.start_ns),
        [start + length for start, length in zip(drawn.start_ns, drawn.duration_ns, strict=True)],
    )
    raw = columns(drawn)
    free = is_told_free(raw)
    for row in np.argsort(depths(raw.parents), kind="stable").tolist():
        parent = raw.parents[row]
        if parent >= 0 and not free[row]:
            starts[row] = min(max(starts[row], starts[parent]), ends[parent])
            ends[row] = min(max(ends[row], starts[row]), ends[parent])
    lengths = array("q", (end - start for start, end in zip(starts, ends, strict=True)))
    table = columns(replace(drawn, start_ns=array("q", starts), duration_ns=lengths))

    assert not find_skew(table).shift_ns.any()


@given(tables())
def test_durations_and_roots_never_move(traces: Traces) -> None:
    before = columns(traces)
    after, _ = corrected(before)

    assert after.duration_ns.tolist() == before.duration_ns.tolist()
    roots = [row for row in range(traces.span_count) if traces.parents[row] < 0 and row not in traces.missing_parents]
    assert after.start_ns[roots].tolist() == before.start_ns[roots].tolist()


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 10**9)), min_size=1, max_size=20),
    st.integers(1_000, 10**6) | st.integers(-(10**6), -1_000),
)
def test_a_clock_that_is_set_wrong_changes_no_share(calls: list[tuple[int, int]], ahead_ns: int) -> None:
    """By more than calls take: a smaller error may look like servers that end late."""

    def table(ahead_ns: int) -> Traces:
        made = enumerate(calls, 1)
        return traces({f"{number:x}": nested(start_ns, delay_ns, ahead_ns) for number, (delay_ns, start_ns) in made})

    right, wrong = (find_paths(corrected(columns(table(each)))[0]) for each in (0, ahead_ns))

    assert wrong.own_ns.tolist() == right.own_ns.tolist()


def nested(start_ns: int, delay_ns: int, ahead_ns: int) -> list[SpanSpec]:
    """Give a request with a call and what its server does, by a clock that is so much ahead."""
    begun = start_ns + delay_ns + ahead_ns
    return [
        span("r", None, start_ns, start_ns + 1_200, kind=Kind.SERVER, service="a", host="host-a"),
        client("c", "r", start_ns + 100, start_ns + 1_100),
        server("s", "c", begun + 100, begun + 700),
        client("q", "s", begun + 200, begun + 500, service="b"),
    ]


@given(tables())
def test_the_order_of_traces_makes_no_difference(drawn: Traces) -> None:
    back = list(range(len(drawn)))[::-1]

    assert learn(drawn).learned() == learn(drawn.select(back)).learned()
    assert sum((learn(part) for part in drawn), LearnedSums()).learned() == learn(drawn).learned()


@given(tables())
def test_correcting_twice_changes_nothing(traces: Traces) -> None:
    once, _ = corrected(columns(traces))

    assert find_skew(once).shift_ns.any() == False  # noqa: E712 - a numpy bool


def test_raw_clocks_are_shown_when_asked_for() -> None:
    spans = columns(trace(client("c", None, 0, 10), server("s", "c", -40, -34)))

    raw, skew = corrected(spans, correct_skew=False)

    assert raw.start_ns is spans.start_ns
    assert skew.span_count == 0
