"""Requests reduced to columns, and weights with which like requests are compared.

There are a few numbers for each trace, each request, and each operation in a request; the weights ensure that a
different mix of requests is not reported as a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.group_sums import GroupKey
from traceq.analysis.grouping import distinct, flags_at, moved, numbered_rows
from traceq.analysis.requests import SetApart

Hashes: TypeAlias = npt.NDArray[np.uint64]

Counts: TypeAlias = npt.NDArray[np.integer[Any]]
"""Numbers that are mostly 0 or 1, in the smallest type in which those of a batch fit."""

_NO_IDS: npt.NDArray[np.object_] = np.zeros(0, dtype=np.object_)
_NO_HASHES: Hashes = np.zeros(0, dtype=np.uint64)
_NO_INTS: Ints = np.zeros(0, dtype=np.int64)
_NO_CODES: Codes = np.zeros(0, dtype=np.int32)
_NO_FLAGS: Flags = np.zeros(0, dtype=np.bool_)
_NOTHING_APART: Ints = np.zeros((0, len(SetApart.__struct_fields__)), dtype=np.int64)


def small(counts: Counts) -> Counts:
    """Store numbers that are not negative in the smallest type."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


class TraceColumns(Struct, frozen=True, eq=False):
    """Traces, with requests or without; every column has one entry for each trace."""

    ids: npt.NDArray[np.object_] = field(default_factory=lambda: _NO_IDS)
    """The ids of the traces, as long as the source gave them."""
    hashes: Hashes = field(default_factory=lambda: _NO_HASHES)
    """Hashes of the trace ids, used instead of random numbers, so that the order of traces makes no difference."""
    start_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """The start of the earliest span, by its own clock; 0 for a trace without spans."""
    failed: Flags = field(default_factory=lambda: _NO_FLAGS)
    """Whether any span of the trace failed."""
    entries: Hashes = field(default_factory=lambda: _NO_HASHES)
    """Hashes of the operations at which the requests of the trace entered."""
    shapes: Hashes = field(default_factory=lambda: _NO_HASHES)
    """Hashes of the kinds of these requests: of their entries and of all operations at which they entered services."""
    moved_spans: Codes = field(default_factory=lambda: _NO_CODES)
    """The number of spans that were moved because of wrong clocks."""
    shift_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """The greatest distance by which a span was moved, forward or back."""
    apart: Ints = field(default_factory=lambda: _NOTHING_APART)
    """What looks like requests and is not counted: a row for each trace; see `SetApart.of`."""

    parents: Codes = field(default_factory=lambda: _NO_CODES)
    """The number of spans that have others below them."""
    missing: Codes = field(default_factory=lambda: _NO_CODES)
    """The number of such spans that are missing."""

    def __len__(self) -> int:
        return int(self.ids.size)


class CohortRequests(Struct, frozen=True, eq=False):
    """Requests; every column has one entry for each request."""

    traces: Codes = field(default_factory=lambda: _NO_CODES)
    """The position of the request's trace in the batch."""
    operations: Codes = field(default_factory=lambda: _NO_CODES)
    """The position of the entry span's operation in the batch."""
    reached: Hashes = field(default_factory=lambda: _NO_HASHES)
    """A hash of the set of operations at which services were entered: equal for requests of one kind."""
    latency_ns: Ints = field(default_factory=lambda: _NO_INTS)
    failed: Flags = field(default_factory=lambda: _NO_FLAGS)
    """Whether the entry span failed."""

    def __len__(self) -> int:
        return int(self.traces.size)


class Work(Struct, frozen=True, eq=False):
    """The time that requests spent in operations; one entry for each operation in each request."""

    requests: Codes = field(default_factory=lambda: _NO_CODES)
    operations: Codes = field(default_factory=lambda: _NO_CODES)
    own_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """Time on the critical path without network time."""
    calls: Counts = field(default_factory=lambda: _NO_CODES)
    errors: Counts = field(default_factory=lambda: _NO_CODES)
    entered: Counts = field(default_factory=lambda: _NO_CODES)
    """The number of calls that came from another service."""
    entered_errors: Counts = field(default_factory=lambda: _NO_CODES)


class Gaps(Struct, frozen=True, eq=False):
    """Network time between callers and callees; one entry for each pair of operations in a request."""

    requests: Codes = field(default_factory=lambda: _NO_CODES)
    callers: Codes = field(default_factory=lambda: _NO_CODES)
    """The operation of the client side."""
    callees: Codes = field(default_factory=lambda: _NO_CODES)
    gap_ns: Ints = field(default_factory=lambda: _NO_INTS)
    calls: Codes = field(default_factory=lambda: _NO_CODES)


