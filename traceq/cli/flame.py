"""`traceq flame`: which call paths time goes to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer
from msgspec import Struct, field, structs

from traceq.cli.compare import SIDE, PlaceSide, Side, TraceSide, WindowSide, side_title
from traceq.cli.options import (
    FilterOptions,
    Measure,
    RequestServiceOptions,
    RequestsOptions,
    SourceOptions,
    TraceOption,
    WorkersOptions,
)
from traceq.cli.outputs import FieldsOutputOptions, format_option
from traceq.cli.references import following, located
from traceq.cli.session import chosen_format, emit, found_trace, opened
from traceq.engine import ask
from traceq.query import Asked, OneTrace, Wanted, together
from traceq.render import FLAME_FORMATS, AnswerFormat, FlameFormat, Format

if TYPE_CHECKING:
    from traceq.analysis.flame import CallPaths, FlameQuestion
    from traceq.analysis.requests import RequestOptions

_side_option = partial(typer.Option, rich_help_panel="What to compare")


class FlameOutputOptions(FieldsOutputOptions, frozen=True):
    """The same for flame graphs."""

    drawings: ClassVar[frozenset[Format]] = FLAME_FORMATS

    format: Annotated[Literal[AnswerFormat, FlameFormat] | None, format_option(Literal[AnswerFormat, FlameFormat])] = (
        None
    )


class FlameOptions(Struct, frozen=True):
    """The options of `flame`."""

    service: RequestServiceOptions = field(default_factory=RequestServiceOptions)
    trace: TraceOption = None
    by: Annotated[
        Measure,
        typer.Option(
            "--by",
            metavar="MEASURE",
            help="What widths stand for: critical-time (adds up to latencies), self-time (to the work that was done) "
            "or duration.",
        ),
    ] = "critical-time"
    before: Annotated[
        Side | None,
        _side_option(help="A window: 'yesterday 14:00..15:00', '-2h..-1h'; also a file, URL or trace id.", **SIDE),
    ] = None
    after: Annotated[Side | None, _side_option(help="The same for the other side: '-1h..now'.", **SIDE)] = None
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Number of call paths to list below the graph.")] = 8
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: FlameOutputOptions = field(default_factory=FlameOutputOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at, and how."""
        return self.requests.of(self.service.name, self.by, without=self.filters.not_operation)


def flame(options: FlameOptions) -> None:
    """Merge the call paths of many requests to a flame graph: which calls of which callers the time goes to.

    Each box is a call path, as wide as the time that it takes, above what it calls. Widths add up, whatever ran in
    parallel. Files for other tools count in nanoseconds: folded stacks (flamegraph.pl --countname=ns), speedscope
    (speedscope.app), trace events (ui.perfetto.dev, chrome://tracing). Of one trace the last two show spans over time.

    Examples:
      traceq flame chat-service

      traceq flame chat-service --by self-time -o chat.folded

      traceq flame --trace 5b8aa5a2d2c872e8 -o trace.speedscope.json

      traceq flame --before 'yesterday 14:00..15:00' --after '-1h..now'

      traceq flame --source archive/ --jobs 8 --format json
    """
    from traceq.analysis.flame import FlameQuestion

    question = FlameQuestion(options.request_options())
    if options.before is not None or options.after is not None:
        _compare(options, question)
    elif options.trace is not None:
        _one_trace(options, options.trace)
    else:
        _merged(options, question)


def _merged(options: FlameOptions, question: FlameQuestion) -> None:
    from traceq.views.flame import report

    with opened(options.source, options.output) as source:
        query = options.filters.query(options.service.name, is_live=source.is_live, requests=options.requests)
        reply = ask(source, query, question, options.workers.workers)
    emit(report(question.rank(reply.sums), reply.asked, options.top), reply.asked, options.output)


def _one_trace(options: FlameOptions, trace_id: str) -> None:
    """Draw one trace, fragments and streams included, since its id was given."""
    from traceq.analysis.culprits import examine
    from traceq.analysis.flame import FlameQuestion
    from traceq.views.flame import report, spans_of

    place = located(trace_id, options.source, options.output)
    with opened(place.source, options.output) as source:
        traces, asked = found_trace(source, place.trace_id, options.service.name)
    requests = structs.replace(options.request_options(), with_fragments=True, include_streams=True)
    examined = examine(traces, requests)
    question = FlameQuestion(requests)
    answer = question.rank(question.sum_up(examined))
    emit(report(answer, asked, options.top, spans_of(examined)), asked, options.output)


def _compare(options: FlameOptions, question: FlameQuestion) -> None:
    from traceq.analysis.flame_changes import compare_paths
    from traceq.views.flame import changes_report

    if options.before is None or options.after is None:
        raise typer.BadParameter("a comparison has two sides: give --before and --after")
    if options.trace is not None:
        raise typer.BadParameter("give the ids of two traces with --before and --after", param_hint="--trace")
    if chosen_format(options.output) in ("perfetto", "chrome"):
        raise typer.BadParameter("it shows one set of spans: folded and speedscope hold both sides", param_hint="-f")
    before, after = (_fetch(side, options, question) for side in (options.before, options.after))
    query: dict[str, object] = {"before": before.title, "after": after.title}
    query |= options.filters.query(options.service.name, is_live=False).to_dict()
    asked = together([before.asked, after.asked], query)
    answer = compare_paths(before.answer, after.answer)
    emit(changes_report(answer, asked, options.top, (before.title, after.title)), asked, options.output)


class _Fetched(Struct, frozen=True):
    """One side of a comparison."""

    title: str
    """What the side is, for people."""
    answer: CallPaths
    asked: Asked


def _fetch(side: Side, options: FlameOptions, question: FlameQuestion) -> _Fetched:
    source, when = options.source, options.filters.when
    if isinstance(side, PlaceSide):
        source = structs.replace(source, source=[side.location])
    elif isinstance(side, TraceSide):
        source = following(side.location, source, options.output)
    elif (when.lookback, when.start, when.end) != (None, None, None):
        raise typer.BadParameter("give windows with --before and --after, or --lookback and the like, not both")
    with opened(source, options.output) as place:
        wanted: Wanted
        if isinstance(side, TraceSide):
            wanted = OneTrace(side.trace_id, options.service.name)
            question = structs.replace(
                question, options=structs.replace(question.options, with_fragments=True, include_streams=True)
            )
        else:
            wanted = options.filters.query(options.service.name, is_live=place.is_live, requests=options.requests)
            wanted = replace(wanted, window=side.window) if isinstance(side, WindowSide) else wanted
        reply = ask(place, wanted, question, options.workers.workers)
        title = side.trace_id if isinstance(side, TraceSide) else side_title(side, place)
    return _Fetched(title, question.rank(reply.sums), reply.asked)
