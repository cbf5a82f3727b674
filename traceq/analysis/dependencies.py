"""Who calls whom: how often, how long, through what, and with which success."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from traceq.analysis.call_sums import CallKey, CallSums, DependencyOptions, DependencySums, count_calls
from traceq.analysis.grouping import merged
from traceq.analysis.peers import Node, NodeKind, settle
from traceq.analysis.spread import Spread, spread
from traceq.catalog import ServiceCall
from traceq.traces import Traces

if TYPE_CHECKING:
    import pandas as pd

Origin: TypeAlias = Literal["jaeger", "traces", "both"]
"""Who counted the calls: Jaeger's own table, traceq from traces, or each for itself."""


@dataclass(frozen=True, slots=True, order=True)
class Dependency:
    """Calls along one edge of the graph."""

    caller: str
    callee: str
    is_async: bool
    """Whether they are messages that the caller does not wait for."""
    via: str
    """The broker that handed the messages on; the graph holds the two edges to and from it besides."""
    call_count: int
    """As counted in traces; what Jaeger's table says where only that knows the edge."""
    sums: CallSums | None = field(default=None, compare=False, repr=False)
    """What traces tell; None where only Jaeger's table knows the edge."""
    jaeger_count: int | None = None
    """What Jaeger's table says of the two services, messages included; None where it does not know the edge."""
    known_to: Origin = "traces"

    @property
    def error_ratio(self) -> float:
        """The share of calls that failed; 0 where traces do not tell."""
        return self.sums.error_count / self.sums.call_count if self.sums and self.sums.call_count else 0.0

    @property
    def protocol(self) -> str:
        """What the calls speak, several joined by a plus; empty where nothing tells."""
        return "+".join(sorted(self.sums.protocols)) if self.sums else ""

    @property
    def time(self) -> Spread | None:
        """How long a call takes as its caller sees it, or else its callee; None where traces do not tell."""
        if self.sums is None:
            return None
        return next((view for view in (self.sums.caller, self.sums.callee) if view.count), None)

    def to_dict(self) -> dict[str, object]:
        """Give the edge as it stands in JSON."""
        sums = self.sums or CallSums()
        counted = self.sums is not None
        return {
            "caller": self.caller,
            "callee": self.callee,
            "asynchronous": self.is_async,
            "via": self.via or None,
            "call_count": self.call_count,
            "trace_count": sums.trace_count if counted else None,
            "calls_per_trace": sums.call_count / sums.trace_count if sums.trace_count else None,
            "error_count": sums.error_count if counted else None,
            "protocols": sorted(sums.protocols),
            "callee_time": _view(sums.callee),
            "caller_time": _view(sums.caller),
            "network_time": _view(sums.network),
            "critical_ns": sums.critical_ns if counted else None,
            "jaeger_count": self.jaeger_count,
            "known_to": self.known_to,
        }


