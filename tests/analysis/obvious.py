"""Plain, slow and obvious versions of what `traceq.analysis` does with arrays, straight from the definitions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from tests.analysis.obvious_roles import is_handed_over, role, told_role
from traceq.semantics import Kind
from traceq.traces import Span, Traces


def children(traces: Traces, row: int) -> list[Span]:
    return [traces.span(i) for i in range(traces.span_count) if traces.parents[i] == row]


def self_time(traces: Traces, row: int) -> int:
    """Count the nanoseconds of a span that no child covers, one interval after the other."""
    span = traces.span(row)
    covered = 0
    reached = span.start_ns
    for child in sorted(children(traces, row), key=lambda child: child.start_ns):
        start, end = max(child.start_ns, reached), min(child.end_ns, span.end_ns)
        if end > start:
            covered += end - start
            reached = end
    return span.duration_ns - covered


def critical_path(traces: Traces, root: int) -> list[tuple[int, int, int]]:
    """Walk back from the root's end, one step at a time: (row, start_ns, end_ns), latest first."""
    span = traces.span(root)
    return _held(traces, _Call(span, span.start_ns, span.end_ns), span.start_ns, span.end_ns)


@dataclass(frozen=True)
class _Call:
    """A span, and its interval clipped to its ancestors."""

    span: Span
    low: int
    high: int

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Rise with the end; of the same end the one to choose comes last."""
        return self.high, self.span.end_ns, -self.span.start_ns, -self.span.row


def _held(traces: Traces, call: _Call, start: int, end: int) -> list[tuple[int, int, int]]:
    """Say who holds the path between two instants in which a span was given it."""
    found = []
    for child, first, last in _pieces(traces, call):
        low, high = max(first, start), min(last, end)
        if low < high:
            found += [(call.span.row, low, high)] if child is None else _held(traces, child, low, high)
    return found


def _pieces(traces: Traces, call: _Call) -> list[tuple[_Call | None, int, int]]:
    """Cut a span's interval into what its children hold and what it holds itself (None), latest first."""
    ends = [(child, until(traces, child.row)) for child in _inside(traces, call.span.row)]
    waiting = [
        _Call(child, max(child.start_ns, call.low), min(end, call.high)) for child, end in ends if end is not None
    ]
    waiting = [child for child in waiting if child.low < child.high]
    left = _left_running(traces)
    pieces: list[tuple[_Call | None, int, int]] = []
    cursor = call.high
    while cursor > call.low:
        begun = [child for child in waiting if child.low < cursor]
        ended = max((child for child in begun if child.high <= cursor), key=lambda child: child.rank, default=None)
        later = min((child for child in begun if child.high > cursor), key=lambda child: child.rank, default=None)
        slack = (
            (call.high - call.low) // 100 if ended is None else min(cursor - ended.high, (call.high - call.low) // 100)
        )
        if later is not None and later.high - cursor <= slack:
            pieces.append((later, later.low, cursor))
            cursor = later.low
            continue
        reached = call.low if ended is None else ended.high
        while cursor > reached:
            beside = max(
                (child for child in begun if child.low < cursor < child.high and _call(traces, child.span) not in left),
                key=lambda child: child.rank,
                default=None,
            )
            low = reached if beside is None else max(beside.low, reached)
            pieces.append((beside, low, cursor))
            cursor = low
        if ended is not None:
            pieces.append((ended, ended.low, ended.high))
            cursor = ended.low
    return pieces


def _inside(traces: Traces, row: int) -> list[Span]:
    """Give the children of a span, or the siblings that it wraps, without what its own child wraps."""
    parent = traces.parents[row]
    if parent >= 0 and _wrapped(traces, parent)[0] == row:
        return _wrapped(traces, parent)[1]
    wrapped = [child.row for child in _wrapped(traces, row)[1]]
    return [child for child in children(traces, row) if child.row not in wrapped]


def _wrapped(traces: Traces, parent: int) -> tuple[int, list[Span]]:
    """Find the child of a span that wraps its siblings, and these; -1 for none."""
    below = [child for child in children(traces, parent) if until(traces, child.row) is not None]
    busy = [child for child in below if children(traces, child.row)]
    longest = max(busy, key=lambda child: (child.duration_ns, child.row), default=None)

    def encloses(outer: Span, inner: Span) -> bool:
        return outer.start_ns <= inner.start_ns and inner.end_ns <= outer.end_ns

    wrappers = [
        child
        for child in below
        if longest is not None
        and not children(traces, child.row)
        and role(traces, child.row) is Kind.INTERNAL
        and child.peer is None
        and child.duration_ns > 0
        and 2 * child.duration_ns >= traces.span(parent).duration_ns
        and 10 * longest.duration_ns >= 9 * child.duration_ns
        and encloses(child, longest)
    ]
    wrapper = max(wrappers, key=lambda child: (child.duration_ns, child.row), default=None)
    if wrapper is None:
        return -1, []
    return wrapper.row, [child for child in below if child is not wrapper and encloses(wrapper, child)]


