"""How much faster requests would be if some of their spans were shorter: new times for the trees, and new paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, NamedTuple

import numpy as np
from msgspec import Struct, field, structs
from msgspec.structs import replace

from traceq.analysis.columns import Columns, Flags, Ints, columns, meanings, named
from traceq.analysis.comparison.cohorts import number_operations
from traceq.analysis.critical_path import Paths, find_paths
from traceq.analysis.culprits import charge
from traceq.analysis.group_sums import GroupKey
from traceq.analysis.grouping import all_above, depths, distinct, find_roots, flags_at, fold_ancestors
from traceq.analysis.habits import find_unordered
from traceq.analysis.learning import corrected, learned_of, with_learned
from traceq.analysis.requests import RequestOptions, find_requests
from traceq.analysis.siblings import Calls, Waiting, replay
from traceq.analysis.spread import Spread, spread, spread_specs
from traceq.answer import Answer
from traceq.learned import Lesson, Ticks
from traceq.report import Column, Rows, Unit, json_key
from traceq.semantics import KIND_NAMES
from traceq.traces import Traces
from traceq.units import parse_duration

_WAITING: tuple[Waiting, Waiting] = ("last", "all")
"""What calls may have waited for instead of what chains tell: they then begin earlier, or later."""
_PERCENT = re.compile(r"-\s*(\d+(?:\.\d+)?)\s*%")


class Shortening(Struct, frozen=True):
    """Which spans are to be shorter, and by how much."""

    name: str
    """The name of the spans; see `columns.named`."""
    ratio: float = 1.0
    """The share of each span's time that remains, 0..1."""
    most_ns: int | None = None
    """The maximum time of each span in ns; None for no maximum."""
    text: str = ""
    """The text from which it was read."""
    meaning: int | None = None
    """Which of `columns.meanings` the name has; None for the first that any span of the table has."""

    def apply(self, lengths_ns: Ints) -> Ints:
        """Give the new lengths: never longer than they were."""
        shorter: Ints = np.floor(lengths_ns * self.ratio).astype(np.int64) if self.ratio < 1 else lengths_ns
        return shorter if self.most_ns is None else np.minimum(shorter, self.most_ns)


def parse_shortening(text: str) -> Shortening:
    """Read `mongodb.insert=-50%`, `mysql=20ms` or `chat-service:POST /rooms=0`.

    Raises:
        ValueError: If there is no name or no change, or the change would make spans longer.
    """
    name, equals, change = text.rpartition("=")
    name, change = name.strip(), change.strip()
    if not equals or not name or not change:
        raise ValueError(f"'{text}' is not a change, write NAME=-50% or NAME=20ms")
    percent = _PERCENT.fullmatch(change)
    if percent is not None:
        if float(percent.group(1)) > 100:
            raise ValueError(f"'{change}' would take more than all of the time, write at most -100%")
        return Shortening(name, ratio=1 - float(percent.group(1)) / 100, text=text.strip())
    if change.endswith("%"):
        raise ValueError(f"'{change}' is not a shortening, write for example -50%")
    try:
        return Shortening(name, most_ns=parse_duration(change), text=text.strip())
    except ValueError as error:
        raise ValueError(f"{error}, or a share such as -50%") from error


