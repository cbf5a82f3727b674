"""Who is affected when something fails, and in how many traces."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct, field

from traceq.analysis.calls import Calls, Node, PeerGrouping, find_calls, settle
from traceq.analysis.columns import Ints, columns
from traceq.analysis.dependencies import Dependencies
from traceq.analysis.grouping import added, distinct
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.report import Column, Part, Rows, Unit, json_key
from traceq.traces import Traces
from traceq.units import format_count, format_ratio, plural


class ImpactSums(Struct, frozen=True):
    """The number of traces in which a node is needed, and by which services; can be added to others."""

    trace_count: int = 0
    needing_count: int = 0
    """The number of traces that contain the node."""
    seen: Counter[str] = field(default_factory=Counter)
    """The number of traces of each service."""
    affected: Counter[str] = field(default_factory=Counter)
    """For each service, the number of traces in which it has the node below it, with blocking calls all the way."""

    def __add__(self, other: ImpactSums) -> ImpactSums:
        return added(self, other)


class ImpactQuestion(Struct, frozen=True):
    """The number of traces in which a node is needed, and by which services."""

    target: str
    """The node's name."""
    known: Dependencies
    """The graph that contains the node; it knows which peers are services."""
    grouping: PeerGrouping = "name"
    """How peers are grouped into nodes; the same as in the graph."""

    @property
    def needs_details(self) -> bool:
        """Whether peers are distinguished by their hosts, which are attributes."""
        return self.grouping in {"host", "none"}

    def nothing(self) -> ImpactSums:
        """Give the sums of no traces."""
        return ImpactSums()

    def collect(self, traces: Traces) -> ImpactSums:
        """Count the traces of a table in which services depend on the node."""
        spans = columns(traces)
        calls = find_calls(spans, self.grouping)
        real = settle((*calls.nodes, *self.known.nodes))
        needing = _rows_of(calls, self.target, real)
        marked = _above(calls, needing)
        services = np.flatnonzero(np.bincount(spans.services, minlength=1))
        in_trace = spans.services.astype(np.int64) * len(traces) + spans.trace
        seen, hit = (distinct(pairs) // max(1, len(traces)) for pairs in (in_trace, in_trace[marked]))
        return ImpactSums(
            len(traces),
            distinct(spans.trace[needing]).size,
            Counter({traces.services[code]: int(np.count_nonzero(seen == code)) for code in services.tolist()}),
            Counter({traces.services[code]: int(np.count_nonzero(hit == code)) for code in distinct(hit).tolist()}),
        )


def _rows_of(calls: Calls, target: str, real: dict[Node, Node]) -> Ints:
    """Find the spans of the node, or, for a peer, the spans that call it."""
    is_target = np.array([real[node].name == target for node in calls.nodes], dtype=np.bool_)
    own = np.flatnonzero(is_target[calls.spans.services]) if calls.spans.services.size else calls.near[:0]
    speaking = calls.near[is_target[calls.callee] & (calls.near >= 0)] if is_target.size else calls.near[:0]
    handed = calls.far[is_target[calls.caller] & calls.is_async] if is_target.size else calls.far[:0]
    return distinct(np.concatenate((own, speaking, handed[handed >= 0])))


def _above(calls: Calls, rows: Ints) -> Ints:
    """Mark what waits for these spans: themselves and everything above, up to where a message was handed over."""
    parents = calls.spans.parents.copy()
    parents[calls.far[calls.is_async & (calls.far >= 0)]] = -1
    marked: set[int] = set()
    for row in rows.tolist():
        at = row
        while at >= 0 and at not in marked:
            marked.add(at)
            at = parents.item(at)
    return np.array(sorted(marked), dtype=np.int64)


class Affected(Struct, frozen=True):
    """A node that needs another one."""

    name: str
    distance: int
    """The number of calls on the way to the failing node; 1 for nodes that call it themselves."""
    through: str
    """The next node on a shortest path to the failing one."""
    trace_count: int | None
    """The number of traces in which it has the failing node below it; None without traces."""
    seen_count: int | None
    """The number of traces that it occurs in; None without traces."""

    @property
    def ratio(self) -> float | None:
        """The share of its traces in which it needs the failing node; None where that is not known."""
        return self.trace_count / self.seen_count if self.trace_count is not None and self.seen_count else None


AFFECTED_COLUMNS: tuple[Column[Affected], ...] = (
    Column("name", "affected", Unit.SERVICE, can_shrink=True),
    Column("distance", "calls away", Unit.COUNT, about="calls away; 1 for those that call it themselves"),
    Column("through", "through", Unit.SERVICE, about="the next on the way there", can_shrink=True),
    Column("trace_count", "traces", Unit.COUNT, about="traces in which it needs the failing one"),
    Column("seen_count", "of", Unit.COUNT, about="traces that it is in"),
    Column("trace_ratio", "share", Unit.RATIO, lambda one: one.ratio, "share of its traces; null without traces"),
)


class Impact(Answer, Struct, frozen=True):
    """Who is affected when a node fails."""

    graph: Dependencies
    target: str
    affected: tuple[Affected, ...]
    """The nodes that wait for it, directly or through others; the nearest first."""
    starved: tuple[str, ...]
    """The nodes that receive its messages: they do not fail, but have nothing to do."""
    trace_count: int | None
    """The number of traces that were read; None where none were."""
    needing_count: int | None
    """The number of traces that contain the node; None where no traces were read."""
    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            affected_count="nodes that would fail with it",
            needing_ratio="share of the traces that it is in; null without traces",
        ),
        json_key("question", lambda _: "impact", "always `impact`", holds=("impact",)),
        Column("target", about="what fails"),
        Column("trace_count", about="traces looked at; null without", is_known=False),
        Column("needing_count", about="traces that it is in", is_known=False),
        Rows("affected", AFFECTED_COLUMNS, about="who waits for it, the nearest first"),
        Column("starved", about="who gets its messages, and has nothing to do", holds="texts"),
    )
    MAIN: ClassVar[str] = "affected"

    @property
    def verdict(self) -> Verdict:
        """How many requests need it; without traces, how many nodes do."""
        ratio = None
        told = f"{plural(len(self.affected), 'node')} would fail with {self.target}."
        if self.trace_count and self.needing_count is not None:
            ratio = self.needing_count / self.trace_count
            of_all = (
                f"{format_count(self.needing_count)} of {plural(self.trace_count, 'trace')} ({format_ratio(ratio)})"
            )
            told = f"{of_all} need{'s' if self.needing_count == 1 else ''} {self.target}."
        if not self.affected:
            told = f"Nobody waits for {self.target}."
        return Verdict((Part(told, "strong"),), {"affected_count": len(self.affected), "needing_ratio": ratio})


