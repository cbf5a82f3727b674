"""Put traces as they were read together as one span table: here ids find their parents."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate
from operator import lt
from typing import TypeVar

from traceq.records import CodedTrace, TraceRecord, join
from traceq.repair import Repaired, find_rings
from traceq.semantics import Meaning, Peer
from traceq.traces import SpanDetails, Traces, TraceWarning, normal_id

_Value = TypeVar("_Value", bound=Hashable)


def assemble(records: Iterable[TraceRecord], *, with_details: bool = True) -> Traces:
    """Build the span table of these traces, in this order.

    Records whose trace ids are the same but for padding and case are parts of one trace and are put together.

    Args:
        records: Traces as a codec reads them.
        with_details: Whether to keep attributes, events and links; they keep the source's bytes in memory.
    """
    builder = TableBuilder()
    for record in _merged(records):
        builder.add(record)
    return builder.table(with_details=with_details)


def _merged(records: Iterable[TraceRecord]) -> Iterable[TraceRecord]:
    by_id: defaultdict[str, list[TraceRecord]] = defaultdict(list)
    for record in records:
        by_id[normal_id(record.trace_id)].append(record)
    return (parts[0] if len(parts) == 1 else join(parts) for parts in by_id.values())


class Codes(dict[_Value, int]):
    """Small numbers for values that repeat, in the order in which they first occur.

    Args:
        known: Come first.
    """

    def __init__(self, *known: _Value) -> None:
        super().__init__((value, code) for code, value in enumerate(known))

    def __missing__(self, value: _Value) -> int:
        self[value] = code = len(self)
        return code


class TableBuilder:
    """A span table in the making: traces go in one by one, as records or coded."""

    def __init__(self) -> None:
        self.names: Codes[str] = Codes()
        self.meanings: Codes[Meaning] = Codes()
        self.told: dict[tuple[tuple[str, str], ...], int] = {}
        """Codes of meanings by the attributes that tell them, for codecs to keep."""
        self._origins: Codes[tuple[str, str]] = Codes()
        self._nameless: set[int] = set()
        """Origins without a service."""
        self._trace_ids: list[str] = []
        self._span_counts: list[int] = []
        self._span_ids: list[str] = []
        self._missing_parents: dict[int, str] = {}
        self._parents, self._start_ns, self._duration_ns = array("q"), array("q"), array("q")
        self._name_codes, self._origin_codes, self._meaning_codes = array("i"), array("i"), array("i")
        self._details: list[SpanDetails] = []
        self._warnings: list[TraceWarning] = []

    def origin(self, service: str, host: str) -> int:
        """Give the code of what spans ran in."""
        code = self._origins[service, host]
        if not service:
            self._nameless.add(code)
        return code

    @property
    def span_count(self) -> int:
        """How many spans there are so far."""
        return len(self._span_ids)

    def add(self, record: TraceRecord) -> None:
        """Put a whole trace behind what there is."""
        base = self.span_count
        ids = [candidates[0] if candidates else None for candidates in record.parent_ids]
        is_plain = not record.warnings and "" not in record.services
        parents = _plain_parents(record, ids, base) if is_plain else None
        if parents is None:
            trace = Repaired(record)
            record = trace.record
            parents = [parent + base if parent >= 0 else -1 for parent in trace.parents]
            for position, parent_id in trace.missing_parents.items():
                self._missing_parents[base + position] = parent_id
            self._warnings += trace.warnings
        self._append(self._coded(record), parents)
        self._details += record.details

    def add_coded(self, trace: CodedTrace) -> None:
        """Put a whole trace behind what there is."""
        is_plain = not trace.warnings and self._nameless.isdisjoint(trace.origins)
        parents = _plain_parents(trace, trace.parent_ids, self.span_count) if is_plain else None
        if parents is None:
            self.add(self.record(trace))
        else:
            self._append(trace, parents)

    def record(self, trace: CodedTrace) -> TraceRecord:
        """Give a coded trace as a record."""
        origins, meanings, names = tuple(self._origins), tuple(self.meanings), tuple(self.names)
        parent_ids: list[tuple[str, ...]] = [() if first is None else (first,) for first in trace.parent_ids]
        for position, others in trace.other_parent_ids.items():
            parent_ids[position] += others
        return TraceRecord(
            trace.trace_id,
            trace.span_ids,
            parent_ids,
            trace.start_ns,
            trace.duration_ns,
            kinds=[meanings[code].kind for code in trace.meanings],
            statuses=[meanings[code].status for code in trace.meanings],
            services=[origins[code][0] for code in trace.origins],
            names=[names[code] for code in trace.names],
            hosts=[origins[code][1] for code in trace.origins],
            peers=[meanings[code].peer for code in trace.meanings],
            warnings=trace.warnings,
        )

    def _coded(self, record: TraceRecord) -> CodedTrace:
        return CodedTrace(
            record.trace_id,
            record.span_ids,
            start_ns=record.start_ns,
            duration_ns=record.duration_ns,
            names=[self.names[name] for name in record.names],
            origins=[self._origins[origin] for origin in zip(record.services, record.hosts, strict=True)],
            meanings=[
                self.meanings[Meaning(*parts)]
                for parts in zip(record.kinds, record.statuses, record.peers, strict=True)
            ],
        )

    def _append(self, trace: CodedTrace, parents: list[int]) -> None:
        self._trace_ids.append(trace.trace_id)
        self._span_counts.append(len(parents))
        self._span_ids += trace.span_ids
        self._parents.fromlist(parents)
        self._start_ns.fromlist(trace.start_ns)
        self._duration_ns.fromlist(trace.duration_ns)
        self._name_codes.fromlist(trace.names)
        self._origin_codes.fromlist(trace.origins)
        self._meaning_codes.fromlist(trace.meanings)

    def table(self, *, with_details: bool) -> Traces:
        """Give the table; the builder is not to be used any more."""
        services, hosts, peers = Codes[str](), Codes(""), Codes[Peer | None](None)
        service_of = [services[service] for service, _ in self._origins]
        host_of = [hosts[host] for _, host in self._origins]
        peer_of = [peers[meaning.peer] for meaning in self.meanings]
        return Traces(
            trace_ids=tuple(self._trace_ids),
            offsets=array("q", accumulate(self._span_counts, initial=0)),
            span_ids=tuple(self._span_ids),
            parents=self._parents,
            missing_parents=self._missing_parents,
            start_ns=self._start_ns,
            duration_ns=self._duration_ns,
            kinds=_taken("b", [meaning.kind for meaning in self.meanings], self._meaning_codes),
            statuses=_taken("b", [meaning.status for meaning in self.meanings], self._meaning_codes),
            service_codes=_taken("i", service_of, self._origin_codes),
            name_codes=self._name_codes,
            host_codes=_taken("i", host_of, self._origin_codes),
            peer_codes=_taken("i", peer_of, self._meaning_codes),
            services=tuple(services),
            names=tuple(self.names),
            hosts=tuple(hosts),
            peers=tuple(peers),
            details=tuple(self._details) if with_details else None,
            warnings=tuple(self._warnings),
        )


def _taken(typecode: str, values: Sequence[int], codes: array[int]) -> array[int]:
    """Give for each code its value."""
    return array(typecode, [values[code] for code in codes])


def _plain_parents(trace: TraceRecord | CodedTrace, parent_ids: Sequence[str | None], base: int) -> list[int] | None:
    """Find the rows of parents in a trace without anything strange; None where something has to be repaired.

    Nearly all traces are such, and the thorough way takes three times as long.
    """
    ids, starts = trace.span_ids, trace.start_ns
    if not ids or min(trace.duration_ns) < 0 or min(starts) <= 0:
        return None
    numbers = range(base, base + len(ids))
    rows: dict[str | None, int] = dict(zip(ids, numbers, strict=True))
    if len(rows) < len(ids):
        return None
    rows[None] = -1
    try:
        parents = [rows[parent_id] for parent_id in parent_ids]
    except KeyError:
        return None
    # Parents that stand before their children cannot be below them; elsewhere rings are looked for.
    if all(map(lt, parents, numbers)):
        return parents
    return None if find_rings([parent - base if parent >= 0 else -1 for parent in parents]) else parents
