"""What `bottlenecks` shows: the ranking, what slow requests do differently, the slowest of them, and what is beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.bottlenecks import OPERATION_COLUMNS, Bottlenecks, RankedGroup, SlowRequest, with_tag
from traceq.analysis.requests import Measure
from traceq.analysis.spread import Spread
from traceq.answer import Verdict, report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, document, picked, table
from traceq.units import NS_PER_MS, format_duration, format_ratio, plural
from traceq.views.wording import (
    call_text,
    chain_text,
    dim,
    duration_histogram,
    looked_at,
    more,
    next_line,
    nothing_reported,
    reported,
    set_apart_lines,
    strong,
    verdict_lines,
)

if TYPE_CHECKING:
    from traceq.analysis.comparison.tags import TagChanges
    from traceq.analysis.findings import Findings
    from traceq.analysis.group_sums import GroupKey
    from traceq.analysis.what_if import WhatIf

_SHOWN_SLOWEST = 5
MOST_LINES = 10
"""The number of lines that text shows where nobody asks for another."""
MOST_SPANS = 50_000
"""Maximum number of spans in which findings are looked for unasked: to read attributes takes as long again."""
_SHOWN_FINDINGS = 3


class Beside(Struct, frozen=True):
    """What was found beside the ranking."""

    findings: Findings | None = None
    """None where they were not looked for."""
    saving: WhatIf | None = None
    tags: TagChanges | None = None
    """Tag values that the traces of slow requests have more often than others; None where they were not looked for."""

    def blocks(self) -> list[Block]:
        """Draw it: the costliest findings, then the saving."""
        blocks: list[Block] = []
        if self.findings is not None and self.findings.findings:
            # Late, as below: most of what stands beside a ranking is seldom wanted, and costs its import.
            from traceq.views.findings import finding_lines

            blocks += [Line(), strong("Findings")]
            shown = self.findings.findings[:_SHOWN_FINDINGS]
            blocks += finding_lines(shown, self.findings.sums.request_count, is_brief=True)[1:]
        if self.saving is not None:
            from traceq.views.what_if import what_if_blocks

            blocks += [Line(), *what_if_blocks(self.saving)]
        return blocks

    def to_dict(self) -> dict[str, object]:
        """Give it as it stands in JSON; null for what was not looked for."""
        return {
            "findings": None if self.findings is None else self.findings.to_dict()["findings"],
            "what_if": None if self.saving is None else self.saving.to_dict(),
            "tags": None if self.tags is None else _tags_document(self.tags),
        }


def _tags_document(tags: TagChanges) -> object:
    from traceq.analysis.comparison.tags import tag_specs

    return document(tag_specs(lambda found: found), tags)["tags"]


_NOTHING_BESIDE = Beside()


@report_of.register
def report(
    answer: Bottlenecks, asked: Asked = NOT_ASKED, top: int = MOST_LINES, beside: Beside = _NOTHING_BESIDE
) -> Report:
    """Show a ranking, and what was found beside it."""
    if not answer.sums.latency.count:
        nothing = nothing_reported("bottlenecks", answer, asked, answer.sums.set_apart)
        return replace(nothing, document={**nothing.document, **beside.to_dict()})
    said = with_tag(answer.verdict, beside.tags)
    blocks: list[Block] = [*verdict_lines(said, asked), *overview(answer, asked)]
    blocks += [
        Line(),
        Line((Part("Where the time goes   ", "strong"), held_note(answer))),
        ranking(answer, top),
        Line(),
        strong("Slowest requests"),
    ]
    blocks += [table(SLOWEST_COLUMNS, answer.sums.slowest[:_SHOWN_SLOWEST]), *beside.blocks(), Line()]
    found = reported("bottlenecks", answer, asked, blocks, _footer(answer, asked, top))
    return replace(found, document=_document(found.document, said, beside))


def _document(found: Mapping[str, object], said: Verdict | None, beside: Beside) -> dict[str, object]:
    """Put what stands beside the ranking into its document, and into its verdict."""
    verdict = found["verdict"]
    if said is not None and isinstance(verdict, Mapping):
        verdict = {**verdict, **said.numbers, "text": said.text}
    return {**found, "verdict": verdict, **beside.to_dict()}


def overview(answer: Bottlenecks, asked: Asked) -> list[Block]:
    """Give the figures of the latency, and how it spreads."""
    latency, service = answer.sums.latency, answer.options.service
    whose = f" of {service}" if service else ""
    parts = [
        Part(f"{plural(answer.sums.request_count, 'request')}{whose}", "strong"),
        Part(f"{', ' + asked.window if asked.window else ''}   "),
        Part("   ".join(f"{name} {format_duration(value)}" for name, value in _marks(latency))),
    ]
    if answer.sums.failed_count:
        parts.append(Part(f"   {answer.sums.failed_count} failed", "error"))
    if answer.slow_from_ns is not None:
        parts.append(Part(f"   {answer.slow_count} slow, from {format_duration(answer.slow_from_ns)}", "dim"))
    if incomplete := answer.sums.set_apart.incomplete_count:
        parts.append(Part(f"   {incomplete} incomplete", "dim"))
    return [Line(tuple(parts)), duration_histogram(latency, (latency,))]


def _marks(latency: Spread) -> list[tuple[str, int]]:
    marks = [(f"p{round(100 * quantile)}", latency.percentile(quantile)) for quantile in (0.5, 0.95, 0.99)]
    return [*marks, ("max", latency.max_ns)]


def held_note(answer: Bottlenecks) -> Part:
    """Say that times are charged to all requests together: beside percentiles they look huge."""
    title, requests = _HELD_TITLES[answer.options.measure], plural(answer.sums.latency.count, "request")
    return Part(f"{title.upper()} is the sum of {'all spans' if title != 'critical' else requests}", "dim")


_HELD_TITLES: dict[Measure, str] = {"critical-time": "critical", "self-time": "self", "duration": "total"}


def ranking(answer: Bottlenecks, top: int) -> Table:
    """Give where the time goes."""
    by = answer.options.measure
    # What holds nothing up is no bottleneck, wherever the list ends.
    lines = [line for line in answer.groups[:top] if line.held_ns(by)] or answer.groups[:1]
    longest_ns = max(line.held_ns(by) for line in lines) or 1
    in_words = Column[RankedGroup](
        "service", "service", Unit.SERVICE, lambda line: _place(line.key, answer.options.service), can_shrink=True
    )
    bar = Column[RankedGroup]("bar", "", Unit.BAR, lambda line: line.held_ns(by) / longest_ns, priority=3)
    held = Column[RankedGroup]("held_ns", _HELD_TITLES[by], Unit.DURATION, lambda line: line.held_ns(by))
    operation, of_all, of_slow, requests, median, p95, errors = picked(
        OPERATION_COLUMNS,
        *("operation", "critical_ratio", "slow_ratio", "request_count"),
        *("duration.p50_ns", "duration.p95_ns", "error_count"),
    )
    columns = (operation, in_words, bar, held, of_all, of_slow, requests, replace(median, priority=2), p95, errors)
    return table(columns, lines)


def _place(key: GroupKey, asked: str | None) -> str:
    """Say where a call belongs; the service that was asked for goes without saying."""
    return key.place.removeprefix(f"{asked} ") if key.service == asked else key.place


def held_up_by(request: SlowRequest) -> str:
    """Say what held a request up most, and the share of its time."""
    if not request.culprits:
        return request.name
    first, *others = request.culprits
    if first.is_entry:
        return f"{format_ratio(first.ratio)} {first.name} itself"
    more = f", and {plural(len(others), 'other')}" if others else ""
    return f"{format_ratio(first.ratio)} {chain_text((*first.chain[1:-1], (first.service, call_text(first))))}{more}"


SLOWEST_COLUMNS: tuple[Column[Any], ...] = (
    Column[SlowRequest]("trace_id", "trace", Unit.TRACE_ID, lambda request: request.trace_id),
    Column[SlowRequest]("latency_ns", "latency", Unit.DURATION, lambda request: request.latency_ns),
    Column[SlowRequest]("start_ns", "start", Unit.TIME, lambda request: request.start_ns, priority=2),
    Column[SlowRequest]("held_by", "held up by", value=held_up_by, can_shrink=True),
)


def _footer(answer: Bottlenecks, asked: Asked, top: int) -> tuple[Line, ...]:
    sums = answer.sums
    busy = [line for line in answer.groups if line.held_ns(answer.options.measure)]
    idle = f", {plural(left, 'operation')} without any of it" if (left := len(answer.groups) - len(busy)) else ""
    told = f"{looked_at(sums, asked)}{more(busy, 'operation', top)}{idle}"
    lines = [dim(told), *set_apart_lines(sums.set_apart)]
    if sums.largest_shift_ns >= NS_PER_MS:
        moved = f"{plural(sums.moved_span_count, 'span')} moved by up to {format_duration(sums.largest_shift_ns)}"
        lines.append(dim(f"clocks corrected: {moved}"))
    if sums.slowest:
        lines.append(next_line(asked, "show", sums.slowest[0].trace_id))
    return tuple(lines)