class WhatIfSums(Struct, frozen=True):
    """Any number of requests as they were and as they would be; can be added to others."""

    matched_counts: tuple[int, ...] = ()
    """The number of spans that each shortening applies to, in the order in which they were given."""
    on_path_count: int = 0
    """The number of shortened spans that are on the critical path."""
    shortened_ns: int = 0
    """The time by which these are shortened."""
    least_saved_ns: int = 0
    """The same as `saved_ns` if calls waited for all that had ended before them, of requests that save less by it."""
    most_saved_ns: int = 0
    """The same if calls waited only for what had ended last before them, of requests that save more by it."""
    before: Spread = field(default_factory=Spread)
    """Latencies as they were."""
    after: Spread = field(default_factory=Spread)
    """Latencies as they would be."""
    held: dict[GroupKey, tuple[int, int]] = {}
    """How long each operation holds the critical paths, ns before and after."""

    def __add__(self, other: WhatIfSums) -> WhatIfSums:
        if not self.matched_counts or not other.matched_counts:
            return self if self.matched_counts else other
        held = dict(self.held)
        for key, (before_ns, after_ns) in other.held.items():
            known = held.get(key, (0, 0))
            held[key] = (known[0] + before_ns, known[1] + after_ns)
        return WhatIfSums(
            tuple(mine + theirs for mine, theirs in zip(self.matched_counts, other.matched_counts, strict=True)),
            self.on_path_count + other.on_path_count,
            self.shortened_ns + other.shortened_ns,
            self.least_saved_ns + other.least_saved_ns,
            self.most_saved_ns + other.most_saved_ns,
            self.before + other.before,
            self.after + other.after,
            held,
        )

    @property
    def saved_ns(self) -> int:
        """The time that all requests together would save; never negative."""
        return self.before.total_ns - self.after.total_ns


class HeldOperation(NamedTuple):
    """An operation, and how long it holds requests before and after the changes."""

    key: GroupKey
    before_ns: int
    after_ns: int


OPERATION_COLUMNS: tuple[Column[HeldOperation], ...] = (
    Column("service", "service", Unit.SERVICE, of="key", can_shrink=True),
    Column("operation", "operation", value=lambda held: held.key.name, can_shrink=True),
    Column("kind", "kind", value=lambda held: held.key.kind.name.lower(), holds=KIND_NAMES),
    Column(
        "peer",
        "peer",
        value=lambda held: None if held.key.peer is None else held.key.peer.label,
        about="what was called: system and name",
    ),
    Column(
        "critical_before_ns",
        "critical",
        Unit.DURATION,
        lambda held: held.before_ns,
        "time on the critical paths as they are",
    ),
    Column("critical_after_ns", "what if", Unit.DURATION, lambda held: held.after_ns, "the same as it would be"),
)


def _of_requests(key: str, value: Callable[[WhatIfSums], int], about: str) -> Column[WhatIf]:
    """Describe a time that is null where there was no request."""
    return json_key(key, lambda answer: value(answer.sums) if answer.sums.before.count else None, about)


class WhatIf(Answer, Struct, frozen=True):
    """What shorter calls would save, and what would hold requests then."""

    changes: tuple[Shortening, ...]
    sums: WhatIfSums

    @property
    def operations(self) -> list[HeldOperation]:
        """The operations that hold the critical paths; those that would hold them longest come first."""
        held = (HeldOperation(key, *times_ns) for key, times_ns in self.sums.held.items())
        return sorted(held, key=lambda line: (-line.after_ns, -line.before_ns, line.key.service, line.key.name))

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        json_key(
            "matched_span_counts",
            lambda answer: list(answer.sums.matched_counts),
            "number of spans that each change means, in the order in which the changes were given",
            holds="counts",
        ),
        json_key(
            "on_path_span_count",
            lambda answer: answer.sums.on_path_count,
            "shortened spans that hold the critical path",
        ),
        _of_requests("shortened_ns", lambda sums: sums.shortened_ns, "what these are shortened by"),
        _of_requests("saved_ns", lambda sums: sums.saved_ns, "how much less all requests would take"),
        _of_requests(
            "least_saved_ns",
            lambda sums: sums.least_saved_ns,
            "the same if calls waited for all that had ended before them",
        ),
        _of_requests(
            "most_saved_ns",
            lambda sums: sums.most_saved_ns,
            "the same if calls waited only for what had ended last before them",
        ),
        json_key("request_count", lambda answer: answer.sums.before.count, "requests that were looked at"),
        *spread_specs("latency_before", "", lambda answer: answer.sums.before, "latencies of the requests as they are"),
        *spread_specs(
            "latency_after", "", lambda answer: answer.sums.after, "latencies of the requests as they would be"
        ),
        Rows("operations", OPERATION_COLUMNS, about="those first that would hold the critical paths longest"),
    )
    MAIN: ClassVar[str] = "operations"


