"""`traceq bottlenecks`: what makes requests slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.cli.options import MeasureOption, RequestServiceOptions, RequestsOptions, parser
from traceq.cli.outputs import AskingOptions, TopOption
from traceq.cli.session import emit, found_trace, opened
from traceq.engine import Ask, asking
from traceq.errors import NextCommand

if TYPE_CHECKING:
    from traceq.analysis.bottlenecks import BottleneckSums
    from traceq.analysis.comparison.tags import TagChanges
    from traceq.analysis.requests import RequestOptions
    from traceq.analysis.what_if import Shortening
    from traceq.views.bottlenecks import Beside


_FEW_TRACES = 1_000
"""So few have hardly ever more spans than those for which findings are shown by default."""


def _shortening(text: str) -> Shortening:
    from traceq.analysis.what_if import parse_shortening

    return parse_shortening(text)


class BottlenecksOptions(Struct, frozen=True):
    """The options of `bottlenecks`."""

    service: RequestServiceOptions = field(default_factory=RequestServiceOptions)
    trace: Annotated[
        str | None,
        typer.Option("--trace", metavar="ID", help="Show only this trace, down to the calls that hold it up."),
    ] = None
    by: MeasureOption = "critical-time"
    top: TopOption = None
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    what_if: Annotated[
        # Not `Shortening`: its module needs numpy, and options are imported for --help.
        list[Any] | None,
        typer.Option(
            parser=parser(_shortening),
            metavar="NAME=CHANGE",
            help="Estimate the effect of shorter calls: 'mongodb.insert=-50%', 'mysql=2ms'; repeatable.",
        ),
    ] = None
    findings: Annotated[
        bool | None,
        typer.Option(
            "--findings/--no-findings",
            help="Also show findings; by default for up to 50,000 spans.",
            # Two names make a wide column; among other options it would cut their names off in 80 columns.
            rich_help_panel="Findings",
        ),
    ] = None
    tags: Annotated[
        bool | None,
        typer.Option(
            "--tags/--no-tags",
            help="Also say which tag value slow requests have; by default for up to 50,000 spans of a server.",
            rich_help_panel="Findings",
        ),
    ] = None
    asking: AskingOptions = field(default_factory=AskingOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at, and how."""
        return self.requests.of(self.service.name, self.by, without=self.asking.filters.not_operation)

    def reads_details(self, limit: int | None) -> bool:
        """Tell whether to read attributes at once, because findings will need them: reading twice costs more.

        Without a limit, files are read in slices, once for each question.
        """
        return limit is not None and (limit <= _FEW_TRACES if self.findings is None else self.findings)


def bottlenecks(options: BottlenecksOptions) -> None:
    """Rank where the time of a service's requests goes, and show what slow ones do differently.

    Critical time is how long a request waited for a span alone; over all spans it adds up to the latency of the
    requests. Time between a caller and its callee (network, queue, connection pool) is charged to the callee.

    Examples:
      traceq bottlenecks chat-service

      traceq bottlenecks chat-service --operation 'GET /rooms' --limit 1000

      traceq bottlenecks --trace 5b8aa5a2d2c872e8321cf37308d69df2

      traceq bottlenecks chat-service --what-if 'mongodb.insert=-50%'

      traceq bottlenecks chat-service --source archive/ --jobs 8 --format json
    """
    if options.trace is not None:
        if options.what_if:
            raise typer.BadParameter("it is estimated over many requests, not for one --trace", param_hint="--what-if")
        if options.findings:
            command = NextCommand(("show", options.trace), options.asking.source.locations)
            raise typer.BadParameter(f"`{command}` lists those of one trace", param_hint="--findings")
        _one_trace(options, options.trace)
        return
    # Late: these need numpy, and options are imported for --help.
    from traceq.analysis.bottlenecks import BottleneckQuestion
    from traceq.views.bottlenecks import MOST_LINES, report

    question = BottleneckQuestion(options.request_options())
    with opened(options.asking.source, options.asking.output) as source:
        query = options.asking.filters.query(options.service.name, is_live=source.is_live, requests=options.requests)
        question = replace(question, needs_details=options.reads_details(query.limit))
        with asking(source, query, options.asking.workers.workers) as ask:
            reply = ask(question)
            beside = _beside(reply.sums, ask, options, is_live=source.is_live)
    answer = question.rank(reply.sums)
    emit(
        report(answer, reply.asked, options.top or MOST_LINES, beside),
        reply.asked,
        options.asking.output,
        top=options.top,
    )


def _beside(sums: BottleneckSums, ask: Ask, options: BottlenecksOptions, *, is_live: bool) -> Beside:
    """Ask for what stands beside the ranking; what is not wanted is not even imported."""
    from traceq.views.bottlenecks import MOST_SPANS, Beside

    findings = saving = None
    is_small = sums.span_count <= MOST_SPANS
    if is_small if options.findings is None else options.findings:
        from traceq.analysis.findings import FindingQuestion

        question = FindingQuestion(options.request_options())
        findings = question.rank(ask(question).sums)
    if options.what_if:
        from traceq.analysis.columns import meaning_among
        from traceq.analysis.what_if import WhatIfQuestion

        calls = [(key.service, key.name, key.peer) for key in sums.groups.keys]
        # Known only now: what one table lacks another may have.
        changes = tuple(replace(each, meaning=meaning_among(calls, each.name)) for each in options.what_if)
        what_if = WhatIfQuestion(options.request_options(), changes)
        saving = what_if.rank(ask(what_if).sums)
    # A server's answer is in memory, and findings have read its attributes; of a file they would be read once more.
    is_free = is_live and is_small and options.findings is not False
    tags = _slow_tags(sums, ask, options) if (is_free if options.tags is None else options.tags) else None
    return Beside(findings, saving, tags)


def _slow_tags(sums: BottleneckSums, ask: Ask, options: BottlenecksOptions) -> TagChanges | None:
    """Compare the tags of slow requests with those of the others; None where there are too few to tell them apart."""
    from traceq.analysis.bottlenecks import slow_count
    from traceq.analysis.comparison.cohorts import CohortQuestion, split_slowest
    from traceq.analysis.comparison.tags import TagQuestion, choose, compare_tags

    count = slow_count(sums.latency)
    if count is None:
        return None
    cohort = ask(CohortQuestion(options.request_options())).sums.cohort
    split = split_slowest(cohort, count)
    question = TagQuestion(tuple(choose(cohort.of(part).traces) for part in (split.before, split.after)))
    others, slow = question.rank(ask(question).sums)
    return compare_tags(others, slow)


def _one_trace(options: BottlenecksOptions, trace_id: str) -> None:
    """Show a trace cut down to what it flags."""
    from traceq.analysis.one_trace import trace_bottlenecks
    from traceq.cli.references import located
    from traceq.views.show import bottlenecks_report

    place = located(trace_id, options.asking.source, options.asking.output)
    with opened(place.source, options.asking.output) as source:
        traces, asked = found_trace(source, place.trace_id, options.service.name)
    answer = trace_bottlenecks(traces, options.request_options())
    emit(bottlenecks_report(answer, asked), asked, options.asking.output)
