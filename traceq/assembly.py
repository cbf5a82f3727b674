"""Put traces as they were read together as one span table.

Here, once and for every format, ids find their parents and strange input is repaired and reported: copies, shared ids,
missing parents, spans that are their own ancestor, missing start times. Spans in = rows + spans named in a
`duplicate-dropped` warning.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from operator import lt
from typing import Any, TypeVar

from traceq.semantics import Kind, Peer, Status
from traceq.traces import SpanDetails, Traces, TraceWarning, WarningCode, normal_id

_Value = TypeVar("_Value", bound=Hashable)


@dataclass(slots=True)
class TraceRecord:
    """One trace, or a part of one, as a codec reads it: columns of equal length, one entry a span."""

    trace_id: str
    """Lower-case hex, as the source gave it."""
    span_ids: list[str] = field(default_factory=list)
    parent_ids: list[tuple[str, ...]] = field(default_factory=list)
    """Span ids in this trace that may be the parent, the best first: CHILD_OF before FOLLOWS_FROM. None for a root."""
    start_ns: list[int] = field(default_factory=list)
    duration_ns: list[int] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    """Empty text where the source tells no service; shown as `unknown-service`."""
    names: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    peers: list[Peer | None] = field(default_factory=list)
    details: list[SpanDetails] = field(default_factory=list)
    """Empty when they were left out on reading."""
    warnings: list[str] = field(default_factory=list)
    """What the source remarked about the trace as a whole."""

    def without(self, dropped: set[int]) -> TraceRecord:
        """Give the record without the spans at these positions."""
        kept = [position for position in range(len(self.span_ids)) if position not in dropped]
        columns: dict[str, Any] = {
            name: [column[position] for position in kept] for name in _COLUMNS if (column := getattr(self, name))
        }
        return replace(self, **columns)


_COLUMNS = tuple(column.name for column in fields(TraceRecord) if column.name not in ("trace_id", "warnings"))


def join(parts: Sequence[TraceRecord]) -> TraceRecord:
    """Put parts of one trace together; it goes by the first part's id."""
    columns: dict[str, Any] = {
        name: [value for part in parts for value in getattr(part, name)] for name in (*_COLUMNS, "warnings")
    }
    return replace(parts[0], **columns)


_LOST = -2
"""A parent that was not found under its id as written."""

UNKNOWN_SERVICE = "unknown-service"
"""The service of a span whose source tells none; Jaeger UI's name for it."""


def assemble(records: Iterable[TraceRecord], *, with_details: bool = True) -> Traces:
    """Build the span table of these traces, in this order.

    Records whose trace ids are the same but for padding and case are parts of one trace and are put together.

    Args:
        records: Traces as a codec reads them.
        with_details: Whether to keep attributes, events and links; they keep the source's bytes in memory.
    """
    assembler = _Assembler()
    for record in _merged(records):
        assembler.add(record)
    return assembler.table(with_details=with_details)


def _merged(records: Iterable[TraceRecord]) -> Iterable[TraceRecord]:
    by_id: defaultdict[str, list[TraceRecord]] = defaultdict(list)
    for record in records:
        by_id[normal_id(record.trace_id)].append(record)
    return (parts[0] if len(parts) == 1 else join(parts) for parts in by_id.values())


def _encoded(values: Sequence[_Value], *known: _Value) -> tuple[array[int], tuple[_Value, ...]]:
    """Give small numbers for values that repeat, in the order in which they first occur; known ones come first."""
    found = tuple(dict.fromkeys((*known, *values)))
    codes = {value: code for code, value in enumerate(found)}
    return array("i", [codes[value] for value in values]), found


