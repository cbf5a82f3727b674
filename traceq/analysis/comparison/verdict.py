"""The conclusion of a comparison: what changed most for users, who is to blame, and how sure that is."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

from traceq.analysis.comparison.batches import MIN_REQUESTS
from traceq.analysis.comparison.changes import NOTABLE_RATIO, Changes, OperationChange, ServiceChange, fails_in, is_of
from traceq.analysis.comparison.measuring import Estimate
from traceq.analysis.comparison.structure import CallChange, OrderChange, TurnChange
from traceq.analysis.naming import whose
from traceq.units import format_duration, format_growth, format_ratio, plural

Outcome: TypeAlias = Literal[
    "failing", "recovered", "slower", "faster", "mixed", "different", "same", "too-few", "incomparable"
]
Subject: TypeAlias = Literal["latency", "errors", "calls", "order"]

_GREAT_RATIO = 0.25
"""The minimum share for a headline when the change is beyond chance only if taken alone."""
_NOTABLE_FAILURES = 0.02
"""The minimum share of requests in which errors begin, or no longer do, for a headline."""
_MOSTLY = 0.7
_HALF = 0.5
_WHOLE = 10


class Verdict(Struct, frozen=True):
    """The conclusion of a comparison."""

    outcome: Outcome
    headline: str
    """What changed most, by how much, and how sure that is."""
    remarks: tuple[str, ...] = ()
    """Further sentences: where the time passes, what else changed."""
    service: str = ""
    """The service or peer that the headline names; empty when it names none."""
    subject: Subject | None = None
    """What the headline is about; None when nothing changed."""


def judge(comparison: Changes) -> Verdict:
    """Say what changed most for users, or plainly that nothing did.

    What got worse comes before what got better: latencies that grew, and errors that begin in more requests. Of these,
    the one that changes more counts, where a failed request weighs as much as one that takes twice as long. Where
    callers give up on a service that does not fail itself, what makes it take longer comes first. Calls that
    are made otherwise explain a change of the latency that their caller causes, and are a change of their own where
    nothing else is; after them comes the order of calls.
    """
    counts = (comparison.before.latency.count, comparison.after.latency.count)
    if min(counts) == 0:
        empty = "on either side" if max(counts) == 0 else "before" if counts[0] == 0 else "after"
        return Verdict("incomparable", f"Nothing to compare: no requests {empty}")
    if sum(comparison.before.unmatched.values()) == counts[0]:
        return Verdict("incomparable", "Nothing to compare: the two sides share no entry operation")
    if min(counts) < MIN_REQUESTS:
        few = f"Too few requests to tell change from chance: {counts[0]} before, {counts[1]} after"
        return Verdict("too-few", few, (_latency(comparison.latency),))
    notable = [change for change in comparison.services if is_notable(change.caused, comparison)]
    slower = sorted((line for line in notable if line.caused.change > 0), key=lambda line: -line.caused.weight)
    faster = sorted((line for line in notable if line.caused.change < 0), key=lambda line: line.caused.weight)
    slower = [line for line in slower if not _is_uncovered(line, faster, comparison)]
    failing = _failing(comparison)
    calls = [change for change in comparison.call_changes if not change.source]
    delaying = _delaying(failing, comparison) if failing is not None else []
    if delaying:
        return _of_latency(comparison, delaying + [line for line in slower if line not in delaying], faster)
    if failing is not None and failing.begun.change > 0 and _outweighs(failing, slower, comparison):
        return _of_errors(failing, comparison, slower, faster)
    if slower or faster:
        turn = _turned((slower or faster)[0], comparison)
        return _of_latency(comparison, slower, faster) if turn is None else _of_turn(turn, comparison, slower, faster)
    if failing is not None:
        return _of_errors(failing, comparison, slower, faster)
    if calls:
        return _of_calls(calls, comparison)
    return _of_order(comparison.order_changes, comparison) if comparison.order_changes else _nothing(comparison)


def _is_uncovered(change: ServiceChange, faster: list[ServiceChange], comparison: Changes) -> bool:
    """Tell whether a service holds requests longer only because what runs beside it became faster.

    Its own durations then do not grow: not by half of what it causes. Above what became faster they say nothing.
    """
    if not faster or _takes_otherwise(change):
        return False
    below = _reached(change.service, comparison)
    return not any(line.service in below for line in faster)


def _takes_otherwise(change: ServiceChange) -> bool:
    """Tell whether what a service causes comes of its own durations, by half at least, with what passes between."""
    grown_ns = change.after.average_ns * change.calls.after - change.before.average_ns * change.calls.before
    caused_ns = change.caused.change
    return (grown_ns + change.between_ns) * math.copysign(1, caused_ns) >= _HALF * abs(caused_ns)


def _turned(change: ServiceChange, comparison: Changes) -> TurnChange | None:
    """Find out whether a service is only waited for otherwise, since calls of it are made in turn, or no longer."""
    if _takes_otherwise(change):
        return None
    for line in comparison.turn_changes:
        below = (_reached(callee, comparison) for callee in line.callees)
        if line.is_in_turn == (change.caused.change > 0) and change.service in set().union(*below):
            return line
    return None


def _reached(service: str, comparison: Changes) -> set[str]:
    """Name a service, and the services and peers that it calls, directly or through others."""
    pairs = {(edge.caller, edge.callee) for edge in comparison.edges}
    pairs |= {(line.key.service, line.key.peer.label) for line in comparison.operations if line.key.peer is not None}
    found = {service}
    while more := {callee for caller, callee in pairs if caller in found} - found:
        found |= more
    return found


def _delaying(failing: ServiceChange, comparison: Changes) -> list[ServiceChange]:
    """Find what takes longer in or below a service on which more callers give up, while it does not fail itself."""
    if failing.begun.change <= 0 or failing.errors.change >= _HALF * failing.begun.change:
        return []
    below = _reached(failing.service, comparison)
    longer = [line for line in comparison.services if line.service in below and line.caused.change > 0]
    return sorted((line for line in longer if line.caused.is_likely), key=lambda line: -line.caused.weight)


def _failing(comparison: Changes) -> ServiceChange | None:
    """Find the service or peer in which errors begin in more requests than before, or else in fewer."""
    great = [line for line in comparison.services if abs(line.begun.change) >= _NOTABLE_FAILURES]
    sure = [line for line in great if line.begun.is_sure]
    if not sure and comparison.failed.is_sure:
        sure = [line for line in great if line.begun.change * comparison.failed.change > 0]
    return max(sure, key=lambda line: (line.begun.change > 0, abs(line.begun.weight)), default=None)


def _outweighs(failing: ServiceChange, slower: list[ServiceChange], comparison: Changes) -> bool:
    if not slower:
        return True
    return failing.begun.change * comparison.latency_ns > slower[0].caused.change


def _of_latency(comparison: Changes, slower: list[ServiceChange], faster: list[ServiceChange]) -> Verdict:
    first = (slower or faster)[0]
    outcome: Outcome = "mixed" if slower and faster else "slower" if slower else "faster"
    calls = _explanation(first, comparison)
    remarks = [
        "" if calls else _where(first, comparison),
        *_others(slower[1:], faster if slower else faster[1:]),
        *_failures(comparison),
    ]
    told = _headline(first, comparison) if calls is None else _calls_headline(calls, first, comparison)
    return Verdict(outcome, told, tuple(filter(None, remarks)), first.service, "latency")


def _of_turn(
    turn: TurnChange, comparison: Changes, slower: list[ServiceChange], faster: list[ServiceChange]
) -> Verdict:
    """Name who makes calls in turn that were made side by side, or the other way round: these take no longer."""
    alike = [
        line
        for line in comparison.turn_changes
        if (line.caller, line.caller_operation, line.is_in_turn)
        == (turn.caller, turn.caller_operation, turn.is_in_turn)
    ]
    names = sorted({callee for line in alike for callee in line.callees})
    listed = f"{', '.join(names[:2])} and {plural(len(names) - 2, 'other')}" if names[2:] else " and ".join(names)
    how = "in turn instead of side by side" if turn.is_in_turn else "side by side instead of in turn"
    others = [
        [line for line in lines if _turned(line, comparison) is None and line.service != turn.caller]
        for lines in (slower, faster)
    ]
    outcome: Outcome = "mixed" if all(others) else "slower" if slower else "faster"
    told = f"{turn.caller} now calls {listed} {how} in {turn.caller_operation}; {_latency(comparison.latency)}"
    return Verdict(outcome, told, (*_others(*others), *_failures(comparison)), turn.caller, "latency")


def _explanation(first: ServiceChange, comparison: Changes) -> CallChange | None:
    """Find the calls that explain most of what their caller causes."""
    caused_ns = first.caused.change
    made = [line for line in comparison.call_changes if line.caller == first.service and not line.source]
    line = max(made, key=lambda line: line.caused_ns * caused_ns, default=None)
    return line if line is not None and line.caused_ns / caused_ns >= _HALF else None


def _of_errors(
    first: ServiceChange, comparison: Changes, slower: list[ServiceChange], faster: list[ServiceChange]
) -> Verdict:
    ratios = (first.begun.before, first.begun.after)
    failed = comparison.failed
    more = "more" if ratios[1] > ratios[0] else "fewer"
    told = (
        f"errors begin in {first.service} in {format_ratio(ratios[1])} of requests instead of {format_ratio(ratios[0])}"
    )
    requests = f"{format_ratio(comparison.failures.before)} → {format_ratio(comparison.failures.after)}"
    if failed.is_sure and failed.change * first.begun.change > 0:
        # Where requests surely fail, but nothing that fails is sure alone, what fails most is told with that.
        probably = "" if first.begun.is_sure else "probably, "
        headline = f"{more.capitalize()} requests fail, {requests} (99 % sure): {probably}{told}"
    else:
        headline = f"{told[0].upper()}{told[1:]} (99 % sure); failed requests {requests}"
    remarks = [_failing_operation(first, comparison), _latency(comparison.latency), *_others(slower, faster)]
    outcome: Outcome = "failing" if more == "more" else "recovered"
    return Verdict(outcome, headline, tuple(filter(None, remarks)), first.service, "errors")


def _failing_operation(first: ServiceChange, comparison: Changes) -> str:
    """Name the operation of a service, or the call to a peer, whose failures changed most."""
    lines = [line for line in comparison.operations if fails_in(line.key, first.service)]
    line = max(lines, key=lambda line: line.errors.change * first.begun.change, default=None)
    if line is None or line.errors.change * first.begun.change <= 0:
        return ""
    before, after = (_count(part) for part in (line.errors.before, line.errors.after))
    return f"most of all in {_operation(line, first.service)}: {before} → {after} failures a request"


def _operation(line: OperationChange, service: str) -> str:
    key = line.key
    return f"{key.name}{whose(key.service, key.name, key.peer, service)}"


def _of_calls(calls: list[CallChange], comparison: Changes) -> Verdict:
    remarks = [*_other_calls(calls[1:]), _latency(comparison.latency), *_failures(comparison)]
    return Verdict("different", f"{_calls(calls[0])} (99 % sure)", tuple(remarks), calls[0].caller, "calls")


def _of_order(changes: tuple[OrderChange, ...], comparison: Changes) -> Verdict:
    told = _order(changes[0])
    others = [f"also: {_order(changes[1])}"] if changes[1:] else []
    more = [f"and {plural(len(changes) - 2, 'other pair')}"] if changes[2:] else []
    remarks = [*others, *more, _latency(comparison.latency), *_failures(comparison)]
    return Verdict("different", f"{told} (99 % sure)", tuple(remarks), changes[0].caller, "order")


def _order(line: OrderChange) -> str:
    """Tell which of two calls now comes first."""
    ratios = f"{format_ratio(line.share.before)} → {format_ratio(line.share.after)} of requests"
    return (
        f"{line.caller} now calls {line.first} ({line.first_operation}) before {line.second} ({line.second_operation}) "
        f"in {line.caller_operation} (in {ratios})"
    )


def _other_calls(calls: list[CallChange]) -> list[str]:
    if not calls:
        return []
    return [f"also: {_calls(calls[0])}", *([f"and {plural(len(calls) - 1, 'other call')}"] if calls[1:] else [])]


def _calls(line: CallChange) -> str:
    """Tell which calls are made otherwise, and how often."""
    what = f"{line.callee} ({line.callee_operation})"
    before, after = _count(line.calls.before), _count(line.calls.after)
    match line.kind:
        case "begun":
            return f"{line.caller} now calls {what} in {line.caller_operation} ({_made(after)} instead of {before})"
        case "stopped":
            return (
                f"{line.caller} no longer calls {what} in {line.caller_operation} ({_made(after)} instead of {before})"
            )
        case "more" | "fewer":
            return f"{line.caller} makes {_made(after)} of {what} instead of {before} in {line.caller_operation}"
        case _:
            assert_never(line.kind)


def _made(count: str) -> str:
    return f"{count} call" if count == "1" else f"{count} calls"


def _count(value: float) -> str:
    return f"{value:.0f}" if value >= _WHOLE or value == round(value) else f"{value:.2g}"


def _calls_headline(calls: CallChange, first: ServiceChange, comparison: Changes) -> str:
    how = "longer" if first.caused.change > 0 else "less"
    amount = format_duration(round(abs(first.caused.change)))
    change = f"{_calls(calls)}: requests take {amount} {how} on average ({_interval_text(first.caused)})"
    return f"{change}; {_latency(comparison.latency)}"


def is_notable(change: Estimate, comparison: Changes) -> bool:
    """Tell whether a change of the latency deserves to be named."""
    size = abs(change.change)
    if change.is_sure:
        return size >= NOTABLE_RATIO * comparison.latency_ns
    return change.is_likely and size >= _GREAT_RATIO * comparison.latency_ns


def _latency(latency: Estimate) -> str:
    told = f"{format_duration(round(latency.before))} → {format_duration(round(latency.after))}"
    if not latency.before:
        return f"mean latency {told}"
    return f"mean latency {told} ({format_growth(latency.change / latency.before)})"


def _headline(first: ServiceChange, comparison: Changes) -> str:
    how = "longer" if first.caused.change > 0 else "shorter"
    amount = format_duration(round(abs(first.caused.change)))
    verb = "makes" if first.caused.is_sure else "probably makes"
    change = f"{first.service} {verb} requests {amount} {how} on average ({_interval_text(first.caused)})"
    return f"{change}; {_latency(comparison.latency)}"


def _interval_text(change: Estimate) -> str:
    """Write the interval of a change, with both ends in the direction of the change."""
    low, high = (change.low, change.high) if change.change >= 0 else (-change.high, -change.low)
    sure = "95 % sure" if change.is_sure else "may be chance"
    return f"{sure}: {format_duration(round(low))} to {format_duration(round(high))}"


def _where(change: ServiceChange, comparison: Changes) -> str:
    """Say where a service's change lies: between it and others, or in which of its operations."""
    caused = change.caused.change
    if abs(change.between_ns) >= _MOSTLY * abs(caused) and change.between_ns * caused > 0:
        return _between(change, comparison)
    ways = [line for line in comparison.operations if is_of(line.key, change.service)]
    line = max(ways, key=lambda line: line.held.change * caused, default=None)
    if line is None or line.held.change * caused <= 0:
        return ""
    share = line.held.change / caused
    if share >= _HALF:
        return f"{format_ratio(min(share, 1))} of it in {_operation(line, change.service)}"
    return f"in {plural(len(ways), 'operation')}"


