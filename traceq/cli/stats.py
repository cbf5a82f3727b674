"""`traceq stats`: how many spans of each sort, how long they took, how often they failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from traceq.cli.options import FilterOptions, OutputOptions, SkewOption, SourceOptions, WorkersOptions, complete_service
from traceq.cli.output import emit
from traceq.cli.session import opened, wanted_by
from traceq.engine import ask
from traceq.query import Asked
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, Value
from traceq.units import format_count, format_duration, plural
from traceq.views.histogram import duration_histogram
from traceq.views.wording import next_command, nothing_found

if TYPE_CHECKING:
    from traceq.analysis.spread import Spread
    from traceq.analysis.statistics import Statistics, StatisticsOptions, StatisticsRow

_HISTOGRAMS = 5
"""Sorts of spans whose durations are drawn."""
_DRAWN_FROM = 5
"""Spans that a sort needs for that: of fewer the table says everything."""

Order = Literal["self", "total", "count", "average", "p95", "max", "errors", "name"]

_KEYS: dict[str, Callable[[StatisticsRow], float]] = {
    "self": lambda row: -row.totals.self_time.total_ns,
    "total": lambda row: -row.totals.duration.total_ns,
    "count": lambda row: -row.totals.duration.count,
    "average": lambda row: -_average_ns(row.totals.duration),
    "p95": lambda row: -row.totals.duration.percentile(0.95),
    "max": lambda row: -row.totals.duration.max_ns,
    "errors": lambda row: -row.error_ratio,
}


@dataclass(frozen=True, slots=True)
class StatsOptions:
    """Of `stats`."""

    service: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVICE]",
            help="Only spans of this service; without it all.",
            autocompletion=complete_service,
        ),
    ] = None
    trace: Annotated[str | None, typer.Option("--trace", metavar="ID", help="Only this trace.")] = None
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="service|operation|tag:KEY",
            help="What to count by; twice for the second within the first. "
            "By default the service, and the operation where one service or trace is asked for.",
        ),
    ] = None
    sort: Annotated[Order, typer.Option(help="What the greatest goes first by.")] = "self"
    top: Annotated[int, typer.Option(min=1, metavar="N", help="So many rows of each level.")] = 20
    no_skew_correction: SkewOption = False
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def statistics_options(self) -> StatisticsOptions:
        """Give what to count by.

        Raises:
            typer.BadParameter: If nothing can be counted by what was typed.
        """
        from traceq.analysis.statistics import StatisticsOptions

        default = "operation" if self.service or self.trace else "service"
        try:
            return StatisticsOptions(tuple(self.by or [default]), self.service, not self.no_skew_correction)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--by") from error


def stats(options: StatsOptions) -> None:
    """Count spans by service, operation or tag: durations, self times, percentiles, errors, rates.

    Self time is what no child covers; its share is of the durations of all traces, above 100 % where work went on side
    by side. Spans without the tag have a row of their own.

    Examples:
      traceq stats

      traceq stats chat-service --by operation

      traceq stats --by service --by operation --sort p95 --lookback 6h

      traceq stats chat-service --by tag:http.status_code --by operation

      traceq stats --trace 5b8aa5a2d2c872e8321cf37308d69df2 --source traces.json
    """
    from traceq.analysis.statistics import StatisticsQuestion

    counted = options.statistics_options()
    with opened(options.source, options.output) as source:
        question = StatisticsQuestion(counted)
        reply = ask(source, wanted_by(options, source), question, options.workers.workers)
    answer = question.rank(reply.sums)
    emit(_report(reply.asked, answer, options), reply.asked, options.output)


def _report(asked: Asked, answer: Statistics, options: StatsOptions) -> Report:
    blocks: list[Block] = [Line((Part(nothing_found(asked, "spans"), "hint"),))]
    footer: tuple[Line, ...] = ()
    if answer.total.duration.count:
        rows = _sorted(answer.rows, options.sort)
        blocks = [_headline(asked, answer, options), Line(), _table(rows, options, answer)]
        blocks += _histograms([row for row in rows if row.totals.duration.count >= _DRAWN_FROM], answer)
        footer = _footer(asked, answer, options)
    return Report("stats", answer.to_dict(), _records(answer), tuple(blocks), footer, asked.trace_url)


def _sorted(rows: Sequence[StatisticsRow], order: Order) -> list[StatisticsRow]:
    """Put rows in order; those without the tag stay last, and ties as they are."""
    if order == "name":
        return sorted(rows, key=lambda row: (row.value.text is None, row.value.text or "", row.value.service))
    key = _KEYS[order]
    return sorted(rows, key=lambda row: (row.value.text is None, key(row)))


def _headline(asked: Asked, answer: Statistics, options: StatsOptions) -> Line:
    total = answer.total
    whose = f" of {options.service}" if options.service else ""
    parts = [
        Part(f"{plural(total.duration.count, 'span')}{whose}", "strong"),
        Part(f" in {plural(answer.sums.trace_count, 'trace')}{', ' + asked.window if asked.window else ''}"),
        Part(f"   {_marks(total.duration)}"),
    ]
    if total.error_count:
        parts.append(Part(f"   {format_count(total.error_count)} failed", "error"))
    return Line(tuple(parts))


def _marks(spread: Spread) -> str:
    marks = [f"p{round(100 * quantile)} {format_duration(spread.percentile(quantile))}" for quantile in (0.5, 0.95)]
    return "   ".join((*marks, f"max {format_duration(spread.max_ns)}"))


def _average_ns(spread: Spread) -> int:
    return round(spread.total_ns / spread.count) if spread.count else 0


def _table(rows: Sequence[StatisticsRow], options: StatsOptions, answer: Statistics) -> Table:
    levels = answer.options.by
    columns: tuple[Column[Any], ...] = (
        Column("value", " / ".join(_title(level) for level in levels), can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        Column("span_count", "spans", Unit.COUNT),
        Column("per_second", "per s", priority=7),
        Column("error_ratio", "failed", Unit.RATIO, priority=1),
        Column("self_total_ns", "self", Unit.DURATION),
        Column("self_ratio", "share", Unit.RATIO, priority=2),
        Column("total_ns", "total", Unit.DURATION, priority=5),
        Column("average_ns", "avg", Unit.DURATION, priority=4),
        Column("min_ns", "min", Unit.DURATION, priority=8),
        Column("p50_ns", "p50", Unit.DURATION, priority=3),
        Column("p90_ns", "p90", Unit.DURATION, priority=9),
        Column("p95_ns", "p95", Unit.DURATION),
        Column("p99_ns", "p99", Unit.DURATION, priority=6),
        Column("max_ns", "max", Unit.DURATION, priority=5),
    )
    # Whose an operation is goes without saying below its service, or where one service was asked for.
    lines = [_line(row, depth, options, levels) for row, depth in _shown(rows, options)]
    if not any(line[1] for line in lines):
        return Table((columns[0], *columns[2:]), tuple((line[0], *line[2:]) for line in lines))
    return Table(columns, tuple(lines))


def _title(level: str) -> str:
    return level.removeprefix("tag:")


def _shown(rows: Sequence[StatisticsRow], options: StatsOptions) -> Iterator[tuple[StatisticsRow, int]]:
    """Give the rows that are shown, each followed by those within it."""
    for row in rows[: options.top]:
        yield row, 0
        for inner in _sorted(row.rows, options.sort)[: options.top]:
            yield inner, 1


def _line(row: StatisticsRow, depth: int, options: StatsOptions, levels: tuple[str, ...]) -> tuple[Value, ...]:
    duration, self_time = row.totals.duration, row.totals.self_time
    return (
        "  " * depth + name_of(row, levels[depth]),
        "" if options.service or levels[0] == "service" else row.value.service,
        duration.count,
        _rate(row.per_second),
        row.error_ratio if row.totals.error_count else None,
        self_time.total_ns,
        row.self_ratio,
        duration.total_ns,
        _average_ns(duration),
        duration.min_ns,
        *(duration.percentile(quantile) for quantile in (0.5, 0.9, 0.95, 0.99)),
        duration.max_ns,
    )


def name_of(row: StatisticsRow, level: str) -> str:
    """Name what the spans of a row have in common."""
    return f"(without {_title(level)})" if row.value.text is None else row.value.text


def _rate(per_second: float | None) -> str:
    if per_second is None:
        return "-"
    if per_second >= 99.95:
        return format_count(round(per_second))
    return f"{per_second:.1f}" if per_second >= 9.995 else f"{per_second:.2f}" if per_second >= 0.01 else "<0.01"


def _histograms(rows: Sequence[StatisticsRow], answer: Statistics) -> list[Block]:
    """Draw how durations spread, all between the same two ends, so that they can be compared."""
    rows = rows[:_HISTOGRAMS]
    spreads = [row.totals.duration for row in rows]
    blocks: list[Block] = [Line(), Line((Part("Durations", "strong"),))] if rows else []
    for row in rows:
        name = name_of(row, answer.options.by[0])
        service = f"  {row.value.service}" if row.value.service and not answer.options.service else ""
        blocks += [
            Line((Part(f" {name}{service}   "), Part(_marks(row.totals.duration), "dim"))),
            duration_histogram(row.totals.duration, spreads),
        ]
    return blocks


def _footer(asked: Asked, answer: Statistics, options: StatsOptions) -> tuple[Line, ...]:
    told = f"share: self time of the {format_duration(answer.sums.traces_ns)} that all traces took together"
    where = f"{plural(answer.sums.trace_count, 'trace')} ({asked.location})"
    left = len(answer.rows) - options.top
    if left > 0:
        where += f", {plural(left, 'row')} more: --top {len(answer.rows)}"
    lines = [Line(), Line((Part(told, "dim"),)), Line((Part(where, "dim"),))]
    if options.by is None and not options.service and not options.trace:
        command = next_command(asked, "stats", "--by", "service", "--by", "operation")
        lines.append(Line((Part(f"next: {command}", "hint"),)))
    return tuple(lines)


def _records(answer: Statistics) -> Table:
    """Give one record a row of the innermost level."""
    levels = answer.options.by
    keys = [level.replace("tag:", "tag_", 1) for level in levels]
    columns: tuple[Column[Any], ...] = (
        *(Column(key, key) for key in keys),
        *(() if "service" in keys or "operation" not in keys else (Column("service", "service", Unit.SERVICE),)),
        Column("span_count", "spans", Unit.COUNT),
        Column("error_count", "errors", Unit.ERRORS),
        Column("error_ratio", "failed", Unit.RATIO),
        Column("per_second", "per s"),
        Column("self_ratio", "share", Unit.RATIO),
        *(
            Column(f"{measure}_{key}_ns", f"{measure} {key}", Unit.DURATION)
            for measure in ("duration", "self")
            for key in ("total", "average", "min", "p50", "p90", "p95", "p99", "max")
        ),
    )
    rows = []
    for row in answer.rows:
        for inner in row.rows or (row,):
            values = [each.value.text for each in ((row, inner) if row.rows else (row,))]
            service = inner.value.service or row.value.service
            named = [*values, service] if "service" not in keys and "operation" in keys else values
            rows.append((*named, *_figures(inner)))
    return Table(columns, tuple(rows))


def _figures(row: StatisticsRow) -> tuple[Value, ...]:
    totals = row.totals
    spreads = (totals.duration, totals.self_time)
    return (
        totals.duration.count,
        totals.error_count,
        row.error_ratio,
        row.per_second,
        row.self_ratio,
        *(figure for spread in spreads for figure in _spread_figures(spread)),
    )


def _spread_figures(spread: Spread) -> tuple[int, ...]:
    percentiles = (spread.percentile(quantile) for quantile in (0.5, 0.9, 0.95, 0.99))
    return (spread.total_ns, _average_ns(spread), spread.min_ns, *percentiles, spread.max_ns)
