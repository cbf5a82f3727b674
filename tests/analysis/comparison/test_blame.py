from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.comparison.called import CallSums, Decomposition, Network

NAMES = ("db", "front", "orders", "users")
FRONT, ORDERS, USERS, DB = 1, 2, 3, 0
KINDS = ((0, -1, FRONT), (1, FRONT, ORDERS), (1, FRONT, USERS), (2, ORDERS, DB))
"""Depth, caller and callee of each kind of call; every service has one operation, of its own number."""
NONE = np.zeros(0, dtype=np.bool_)


def network() -> Network:
    depths, callers, callees = (np.array(column) for column in zip(*KINDS, strict=True))
    calling = np.where(callers < 0, callees, callers)
    return Network(NAMES, ("service",) * 4, depths, callers, callees, calling, callees, np.arange(4), NONE)


def sums(
    calls: tuple[float, ...],
    own: tuple[float, ...],
    errors: tuple[float, ...] = (0, 0, 0, 0),
    gap: tuple[float, ...] = (0, 0, 0, 0),
) -> CallSums:
    """Give the sums a request of front, orders, users and db, each called once a request unless said otherwise."""
    return CallSums(*(np.array([column], dtype=np.float64) for column in (calls, own, gap, errors)))


def caused(before: CallSums, after: CallSums, caller_shares: tuple[float, ...] = (0, 0, 0, 0)) -> Mapping[str, float]:
    divide = Decomposition(network(), np.array(caller_shares), before, after)
    (row,) = divide(before, after).tolist()
    return {name: value for name, value in zip(NAMES, row, strict=True) if abs(value) > 1e-9}


CALM = sums((1, 1, 1, 1), (5, 10, 20, 40))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(CALM, {}, id="nothing changed"),
        pytest.param(sums((1, 1, 1, 1), (5, 17, 20, 40)), {"orders": 7}, id="a callee takes longer itself"),
        pytest.param(
            sums((1, 6, 1, 6), (5, 60, 20, 240)), {"front": 250}, id="a caller makes six calls instead of one"
        ),
        pytest.param(sums((1, 0, 1, 0), (5, 0, 20, 0)), {"front": -50}, id="a caller makes no more calls"),
        pytest.param(sums((1, 1, 1, 3), (5, 10, 20, 120)), {"orders": 80}, id="a callee asks its database more often"),
        pytest.param(
            sums((1, 2, 1, 2), (5, 20, 20, 100)), {"front": 62.5, "db": 7.5}, id="more calls that take longer"
        ),
        pytest.param(
            sums((1, 1.25, 1, 1.25), (5, 12.5, 20, 62.5)),
            {"front": 13.75, "db": 11.25},
            id="hardly more calls that take longer, each with half of what both cause",
        ),
        pytest.param(
            sums((1, 1, 1, 0), (5, 900, 20, 0), (0, 1, 0, 0)), {"orders": 850}, id="a callee that is down is to blame"
        ),
        pytest.param(
            sums((1, 3, 0, 0), (55, 9, 0, 0), (0, 3, 0, 0)),
            {"orders": -11},
            id="so it is for attempts, pauses and other calls that are left out since it is down",
        ),
        pytest.param(
            sums((1, 1, 1, 3), (5, 30, 20, 6), (0, 1, 0, 3)),
            {"db": -14},
            id="what fails since its own callee fails is not to blame",
        ),
    ],
)
def test_a_change_of_the_latency_is_caused_by(after: CallSums, expected: Mapping[str, float]) -> None:
    assert caused(CALM, after) == pytest.approx(expected)


def test_network_time_is_caused_by_the_callee_except_for_the_callers_share() -> None:
    after = sums((1, 1, 1, 1), (5, 10, 20, 40), gap=(0, 8, 0, 0))

    assert caused(CALM, after) == pytest.approx({"orders": 8})
    assert caused(CALM, after, (0, 0.25, 0, 0)) == pytest.approx({"front": 2, "orders": 6})


_AMOUNT = st.floats(0, 100).map(lambda value: round(value, 2))
_SIDES = st.tuples(*[st.tuples(_AMOUNT, _AMOUNT, _AMOUNT, st.floats(0, 1))] * 4)


def _arbitrary(columns: tuple[tuple[float, ...], ...]) -> CallSums:
    """Give sums in which only what is called takes time, called by what is called itself, once by the request."""
    calls, own, gap, failing = (list(column) for column in zip(*columns, strict=True))
    calls[0] = 1
    calls[3] = calls[3] if calls[1] else 0
    made = [float(count > 0) for count in calls]
    return sums(
        tuple(calls),
        tuple(np.multiply(own, made).tolist()),
        tuple(np.multiply(calls, failing).tolist()),
        tuple(np.multiply(gap, made).tolist()),
    )


@given(_SIDES, _SIDES)
def test_what_all_cause_adds_up_to_the_change_and_swapped_sides_mirror_it(
    one: tuple[tuple[float, ...], ...], other: tuple[tuple[float, ...], ...]
) -> None:
    before, after = _arbitrary(one), _arbitrary(other)

    there, back = caused(before, after), caused(after, before)

    change = (after.own_ns + after.gap_ns - before.own_ns - before.gap_ns).sum()
    assert sum(there.values()) == pytest.approx(change, abs=1e-6)
    assert {name: -value for name, value in back.items()} == pytest.approx(dict(there), abs=1e-6)
