"""What `report` shows: what is slow, since when, who is hit, and why, each question under a heading of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.comparison.tags import TAG_COLUMNS, TagChange
from traceq.analysis.one_trace import Details, ExaminedTrace
from traceq.analysis.over_time import ENTRY_COLUMNS, OverTime
from traceq.analysis.service_report import ServiceReport
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Heading, HeatMap, Line, Part, Report, picked, table
from traceq.units import format_ratio, format_time, plural
from traceq.views import comparison, errors, findings
from traceq.views.bottlenecks import SLOWEST_COLUMNS, held_note, overview, ranking
from traceq.views.flame import flame
from traceq.views.graphs import graph_of
from traceq.views.show import headline
from traceq.views.waterfall import Shown as ShownSpans
from traceq.views.waterfall import waterfall
from traceq.views.wording import dim, looked_at, nothing_reported, reported, set_apart_lines, verdict_lines

_HEAT_ROWS = 12
_SHOWN_ENTRIES = 8
_SHOWN_TAGS = 8
_SHOWN_FINDINGS = 8
_SHOWN_ERRORS = 8
_NARROWEST = 1000
"""A frame that is narrower than this part of all is not to be seen, and large systems have thousands of them."""


class Shown(Struct, frozen=True):
    """How much is shown, and what is compared."""

    top: int = 15
    """Lines of the ranking."""
    is_page: bool = False
    """Whether the reader can fold, and ask for details."""
    sides: comparison.Shown = field(default_factory=comparison.Shown)


_ALL = Shown()


@report_of.register
def report(answer: ServiceReport, asked: Asked = NOT_ASKED, shown: Shown = _ALL) -> Report:
    """Put the answers to all questions under each other."""
    found = answer.bottlenecks
    if not found.sums.latency.count:
        return nothing_reported("report", answer, asked, found.sums.set_apart)
    blocks: list[Block] = [*verdict_lines(answer.verdict, asked), *overview(found, asked), Line()]
    sections = (
        ("What changed", _compared(answer, asked, shown)),
        ("Since when", [*_when(answer.over_time)]),
        ("Who is hit", _who(answer)),
        ("Where the time goes", [Line((held_note(found),)), ranking(found, shown.top)]),
        ("What to change", _findings(answer)),
        ("Errors", _errors(answer)),
        ("Slowest requests", [table(SLOWEST_COLUMNS, found.sums.slowest), *_traces(answer.traces, shown)]),
        ("Call paths", _paths(answer)),
        ("Who calls whom", _calls(answer)),
    )
    for title, section in sections:
        if section:
            blocks += [Heading(title), *section, Line()]
    found_report = reported("report", answer, asked, blocks, _footer(answer, asked))
    service = found.options.service
    return replace(found_report, title=f"Requests of {service}" if service else "All requests")


def _compared(answer: ServiceReport, asked: Asked, shown: Shown) -> list[Block]:
    if answer.comparison is None:
        return []
    return list(comparison.report(answer.comparison, asked, shown.sides).blocks)


def _when(found: OverTime) -> Iterable[Block]:
    yield Line(tuple(_since(found)))
    yield heat_map(found)


def _since(found: OverTime) -> Iterable[Part]:
    """Say when slow requests began, and how much of the time they fill."""
    first, last = int(found.starts_ns[0]), int(found.starts_ns[-1])
    window = f"{format_time(first)} to {_clock(last, first)}"
    if found.first_slow_ns is None or found.last_slow_ns is None:
        yield Part(f"Requests were made from {window}; they are too few to tell slow ones from others.")
        return
    yield Part(f"The slowest {plural(int(found.slow_starts_ns.size), 'request')} were made from ")
    yield Part(format_time(found.first_slow_ns), "strong")
    yield Part(f" to {_clock(found.last_slow_ns, found.first_slow_ns)}")
    lasted, whole = found.last_slow_ns - found.first_slow_ns, last - first
    if 2 * lasted < whole:
        yield Part(f", within {format_ratio(lasted / whole)} of the time that was looked at")
    yield Part(f"; all requests from {window}.")


def _clock(time_ns: int, other_ns: int) -> str:
    """Write a time, without the day where that is the other's."""
    text, day = format_time(time_ns), format_time(other_ns)[: len("2026-11-22 ")]
    return text.removeprefix(day)


