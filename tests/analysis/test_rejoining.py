from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, traces
from traceq.analysis import learning
from traceq.analysis.columns import Columns, columns
from traceq.analysis.grouping import find_roots
from traceq.analysis.learning import find_fragments, learn_lineage, number_operations, rejoin
from traceq.assembly import find_rings
from traceq.learned import NOTHING_KNOWN, Lineage
from traceq.semantics import Kind
from traceq.traces import Traces

EDGE = span("edge", None, 0, 100, service="edge", kind=Kind.SERVER)
CALL = span("call", "edge", 10, 90, service="edge", kind=Kind.CLIENT)
CHAT = span("chat", "call", 20, 80, service="chat", kind=Kind.SERVER)
FIND = span("find", "chat", 30, 50, service="chat", kind=Kind.CLIENT)
SAVE = span("save", "chat", 50, 70, service="chat", kind=Kind.CLIENT)
WHOLE = (EDGE, CALL, CHAT, FIND, SAVE)


def put(*damaged: SpanSpec, whole: tuple[SpanSpec, ...] = WHOLE) -> dict[str, str | None]:
    """Give for each span of a trace the parent it is put under, after another trace was seen whole."""
    table = traces({"d": damaged, "e": whole})
    spans = columns(table)
    joined = rejoin(spans, find_fragments(spans), learn_lineage(columns(table)))
    parents = joined.parents.tolist()
    return {table.span_ids[row]: table.span_ids[parents[row]] if parents[row] >= 0 else None for row in table.rows(0)}


def test_fragments_go_below_the_nearest_span_that_stands_above_the_missing_one() -> None:
    assert put(EDGE, CALL, FIND, SAVE) == {"edge": None, "call": "edge", "find": "call", "save": "call"}


def test_several_missing_spans_in_a_row_are_bridged() -> None:
    assert put(EDGE, FIND) == {"edge": None, "find": "edge"}


def test_of_several_calls_that_last_long_enough_the_shortest_takes_it() -> None:
    other = span("other", "edge", 25, 60, service="edge", name="call", kind=Kind.CLIENT)
    ended = span("ended", "edge", 25, 45, service="edge", name="call", kind=Kind.CLIENT)

    assert put(EDGE, CALL, other, ended, FIND)["find"] == "other"


def test_what_hangs_on_one_missing_parent_stays_together() -> None:
    """Alone, `find` would go below `early`, which ends before `save` does."""
    early = span("early", "edge", 25, 55, service="edge", name="call", kind=Kind.CLIENT)

    assert put(EDGE, CALL, early, FIND, SAVE) == {
        "edge": None,
        "call": "edge",
        "early": "edge",
        "find": "call",
        "save": "call",
    }


def test_what_outlives_everything_above_it_stays_apart() -> None:
    assert put(EDGE, CALL, span("find", "chat", 30, 101, service="chat", kind=Kind.CLIENT))["find"] is None


def test_a_lost_root_leaves_its_children_apart() -> None:
    assert put(CALL, CHAT, FIND, SAVE) == {"call": None, "chat": "call", "find": "chat", "save": "chat"}


def test_nothing_is_put_below_an_operation_that_was_never_seen_above() -> None:
    assert put(span("cron", None, 0, 100), FIND)["find"] is None


def test_of_many_calls_only_the_last_started_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_LAST_STARTED", 1)
    monkeypatch.setattr(learning, "_AT_ONCE", 1)
    later = span("later", "edge", 29, 49, service="edge", name="call", kind=Kind.CLIENT)

    assert put(EDGE, CALL, FIND)["find"] == "call"
    assert put(EDGE, CALL, later, FIND)["find"] == "edge"  # `later` has ended, and `call` is no longer looked at


def test_fragments_are_counted_by_the_parent_that_they_miss() -> None:
    table = traces({"d": (EDGE, FIND, SAVE), "e": (SAVE,)})

    fragments = find_fragments(columns(table))

    assert fragments.count == 2
    assert fragments.rows.tolist() == [1, 2, 3]
    assert fragments.number.tolist() == [0, 0, 1]


def obviously(spans: Columns, lineage: Lineage) -> list[int]:
    """Rejoin as the definition says it, one fragment after the other."""
    table = spans.traces
    operations, numbers = number_operations(spans, np.arange(table.span_count))
    roots = find_roots(spans.parents)
    by_parent: dict[tuple[int, str], list[int]] = {}
    for row in sorted(table.missing_parents):
        by_parent.setdefault((table.trace_of(row), table.missing_parents[row]), []).append(row)
    tops = list(by_parent.values())
    chosen = []
    for (trace, _), rows in by_parent.items():
        above = lineage.above([operations[numbers[row]] for row in rows])
        first, last = min(spans.start_ns[rows]), max(spans.end_ns[rows])
        candidates = [
            (spans.duration_ns[row], -spans.start_ns[row], row)
            for row in table.rows(trace)
            if operations[numbers[row]] in above
            and roots[row] not in rows
            and spans.start_ns[row] <= first
            and spans.end_ns[row] >= last
        ]
        chosen.append(min(candidates)[-1] if candidates else -1)
    lies_in = [next((at for at, rows in enumerate(tops) if row >= 0 and roots[row] in rows), -1) for row in chosen]
    for ring in find_rings(lies_in):
        for at in ring:
            chosen[at] = -1
    parents: list[int] = spans.parents.tolist()
    for rows, row in zip(tops, chosen, strict=True):
        for top in rows:
            parents[top] = row
    return parents


@given(tables())
def test_rejoins_as_the_definition_says(table: Traces) -> None:
    spans, lineage = columns(table), learn_lineage(columns(table))

    joined = rejoin(spans, find_fragments(spans), lineage)

    assert joined.parents.tolist() == obviously(spans, lineage)
    assert not find_rings(joined.parents.tolist())
    assert np.array_equal(joined.rejoined, joined.parents != spans.parents)


@given(tables())
def test_where_nothing_is_known_or_nothing_is_missing_nothing_moves(table: Traces) -> None:
    spans = columns(table)

    assert rejoin(spans, find_fragments(spans), NOTHING_KNOWN).parents.tolist() == spans.parents.tolist()
    if not table.missing_parents:
        assert rejoin(spans, find_fragments(spans), learn_lineage(columns(table))) is spans