class Calls(Struct, frozen=True, eq=False):
    """Calls of services, and of peers that send no spans; one entry for each kind of call in a request.

    A request is itself a call that nobody made. Between two calls everything that a service does is one thing, whatever
    spans it has.
    """

    requests: Codes = field(default_factory=lambda: _NO_CODES)
    depths: Counts = field(default_factory=lambda: _NO_CODES)
    """The number of calls above; 0 for the request itself."""
    callers: Codes = field(default_factory=lambda: _NO_CODES)
    """The operation at which the calling service was entered; -1 for the request itself."""
    clients: Codes = field(default_factory=lambda: _NO_CODES)
    """The operation of the client side; -1 where none is known."""
    callees: Codes = field(default_factory=lambda: _NO_CODES)
    """The operation at which the called service was entered; -1 where it sent no span."""
    calls: Counts = field(default_factory=lambda: _NO_CODES)
    errors: Counts = field(default_factory=lambda: _NO_CODES)
    """The number of failed calls."""
    begun: Counts = field(default_factory=lambda: _NO_CODES)
    """The number of errors that began in the callee."""
    guessed: Counts = field(default_factory=lambda: _NO_CODES)
    """The number of calls of which it is a guess who made them, since a span is missing."""
    own_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """Time on the critical path that the callee itself held, without network time; the client's where none answered."""
    gap_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """Network time."""
    begun_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """When the first of these calls began ..."""
    over_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """... and when the first one was over."""


class Batch(Struct, frozen=True, eq=False):
    """Requests, reduced to about 55 bytes per span."""

    operations: tuple[GroupKey, ...] = ()
    """The operations in these requests, sorted."""
    traces: TraceColumns = field(default_factory=TraceColumns)
    requests: CohortRequests = field(default_factory=CohortRequests)
    """The requests; those of one trace are in the order of its spans."""
    work: Work = field(default_factory=Work)
    gaps: Gaps = field(default_factory=Gaps)
    calls: Calls = field(default_factory=Calls)
    durations_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """One duration per span, by the entries of `work` (`calls` of each); those called by other services come first."""

    @property
    def missing_ratio(self) -> float:
        """The share of spans with others below them that are missing, of traces that hold requests."""
        counted = distinct(self.requests.traces)
        missing = int(self.traces.missing[counted].sum())
        return missing / max(int(self.traces.parents[counted].sum()) + missing, 1)

    def of(self, kept: Flags) -> Batch:
        """Give the same of some traces only.

        Args:
            kept: One flag a trace.
        """
        requests = kept[self.requests.traces]
        work, gaps, calls = (requests[part.requests] for part in (self.work, self.gaps, self.calls))
        used = flags_at(self.work.operations[work], len(self.operations))
        part = Batch(
            self.operations,
            _kept(self.traces, kept),
            _kept(self.requests, requests),
            _kept(self.work, work),
            _kept(self.gaps, gaps),
            _kept(self.calls, calls),
            self.durations_ns[np.repeat(work, self.work.calls)],
        )
        numbered = _numbered(part, _ranks(used), _ranks(kept), _ranks(requests))
        operations = tuple(key for key, is_used in zip(self.operations, used.tolist(), strict=True) if is_used)
        return replace(numbered, operations=operations)


def _ranks(flags: Flags) -> Codes:
    """Give each flagged entry its position among the flagged ones."""
    return (np.cumsum(flags) - 1).astype(np.int32)


def _numbered(batch: Batch, operations: Codes, traces: Codes, requests: Codes) -> Batch:
    """Replace the numbers of operations, traces and requests by new ones."""
    work, gaps, calls = batch.work, batch.gaps, batch.calls
    of_request, of_operation = _Renumbering(requests), _Renumbering(operations)
    return replace(
        batch,
        requests=replace(
            batch.requests,
            traces=traces[batch.requests.traces],
            operations=of_operation(batch.requests.operations),
        ),
        work=replace(work, requests=of_request(work.requests), operations=of_operation(work.operations)),
        gaps=replace(
            gaps,
            requests=of_request(gaps.requests),
            callers=of_operation(gaps.callers),
            callees=of_operation(gaps.callees),
        ),
        calls=replace(
            calls,
            requests=of_request(calls.requests),
            callers=of_operation(calls.callers),
            clients=of_operation(calls.clients),
            callees=of_operation(calls.callees),
        ),
    )


class _Renumbering:
    """Replaces numbers by new ones, except -1; it copies nothing if they are the same."""

    def __init__(self, numbers: Codes) -> None:
        self._is_same = np.array_equal(numbers, np.arange(numbers.size))
        self._numbers = np.append(numbers, np.int32(-1))

    def __call__(self, codes: Codes) -> Codes:
        return codes if self._is_same else self._numbers[codes]