class WhatIfQuestion(Struct, frozen=True):
    """What shorter calls would save."""

    options: RequestOptions
    changes: tuple[Shortening, ...]
    needs_details: bool = False
    learns: bool = True
    lesson: Lesson = "orders"

    def nothing(self) -> WhatIfSums:
        """Give the sums of no traces."""
        return WhatIfSums()

    def rank(self, sums: WhatIfSums) -> WhatIf:
        """Turn sums into the answer."""
        return WhatIf(self.changes, sums)

    def collect(self, traces: Traces) -> WhatIfSums:
        """Calculate new times of requests with some spans shorter.

        Everything inside a shortened span shrinks with it; of shortened spans within each other the outermost counts.
        Among the calls of one caller, each keeps its distance from what it waited for (see `siblings.replay`), and the
        caller's end from the last of them. Times are those of the critical path: spans are clipped to their ancestors,
        and what is handed over is left out.
        """
        spans = with_learned(columns(traces), more="orders")
        spans, _ = corrected(spans, correct_skew=self.options.correct_skew)
        # Both times are calculated: estimates within ticks of a coarse clock would differ for other reasons.
        spans = replace(spans, learned=structs.replace(learned_of(spans), ticks=Ticks()))
        requests = find_requests(spans, self.options)
        paths = find_paths(requests.spans)
        matched, lengths_ns = _shortened(paths, requests.entry >= 0, self.changes)
        outermost = _outermost(requests.spans.parents, lengths_ns < paths.high_ns - paths.low_ns)
        callers = _callers(paths, outermost)
        settled = _settle(callers, np.where(outermost, lengths_ns, callers.old_ns), "chains")
        timed = _timed(paths, callers, outermost, settled)
        again = find_paths(timed)
        on_path = outermost & paths.on_path
        inside = requests.entry >= 0
        before_ns, after_ns = (part.duration_ns[requests.entries] for part in (spans, timed))
        early_ns, late_ns = (_settle_otherwise(callers, settled, waiting)[requests.entries] for waiting in _WAITING)
        return WhatIfSums(
            matched_counts=matched,
            on_path_count=int(np.count_nonzero(on_path)),
            shortened_ns=int((paths.high_ns - paths.low_ns - lengths_ns)[on_path].sum()),
            least_saved_ns=int((before_ns - np.maximum(after_ns, late_ns)).sum()),
            most_saved_ns=int((before_ns - np.minimum(after_ns, early_ns)).sum()),
            before=spread(before_ns),
            after=spread(after_ns),
            held=_held(
                requests.spans, inside, *(charge(each.spans, each.own_ns).charged_ns for each in (paths, again))
            ),
        )


def _shortened(paths: Paths, inside: Flags, shortenings: tuple[Shortening, ...]) -> tuple[tuple[int, ...], Ints]:
    """Count the spans of each shortening, and give the new length of every span; the shortest if several apply."""
    lengths_ns = paths.high_ns - paths.low_ns
    new_ns = lengths_ns.copy()
    counts = []
    for shortening in shortenings:
        meant = np.flatnonzero(_meant(paths.spans, shortening) & inside)
        counts.append(meant.size)
        new_ns[meant] = np.minimum(new_ns[meant], shortening.apply(lengths_ns[meant]))
    return tuple(counts), new_ns


def _meant(spans: Columns, shortening: Shortening) -> Flags:
    if shortening.meaning is None:
        return named(spans, shortening.name)
    return meanings(spans, shortening.name)[shortening.meaning]


def _outermost(parents: Ints, shorter: Flags) -> Flags:
    """Keep the shortened spans that do not lie within another one."""
    within = fold_ancestors(parents, shorter, np.logical_or)
    outermost: Flags = shorter & ~((parents >= 0) & within[parents])
    return outermost


