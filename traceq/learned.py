"""What was learned of operations and clocks from many traces: small values that can be passed to any process."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from enum import IntEnum
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct, field

_Key = TypeVar("_Key", bound=Hashable)

_OFTEN = 5
"""The minimum number of orphans of an operation that are no accident, where fewer of its spans have a parent."""
_KNOWN_PAUSES = 5
"""The minimum number of pauses at a place that show what is usual there."""


class Call(NamedTuple):
    """A kind of call: spans of one operation under spans of another."""

    caller_service: str
    caller: str
    service: str
    name: str
    callee_service: str
    """The service of its only child of another service, since old HTTP instrumentation names every call `GET`."""
    callee: str


class Place(NamedTuple):
    """One of the calls that a caller makes."""

    call: Call
    number: int
    """How many like it begin before."""


class Unordered(NamedTuple):
    """Two calls of one caller of which the second does not wait for the first, though it may begin after its end."""

    first: Place
    then: Place


class Clock(NamedTuple):
    """A clock of spans: that of a host, or of a service where hosts are not given."""

    host: str = ""
    service: str = ""


class ClockError(NamedTuple):
    """How far a clock is ahead of others with which it can be compared."""

    group: int
    """The number of the clock's group; clocks of one group can be compared."""
    ahead_ns: int
    """The offset in ns at `since_ns`; 0 for the group's first clock."""
    drift: float
    """The time that the clock gains in each second, in seconds."""
    since_ns: int


class EventKind(IntEnum):
    """What happens at an instant within a span."""

    CHILD_STARTS = 0
    CHILD_ENDS = 1
    STARTS = 2
    ENDS = 3


class Event(NamedTuple):
    """A start or end within a span: its own, or that of a child."""

    service: str
    name: str
    kind: EventKind


class Gap(NamedTuple):
    """A kind of gap: two events that follow each other within the spans of an operation."""

    service: str
    name: str
    before: Event
    after: Event


class GapSum(NamedTuple):
    """What was recorded of the gaps of one kind."""

    gap_count: int = 0
    sum_ns: int = 0
    nothing_count: int = 0
    """The number of gaps that were recorded as nothing."""


class Ticks(Struct, frozen=True):
    """Services whose clocks tick coarsely, and how long gaps between their events are."""

    tick_ns: Mapping[str, int] = {}
    gaps: Mapping[Gap, GapSum] = {}


class Operation(NamedTuple):
    """An operation: spans of one service, name and role."""

    service: str
    name: str
    role: int
    """The role by the span alone, as a `Kind` number: a call and its server's span often have the same name."""


class Origins(NamedTuple):
    """The numbers of an operation's spans with and without their parents."""

    orphan_count: int = 0
    """The number of spans that name a missing parent."""
    child_count: int = 0
    """The number of spans whose parent is present."""


class Lineage(Struct, frozen=True, dict=True):
    """Which operations occur above others in any number of traces; can be added to others."""

    calls: Mapping[tuple[Operation, Operation], int] = {}
    """By parent and child: the number of the child's spans directly below the parent's."""
    orphans: Mapping[Operation, int] = {}
    """The number of spans of each operation that name a missing parent."""

    def __add__(self, other: Lineage) -> Lineage:
        return Lineage(_added(self.calls, other.calls), _added(self.orphans, other.orphans))

    @cached_property
    def _parents(self) -> Mapping[Operation, frozenset[Operation]]:
        found: dict[Operation, set[Operation]] = {}
        for parent, child in self.calls:
            found.setdefault(child, set()).add(parent)
        return {child: frozenset(parents) for child, parents in found.items()}

    @cached_property
    def _child_counts(self) -> Mapping[Operation, int]:
        counts: dict[Operation, int] = {}
        for (_, child), count in self.calls.items():
            counts[child] = counts.get(child, 0) + count
        return counts

    def above(self, children: Iterable[Operation]) -> frozenset[Operation]:
        """Give the operations that can be above the missing parent of these children, directly or further up."""
        told = [self._parents[child] for child in children if child in self._parents]
        if not told:
            return frozenset()
        # Unknown operations do not count; where the known ones contradict each other, all of them may be right.
        waiting = set(frozenset.intersection(*told) or frozenset.union(*told))
        found: set[Operation] = set()
        while waiting:
            higher = self._parents.get(waiting.pop(), frozenset()) - found
            found |= higher
            waiting |= higher
        return frozenset(found)

    def origins(self, operation: Operation) -> Origins:
        """Count the spans of an operation that miss their parent, and those that have it."""
        return Origins(self.orphans.get(operation, 0), self._child_counts.get(operation, 0))

    def is_called_from_elsewhere(self, operation: Operation) -> bool:
        """Tell whether most of an operation's spans are below another service's."""
        parents = self._parents.get(operation, frozenset())
        elsewhere = sum(self.calls[parent, operation] for parent in parents if parent.service != operation.service)
        return 2 * elsewhere > self.origins(operation).child_count

    def comes_from_outside(self, operation: Operation) -> bool:
        """Tell whether an operation is called by something that sends no spans, so that its parents were not lost."""
        orphans, children = self.origins(operation)
        return orphans >= _OFTEN and orphans > children


