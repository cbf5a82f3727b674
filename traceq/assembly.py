"""Builds the span table from traces as codecs read them: here parent ids become rows."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate, chain
from operator import lt
from typing import TypeVar

from traceq.records import Codebook, CodedTrace, Codes
from traceq.repair import Repaired, find_rings
from traceq.semantics import Peer
from traceq.traces import SpanDetails, Traces, TraceWarning

_Value = TypeVar("_Value", bound=Hashable)


class TableBuilder:
    """Builds a span table: traces are added one by one, in the codes of its `codes`."""

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
        """The number of spans added so far."""
        return len(self._span_ids)

    def add(self, trace: CodedTrace) -> None:
        """Append a whole trace."""
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
        """Return the table; the builder must not be used afterwards."""
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


def joined(tables: Sequence[Traces], *, with_details: bool) -> Traces:
    """Concatenate tables; no two of them may hold parts of the same trace.

    Args:
        tables: Either all with details, or none.
        with_details: Whether to keep attributes, events and links.
    """
    if not tables:
        return TableBuilder().table(with_details=with_details)
    if len(tables) == 1:
        return tables[0]
    services, names, hosts, peers = Codes[str](), Codes[str](), Codes(""), Codes[Peer | None](None)
    bases = list(accumulate((table.span_count for table in tables), initial=0))
    placed = list(zip(bases, tables, strict=False))
    return Traces(
        trace_ids=tuple(chain.from_iterable(table.trace_ids for table in tables)),
        offsets=array("q", [0, *(base + end for base, table in placed for end in table.offsets[1:])]),
        span_ids=tuple(chain.from_iterable(table.span_ids for table in tables)),
        parents=array("q", [row + base if row >= 0 else -1 for base, table in placed for row in table.parents]),
        missing_parents={base + row: each for base, table in placed for row, each in table.missing_parents.items()},
        follows_from=frozenset(base + row for base, table in placed for row in table.follows_from),
        start_ns=_behind_each_other([table.start_ns for table in tables]),
        duration_ns=_behind_each_other([table.duration_ns for table in tables]),
        kinds=_behind_each_other([table.kinds for table in tables]),
        statuses=_behind_each_other([table.statuses for table in tables]),
        activities=_behind_each_other([table.activities for table in tables]),
        service_codes=_recoded([(table.service_codes, table.services) for table in tables], services),
        name_codes=_recoded([(table.name_codes, table.names) for table in tables], names),
        host_codes=_recoded([(table.host_codes, table.hosts) for table in tables], hosts),
        peer_codes=_recoded([(table.peer_codes, table.peers) for table in tables], peers),
        services=tuple(services),
        names=tuple(names),
        hosts=tuple(hosts),
        peers=tuple(peers),
        details=tuple(chain.from_iterable(table.details or () for table in tables)) if with_details else None,
        warnings=tuple(chain.from_iterable(table.warnings for table in tables)),
    )


def _behind_each_other(columns: Sequence[array[int]]) -> array[int]:
    joined_column = array(columns[0].typecode)
    for column in columns:
        joined_column.extend(column)
    return joined_column


def _recoded(columns: Iterable[tuple[array[int], Sequence[_Value]]], known: Codes[_Value]) -> array[int]:
    """Concatenate columns of codes, translated to the codes of `known`, which gains the values it lacks."""
    return _behind_each_other([_taken("i", [known[value] for value in values], codes) for codes, values in columns])


def _taken(typecode: str, values: Sequence[int], codes: array[int]) -> array[int]:
    """Look up the value of each code."""
    return array(typecode, [values[code] for code in codes])


def _plain_parents(trace: CodedTrace, base: int) -> list[int] | None:
    """Find the rows of the parents in a trace with nothing strange in it; None if anything has to be repaired.

    Nearly all traces are like that, and the thorough way takes three times as long.
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
