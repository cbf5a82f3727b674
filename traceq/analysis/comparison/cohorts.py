"""A set of requests, boiled down to what a comparison needs: a few numbers a request and operation.

Cohorts of batches add up to the cohort of all of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from traceq.analysis.bottlenecks import GroupKey
from traceq.analysis.columns import Codes, Columns, Flags, Ints
from traceq.analysis.comparison.charges import Charges, charge
from traceq.analysis.culprits import Examined, RequestOptions, examine
from traceq.analysis.spread import Spread, spreads
from traceq.analysis.tree import sum_by_run
from traceq.semantics import Kind, Status
from traceq.traces import Traces, normal_id

Kinds = npt.NDArray[np.int8]

_NO_INTS: Ints = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """The requests of a cohort; every array has one entry a request."""

    trace_ids: tuple[str, ...] = ()
    trace_hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """Stand for the trace wherever chance is needed, so that chance does not depend on the order of traces."""
    operations: Ints = field(default_factory=lambda: _NO_INTS)
    """Of the entry span: position in the cohort's operations."""
    reached: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """Stands for the set of operations at which services were entered: alike for requests of one kind."""
    latency_ns: Ints = field(default_factory=lambda: _NO_INTS)
    failed: Ints = field(default_factory=lambda: _NO_INTS)
    """1 where the entry span failed, else 0."""

    def __len__(self) -> int:
        return len(self.trace_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What requests spent in operations; one entry for each operation that a request took part in."""

    requests: Ints = field(default_factory=lambda: _NO_INTS)
    operations: Ints = field(default_factory=lambda: _NO_INTS)
    own_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """Time on the critical path, without what passed between callers and callees."""
    calls: Ints = field(default_factory=lambda: _NO_INTS)
    errors: Ints = field(default_factory=lambda: _NO_INTS)
    entered: Ints = field(default_factory=lambda: _NO_INTS)
    """How many of the calls came from another service."""
    entered_errors: Ints = field(default_factory=lambda: _NO_INTS)


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """What passed between callers and callees; one entry for each pair of operations in a request."""

    requests: Ints = field(default_factory=lambda: _NO_INTS)
    callers: Ints = field(default_factory=lambda: _NO_INTS)
    """Operation of the client side."""
    callees: Ints = field(default_factory=lambda: _NO_INTS)
    gap_ns: Ints = field(default_factory=lambda: _NO_INTS)
    calls: Ints = field(default_factory=lambda: _NO_INTS)


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Any number of requests, boiled down; adds to others."""

    operations: tuple[GroupKey, ...] = ()
    requests: Requests = field(default_factory=Requests)
    work: Work = field(default_factory=Work)
    gaps: Gaps = field(default_factory=Gaps)
    durations: dict[GroupKey, Spread] = field(default_factory=dict)
    """Of the spans of each operation."""
    service_durations: dict[str, Spread] = field(default_factory=dict)
    """Of the spans at which each service was entered."""
    trace_count: int = 0
    span_count: int = 0
    moved_span_count: int = 0
    largest_shift_ns: int = 0

    def __add__(self, other: Cohort) -> Cohort:
        mine, theirs = on_one_table(self, other)
        moved = len(mine.requests)
        return Cohort(
            mine.operations,
            _joined(mine.requests, theirs.requests, 0),
            _joined(mine.work, theirs.work, moved),
            _joined(mine.gaps, theirs.gaps, moved),
            _added(mine.durations, theirs.durations),
            _added(mine.service_durations, theirs.service_durations),
            self.trace_count + other.trace_count,
            self.span_count + other.span_count,
            self.moved_span_count + other.moved_span_count,
            max(self.largest_shift_ns, other.largest_shift_ns),
        )


def on_one_table(one: Cohort, other: Cohort) -> tuple[Cohort, Cohort]:
    """Give both cohorts with their operations numbered by the same table."""
    if one.operations == other.operations:
        return one, other
    table = tuple(sorted({*one.operations, *other.operations}, key=sortable))
    return _renumbered(one, table), _renumbered(other, table)


def sortable(key: GroupKey) -> tuple[str, str, int, str, tuple[str, ...]]:
    """Give what operations are sorted by."""
    return (key.service, key.name, key.kind, "" if key.peer is None else key.peer.label, tuple(key.peer or ()))


def _renumbered(cohort: Cohort, table: tuple[GroupKey, ...]) -> Cohort:
    positions = {key: number for number, key in enumerate(table)}
    numbers = np.array([positions[key] for key in cohort.operations], dtype=np.int64)
    work, gaps = cohort.work, cohort.gaps
    return replace(
        cohort,
        operations=table,
        requests=replace(cohort.requests, operations=numbers[cohort.requests.operations]),
        work=replace(work, operations=numbers[work.operations]),
        gaps=replace(gaps, callers=numbers[gaps.callers], callees=numbers[gaps.callees]),
    )


_Part = TypeVar("_Part", Requests, Work, Gaps)


def _joined(one: _Part, other: _Part, moved: int) -> _Part:
    """Put two parts end to end; the second's request numbers go up by `moved`."""
    joined: dict[str, Any] = {}
    for column in fields(one):
        first, second = getattr(one, column.name), getattr(other, column.name)
        if column.name == "trace_ids":
            joined[column.name] = first + second
        else:
            joined[column.name] = np.concatenate((first, second + moved if column.name == "requests" else second))
    return replace(one, **joined)


_Key = TypeVar("_Key")


def _added(one: dict[_Key, Spread], other: dict[_Key, Spread]) -> dict[_Key, Spread]:
    added = dict(one)
    for key, more in other.items():
        added[key] = added[key] + more if key in added else more
    return added


def collect(traces: Traces, options: RequestOptions) -> Cohort:
    """Boil down the requests of a span table."""
    examined = examine(traces, options)
    spans = examined.spans
    rows = np.flatnonzero(examined.requests.entry >= 0)
    keys, numbers = number_operations(spans, rows)
    number_of = np.full(spans.parents.size, -1, dtype=np.int64)
    number_of[rows] = numbers
    entered = _is_entered(spans)
    skew = examined.skew
    if not rows.size:
        return Cohort(moved_span_count=skew.span_count, largest_shift_ns=skew.largest_ns)
    charges = charge(spans, np.where(examined.requests.entry >= 0, examined.paths.own_ns, 0))
    seen = _Seen(examined, charges, rows, number_of, entered)
    return Cohort(
        operations=tuple(keys),
        requests=_requests(seen),
        work=_work(seen),
        gaps=_gaps(seen),
        durations=dict(zip(keys, spreads(numbers, spans.duration_ns[rows], len(keys)), strict=True)),
        service_durations=_service_durations(spans, rows[entered[rows]]),
        trace_count=int(np.unique(spans.trace[rows]).size),
        span_count=rows.size,
        moved_span_count=skew.span_count,
        largest_shift_ns=skew.largest_ns,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A span table on its way into a cohort; arrays but `rows` have one entry a span."""

    examined: Examined
    charges: Charges
    rows: Ints
    """Of the spans that belong to a request."""
    operations: Ints
    entered: Flags

    @property
    def request_of(self) -> Ints:
        """Give for each of `rows` the number of its request."""
        requests = self.examined.requests
        number = np.zeros(requests.entry.size, dtype=np.int64)
        number[requests.entries] = np.arange(requests.entries.size)
        return number[requests.entry[self.rows]]


def _is_entered(spans: Columns) -> Flags:
    """Tell the spans at which a service was entered: roots, and children of another service's span."""
    entered: Flags = (spans.parents < 0) | (spans.services != spans.services[spans.parents])
    return entered


def number_operations(spans: Columns, rows: Ints) -> tuple[list[GroupKey], Ints]:
    """Number the operations that rows belong to, in sorted order: the keys, and the number of each row."""
    traces = spans.traces
    sizes = (len(traces.names), len(Kind), len(traces.peers))
    codes: Ints = spans.services[rows].astype(np.int64)
    columns: tuple[Codes | Kinds, ...] = (spans.names, spans.kinds, spans.peers)
    for column, size in zip(columns, sizes, strict=True):
        codes = codes * size + column[rows]
    found, first, numbers = np.unique(codes, return_index=True, return_inverse=True)
    keys = [_key(spans, row) for row in rows[first].tolist()]
    order = sorted(range(len(keys)), key=lambda number: sortable(keys[number]))
    place = np.zeros(found.size, dtype=np.int64)
    place[order] = np.arange(found.size)
    return [keys[number] for number in order], place[numbers.reshape(-1)]


def _key(spans: Columns, row: int) -> GroupKey:
    span = spans.traces.span(row)
    return GroupKey(span.service, span.name, span.kind, span.peer)


def _requests(seen: _Seen) -> Requests:
    spans, entries = seen.examined.spans, seen.examined.requests.entries
    trace_ids = [spans.traces.trace_ids[trace] for trace in spans.trace[entries].tolist()]
    return Requests(
        trace_ids=tuple(trace_ids),
        trace_hashes=np.array([stable_hash(normal_id(trace_id)) for trace_id in trace_ids], dtype=np.uint64),
        operations=seen.operations[entries],
        reached=_reached(seen),
        latency_ns=spans.duration_ns[entries],
        failed=(spans.statuses[entries] == Status.ERROR).astype(np.int64),
    )


def _reached(seen: _Seen) -> npt.NDArray[np.uint64]:
    """Sum up, for each request, hashes of the operations at which it entered services, each once."""
    spans, traces = seen.examined.spans, seen.examined.spans.traces
    entered = seen.entered[seen.rows]
    rows, requests = seen.rows[entered], seen.request_of[entered]
    names = spans.services[rows].astype(np.int64) * len(traces.names) + spans.names[rows]
    pairs = np.unique(np.stack((requests, names)), axis=1)
    found, numbers = np.unique(pairs[1], return_inverse=True)
    texts = [(traces.services[code // len(traces.names)], traces.names[code % len(traces.names)]) for code in found]
    hashes = np.array([stable_hash("\0".join(text)) for text in texts], dtype=np.uint64)
    sums = np.zeros(seen.examined.requests.entries.size, dtype=np.uint64)
    np.add.at(sums, pairs[0], hashes[numbers.reshape(-1)])
    return sums


def stable_hash(text: str) -> int:
    """Give 64 bits that are the same every run."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _work(seen: _Seen) -> Work:
    spans, rows = seen.examined.spans, seen.rows
    failed = (spans.statuses[rows] == Status.ERROR).astype(np.int64)
    entered = seen.entered[rows].astype(np.int64)
    amounts = (seen.charges.own_ns[rows], np.ones_like(rows), failed, entered, failed * entered)
    keys, sums = _summed((seen.request_of, seen.operations[rows]), amounts)
    return Work(*keys, *sums)


def _gaps(seen: _Seen) -> Gaps:
    client = seen.charges.client[seen.rows]
    called = client >= 0
    rows, client = seen.rows[called], client[called]
    pairs = (seen.request_of[called], seen.operations[client], seen.operations[rows])
    keys, sums = _summed(pairs, (seen.charges.gap_ns[rows], np.ones_like(rows)))
    return Gaps(*keys, *sums)


def _summed(keys: tuple[Ints, ...], amounts: tuple[Ints, ...]) -> tuple[tuple[Ints, ...], tuple[Ints, ...]]:
    """Add up amounts by keys; gives each combination of keys once, sorted."""
    order = np.lexsort(keys[::-1])
    keys = tuple(key[order] for key in keys)
    heads = np.zeros(order.size, dtype=np.bool_)
    heads[:1] = True
    for key in keys:
        heads[1:] |= key[1:] != key[:-1]
    runs = np.cumsum(heads) - 1
    size = int(np.count_nonzero(heads))
    return tuple(key[heads] for key in keys), tuple(sum_by_run(runs, amount[order], size) for amount in amounts)


def _service_durations(spans: Columns, rows: Ints) -> dict[str, Spread]:
    codes, numbers = np.unique(spans.services[rows], return_inverse=True)
    names = [spans.traces.services[code] for code in codes.tolist()]
    found = spreads(numbers.reshape(-1).astype(np.int64), spans.duration_ns[rows], len(names))
    return dict(zip(names, found, strict=True))
