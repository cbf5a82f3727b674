"""The dependency graph: who calls whom, how often, how long, by which protocol, and how often calls fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from msgspec import Struct, structs

from traceq.analysis.call_sums import CallKey, CallSums, DependencyOptions, DependencySums, count_calls, linked
from traceq.analysis.calls import NODE_COLUMNS, Node, NodeKind, settle
from traceq.analysis.grouping import merged
from traceq.analysis.spread import Spread, spread_specs
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.catalog import ServiceCall, Window
from traceq.report import Column, Part, Rows, Unit, Value
from traceq.traces import Traces
from traceq.units import format_count, plural

Origin: TypeAlias = Literal["jaeger", "traces", "both"]
"""Which source knows the calls: Jaeger's own table, traces, or both."""


@dataclass(frozen=True, slots=True, order=True)
class Dependency:
    """Calls along one edge of the graph."""

    caller: str
    callee: str
    is_async: bool
    """Whether they are messages that the caller does not wait for."""
    via: str
    """The broker through which the messages went; the graph has the two edges to and from it as well."""
    call_count: int
    """The number of calls counted in traces; the number in Jaeger's table where only that has the edge."""
    sums: CallSums | None = field(default=None, compare=False, repr=False)
    """The sums of traces; None where only Jaeger's table has the edge."""
    jaeger_count: int | None = None
    """The number of calls in Jaeger's table between the two services, messages included; None where it has none."""
    known_to: Origin = "traces"
    has_critical: bool = field(default=False, compare=False, repr=False)
    """Whether critical time was measured."""
    is_spurious: bool = field(default=False, compare=False, repr=False)
    """Whether it is a call of a service to itself that Jaeger's table has, and the traces counted with it have not."""

    @property
    def error_ratio(self) -> float:
        """The share of calls that failed; 0 where that is not known."""
        return self.sums.error_count / self.sums.call_count if self.sums and self.sums.call_count else 0.0

    @property
    def protocol(self) -> str:
        """The protocols of the calls, several joined by a plus; empty where they are not known."""
        return "+".join(sorted(self.sums.protocols)) if self.sums else ""

    @property
    def time(self) -> Spread | None:
        """Durations of the calls; None where they are not known.

        They are those that the caller sees, or else the callee. Of messages the processing counts, or else the sending.
        """
        if self.sums is None:
            return None
        views = (self.sums.callee, self.sums.caller) if self.is_async else (self.sums.caller, self.sums.callee)
        return next((view for view in views if view.count), None)

    @property
    def counted(self) -> CallSums:
        """The sums of traces; empty sums where only Jaeger's table has the edge."""
        return self.sums or CallSums()

    @property
    def held_ns(self) -> int:
        """Time for which the calls held critical paths; 0 where that was not measured."""
        return self.counted.critical_ns


def _view_specs(key: str, about: str, taken: Callable[[CallSums], Spread]) -> tuple[Column[Dependency], ...]:
    facts = ("count", "p50", "p95", "max")
    return spread_specs(key, key.replace("_", " "), lambda call: taken(call.counted), about, facts)


def _if_counted(value: Callable[[CallSums], int]) -> Callable[[Dependency], int | None]:
    return lambda call: None if call.sums is None else value(call.sums)


DEPENDENCY_COLUMNS: tuple[Column[Dependency], ...] = (
    Column("caller", "caller", Unit.SERVICE, can_shrink=True),
    Column("callee", "callee", Unit.SERVICE, can_shrink=True),
    Column(
        "asynchronous",
        "async",
        value=lambda call: call.is_async,
        about="messages that the caller does not await",
        holds="boolean",
    ),
    Column("via", "via", value=lambda call: call.via or None, about="the broker of a message", can_shrink=True),
    Column("call_count", "calls", Unit.COUNT),
    Column("trace_count", "traces", Unit.COUNT, _if_counted(lambda sums: sums.trace_count), is_known=False),
    Column(
        "calls_per_trace",
        "per trace",
        value=lambda call: call.counted.call_count / call.counted.trace_count if call.counted.trace_count else None,
        holds="number",
    ),
    Column("error_count", "err", Unit.ERRORS, _if_counted(lambda sums: sums.error_count), is_known=False),
    Column(
        "rejoined_count",
        "rejoined",
        Unit.COUNT,
        _if_counted(lambda sums: sums.rejoined_count),
        "of these calls, those of which a span is missing: other traces show who called",
        is_known=False,
    ),
    Column(
        "protocols",
        "protocol",
        value=lambda call: sorted(call.counted.protocols) or None,
        about="of the calls; null where spans do not tell any",
        holds="texts",
        is_known=False,
    ),
    *_view_specs("callee_time", "durations of the calls as the callee sees them", lambda sums: sums.callee),
    *_view_specs("caller_time", "durations of the calls as the caller sees them", lambda sums: sums.caller),
    *_view_specs("network_time", "network times of the calls", lambda sums: sums.network),
    *_view_specs("queue_delay", "times that messages waited to be processed", lambda sums: sums.queue),
    Column(
        "critical_ns",
        "critical",
        Unit.DURATION,
        lambda call: call.held_ns if call.has_critical else None,
        "how long the calls held critical paths; null unless `--critical` asks for it",
    ),
    Column(
        "jaeger_count",
        "jaeger",
        Unit.COUNT,
        about="calls in Jaeger's own table; null where it has none",
        is_known=False,
    ),
    Column("known_to", "known to", about="`traces`, `jaeger` or `both`", holds=get_args(Origin)),
    Column(
        "is_spurious",
        "spurious",
        about="whether it is not drawn: Jaeger's table takes spans below others of their service for calls to itself",
    ),
)