_Columns = TypeVar("_Columns", TraceColumns, CohortRequests, Work, Gaps, Calls)


def _kept(columns: _Columns, kept: Flags | Ints) -> _Columns:
    """Take entries by flags, or by positions."""
    taken: dict[str, Any] = {name: getattr(columns, name)[kept] for name in columns.__struct_fields__}
    return replace(columns, **taken)


def end_to_end(parts: Sequence[_Columns]) -> _Columns:
    """Concatenate columns.

    Raises:
        ValueError: If there are none.
    """
    if len(parts) == 1:
        return parts[0]
    names = parts[0].__struct_fields__
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **joined)


def sortable(key: GroupKey) -> tuple[str, str, int, str, tuple[str, ...]]:
    """Give the key by which operations are sorted."""
    return (key.service, key.name, key.kind, "" if key.peer is None else key.peer.label, tuple(key.peer or ()))


def on_one_table(one: Sequence[Batch], other: Sequence[Batch]) -> tuple[Batch, Batch]:
    """Merge each of two sets of batches into one batch, with the same numbers for operations in both.

    Traces are ordered newest first, as sources give them, and requests in the order of their traces: however they were
    divided into batches, floating-point sums are bit-identical.
    """
    table = _table([*one, *other])
    return _joined(one, table), _joined(other, table)


def joined(batches: Sequence[Batch]) -> Batch:
    """Merge batches into one, in the order of `on_one_table`."""
    return _joined(batches, _table(batches))


def _table(batches: Sequence[Batch]) -> tuple[GroupKey, ...]:
    return tuple(sorted({key for batch in batches for key in batch.operations}, key=sortable))


def _joined(batches: Sequence[Batch], table: tuple[GroupKey, ...]) -> Batch:
    if not batches:
        return Batch(operations=table)
    numbers = {key: number for number, key in enumerate(table)}
    traces = end_to_end([batch.traces for batch in batches])
    order = _newest_first(traces)
    trace_numbers = np.split(_places(order), np.cumsum([len(batch.traces) for batch in batches])[:-1])
    owners = [places[batch.requests.traces] for batch, places in zip(batches, trace_numbers, strict=True)]
    request_order = np.argsort(np.concatenate(owners), kind="stable")
    request_numbers = np.split(_places(request_order), np.cumsum([owner.size for owner in owners])[:-1])
    renumbered = [
        _numbered(batch, np.array([numbers[key] for key in batch.operations], dtype=np.int32), *places)
        for batch, *places in zip(batches, trace_numbers, request_numbers, strict=True)
    ]
    return Batch(
        table,
        _kept(traces, order),
        _kept(end_to_end([batch.requests for batch in renumbered]), request_order),
        end_to_end([batch.work for batch in renumbered]),
        end_to_end([batch.gaps for batch in renumbered]),
        end_to_end([batch.calls for batch in renumbered]),
        batches[0].durations_ns if len(batches) == 1 else np.concatenate([batch.durations_ns for batch in batches]),
    )


def _newest_first(traces: TraceColumns) -> Ints:
    starts, ids = traces.start_ns.tolist(), traces.ids.tolist()
    return np.array(sorted(range(len(ids)), key=lambda at: (-starts[at], ids[at])), dtype=np.int64)


def _places(order: Ints) -> Codes:
    """Invert an order: give the position of each entry."""
    places = np.zeros(order.size, dtype=np.int32)
    places[order] = np.arange(order.size, dtype=np.int32)
    return places


Floats = npt.NDArray[np.float64]

MIN_REQUESTS = 5
"""A kind of request is compared by itself when both sides have at least this number of requests."""


class Matching(Struct, frozen=True, eq=False):
    """Which requests are compared with which."""

    before_kinds: Ints
    """The kind of each request of the first batch."""
    after_kinds: Ints
    before_strata: Floats
    """One row per stratum, one column per kind: 1 where requests of the kind before belong to the stratum."""
    after_strata: Floats
    shares: Floats
    """The share of all requests that each stratum stands for; they add up to 1."""
    unmatched: Ints
    """The kinds whose entry operation the other side does not have at all."""
    pools: Ints
    """For each kind the number of all kinds whose requests could as well have come on the other side."""

    def weights(self, kinds: Ints, strata: Floats) -> Floats:
        """Give the weights of the requests of one side, with which the sums of both sides differ by what changed.

        Args:
            kinds: `before_kinds` or `after_kinds`.
            strata: The strata of the same side.
        """
        of_kinds = self.weights_of(strata, np.bincount(kinds, minlength=strata.shape[1])[:, None])[:, 0]
        return of_kinds[kinds]

    def weights_of(self, strata: Floats, sizes: Ints | Floats) -> Floats:
        """Give the same for each of some kinds; one column for each way to divide the requests.

        Args:
            strata: The strata of a side; one column for each of the kinds.
            sizes: The number of requests of each of the kinds.
        """
        counts = strata @ sizes
        found: Floats = strata.T @ (self.shares[:, None] / np.where(counts > 0, counts, 1))
        return found

    def alike(self) -> tuple[Ints, Ints]:
        """Find the kinds that belong to the same strata: one kind of each sort, and the sort of each kind."""
        # A kind belongs to two strata at most: their number, sum and squares tell which.
        powers = np.vander(np.arange(self.shares.size), 3).T
        columns = [column for strata in (self.before_strata, self.after_strata) for column in powers @ strata]
        return numbered_rows(*(column.astype(np.int64) for column in columns))


