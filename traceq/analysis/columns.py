"""A span table as numpy arrays, with what every analysis derives from it, and the spans that a name means."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.grouping import Codes, Flags, Ints, Small, TimeKeys, sum_by_run
from traceq.analysis.roles import Surroundings, find_roles
from traceq.learned import Learned
from traceq.semantics import Peer, operation
from traceq.traces import Traces

__all__ = ["Codes", "Columns", "Flags", "Ints", "columns", "meaning_among", "meanings", "named", "self_times"]

_Value = TypeVar("_Value", bound=np.generic)


class Columns(Struct, frozen=True, eq=False):
    """The columns of a span table; every array has one entry for each span."""

    traces: Traces
    trace: Ints
    """Position of the span's trace."""
    parents: Ints
    """Row of the parent; -1 for a root."""
    start_ns: Ints
    """The span's start in ns since the epoch."""
    end_ns: Ints
    duration_ns: Ints
    roles: Small
    """What the span is in a conversation, as a `Kind` number, never UNSPECIFIED; see `roles.find_roles`."""
    told_roles: Small
    """The role by the span alone, without the spans around it: groups of spans use this one."""
    activities: Small
    """What the span does towards others, as an `Activity` number."""
    statuses: Small
    services: Codes
    names: Codes
    hosts: Codes
    peers: Codes
    follows: Flags
    """Whether the span only follows from its parent: FOLLOWS_FROM."""
    orphaned: Flags
    """Whether the span names a parent that is missing from its trace."""
    rejoined: Flags
    """Whether the span names a missing parent and was put below another span because of what other traces show."""
    learned: Learned | None = None
    """What was learned from other traces; None to learn from the table itself."""
    table_rows: Ints | None = None
    """The rows of these spans in `traces`, where attributes are read; None where they are the same rows."""

    @property
    def operations(self) -> Codes:
        """A number for the span's name without ids (`semantics.operation`); `operation_names` has the names."""
        return _operations(self.traces.names)[0][self.names]

    @property
    def operation_names(self) -> tuple[str, ...]:
        """The names that `operations` numbers."""
        return _operations(self.traces.names)[1]

    def taken(self, rows: Ints, parents: Ints) -> Columns:
        """Give some of the spans, with parents among these; `traces` still explains the codes."""
        taken: dict[str, Any] = {name: _frozen(getattr(self, name)[rows]) for name in _BY_SPAN}
        table_rows = _frozen(rows if self.table_rows is None else self.table_rows[rows])
        return replace(self, **taken, parents=_frozen(parents), table_rows=table_rows)

    def shifted(self, shift_ns: Ints) -> Columns:
        """Give the same spans at other times; durations stay."""
        start_ns = _frozen(self.start_ns + shift_ns)
        return replace(self, start_ns=start_ns, end_ns=_frozen(start_ns + self.duration_ns))

    def with_parents(self, parents: Ints) -> Columns:
        """Give the same spans under other parents, for questions about parts of traces."""
        return replace(self, parents=_frozen(parents))


_NOT_BY_SPAN = {"traces", "parents", "learned", "table_rows"}
_BY_SPAN = tuple(name for name in Columns.__struct_fields__ if name not in _NOT_BY_SPAN)


@lru_cache(maxsize=4)
def _operations(names: tuple[str, ...]) -> tuple[Codes, tuple[str, ...]]:
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(operation(name), len(numbers)) for name in names], dtype=np.int32)
    return _frozen(codes), tuple(numbers)


def columns(traces: Traces) -> Columns:
    """Give numpy views of a span table, without a copy."""
    start_ns = _view(traces.start_ns)
    duration_ns = _view(traces.duration_ns)
    end_ns = _frozen(start_ns + duration_ns)
    offsets = _view(traces.offsets)
    parents = _view(traces.parents)
    services, names, hosts, peers = (
        np.asarray(codes, dtype=np.int32)
        for codes in (traces.service_codes, traces.name_codes, traces.host_codes, traces.peer_codes)
    )
    roles = find_roles(Surroundings(traces, parents, services, names, peers, start_ns, end_ns))
    return Columns(
        traces=traces,
        trace=_frozen(np.repeat(np.arange(len(traces), dtype=np.int64), np.diff(offsets))),
        parents=parents,
        start_ns=start_ns,
        end_ns=end_ns,
        duration_ns=duration_ns,
        roles=roles.played,
        told_roles=roles.told,
        activities=roles.activities,
        statuses=np.asarray(traces.statuses, dtype=np.int8),
        services=services,
        names=names,
        hosts=hosts,
        peers=peers,
        follows=_frozen(_flags(traces.follows_from, start_ns.size)),
        learned=traces.learned,
        orphaned=_frozen(_flags(traces.missing_parents, start_ns.size)),
        rejoined=_frozen(np.zeros(start_ns.size, dtype=np.bool_)),
    )


