"""What is drawn of one trace, or said of its longest parts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from msgspec.structs import replace

from traceq.analysis.critical_path import STRETCH_COLUMNS, CriticalPath, Stretch
from traceq.analysis.culprits import Culprit, Selection
from traceq.analysis.one_trace import (
    SELF_TIME_COLUMNS,
    ExaminedTrace,
    FoundSpans,
    SelfTime,
    TraceBottlenecks,
    event_texts,
    facts,
    find_assumptions,
    offset_of,
)
from traceq.answer import report_of
from traceq.catalog import TraceSummary
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Fields, Line, Part, Report, Unit, picked, table
from traceq.traces import Span
from traceq.units import format_age, format_count, format_duration, format_ratio, format_time, plural, zone_of
from traceq.views.findings import finding_lines
from traceq.views.waterfall import NOTABLE_SHIFT_RATIO, Shown, Waterfall, waterfall
from traceq.views.wording import call_text, chain_text, dim, next_line, reported, strong, verdict_lines

__all__ = ("Shown", "bottlenecks_report", "report", "span_report")

_SHOWN_FINDINGS = 5
_LONG_TREE = 40
"""Rows from which findings come first."""
_ALL = Shown()


@report_of.register
def report(answer: ExaminedTrace, asked: Asked = NOT_ASKED, shown: Shown = _ALL) -> Report:
    """Draw a trace, or the part of it that is wanted."""
    selection = answer.selection
    if selection is not None:
        shown = replace(shown, only=selection.rows, root=selection.wanted.root, matches=selection.matches)
    drawn = waterfall(answer, shown, answer.details)
    # Findings are about the whole trace.
    findings = _findings(answer) if selection is None else []
    first = verdict_lines(answer.verdict, asked)
    if selection is not None and selection.wanted.text is not None:
        first = [_found_line(selection, drawn)]
    tree: list[Block] = [Line(), drawn.timeline]
    # Nobody scrolls through a long tree to find out that there is more.
    parts = [*findings, *tree] if len(drawn.timeline.rows) > _LONG_TREE else [*tree, *findings]
    as_drawn_ns = drawn.timeline.duration_ns if shown.root is None else answer.summary.duration_ns
    blocks: tuple[Block, ...] = (*first, headline(answer.summary, asked, as_drawn_ns), *parts, Line())
    return reported("show", replace(answer, drawn=drawn.shown_rows), asked, blocks, _footer(answer, drawn, asked))


def _found_line(selection: Selection, drawn: Waterfall) -> Line:
    """Say how many spans contain what was looked for, and where that was."""
    count, sought = len(selection.matches), selection.wanted.text
    told = f"{format_count(count) if count else 'None'} of {plural(drawn.span_count, 'span')}"
    verb = "contains" if count == 1 else "contain" if count else "contains"
    looked = "" if count else "; names, services, attributes and events were looked at, in upper and lower case"
    return Line((Part(told, "strong"), Part(f" {verb} "), Part(f"{sought}", "strong"), Part(looked)))


def headline(summary: TraceSummary, asked: Asked = NOT_ASKED, as_drawn_ns: int | None = None) -> Line:
    """Say in one line what a trace is.

    Args:
        summary: Of the trace, as recorded.
        asked: What was asked.
        as_drawn_ns: How long it takes with its clocks corrected, where it is drawn like that.
    """
    recorded_ns = summary.duration_ns
    told = format_duration(recorded_ns if as_drawn_ns is None else as_drawn_ns)
    if told != format_duration(recorded_ns):
        told += f" ({format_duration(recorded_ns)} as recorded)"
    parts = [
        Part(summary.root_service, "service"),
        Part(f" {summary.root_name}  ", "strong"),
        Part(f"{told}  {_when(summary.start_ns, asked)}  "),
        Part(f"{plural(summary.span_count, 'span')}  {plural(len(summary.services), 'service')}"),
    ]
    if summary.error_count:
        parts.append(Part(f"  {plural(summary.error_count, 'error')}", "error"))
    if summary.orphan_count:
        parts.append(Part(f"  incomplete: {plural(summary.orphan_count, 'orphan')}", "error"))
    return Line(tuple(parts))


def _when(start_ns: int, asked: Asked) -> str:
    age = f" ({format_age(asked.asked_ns - start_ns)} ago)" if asked.asked_ns is not None else ""
    return f"{format_time(start_ns)} {zone_of(start_ns)}{age}"


def _findings(answer: ExaminedTrace) -> list[Line]:
    """Draw what is worth a change, the costliest first."""
    shown = answer.findings.findings[:_SHOWN_FINDINGS]
    if not shown:
        return []
    lines = finding_lines(shown, answer.findings.sums.request_count, is_brief=True)
    return [Line(), strong("Findings"), *lines[1:]]


def _footer(answer: ExaminedTrace, drawn: Waterfall, asked: Asked) -> tuple[Line, ...]:
    lines = [dim(text) for text in _remarks(answer, drawn)]
    trace_id = answer.summary.trace_id
    where = asked.trace_url.format(trace_id=trace_id) if asked.trace_url else asked.location
    # The link or the path is there to be copied.
    lines.append(Line((Part(f"trace {trace_id}{f' ({where})' if where else ''}", "dim"),), wraps=False))
    if drawn.abridged_count:
        lines.append(next_line(asked, "show", trace_id, "--all"))
    return tuple(lines)


def _remarks(answer: ExaminedTrace, drawn: Waterfall) -> list[str]:
    texts = [_counts(drawn)] if drawn.hidden_count or drawn.folded_count or drawn.abridged_count else []
    skew = answer.examined.skew
    if skew.largest_ns > NOTABLE_SHIFT_RATIO * answer.summary.duration_ns:
        moved = f"{plural(skew.span_count, 'span')} moved by up to {format_duration(skew.largest_ns)}"
        texts.append(f"clocks corrected: {moved}; --no-skew-correction shows them as recorded")
    if answer.culprits and answer.culprits[0].statement:
        texts.append(f"bottleneck ran: {answer.culprits[0].statement}")
    assumed = find_assumptions(answer.examined)
    if assumed:
        texts.append(f"seen alone, so assumed: {'; '.join(assumed)}")
    return texts


def _counts(drawn: Waterfall) -> str:
    """Say how many of the spans stand in how many rows, and how to see the others."""
    left = drawn.hidden_count + drawn.abridged_count
    told = plural(drawn.span_count, "span")
    if left:
        told = f"{format_count(drawn.span_count - left)} of {told}"
    told += f" in {plural(len(drawn.timeline.rows), 'row')}"
    if drawn.folded_count:
        told += f", {format_count(drawn.folded_count)} folded (--no-fold shows each)"
    if drawn.hidden_count:
        told += f"; {format_count(drawn.hidden_count)} not shown, as asked"
    if drawn.abridged_count:
        ways = "--all shows every one, --depth N the upper levels, --subtree ID what one calls"
        told += f"; {format_count(drawn.abridged_count)} not shown, which tell least: {ways}"
    return told


@report_of.register
def span_report(answer: FoundSpans, asked: Asked = NOT_ASKED) -> Report:
    """Show everything about the spans of one id."""
    blocks: list[Block] = []
    for span in answer.spans:
        blocks += [Line()] if blocks else []
        blocks += [strong(span.name), *_facts(span)]
    return reported("show", answer, asked, blocks)


_PARTS = {"attribute": "Attributes", "resource": "Resource"}
"""What many facts of a span begin with, and the heading under which they stand without it."""


def _facts(span: Span) -> Iterator[Block]:
    """Show what is known about a span, in parts: itself, its attributes, those of its resource, its events."""
    for part, pairs in groupby(facts(span), lambda pair: _PARTS.get(pair[0].partition(" ")[0], "")):
        told = [pair for pair in pairs if not pair[0].startswith("event ")]
        if part:
            yield from (Line(), strong(part))
            told = [(name.partition(" ")[2], value) for name, value in told]
        if told:
            yield Fields(tuple(told))
    for event in span.details.events():
        texts = event_texts(event)
        yield from (Line(), Line((Part(event.name, "strong"), Part(f"  {offset_of(event, span.start_ns)}"))))
        yield from (Fields(tuple(texts)),) if texts else ()


@report_of.register
def bottlenecks_report(answer: TraceBottlenecks, asked: Asked = NOT_ASKED) -> Report:
    """Draw a trace down to its bottlenecks."""
    flagged = frozenset(row for culprit in answer.culprits for row in culprit.rows)
    drawn = waterfall(answer, replace(Shown(), only=flagged or None))
    blocks: list[Block] = [
        *verdict_lines(answer.verdict, asked),
        headline(answer.summary, asked, drawn.timeline.duration_ns),
    ]
    blocks += [Line(), drawn.timeline, Line()]
    blocks += [_sentence(culprit) for culprit in answer.culprits]
    if not answer.culprits:
        blocks.append(Line((Part("nothing took time"),)))
    footer: tuple[Line, ...] = ()
    if drawn.hidden_count:
        footer = (
            dim(f"{plural(drawn.hidden_count, 'span')} not shown, the next command draws all of them"),
            next_line(asked, "show", answer.summary.trace_id),
        )
    return reported("bottlenecks", answer, asked, blocks, footer)


def _sentence(culprit: Culprit) -> Line:
    if culprit.is_entry:
        return Line(
            (
                Part(f"{format_ratio(culprit.ratio)} ", "strong"),
                Part(f"{format_duration(culprit.held_ns)} in "),
                Part(culprit.name, "strong"),
                Part(" itself, with no span inside: profile it, or instrument what it does"),
            )
        )
    parts = [
        Part(f"{format_ratio(culprit.ratio)} ", "strong"),
        Part(f"{format_duration(culprit.held_ns)} in "),
        Part(call_text(culprit), "strong"),
        Part(f" ({chain_text(culprit.chain)})", "dim"),
    ]
    if culprit.outside_ns:
        parts.append(Part(f", {format_duration(culprit.outside_ns)} of it between caller and callee"))
    if culprit.statement:
        parts.append(Part(f": {culprit.statement}"))
    return Line(tuple(parts))


@report_of.register
def critical_path_report(answer: CriticalPath, asked: Asked = NOT_ASKED, top: int = 20) -> Report:
    """Show the longest stretches of critical paths."""
    held = answer.held
    longest = sorted(held, key=lambda stretch: (stretch.start_ns - stretch.end_ns, stretch.start_ns, stretch.span.row))
    heading = strong(f"{plural(len(held), 'stretch', 'stretches')} of critical paths, the longest first")
    begin_ns = min((stretch.start_ns for stretch in held), default=0)
    trace, service, operation, length = picked(STRETCH_COLUMNS, "trace_id", "service", "operation", "length_ns")
    begins = Column[Stretch]("at_ns", "at", Unit.DURATION, lambda stretch: stretch.start_ns - begin_ns, priority=1)
    blocks = (heading, table((trace, service, operation, begins, length), longest[:top]))
    return reported("critical-path", answer, asked, blocks, _rest(len(held) - top))


@report_of.register
def self_time_report(answer: SelfTime, asked: Asked = NOT_ASKED, top: int = 20) -> Report:
    """Show the spans that were busy longest themselves."""
    spans = answer.spans_with_times
    busiest = sorted(spans, key=lambda timed: (-timed[1], timed[0].row))
    heading = strong(f"{plural(len(spans), 'span')}, those first that were busy longest themselves")
    blocks = (heading, table(SELF_TIME_COLUMNS, busiest[:top]))
    return reported("self-time", answer, asked, blocks, _rest(len(spans) - top))


def _rest(left: int) -> tuple[Line, ...]:
    return (dim(f"{plural(left, 'row')} more"),) if left > 0 else ()
