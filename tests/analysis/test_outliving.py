from __future__ import annotations

import pytest

from tests.builders import SpanSpec, span, trace, traces
from traceq.analysis.columns import columns
from traceq.analysis.critical_path import find_awaited, find_paths
from traceq.analysis.learning import learn
from traceq.analysis.outliving import Outliving
from traceq.semantics import Kind, Status

MS = 10**6


def of(span_id: str, parent_id: str | None, start_ms: float, end_ms: float, **more: object) -> SpanSpec:
    return span(span_id, parent_id, int(start_ms * MS), int(end_ms * MS), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spans", "awaited"),
    [
        pytest.param([of("a", None, 0, 60), of("b", "a", 5, 55)], [True, True], id="what ends within its caller"),
        pytest.param([of("a", None, 0, 60), of("b", "a", 8, 9008)], [True, False], id="what outlives its caller"),
        pytest.param([of("a", None, 0, 10), of("b", "a", 5, 10.2)], [True, True], id="an end that is told late"),
        pytest.param([of("a", None, 0, 10), of("b", "a", 5, 10.201)], [True, False], id="an end that is later"),
        pytest.param([of("a", None, 0, 60), of("b", "a", 5, 60.6)], [True, True], id="late by a hundredth"),
        pytest.param(
            [of("a", None, 0, 60, service="x"), of("b", "a", 5, 90, service="y")],
            [True, True],
            id="another clock tells nothing",
        ),
        pytest.param(
            [of("a", None, 0, 60, host="h"), of("b", "a", 5, 90, service="y", host="h")],
            [True, False],
            id="two services on one host",
        ),
        pytest.param(
            [of("a", None, 0, 60, kind=Kind.CLIENT), of("b", "a", 5, 67, kind=Kind.SERVER)],
            [True, True],
            id="a server may end after its client has the answer",
        ),
        pytest.param(
            [of("a", None, 0, 60), of("b", "a", 5, 55, follows_from=True)], [True, False], id="what merely follows"
        ),
        pytest.param(
            [of("p", None, 0, 60, kind=Kind.PRODUCER), of("c", "p", 5, 55, kind=Kind.CONSUMER)],
            [True, False],
            id="a message that is handed over",
        ),
    ],
)
def test_who_is_waited_for(spans: list[SpanSpec], awaited: list[bool]) -> None:
    found = find_awaited(columns(trace(*spans)))

    assert found.flags.tolist() == awaited
    assert found.end_ns.tolist() == columns(trace(*spans)).end_ns.tolist()


def get(span_id: str, start_ms: float, end_ms: float, *, failed: bool = False) -> SpanSpec:
    status = Status.ERROR if failed else Status.UNSET
    return of(span_id, "a", start_ms, end_ms, name="get", status=status)


@pytest.mark.parametrize(
    ("spans", "ends_ms"),
    [
        pytest.param(
            [of("a", None, 0, 52), get("b", 1, 51), get("c", 20, 220, failed=True)], [51, 20], id="the second"
        ),
        pytest.param([of("a", None, 0, 52), get("b", 1, 220), get("c", 20, 51)], [20, 51], id="the first, until then"),
        pytest.param(
            [of("a", None, 0, 90), get("b", 1, 50), get("c", 20, 70, failed=True), of("d", "a", 51, 89)],
            [50, 20],
            id="the caller went on to another call",
        ),
        pytest.param(
            [of("a", None, 0, 90), get("b", 1, 50), get("c", 20, 51, failed=True)], [50, 20], id="it was cancelled"
        ),
        pytest.param(
            [of("a", None, 0, 90), get("b", 1, 50), get("c", 20, 85, failed=True)], [50, 85], id="it was waited for"
        ),
        pytest.param(
            [of("a", None, 0, 90), get("b", 1, 50), get("c", 1.5, 51, failed=True)], [50, 51], id="made together"
        ),
        pytest.param(
            [of("a", None, 0, 90), get("b", 1, 50), get("c", 60, 85, failed=True)], [50, 85], id="one after the other"
        ),
    ],
)
def test_until_when_attempts_side_by_side_are_waited_for(spans: list[SpanSpec], ends_ms: list[float]) -> None:
    spans_of = columns(trace(*spans))

    found = find_awaited(spans_of)

    assert found.flags.all()
    assert ((found.end_ns - spans_of.start_ns[0]) / MS)[1:3].tolist() == ends_ms


