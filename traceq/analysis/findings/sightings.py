"""The input and output of detectors: arrays, so that a million spans need no Python loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Codes, Columns, Flags, Ints, columns
from traceq.analysis.critical_path import Segments, segments
from traceq.analysis.culprits import Examined
from traceq.analysis.grouping import moved
from traceq.analysis.learning import learned_of
from traceq.analysis.naming import of_statement
from traceq.analysis.thresholds import Thresholds
from traceq.learned import Habits
from traceq.semantics import STATEMENT, Kind, first_text


class Sightings(Struct, frozen=True, eq=False):
    """All places in a span table where one kind of finding was seen, request by request."""

    kind: str
    """The kind of finding: a key of `kinds.KINDS`."""
    rows: Ints
    """Row of the span after which each sighting is named."""
    cost_ns: Ints
    """The cost of each sighting as time on the request's critical path, at most its latency; 0 where nobody waited."""
    time_ns: Ints
    """The duration of each sighting, waited for or not; its meaning depends on the kind."""
    members: Ints
    """Rows of the spans that show each sighting; those of one sighting are adjacent."""
    offsets: Ints
    """Where the members of each sighting begin, and one more entry for the end of all."""
    flags: Flags | None = None
    """What `kinds.Evidence.flagged_count` counts, one entry for each sighting; its meaning depends on the kind."""

    @property
    def is_flagged(self) -> Flags:
        """The flags, false where there are none."""
        return np.zeros(self.rows.size, dtype=np.bool_) if self.flags is None else self.flags

    def flagged(self, flags: Flags) -> Sightings:
        """Give the same sightings with flags."""
        return replace(self, flags=flags)


def none_seen(kind: str) -> Sightings:
    """Give no sightings."""
    nothing = np.zeros(0, dtype=np.int64)
    return Sightings(kind, nothing, nothing, nothing, nothing, np.zeros(1, dtype=np.int64))


def single(kind: str, rows: Ints, cost_ns: Ints, time_ns: Ints) -> Sightings:
    """Give sightings of one span each."""
    return Sightings(kind, rows, cost_ns, time_ns, rows, np.arange(rows.size + 1, dtype=np.int64))


class Groups(Struct, frozen=True, eq=False):
    """Rows in groups: those of one group are adjacent and ordered by start."""

    rows: Ints
    offsets: Ints

    @property
    def heads(self) -> Ints:
        """The position of the first row of each group."""
        return self.offsets[:-1]

    @property
    def sizes(self) -> Ints:
        """The number of rows of each group."""
        return np.diff(self.offsets)

    @property
    def number(self) -> Ints:
        """The group of each row."""
        return np.repeat(np.arange(self.sizes.size, dtype=np.int64), self.sizes)

    def sum(self, values: Ints) -> Ints:
        """Add up one value per row, by group."""
        return np.add.reduceat(values, self.heads) if self.rows.size else np.zeros(0, dtype=np.int64)

    def max(self, values: Ints) -> Ints:
        """Give each group's maximum of one value per row."""
        return np.maximum.reduceat(values, self.heads) if self.rows.size else np.zeros(0, dtype=np.int64)

    def keep(self, wanted: Flags) -> Groups:
        """Keep some of the groups."""
        return Groups(self.rows[wanted[self.number]], _offsets(self.sizes[wanted]))

    def split(self, begins: Flags) -> Groups:
        """Also begin a new group at the rows that are flagged; one flag per row."""
        begins = begins.copy()
        begins[self.heads] = True
        return Groups(self.rows, np.append(np.flatnonzero(begins), self.rows.size))


def _offsets(sizes: Ints) -> Ints:
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)))


