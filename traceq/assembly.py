"""Put traces as they were read together as one span table: here ids find their parents."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import lt

from traceq.records import Codebook, CodedTrace, Codes
from traceq.repair import Repaired, find_rings
from traceq.semantics import Peer
from traceq.traces import SpanDetails, Traces, TraceWarning


class TableBuilder:
    """A span table in the making: traces go in one by one, in codes of its `codes`."""

    def __init__(self) -> None:
        self.codes = Codebook()
        self._trace_ids: list[str] = []
        self._span_counts: list[int] = []
        self._span_ids: list[str] = []
        self._missing_parents: dict[int, str] = {}
        self._follows_from: list[int] = []
        self._parents, self._start_ns, self._duration_ns = array("q"), array("q"), array("q")
        self._name_codes, self._origin_codes, self._meaning_codes = array("i"), array("i"), array("i")
        self._details: list[SpanDetails] = []
        self._warnings: list[TraceWarning] = []

    @property
    def span_count(self) -> int:
        """How many spans there are so far."""
        return len(self._span_ids)

    def add(self, trace: CodedTrace) -> None:
        """Put a whole trace behind what there is."""
        is_plain = not trace.warnings and self.codes.nameless.isdisjoint(trace.origins)
        parents = _plain_parents(trace, self.span_count) if is_plain else None
        if parents is None:
            self._add_repaired(Repaired(trace, self.codes))
        else:
            self._append(trace, parents, filter(trace.follows_from, trace.child_of_counts))

    def _add_repaired(self, repaired: Repaired) -> None:
        base = self.span_count
        self._missing_parents |= {base + position: id_ for position, id_ in repaired.missing_parents.items()}
        self._warnings += repaired.warnings
        parents = [parent + base if parent >= 0 else -1 for parent in repaired.parents]
        self._append(repaired.trace, parents, repaired.follows_from)

    def _append(self, trace: CodedTrace, parents: list[int], follows_from: Iterable[int]) -> None:
        base = self.span_count
        self._follows_from += [base + position for position in follows_from]
        self._trace_ids.append(trace.trace_id)
        self._span_counts.append(len(parents))
        self._span_ids += trace.span_ids
        self._parents.fromlist(parents)
        self._start_ns.fromlist(trace.start_ns)
        self._duration_ns.fromlist(trace.duration_ns)
        self._name_codes.fromlist(trace.names)
        self._origin_codes.fromlist(trace.origins)
        self._meaning_codes.fromlist(trace.meanings)
        self._details += trace.details

    def table(self, *, with_details: bool) -> Traces:
        """Give the table; the builder is not to be used any more."""
        services, hosts, peers = Codes[str](), Codes(""), Codes[Peer | None](None)
        service_of = [services[service] for service, _ in self.codes.origins]
        host_of = [hosts[host] for _, host in self.codes.origins]
        peer_of = [peers[meaning.peer] for meaning in self.codes.meanings]
        return Traces(
            trace_ids=tuple(self._trace_ids),
            offsets=array("q", accumulate(self._span_counts, initial=0)),
            span_ids=tuple(self._span_ids),
            parents=self._parents,
            missing_parents=self._missing_parents,
            follows_from=frozenset(self._follows_from),
            start_ns=self._start_ns,
            duration_ns=self._duration_ns,
            kinds=_taken("b", [meaning.kind for meaning in self.codes.meanings], self._meaning_codes),
            statuses=_taken("b", [meaning.status for meaning in self.codes.meanings], self._meaning_codes),
            service_codes=_taken("i", service_of, self._origin_codes),
            name_codes=self._name_codes,
            host_codes=_taken("i", host_of, self._origin_codes),
            activities=_taken("b", [meaning.activity for meaning in self.codes.meanings], self._meaning_codes),
            peer_codes=_taken("i", peer_of, self._meaning_codes),
            services=tuple(services),
            names=tuple(self.codes.names),
            hosts=tuple(hosts),
            peers=tuple(peers),
            details=tuple(self._details) if with_details else None,
            warnings=tuple(self._warnings),
        )


def _taken(typecode: str, values: Sequence[int], codes: array[int]) -> array[int]:
    """Give for each code its value."""
    return array(typecode, [values[code] for code in codes])


def _plain_parents(trace: CodedTrace, base: int) -> list[int] | None:
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
        parents = [rows[parent_id] for parent_id in trace.parent_ids]
    except KeyError:
        return None
    # Parents that stand before their children cannot be below them; elsewhere rings are looked for.
    if all(map(lt, parents, numbers)):
        return parents
    return None if find_rings([parent - base if parent >= 0 else -1 for parent in parents]) else parents
