"""Where the graph of `deps` comes from: traces, Jaeger's own table, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from traceq.catalog import Window
from traceq.cli.deps_options import DepsOptions, PartOptions
from traceq.cli.messages import cut_off_line
from traceq.cli.session import window_text
from traceq.errors import NotFoundError
from traceq.query import TraceQuery
from traceq.sources import Found, Source
from traceq.units import NS_PER_DAY, plural

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies

_DEFAULT_LIMIT = 200
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
    found: Found | None
    """The traces that were looked at; None where none were."""
    provenance: tuple[str, ...]
    """Who counted what, and why, in lines."""

    def notes(self, options: DepsOptions) -> tuple[str, ...]:
        """Say what the source remarked, and what the limit cut off."""
        if self.found is None:
            return ()
        cut_off = (cut_off_line(options.limit or _DEFAULT_LIMIT),) if self.found.is_cut_off else ()
        return self.found.notes + cut_off


def ask(source: Source, options: DepsOptions) -> Answer:
    """Get the graph: of both by default, and of traces where Jaeger's table has nothing."""
    from traceq.analysis.dependencies import from_jaeger, together

    calls = () if options.origin == "traces" else source.dependencies(_table_window(options, is_live=source.is_live))
    if options.origin == "jaeger" and calls:
        return Answer(from_jaeger(calls), None, (_of_table(source, options),))
    found, counted = _count(source, options)
    lines = [_of_traces(source, options, counted)]
    if not calls:
        is_wanted = options.origin == "jaeger" or (source.is_live and options.origin == "both")
        return Answer(counted, found, (*lines, *((_WHY_EMPTY,) if is_wanted else ())))
    lines.append(_of_table(source, options))
    if not counted.trace_count:
        return Answer(from_jaeger(calls), found, tuple(lines[1:]))
    both = together(counted, from_jaeger(calls))
    return Answer(both, found, (*lines, *((_SPURIOUS,) if both.spurious else ())))


def _count(source: Source, options: DepsOptions) -> tuple[Found, Dependencies]:
    from traceq.analysis.call_sums import DependencyOptions, count_calls
    from traceq.analysis.dependencies import from_sums

    limit = options.limit or (_DEFAULT_LIMIT if source.is_live else None)
    found = source.find(TraceQuery(window=options.when.window(is_live=source.is_live), limit=limit))
    looking = DependencyOptions(options.part.group_peers, with_critical=options.question.critical)
    return found, from_sums(count_calls(found.traces, looking))


def _table_window(options: DepsOptions, *, is_live: bool) -> Window:
    when = options.when
    if is_live and when.lookback is None and when.start is None:
        when = replace(when, lookback=_TABLE_LOOKBACK_NS)
    return when.window(is_live=is_live)


def _of_traces(source: Source, options: DepsOptions, counted: Dependencies) -> str:
    when = options.when
    window = window_text(
        when.window(is_live=source.is_live), is_live=source.is_live, lookback_ns=when.effective_lookback
    )
    return (
        f"counted in {plural(counted.trace_count or 0, 'trace')}{', ' + window if window else ''} ({source.location})"
    )


def _of_table(source: Source, options: DepsOptions) -> str:
    when = options.when
    lookback = _TABLE_LOOKBACK_NS if when.lookback is None and when.start is None else when.effective_lookback
    window = window_text(when.window(is_live=source.is_live), is_live=source.is_live, lookback_ns=lookback)
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
