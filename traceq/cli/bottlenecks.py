"""`traceq bottlenecks`: what makes requests slow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from traceq.cli.histogram import duration_histogram
from traceq.cli.options import (
    FilterOptions,
    MeasureOption,
    OutputOptions,
    RequestsArgument,
    RequestsOptions,
    SourceOptions,
    WorkersOptions,
)
from traceq.cli.output import emit
from traceq.cli.session import opened
from traceq.cli.wording import call_text, chain_text, next_command
from traceq.engine import Ask, OneTrace, asked_of, asking, sum_warnings, with_warnings
from traceq.query import Asked
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, Value
from traceq.units import NS_PER_MS, format_duration, format_ratio, plural

if TYPE_CHECKING:
    from traceq.analysis.bottlenecks import Bottlenecks, BottleneckSums, RankedGroup, SlowRequest
    from traceq.analysis.culprits import RequestOptions
    from traceq.analysis.findings import Findings
    from traceq.analysis.spread import Spread
    from traceq.analysis.what_if import Shortening, WhatIfSums
    from traceq.cli.beside import Beside

_SHOWN_SLOWEST = 5
_NOTABLE_EXCESS = 0.1
"""An operation is to do with being slow when its share is greater by so much in slow requests than in typical ones."""


@dataclass(frozen=True, slots=True)
class BottlenecksOptions:
    """Of `bottlenecks`."""

    service: RequestsArgument = None
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="ID", help="One trace: its tree down to what it flags.")
    ] = None
    by: MeasureOption = "critical-time"
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Lines of the ranking.")] = 10
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CHANGE",
            help="Walk the critical paths again with shorter calls: 'mongodb.insert=-50%', 'mysql=2ms'; repeatable.",
        ),
    ] = None
    findings: Annotated[
        bool | None,
        typer.Option(
            "--findings/--no-findings",
            help="Say what is worth a change; by default in up to 50,000 spans.",
            # Two names make a wide column; among other options it would cut their names off in 80 columns.
            rich_help_panel="Findings",
        ),
    ] = None
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at, and how."""
        return self.requests.of(self.service, self.by)