def heat_map(found: OverTime) -> HeatMap:
    """Draw when requests were made and how long they took."""
    return HeatMap(
        found.stretches[0].start_ns,
        found.width_ns,
        int(found.latencies_ns.min()),
        int(found.latencies_ns.max()),
        found.cells(_HEAT_ROWS),
        tuple(stretch.failed_count for stretch in found.stretches),
        found.slow_from_ns,
    )


_OF_OTHERS, _OF_SLOW, _SLOW_COUNT = picked(TAG_COLUMNS, "before_ratio", "after_ratio", "after_trace_count")
_TAGS: tuple[Column[TagChange], ...] = (
    Column("tag", "tag", value=lambda change: f"{change.key}={change.value}", can_shrink=True),
    replace(_OF_SLOW, title="of slow traces"),
    replace(_OF_OTHERS, title="of others"),
    replace(_SLOW_COUNT, title="slow traces"),
)


def _who(answer: ServiceReport) -> list[Block]:
    blocks: list[Block] = [table(ENTRY_COLUMNS, answer.over_time.entries[:_SHOWN_ENTRIES])]
    if answer.tags is None:
        return blocks
    if not answer.tags.changes:
        return [*blocks, dim("No tag value stands out in the traces of slow requests.")]
    return [*blocks, Line((Part("Tags of slow traces", "strong"),)), table(_TAGS, answer.tags.changes[:_SHOWN_TAGS])]


def _findings(answer: ServiceReport) -> list[Block]:
    found = answer.findings
    if not found.findings:
        return [dim("Nothing was found that is worth changing.")]
    return list(findings.finding_lines(found.findings[:_SHOWN_FINDINGS], found.sums.request_count))


def _errors(answer: ServiceReport) -> list[Block]:
    found = answer.errors
    lines = errors.error_lines(found.origins[:_SHOWN_ERRORS], found.sums.request_count)
    return [*verdict_lines(found.verdict, NOT_ASKED), *lines]


def _traces(traces: Sequence[ExaminedTrace], shown: Shown) -> Iterable[Block]:
    """Draw the slowest traces, whole where the reader can fold."""
    for trace in traces:
        drawn = waterfall(trace, ShownSpans(folds=not shown.is_page), Details(whole=shown.is_page))
        yield from (Line(), headline(trace.summary, as_drawn_ns=drawn.timeline.duration_ns), drawn.timeline)


def _paths(answer: ServiceReport) -> list[Block]:
    blocks: list[Block] = []
    for title, paths in (("By critical time", answer.paths), ("By work: self time", answer.work)):
        if paths.total_ns:
            drawn = flame(paths, paths.total_ns // _NARROWEST)
            blocks += [Line((Part(title, "strong"),)), *verdict_lines(paths.verdict, NOT_ASKED), drawn]
            left_out = len(paths.frames) - len(drawn.rows)
            if left_out:
                told = f"{plural(left_out, 'call path')} of less than {format_ratio(1 / _NARROWEST)} each not drawn"
                blocks.append(dim(f"{told}: `traceq flame` has them"))
    return blocks


def _calls(answer: ServiceReport) -> list[Block]:
    found = answer.dependencies
    return [graph_of(found, "auto")] if found.nodes else []


def _footer(answer: ServiceReport, asked: Asked) -> tuple[Line, ...]:
    sums = answer.bottlenecks.sums
    return (dim(looked_at(sums, asked)), *set_apart_lines(sums.set_apart))