def many(outlived: int, made: int) -> dict[str, list[SpanSpec]]:
    """Give traces of a call that outlives its caller in some of them."""
    return {
        f"{number:x}": [of("a", None, 0, 60), of("b", "a", 8, 90 if number <= outlived else 50)]
        for number in range(1, made + 1)
    }


@pytest.mark.parametrize(
    ("outlived", "made", "awaited"),
    [
        pytest.param(0, 4, 4, id="never"),
        pytest.param(1, 4, 3, id="once may be anything"),
        pytest.param(2, 4, 0, id="again and again"),
        pytest.param(2, 200, 198, id="in one call of a hundred"),
        pytest.param(3, 200, 0, id="in more than one of a hundred"),
    ],
)
def test_a_call_that_outlives_its_callers_is_never_waited_for(outlived: int, made: int, awaited: int) -> None:
    table = columns(traces(many(outlived, made)))

    found = find_awaited(table)

    assert int(found.flags[table.parents >= 0].sum()) == awaited


def test_failed_calls_prove_nothing() -> None:
    given_up = [of("a", None, 0, 60), of("b", "a", 8, 90, status=Status.ERROR)]
    table = traces({"1": given_up, "2": given_up, "3": [of("a", None, 0, 60), of("b", "a", 8, 50)]})

    assert find_awaited(columns(table)).flags.tolist() == [True, False, True, False, True, True]


def test_the_other_attempt_proves_nothing() -> None:
    hedged = [of("a", None, 0, 52), get("b", 1, 51), get("c", 20, 220)]

    assert find_awaited(columns(traces({"1": hedged, "2": hedged, "3": hedged}))).flags.all()


def test_calls_are_told_apart_by_whose_span_is_below() -> None:
    def called(number: int, callee: str, end_ms: float) -> list[SpanSpec]:
        return [
            of("a", None, 0, 60),
            of("b", "a", 8, end_ms, name="GET", kind=Kind.CLIENT),
            of("c", "b", 9, end_ms - 1, name=callee, service="other", kind=Kind.SERVER),
        ]

    table = columns(
        traces({"1": called(1, "x", 90), "2": called(2, "x", 90), "3": called(3, "x", 50), "4": called(4, "y", 50)})
    )

    assert find_awaited(table).flags.tolist() == [True, False, True] * 3 + [True, True, True]


def test_what_is_learned_adds_up() -> None:
    whole = traces(many(2, 5))

    parts = sum((learn(part).outliving for part in whole), Outliving())

    assert parts == learn(whole).outliving
    assert parts.asynchronous() == learn(whole).learned().asynchronous != frozenset()


@pytest.mark.parametrize(
    ("count", "begins_ms", "held"),
    [
        pytest.param(4, 40, (120, 30, 50), id="seen too seldom to tell"),
        pytest.param(5, 40, (150, 0, 50), id="left running again and again"),
        pytest.param(5, 66, (94, 56, 50), id="all but over each time"),
    ],
)
def test_what_callers_leave_running_covers_nothing(count: int, begins_ms: float, held: tuple[int, int, int]) -> None:
    request = [of("a", None, 0, 200), of("b", "a", 10, 70), of("c", "a", begins_ms, begins_ms + 50, name="next")]
    table = columns(traces({f"{number}": request for number in range(1, count + 1)}))

    own_ms = tuple(own // MS for own in find_paths(table).own_ns[:3].tolist())

    assert own_ms == held


def test_an_orphan_is_a_root_whatever_it_follows_from() -> None:
    table = columns(trace(of("a", "missing", 0, 60, follows_from=True), of("b", "a", 5, 55)))

    assert find_awaited(table).flags.tolist() == [True, True]


@pytest.mark.parametrize(
    ("pause_ms", "is_awaited"),
    [(0, True), (4.2, True), (4.3, False), (-1, False)],
    ids=["now", "soon", "later", "during"],
)
def test_an_operation_may_be_called_both_ways(pause_ms: float, *, is_awaited: bool) -> None:
    """A call of an operation that outlives its caller elsewhere, and after which its caller called something else."""
    table = {**many(2, 2), "both": [of("a", None, 0, 200), of("b", "a", 8, 50)]}
    table["both"].append(of("c", "a", 50 + pause_ms, 90, name="next"))

    assert find_awaited(columns(traces(table))).flags.tolist()[4:] == [True, is_awaited, True]
