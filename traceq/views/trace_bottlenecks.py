"""What `bottlenecks --trace` shows: one trace, cut down to what holds it up."""

from __future__ import annotations

from dataclasses import replace

from traceq.analysis.culprits import Culprit
from traceq.analysis.one_trace import TraceBottlenecks
from traceq.answer import report_of
from traceq.asked import Asked
from traceq.report import Block, Line, Part, Report
from traceq.units import format_duration, format_ratio, plural
from traceq.views.show import headline
from traceq.views.waterfall import Shown, waterfall
from traceq.views.wording import call_text, chain_text, dim, next_line

_NO_ASKED = Asked()


@report_of.register
def report(answer: TraceBottlenecks, asked: Asked = _NO_ASKED) -> Report:
    """Draw a trace down to its bottlenecks."""
    flagged = frozenset(row for culprit in answer.culprits for row in culprit.rows)
    drawn = waterfall(answer, replace(Shown(), only=flagged or None))
    blocks: list[Block] = [headline(answer.summary), Line(), drawn.timeline, Line()]
    blocks += [_sentence(culprit) for culprit in answer.culprits]
    if not answer.culprits:
        blocks.append(Line((Part("nothing took time"),)))
    footer: tuple[Line, ...] = ()
    if drawn.hidden_count:
        footer = (
            dim(f"{plural(drawn.hidden_count, 'span')} not shown, `traceq show` draws all of them"),
            next_line(asked, "show", answer.summary.trace_id),
        )
    return Report("bottlenecks", answer.to_dict(), answer.records(), tuple(blocks), footer, asked.trace_url)


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
    if culprit.network_ns:
        parts.append(Part(f", {format_duration(culprit.network_ns)} of it between caller and callee"))
    if culprit.statement:
        parts.append(Part(f": {culprit.statement}"))
    return Line(tuple(parts))