NOTHING_KNOWN = Lineage()
"""The lineage where nothing was learned."""


def _added(one: Mapping[_Key, int], other: Mapping[_Key, int]) -> dict[_Key, int]:
    sums = dict(one)
    for key, count in other.items():
        sums[key] = sums.get(key, 0) + count
    return sums


PeerCall: TypeAlias = tuple[Call, str]
"""A kind of call, and the label of its peer, with what it asks if it is a query."""


class Scatter(Struct, frozen=True):
    """How long a kind of call takes beside others, the longest of each time left out; can be added to others.

    Logarithms of nanoseconds to base 2 are counted in 1024ths: whole numbers, so that sums are exact in any order.
    """

    count: int = 0
    sum: int = 0
    square_sum: int = 0

    def __add__(self, other: Scatter) -> Scatter:
        return Scatter(self.count + other.count, self.sum + other.sum, self.square_sum + other.square_sum)

    def variance(self, prior: float, weight: int) -> float:
        """Give the variance of the logarithms to base 2, with a first guess that counts like so many calls."""
        if not self.count:
            return prior
        squares = (self.square_sum - self.sum * self.sum / self.count) / SCATTER_UNIT**2
        return (squares + weight * prior) / (self.count + weight)


SCATTER_UNIT = 1024
"""Of a doubling of a duration."""


_USUAL_PAUSE, _PAUSE_WEIGHT = 0.43, 4
"""The first guess of how much pauses at one place scatter, as doublings, and the number of pauses it counts for."""
_DEVIATIONS = 4.5
"""Number of standard deviations above the median that is more than scatter."""


class Pauses(Struct, frozen=True):
    """How long a caller works itself at one place between its calls; can be added to others."""

    counts: Mapping[int, int] = {}
    """The number of pauses by the logarithm of their nanoseconds to base 2, in 32nds rounded down."""

    def __add__(self, other: Pauses) -> Pauses:
        return Pauses(_added(self.counts, other.counts))

    @property
    def count(self) -> int:
        """The number of pauses."""
        return sum(self.counts.values())

    def unusual_ns(self, threshold_ns: int) -> float:
        """Give the duration from which a pause is longer than usual, where this is at most a threshold.

        Where half of the pauses reach the threshold, being this long is what is wrong with them. Elsewhere it takes
        more than they scatter, and twice their median. The scatter is that of the shorter half, since some of the
        longer ones may be the exception.
        """
        median, low = self._quantile(0.5), self._quantile(0.16)
        if 2 ** ((median + 1) / PAUSE_UNIT) >= threshold_ns:
            return threshold_ns
        count = self.count
        known = count * ((median - low) / PAUSE_UNIT) ** 2
        deviation = math.sqrt((known + _PAUSE_WEIGHT * _USUAL_PAUSE**2) / (count + _PAUSE_WEIGHT))
        return max(threshold_ns, 2 ** (median / PAUSE_UNIT + max(1.0, _DEVIATIONS * deviation)))

    def _quantile(self, ratio: float) -> int:
        place, found = (self.count - 1) * ratio, 0
        for size, count in sorted(self.counts.items()):
            found += count
            if found > place:
                return size
        return 0


PAUSE_UNIT = 32
"""Parts of a doubling of a pause."""


class Habits(Struct, frozen=True):
    """What calls of one span usually are to each other."""

    free: frozenset[tuple[PeerCall, PeerCall]] = field(default_factory=frozenset)
    """Pairs of calls of which now the one and now the other is made first, so that neither needs the other's answer;
    both orders of each pair."""
    scatter: Mapping[PeerCall, Scatter] = {}
    pauses: Mapping[Place, Pauses] = {}
    """Pauses before each call, and before the end of the caller."""

    def pauses_at(self, place: Place) -> Pauses:
        """Give the pauses at a place, or of the whole operation where only a few are known."""
        found = self.pauses.get(place, Pauses())
        if found.count >= _KNOWN_PAUSES:
            return found
        caller = place.call[:2]
        return sum((pauses for at, pauses in self.pauses.items() if at.call[:2] == caller), Pauses())


class Learned(Struct, frozen=True):
    """What was learned from many traces."""

    asynchronous: frozenset[Call] = field(default_factory=frozenset)
    """Calls that nobody waits for, because they outlive their callers repeatedly."""
    left_running: frozenset[Call] = field(default_factory=frozenset)
    """Calls during which their callers call something else: what was before that was not waiting for them."""
    lineage: Lineage = NOTHING_KNOWN
    """Which operations occur above others."""
    clocks: Mapping[Clock, ClockError] = {}
    """The errors of clocks that some call proves wrong, and of the clocks with which these are compared."""
    ticks: Ticks = field(default_factory=Ticks)
    """Which clocks tick coarsely."""
    unordered: frozenset[Unordered] = field(default_factory=frozenset)
    """Calls that do not wait for each other; empty where the question does not need it."""
    habits: Habits = field(default_factory=Habits)
    """What calls of one span are to each other; empty where the question does not need it."""


Lesson: TypeAlias = Literal["orders", "habits"]
"""What some questions need to know besides: `Learned.unordered`, `Learned.habits`."""
