"""`traceq report`: everything about the requests of a service in one file, to be handed on."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct, field, structs

from traceq.cli.compare import (
    SIDE,
    CompareOptions,
    Fetched,
    PlaceSide,
    Side,
    TraceSide,
    WindowSide,
    compared,
    fetch,
    shown_sides,
    side_title,
)
from traceq.cli.messages import tell
from traceq.cli.options import MeasureOption, RequestServiceOptions, RequestsOptions
from traceq.cli.outputs import AnswerOutputOptions, AskingOptions, TopOption
from traceq.cli.session import chosen_format, emit, opened, timed
from traceq.engine import Ask, asking
from traceq.query import Asked

if TYPE_CHECKING:
    from traceq.analysis.comparison.cohorts import Cohort
    from traceq.analysis.comparison.tags import TaggedSample
    from traceq.analysis.requests import RequestOptions
    from traceq.analysis.service_report import ServiceReport
    from traceq.views.comparison import Shown

_side_option = partial(typer.Option, rich_help_panel="What to compare")


class ReportOptions(Struct, frozen=True):
    """The options of `report`."""

    service: RequestServiceOptions = field(default_factory=RequestServiceOptions)
    by: MeasureOption = "critical-time"
    top: TopOption = None
    traces: Annotated[int, typer.Option(min=0, max=10, metavar="N", help="Number of slowest traces to draw.")] = 3
    before: Annotated[
        Side | None, _side_option(help="Compare with this window, file or URL: 'yesterday 14:00..15:00'.", **SIDE)
    ] = None
    after: Annotated[
        Side | None, _side_option(help="The window, file or URL that the report is about: '-1h..now'.", **SIDE)
    ] = None
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    asking: AskingOptions = field(default_factory=AskingOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at, and how."""
        return self.requests.of(self.service.name, self.by, without=self.asking.filters.not_operation)


def report(options: ReportOptions) -> None:
    """Write a page about the requests of a service: what is slow, why, since when, and who is hit.

    One file holds it all: latency, ranking, findings, errors, the slowest traces, call paths and the graph of calls. It
    loads nothing and can be sent, kept and printed. Without --output and --format it is traceq-report-SERVICE.html.

    Examples:
      traceq report chat-service

      traceq report chat-service --lookback 6h --limit 2000 -o incident.html

      traceq report chat-service --before '-2h..-1h' --after '-1h..now'

      traceq report chat-service --source traces.json --format markdown
    """
    output = _output(options)
    # Late: these need numpy, and options are imported for --help.
    from traceq.views.report import MOST_LINES, Shown
    from traceq.views.report import report as drawn

    answer, asked, sides = _asked(options)
    # A document is read later.
    asked = timed(asked) if chosen_format(output) == "text" else asked
    shown = Shown(options.top or MOST_LINES, is_page=chosen_format(output) == "html", sides=sides)
    emit(drawn(answer, asked, shown), asked, output, top=options.top)
    if output.output not in (None, "-") and not output.quiet:
        tell("note", f"wrote {output.output}")


def _output(options: ReportOptions) -> AnswerOutputOptions:
    """Give where the report goes: a page in a file of its own, unless a format or a file was asked for."""
    output = options.asking.output
    if output.output is not None or output.format is not None:
        return output
    whose = re.sub(r"[^A-Za-z0-9._-]+", "-", options.service.name or "").strip("-.")
    return structs.replace(output, output=f"traceq-report{f'-{whose}' if whose else ''}.html")


class _Found(Struct, frozen=True):
    """The answers, and what a comparison with another set needs."""

    answer: ServiceReport
    asked: Asked
    cohort: Cohort
    tagged: TaggedSample


def _asked(options: ReportOptions) -> tuple[ServiceReport, Asked, Shown]:
    """Get the answers, and the comparison with what was before where one is wanted."""
    from traceq.views.comparison import Shown
    from traceq.views.report import MOST_LINES

    sides = [each for each in (options.before, options.after) if each is not None]
    if any(isinstance(each, TraceSide) for each in sides):
        raise typer.BadParameter("a report is about many traces: give windows, files or URLs", param_hint="--before")
    if options.after is not None and options.before is None:
        raise typer.BadParameter("compare with what? give --before, too", param_hint="--after")
    comparing = CompareOptions(requests=options.requests, service=options.service.name, asking=options.asking)
    place, filters = options.asking.source, options.asking.filters
    if isinstance(options.after, PlaceSide):
        place = structs.replace(place, source=[options.after.location])
    with opened(place, _output(options)) as source:
        query = filters.query(options.service.name, is_live=source.is_live, requests=options.requests)
        if isinstance(options.after, WindowSide):
            query = replace(query, window=options.after.window)
        with asking(source, query, options.asking.workers.workers) as ask:
            found = _put(ask, options)
        title = side_title(WindowSide(query.window), source)
    if options.before is None:
        return found.answer, found.asked, Shown()
    after = Fetched(title, found.cohort, found.tagged, found.asked)
    before = fetch(options.before, comparing)
    answer = structs.replace(found.answer, comparison=compared(before, after, comparing))
    return answer, found.asked, shown_sides(before, after, options.top or MOST_LINES)


def _put(ask: Ask, options: ReportOptions) -> _Found:
    """Put all questions in two readings: of all traces, then of those whose tags and spans are shown."""
    from traceq.analysis.service_report import about_all, about_some, combined

    requests = options.request_options()
    first = about_all(requests)
    reply = ask(first)
    of_all = first.rank(reply.sums)
    bottlenecks, *_, cohort = of_all
    second = about_some(bottlenecks, cohort, options.traces)
    # Asking about no trace at all would be taken for a name that does not exist.
    of_some = second.rank(ask(second).sums if second.trace_ids else second.nothing())
    (_, _, tagged), _ = of_some
    return _Found(combined(requests, of_all, of_some), reply.asked, cohort, tagged)
