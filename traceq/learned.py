"""What is known of operations and clocks from many traces: small values that any process can be handed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

_OFTEN = 5
"""So many spans whose parents are missing are no accident, where fewer of their kind have one."""


class Call(NamedTuple):
    """Who calls what: spans of one operation under spans of another."""

    caller_service: str
    caller: str
    service: str
    name: str
    callee_service: str
    """Whose span stands below it, where there is one alone; old HTTP instrumentation calls every call `GET`."""
    callee: str


class Clock(NamedTuple):
    """What tells the time of spans: a host, or a service where hosts are not told."""

    host: str = ""
    service: str = ""


class ClockError(NamedTuple):
    """How far a clock is ahead of others that it can be compared with."""

    group: int
    """Clocks of one group can be compared."""
    ahead_ns: int
    """At `since_ns`; of the group's first clock this is 0."""
    drift: float
    """What it gains in each second, in seconds."""
    since_ns: int


class Operation(NamedTuple):
    """Spans that do the same."""

    service: str
    name: str
    role: int
    """A `Kind` number, as the span alone tells it: a call and what answers it often go by one name."""


class Origins(NamedTuple):
    """Where the spans of an operation come from."""

    orphan_count: int = 0
    """They name a parent that is missing."""
    child_count: int = 0
    """Their parent is there."""


@dataclass(frozen=True)
class Lineage:
    """What stands above operations in any number of traces; adds to others."""

    calls: Mapping[tuple[Operation, Operation], int] = field(default_factory=dict)
    """By parent and child: how many spans of the one stand directly below the other."""
    orphans: Mapping[Operation, int] = field(default_factory=dict)
    """How many spans name a parent that is missing."""

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
        """Name what has been seen above the parent that these all share: above it, further up, and so on."""
        told = [self._parents[child] for child in children if child in self._parents]
        if not told:
            return frozenset()
        # What nothing is known of tells nothing; what disagrees may all be true.
        waiting = set(frozenset.intersection(*told) or frozenset.union(*told))
        found: set[Operation] = set()
        while waiting:
            higher = self._parents.get(waiting.pop(), frozenset()) - found
            found |= higher
            waiting |= higher
        return frozenset(found)

    def origins(self, operation: Operation) -> Origins:
        """Say how many spans of an operation miss their parent, and how many have it."""
        return Origins(self.orphans.get(operation, 0), self._child_counts.get(operation, 0))

    def is_called_from_elsewhere(self, operation: Operation) -> bool:
        """Tell whether most of an operation's spans stand below another service's."""
        parents = self._parents.get(operation, frozenset())
        elsewhere = sum(self.calls[parent, operation] for parent in parents if parent.service != operation.service)
        return 2 * elsewhere > self.origins(operation).child_count

    def comes_from_outside(self, operation: Operation) -> bool:
        """Tell whether an operation is called by something that sends no spans: what it names as parent is not lost."""
        orphans, children = self.origins(operation)
        return orphans >= _OFTEN and orphans > children


NOTHING_KNOWN = Lineage()
"""Of one trace alone nothing is known but itself."""


def _added(one: Mapping[_Key, int], other: Mapping[_Key, int]) -> dict[_Key, int]:
    sums = dict(one)
    for key, count in other.items():
        sums[key] = sums.get(key, 0) + count
    return sums


@dataclass(frozen=True, slots=True)
class Learned:
    """What many traces told."""

    asynchronous: frozenset[Call] = field(default_factory=frozenset)
    """Calls that nobody waits for: they outlive their callers again and again."""
    lineage: Lineage = NOTHING_KNOWN
    """What stands above operations."""
    clocks: Mapping[Clock, ClockError] = field(default_factory=dict)
    """Those that some call shows to be wrong, and those that these are compared with."""
