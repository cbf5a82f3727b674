"""Plans how to fetch a whole window from a server that limits its answers: what to ask next, and what is new.

Nothing is sent or written here. Each service has a lane through the window, oldest first, since old traces are the
first that a storage drops. A slice of time whose answer reaches the limit is halved; after an answer far below the
limit the next slice is twice as long. So the plan is a position and a width for each lane, however long the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from traceq.catalog import Window
from traceq.traces import normal_id
from traceq.units import NS_PER_US

_MOST_OVERFULL = 1000
"""Slices that stay over the limit when halved are rare; this many mean that the server ignores times."""


class TimeSlice(Struct, frozen=True, array_like=True):
    """One question: the spans of a service that start within these microseconds, both included."""

    service: str | None
    """None for all services at once."""
    first_us: int
    last_us: int

    @property
    def window(self) -> Window:
        """The window to ask for, slightly wider at both ends.

        Cassandra leaves out spans that start at the very ends; to ask twice costs little, to miss one would cost it.
        """
        return Window(self.first_us * NS_PER_US - 1, self.last_us * NS_PER_US + NS_PER_US - 1)


class Lane(Struct, frozen=True, array_like=True):
    """The progress of one service through the window; everything before `next_us` is harvested."""

    service: str | None
    next_us: int
    width_us: int
    """Width of the next slice, which does not go beyond the window."""


class Plan(Struct, frozen=True):
    """What is left to ask, and where answers still reached the limit; kept on disk as it is."""

    start_us: int
    end_us: int
    """The last microsecond of the window."""
    widest_us: int
    """The greatest width of a slice."""
    lanes: tuple[Lane, ...] = ()
    overfull: tuple[TimeSlice, ...] = ()
    """Slices of one microsecond whose answers still reached the limit: they may hold more traces."""
    holes: tuple[TimeSlice, ...] = ()
    """Slices of one microsecond over which the server fails: what is in them cannot be read."""

    def with_services(self, services: Iterable[str | None]) -> Plan:
        """Add a lane for each service that has none yet."""
        known = {lane.service for lane in self.lanes}
        new = (service for service in services if service not in known)
        lanes = tuple(Lane(service, self.start_us, self.widest_us) for service in new)
        return replace(self, lanes=(*self.lanes, *lanes))

    @property
    def questions(self) -> list[TimeSlice]:
        """The next question of each lane; none if all are answered."""
        return [
            TimeSlice(lane.service, lane.next_us, min(lane.next_us + lane.width_us - 1, self.end_us))
            for lane in self.lanes
            if lane.next_us <= self.end_us
        ]

    @property
    def done_ratio(self) -> float:
        """The share of all lanes that is harvested."""
        lane_us = self.end_us - self.start_us + 1
        done_us = sum(min(lane.next_us, self.end_us + 1) - self.start_us for lane in self.lanes)
        return done_us / (lane_us * len(self.lanes)) if self.lanes else 1.0

    @property
    def is_hopeless(self) -> bool:
        """Whether the server seems to ignore the times that it is asked for."""
        return len(self.overfull) >= _MOST_OVERFULL

    def answered(self, asked: TimeSlice, *, is_cut_off: bool, is_sparse: bool) -> Plan:
        """Return the plan after an answer.

        Args:
            asked: What `next` gave.
            is_cut_off: Whether the answer reached the limit.
            is_sparse: Whether it stayed so far below that twice the time would have fitted as well.
        """
        length_us = asked.last_us - asked.first_us + 1
        if is_cut_off and length_us > 1:
            return self._with(Lane(asked.service, asked.first_us, length_us // 2))
        lane = next(lane for lane in self.lanes if lane.service == asked.service)
        width_us = min(2 * lane.width_us, self.widest_us) if is_sparse else lane.width_us
        moved = self._with(Lane(asked.service, asked.last_us + 1, width_us))
        return replace(moved, overfull=(*self.overfull, asked)) if is_cut_off else moved

    def failed(self, asked: TimeSlice) -> Plan | None:
        """Return the plan after the server failed over a question; None if it fails over everything.

        The slice is halved, down to a microsecond that is given up. Two of these in a row are no bad trace.
        """
        length_us = asked.last_us - asked.first_us + 1
        if length_us > 1:
            return self._with(Lane(asked.service, asked.first_us, length_us // 2))
        if any(hole.service == asked.service and hole.last_us == asked.first_us - 1 for hole in self.holes):
            return None
        # The next answer shows whether the server has recovered; if it did, slices soon grow again.
        moved = self._with(Lane(asked.service, asked.last_us + 1, 1))
        return replace(moved, holes=(*self.holes, asked))

    def _with(self, changed: Lane) -> Plan:
        return replace(self, lanes=tuple(changed if lane.service == changed.service else lane for lane in self.lanes))


def plan_window(window: Window, widest_ns: int | None = None) -> Plan:
    """Plan the harvest of a window, without lanes yet.

    Args:
        window: With two ends.
        widest_ns: The longest time to ask for at once; None for all of the window.

    Raises:
        ValueError: If an end is open.
    """
    if window.start_ns is None or window.end_ns is None:
        raise ValueError("a harvest needs a window with two ends")
    start_us, end_us = window.start_ns // NS_PER_US, window.end_ns // NS_PER_US
    length_us = end_us - start_us + 1
    return Plan(start_us, end_us, length_us if widest_ns is None else min(length_us, max(1, widest_ns // NS_PER_US)))


@dataclass(slots=True)
class Met:
    """The traces received so far, since other slices and other services return the same ones again."""

    span_counts: dict[str, int] = field(default_factory=dict)
    """By `normal_id`; the only thing that grows with the harvest, by about 150 bytes per trace."""
    renewed: set[str] = field(default_factory=set)
    """Traces that were received again with more spans than before."""

    def is_news(self, trace_id: str, span_count: int) -> bool:
        """Return whether a trace is new or has more spans than before, and remember it.

        The same trace may come with fewer spans: it is still being recorded, or a storage answers with the part of it
        that is near the slice (Elasticsearch).
        """
        key = normal_id(trace_id)
        before = self.span_counts.get(key)
        if before is not None and before >= span_count:
            return False
        if before is not None:
            self.renewed.add(key)
        self.span_counts[key] = span_count
        return True
