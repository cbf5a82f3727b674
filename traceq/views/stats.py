"""What `stats` shows: a table of span counts and durations, and how the durations spread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct, structs
from msgspec.structs import replace

from traceq.analysis.naming import with_peer
from traceq.analysis.spread import Spread
from traceq.analysis.statistics import FIGURES, SERVICE, TAG, Statistics, StatisticsRow
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Line, Part, Report, Table, picked, table
from traceq.units import format_count, format_duration, plural
from traceq.views.wording import (
    dim,
    duration_histogram,
    hint,
    more,
    next_line,
    nothing_found,
    reported,
    strong,
    verdict_lines,
)

_HISTOGRAMS = 5
"""Sorts of spans whose durations are drawn."""
_DRAWN_FROM = 5
"""Spans that a sort needs for that: of fewer the table says everything."""

Order: TypeAlias = Literal["self", "total", "count", "average", "p95", "max", "errors", "name"]

_KEYS: dict[Order, Callable[[StatisticsRow], float]] = {
    "self": lambda row: -row.totals.self_time.total_ns,
    "total": lambda row: -row.totals.duration.total_ns,
    "count": lambda row: -row.totals.duration.count,
    "average": lambda row: -row.totals.duration.average_ns,
    "p95": lambda row: -row.totals.duration.percentile(0.95),
    "max": lambda row: -row.totals.duration.max_ns,
    "errors": lambda row: -row.error_ratio,
}


MOST_LINES = 20
"""The number of rows of each level that text shows where nobody asks for another."""


class Shown(Struct, frozen=True):
    """Which rows are shown, and in which order."""

    top: int = MOST_LINES
    """Number of rows of each level."""
    sort: Order = "self"
    is_default: bool = True
    """Whether nobody said what to count by, so that another way of counting can be proposed."""


@report_of.register
def report(answer: Statistics, asked: Asked = NOT_ASKED, shown: Shown = Shown()) -> Report:
    """Show how many spans there are of each sort, how long they took, and how often they failed."""
    answer = replace(answer, rows=tuple(_sorted(answer.rows, shown.sort)))
    blocks: list[Block] = [hint(nothing_found(asked, "spans"))]
    footer: tuple[Line, ...] = ()
    if answer.total.duration.count:
        rows = answer.rows
        blocks = [*verdict_lines(answer.verdict, asked), _headline(answer, asked), Line(), _table(rows, answer, shown)]
        if _first(answer) is None:
            # The table says nothing: most likely the key is misspelt.
            question = answer.sums.near.question
            told = f"no span has the tag '{_title(answer.options.by[0])}'"
            blocks.append(hint(f"{told}: {question}" if question else told))
        blocks += _histograms([row for row in rows if row.totals.duration.count >= _DRAWN_FROM], answer)
        footer = _footer(answer, asked, shown)
    return reported("stats", answer, asked, blocks, footer)


def _first(answer: Statistics) -> StatisticsRow | None:
    """Give the first row that stands for a value; None where there is none, as for a tag that no span has."""
    return next((row for row in answer.rows if row.value.text is not None), None)


def _sorted(rows: Sequence[StatisticsRow], order: Order) -> list[StatisticsRow]:
    """Put rows in order; those without the tag stay last, and ties as they are."""
    if order == "name":
        return sorted(rows, key=lambda row: (row.value.text is None, row.value.text or "", row.value.service))
    key = _KEYS[order]
    return sorted(rows, key=lambda row: (row.value.text is None, key(row)))


def _headline(answer: Statistics, asked: Asked) -> Line:
    total, service = answer.total, answer.options.service
    parts = [
        Part(f"{plural(total.duration.count, 'span')}{f' of {service}' if service else ''}", "strong"),
        Part(f" in {plural(answer.sums.trace_count, 'trace')}{', ' + asked.window if asked.window else ''}"),
        Part(f"   {_marks(total.duration)}"),
    ]
    if total.error_count:
        parts.append(Part(f"   {format_count(total.error_count)} failed", "error"))
    return Line(tuple(parts))


def _marks(spread: Spread) -> str:
    marks = [f"p{round(100 * quantile)} {format_duration(spread.percentile(quantile))}" for quantile in (0.5, 0.95)]
    return "   ".join((*marks, f"max {format_duration(spread.max_ns)}"))


_PRIORITIES = {
    "per_second": 7,
    "error_ratio": 1,
    "self_time.total_ns": 0,
    "self_ratio": 2,
    "duration.total_ns": 5,
    "duration.average_ns": 4,
    "duration.min_ns": 8,
    "duration.p50_ns": 3,
    "duration.p90_ns": 9,
    "duration.p95_ns": 0,
    "duration.p99_ns": 6,
    "duration.max_ns": 5,
}
"""The figures that the terminal shows, and which are left out first."""


def _table(rows: Sequence[StatisticsRow], answer: Statistics, shown: Shown) -> Table:
    levels = answer.options.by
    lines = list(_shown(rows, shown))
    services = structs.replace(SERVICE, can_shrink=True)
    # Whose an operation is goes without saying below its service, or where one service was asked for.
    has_services = not answer.options.service and levels[0] != "service" and any(row.value.service for row, _ in lines)
    found = table((*((services,) if has_services else ()), *_figures()), [row for row, _ in lines])
    operations = _operations(answer.rows)
    names = ["  " * depth + _name_of(row, levels[depth], operations) for row, depth in lines]
    title = " / ".join(_title(level) for level in levels)
    cells = tuple((name, *row) for name, row in zip(names, found.rows, strict=True))
    return Table((Column("value", title, can_shrink=True), *found.columns), cells)


def _figures() -> list[Column[StatisticsRow]]:
    titles = {"self_time.total_ns": "self"}
    figures = {column.path: column for column in picked(FIGURES, "span_count", *_PRIORITIES)}
    # A dash says at a glance what 0 % does not.
    figures["error_ratio"] = structs.replace(
        figures["error_ratio"], value=lambda row: row.error_ratio if row.totals.error_count else None
    )
    return [
        structs.replace(column, title=titles.get(path, column.title), priority=_PRIORITIES.get(path, 0))
        for path, column in figures.items()
    ]


def _title(level: str) -> str:
    return level.removeprefix(TAG)


def _shown(rows: Sequence[StatisticsRow], shown: Shown) -> Iterator[tuple[StatisticsRow, int]]:
    """Give the rows that are shown, each followed by those within it."""
    for row in rows[: shown.top]:
        yield row, 0
        for inner in _sorted(row.rows, shown.sort)[: shown.top]:
            yield inner, 1


def _operations(rows: Sequence[StatisticsRow]) -> Counter[tuple[str | None, str]]:
    """Count what each operation called: where that is one thing only, its name can do without."""
    values = {value for row in rows for value in (row.value, *(inner.value for inner in row.rows))}
    return Counter((value.text, value.service) for value in values if value.service)


def _name_of(row: StatisticsRow, level: str, operations: Mapping[tuple[str | None, str], int]) -> str:
    """Name what the spans of a row have in common."""
    text, service, peer = row.value
    if text is None:
        return f"(without {_title(level)})"
    return with_peer(text, service, peer, is_one_of_several=operations.get((text, service), 0) > 1)


def _histograms(rows: Sequence[StatisticsRow], answer: Statistics) -> list[Block]:
    """Draw how durations spread, all between the same two ends, so that they can be compared."""
    rows, operations = rows[:_HISTOGRAMS], _operations(answer.rows)
    spreads = [row.totals.duration for row in rows]
    blocks: list[Block] = [Line(), strong("Durations")] if rows else []
    for row in rows:
        name = _name_of(row, answer.options.by[0], operations)
        service = f"  {row.value.service}" if row.value.service and not answer.options.service else ""
        blocks += [
            Line((Part(f" {name}{service}   "), Part(_marks(row.totals.duration), "dim"))),
            duration_histogram(row.totals.duration, spreads),
        ]
    return blocks


def _footer(answer: Statistics, asked: Asked, shown: Shown) -> tuple[Line, ...]:
    share = f"share: self time of the {format_duration(answer.sums.traces_ns)} that all traces took together"
    where = plural(answer.sums.trace_count, "trace") + (f" ({asked.location})" if asked.location else "")
    lines = [Line(), dim(share), dim(where + more(answer.rows, "row", shown.top))]
    words = _next_words(answer, asked, shown)
    return (*lines, next_line(asked, *words)) if words else tuple(lines)


_LONGEST_TYPED = 80
"""Characters of a value that is still written into a command."""
_TYPED_KEY, _PLAIN_VALUE = re.compile(r"[^\s\"'=~!<>]+"), re.compile(r"[\w./:{}*+-]+")


def _next_words(answer: Statistics, asked: Asked, shown: Shown) -> tuple[str, ...]:
    """Give the command that goes on: the parts of the default answer, the traces behind a value, or what was meant."""
    level, trace_id, first = answer.options.by[0], asked.query.get("trace_id"), _first(answer)
    service = (answer.options.service,) if answer.options.service else ()
    if first is None:
        if near := answer.sums.near.found:
            return ("stats", *service, *(("--trace", str(trace_id)) if trace_id else ()), "--by", f"{TAG}{near[0][1]}")
        return ("show", str(trace_id), "--attributes") if trace_id else ("search", *service)
    if trace_id:
        return ()
    if level.startswith(TAG):
        condition = _condition(_title(level), first.value.text or "")
        return ("search", *service, "--tag", condition) if condition else ()
    return ("stats", "--by", "service", "--by", "operation") if shown.is_default and not service else ()


def _condition(key: str, value: str) -> str:
    """Write a tag as `--tag` reads it: of a value that nobody types only that there is one, of such a key nothing."""
    if not _TYPED_KEY.fullmatch(key):
        return ""
    if len(value) > _LONGEST_TYPED or not value.isprintable():
        return f"{key} exists"
    if _PLAIN_VALUE.fullmatch(value):
        return f"{key}={value}"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{quoted}"'