class _Assembler:
    """The growing columns of a span table; lists while they grow, since joining these costs next to nothing."""

    def __init__(self) -> None:
        self.trace_ids: list[str] = []
        self.span_counts: list[int] = []
        self.whole = TraceRecord("")
        self.parents: list[int] = []
        self.missing_parents: dict[int, str] = {}
        self.warnings: list[TraceWarning] = []

    def add(self, record: TraceRecord) -> None:
        base = len(self.parents)
        parents = _plain_parents(record, base)
        if parents is None:
            trace = _Assembly(record)
            record = trace.record
            parents = [parent + base if parent >= 0 else -1 for parent in trace.parents]
            for position, parent_id in trace.missing_parents.items():
                self.missing_parents[base + position] = parent_id
            self.warnings += trace.warnings
        self.trace_ids.append(record.trace_id)
        self.span_counts.append(len(parents))
        self.parents += parents
        self._append(record)

    def _append(self, record: TraceRecord) -> None:
        whole = self.whole
        whole.span_ids += record.span_ids
        whole.start_ns += record.start_ns
        whole.duration_ns += record.duration_ns
        whole.kinds += record.kinds
        whole.statuses += record.statuses
        whole.services += record.services
        whole.names += record.names
        whole.hosts += record.hosts
        whole.peers += record.peers
        whole.details += record.details

    def table(self, *, with_details: bool) -> Traces:
        whole = self.whole
        service_codes, services = _encoded(whole.services)
        name_codes, names = _encoded(whole.names)
        host_codes, hosts = _encoded(whole.hosts, "")
        peer_codes, peers = _encoded(whole.peers, None)
        return Traces(
            trace_ids=tuple(self.trace_ids),
            offsets=array("q", accumulate(self.span_counts, initial=0)),
            span_ids=tuple(whole.span_ids),
            parents=array("q", self.parents),
            missing_parents=self.missing_parents,
            start_ns=array("q", whole.start_ns),
            duration_ns=array("q", whole.duration_ns),
            kinds=array("b", whole.kinds),
            statuses=array("b", whole.statuses),
            service_codes=service_codes,
            name_codes=name_codes,
            host_codes=host_codes,
            peer_codes=peer_codes,
            services=services,
            names=names,
            hosts=hosts,
            peers=peers,
            details=tuple(whole.details) if with_details else None,
            warnings=tuple(self.warnings),
        )


def _plain_parents(record: TraceRecord, base: int) -> list[int] | None:
    """Find the rows of parents in a trace without anything strange; None where something has to be repaired.

    Nearly all traces are such, and the thorough way takes three times as long.
    """
    ids, starts = record.span_ids, record.start_ns
    if record.warnings or not ids or "" in record.services or min(record.duration_ns) < 0 or min(starts) <= 0:
        return None
    rows = dict(zip(ids, range(base, base + len(ids)), strict=True))
    if len(rows) < len(ids):
        return None
    parents = [rows.get(candidates[0], _LOST) if candidates else -1 for candidates in record.parent_ids]
    if _LOST in parents:
        return None
    # Parents that stand before their children cannot be below them; elsewhere rings are looked for.
    if all(map(lt, parents, range(base, base + len(ids)))):
        return parents
    return None if _rings([parent - base if parent >= 0 else -1 for parent in parents]) else parents


