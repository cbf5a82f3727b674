"""How findings are put into words: in `traceq findings`, and beside other answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from traceq.analysis.findings import Finding, FindingKind
from traceq.report import Column, Line, Part, Table, Unit, Value
from traceq.units import format_count, format_duration, format_ratio, plural

TITLES: dict[FindingKind, str] = {
    "n+1": "N+1",
    "slow-query": "slow query",
    "retries": "retries",
    "error": "error",
    "sequential-calls": "calls in turn",
    "straggler": "straggler",
    "fan-out": "fan-out",
    "repeated-query": "repeated query",
    "network": "network",
    "gap": "gap",
    "queue-delay": "queue delay",
    "clock-skew": "clock skew",
    "incomplete-trace": "incomplete trace",
}
"""Every kind of finding, as it is called for people."""

_COST_WIDTH = len("1 m 00 s")
_SHARE_WIDTH = len("100 %")
_INDENT = " " * 5
_LONGEST_TEXT = 300


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
            Part(f"{TITLES[key.kind]}  ", "error" if key.kind == "error" else "strong"),
            Part(f"{key.name}  "),
            Part(where, "service"),
        )
    )


def _indented(text: str, role: Literal["plain", "dim", "hint"] = "plain") -> Line:
    return Line((Part(f"{_INDENT}{text}", role),))


def _evidence(finding: Finding, request_count: int) -> str:
    key, totals = finding.key, finding.totals
    text = _measure(finding)
    if key.caller_name and key.kind not in ("error", "clock-skew"):
        other = f" of {key.caller_service}" if key.caller_service != key.service else ""
        text += f", in {key.caller_name}{other}"
    if request_count > 1:
        text += f"; {format_count(totals.request_count)} of {plural(request_count, 'request')}"
    return text


def _measure(finding: Finding) -> str:
    """Say what was seen, with the figures that the kind is about; the greatest where it was seen more than once."""
    totals = finding.totals
    up_to = "up to " if totals.sighting_count > 1 else ""
    calls = format_count(totals.most_spans)
    longest = format_duration(totals.time.max_ns)
    texts: dict[FindingKind, str] = {
        "n+1": f"{up_to}{calls} alike calls one after the other, {longest} together",
        "slow-query": f"{longest} at most, median {format_duration(totals.time.percentile(0.5))}"
        if totals.sighting_count > 1
        else longest,
        "retries": f"{up_to}{calls} attempts, {longest} until the last"
        if totals.most_spans > 1
        else f"tried again, {up_to}{longest} until the last attempt",
        "error": f"{plural(totals.span_count, 'failed span')}",
        "sequential-calls": f"{up_to}{calls} calls one after the other, {longest} together",
        "straggler": f"{up_to}{calls} calls side by side, the others done {up_to}{longest} earlier",
        "fan-out": f"{up_to}{calls} calls side by side",
        "repeated-query": f"the same statement {up_to}{calls} times in a request, {longest} together",
        "network": f"{up_to}{longest} between the call and the server's work",
        "gap": f"{up_to}{longest} before the first call or between calls with nothing to show for it",
        "queue-delay": f"{up_to}{longest} from sending to processing",
        "clock-skew": f"{plural(totals.span_count, 'call')} moved by {up_to}{longest}",
        "incomplete-trace": f"{plural(totals.span_count, 'span')} without the parent they name",
    }
    return texts[finding.key.kind]


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _where_to_look(finding: Finding) -> str:
    example = finding.totals.examples[0]
    return f"e.g. trace {example.trace_id} span {example.span_ids[0]}"


def finding_records(findings: Sequence[Finding]) -> Table:
    """Give one record a finding."""
    columns: tuple[Column[Any], ...] = (
        Column("kind", "kind"),
        Column("service", "service", Unit.SERVICE),
        Column("operation", "operation"),
        Column("peer", "peer"),
        Column("caller_service", "caller", Unit.SERVICE),
        Column("caller_operation", "caller's operation"),
        Column("cost_ns", "cost", Unit.DURATION),
        Column("ratio", "of all", Unit.RATIO),
        Column("request_count", "requests", Unit.COUNT),
        Column("sighting_count", "sightings", Unit.COUNT),
        Column("span_count", "spans", Unit.COUNT),
        Column("most_spans", "most spans", Unit.COUNT),
        Column("time_p50_ns", "p50", Unit.DURATION),
        Column("time_max_ns", "max", Unit.DURATION),
        Column("statement", "statement"),
        Column("remark", "remark"),
        Column("advice", "advice"),
        Column("example_trace_id", "example", Unit.TRACE_ID),
        Column("example_span_ids", "spans"),
    )
    return Table(columns, tuple(_record(finding) for finding in findings))


def _record(finding: Finding) -> tuple[Value, ...]:
    key, totals = finding.key, finding.totals
    return (
        key.kind,
        key.service,
        key.name,
        None if key.peer is None else key.peer.label,
        key.caller_service or None,
        key.caller_name or None,
        totals.cost_ns,
        finding.ratio,
        totals.request_count,
        totals.sighting_count,
        totals.span_count,
        totals.most_spans,
        totals.time.percentile(0.5),
        totals.time.max_ns,
        finding.statement or None,
        finding.remark or None,
        finding.advice,
        totals.examples[0].trace_id,
        totals.examples[0].span_ids,
    )
