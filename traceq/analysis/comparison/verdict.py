"""What a comparison comes to, in one sentence and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from traceq.analysis.comparison.batches import MIN_REQUESTS
from traceq.analysis.comparison.changes import Changes, ServiceChange
from traceq.analysis.comparison.measuring import Estimate
from traceq.units import format_duration, format_ratio, plural

Outcome: TypeAlias = Literal["slower", "faster", "mixed", "same", "too-few", "incomparable"]

NOTABLE_RATIO = 0.05
"""A change is worth a headline from this share of the mean latency on, when it is sure ..."""
GREAT_RATIO = 0.25
"""... and from this one on when it is beyond chance by itself, though not as the greatest of many."""
_MOSTLY = 0.7
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison comes to."""

    outcome: Outcome
    headline: str
    """What changed most, by how much, how sure."""
    remarks: tuple[str, ...]
    """Further sentences: where the time passes, what else changed."""
    service: str
    """Whom the headline names; empty when it names nobody."""


def judge(comparison: Changes) -> Verdict:
    """Say what changed most, or plainly that nothing did."""
    counts = (comparison.before.request_count, comparison.after.request_count)
    if min(counts) == 0:
        empty = "before" if counts[0] == 0 else "after"
        return Verdict("incomparable", f"Nothing to compare: no requests {empty}", (), "")
    if sum(comparison.before.unmatched.values()) == counts[0]:
        return Verdict("incomparable", "Nothing to compare: the two sides share no entry operation", (), "")
    if min(counts) < MIN_REQUESTS:
        few = f"Too few requests to tell change from chance: {counts[0]} before, {counts[1]} after"
        return Verdict("too-few", few, (_latency(comparison.latency),), "")
    notable = [change for change in comparison.services if is_notable(change.held, comparison)]
    slower = [change for change in notable if change.held.change > 0]
    faster = [change for change in notable if change.held.change < 0][::-1]
    if not notable:
        return _nothing(comparison)
    first = (slower or faster)[0]
    outcome: Outcome = "mixed" if slower and faster else "slower" if slower else "faster"
    remarks = [
        _where(first, comparison),
        *_others(slower[1:], faster if slower else faster[1:]),
        *_failures(comparison),
    ]
    return Verdict(outcome, _headline(first, comparison), tuple(remark for remark in remarks if remark), first.service)


def is_notable(change: Estimate, comparison: Changes) -> bool:
    """Tell whether a change of held time deserves to be named."""
    latency_ns = (comparison.latency.before + comparison.latency.after) / 2
    size = abs(change.change)
    if change.is_sure:
        return size >= NOTABLE_RATIO * latency_ns
    return change.is_likely and size >= GREAT_RATIO * latency_ns


def _latency(latency: Estimate) -> str:
    told = f"{format_duration(round(latency.before))} → {format_duration(round(latency.after))}"
    if not latency.before:
        return f"mean latency {told}"
    return f"mean latency {told} ({_signed(latency.change / latency.before)})"


def _signed(ratio: float) -> str:
    return f"{'+' if ratio >= 0 else '-'}{format_ratio(abs(ratio))}"


def _headline(first: ServiceChange, comparison: Changes) -> str:
    how = "longer" if first.held.change > 0 else "less"
    amount = format_duration(round(abs(first.held.change)))
    verb = "holds" if first.held.is_sure else "probably holds"
    change = f"{first.service} {verb} requests {amount} {how} on average ({interval_text(first.held)})"
    return f"{change}; {_latency(comparison.latency)}"


def interval_text(change: Estimate) -> str:
    """Say between which ends a change lies, both as amounts of the change's own direction."""
    low, high = (change.low, change.high) if change.change >= 0 else (-change.high, -change.low)
    sure = "95 % sure" if change.is_sure else "may be chance"
    return f"{sure}: {format_duration(round(low))} to {format_duration(round(high))}"


def _where(change: ServiceChange, comparison: Changes) -> str:
    """Say where a service's change lies: between it and others, or in which of its operations."""
    if abs(change.between_ns) >= _MOSTLY * abs(change.held.change) and change.between_ns * change.held.change > 0:
        return _between(change, comparison)
    ways = [line for line in comparison.operations if line.key.service == change.service]
    line = max(ways, key=lambda line: line.held.change * (1 if change.held.change > 0 else -1))
    share = line.held.change / change.held.change
    return (
        f"{format_ratio(min(share, 1))} of it in {line.key.name}"
        if share >= 0.5
        else f"in {plural(len(ways), 'operation')}"
    )


def _between(change: ServiceChange, comparison: Changes) -> str:
    as_caller = [edge for edge in comparison.edges if edge.caller == change.service and edge.caller_share > 0]
    by_caller_ns = sum(edge.between.change * edge.caller_share for edge in as_caller)
    more = "more" if change.held.change > 0 else "less"
    if abs(by_caller_ns) >= _HALF * abs(change.between_ns):
        callees = plural(len(as_caller), "service")
        return (
            f"it waits {more} for {callees} that it calls, before and after they work: look at {change.service} itself "
            "(CPU, threads, connections, network)"
        )
    callers = plural(len([edge for edge in comparison.edges if edge.callee == change.service]), "caller")
    return (
        f"{more} time passes between it and its {callers} than in it: network, queue, connection pool, or too few "
        "workers to take calls"
    )


def _others(slower: list[ServiceChange], faster: list[ServiceChange]) -> list[str]:
    told = [("also longer", slower), ("less", faster)]
    return [f"{how}: {', '.join(_amount(change) for change in changes)}" for how, changes in told if changes]


def _amount(change: ServiceChange) -> str:
    return f"{change.service} {format_duration(round(abs(change.held.change)))}"


def _failures(comparison: Changes) -> list[str]:
    failures = comparison.failures
    if not failures.is_sure:
        return []
    return [f"failed requests {format_ratio(failures.before)} → {format_ratio(failures.after)}"]


def _nothing(comparison: Changes) -> Verdict:
    remarks = _failures(comparison)
    latency = _latency(comparison.latency)
    greatest = max(comparison.services, key=lambda change: abs(change.held.change))
    if not greatest.held.change:
        return Verdict("same", f"Nothing changed: {latency}", tuple(remarks), "")
    change = greatest.held
    sign = "+" if change.change > 0 else "-"
    why = "within chance" if not change.is_sure else f"under {format_ratio(NOTABLE_RATIO)} of the latency"
    told = f"the greatest change, {greatest.service} {sign}{format_duration(round(abs(change.change)))}, is {why}"
    return Verdict("same", f"Nothing changed much: {latency}; {told}", tuple(remarks), "")
