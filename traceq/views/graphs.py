"""A dependency graph as what is drawn: names short enough, labels on edges, edges coloured, peers by their shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from traceq.report import Graph, GraphEdge, GraphNode, Health, Matrix
from traceq.units import NS_PER_MS, NS_PER_S, format_count, format_duration, format_ratio

if TYPE_CHECKING:
    from traceq.analysis.calls import Node
    from traceq.analysis.dependencies import Dependencies, Dependency

View: TypeAlias = Literal["auto", "graph", "tree", "table", "matrix"]
"""How a graph is shown; `auto` draws boxes and arrows where they fit, else an indented tree."""
Shade: TypeAlias = Literal["errors", "latency"]
"""What edges are coloured by."""

_POOR_RATIO = 0.05
_FAIR_NS, _POOR_NS = 200 * NS_PER_MS, NS_PER_S
_HEALTH_LEGENDS: Mapping[Shade, tuple[tuple[Health, str], ...]] = {
    "errors": (
        ("unknown", "no failures known"),
        ("fair", f"less than {100 * _POOR_RATIO:.0f} % failed"),
        ("poor", f"{100 * _POOR_RATIO:.0f} % or more failed"),
    ),
    "latency": (
        ("unknown", "no durations"),
        ("good", f"p95 below {format_duration(_FAIR_NS)}"),
        ("fair", f"p95 below {format_duration(_POOR_NS)}"),
        ("poor", f"p95 {format_duration(_POOR_NS)} or more"),
    ),
}

Changes = Mapping["tuple[str, str, bool]", str]
"""How edges, by caller, callee and whether asynchronous, differ from the last time: `+12`, `new`."""


def graph_of(dependencies: Dependencies, view: View, shade: Shade = "errors", changes: Changes | None = None) -> Graph:
    """Give the boxes and arrows."""
    ending = _common_ending(dependencies.services)
    names = _short_names(dependencies.nodes, ending)
    nodes = tuple(GraphNode(node.name, node.name, node.kind, *names[node.name]) for node in dependencies.nodes)
    kinds = dependencies.kinds
    edges = tuple(_edge(call, shade, _remark(call, dependencies, changes or {}), kinds) for call in dependencies.drawn)
    note = f"names without {ending}" if ending else ""
    drawn_as = view if view in {"graph", "tree"} else "auto"
    return Graph(nodes, edges, drawn_as, note, _HEALTH_LEGENDS[shade], _label_legend(dependencies, shade))


def _label_legend(dependencies: Dependencies, shade: Shade) -> str:
    has_failed = any(call.sums is not None and call.sums.error_count for call in dependencies.drawn)
    return "number of calls" + (", !failed ones" if has_failed else "") + (", p95" if shade == "latency" else "")


def matrix_of(dependencies: Dependencies) -> Matrix:
    """Give the square of counts."""
    graph = graph_of(dependencies, "auto")
    return Matrix(graph.nodes, graph.edges)


def _remark(call: Dependency, dependencies: Dependencies, changes: Changes) -> str:
    """Say what is special about an edge: that it changed, or that only Jaeger's table knows it."""
    change = changes.get((call.caller, call.callee, call.is_async), "")
    is_doubtful = dependencies.origin == "both" and call.known_to == "jaeger"
    return " ".join(text for text in (change, "only Jaeger" if is_doubtful else "") if text)


def _edge(call: Dependency, shade: Shade, remark: str, kinds: Mapping[str, str]) -> GraphEdge:
    failed = call.sums.error_count if call.sums else 0
    count = format_count(call.call_count) + (f" !{format_count(failed)}" if failed else "")
    short = f"{count} {remark}".rstrip()
    spoken = call.protocol if kinds[call.caller] == "service" and kinds[call.callee] in {"service", "external"} else ""
    slow = f"p95 {format_duration(call.time.percentile(0.95))}" if shade == "latency" and call.time else ""
    label = " ".join(part for part in (spoken, short, slow) if part)
    return GraphEdge(
        call.caller,
        call.callee,
        label,
        call.is_async,
        ", ".join(part for part in (short, slow.removeprefix("p95 ")) if part),
        _health(call, shade),
        call.call_count,
        tuple(_facts(call)),
    )


def _health(call: Dependency, shade: Shade) -> Health:
    if shade == "errors":
        return "unknown" if not call.error_ratio else "poor" if call.error_ratio >= _POOR_RATIO else "fair"
    if call.time is None:
        return "unknown"
    p95_ns = call.time.percentile(0.95)
    return "poor" if p95_ns >= _POOR_NS else "fair" if p95_ns >= _FAIR_NS else "good"


def _facts(call: Dependency) -> list[tuple[str, str]]:
    """Tell everything about an edge, in words."""
    facts = [("calls", format_count(call.call_count))]
    if call.sums is not None:
        per_trace = call.call_count / call.sums.trace_count if call.sums.trace_count else 0.0
        facts.append(("per trace", f"{per_trace:.3g}"))
        facts.append(("errors", f"{format_count(call.sums.error_count)} ({format_ratio(call.error_ratio)})"))
        views = (("caller", call.sums.caller), ("callee", call.sums.callee), ("network", call.sums.network))
        for name, view in views:
            if view.count:
                figures = (view.percentile(0.5), view.percentile(0.95), view.max_ns)
                facts.append((f"{name} p50, p95, max", ", ".join(map(format_duration, figures))))
    facts += [("protocol", call.protocol)] if call.protocol else []
    facts += [("", "asynchronous")] if call.is_async else []
    facts += [("in Jaeger's table", format_count(call.jaeger_count))] if call.jaeger_count is not None else []
    return facts


def _common_ending(services: Sequence[str]) -> str:
    """Find what most services end in (`-service`): it tells nobody apart."""
    endings = Counter(f"-{name.rpartition('-')[2]}" for name in services if name.rpartition("-")[0])
    if not endings:
        return ""
    ending, count = max(endings.items(), key=lambda found: (found[1], found[0]))
    bare = [name.removesuffix(ending) for name in services]
    return ending if count >= 2 and 2 * count > len(services) and len(set(bare)) == len(bare) else ""


def _short_names(nodes: Sequence[Node], ending: str) -> dict[str, tuple[str, str]]:
    """Shorten services by what most of them end in, and peers to their system, their own name on a second line.

    A database needs no second line where no other is of its system; what a topic is called always matters.
    """
    systems = Counter(node.system for node in nodes if node.system)
    names = {}
    for node in nodes:
        rest = node.name.removeprefix(node.system).strip() if node.system else ""
        is_plain = node.kind == "database" and systems[node.system] == 1
        if node.kind == "service":
            names[node.name] = node.name.removesuffix(ending), ""
        elif rest and node.kind != "external":
            names[node.name] = node.system, "" if is_plain else rest
        else:
            names[node.name] = node.name, ""
    return names if len(set(names.values())) == len(names) else {name: (name, "") for name in names}


def changes(before: Dependencies, now: Dependencies) -> dict[tuple[str, str, bool], str]:
    """Say how each edge differs: `+12`, `-3`, `new`, `gone`; edges that do not differ are left out."""
    old = {(call.caller, call.callee, call.is_async): call.call_count for call in before.drawn}
    new = {(call.caller, call.callee, call.is_async): call.call_count for call in now.drawn}
    told = {}
    for key in sorted(old.keys() | new.keys()):
        if key not in new:
            told[key] = "gone"
        elif key not in old:
            told[key] = "new"
        elif new[key] != old[key]:
            told[key] = f"{'+' if new[key] > old[key] else '-'}{format_count(abs(new[key] - old[key]))}"
    return told