class Coverage(Struct, frozen=True):
    """The time windows of the traces and of Jaeger's own table."""

    traces: Window | None = None
    """The window of the traces; None where traces were not read."""
    table: Window | None = None
    """The window of the table; None where the table was not used."""
    recorded_count: int | None = None
    """The number of edges in the table; None where it was not used."""


def _window_specs(key: str, about: str, taken: Callable[[Coverage], Window | None]) -> tuple[Column[Any], ...]:
    def end(name: Literal["start_ns", "end_ns"]) -> Column[Any]:
        def value(answer: Dependencies) -> int | None:
            window = taken(answer.coverage)
            return None if window is None else getattr(window, name)

        return Column(name, unit=Unit.TIME, value=value, about=about, within=key)

    return end("start_ns"), end("end_ns")


class Dependencies(Answer, Struct, frozen=True):
    """The dependency graph, with the source of each edge."""

    origin: Origin
    nodes: tuple[Node, ...]
    """All nodes, sorted, including those without calls."""
    calls: tuple[Dependency, ...]
    """All edges, sorted by caller, then callee."""
    trace_count: int | None = None
    """The number of traces that were read; None where none were."""
    critical_ns: int | None = None
    """The length of all critical paths; None unless requested."""
    coverage: Coverage = Coverage()

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            caller="who makes most calls",
            callee="of whom",
            call_count="how many",
            failing_caller="whose calls fail most often; null where none does",
            failing_callee="of whom",
            error_count="how many of these fail",
        ),
        Column("origin", about="who counted: `jaeger`, `traces` or `both`", holds=get_args(Origin)),
        Column("trace_count", about="traces; null for Jaeger's own table alone", is_known=False),
        Column("services", about="names, sorted; those without calls too", holds="texts"),
        *_window_specs("traces_window", "which time was asked for traces", lambda coverage: coverage.traces),
        *_window_specs("table_window", "which time Jaeger's own table was asked for", lambda coverage: coverage.table),
        Rows("nodes", NODE_COLUMNS),
        Rows("dependencies", DEPENDENCY_COLUMNS, lambda answer: answer.calls, "edges by caller and callee"),
    )
    MAIN: ClassVar[str] = "dependencies"

    @property
    def verdict(self) -> Verdict | None:
        """Who calls whom most, and whose calls fail most; None where nobody calls anybody."""
        drawn = self.drawn
        if not drawn:
            return None
        most = max(drawn, key=lambda call: (call.call_count, call.callee, call.caller))
        worst = max(drawn, key=lambda call: (call.counted.error_count, call.callee, call.caller))
        numbers: dict[str, Value] = {"caller": most.caller, "callee": most.callee, "call_count": most.call_count}
        parts = [
            Part(f"{plural(len(self.nodes), 'node')}, {plural(len(drawn), 'edge')}: most calls are "),
            Part(f"{most.caller} → {most.callee}", "strong"),
            Part(f" ({format_count(most.call_count)})"),
        ]
        if failed := worst.counted.error_count:
            numbers |= {"failing_caller": worst.caller, "failing_callee": worst.callee, "error_count": failed}
            named = [Part(", most failures "), Part(f"{worst.caller} → {worst.callee}", "strong"), Part(" ")]
            of_all = f"({format_count(failed)} of {format_count(worst.call_count)})"
            parts += [Part(f", {format_count(failed)} of them failed", "error")] if worst is most else named
            parts += [] if worst is most else [Part(of_all, "error")]
        return Verdict((*parts, Part(".")), numbers)

    @property
    def names(self) -> tuple[str, ...]:
        """Every node's name, sorted."""
        return tuple(node.name for node in self.nodes)

    @property
    def kinds(self) -> dict[str, NodeKind]:
        """The kind of each node, by name."""
        return {node.name: node.kind for node in self.nodes}

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services, sorted."""
        return tuple(node.name for node in self.nodes if node.kind == "service")

    @property
    def drawn(self) -> tuple[Dependency, ...]:
        """The edges of drawings: a message goes to its broker and on from there, without a direct edge.

        From 2.0 on Jaeger counts every span below another of its service as a call to itself. Where traces were counted
        too, only their calls of this kind are drawn.
        """
        return tuple(call for call in self.calls if not call.via and not call.is_spurious)

    @property
    def spurious(self) -> frozenset[Dependency]:
        """Calls of services to themselves that Jaeger's table has, although traces were counted and have none."""
        return frozenset(call for call in self.calls if call.is_spurious)


