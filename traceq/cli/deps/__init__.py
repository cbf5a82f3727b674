"""`traceq deps`: who calls whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from msgspec import Struct, structs

from traceq.catalog import ServiceCall
from traceq.cli.deps.options import DepsOptions
from traceq.cli.deps.watching import watch
from traceq.cli.session import chosen_format, emit, opened
from traceq.engine import Ask, asking
from traceq.errors import ServerError
from traceq.query import Asked, TraceQuery, asked_of
from traceq.sources.interface import Source

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies
    from traceq.analysis.impact import ImpactSums
    from traceq.report import Report

__all__ = ("DepsOptions", "deps")


class _Answered(Struct, frozen=True):
    """The whole graph, and what else was asked."""

    graph: Dependencies
    asked: Asked
    impact: ImpactSums | None = None
    """What traces tell of the node that fails; None where they were not asked."""


def deps(options: DepsOptions) -> None:
    """Draw who calls whom, how often and how well, databases and brokers included.

    Calls are counted in traces and, where Jaeger has its own table, compared with it: calls that only one of the two
    knows are named. On Elasticsearch and Cassandra that table is empty until a job has filled it.

    Examples:
      traceq deps

      traceq deps --service chat-service --upstream 2 --downstream 1

      traceq deps --impact user-service --limit 1000 --lookback 6h

      traceq deps --path gateway 'mysql orders'

      traceq deps --format html -o graph.html --source traces.json
    """
    options.check()
    chosen = chosen_format(options.output)
    # A watch draws over what progress would write.
    is_quiet = options.output.quiet or options.watch is not None
    with opened(options.source, structs.replace(options.output, quiet=is_quiet)) as source:
        if options.watch is not None:
            _check_watch(source, chosen)
            watch(lambda: _ask(source, options), lambda answer, last: _show(answer, options, last), options.watch)
            return
        answer = _ask(source, options)
    _show(answer, options, None)


def _check_watch(source: Source, chosen: str) -> None:
    if not source.is_live:
        raise typer.BadParameter("files do not change while they are watched", param_hint="--watch")
    if chosen != "text":
        raise typer.BadParameter(f"a {chosen} document is written once", param_hint="--watch")


def _ask(source: Source, options: DepsOptions) -> _Answered:
    """Get the graph, and what else traces have to be asked for the question about it.

    Raises:
        NotFoundError: If a service that is asked about is not in the graph.
    """
    query = options.filters.query(None, is_live=source.is_live)
    with asking(source, query, options.workers.workers) as traces:
        graph, asked = _graph(source, traces, options)
        asked = structs.replace(asked, query=options.query(is_live=source.is_live))
        return _Answered(graph, asked, _impact(graph, traces, options, asked))


def _graph(source: Source, traces: Ask, options: DepsOptions) -> tuple[Dependencies, Asked]:
    """Get the graph: of both by default, and of traces where Jaeger's table has nothing."""
    from traceq.analysis.call_sums import DependencyOptions
    from traceq.analysis.dependencies import Coverage, DependencyQuestion, from_jaeger, together

    table_window = options.table_window(is_live=source.is_live)
    calls: tuple[ServiceCall, ...] = ()
    without_table: tuple[str, ...] = ()
    origin = "traces" if options.has_conditions else options.origin
    if origin != "traces":
        try:
            calls = traces.recorded(table_window)
        except ServerError as error:
            # Quickwit has none, VictoriaTraces refuses, others fail over theirs; traces tell as well.
            without_table = (f"calls were counted in traces, Jaeger's own table cannot be read: {error.message}",)
    # Few files hold such a table, so nobody misses it there unless it is asked for.
    is_expected = origin == "jaeger" or (origin == "both" and (source.is_live or bool(calls)))
    is_wanted = is_expected and not without_table
    coverage = Coverage(None, table_window if is_wanted else None, len(calls) if is_wanted else None)
    if origin == "jaeger" and calls:
        return structs.replace(from_jaeger(calls), coverage=coverage), asked_of(source, TraceQuery())
    question = DependencyQuestion(DependencyOptions(options.part.group_peers, with_critical=options.question.critical))
    reply = traces(question)
    if origin == "jaeger" and not without_table:
        without_table = ("Jaeger's own table of calls is empty in this window: calls were counted in traces",)
    asked = structs.replace(reply.asked, notes=(*without_table, *reply.asked.notes))
    counted = question.rank(reply.sums)
    coverage = structs.replace(coverage, traces=options.filters.when.window(is_live=source.is_live))
    if not calls:
        return structs.replace(counted, coverage=coverage), asked
    recorded = from_jaeger(calls)
    both = together(counted, recorded) if counted.trace_count else recorded
    return structs.replace(both, coverage=coverage), asked


def _impact(graph: Dependencies, traces: Ask, options: DepsOptions, asked: Asked) -> ImpactSums | None:
    """Ask traces once more: which node is meant, and which peers are services, only the graph of all of them tells."""
    target = options.question.impact
    # Collapsed services are no longer the ones that traces know.
    if target is None or not graph.trace_count or options.part.collapse:
        return None
    from traceq.analysis.graph_questions import known_name
    from traceq.analysis.impact import ImpactQuestion

    node = known_name(target, options.part.of(graph, asked), asked)
    # Of the graph only the nodes matter; it goes to every worker with every slice.
    return traces(ImpactQuestion(node, structs.replace(graph, calls=()), options.part.group_peers)).sums


def _show(answer: _Answered, options: DepsOptions, last: _Answered | None) -> None:
    # What there is to remark was said below the first drawing.
    output = options.output if last is None else structs.replace(options.output, quiet=True)
    emit(_report(answer, options, last), answer.asked, output, is_ascii=options.ascii)


def _report(answer: _Answered, options: DepsOptions, last: _Answered | None) -> Report:
    from traceq.views.dependencies import Shown, report
    from traceq.views.graphs import changes

    asked, part = answer.asked, options.part
    graph = options.part.of(answer.graph, asked)
    question = _question_report(answer, graph, options)
    if question is not None:
        return question
    shown = Shown(
        options.view,
        options.color_by,
        # A page has tools to look around in what a terminal cannot hold.
        is_part=part.service is not None or chosen_format(options.output) == "html",
        is_limited=part.errors or part.min_calls > 1,
        fits_page=chosen_format(options.output) == "svg",
        changed=None if last is None else changes(options.part.of(last.graph, asked), graph),
    )
    return report(graph, asked, shown)


def _question_report(answer: _Answered, graph: Dependencies, options: DepsOptions) -> Report | None:
    """Answer the question that was put to the graph; None where there was none."""
    from traceq.analysis.graph_questions import critical_calls, cycles, find_ways, known_name
    from traceq.analysis.impact import impact
    from traceq.views import dependencies as views

    question, asked = options.question, answer.asked
    if question.cycles:
        return views.cycles_report(cycles(graph), asked)
    if question.path is not None:
        start, end = (known_name(name, graph, asked) for name in question.path)
        return views.ways_report(find_ways(graph, start, end), asked)
    if question.impact is not None:
        target = known_name(question.impact, graph, asked)
        return views.impact_report(impact(graph, target, answer.impact), asked)
    return views.critical_report(critical_calls(graph), asked) if question.critical else None