def _view(view: Spread) -> dict[str, int] | None:
    if not view.count:
        return None
    return {"count": view.count, "p50_ns": view.percentile(0.5), "p95_ns": view.percentile(0.95), "max_ns": view.max_ns}


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Who calls whom, and who counted it."""

    origin: Origin
    nodes: tuple[Node, ...]
    """Everybody in question, sorted; also those without calls."""
    calls: tuple[Dependency, ...]
    """Sorted by caller, callee."""
    trace_count: int | None = None
    """How many traces were looked at; None where none were."""
    critical_ns: int = 0
    """The length of all critical paths; 0 unless it was asked for."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every node's name, sorted."""
        return tuple(node.name for node in self.nodes)

    @property
    def kinds(self) -> dict[str, NodeKind]:
        """What each node is, by name."""
        return {node.name: node.kind for node in self.nodes}

    @property
    def services(self) -> tuple[str, ...]:
        """The names of those that are services, sorted."""
        return tuple(node.name for node in self.nodes if node.kind == "service")

    @property
    def drawn(self) -> tuple[Dependency, ...]:
        """The edges as a picture has them: a message goes to its broker and on from there, not past it as well.

        Jaeger from 2.0 on takes every span below another of its service for a call to itself. Where traces were
        counted too, these tell.
        """
        spurious = self.spurious
        return tuple(call for call in self.calls if not call.via and call not in spurious)

    @property
    def spurious(self) -> frozenset[Dependency]:
        """Calls of services to themselves that Jaeger's table has and the traces beside it do not."""
        if self.origin != "both":
            return frozenset()
        return frozenset(call for call in self.calls if call.caller == call.callee and call.known_to == "jaeger")

    def to_dict(self) -> dict[str, object]:
        """Give the answer as it stands in JSON."""
        return {
            "origin": self.origin,
            "trace_count": self.trace_count,
            "services": list(self.services),
            "nodes": [node.to_dict() for node in self.nodes],
            "dependencies": [call.to_dict() for call in self.calls],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row an edge; percentiles in columns of their own (`callee_p95_ns`). Needs pandas."""
        import pandas as pd

        return pd.DataFrame([flat(call) for call in self.calls], columns=list(FLAT_COLUMNS))


FLAT_COLUMNS = (
    "caller",
    "callee",
    "asynchronous",
    "via",
    "protocol",
    "call_count",
    "trace_count",
    "error_count",
    *(f"{view}_{figure}_ns" for view in ("callee", "caller", "network") for figure in ("p50", "p95", "max")),
    "critical_ns",
    "jaeger_count",
    "known_to",
)
"""The columns of `flat`, in their order."""


def flat(call: Dependency) -> dict[str, str | int | bool | None]:
    """Give an edge as one flat record; None where nothing is known."""
    sums = call.sums or CallSums()
    record: dict[str, str | int | bool | None] = {
        "caller": call.caller,
        "callee": call.callee,
        "asynchronous": call.is_async,
        "via": call.via or None,
        "protocol": call.protocol or None,
        "call_count": call.call_count,
        "trace_count": None if call.sums is None else sums.trace_count,
        "error_count": None if call.sums is None else sums.error_count,
    }
    for name, view in (("callee", sums.callee), ("caller", sums.caller), ("network", sums.network)):
        figures = _view(view) or {}
        record.update({f"{name}_{figure}_ns": figures.get(f"{figure}_ns") for figure in ("p50", "p95", "max")})
    critical_ns = None if call.sums is None else sums.critical_ns
    return {**record, "critical_ns": critical_ns, "jaeger_count": call.jaeger_count, "known_to": call.known_to}


@dataclass(frozen=True, slots=True)
class DependencyQuestion:
    """Who calls whom."""

    options: DependencyOptions = field(default_factory=DependencyOptions)
    needs_details: bool = True
    """Links tie messages of different traces together, and attributes tell protocols."""

    @property
    def learns(self) -> bool:
        """Whether the time that calls hold critical paths is asked for."""
        return self.options.with_critical

    def nothing(self) -> DependencySums:
        """Give the sums of no traces."""
        return DependencySums()

    def collect(self, traces: Traces) -> DependencySums:
        """Sum up the calls in a span table."""
        return count_calls(traces, self.options)

    def rank(self, sums: DependencySums) -> Dependencies:
        """Turn sums into the graph."""
        return from_sums(sums)


def from_sums(sums: DependencySums) -> Dependencies:
    """Turn counted calls into the answer: ties messages of different traces together, and peers to their services."""
    real = settle(sums.nodes)
    settled = ((_settled(key, real), part) for key, part in (*_with_protocols(sums), *_linked(sums)))
    # What a service says of the peer that it is itself is no call: databases that trace themselves do.
    calls = merged((key, part) for key, part in settled if not (key.caller == key.callee and not part.callee.count))
    edges = (
        Dependency(
            key.caller.name, key.callee.name, key.is_async, key.via.name if key.via else "", part.call_count, part
        )
        for key, part in ((key, _bounded(part, sums.trace_count)) for key, part in calls.items())
    )
    nodes = tuple(sorted(set(real.values())))
    return Dependencies("traces", nodes, tuple(sorted(edges)), sums.trace_count, sums.critical_ns)


def _settled(key: CallKey, real: Mapping[Node, Node]) -> CallKey:
    via = None if key.via is None else real.get(key.via, key.via)
    # A broker that turns out to be a service sends spans: it is on the way by itself.
    via = None if via is None or via.kind == "service" else via
    return CallKey(real[key.caller], real[key.callee], key.is_async, via)


def _bounded(part: CallSums, trace_count: int) -> CallSums:
    # Edges that became one may have been in the same traces.
    return replace(part, trace_count=min(part.trace_count, trace_count))


def _with_protocols(sums: DependencySums) -> Iterator[tuple[CallKey, CallSums]]:
    spoken: dict[CallKey, set[str]] = {}
    for (key, _), (_, protocol) in sums.spoken.items():
        spoken.setdefault(key, set()).add(protocol)
    for key, part in sums.calls.items():
        yield key, replace(part, protocols=frozenset(spoken.get(key, set()) - {""}))


def _linked(sums: DependencySums) -> list[tuple[CallKey, CallSums]]:
    """Give the calls between producers and consumers that only a link ties together."""
    found = []
    for key, taken in sums.consumers:
        sent = sums.producers.get(key)
        if sent is not None:
            view, seen = (spread(np.array([end.duration_ns], dtype=np.int64)) for end in (taken, sent))
            via = sent.broker or taken.broker
            protocols = frozenset((via.name,)) if via else frozenset[str]()
            failed = int(taken.has_failed or sent.has_failed)
            part = CallSums(1, 1, failed, callee=view, caller=seen, protocols=protocols)
            found.append((CallKey(sent.node, taken.node, is_async=True, via=via), part))
    return found


def from_jaeger(calls: Iterable[ServiceCall]) -> Dependencies:
    """Turn Jaeger's own table into the answer; it does not know messages from calls."""
    counts: dict[tuple[str, str], int] = {}
    for call in calls:
        counts[call.parent, call.child] = counts.get((call.parent, call.child), 0) + call.call_count
    nodes = tuple(sorted({Node(name) for ends in counts for name in ends}))
    return Dependencies("jaeger", nodes, tuple(sorted(_recorded(*ends, count) for ends, count in counts.items())))


def _recorded(caller: str, callee: str, count: int) -> Dependency:
    return Dependency(caller, callee, False, "", count, jaeger_count=count, known_to="jaeger")  # noqa: FBT003


def together(counted: Dependencies, recorded: Dependencies) -> Dependencies:
    """Put what was counted in traces and Jaeger's own table side by side, and mark what only one of them knows."""
    table = {(call.caller, call.callee): call for call in recorded.calls}
    calls = []
    for call in counted.calls:
        known = table.get((call.caller, call.callee))
        if known is not None:
            calls.append(replace(call, jaeger_count=known.jaeger_count, known_to="both"))
        else:
            calls.append(call)
    pairs = {(call.caller, call.callee) for call in counted.calls}
    calls += [call for ends, call in table.items() if ends not in pairs]
    known_names = set(counted.names)
    nodes = (*counted.nodes, *(node for node in recorded.nodes if node.name not in known_names))
    return replace(counted, origin="both", nodes=tuple(sorted(nodes)), calls=tuple(sorted(calls)))


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What one of Jaeger's table and the traces knows and the other does not."""

    only_traces: tuple[Dependency, ...]
    """Calls between two services; peers and calls to itself are not in every version's table."""
    only_jaeger: tuple[Dependency, ...]


def disagreement(dependencies: Dependencies) -> Disagreement:
    """List the edges that only one of the two knows; calls of a service to itself left aside, versions differ there."""
    if dependencies.origin != "both":
        return Disagreement((), ())
    kinds = dependencies.kinds
    between = [
        call
        for call in dependencies.calls
        if call.caller != call.callee and kinds[call.caller] == kinds[call.callee] == "service"
    ]
    return Disagreement(
        tuple(call for call in between if call.known_to == "traces"),
        tuple(call for call in between if call.known_to == "jaeger"),
    )