class DependencyQuestion(Struct, frozen=True):
    """Who calls whom."""

    options: DependencyOptions = DependencyOptions()
    needs_details: bool = True
    """Whether details are needed: links connect messages of different traces, and attributes give protocols."""

    learns: bool = True
    """Whether other traces matter: they show which clocks are wrong, for queue delays and critical time."""

    def nothing(self) -> DependencySums:
        """Give the sums of no traces."""
        return DependencySums()

    def collect(self, traces: Traces) -> DependencySums:
        """Sum up the calls in a span table."""
        return count_calls(traces, self.options)

    def rank(self, sums: DependencySums) -> Dependencies:
        """Turn sums into the graph."""
        return from_sums(sums, with_critical=self.options.with_critical)


def from_sums(sums: DependencySums, *, with_critical: bool = False) -> Dependencies:
    """Turn counted calls into the answer; connect messages of different traces, and merge peers with their services.

    Args:
        sums: The calls.
        with_critical: Whether critical time was measured.
    """
    by_link = linked(sums)
    real = settle(sums.nodes.union(*((key.caller, key.callee) for key in by_link)))
    settled = ((_settled(key, real), part) for key, part in (*_with_protocols(sums), *by_link.items()))
    # Where a service names itself as a peer, as databases that send spans do, it is not a call.
    calls = merged((key, part) for key, part in settled if not (key.caller == key.callee and not part.callee.count))
    edges = (
        Dependency(
            key.caller.name,
            key.callee.name,
            key.is_async,
            key.via.name if key.via else "",
            part.call_count,
            part,
            has_critical=with_critical,
        )
        for key, part in ((key, _bounded(part, sums.trace_count)) for key, part in calls.items())
    )
    nodes = tuple(sorted(set(real.values())))
    critical_ns = sums.critical_ns if with_critical and sums.trace_count else None
    return Dependencies("traces", nodes, tuple(sorted(edges)), sums.trace_count, critical_ns)


def _settled(key: CallKey, real: Mapping[Node, Node]) -> CallKey:
    via = None if key.via is None else real.get(key.via, key.via)
    # A broker that turns out to be a service sends spans: these already make the edges.
    via = None if via is None or via.kind == "service" else via
    return CallKey(real[key.caller], real[key.callee], key.is_async, via)


def _bounded(part: CallSums, trace_count: int) -> CallSums:
    # Edges that were merged may have been in the same traces.
    return structs.replace(part, trace_count=min(part.trace_count, trace_count))


def _with_protocols(sums: DependencySums) -> Iterator[tuple[CallKey, CallSums]]:
    spoken: dict[CallKey, set[str]] = {}
    for (key, _), (_, protocol) in sums.spoken.items():
        spoken.setdefault(key, set()).add(protocol)
    for key, part in sums.calls.items():
        yield key, structs.replace(part, protocols=frozenset(spoken.get(key, set()) - {""}))


def from_jaeger(calls: Iterable[ServiceCall]) -> Dependencies:
    """Turn Jaeger's own table into the answer; it does not distinguish messages from calls."""
    counts: dict[tuple[str, str], int] = {}
    for call in calls:
        counts[call.parent, call.child] = counts.get((call.parent, call.child), 0) + call.call_count
    nodes = tuple(sorted({Node(name) for ends in counts for name in ends}))
    return Dependencies("jaeger", nodes, tuple(sorted(_recorded(*ends, count) for ends, count in counts.items())))


def _recorded(caller: str, callee: str, count: int) -> Dependency:
    return Dependency(caller, callee, False, "", count, jaeger_count=count, known_to="jaeger")  # noqa: FBT003


def together(counted: Dependencies, recorded: Dependencies) -> Dependencies:
    """Combine the graph counted in traces with that of Jaeger's own table, and mark edges that only one of them has."""
    table = {(call.caller, call.callee): call for call in recorded.calls}
    calls = []
    for call in counted.calls:
        known = table.get((call.caller, call.callee))
        if known is not None:
            calls.append(replace(call, jaeger_count=known.jaeger_count, known_to="both"))
        else:
            calls.append(call)
    pairs = {(call.caller, call.callee) for call in counted.calls}
    calls += [
        replace(call, is_spurious=call.caller == call.callee) for ends, call in table.items() if ends not in pairs
    ]
    known_names = set(counted.names)
    nodes = (*counted.nodes, *(node for node in recorded.nodes if node.name not in known_names))
    return structs.replace(counted, origin="both", nodes=tuple(sorted(nodes)), calls=tuple(sorted(calls)))


class Disagreement(Struct, frozen=True):
    """The edges that only Jaeger's table or only the traces have."""

    only_traces: tuple[Dependency, ...]
    """Calls between two services; tables of some versions have neither peers nor calls of a service to itself."""
    only_jaeger: tuple[Dependency, ...]


def disagreement(dependencies: Dependencies) -> Disagreement:
    """List the edges that only one of the two has, without calls of a service to itself, in which versions differ."""
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
