from __future__ import annotations

from math import floor, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import SpanSpec, span, traces
from traceq.analysis.columns import columns
from traceq.analysis.habits import HabitSums, Met, learn_habits
from traceq.analysis.learning import learn
from traceq.learned import PAUSE_UNIT, Call, Habits, Pauses, PeerCall, Place, Scatter
from traceq.semantics import Attributes, Kind, Status


def peer_call(name: str) -> PeerCall:
    return Call("app", "GET /", "app", name, "", ""), ""


def request(*calls: tuple[str, int, int], failed: str = "") -> list[SpanSpec]:
    """Give a request with calls: names, starts and ends."""
    made = [
        span(
            str(at),
            "0",
            start,
            end,
            service="app",
            name=name,
            kind=Kind.CLIENT,
            status=Status.ERROR if name == failed else Status.UNSET,
        )
        for at, (name, start, end) in enumerate(calls, start=1)
    ]
    return [span("0", None, 0, 100_000, service="app", name="GET /", kind=Kind.SERVER), *made]


def learned(*requests: list[SpanSpec]) -> HabitSums:
    return learn_habits(columns(traces({f"{at:x}": each for at, each in enumerate(requests, start=1)})))


AB = request(("a", 0, 10), ("b", 10, 20))
BA = request(("b", 0, 10), ("a", 12, 20))
BESIDE = request(("a", 0, 10), ("b", 9, 20))


def test_each_two_calls_of_a_span_are_counted_by_their_order() -> None:
    sums = learned(AB, AB, BA, BESIDE)

    assert dict(sums.orders) == {
        (peer_call("a"), peer_call("b")): Met(after=2, beside=1),
        (peer_call("b"), peer_call("a")): Met(after=1),
    }
    assert sums.habits() == Habits()


def test_calls_are_free_when_each_was_first_twice() -> None:
    pair = (peer_call("a"), peer_call("b"))

    assert learned(AB, AB, BA, BA).habits().free == {pair, pair[::-1]}
    assert learned(*[AB] * 19, BA, BA).habits().free == set()
    assert learned(AB, AB, BA, BA, BESIDE).habits().free == set()


def test_queries_of_one_name_are_different_calls_if_they_ask_for_different_things() -> None:
    def ask(*tables: str) -> list[SpanSpec]:
        statements = [f"SELECT {number} FROM {table}" for number, table in enumerate(tables)]  # noqa: S608
        asked: list[Attributes] = [{"db.system": "x", "db.statement": statement} for statement in statements]
        spans = [
            span(str(at), "0", 10 * at, 10 * at + 5, service="app", name="SELECT", kind=Kind.CLIENT, attributes=each)
            for at, each in enumerate(asked, start=1)
        ]
        return [*request(), *spans]

    sums = learned(ask("a", "b"), ask("b", "a"))

    call = peer_call("SELECT")[0]
    pair = ((call, "x select ? from a"), (call, "x select ? from b"))
    assert dict(sums.orders) == {pair: Met(after=1), pair[::-1]: Met(after=1)}


def test_failed_calls_and_calls_made_twice_show_no_order() -> None:
    failed = request(("a", 0, 10), ("b", 10, 20), failed="a")
    twice = request(("a", 0, 10), ("b", 10, 20), ("a", 20, 30))

    assert learned(failed, twice).orders == {}


def test_scatter_is_that_of_all_but_the_longest_side_by_side() -> None:
    sums = learned(request(("a", 0, 1024), ("a", 1, 2049), ("a", 2, 90_000), ("b", 95_000, 96_000)))

    assert sums.scatter == {peer_call("a"): Scatter(2, 10 * 1024 + 11 * 1024, 1024**2 * (10**2 + 11**2))}
    assert sums.scatter[peer_call("a")].variance(2.0, 2) == (0.5 + 4.0) / 4
    assert Scatter().variance(2.0, 2) == 2.0


calls = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(1, 50)).map(
        lambda call: (call[0], call[1], call[1] + call[2])
    ),
    max_size=6,
)


@given(st.lists(calls, min_size=2, max_size=5), st.integers(1, 4))
def test_sums_of_parts_are_the_sum_of_the_whole(drawn: list[list[tuple[str, int, int]]], cut: int) -> None:
    requests = [request(*each) for each in drawn]

    parts = learned(*requests[:cut]) + learned(*requests[cut:]) if cut < len(requests) else learned(*requests)

    assert parts == learned(*requests)


def test_the_statements_of_a_sample_are_those_of_its_own_spans() -> None:
    requests = {
        f"{at:x}": [
            *request(),
            *(
                span(
                    str(number),
                    "0",
                    10 * number,
                    10 * number + 5,
                    service="app",
                    name="SELECT",
                    kind=Kind.CLIENT,
                    attributes={"db.system": "x", "db.statement": table},
                )
                for number, table in enumerate(("users", f"own of {'x' * at}"), start=1)
            ),
        ]
        for at in range(1, 500)
    }

    met = learn(traces(requests), more="habits").habits.orders

    assert 100 < len(met) < 400
    assert all((first[1], second[1][:8]) == ("x users", "x own of") for first, second in met)


def test_pauses_are_counted_by_the_call_after_them_and_the_end() -> None:
    ms = 1_000_000
    page = request(("a", 3 * ms, 10 * ms), ("b", 5 * ms, 12 * ms), ("a", 20 * ms, 30 * ms))
    page[0] = span("0", None, 0, 94 * ms, service="app", name="GET /", kind=Kind.SERVER)

    sums = learned(page, page)

    second, end = Place(peer_call("a")[0], 1), Place(Call("app", "GET /", "", "", "", ""), 0)
    # The logarithms of 8 and 64 ms to base 2 are 22.93 and 25.93; 3 ms are a trifle.
    assert dict(sums.pauses) == {second: Pauses({733: 2}), end: Pauses({829: 2})}


@pytest.mark.parametrize(
    ("sizes_ms", "most_ms"),
    [
        ([55] * 4, 50),
        ([40] * 60, 80),
        # The shorter half does not scatter, so the longer ones are exceptions.
        ([20] * 40 + [60] * 20, 50),
        ([30, 40, 54] * 20, 156),
        ([40, 55], 119),
        ([20, 300], 60),
        ([], 50),
    ],
)
def test_a_pause_is_unusual_above_what_it_scatters(sizes_ms: list[int], most_ms: int) -> None:
    pauses = sum((Pauses({floor(log2(size * 1e6) * PAUSE_UNIT): 1}) for size in sizes_ms), Pauses())

    assert pauses.unusual_ns(50_000_000) / 1e6 == pytest.approx(most_ms, rel=0.03)