def bottlenecks(options: BottlenecksOptions) -> None:
    """Rank where the time of a service's requests goes, and what the slow ones do differently.

    Critical time is how long a span alone held its request up; over all spans it adds up to the requests' latency. What
    passes between a caller and its callee (network, queue, connection pool) is charged to the callee.

    Examples:
      traceq bottlenecks chat-service

      traceq bottlenecks chat-service --operation 'POST /rooms/{room_id}/messages' --lookback 6h --limit 1000

      traceq bottlenecks --trace 5b8aa5a2d2c872e8321cf37308d69df2

      traceq bottlenecks chat-service --what-if 'mongodb.insert=-50%'

      traceq bottlenecks chat-service --source archive/ --jobs 8 --format json
    """
    if options.trace is not None:
        _one_trace(options, options.trace)
        return
    with opened(options.source, options.output) as source:
        query = options.filters.query(options.service, is_live=source.is_live)
        with asking(source, query, options.workers.workers) as ask:
            answer = _answer(ask, options)
    emit(_report(answer.asked, answer, options), answer.asked, options.output)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The ranking, with what stands beside it."""

    ranking: Bottlenecks
    beside: Beside
    asked: Asked


def _answer(ask: Ask, options: BottlenecksOptions) -> _Answer:
    """Ask for the ranking, and then for what else it makes worth asking."""
    from traceq.analysis.bottlenecks import BottleneckQuestion

    question = BottleneckQuestion(options.request_options())
    found = ask(question)
    return _Answer(question.rank(found.sums), _beside(found.sums, ask, options), found.asked)


def _beside(sums: BottleneckSums, ask: Ask, options: BottlenecksOptions) -> Beside:
    """Ask for what stands beside the ranking; what is not wanted is not even imported."""
    from traceq.cli.beside import MOST_SPANS, Beside

    are_wanted = sums.span_count <= MOST_SPANS if options.findings is None else options.findings
    findings = _findings(ask, options) if are_wanted else None
    changes, saving = _saving(sums, ask, options) if options.what_if else ((), None)
    return Beside(findings, changes, saving)


def _findings(ask: Ask, options: BottlenecksOptions) -> Findings:
    from traceq.analysis.findings import FindingQuestion

    question = FindingQuestion(options.request_options())
    return question.rank(ask(question).sums)


def _saving(sums: BottleneckSums, ask: Ask, options: BottlenecksOptions) -> tuple[tuple[Shortening, ...], WhatIfSums]:
    from traceq.analysis.selection import meaning_among
    from traceq.analysis.what_if import WhatIfQuestion
    from traceq.cli.what_if import shortenings

    calls = [(key.service, key.name, key.peer) for key in sums.groups.keys]
    # Known only now: what one table lacks another may have.
    changes = tuple(
        replace(change, meaning=meaning_among(calls, change.name)) for change in shortenings(options.what_if or ())
    )
    return changes, ask(WhatIfQuestion(options.request_options(), changes)).sums


def _one_trace(options: BottlenecksOptions, trace_id: str) -> None:
    """Show a trace cut down to what it flags."""
    from traceq.analysis.culprits import examine
    from traceq.cli.trace_bottlenecks import trace_report

    with opened(options.source, options.output) as source:
        traces = source.trace(trace_id)
    examined = examine(traces, replace(options.request_options(), with_fragments=True))
    about = asked_of(source, OneTrace(traces.trace_ids[0], options.service))
    asked = with_warnings(about, sum_warnings(traces.warnings))
    emit(trace_report(asked, examined, options.by), asked, options.output)


def _report(asked: Asked, answer: _Answer, options: BottlenecksOptions) -> Report:
    ranking = answer.ranking
    records = _records(ranking)
    document = {**ranking.to_dict(), **answer.beside.to_dict()}
    if not ranking.sums.latency.count:
        line = Line((Part("no requests match: a longer --lookback, or fewer conditions?", "hint"),))
        return Report("bottlenecks", document, records, (line,), (), asked.trace_url)
    shown = ranking.groups[: options.top]
    blocks: list[Block] = [*_overview(asked, ranking, options), Line()]
    blocks += [Line((Part("Where the time goes", "strong"),)), _table(shown, options)]
    blocks += [*_contrast(ranking), Line(), *_slowest(ranking.sums.slowest[:_SHOWN_SLOWEST])]
    blocks += [*answer.beside.blocks(), Line()]
    return Report("bottlenecks", document, records, tuple(blocks), _footer(asked, ranking, options), asked.trace_url)


def _overview(asked: Asked, ranking: Bottlenecks, options: BottlenecksOptions) -> list[Block]:
    sums = ranking.sums
    whose = f" of {options.service}" if options.service else ""
    latency = sums.latency
    parts = [
        Part(f"{plural(latency.count, 'request')}{whose}", "strong"),
        Part(f"{', ' + asked.window if asked.window else ''}   "),
        Part("   ".join(f"{name} {format_duration(value)}" for name, value in _marks(latency))),
    ]
    if sums.failed_count:
        parts.append(Part(f"   {sums.failed_count} failed", "error"))
    return [Line(tuple(parts)), duration_histogram(latency, (latency,))]


def _marks(latency: Spread) -> list[tuple[str, int]]:
    marks = [(f"p{round(100 * quantile)}", latency.percentile(quantile)) for quantile in (0.5, 0.95, 0.99)]
    return [*marks, ("max", latency.max_ns)]


def _records(ranking: Bottlenecks) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("service", "service", Unit.SERVICE),
        Column("operation", "operation"),
        Column("kind", "kind"),
        Column("peer", "peer"),
        Column("critical_ns", "critical", Unit.DURATION),
        Column("critical_ratio", "of all", Unit.RATIO),
        Column("slow_ratio", "of slow", Unit.RATIO),
        Column("typical_ratio", "of typical", Unit.RATIO),
        Column("network_ns", "network", Unit.DURATION),
        Column("request_count", "requests", Unit.COUNT),
        Column("span_count", "spans", Unit.COUNT),
        Column("error_count", "errors", Unit.ERRORS),
        Column("duration_p50_ns", "p50", Unit.DURATION),
        Column("duration_p95_ns", "p95", Unit.DURATION),
        Column("duration_max_ns", "max", Unit.DURATION),
        Column("self_p50_ns", "self p50", Unit.DURATION),
        Column("self_p95_ns", "self p95", Unit.DURATION),
        Column("example_trace_id", "example", Unit.TRACE_ID),
    )
    return Table(columns, tuple(_record(line) for line in ranking.groups))


def _record(line: RankedGroup) -> tuple[Value, ...]:
    key, sums = line.key, line.sums
    return (
        key.service,
        key.name,
        key.kind.name.lower(),
        None if key.peer is None else key.peer.label,
        sums.critical_ns,
        line.critical_ratio,
        line.slow_ratio,
        line.typical_ratio,
        sums.network_ns,
        sums.request_count,
        sums.duration.count,
        sums.error_count,
        sums.duration.percentile(0.5),
        sums.duration.percentile(0.95),
        sums.duration.max_ns,
        sums.self_time.percentile(0.5),
        sums.self_time.percentile(0.95),
        None if sums.example is None else sums.example.trace_id,
    )


_MEASURE_TITLES = {"critical-time": "critical", "self-time": "self", "duration": "total"}


def _table(lines: tuple[RankedGroup, ...], options: BottlenecksOptions) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("operation", "operation", can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        Column("bar", "", Unit.BAR, priority=3),
        Column("held_ns", _MEASURE_TITLES[options.by], Unit.DURATION),
        Column("critical_ratio", "of all", Unit.RATIO),
        Column("slow_ratio", "of slow", Unit.RATIO),
        Column("request_count", "in", Unit.COUNT, priority=1),
        Column("p50_ns", "p50", Unit.DURATION, priority=2),
        Column("p95_ns", "p95", Unit.DURATION),
        Column("error_count", "errors", Unit.ERRORS, priority=1),
    )
    top = max(line.held_ns(options.by) for line in lines) or 1
    return Table(columns, tuple(_row(line, line.held_ns(options.by), top) for line in lines))


def _row(line: RankedGroup, held_ns: int, top_ns: int) -> tuple[Value, ...]:
    key, sums = line.key, line.sums
    return (
        key.name,
        key.service if key.peer is None else f"{key.service} → {key.peer.system}",
        held_ns / top_ns,
        held_ns,
        line.critical_ratio,
        line.slow_ratio,
        sums.request_count,
        sums.duration.percentile(0.5),
        sums.duration.percentile(0.95),
        sums.error_count,
    )


def _contrast(ranking: Bottlenecks) -> list[Block]:
    """Say in one sentence what slow requests do differently, if anything stands out."""
    line = max(ranking.groups, key=lambda line: line.excess_ratio)
    if ranking.slow_count is None or line.slow_ratio is None or line.typical_ratio is None:
        return []
    slow = f"Slow requests (the slowest {ranking.slow_count}, from {format_duration(ranking.slow_from_ns or 0)} on)"
    if line.excess_ratio < _NOTABLE_EXCESS:
        return [Line((Part(f"{slow} spend their time where the others do."),))]
    where = [
        Part(f"{slow} spend {format_ratio(line.slow_ratio)} of their time in "),
        Part(line.key.name, "strong"),
        Part(f"; typical ones {format_ratio(line.typical_ratio)}."),
    ]
    return [Line(tuple(where))]


def _slowest(requests: tuple[SlowRequest, ...]) -> list[Block]:
    columns: tuple[Column[Any], ...] = (
        Column("trace_id", "trace", Unit.TRACE_ID),
        Column("latency_ns", "latency", Unit.DURATION),
        Column("start_ns", "start", Unit.TIME, priority=2),
        Column("held_by", "held up by", can_shrink=True),
    )
    rows = tuple((request.trace_id, request.latency_ns, request.start_ns, _held_by(request)) for request in requests)
    return [Line((Part("Slowest requests", "strong"),)), Table(columns, rows)]


def _held_by(request: SlowRequest) -> str:
    if not request.culprits:
        return request.name
    first, *others = request.culprits
    more = f", and {plural(len(others), 'other')}" if others else ""
    return f"{format_ratio(first.ratio)} {chain_text((*first.chain[1:-1], (first.service, call_text(first))))}{more}"


def _footer(asked: Asked, ranking: Bottlenecks, options: BottlenecksOptions) -> tuple[Line, ...]:
    sums = ranking.sums
    told = f"{plural(sums.span_count, 'span')} of {plural(sums.trace_count, 'trace')} ({asked.location})"
    left = len(ranking.groups) - options.top
    if left > 0:
        told += f", {plural(left, 'operation')} more: --top {len(ranking.groups)}"
    lines = [Line((Part(told, "dim"),))]
    if sums.largest_shift_ns >= NS_PER_MS:
        moved = f"{plural(sums.moved_span_count, 'span')} moved by up to {format_duration(sums.largest_shift_ns)}"
        lines.append(Line((Part(f"clocks corrected: {moved}", "dim"),)))
    if sums.slowest:
        lines.append(Line((Part(f"next: {next_command(asked, 'show', sums.slowest[0].trace_id)}", "hint"),)))
    return tuple(lines)