def self_times(spans: Columns) -> Ints:
    """Subtract from each span's duration the time that its direct children cover.

    All children count, whatever their kind, clipped to the span; time that several cover counts once. The result is
    never negative; for a leaf it is the duration. Spans are sorted once by (parent, start); the running maximum of ends
    restarts with each parent, because the key contains the parent.

    Returns:
        Self times in ns, one per span.

    Source: jaeger-ui, utils/compute-span-self-time.ts.
    """
    children = np.flatnonzero(spans.parents >= 0)
    parents = spans.parents[children]
    starts = np.maximum(spans.start_ns[children], spans.start_ns[parents])
    ends = np.minimum(spans.end_ns[children], spans.end_ns[parents])
    inside = ends > starts
    parents, starts, ends = parents[inside], starts[inside], ends[inside]
    keys = TimeKeys(spans.parents.size, starts, ends)
    order = np.argsort(keys.key(parents, starts), kind="stable")  # fast, because most are in order already
    parents, starts, ends = parents[order], starts[order], ends[order]
    covered = _newly_covered(keys, parents, starts, ends)
    return spans.duration_ns - sum_by_run(parents, covered, spans.parents.size)


def _newly_covered(keys: TimeKeys, parents: Ints, starts: Ints, ends: Ints) -> Ints:
    """Give the time that each child covers and no child before it does; children are sorted by (parent, start)."""
    if not parents.size:
        return ends
    reached = np.maximum.accumulate(keys.key(parents, ends))
    before = np.roll(reached, 1)
    has_before = np.diff(parents, prepend=-1) == 0
    begin = np.where(has_before, np.maximum(keys.time(before), starts), starts)
    return np.maximum(ends - begin, 0)


def _flags(rows: Collection[int], size: int) -> Flags:
    flags = np.zeros(size, dtype=np.bool_)
    flags[list(rows)] = True
    return flags


def _view(column: array[int]) -> Ints:
    # An array of type `q` has C's `long long`, numpy's int64 is C's `long`: the size is the same, but numpy's fast
    # paths need the dtype int64.
    return _frozen(np.asarray(column).view(np.int64))


def _frozen(values: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
    values.flags.writeable = False
    return values


def named(spans: Columns, text: str) -> Flags:
    """Tell the spans that a name means, one flag per span: its first meaning that fits any span of the table."""
    for flags in meanings(spans, text):
        if flags.any():
            return flags
    return np.zeros(spans.parents.size, dtype=np.bool_)


def meanings(spans: Columns, text: str) -> tuple[Flags, Flags, Flags, Flags]:
    """Tell the spans that a name may mean, one flag per span; the first meaning that fits any span counts.

    The meanings are the operation, `service:operation`, what was called (`mysql`, or with its name `mysql chat`), and
    the service. An empty name means no span. Sums of several tables have to keep the meanings separate: spans that are
    missing in one table may be in another.
    """
    traces = spans.traces
    peers = [code for code, peer in enumerate(traces.peers) if peer is not None and text in {peer.system, peer.label}]
    return (
        np.isin(spans.names, _named(traces.names, text)),
        _of_service(spans, text),
        np.isin(spans.peers, peers),
        np.isin(spans.services, _codes(traces.services, text)),
    )


def meaning_among(calls: Iterable[tuple[str, str, Peer | None]], text: str) -> int | None:
    """Say which of `meanings` a name has, given all spans; None where it fits no span.

    Args:
        calls: Service, operation and peer of all spans, each combination once.
        text: The name.
    """
    parted = {(text[:at], text[at + 1 :]) for at, letter in enumerate(text) if letter == ":"}
    # Names of operations are those without ids.
    parted |= {(service, operation(name)) for service, name in parted}
    found = set()
    for service, name, peer in calls if text else ():
        called = set() if peer is None else {peer.system, peer.label}
        means = (name in {text, operation(text)}, (service, name) in parted, text in called, service == text)
        found |= {number for number, fits in enumerate(means) if fits}
    return min(found, default=None)


def _codes(values: tuple[str, ...], text: str) -> list[int]:
    return [code for code, value in enumerate(values) if value == text and value]


def _named(names: tuple[str, ...], text: str) -> list[int]:
    """Find a name as it was written, or as operations are shown, without ids."""
    return [code for code, name in enumerate(names) if text in {name, operation(name)} and text]


def _of_service(spans: Columns, text: str) -> Flags:
    """Try every colon as the separator, since names of services and of operations may contain colons."""
    found = np.zeros(spans.parents.size, dtype=np.bool_)
    for at, letter in enumerate(text):
        if letter == ":":
            services = _codes(spans.traces.services, text[:at])
            names = _named(spans.traces.names, text[at + 1 :])
            found |= np.isin(spans.services, services) & np.isin(spans.names, names)
    return found