def match(before: Batch, after: Batch) -> Matching:
    """Match the kinds of requests of two batches with the same numbers for operations.

    Requests are of one kind when they have the same entry operation and entered the same operations of the same
    services. A kind of which both sides have at least `MIN_REQUESTS` is compared by itself. The others are compared
    together, per entry operation; where only one side has enough of them, with all requests of that operation. Each
    comparison counts by its requests of both sides, so swapping the sides changes signs alone.
    """
    before_kinds, after_kinds, entry_of = _kinds(before, after)
    counts = [np.bincount(kinds, minlength=entry_of.size) for kinds in (before_kinds, after_kinds)]
    alike = np.flatnonzero(np.minimum(*counts) >= MIN_REQUESTS)
    strata = [(np.array([kind]), np.array([kind]), int(counts[0][kind] + counts[1][kind])) for kind in alike.tolist()]
    unmatched: list[int] = []
    pools = np.arange(entry_of.size)
    for entry in distinct(entry_of).tolist():
        kinds = np.flatnonzero(entry_of == entry)
        left = np.setdiff1d(kinds, alike)
        if min(count[kinds].sum() for count in counts) == 0:
            unmatched += kinds.tolist()
        elif left.size:
            found = _leftovers(kinds, left, counts[0], counts[1])
            strata += found
            together = np.union1d(found[0][0], found[0][1])
            pools[together] = together[0]
    return _matching(before_kinds, after_kinds, strata, np.array(unmatched, dtype=np.int64), pools)


_Stratum = tuple[Ints, Ints, int]


def _leftovers(kinds: Ints, left: Ints, before: Ints, after: Ints) -> list[_Stratum]:
    """Combine the requests of rare kinds, or all requests where one side has too few of these."""
    rare = (int(before[left].sum()), int(after[left].sum()))
    if min(rare) >= MIN_REQUESTS:
        return [(left, left, sum(rare))]
    pairs = [(left, kinds, rare[0]), (kinds, left, rare[1])]
    return [pair for pair in pairs if pair[2]]


def _kinds(before: Batch, after: Batch) -> tuple[Ints, Ints, Ints]:
    """Number the kinds of requests: give the kinds of both batches' requests, and the entry operation of each kind."""
    entries = np.concatenate((before.requests.operations, after.requests.operations))
    reached = np.concatenate((before.requests.reached, after.requests.reached))
    order = np.lexsort((reached, entries))
    heads = np.ones(order.size, dtype=np.bool_)
    heads[1:] = (np.diff(entries[order]) != 0) | (reached[order][1:] != reached[order][:-1])
    kinds = moved(np.cumsum(heads) - 1, order, order.size)
    size = len(before.requests)
    return kinds[:size], kinds[size:], entries[order][heads].astype(np.int64)


def _matching(before_kinds: Ints, after_kinds: Ints, strata: list[_Stratum], unmatched: Ints, pools: Ints) -> Matching:
    sides = np.zeros((2, len(strata), pools.size))
    for number, (kinds_before, kinds_after, _) in enumerate(strata):
        sides[0, number, kinds_before] = 1
        sides[1, number, kinds_after] = 1
    sizes = np.array([size for *_, size in strata], dtype=np.float64)
    return Matching(before_kinds, after_kinds, sides[0], sides[1], sizes / max(sizes.sum(), 1), unmatched, pools)


def unmatched_operations(batch: Batch, kinds: Ints, matching: Matching) -> dict[str, int]:
    """Count the requests of one side that have no counterpart, by service and operation of their entry."""
    alone = np.isin(kinds, matching.unmatched)
    keys = (batch.operations[number] for number in batch.requests.operations[alone].tolist())
    return dict(sorted(Counter(f"{key.service} {key.name}".strip() for key in keys).items()))
