"""How findings are put into words: in `traceq findings`, and beside other answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from traceq.analysis.findings import KINDS, Finding, Findings
from traceq.analysis.naming import whose
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Issue, Line, Part, Report
from traceq.units import format_count, format_duration, format_ratio, plural
from traceq.views.wording import (
    count_parts,
    dim,
    looked_at,
    more,
    next_line,
    nothing_reported,
    reported,
    set_apart_lines,
    verdict_lines,
)

_COST_WIDTH = len("1 m 00 s")
_SHARE_WIDTH = len("100 %")
_INDENT = " " * 5
_LONGEST_TEXT = 300


MOST_LINES = 10
"""The number of lines that text shows where nobody asks for another."""


@report_of.register
def report(answer: Findings, asked: Asked = NOT_ASKED, top: int = MOST_LINES) -> Report:
    """Show what is worth a change, each finding with its evidence and advice."""
    issues = tuple(_issue(finding, answer.sums.request_count) for finding in answer.findings)
    if not answer.sums.request_count:
        return replace(nothing_reported("findings", answer, asked, answer.sums.set_apart), issues=issues)
    lines = finding_lines(answer.unacknowledged[:top], answer.sums.request_count)
    blocks = (*verdict_lines(answer.verdict, asked), *_headline(answer, asked), *lines, *_decided(answer))
    return replace(reported("findings", answer, asked, blocks, _footer(answer, asked, top)), issues=issues)


def _decided(answer: Findings) -> list[Line]:
    """List what is left as it is, and why."""
    lines = []
    for finding in answer.findings:
        if decision := finding.acknowledged:
            until = f", until {decision.expires}" if decision.expires else ""
            told = f"{decision.reason}{f' ({decision.by}{until})' if decision.by else until}"
            lines.append(dim(f"acknowledged: {finding.signature}: {told}"))
    return [Line(), *lines] if lines else []


def _issue(finding: Finding, request_count: int) -> Issue:
    key, example = finding.key, finding.totals.examples[0]
    title, decision = KINDS[key.kind].title, finding.acknowledged
    by = f"({decision.by})" if decision and decision.by else ""
    cost_ns = finding.totals.cost_ns
    cost = f"{format_duration(cost_ns)} on the critical path, {format_ratio(finding.ratio)} of all time; "
    return Issue(
        rule=key.kind,
        title=f"{title}: {key.name}{whose(key.service, key.name, key.peer, key.service)}",
        rule_title=title,
        text=f"{cost if cost_ns else ''}{_evidence(finding, request_count)}",
        level="error" if key.kind == "error" else "warning",
        advice=finding.advice,
        signature=finding.signature,
        file=example.file,
        line=example.line,
        name=f"{key.service} {key.name}",
        trace_ids=tuple(each.trace_id for each in finding.totals.examples),
        accepted=f"{decision.reason} {by}".rstrip() if decision else "",
    )


def _headline(answer: Findings, asked: Asked) -> list[Line]:
    """Say how much there is of what; where nothing was found, the verdict has said it."""
    count = len(answer.unacknowledged)
    if not count:
        return []
    parts = count_parts(count, "finding", answer.sums.request_count, answer.options.service, asked)
    if answer.sums.latency_ns:
        parts.append(
            Part(f"   all time: the {format_duration(answer.sums.latency_ns)} that these took together", "dim")
        )
    return [Line(tuple(parts))]


def _footer(answer: Findings, asked: Asked, top: int) -> tuple[Line, ...]:
    lines = [Line()] if answer.findings else []
    if any(finding.totals.cost_ns for finding in answer.unacknowledged):
        lines.append(
            dim("cost: time on the critical path, the most that fixing it saves, and its share of all latency")
        )
    lines.append(dim(looked_at(answer.sums, asked) + more(answer.unacknowledged, "finding", top)))
    if answer.known_count:
        lines.append(dim(f"{plural(answer.known_count, 'finding')} of before left out"))
    return (*lines, *set_apart_lines(answer.sums.set_apart), next_line(asked, *_next_words(answer, asked)))


def _next_words(answer: Findings, asked: Asked) -> tuple[str, ...]:
    if answer.unacknowledged:
        return ("show", answer.unacknowledged[0].totals.examples[0].trace_id)
    named = (answer.options.service,) if answer.options.service else ()
    one = ("--trace", str(asked.query["trace_id"])) if "trace_id" in asked.query else ()
    return ("bottlenecks", *named, *one)


def finding_lines(findings: Sequence[Finding], request_count: int, *, is_brief: bool = False) -> list[Line]:
    """Draw findings, each after a blank line: what it costs and is, how often, what ran, what to try, where to look.

    Args:
        findings: In the order in which they are to stand.
        request_count: Of all requests that were looked at.
        is_brief: Whether what ran and where to look are left out, for reports that are about more than findings.
    """
    lines = []
    for finding in findings:
        lines += [Line(), _title(finding), _indented(_evidence(finding, request_count))]
        if finding.remark:
            lines.append(_indented(_shortened(finding.remark)))
        if finding.statement and not is_brief:
            lines.append(_indented(_shortened(finding.statement), "dim"))
        lines.append(_indented(finding.advice, "hint"))
        if not is_brief:
            lines.append(_indented(_where_to_look(finding), "dim"))
    return lines


def _title(finding: Finding) -> Line:
    key, cost_ns = finding.key, finding.totals.cost_ns
    cost = format_duration(cost_ns) if cost_ns else "-"
    ratio = format_ratio(finding.ratio) if cost_ns else "-"
    where = key.service if key.peer is None else f"{key.service} → {key.peer.system}"
    return Line(
        (
            Part(f"{cost:>{_COST_WIDTH}}  {ratio:>{_SHARE_WIDTH}}  "),
            Part(f"{KINDS[key.kind].title}  ", "error" if key.kind == "error" else "strong"),
            Part(f"{key.name}  "),
            Part(where, "service"),
        )
    )


def finding_text(finding: Finding, request_count: int) -> str:
    """Say in one line what a finding is and how often it was seen."""
    key = finding.key
    where = key.service if key.peer is None else f"{key.service} → {key.peer.system}"
    return f"{KINDS[key.kind].title} {key.name} ({where}): {_evidence(finding, request_count)}"


def _indented(text: str, role: Literal["plain", "dim", "hint"] = "plain") -> Line:
    return Line((Part(f"{_INDENT}{text}", role),))


def _evidence(finding: Finding, request_count: int) -> str:
    key, totals = finding.key, finding.totals
    text = finding.evidence
    if key.caller_name and KINDS[key.kind].names_caller:
        other = f" of {key.caller_service}" if key.caller_service != key.service else ""
        text += f", in {key.caller_name}{other}"
    if request_count > 1:
        text += f"; {format_count(totals.request_count)} of {plural(request_count, 'request')}"
    return text


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _where_to_look(finding: Finding) -> str:
    example = finding.totals.examples[0]
    return f"e.g. trace {example.trace_id} span {example.span_ids[0]}"
