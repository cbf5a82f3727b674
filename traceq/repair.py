"""Repairs and reports what is strange in a trace, in one place for every format.

That is: copies, shared ids, missing parents, spans that are their own ancestors, missing start times. Spans in = spans
out + spans named in a `duplicate-dropped` warning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from traceq.records import Codebook, CodedTrace
from traceq.semantics import Kind
from traceq.traces import TraceWarning, WarningCode, normal_id

_LOST = -2
"""Marks a parent that was not found under its id as written."""

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
        self.warnings: list[TraceWarning] = []
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
            self._warn("negative-duration", f"ended {-durations[position]} ns before it started, taken as 0", position)
            durations[position] = 0

    def _settle_shared_ids(self) -> None:
        """Drop exact copies; if a CLIENT and a SERVER share an id, as in Zipkin, make the SERVER the child.

        If spans of one kind share an id, those of proxies lie around the others.
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
        # Of a CLIENT and its SERVER every child is the SERVER's, whatever clocks say.
        self._proxied |= {inner for outer, inner in pairwise(chain) if kinds[outer] is kinds[inner] is Kind.SERVER}

    def _hands_on(self, outer: int, inner: int, kinds: Sequence[Kind]) -> bool:
        """Tell whether a span may have handed its id on to another: a client to its server, a proxy to what it serves.

        A proxy makes a span of its own around those of the service that it stands before, and hands their id on.
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
        """Put below a proxy's span what the service's, which shares its id, was not at work for."""
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
        """Cut every ring of parents: the span of the ring that starts first becomes a root."""
        parents = self.parents
        for position in [i for i, parent in enumerate(parents) if parent == i]:
            self._make_root(position)
            self._warn("self-parent", "names itself as its parent, taken as a root", position)
        for ring in find_rings(parents):
            starts = self.trace.start_ns
            first = min(ring, key=lambda i: (starts[i], self.trace.span_ids[i], i))
            self._make_root(first)
            self._warn("cycle", f"is its own ancestor in a ring of {len(ring)} spans, taken as a root", first)

    def _make_root(self, position: int) -> None:
        self.parents[position] = -1
        self.follows_from.discard(position)

    def _repair_starts(self) -> None:
        """Set missing start times to the parent's, or for roots to the earliest in the trace."""
        starts = self.trace.start_ns
        if not starts or min(starts) > 0:
            return
        earliest = min((start for start in starts if start > 0), default=0)
        for position in [i for i, start in enumerate(starts) if start <= 0]:
            self._warn("start-missing", "no start time, taken to start with its parent", position)
            starts[position] = 0
        if earliest == 0:
            return  # no span of the trace has a start time: all start together
        for position in range(len(starts)):
            self._repair_start(position, earliest)

    def _repair_start(self, position: int, earliest: int) -> None:
        starts = self.trace.start_ns
        chain: list[int] = []
        while position >= 0 and starts[position] == 0:
            chain.append(position)
            position = self.parents[position]
        for repaired in chain:
            starts[repaired] = starts[position] if position >= 0 else earliest


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
