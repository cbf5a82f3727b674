"""What `show` draws: a trace with its critical path and what held it up, or everything about one span."""

from __future__ import annotations

from typing import Any

from traceq.analysis.one_trace import ExaminedTrace, FoundSpans
from traceq.answer import report_of
from traceq.query import Asked
from traceq.report import Block, Column, Fields, Line, Part, Report, Table
from traceq.semantics import value_text
from traceq.summary import TraceSummary
from traceq.traces import Span
from traceq.units import format_duration, format_time, plural
from traceq.views.findings import finding_lines
from traceq.views.waterfall import NOTABLE_SHIFT_RATIO, Shown, Waterfall, waterfall
from traceq.views.wording import dim

__all__ = ("Shown", "headline", "report", "span_report")

_SHOWN_FINDINGS = 5
_PAIR_COLUMNS: tuple[Column[Any], ...] = (Column("key", "key"), Column("value", "value"))
_NO_ASKED = Asked()
_ALL = Shown()


@report_of.register
def report(answer: ExaminedTrace, asked: Asked = _NO_ASKED, shown: Shown = _ALL) -> Report:
    """Draw a trace."""
    drawn = waterfall(answer, shown, answer.details)
    blocks: tuple[Block, ...] = (headline(answer.summary), Line(), drawn.timeline, *_findings(answer), Line())
    return Report("show", answer.to_dict(), answer.records(), blocks, _footer(answer, drawn, asked), asked.trace_url)


def headline(summary: TraceSummary) -> Line:
    """Say in one line what a trace is."""
    parts = [
        Part(summary.root_service, "service"),
        Part(f" {summary.root_name}  ", "strong"),
        Part(f"{format_duration(summary.duration_ns)}  {format_time(summary.start_ns)}  "),
        Part(f"{plural(summary.span_count, 'span')}  {plural(len(summary.services), 'service')}"),
    ]
    if summary.error_count:
        parts.append(Part(f"  {plural(summary.error_count, 'error')}", "error"))
    if summary.orphan_count:
        parts.append(Part(f"  incomplete: {plural(summary.orphan_count, 'orphan')}", "error"))
    return Line(tuple(parts))


def _findings(answer: ExaminedTrace) -> list[Line]:
    """Draw what is worth a change, the costliest first."""
    shown = answer.findings.findings[:_SHOWN_FINDINGS]
    if not shown:
        return []
    lines = finding_lines(shown, answer.findings.sums.request_count, is_brief=True)
    return [Line(), Line((Part("Findings", "strong"),)), *lines[1:]]


def _footer(answer: ExaminedTrace, drawn: Waterfall, asked: Asked) -> tuple[Line, ...]:
    lines = [dim(text) for text in _remarks(answer, drawn)]
    trace_id = answer.summary.trace_id
    where = asked.trace_url.format(trace_id=trace_id) if asked.trace_url else asked.location
    # The link or the path is there to be copied.
    lines.append(Line((Part(f"trace {trace_id}{f' ({where})' if where else ''}", "dim"),), wraps=False))
    return tuple(lines)


def _remarks(answer: ExaminedTrace, drawn: Waterfall) -> list[str]:
    texts = [_counts(drawn)] if drawn.hidden_count or drawn.folded_count else []
    skew = answer.examined.skew
    if skew.largest_ns > NOTABLE_SHIFT_RATIO * answer.summary.duration_ns:
        moved = f"{plural(skew.span_count, 'span')} moved by up to {format_duration(skew.largest_ns)}"
        texts.append(f"clocks corrected: {moved}; --no-skew-correction shows them as recorded")
    if answer.culprits and answer.culprits[0].statement:
        texts.append(f"bottleneck ran: {answer.culprits[0].statement}")
    return texts


def _counts(drawn: Waterfall) -> str:
    parts = []
    if drawn.folded_count:
        parts.append(f"{plural(drawn.folded_count, 'span')} folded into rows like them, --no-fold shows each")
    if drawn.hidden_count:
        parts.append(f"{plural(drawn.hidden_count, 'span')} not shown, as asked")
    return f"{plural(drawn.span_count, 'span')} in {plural(len(drawn.timeline.rows), 'row')}: {', '.join(parts)}"


@report_of.register
def span_report(answer: FoundSpans, asked: Asked = _NO_ASKED) -> Report:
    """Show everything about the spans of one id."""
    pairs = [tuple(_pairs(span)) for span in answer.spans]
    blocks: list[Block] = []
    for span, about in zip(answer.spans, pairs, strict=True):
        blocks += [Line((Part(span.name, "strong"),)), Fields(about)]
    # Attributes would not fit into the columns of rows.
    records = Table(_PAIR_COLUMNS, tuple(pair for about in pairs for pair in about))
    return Report("show", answer.to_dict(), records, tuple(blocks), (), asked.trace_url)


def _pairs(span: Span) -> list[tuple[str, str]]:
    details = span.details
    pairs = [
        ("span", span.span_id),
        ("trace", span.trace_id),
        ("parent", (span.parent_id or "none") + (" (missing)" if span.is_orphan else "")),
        ("service", span.service),
        ("operation", span.name),
        ("kind", span.kind.name.lower()),
        ("status", span.status.name.lower()),
        ("start", format_time(span.start_ns)),
        ("duration", format_duration(span.duration_ns)),
    ]
    if span.peer is not None:
        pairs.append(("peer", span.peer.label))
    pairs += [(f"attribute {key}", value_text(value)) for key, value in sorted(details.attributes().items())]
    pairs += [(f"resource {key}", value_text(value)) for key, value in sorted(details.resource().items())]
    for event in details.events():
        fields = " ".join(f"{key}={value_text(value)}" for key, value in event.attributes.items())
        pairs.append((f"event +{format_duration(event.time_ns - span.start_ns)}", f"{event.name} {fields}".strip()))
    pairs += [("link", f"trace {link.trace_id} span {link.span_id}") for link in details.links()]
    pairs += [("warning", text) for text in dict.fromkeys(details.warnings())]
    return pairs