class _Assembly:
    """One trace on its way into the table: repaired columns, positions of parents, warnings."""

    def __init__(self, record: TraceRecord) -> None:
        # Repairs change these three columns; the codec's record stays as it was read.
        self.record = replace(
            record,
            services=list(record.services),
            start_ns=list(record.start_ns),
            duration_ns=list(record.duration_ns),
        )
        self.missing_parents: dict[int, str] = {}
        self.warnings: list[TraceWarning] = []
        for message in record.warnings:
            self._warn("from-source", message)
        self._repair_services()
        self._repair_durations()
        # Which position an id names; of several spans with one id, the one that children belong to.
        self._positions = {span_id: position for position, span_id in enumerate(record.span_ids)}
        self._shared_parents: dict[int, int] = {}
        if len(self._positions) < len(record.span_ids):
            self._settle_shared_ids()
        self.parents = self._find_parents()
        self._break_cycles()
        self._repair_starts()

    def _warn(self, code: WarningCode, message: str, position: int | None = None) -> None:
        span_id = "" if position is None else self.record.span_ids[position]
        self.warnings.append(TraceWarning(code, self.record.trace_id, message, span_id))

    def _repair_services(self) -> None:
        services = self.record.services
        if "" not in services:
            return
        for position in [i for i, service in enumerate(services) if not service]:
            services[position] = UNKNOWN_SERVICE
            self._warn("service-missing", f"no service is told, shown as {UNKNOWN_SERVICE}", position)

    def _repair_durations(self) -> None:
        durations = self.record.duration_ns
        if not durations or min(durations) >= 0:
            return
        for position in [i for i, duration_ns in enumerate(durations) if duration_ns < 0]:
            self._warn("negative-duration", f"ended {-durations[position]} ns before it started, taken as 0", position)
            durations[position] = 0

    def _settle_shared_ids(self) -> None:
        """Drop exact copies; of a CLIENT and a SERVER that share an id (Zipkin's way) make the SERVER the child."""
        self._drop_copies()
        record = self.record
        self._positions = {}
        shared: dict[str, list[int]] = defaultdict(list)
        for position, span_id in enumerate(record.span_ids):
            shared[span_id].append(position)
            self._positions.setdefault(span_id, position)
        for span_id, positions in shared.items():
            if len(positions) > 1:
                self._settle(span_id, positions)

    def _settle(self, span_id: str, positions: list[int]) -> None:
        kinds = self.record.kinds
        client = next((i for i in positions if kinds[i] is Kind.CLIENT), None)
        server = next((i for i in positions if kinds[i] is Kind.SERVER), None)
        if client is None or server is None or len(positions) > 2:
            self._warn(
                "duplicate-id", f"{len(positions)} different spans share an id, children go to the first", positions[0]
            )
            return
        self._positions[span_id] = server
        self._shared_parents[server] = client

    def _drop_copies(self) -> None:
        seen: set[tuple[object, ...]] = set()
        dropped: set[int] = set()
        for position, identity in enumerate(_identities(self.record)):
            if identity in seen:
                dropped.add(position)
                self._warn("duplicate-dropped", "an exact copy of another span was left out", position)
            seen.add(identity)
        if dropped:
            self.record = self.record.without(dropped)

    def _find_parents(self) -> list[int]:
        positions = self._positions
        record = self.record
        parents = [positions.get(candidates[0], _LOST) if candidates else -1 for candidates in record.parent_ids]
        for position, client in self._shared_parents.items():
            parents[position] = client
        if _LOST in parents:
            padded = {normal_id(span_id): position for span_id, position in positions.items()}
            for position in [i for i, parent in enumerate(parents) if parent == _LOST]:
                parents[position] = self._find_parent(position, padded)
        return parents

    def _find_parent(self, position: int, padded: dict[str, int]) -> int:
        candidates = self.record.parent_ids[position]
        for parent_id in candidates:
            parent = padded.get(normal_id(parent_id))
            if parent is not None:
                return parent
        self.missing_parents[position] = candidates[0]
        self._warn("orphan", f"its parent {candidates[0]} is not in the trace", position)
        return -1

    def _break_cycles(self) -> None:
        """Make roots of spans that are their own ancestors: of each ring the one that starts first."""
        parents = self.parents
        for position in [i for i, parent in enumerate(parents) if parent == i]:
            parents[position] = -1
            self._warn("self-parent", "names itself as its parent, taken as a root", position)
        for ring in _rings(parents):
            starts = self.record.start_ns
            first = min(ring, key=lambda i: (starts[i], self.record.span_ids[i], i))
            parents[first] = -1
            self._warn("cycle", f"is its own ancestor in a ring of {len(ring)} spans, taken as a root", first)

    def _repair_starts(self) -> None:
        """Give spans without a start their parent's, and roots the trace's first."""
        starts = self.record.start_ns
        if not starts or min(starts) > 0:
            return
        earliest = min((start for start in starts if start > 0), default=0)
        for position in [i for i, start in enumerate(starts) if start <= 0]:
            self._warn("start-missing", "no start time, taken to start with its parent", position)
            starts[position] = 0
        if earliest == 0:
            return  # nothing in the trace is timed: all spans start together
        for position in range(len(starts)):
            self._repair_start(position, earliest)

    def _repair_start(self, position: int, earliest: int) -> None:
        starts = self.record.start_ns
        chain: list[int] = []
        while position >= 0 and starts[position] == 0:
            chain.append(position)
            position = self.parents[position]
        for repaired in chain:
            starts[repaired] = starts[position] if position >= 0 else earliest


def _identities(record: TraceRecord) -> Iterable[tuple[object, ...]]:
    return zip(
        record.span_ids,
        record.parent_ids,
        record.start_ns,
        record.duration_ns,
        record.kinds,
        record.statuses,
        record.services,
        record.names,
        record.hosts,
        record.peers,
        strict=True,
    )


def _rings(parents: Sequence[int]) -> list[list[int]]:
    """Find the cycles of a parent relation: each is visited once, whatever the depth."""
    unseen, walking, done = 0, 1, 2
    state = bytearray(len(parents))
    rings = []
    for start in range(len(parents)):
        path = []
        position = start
        while position >= 0 and state[position] == unseen:
            state[position] = walking
            path.append(position)
            position = parents[position]
        if position >= 0 and state[position] == walking:
            rings.append(path[path.index(position) :])
        for visited in path:
            state[visited] = done
    return rings