def until(traces: Traces, row: int) -> int | None:
    """Say until when a span's parent waited for it; None for never."""
    span = traces.span(row)
    if is_told_free(traces, span):
        return None
    if _call(traces, span) in _asynchronous(traces) and not _is_followed_at_once(traces, span):
        return None
    winner = superseded_by(traces, span)
    if winner is not None:
        return min(max(winner.start_ns, span.start_ns), span.end_ns)
    return None if outlives(traces, span) else span.end_ns


def is_told_free(traces: Traces, span: Span) -> bool:
    return span.follows_from or is_handed_over(traces, span.row)


def _is_comparable(traces: Traces, span: Span) -> bool:
    parent = traces.span(traces.parents[span.row])
    hosts_told = bool(span.host and parent.host)
    same_clock = span.host == parent.host if hosts_told else span.service == parent.service
    is_served = role(traces, parent.row) is Kind.CLIENT and role(traces, span.row) is Kind.SERVER
    return same_clock and not is_served and not is_told_free(traces, span)


def outlives(traces: Traces, span: Span) -> bool:
    parent = traces.span(traces.parents[span.row])
    late_ns = span.end_ns - parent.end_ns
    return late_ns > max(200_000, parent.duration_ns // 100) and _is_comparable(traces, span)


def superseded_by(traces: Traces, span: Span) -> Span | None:
    """Find the call whose answer made this one needless."""
    parent = traces.span(traces.parents[span.row])
    siblings = children(traces, parent.row)
    if not (span.has_error or outlives(traces, span)):
        return None
    like = [other for other in siblings if _sort(other) == _sort(span)]
    won = [other for other in like if not (other.has_error or outlives(traces, other)) and other.end_ns > span.start_ns]
    winner = min(won, key=lambda other: (other.end_ns, other.row), default=None)
    if winner is None or winner.end_ns > span.end_ns:
        return None
    most_ns = parent.duration_ns // 100
    after = [other for other in siblings if other.start_ns > winner.end_ns - most_ns]
    following = min(after, key=lambda other: (other.start_ns, other.row), default=None)
    calls_on = following is not None and following not in like and following.start_ns < span.end_ns
    is_apart = abs(span.start_ns - winner.start_ns) > most_ns
    is_cancelled = is_apart and span.end_ns - winner.end_ns <= 2_000_000
    return winner if calls_on or parent.end_ns <= span.end_ns or is_cancelled else None


def _sort(span: Span) -> tuple[str, str, Kind]:
    return span.service, span.name, told_role(span)


def _call(traces: Traces, span: Span) -> tuple[str, ...]:
    """Say what calls what: who, whom, and whose span is the one of another service below."""
    parent = traces.span(traces.parents[span.row])
    called = [child for child in children(traces, span.row) if child.service != span.service]
    callee = (called[0].service, called[0].name) if len(called) == 1 else ("", "")
    return parent.service, parent.name, span.service, span.name, *callee


def _asynchronous(traces: Traces) -> set[tuple[str, ...]]:
    """Find the calls that outlive their callers twice, and more than once in a hundred times."""
    made: Counter[tuple[str, ...]] = Counter()
    outlived: Counter[tuple[str, ...]] = Counter()
    for span in map(traces.span, range(traces.span_count)):
        if traces.parents[span.row] >= 0 and _is_comparable(traces, span):
            made[_call(traces, span)] += 1
            if outlives(traces, span) and not span.has_error and superseded_by(traces, span) is None:
                outlived[_call(traces, span)] += 1
    return {call for call, count in outlived.items() if count >= 2 and 100 * count > made[call]}


def _left_running(traces: Traces) -> set[tuple[str, ...]]:
    """Find the calls that callers leave running five times, and more than once in twenty times."""
    made: Counter[tuple[str, ...]] = Counter()
    left: Counter[tuple[str, ...]] = Counter()
    for span in map(traces.span, range(traces.span_count)):
        if traces.parents[span.row] < 0 or not _is_comparable(traces, span):
            continue
        made[_call(traces, span)] += 1
        following = _following(traces, span)
        ran_ns = following.start_ns - span.start_ns if following else 0
        left[_call(traces, span)] += 0 < 10 * ran_ns < 9 * span.duration_ns
    return {call for call, count in left.items() if count >= 5 and 20 * count > made[call]}


def _following(traces: Traces, span: Span) -> Span | None:
    """Give the call that the caller began next."""
    siblings = sorted(children(traces, traces.parents[span.row]), key=lambda child: (child.start_ns, child.row))
    return next((after for call, after in pairwise(siblings) if call.row == span.row), None)


def _is_followed_at_once(traces: Traces, span: Span) -> bool:
    following = _following(traces, span)
    soon_ns = max(traces.span(traces.parents[span.row]).duration_ns // 100, span.duration_ns // 10)
    return following is not None and 0 <= following.start_ns - span.end_ns <= soon_ns
