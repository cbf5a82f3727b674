"""What `show` draws: a trace with its critical path and what held it up, or everything about one span."""

from __future__ import annotations

from traceq.analysis.one_trace import ExaminedTrace, FoundSpans, facts
from traceq.answer import report_of
from traceq.asked import Asked
from traceq.catalog import TraceSummary
from traceq.report import Block, Fields, Line, Part, Report
from traceq.units import format_duration, format_time, plural
from traceq.views.findings import finding_lines
from traceq.views.waterfall import NOTABLE_SHIFT_RATIO, Shown, Waterfall, waterfall
from traceq.views.wording import dim

__all__ = ("Shown", "headline", "report", "span_report")

_SHOWN_FINDINGS = 5
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
    blocks: list[Block] = []
    for span in answer.spans:
        blocks += [Line((Part(span.name, "strong"),)), Fields(tuple(facts(span)))]
    return Report("show", answer.to_dict(), answer.records(), tuple(blocks), (), asked.trace_url)
