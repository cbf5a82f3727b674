from __future__ import annotations

from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, traces
from traceq.analysis.columns import columns
from traceq.analysis.habits import Orders, count_orders
from traceq.learned import Call, Place, Unordered
from traceq.traces import Traces


def place(name: str, number: int = 0) -> Place:
    return Place(Call("app", "root", "app", name, "", ""), number)


def calls(*times: tuple[str, int, int]) -> list[SpanSpec]:
    named = (span(f"{at}", "root", start, end, name=name) for at, (name, start, end) in enumerate(times))
    return [span("root", None, 0, 200), *named]


def test_what_begins_while_another_one_runs_does_not_wait_for_it() -> None:
    found = count_orders(
        columns(
            traces(
                {
                    "a1": calls(("a", 0, 50), ("b", 60, 90), ("a", 95, 99)),
                    "a2": calls(("a", 0, 70), ("b", 60, 90), ("a", 95, 99)),
                    "a3": calls(("a", 0, 64), ("b", 60, 90), ("a", 95, 99)),
                }
            )
        )
    )

    # In the third trace `a` is nearly over: its end may have been recorded late.
    assert found == Orders(
        {
            Unordered(place("a"), place("b")): (3, 1),
            Unordered(place("a"), place("a", 1)): (3, 0),
            Unordered(place("b"), place("a", 1)): (3, 0),
        }
    )
    assert found.unordered() == {Unordered(place("a"), place("b"))}


@given(tables())
def test_counts_of_parts_add_up(found: Traces) -> None:
    assert sum((count_orders(columns(part)) for part in found), Orders()) == count_orders(columns(found))
