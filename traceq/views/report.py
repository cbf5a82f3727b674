"""What `report` shows: what is slow, since when, who is hit, and why, each question under a heading of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.bottlenecks import Bottlenecks
from traceq.analysis.comparison.tags import TAG_COLUMNS, TagChange
from traceq.analysis.findings import Finding
from traceq.analysis.one_trace import Details, ExaminedTrace
from traceq.analysis.over_time import ENTRY_COLUMNS
from traceq.analysis.service_report import ServiceReport
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Fields, Heading, Line, Part, Report, picked, table
from traceq.units import format_ratio, plural
from traceq.views import comparison, errors, findings
from traceq.views.bottlenecks import SLOWEST_COLUMNS, held_note, held_up_by, overview, ranking
from traceq.views.flame import flame
from traceq.views.graphs import graph_of
from traceq.views.over_time import since_parts, slow_text, text_of, when_blocks, who_text
from traceq.views.show import headline
from traceq.views.waterfall import Shown as ShownSpans
from traceq.views.waterfall import waterfall
from traceq.views.wording import (
    answer_line,
    dim,
    looked_at,
    next_line,
    nothing_reported,
    reported,
    set_apart_lines,
    verdict_lines,
)

MOST_LINES = 15
"""The number of lines of the ranking where nobody asks for another."""
_MAIN = f"bottlenecks.{Bottlenecks.MAIN}"
_SHOWN_ENTRIES = 8
_SHOWN_TAGS = 8
_SHOWN_FINDINGS = 8
_SHOWN_ERRORS = 8
_NARROWEST = 1000
"""A frame that is narrower than this part of all is not to be seen, and large systems have thousands of them."""


class Shown(Struct, frozen=True):
    """How much is shown, and what is compared."""

    top: int = MOST_LINES
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
    blocks: list[Block] = [*_answer_lines(answer, asked), _summary(answer), Line(), *overview(found, asked), Line()]
    sections = (
        ("What changed", _compared(answer, asked, shown)),
        ("Since when", [*when_blocks(answer.over_time, found.slow_from_ns, asked.asked_ns)]),
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
    return replace(found_report, main=_MAIN, title=f"Requests of {service}" if service else "All requests")


def _answer_lines(answer: ServiceReport, asked: Asked) -> list[Block]:
    """Give the verdict, with what it leaves out; where nothing stands out, that."""
    nothing = answer_line((Part("Requests took no time that could be told apart."),), asked)
    return verdict_lines(answer.verdict, asked) or [nothing]


def _summary(answer: ServiceReport) -> Fields:
    """Answer in one line each what people ask who read nothing else."""
    over_time, finding = answer.over_time, _main_finding(answer)
    told = [("what is slow", slow_text(over_time, answer.bottlenecks.slow_from_ns))]
    if finding is not None:
        told.append(("why", findings.finding_text(finding, answer.findings.sums.request_count)))
    elif answer.bottlenecks.sums.slowest:
        told.append(("why", f"the slowest request: {held_up_by(answer.bottlenecks.sums.slowest[0])}"))
    if answer.comparison is not None:
        told.append(("what changed", answer.comparison.verdict.headline))
    told += [("since when", text_of(since_parts(over_time))), ("who is hit", who_text(over_time, answer.tags))]
    if finding is not None:
        told.append(("what to do", finding.advice))
    return Fields(tuple(told))


def _main_finding(answer: ServiceReport) -> Finding | None:
    """Give the costliest finding about the operation that the verdict names."""
    named = {} if answer.verdict is None else answer.verdict.numbers
    wanted = (named.get("service"), named.get("operation"))
    return next((each for each in answer.findings.findings if (each.key.service, each.key.name) == wanted), None)


def _compared(answer: ServiceReport, asked: Asked, shown: Shown) -> list[Block]:
    if answer.comparison is None:
        return []
    return list(comparison.report(answer.comparison, asked, shown.sides).blocks)


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
                blocks.append(dim(told))
    return blocks


def _calls(answer: ServiceReport) -> list[Block]:
    found = answer.dependencies
    return [graph_of(found, "auto")] if found.nodes else []


def _footer(answer: ServiceReport, asked: Asked) -> tuple[Line, ...]:
    sums = answer.bottlenecks.sums
    service = answer.bottlenecks.options.service
    # It has every call path, however short.
    whole = next_line(asked, "flame", *((service,) if service else ()))
    return (dim(looked_at(sums, asked)), *set_apart_lines(sums.set_apart), whole)
