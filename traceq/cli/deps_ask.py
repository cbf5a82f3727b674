"""Where the graph of `deps` comes from: traces, Jaeger's own table, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from traceq.catalog import Window
from traceq.cli.deps_options import DepsOptions, PartOptions
from traceq.engine import Ask, asking
from traceq.errors import NotFoundError
from traceq.query import DEFAULT_LIMIT, Asked, TraceQuery, window_text
from traceq.sources.interface import Source
from traceq.units import NS_PER_DAY, plural

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies
    from traceq.analysis.impact import ImpactSums

_TABLE_LOOKBACK_NS = NS_PER_DAY
"""Jaeger's own table is written by a daily job: an hour of it is empty even where the job runs."""

_WHY_EMPTY = (
    "Jaeger's own table is empty: on Elasticsearch, OpenSearch and Cassandra it is, until a job "
    "(spark-dependencies) has filled it"
)


_SPURIOUS = "that table takes every span below another of its service for a call to itself: these are not drawn"


@dataclass(frozen=True, slots=True)
class Answer:
    """A graph and how it came about."""

    dependencies: Dependencies
    asked: Asked | None
    """How traces were got; None where none were looked at."""
    provenance: tuple[str, ...]
    """Who counted what, and why, in lines."""
    impact: ImpactSums | None = None
    """What traces tell of the node whose failing was asked about; None where they were not asked."""


def ask(source: Source, options: DepsOptions) -> Answer:
    """Get the graph, and what else traces have to be asked for the question that was put to it.

    Raises:
        NotFoundError: If a service that is asked about is not in the graph.
    """
    limit = options.limit or (DEFAULT_LIMIT if source.is_live else None)
    query = TraceQuery(window=options.when.window(is_live=source.is_live), limit=limit)
    with asking(source, query, options.workers.workers) as traces:
        answer = _graph(source, traces, options)
        return replace(answer, impact=_impact(answer, traces, options, source.location))


def _graph(source: Source, traces: Ask, options: DepsOptions) -> Answer:
    """Get the graph: of both by default, and of traces where Jaeger's table has nothing."""
    from traceq.analysis.dependencies import from_jaeger, together

    calls = () if options.origin == "traces" else traces.recorded(_table_window(options, is_live=source.is_live))
    if options.origin == "jaeger" and calls:
        return Answer(from_jaeger(calls), None, (_of_table(source, options),))
    counted, asked = _count(traces, options)
    lines = [_of_traces(source, options, counted)]
    if not calls:
        is_wanted = options.origin == "jaeger" or (source.is_live and options.origin == "both")
        return Answer(counted, asked, (*lines, *((_WHY_EMPTY,) if is_wanted else ())))
    lines.append(_of_table(source, options))
    if not counted.trace_count:
        return Answer(from_jaeger(calls), asked, tuple(lines[1:]))
    both = together(counted, from_jaeger(calls))
    return Answer(both, asked, (*lines, *((_SPURIOUS,) if both.spurious else ())))


def _count(traces: Ask, options: DepsOptions) -> tuple[Dependencies, Asked]:
    from traceq.analysis.call_sums import DependencyOptions
    from traceq.analysis.dependencies import DependencyQuestion

    question = DependencyQuestion(DependencyOptions(options.part.group_peers, with_critical=options.question.critical))
    reply = traces(question)
    return question.rank(reply.sums), reply.asked


def _impact(answer: Answer, traces: Ask, options: DepsOptions, location: str) -> ImpactSums | None:
    """Ask traces once more: which node is meant, and which peers are services, only the graph of all of them tells."""
    target, graph = options.question.impact, answer.dependencies
    # Collapsed services are no longer the ones that traces know.
    if target is None or not graph.trace_count or options.part.collapse:
        return None
    from traceq.analysis.impact import ImpactQuestion

    node = known_name(target, narrowed(graph, options.part, location), location)
    # Of the graph only the nodes matter; it goes to every worker with every slice.
    return traces(ImpactQuestion(node, replace(graph, calls=()), options.part.group_peers)).sums


def _table_window(options: DepsOptions, *, is_live: bool) -> Window:
    when = options.when
    if is_live and when.lookback is None and when.start is None:
        when = replace(when, lookback=_TABLE_LOOKBACK_NS)
    return when.window(is_live=is_live)


def _of_traces(source: Source, options: DepsOptions, counted: Dependencies) -> str:
    window = window_text(options.when.window(is_live=source.is_live))
    return (
        f"counted in {plural(counted.trace_count or 0, 'trace')}{', ' + window if window else ''} ({source.location})"
    )


def _of_table(source: Source, options: DepsOptions) -> str:
    window = window_text(_table_window(options, is_live=source.is_live))
    return f"from Jaeger's own table{', ' + window if window else ''} ({source.location})"


def narrowed(dependencies: Dependencies, part: PartOptions, location: str) -> Dependencies:
    """Keep the part that was asked for.

    Raises:
        NotFoundError: If the service is not among the nodes.
    """
    from traceq.analysis.graph_questions import around, busy, collapse

    graph = collapse(dependencies, part.collapse or ())
    if part.service is not None:
        graph = around(graph, known_name(part.service, graph, location), *part.reach)
    return busy(graph, part.min_calls, failing_only=part.errors)


def known_name(name: str, dependencies: Dependencies, location: str) -> str:
    """Give the node that is meant: by its name, or by its system where just one node is of it (`mysql`).

    Raises:
        NotFoundError: If there is none, or several are of that system.
    """
    if name in dependencies.kinds:
        return name
    of_system = [node.name for node in dependencies.nodes if node.system == name]
    if len(of_system) == 1:
        return of_system[0]
    near = of_system or get_close_matches(name, dependencies.names, n=1)
    meant = " or ".join(f"'{one}'" for one in near[:3])
    hint = f"did you mean {meant}? " if near else ""
    raise NotFoundError(
        f"no service named '{name}' among the dependencies at {location}",
        hint=f"{hint}`traceq deps --view table` lists {_counted(dependencies)}",
    )


def _counted(dependencies: Dependencies) -> str:
    services = len(dependencies.services)
    peers = len(dependencies.nodes) - services
    return plural(services, "service") + (f" and {plural(peers, 'peer')}" if peers else "")
