from __future__ import annotations

from array import array
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from tests.analysis.arbitrary import tables
from tests.builders import EPOCH_NS, SpanSpec, span, traces
from tests.laws import examples
from traceq.analysis.columns import columns
from traceq.analysis.critical_path import find_paths
from traceq.analysis.grouping import find_roots
from traceq.analysis.learning import LearnedSums, learn
from traceq.analysis.ticks import count_ticks, place_in_ticks
from traceq.learned import Event, EventKind, Gap, GapSum, Learned, Ticks
from traceq.semantics import Kind
from traceq.traces import Traces

US = 1_000
MS = 1_000_000
_TRUE_US = {"r": 2_700, "a": 400, "b": 1_200}
"""How long the spans of `request` hold it."""


def request(start_us: int, tick_ns: int = MS) -> list[SpanSpec]:
    """Give a request of 4.3 ms with two queries in turn, recorded by a clock with this tick."""

    def recorded(span_id: str, parent: str | None, first_us: int, last_us: int, kind: Kind) -> SpanSpec:
        low, high = ((start_us + time_us) * US // tick_ns * tick_ns for time_us in (first_us, last_us))
        return span(span_id, parent, low, high, service="shop", kind=kind)

    return [
        recorded("r", None, 0, 4_300, Kind.SERVER),
        recorded("a", "r", 300, 700, Kind.CLIENT),
        recorded("b", "r", 800, 2_000, Kind.CLIENT),
    ]


def requests(count: int, tick_ns: int = MS) -> Traces:
    random = Random(3)  # noqa: S311  the same every time is the point
    return traces(
        {f"{number:x}": request(1_000_000 * number + random.randrange(1_000), tick_ns) for number in range(1, count)}
    )


def mean_error_us(table: Traces, learned: Learned) -> float:
    own_ns = find_paths(replace(columns(table), learned=learned)).own_ns
    true_ns = np.array([_TRUE_US[span_id] * US for span_id in table.span_ids])
    return float(np.abs(own_ns - true_ns).mean()) / US


def test_times_within_ticks_are_estimated_from_what_such_gaps_usually_are() -> None:
    table = requests(60)
    learned = learn(table).learned()

    assert learned.ticks.tick_ns == {"shop": MS}
    first = Gap("shop", "r", Event("shop", "r", EventKind.STARTS), Event("shop", "a", EventKind.CHILD_STARTS))
    # 59 gaps of 0.3 ms are 17.7 ms: so many of them, about, cross from one tick into the next.
    assert learned.ticks.gaps[first] == GapSum(59, 18 * MS, 41)
    assert mean_error_us(table, structs.replace(learned, ticks=Ticks())) > 540
    assert mean_error_us(table, learned) < 350


def test_a_fine_clock_leaves_nothing_to_estimate() -> None:
    table = requests(60, tick_ns=US)

    assert learn(table).learned().ticks == Ticks()
    assert mean_error_us(table, learn(table).learned()) == 0
    assert count_ticks(columns(table)).gaps == {}


def test_one_fine_time_shows_that_a_clock_is_fine() -> None:
    fine = traces({"f": [span("r", None, 0, 1_234_567, service="shop")]})

    assert (learn(requests(60)) + learn(fine)).learned().ticks == Ticks()


def test_round_times_alone_are_no_coarse_clock() -> None:
    table = traces(
        {
            f"{number:x}": [
                span("r", None, number * 100 * MS, (number * 100 + 60) * MS, service="shop"),
                span("a", "r", (number * 100 + 5) * MS, (number * 100 + 20 + number % 7) * MS, service="shop"),
                span("b", "r", (number * 100 + 20 + number % 7) * MS, (number * 100 + 60) * MS, service="shop"),
            ]
            for number in range(1, 100)
        }
    )

    assert learn(table).learned().ticks == Ticks()


def coarse(table: Traces) -> Traces:
    """Give the same table, by a clock that ticks in milliseconds: a few of them in all."""
    ticks = [(time_ns - EPOCH_NS) % 9 for time_ns in table.start_ns]
    lengths = [time_ns % 5 for time_ns in table.duration_ns]
    return structs.replace(
        table,
        start_ns=array("q", (EPOCH_NS + tick * MS for tick in ticks)),
        duration_ns=array("q", (length * MS for length in lengths)),
    )


@given(tables().map(coarse))
@examples(0.5)
def test_what_slices_show_adds_up(table: Traces) -> None:
    assert sum((learn(part) for part in table), LearnedSums()).ticks == learn(table).ticks


@given(tables().map(coarse), st.sets(st.sampled_from("abc")))
def test_events_stay_within_their_ticks_and_paths_add_up(table: Traces, services: set[str]) -> None:
    gaps = learn(table).ticks.gaps
    ticks = Ticks(dict.fromkeys(services, MS), gaps)
    spans = replace(columns(table), learned=Learned(ticks=ticks))

    start_ns, end_ns = place_in_ticks(spans, spans.end_ns, ticks)

    roots = find_roots(spans.parents)
    is_root = spans.parents < 0
    assert start_ns[is_root].tolist() == spans.start_ns[is_root].tolist()
    assert end_ns[is_root].tolist() == spans.end_ns[is_root].tolist()
    for placed, recorded in ((start_ns, spans.start_ns), (end_ns, spans.end_ns)):
        assert (np.abs(placed - recorded)[~is_root] <= MS).all()
    held = np.zeros(roots.size, dtype=np.int64)
    np.add.at(held, roots, find_paths(spans).own_ns)
    assert held[is_root].tolist() == spans.duration_ns[is_root].tolist()


@given(tables().map(coarse))
@examples(0.5)
def test_parts_of_a_table_are_estimated_as_the_whole(table: Traces) -> None:
    learned = Learned(ticks=Ticks(dict.fromkeys("abc", MS), learn(table).ticks.gaps))
    whole = place_in_ticks(columns(table), columns(table).end_ns, learned.ticks)
    parts = [place_in_ticks(columns(part), columns(part).end_ns, learned.ticks) for part in table]

    for number in range(2):
        assert [time for part in parts for time in part[number].tolist()] == whole[number].tolist()