def impact(dependencies: Dependencies, target: str, sums: ImpactSums | None = None) -> Impact:
    """Follow the calls back from a node, to all nodes that wait for it, directly or through others.

    The sender of a message is affected when the broker fails, but not when the receiver fails.

    Raises:
        ValueError: If the node is not in the graph.
    """
    if target not in dependencies.kinds:
        raise ValueError(f"no service named '{target}' among the dependencies")
    nearest = _waiting(dependencies, target)
    affected = [
        Affected(name, *way, *((None, None) if sums is None else (sums.affected[name], sums.seen[name])))
        for name, way in nearest.items()
    ]
    affected.sort(key=lambda one: (one.distance, -(one.trace_count or 0), one.name))
    told = (None, None) if sums is None else (sums.trace_count, sums.needing_count)
    return Impact(dependencies, target, tuple(affected), _starved(dependencies, target), *told)


def _waiting(dependencies: Dependencies, target: str) -> dict[str, tuple[int, str]]:
    """Find the distance and the next node on the way of everything that waits for the target."""
    callers: dict[str, list[str]] = {}
    kinds = dependencies.kinds
    for call in dependencies.drawn:
        # Publishing is a call to the broker: when the broker is down, its producers fail.
        if not call.is_async or kinds[call.callee] == "messaging":
            callers.setdefault(call.callee, []).append(call.caller)
    found: dict[str, tuple[int, str]] = {}
    waiting = deque([(target, 0)])
    while waiting:
        name, distance = waiting.popleft()
        for caller in callers.get(name, ()):
            if caller not in found and caller != target:
                found[caller] = distance + 1, name
                waiting.append((caller, distance + 1))
    return found


def _starved(dependencies: Dependencies, target: str) -> tuple[str, ...]:
    found: set[str] = set()
    kinds = dependencies.kinds
    waiting = [target]
    while waiting:
        name = waiting.pop()
        for call in dependencies.drawn:
            if call.is_async and call.caller == name and call.callee not in found:
                found.add(call.callee)
                waiting += [call.callee] if kinds[call.callee] == "messaging" else []
    return tuple(sorted(name for name in found if kinds[name] != "messaging" and name != target))
