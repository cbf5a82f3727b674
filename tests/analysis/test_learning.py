from __future__ import annotations

from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import span, traces
from traceq.analysis.columns import columns
from traceq.analysis.learning import learn_lineage
from traceq.learned import NOTHING_KNOWN, Lineage, Operation
from traceq.semantics import Kind
from traceq.traces import Traces

EDGE = span("edge", None, 0, 100, service="edge", kind=Kind.SERVER)
CALL = span("call", "edge", 10, 90, service="edge", kind=Kind.CLIENT)
CHAT = span("chat", "call", 20, 80, service="chat", kind=Kind.SERVER)
FIND = span("find", "chat", 30, 70, service="chat", kind=Kind.CLIENT)
ORPHAN = span("find", "lost", 30, 70, service="chat", kind=Kind.CLIENT)


def known(table: Traces) -> Lineage:
    return learn_lineage(columns(table))


def operation(service: str, name: str, kind: Kind) -> Operation:
    return Operation(service, name, int(kind))


def test_calls_are_counted_by_parent_and_child_and_orphans_apart() -> None:
    seen = known(traces({"1": (EDGE, CALL, CHAT, FIND), "2": (EDGE, CALL), "3": (ORPHAN,)}))

    edge, call = operation("edge", "edge", Kind.SERVER), operation("edge", "call", Kind.CLIENT)
    chat, find = operation("chat", "chat", Kind.SERVER), operation("chat", "find", Kind.CLIENT)
    assert seen.calls == {(edge, call): 2, (call, chat): 1, (chat, find): 1}
    assert seen.orphans == {find: 1}


def test_above_a_missing_parent_stands_what_has_been_seen_above_such_parents() -> None:
    seen = known(traces({"1": (EDGE, CALL, CHAT, FIND)}))

    above = seen.above([operation("chat", "find", Kind.CLIENT)])

    assert above == {operation("edge", "edge", Kind.SERVER), operation("edge", "call", Kind.CLIENT)}


def test_children_of_one_parent_tell_it_together() -> None:
    """`find` alone is called by `chat` and by `cron`; with `save` beside it only `chat` can be missing."""
    save = span("save", "chat", 30, 70, service="chat", kind=Kind.CLIENT)
    cron = span("cron", None, 0, 100, service="cron")
    job = span("job", "cron", 0, 100, service="cron")
    other = span("find", "job", 30, 70, service="chat", kind=Kind.CLIENT)
    seen = known(traces({"1": (EDGE, CALL, CHAT, FIND, save), "2": (cron, job, other)}))

    find, saved = operation("chat", "find", Kind.CLIENT), operation("chat", "save", Kind.CLIENT)

    assert operation("cron", "cron", Kind.INTERNAL) in seen.above([find])
    assert operation("cron", "cron", Kind.INTERNAL) not in seen.above([find, saved])


def test_of_what_was_never_seen_nothing_is_known() -> None:
    assert NOTHING_KNOWN.above([operation("chat", "find", Kind.CLIENT)]) == frozenset()


def test_a_call_within_itself_ends() -> None:
    again = (span(f"s{i}", f"s{i - 1}" if i else None, 0, 10, name="walk") for i in range(3))
    walk = operation("app", "walk", Kind.INTERNAL)

    assert known(traces({"1": tuple(again)})).above([walk]) == {walk}


def test_what_is_hardly_ever_seen_below_a_parent_comes_from_outside() -> None:
    find = operation("chat", "find", Kind.CLIENT)

    def seen(orphans: int, children: int) -> Lineage:
        whole = {f"{i:x}": (EDGE, CALL, CHAT, FIND) for i in range(1, children + 1)}
        return known(traces({**whole, **{f"f{i:x}": (ORPHAN,) for i in range(orphans)}}))

    assert seen(orphans=5, children=4).comes_from_outside(find)
    assert not seen(orphans=5, children=5).comes_from_outside(find)
    assert not seen(orphans=4, children=0).comes_from_outside(find)


def test_what_another_service_calls_enters_a_service() -> None:
    seen = known(traces({"1": (EDGE, CALL, CHAT, FIND)}))

    assert seen.is_called_from_elsewhere(operation("chat", "chat", Kind.SERVER))
    assert not seen.is_called_from_elsewhere(operation("chat", "find", Kind.CLIENT))


@given(tables())
def test_what_is_learned_trace_by_trace_adds_up(table: Traces) -> None:
    parts = sum(map(known, table), Lineage())

    assert parts == known(table)