def _timed(paths: Paths, callers: _Callers, outermost: Flags, settled: _Settled) -> Columns:
    """Calculate new times of all spans: their lengths are known, so their starts from the roots down."""
    spans = paths.spans
    parents, low_ns, blocking = spans.parents, paths.low_ns, callers.blocking
    moved_ns, new_ns = settled.moved_ns, settled.new_ns.copy()
    start_ns = low_ns + fold_ancestors(parents, moved_ns, np.add)
    head = _head_above(parents, outermost)
    inner = np.flatnonzero((head >= 0) & (head != np.arange(head.size)))
    start_ns[inner], new_ns[inner] = _scaled(paths, head[inner], inner, start_ns, new_ns)
    new_ns = np.where(blocking, new_ns, 0)  # nobody waits for the others: they take no part in the path
    # Spans outside an ancestor stay outside: of calls clipped to the same end, the path follows the real ends.
    whole = blocking & (head < 0)
    early_ns = np.where(whole, low_ns - spans.start_ns, 0)
    late_ns = np.where(whole, spans.end_ns - paths.high_ns, 0)
    return replace(
        spans, start_ns=start_ns - early_ns, end_ns=start_ns + new_ns + late_ns, duration_ns=new_ns + early_ns + late_ns
    )


def _head_above(parents: Ints, outermost: Flags) -> Ints:
    """Give for each span the shortened span that it lies in, or is; -1 for the others."""
    top = find_roots(np.where(outermost, -1, parents))
    return np.where(outermost[top], top, -1)


def _scaled(paths: Paths, heads: Ints, rows: Ints, start_ns: Ints, new_ns: Ints) -> tuple[Ints, Ints]:
    """Shrink the spans within shortened spans in proportion; order and nesting stay."""
    low_ns, high_ns = paths.low_ns, np.maximum(paths.high_ns, paths.low_ns)
    old_ns = high_ns[heads] - low_ns[heads]
    ratio = new_ns[heads] / np.maximum(old_ns, 1)
    first, last = (np.floor((end[rows] - low_ns[heads]) * ratio).astype(np.int64) for end in (low_ns, high_ns))
    return start_ns[heads] + first, last - first


class _Callers(Struct, frozen=True, eq=False):
    """Everything above shortened spans, with the calls that it waits for."""

    rows: Ints
    """The callers, the deepest first."""
    are_unsure: Flags
    """Which of them may wait otherwise than chains tell, or have such a caller below them."""
    calls: Ints
    """Their calls, by caller and start."""
    firsts: Ints
    """The position among `calls` where those of each caller begin ..."""
    lasts: Ints
    """... and where they are over."""
    start_ns: list[int]
    """When these calls begin ..."""
    end_ns: list[int]
    """... and end."""
    places: Sequence[int]
    unordered: AbstractSet[tuple[int, int]]
    """As `Calls` has them."""
    blocking: Flags
    """Which of all spans their callers wait for."""
    old_ns: Ints
    """The lengths of all spans as they were."""


class _Settled(Struct, frozen=True, eq=False):
    """What becomes of spans; arrays have one entry for each."""

    moved_ns: Ints
    """By how much each starts later, seen from its parent's start; never above 0."""
    new_ns: Ints
    """Lengths as they will be."""


def _callers(paths: Paths, outermost: Flags) -> _Callers:
    """Find the callers of the outermost shortened spans."""
    parents, low_ns = paths.spans.parents, paths.low_ns
    blocking = (paths.high_ns > low_ns) & all_above(parents, paths.awaited)
    rows = _ancestors(parents, np.flatnonzero(outermost))
    calls = np.flatnonzero(blocking & (parents >= 0) & np.isin(parents, rows))
    order = calls[np.lexsort((low_ns[calls], parents[calls]))]
    firsts, lasts = np.searchsorted(parents[order], rows), np.searchsorted(parents[order], rows, side="right")
    learned = paths.spans.learned
    places, unordered = find_unordered(paths.spans, order, learned.unordered if learned else frozenset())
    is_unsure = flags_at(_not_in_turn(paths, order, np.array(places, dtype=np.int64), unordered), parents.size)
    is_unsure[_ancestors(parents, np.flatnonzero(is_unsure))] = True
    # Lists: single entries of arrays take ten times as long.
    start_ns, end_ns = (times[order].tolist() for times in (low_ns, paths.high_ns))
    old_ns = np.maximum(paths.high_ns - low_ns, 0)
    return _Callers(rows, is_unsure[rows], order, firsts, lasts, start_ns, end_ns, places, unordered, blocking, old_ns)


