"""`traceq deps`: who calls whom."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, TypeVar, get_args

import typer
from msgspec import Struct, field, structs

from traceq.catalog import ServiceCall, Window
from traceq.cli.messages import tell
from traceq.cli.options import DURATION, FilterOptions, ServiceOptions, SourceOptions, WorkersOptions, service_argument
from traceq.cli.outputs import FieldsOutputOptions, format_option
from traceq.cli.session import chosen_format, emit, opened
from traceq.cli.terminal import is_terminal
from traceq.engine import Ask, asking
from traceq.errors import ServerError, SourceError
from traceq.query import Asked, TraceQuery, asked_of
from traceq.render import GRAPH_FORMATS, AnswerFormat, Format, GraphFormat
from traceq.sources.interface import Source
from traceq.units import NS_PER_DAY, NS_PER_S, Lookback, format_time
from traceq.views.graphs import Shade, View

if TYPE_CHECKING:
    from traceq.analysis.dependencies import Dependencies
    from traceq.analysis.impact import ImpactSums
    from traceq.query import Asked
    from traceq.report import Report


Which: TypeAlias = Literal["both", "jaeger", "traces"]
Grouping: TypeAlias = Literal["name", "system", "host", "none"]

_TABLE_LOOKBACK_NS = 7 * NS_PER_DAY
"""As in Jaeger UI. A job writes the table at the end of a day and stamps it with that day's midnight: an hour of it is
empty, and nearly always a day of it too."""


class GraphOutputOptions(FieldsOutputOptions, frozen=True):
    """The same for graphs."""

    drawings: ClassVar[frozenset[Format]] = GRAPH_FORMATS

    format: Annotated[Literal[AnswerFormat, GraphFormat] | None, format_option(Literal[AnswerFormat, GraphFormat])] = (
        None
    )


_part_option = partial(typer.Option, rich_help_panel="Which part")
_question_option = partial(typer.Option, rich_help_panel="Questions to the graph")
_look_option = partial(typer.Option, rich_help_panel="How it is drawn")


class CenterOptions(ServiceOptions, frozen=True):
    """What the graph is drawn around."""

    service: Annotated[
        str | None,
        service_argument(help="Service, database or broker: only what is around it; by default the whole graph."),
    ] = None


class PartOptions(Struct, frozen=True):
    """Which part of the graph is drawn."""

    center: CenterOptions = field(default_factory=CenterOptions)
    depth: Annotated[
        int, _part_option(min=0, metavar="N", help="Around a service: how many calls to follow each way.")
    ] = 1
    upstream: Annotated[int | None, _part_option(min=0, metavar="N", help="How many calls to follow upstream.")] = None
    downstream: Annotated[int | None, _part_option(min=0, metavar="N", help="How many calls to follow downstream.")] = (
        None
    )
    min_calls: Annotated[int, _part_option(min=1, metavar="N", help="Only edges with at least N calls.")] = 1
    errors: Annotated[bool, _part_option("--errors", help="Only edges with failures.")] = False
    collapse: Annotated[
        list[str] | None,
        _part_option(metavar="PATTERN", help="Draw all services that match ('ts-*') as one node; repeatable."),
    ] = None
    group_peers: Annotated[
        Grouping,
        _part_option(
            help="Which databases, brokers and hosts become one node: those with the same system and name, the same "
            "system, the same host, or none.",
        ),
    ] = "name"

    @property
    def service(self) -> str | None:
        """What the graph is drawn around; None for all of it."""
        return self.center.name

    @property
    def reach(self) -> tuple[int, int]:
        """How many calls up- and downstream; a direction that was left out has none when the other was given."""
        if self.upstream is None and self.downstream is None:
            return self.depth, self.depth
        return self.upstream or 0, self.downstream or 0

    def of(self, graph: Dependencies, asked: Asked) -> Dependencies:
        """Keep this part of a graph.

        Raises:
            NotFoundError: If the service is not among the nodes.
        """
        # Late: it needs numpy, and options are imported for --help.
        from traceq.analysis.graph_questions import around, busy, collapse, known_name

        graph = collapse(graph, self.collapse or ())
        if self.service is not None:
            graph = around(graph, known_name(self.service, graph, asked), *self.reach)
        return busy(graph, self.min_calls, failing_only=self.errors)


class QuestionOptions(Struct, frozen=True):
    """What to ask the graph instead of drawing it; one at a time."""

    cycles: Annotated[bool, _question_option("--cycles", help="Services that reach themselves.")] = False
    path: Annotated[
        tuple[str, str] | None, _question_option(metavar="FROM TO", help="How one service reaches the other.")
    ] = None
    impact: Annotated[
        str | None, _question_option(metavar="NAME", help="Services that are affected when this one fails.")
    ] = None
    critical: Annotated[bool, _question_option("--critical", help="Calls ranked by critical time.")] = False

    def check(self) -> None:
        """Refuse several at once, and half a path.

        Raises:
            typer.BadParameter: If more than one was asked, or the second name of a path is an option.
        """
        asked = {
            "--cycles": self.cycles,
            "--path": self.path is not None,
            "--impact": self.impact is not None,
            "--critical": self.critical,
        }
        given = [name for name, is_given in asked.items() if is_given]
        if len(given) > 1:
            raise typer.BadParameter(f"one question at a time: {' or '.join(given)}", param_hint=given[-1])
        if self.path is not None and self.path[1].startswith("-"):
            # The parser takes whatever comes second, and what is after an option then is the service.
            raise typer.BadParameter("give two names: from where, and to where", param_hint="--path")


class DepsOptions(Struct, frozen=True):
    """What `deps` takes."""

    part: PartOptions = field(default_factory=PartOptions)
    question: QuestionOptions = field(default_factory=QuestionOptions)
    view: Annotated[
        View,
        _look_option(
            metavar="VIEW",
            help=f"What to draw: {', '.join(get_args(View))}; auto: boxes and arrows where they fit, else a tree.",
        ),
    ] = "auto"
    color_by: Annotated[
        Shade,
        _look_option(
            help="errors: yellow from the first, red from 5 %. latency: p95, yellow from 200 ms, red from 1 s."
        ),
    ] = "errors"
    ascii: Annotated[bool, _look_option("--ascii", help="Draw with ASCII only.")] = False
    watch: Annotated[
        int | None, _look_option(help="Draw again at this interval, with the changes since the last time.", **DURATION)
    ] = None
    origin: Annotated[Which, typer.Option("--from", help="What to count: traces, Jaeger's own table, or both.")] = (
        "both"
    )
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: GraphOutputOptions = field(default_factory=GraphOutputOptions)

    def table_window(self, *, is_live: bool) -> Window:
        """Give the window for Jaeger's own table."""
        when = self.filters.when
        if is_live and when.lookback is None and when.start is None:
            when = structs.replace(when, lookback=Lookback(_TABLE_LOOKBACK_NS))
        return when.window(is_live=is_live)

    def query(self, *, is_live: bool) -> dict[str, object]:
        """Give what was asked for as it stands in JSON."""
        part = self.part
        query = {
            "service": part.service,
            "min_calls": part.min_calls if part.min_calls > 1 else None,
            "errors": part.errors or None,
            "collapse": part.collapse or None,
        }
        known = {key: value for key, value in query.items() if value is not None}
        traces = self.filters.query(None, is_live=is_live).to_dict()
        return known | {key: value for key, value in traces.items() if key != "limit" or self.filters.limit}

    @property
    def has_conditions(self) -> bool:
        """Whether only some traces count, of which Jaeger's own table knows nothing."""
        plain = FilterOptions(when=self.filters.when, limit=self.filters.limit)
        return self.filters != plain

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            typer.BadParameter: If several questions were asked, or --watch has nothing to redraw or no time between.
        """
        self.question.check()
        if self.origin == "jaeger" and self.has_conditions:
            raise typer.BadParameter(
                "Jaeger's own table knows no traces: conditions need --from traces", param_hint="--from"
            )
        if self.part.service is None and not (self.part.upstream is None and self.part.downstream is None):
            raise typer.BadParameter("upstream and downstream of what? name a service", param_hint="--service")
        if self.watch is not None and self.watch < NS_PER_S:
            raise typer.BadParameter("the interval is at least 1s", param_hint="--watch")


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


_Answer = TypeVar("_Answer")

_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def watch(
    ask: Callable[[], _Answer],
    show: Callable[[_Answer, _Answer | None], None],
    interval_ns: int,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], int] = time.time_ns,
) -> None:
    """Ask and show until interrupted; the first question may fail, a later failure is told and tried again.

    Args:
        ask: Gets the graph.
        show: Draws it, given the one before.
        interval_ns: From the end of one drawing to the next question.
        sleep: Waits so many seconds.
        clock: Tells the time, in ns since the epoch.
    """
    try:
        answer = ask()
        last = None
        while True:
            _begin(clock())
            show(answer, last)
            last = answer
            answer = _next(ask, sleep, interval_ns / NS_PER_S)
    except KeyboardInterrupt:
        # How a watch ends, not something that went wrong.
        return


def _next(ask: Callable[[], _Answer], sleep: Callable[[float], None], seconds: float) -> _Answer:
    while True:
        sleep(seconds)
        try:
            return ask()
        except SourceError as error:
            tell("warning", f"{error.message}; asking again in {seconds:g} s")


def _begin(now_ns: int) -> None:
    if is_terminal():
        sys.stdout.write(_CLEAR)
    sys.stdout.write(f"{format_time(now_ns)}\n")
    sys.stdout.flush()
