"""`traceq bottlenecks --trace`: one trace, cut down to what holds it up."""

from __future__ import annotations

from traceq.analysis.culprits import CULPRIT_COLUMNS, Culprit, Examined, Measure
from traceq.answer import records
from traceq.cli.show import headline, span_records
from traceq.query import Asked
from traceq.report import Block, Line, Part, Report, Table, document
from traceq.summary import summarize
from traceq.units import format_duration, format_ratio, plural
from traceq.views.waterfall import WaterfallOptions, waterfall
from traceq.views.wording import call_text, chain_text, next_command


def trace_report(asked: Asked, examined: Examined, measure: Measure) -> Report:
    """Draw the one trace of an examined table down to its bottlenecks."""
    whole = waterfall(examined, WaterfallOptions(measure=measure))
    flagged = frozenset(row for culprit in whole.culprits for row in culprit.rows)
    drawn = waterfall(examined, WaterfallOptions(measure=measure, only=flagged)) if flagged else whole
    summary = summarize(examined.spans.traces)[0]
    blocks: list[Block] = [headline(summary), Line(), drawn.timeline, Line()]
    blocks += [_sentence(culprit) for culprit in whole.culprits]
    if not whole.culprits:
        blocks.append(Line((Part("no calls below the root: nothing but the root itself took time"),)))
    command = next_command(asked, "show", summary.trace_id)
    footer = f"{plural(drawn.hidden_count, 'span')} not shown, `{command}` draws all of them"
    found = {
        "trace": summary.to_dict(),
        "by": measure,
        "bottlenecks": [document(CULPRIT_COLUMNS, culprit) for culprit in whole.culprits],
    }
    return Report(
        "bottlenecks",
        found,
        records(CULPRIT_COLUMNS, whole.culprits) if whole.culprits else Table(span_records(examined).columns, ()),
        tuple(blocks),
        (Line((Part(footer, "dim"),)),) if drawn.hidden_count else (),
        asked.trace_url,
    )


def _sentence(culprit: Culprit) -> Line:
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