def _not_in_turn(paths: Paths, order: Ints, places: Ints, unordered: AbstractSet[tuple[int, int]]) -> Ints:
    """Give the callers of calls that overlap, or of which one may not have waited for another one before it."""
    above = paths.spans.parents[order]
    is_next = above[1:] == above[:-1]
    overlapping = above[1:][is_next & (paths.high_ns[order][:-1] > paths.low_ns[order][1:])]
    firsts, thens = (np.array([pair[at] for pair in unordered], dtype=np.int64) for at in (0, 1))
    refuted = np.intersect1d(above[np.isin(places, firsts)], above[np.isin(places, thens)])
    return np.concatenate((overlapping, refuted))


def _settle(callers: _Callers, new_ns: Ints, waiting: Waiting) -> _Settled:
    """Go up from shortened spans, the deepest callers first: move their calls, and calculate their own new lengths.

    Args:
        callers: The callers of shortened spans.
        new_ns: Lengths as they will be, except that those of callers are as they were.
        waiting: What calls waited for.
    """
    moved_ns = np.zeros(new_ns.size, dtype=np.int64)
    start_ns, end_ns = callers.start_ns, callers.end_ns
    rows, lengths_ns, moves_ns = callers.calls.tolist(), new_ns.tolist(), [0] * callers.calls.size
    bounds = (part.tolist() for part in (callers.rows, callers.firsts, callers.lasts))
    for caller, first, last in zip(*bounds, strict=True):
        if last == first + 1:
            lengths_ns[caller] -= end_ns[first] - start_ns[first] - lengths_ns[rows[first]]
            continue
        of = slice(first, last)
        calls_ns = (start_ns[of], end_ns[of], [lengths_ns[row] for row in rows[of]])
        moves_ns[of], saved_ns = replay(Calls(*calls_ns, callers.places[of], callers.unordered), waiting)
        lengths_ns[caller] -= saved_ns
    moved_ns[callers.calls] = moves_ns
    return _Settled(moved_ns, np.array(lengths_ns, dtype=np.int64))


def _settle_otherwise(callers: _Callers, settled: _Settled, waiting: Waiting) -> Ints:
    """Give new lengths if calls waited for something else: only above calls side by side that makes a difference."""
    kept = callers.are_unsure
    again = replace(callers, rows=callers.rows[kept], firsts=callers.firsts[kept], lasts=callers.lasts[kept])
    new_ns = settled.new_ns.copy()
    new_ns[again.rows] = callers.old_ns[again.rows]
    return _settle(again, new_ns, waiting).new_ns


def _ancestors(parents: Ints, rows: Ints) -> Ints:
    """Give every span above these, the deepest first."""
    above = np.zeros(parents.size, dtype=np.bool_)
    found = distinct(parents[rows])
    while found.size:
        found = found[(found >= 0) & ~above[found]]
        above[found] = True
        found = distinct(parents[found])
    callers = np.flatnonzero(above)
    order: Ints = callers[np.argsort(-depths(parents)[callers], kind="stable")]
    return order


def _held(spans: Columns, inside: Flags, before_ns: Ints, after_ns: Ints) -> dict[GroupKey, tuple[int, int]]:
    rows = np.flatnonzero(inside & ((before_ns > 0) | (after_ns > 0)))
    keys, numbers = number_operations(spans, rows)
    sums = np.zeros((2, len(keys)), dtype=np.int64)
    np.add.at(sums[0], numbers, before_ns[rows])
    np.add.at(sums[1], numbers, after_ns[rows])
    return {key: (before, after) for key, before, after in zip(keys, *sums.tolist(), strict=True)}
