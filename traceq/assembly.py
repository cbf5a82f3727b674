"""Builds the span table from traces as codecs read them: parent ids become rows, strange traces are repaired."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate, chain, pairwise
from operator import lt
from typing import Any, TypeVar

from msgspec.structs import replace

from traceq.records import Codebook, CodedTrace, Codes
from traceq.semantics import Kind, Peer
from traceq.traces import PLAIN_COLUMNS, SpanDetails, Traces, TraceWarning, WarningCode, normal_id
from traceq.units import NS_PER_DAY, NS_PER_MS, NS_PER_S, NS_PER_US, YEAR_2000_NS

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
        """Append a whole trace; of one whose spans are all lost only what was wrong with them."""
        if trace.repairs and not trace.span_ids:
            self._warnings += trace.repairs
            return
        is_plain = not (trace.warnings or trace.repairs) and self.codes.nameless.isdisjoint(trace.origins)
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
    plain: dict[str, Any] = {
        name: _behind_each_other([getattr(each, name) for each in tables]) for name in PLAIN_COLUMNS
    }
    return Traces(
        **plain,
        trace_ids=tuple(chain.from_iterable(table.trace_ids for table in tables)),
        offsets=array("q", [0, *(base + end for base, table in placed for end in table.offsets[1:])]),
        span_ids=tuple(chain.from_iterable(table.span_ids for table in tables)),
        parents=array("q", [row + base if row >= 0 else -1 for base, table in placed for row in table.parents]),
        missing_parents={base + row: each for base, table in placed for row, each in table.missing_parents.items()},
        follows_from=frozenset(base + row for base, table in placed for row in table.follows_from),
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
    found = [values[code] for code in codes]
    # Kinds and the like are small; from bytes an array is made in half the time.
    return array(typecode, bytes(found) if typecode == "b" else found)


def _plain_parents(trace: CodedTrace, base: int) -> list[int] | None:
    """Find the rows of the parents in a trace with nothing strange in it; None if anything has to be repaired.

    Nearly all traces are like that, and repairing takes three times as long.
    """
    ids, starts = trace.span_ids, trace.start_ns
    if not ids or min(trace.duration_ns) < 0:
        return None
    first_ns = min(starts)
    if first_ns <= 0 or first_ns < YEAR_2000_NS <= max(starts):
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
    # Parents that come before their children cannot be below them; only otherwise can there be cycles.
    if all(map(lt, parents, numbers)):
        return parents
    return None if find_rings([parent - base if parent >= 0 else -1 for parent in parents]) else parents


_LOST = -2
"""Marks a parent that was not found under its id as written."""
_NO_START = -1
"""Marks a start that makes no sense."""
_LONGER_UNITS = (NS_PER_US, NS_PER_MS, NS_PER_S)
"""How many times as long as the unit of a format another one may be, as microseconds are in place of nanoseconds."""
_APART_NS = NS_PER_DAY
"""How far from the other spans of its trace a span may have begun, beyond the time that these take."""

UNKNOWN_SERVICE = "unknown-service"
"""The service of a span whose source does not name one; Jaeger UI uses the same name."""


class Repaired:
    """A trace with repaired columns, the positions of parents, and warnings that say what was wrong."""

    def __init__(self, trace: CodedTrace, codes: Codebook) -> None:
        # Repairs change these three columns; the codec's trace stays as it was read.
        self.trace = replace(
            trace, origins=list(trace.origins), start_ns=list(trace.start_ns), duration_ns=list(trace.duration_ns)
        )
        self._codes = codes
        self.missing_parents: dict[int, str] = {}
        self.follows_from: set[int] = set()
        self.warnings: list[TraceWarning] = list(trace.repairs)
        for message in trace.warnings:
            self._warn("from-source", message)
        self._repair_services()
        self._repair_durations()
        # The position of each id; if several spans share an id, that of the span that children belong to.
        self._positions = {span_id: position for position, span_id in enumerate(trace.span_ids)}
        self._shared_parents: dict[int, int] = {}
        self._proxied: set[int] = set()
        """SERVER spans below that of a proxy, which share its id."""
        if len(self._positions) < len(trace.span_ids):
            self._settle_shared_ids()
        self.parents = self._find_parents()
        self._break_cycles()
        self._repair_units()
        self._repair_starts()

    def _warn(self, code: WarningCode, message: str, position: int | None = None) -> None:
        span_id = "" if position is None else self.trace.span_ids[position]
        self.warnings.append(TraceWarning(code, self.trace.trace_id, message, span_id))

    def _repair_services(self) -> None:
        nameless, origins = self._codes.nameless, self.trace.origins
        if nameless.isdisjoint(origins):
            return
        hosts = {code: host for (_, host), code in self._codes.origins.items()}
        for position in [i for i, code in enumerate(origins) if code in nameless]:
            origins[position] = self._codes.origin(UNKNOWN_SERVICE, hosts[origins[position]])
            self._warn("service-missing", f"no service is told, shown as {UNKNOWN_SERVICE}", position)

    def _repair_durations(self) -> None:
        durations = self.trace.duration_ns
        if not durations or min(durations) >= 0:
            return
        for position in [i for i, duration_ns in enumerate(durations) if duration_ns < 0]:
            before_ns = -durations[position]
            if before_ns >= self.trace.start_ns[position] > 0:
                self._warn("end-missing", "no end time, taken to end as it started", position)
            else:
                self._warn("negative-duration", f"ended {before_ns} ns before it started, taken as 0", position)
            durations[position] = 0

    def _settle_shared_ids(self) -> None:
        """Drop exact copies; if a CLIENT and a SERVER share an id, as in Zipkin, make the SERVER the child.

        If spans of one kind share an id, those of proxies are put around the others.
        """
        self._drop_copies()
        self._positions = {}
        shared: dict[str, list[int]] = defaultdict(list)
        for position, span_id in enumerate(self.trace.span_ids):
            shared[span_id].append(position)
            self._positions.setdefault(span_id, position)
        known = [meaning.kind for meaning in self._codes.meanings]
        kinds = [known[code] for code in self.trace.meanings]
        for span_id, positions in shared.items():
            if len(positions) > 1:
                self._settle(span_id, positions, kinds)

    def _settle(self, span_id: str, positions: list[int], kinds: Sequence[Kind]) -> None:
        chain = sorted(positions, key=lambda i: (kinds[i] is Kind.SERVER, self.trace.start_ns[i], -self._end_ns(i), i))
        if not all(self._hands_on(outer, inner, kinds) for outer, inner in pairwise(chain)):
            self._warn(
                "duplicate-id", f"{len(positions)} different spans share an id, children go to the first", positions[0]
            )
            return
        self._positions[span_id] = chain[-1]
        self._shared_parents |= dict(zip(chain[1:], chain, strict=False))
        # Where a CLIENT and its SERVER share an id, every child belongs to the SERVER, whatever the clocks say.
        self._proxied |= {inner for outer, inner in pairwise(chain) if kinds[outer] is kinds[inner] is Kind.SERVER}

    def _hands_on(self, outer: int, inner: int, kinds: Sequence[Kind]) -> bool:
        """Tell whether a span may have passed its id on: a client to its server, a proxy to the service behind it.

        A proxy creates its own span around those of the service behind it, and passes the same id on.
        """
        if kinds[outer] is Kind.CLIENT and kinds[inner] is Kind.SERVER:
            return True
        is_proxy = kinds[outer] is kinds[inner] and kinds[inner] in (Kind.CLIENT, Kind.SERVER)
        origins = self.trace.origins
        return is_proxy and origins[outer] != origins[inner] and self._holds(outer, inner)

    def _holds(self, outer: int, inner: int) -> bool:
        starts = self.trace.start_ns
        return starts[outer] <= starts[inner] and self._end_ns(inner) <= self._end_ns(outer)

    def _end_ns(self, position: int) -> int:
        return self.trace.start_ns[position] + self.trace.duration_ns[position]

    def _drop_copies(self) -> None:
        seen: set[tuple[object, ...]] = set()
        dropped: set[int] = set()
        for position, identity in enumerate(_identities(self.trace)):
            if identity in seen:
                dropped.add(position)
                self._warn("duplicate-dropped", "an exact copy of another span was left out", position)
            seen.add(identity)
        if dropped:
            self.trace = self.trace.without(dropped)

    def _find_parents(self) -> list[int]:
        positions = self._positions
        parents = [-1 if first is None else positions.get(first, _LOST) for first in self.trace.parent_ids]
        self.follows_from.update(filter(self.trace.follows_from, self.trace.child_of_counts))
        for position, client in self._shared_parents.items():
            parents[position] = client
            self.follows_from.discard(position)
        self._leave_proxied(parents)
        if _LOST in parents:
            padded = {normal_id(span_id): position for span_id, position in positions.items()}
            for position in [i for i, parent in enumerate(parents) if parent == _LOST]:
                parents[position] = self._find_parent(position, padded)
        return parents

    def _leave_proxied(self, parents: list[int]) -> None:
        """Put those children below a proxy's span that lie outside of the service's span with the same id."""
        if not self._proxied:
            return
        for position, innermost in enumerate(parents):
            holder = innermost
            while holder in self._proxied and not self._holds(holder, position):
                holder = self._shared_parents[holder]
            if holder != innermost and position not in self._shared_parents and self._holds(holder, position):
                parents[position] = holder

    def _find_parent(self, position: int, padded: dict[str, int]) -> int:
        candidates = self.trace.candidates(position)
        for number, parent_id in enumerate(candidates):
            parent = padded.get(normal_id(parent_id))
            if parent is not None:
                if self.trace.follows_from(position, number):
                    self.follows_from.add(position)
                return parent
        self.missing_parents[position] = candidates[0]
        self._warn("orphan", f"its parent {candidates[0]} is not in the trace", position)
        return -1

    def _break_cycles(self) -> None:
        """Cut every cycle of parents: the span of the cycle that starts first becomes a root.

        Spans that only follow from their parents go first: such a reference may have been a link to a descendant.
        """
        parents = self.parents
        for position in [i for i, parent in enumerate(parents) if parent == i]:
            self._make_root(position)
            self._warn("self-parent", "names itself as its parent, taken as a root", position)
        for ring in find_rings(parents):
            starts = self.trace.start_ns
            first = min(ring, key=lambda i: (i not in self.follows_from, starts[i], self.trace.span_ids[i], i))
            self._make_root(first)
            self._warn("cycle", f"is its own ancestor in a ring of {len(ring)} spans, taken as a root", first)

    def _make_root(self, position: int) -> None:
        self.parents[position] = -1
        self.follows_from.discard(position)

    def _repair_units(self) -> None:
        """Read times that are in a longer unit than those of the other spans, as their year tells.

        What is from before 2000 otherwise, in a trace of this century, is no start.
        """
        starts, durations = self.trace.start_ns, self.trace.duration_ns
        timed = [(start, start + length) for start, length in zip(starts, durations, strict=True) if _is_dated(start)]
        if not timed or len(timed) == len(starts):
            return
        first, last = min(start for start, _ in timed), max(end for _, end in timed)
        for position in [i for i, start in enumerate(starts) if 0 < start < YEAR_2000_NS]:
            start, end = starts[position], self._end_ns(position)
            fitting = (unit for unit in _LONGER_UNITS if abs(start * unit - first) < _APART_NS + last - first)
            unit = next(fitting, 0)
            starts[position] = start * unit or _NO_START
            if unit:
                told = f"its times are in a unit {unit:,} times as long as those of the other spans, as the year tells"
                self._warn("unit-recognised", told, position)
                durations[position] = self._length(position, end, unit, 2 * last - first)
            elif _is_dated(end):
                durations[position] = end  # which counts from 1970, as where there is no start

    def _length(self, position: int, end: int, unit: int, latest: int) -> int:
        """Give the duration of a span whose start was read in another unit: up to its end, if that was right.

        A duration that is told by itself is in the same unit, unless the span would last far longer than its trace.
        """
        start, length = self.trace.start_ns[position], self.trace.duration_ns[position]
        if _is_dated(end):
            return max(0, end - start)
        return length if start + length * unit > latest >= start + length else length * unit

    def _repair_starts(self) -> None:
        """Set missing start times to the parent's, or for roots to the earliest in the trace."""
        starts = self.trace.start_ns
        if not starts or min(starts) > 0:
            return
        earliest = min((start for start in starts if start > 0), default=0)
        if min(starts) == 0 and 0 < earliest < YEAR_2000_NS and earliest <= self._last_end_from_zero():
            return  # times count from the beginning of the trace, so 0 is one of them
        for position in [i for i, start in enumerate(starts) if start <= 0]:
            told = "its start makes no sense" if starts[position] == _NO_START else "no start time"
            self._warn("start-missing", f"{told}, taken to start with its parent", position)
            starts[position] = 0
        if earliest == 0:
            return  # no span of the trace has a start time: all of them start together
        for position in range(len(starts)):
            self._repair_start(position, earliest)

    def _last_end_from_zero(self) -> int:
        timed = zip(self.trace.start_ns, self.trace.duration_ns, strict=True)
        return max(duration for start, duration in timed if not start)

    def _repair_start(self, position: int, earliest: int) -> None:
        starts, durations = self.trace.start_ns, self.trace.duration_ns
        chain: list[int] = []
        while position >= 0 and starts[position] == 0:
            chain.append(position)
            position = self.parents[position]
        for repaired in chain:
            starts[repaired] = starts[position] if position >= 0 else earliest
            if durations[repaired] >= starts[repaired]:
                durations[repaired] -= starts[repaired]  # where a format tells the end, the duration counts from 1970


def _is_dated(time_ns: int) -> bool:
    """Whether a time is of this century, rather than missing, or a count from some beginning."""
    return time_ns >= YEAR_2000_NS


def _identities(trace: CodedTrace) -> Iterable[tuple[object, ...]]:
    return zip(
        trace.span_ids,
        map(trace.candidates, range(len(trace.span_ids))),
        trace.start_ns,
        trace.duration_ns,
        trace.names,
        trace.origins,
        trace.meanings,
        strict=True,
    )


def find_rings(parents: Sequence[int]) -> list[list[int]]:
    """Find the cycles of a parent relation; every span is visited once, whatever the depth."""
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