class Scene(Struct, frozen=True, eq=False, dict=True):
    """Examined requests, with what several detectors need; arrays have one entry for each span."""

    examined: Examined
    thresholds: Thresholds

    @property
    def spans(self) -> Columns:
        """The table with corrected clocks, every request's entry a root."""
        return self.examined.spans

    @cached_property
    def recorded(self) -> Columns:
        """The table as it was read: with uncorrected clocks, and parents above the request's entry."""
        return columns(self.spans.traces)

    @cached_property
    def habits(self) -> Habits:
        """What calls of one span usually are to each other."""
        return learned_of(self.spans).habits

    @cached_property
    def is_asked(self) -> Flags:
        """Whether a span belongs to one of the requests."""
        return self.examined.requests.entry >= 0

    @cached_property
    def latency_ns(self) -> Ints:
        """The latency of the span's request; 0 outside of requests."""
        return np.where(self.is_asked, self.spans.duration_ns[self.examined.requests.entry], 0)

    @cached_property
    def path_ns(self) -> Ints:
        """How long a span, with everything below it, holds the critical path."""
        return np.where(self.is_asked, self.examined.paths.held_ns, 0)

    @cached_property
    def segments(self) -> Segments:
        """The segments of all critical paths."""
        return segments(self.examined.paths)

    @cached_property
    def waits_ns(self) -> Ints:
        """How long the caller holds the path just before it makes each call; 0 for what is not on the path."""
        found, spans = self.segments, self.spans
        callers, calls = found.rows[:-1], found.rows[1:]
        is_begun = (spans.parents[calls] == callers) & (found.end_ns[:-1] == found.start_ns[1:])
        # A call may come back to the path; it begins where it is met first.
        at = np.flatnonzero(is_begun)[::-1]
        return moved((found.end_ns - found.start_ns)[:-1][at], calls[at], spans.parents.size)

    @cached_property
    def operations(self) -> Codes:
        """A number for the operation's name without ids, for each span; `operation_names` has the names."""
        return self.spans.operations

    @property
    def operation_names(self) -> tuple[str, ...]:
        """The names that `operations` numbers."""
        return self.spans.operation_names

    @cached_property
    def is_query(self) -> Flags:
        """Whether a span queries a database; spans around such a span do not count, nor do drivers' beside an ORM's."""
        is_database = [peer is not None and peer.kind == "database" for peer in self.spans.traces.peers]
        asks: Flags = np.array(is_database, dtype=np.bool_)[self.spans.peers] & (self.spans.roles == Kind.CLIENT)
        asks[self._driver_rows(np.flatnonzero(asks & (self.spans.parents >= 0)))] = False
        return asks

    def _driver_rows(self, rows: Ints) -> Ints:
        """Find queries that lie within a sibling's of another name: the driver's span of what an ORM recorded too.

        The first span of one name is compared with the first of another, the second with the second, and so on, since
        the queries of an ORM may run side by side.
        """
        spans, peers = self.spans, self.spans.traces.peers
        rows = rows[np.bincount(spans.parents[rows], minlength=1)[spans.parents[rows]] > 1]
        numbers: dict[str, int] = {}
        systems = np.array([numbers.setdefault(peer.system if peer else "", len(numbers)) for peer in peers])
        named = self.group(rows, (spans.parents[rows], systems[spans.peers[rows]], spans.names[rows]))
        place = np.arange(rows.size) - named.heads[named.number]
        met = self.group(named.rows, (spans.parents[named.rows], systems[spans.peers[named.rows]], place))
        outer, inner = met.rows[:-1], met.rows[1:]
        within = (met.number[:-1] == met.number[1:]) & (spans.end_ns[inner] <= spans.end_ns[outer])
        within &= (spans.names[outer] != spans.names[inner]) & (spans.start_ns[inner] < spans.end_ns[outer])
        pairs = zip(outer[within].tolist(), inner[within].tolist(), strict=True)
        return np.array([row for around, row in pairs if self._asks_the_same(around, row)], dtype=np.int64)

    def _asks_the_same(self, outer: int, inner: int) -> bool:
        """Tell whether two queries may be one: their statements are alike, or one is not recorded."""
        details = self.spans.traces.details
        if details is None:
            return True
        one, other = (of_statement(first_text(details[row].attributes(), STATEMENT)).alike for row in (outer, inner))
        return not (one and other) or one == other

    @cached_property
    def is_call(self) -> Flags:
        """Whether a span waits for another service or a peer."""
        is_client: Flags = self.spans.roles == Kind.CLIENT
        return self.is_query | is_client

    @cached_property
    def callees(self) -> Ints:
        """For a CLIENT span, the row of the SERVER span below it; -1 for none.

        Old HTTP instrumentation names every call `GET`, so that only the callee tells what was called.
        """
        spans = self.spans
        servers = np.flatnonzero((spans.parents >= 0) & (spans.roles == Kind.SERVER))
        return moved(servers, spans.parents[servers], spans.parents.size, -1)

    def is_notable(self, rows: Ints, cost_ns: Ints) -> Flags:
        """Tell which costs are large enough to be reported for their requests."""
        bound = np.maximum(self.thresholds.min_cost_ns, self.thresholds.min_ratio * self.latency_ns[rows])
        notable: Flags = (cost_ns >= bound) & (cost_ns > 0)
        return notable

    def path_between(self, holders: Ints, start_ns: Ints, end_ns: Ints) -> Ints:
        """Measure how much of an interval within spans is on the path, as far as the span itself is on it."""
        paths = self.examined.paths
        low_ns = np.maximum(start_ns, paths.low_ns[holders])
        high_ns = np.minimum(end_ns, paths.high_ns[holders])
        return np.where(paths.on_path[holders], np.maximum(high_ns - low_ns, 0), 0)

    def group(self, rows: Ints, keys: Sequence[npt.NDArray[np.signedinteger[Any]]]) -> Groups:
        """Group rows with equal keys; keys have one entry for each of these rows."""
        spans = self.spans
        # Times come before rows, so that the order of reading makes no difference.
        order = np.lexsort((rows, spans.end_ns[rows], spans.start_ns[rows], *reversed(keys)))
        if not order.size:
            return Groups(rows, np.zeros(1, dtype=np.int64))
        begins = np.zeros(order.size, dtype=np.bool_)
        begins[0] = True
        for key in keys:
            begins[1:] |= np.diff(key[order]) != 0
        return Groups(rows[order], np.append(np.flatnonzero(begins), rows.size))

    def follows(self, groups: Groups) -> Flags:
        """Tell which rows start after the previous one of their group has ended; never the first of a group."""
        start_ns, end_ns = self.spans.start_ns[groups.rows], self.spans.end_ns[groups.rows]
        after = np.zeros(groups.rows.size, dtype=np.bool_)
        after[1:] = start_ns[1:] >= end_ns[:-1]
        after[groups.heads] = False
        return after

    def seen(self, kind: str, groups: Groups, cost_ns: Ints, time_ns: Ints) -> Sightings:
        """Give a sighting for each group, named after its first span."""
        return Sightings(kind, groups.rows[groups.heads], cost_ns, time_ns, groups.rows, groups.offsets)