def _between(change: ServiceChange, comparison: Changes) -> str:
    as_caller = [edge for edge in comparison.edges if edge.caller == change.service and edge.caller_share > 0]
    by_caller_ns = sum(edge.between.change * edge.caller_share for edge in as_caller)
    more = "more" if change.caused.change > 0 else "less"
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
    told = [("also longer", slower), ("shorter", faster)]
    return [f"{how}: {', '.join(_amount(change) for change in changes)}" for how, changes in told if changes]


def _amount(change: ServiceChange) -> str:
    return f"{change.service} {format_duration(round(abs(change.caused.change)))}"


def _failures(comparison: Changes) -> list[str]:
    failures = comparison.failed
    if not failures.is_sure:
        return []
    return [f"failed requests {format_ratio(failures.before)} → {format_ratio(failures.after)}"]


def _failures_of_chance(comparison: Changes) -> list[str]:
    failures = comparison.failures
    if abs(failures.change) < _NOTABLE_FAILURES:
        return []
    return [f"failed requests {format_ratio(failures.before)} → {format_ratio(failures.after)}, which may be chance"]


def _nothing(comparison: Changes) -> Verdict:
    remarks = _failures(comparison) or _failures_of_chance(comparison)
    latency = _latency(comparison.latency)
    greatest = max(comparison.services, key=lambda change: abs(change.caused.change))
    if not greatest.caused.change:
        return Verdict("same", f"Nothing changed: {latency}", tuple(remarks))
    change = greatest.caused
    sign = "+" if change.change > 0 else "-"
    why = "within chance" if not change.is_sure else f"under {format_ratio(NOTABLE_RATIO)} of the latency"
    told = f"the greatest change, {greatest.service} {sign}{format_duration(round(abs(change.change)))}, is {why}"
    return Verdict("same", f"Nothing changed much: {latency}; {told}", tuple(remarks))
