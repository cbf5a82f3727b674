"""Sets of requests, reduced to what a comparison needs: a few numbers for each request and operation.

Cohorts of batches add up to the cohort of all of them. One set can be split in two by a tag, by latency, or by
failures.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Columns, Flags, Ints, columns
from traceq.analysis.comparison.batches import (
    Batch,
    Calls,
    CohortRequests,
    Gaps,
    Hashes,
    TraceColumns,
    Work,
    end_to_end,
    joined,
    small,
    sortable,
)
from traceq.analysis.comparison.called import find_calls
from traceq.analysis.comparison.tags import values_of
from traceq.analysis.critical_path import find_paths
from traceq.analysis.culprits import Charges, charge
from traceq.analysis.group_sums import GroupKey, number_groups
from traceq.analysis.grouping import added, distinct, flags_at, least_by_group, most_by_group, moved, numbered
from traceq.analysis.learning import Skew, corrected
from traceq.analysis.requests import RequestOptions, Requests, find_requests
from traceq.analysis.unmatched import near_keys
from traceq.errors import Hint, Near, NotFoundError
from traceq.semantics import Status
from traceq.traces import Traces, normal_id
from traceq.units import format_duration, plural


class Cohort(Struct, frozen=True, eq=False):
    """Any number of requests in reduced form; can be added to others.

    Adding only collects batches: of thousands of tables each is processed once, when the answer is computed.
    """

    batches: tuple[Batch, ...] = ()

    def __add__(self, other: Cohort) -> Cohort:
        return added(self, other)

    @property
    def traces(self) -> TraceColumns:
        """Give all traces, with requests or without, in the order in which they were added."""
        return end_to_end([TraceColumns(), *(batch.traces for batch in self.batches)])

    def joined(self) -> Cohort:
        """Give the same in one batch, newest trace first: a comparison then needs no second copy of most columns."""
        return Cohort((joined(self.batches),))

    def of(self, positions: Sequence[int]) -> Cohort:
        """Give the same of some traces only.

        Args:
            positions: Positions in `traces`.
        """
        ends = np.cumsum([len(batch.traces) for batch in self.batches], dtype=np.int64)
        kept = flags_at(np.array(positions, dtype=np.int64), int(ends[-1]) if ends.size else 0)
        parts = np.split(kept, ends[:-1])
        return Cohort(tuple(batch.of(part) for batch, part in zip(self.batches, parts, strict=False)))


def collect(traces: Traces, options: RequestOptions) -> Cohort:
    """Reduce the requests of a span table."""
    table = columns(traces)
    spans, skew = corrected(table, correct_skew=options.correct_skew)
    requests = find_requests(spans, options)
    rows = np.flatnonzero(requests.entry >= 0)
    found = _trace_columns(table, skew, requests.apart)
    if not rows.size:
        return Cohort((Batch(traces=found),))
    keys, numbers = number_operations(spans, rows)
    number_of = moved(numbers, rows, spans.parents.size, -1)
    own_ns = np.where(requests.entry >= 0, find_paths(requests.spans).own_ns, 0)
    seen = _Seen(requests, charge(requests.spans, own_ns), rows, number_of, _is_entered(requests.spans))
    work, durations_ns = _work(seen)
    made = _requests(seen)
    found = _with_kinds(found, made, keys)
    return Cohort((Batch(tuple(keys), found, made, work, _gaps(seen), _calls(seen), durations_ns),))


def _with_kinds(traces: TraceColumns, requests: CohortRequests, keys: Sequence[GroupKey]) -> TraceColumns:
    """Add up what the requests of each trace are like."""
    named = np.array([stable_hash(f"{key.service}\0{key.name}") for key in keys], dtype=np.uint64)
    entries, shapes = np.zeros(len(traces), dtype=np.uint64), np.zeros(len(traces), dtype=np.uint64)
    np.add.at(entries, requests.traces, named[requests.operations])
    # Odd factors keep an entry apart from an operation that is called.
    np.add.at(shapes, requests.traces, named[requests.operations] * np.uint64(3) + requests.reached)
    return replace(traces, entries=entries, shapes=shapes)


def _trace_columns(spans: Columns, skew: Skew, apart: Ints) -> TraceColumns:
    ids, size = spans.traces.trace_ids, len(spans.traces)
    start_ns = least_by_group(spans.trace, spans.start_ns, size)
    failed = flags_at(spans.trace[spans.statuses == Status.ERROR], size)
    shifted = np.flatnonzero(skew.shift_ns)
    shift_ns = most_by_group(spans.trace[shifted], np.abs(skew.shift_ns[shifted]), size, 0)
    is_parent = flags_at(spans.parents[spans.parents >= 0], spans.trace.size)
    missing = {(int(spans.trace[row]), parent) for row, parent in spans.traces.missing_parents.items()}
    return TraceColumns(
        ids=np.array(ids, dtype=np.object_),
        hashes=np.array([stable_hash(normal_id(trace_id)) for trace_id in ids], dtype=np.uint64),
        start_ns=np.where(np.bincount(spans.trace, minlength=size) > 0, start_ns, 0),
        failed=failed,
        entries=np.zeros(size, dtype=np.uint64),
        shapes=np.zeros(size, dtype=np.uint64),
        moved_spans=np.bincount(spans.trace[shifted], minlength=size).astype(np.int32),
        shift_ns=shift_ns,
        apart=apart,
        parents=np.bincount(spans.trace[is_parent], minlength=size).astype(np.int32),
        missing=np.bincount(np.array([trace for trace, _ in missing], dtype=np.int64), minlength=size).astype(np.int32),
    )


@dataclass(frozen=True, slots=True)
class CohortSums:
    """Requests in reduced form, and the tag by which their traces are split; can be added to others."""

    cohort: Cohort = field(default_factory=Cohort)
    values: tuple[tuple[str, ...], ...] = ()
    """Values of the tag to split by: one tuple for each of the cohort's traces; empty where there is no such tag."""
    # Needed only where no part has the name, so sums of parts may hold more.
    near: Near = field(default_factory=Near, compare=False)
    """Keys like that of the tag, of traces in which no span has it."""

    def __add__(self, other: CohortSums) -> CohortSums:
        return added(self, other)


class CohortQuestion(Struct, frozen=True):
    """How requests spend their time."""

    options: RequestOptions
    key: str | None = None
    """The key of the tag to split by; None for no tag."""
    learns: bool = True

    @property
    def needs_details(self) -> bool:
        """Whether traces are split by a tag; everything else is in columns."""
        return self.key is not None

    def nothing(self) -> CohortSums:
        """Give the sums of no traces."""
        return CohortSums()

    def collect(self, traces: Traces) -> CohortSums:
        """Reduce a table."""
        if self.key is None:
            return CohortSums(collect(traces, self.options))
        values = values_of(traces, self.key)
        return CohortSums(collect(traces, self.options), values, Near() if any(values) else near_keys(traces, self.key))

    def rank(self, sums: CohortSums) -> Cohort:
        """Give the requests, for a comparison with those of another set."""
        return sums.cohort.joined()


class _Seen(Struct, frozen=True, eq=False):
    """A span table that becomes a cohort; all arrays except `rows` have one entry for each span."""

    found: Requests
    charges: Charges
    rows: Ints
    """Rows of the spans that belong to a request."""
    operations: Ints
    entered: Flags

    @property
    def spans(self) -> Columns:
        """The table with corrected clocks, every entry span a root."""
        return self.found.spans

    @property
    def request_of(self) -> Ints:
        """Give for each of `rows` the number of its request."""
        number = moved(np.arange(self.found.entries.size), self.found.entries, self.found.entry.size)
        return number[self.found.entry[self.rows]]


def _is_entered(spans: Columns) -> Flags:
    """Tell the spans at which a service was entered: roots, and children of another service's span."""
    entered: Flags = (spans.parents < 0) | (spans.services != spans.services[spans.parents])
    return entered


def number_operations(spans: Columns, rows: Ints) -> tuple[list[GroupKey], Ints]:
    """Number the operations that rows belong to, in sorted order: the keys, and the number of each row."""
    keys, numbers = number_groups(spans, rows)
    order = sorted(range(len(keys)), key=lambda number: sortable(keys[number]))
    place = moved(np.arange(len(keys)), order, len(keys))
    return [keys[number] for number in order], place[numbers]


def _requests(seen: _Seen) -> CohortRequests:
    spans, entries = seen.spans, seen.found.entries
    return CohortRequests(
        traces=spans.trace[entries].astype(np.int32),
        operations=seen.operations[entries].astype(np.int32),
        reached=_reached(seen),
        latency_ns=spans.duration_ns[entries],
        failed=spans.statuses[entries] == Status.ERROR,
    )


def _reached(seen: _Seen) -> Hashes:
    """Sum up, for each request, hashes of the operations at which it entered services, each once."""
    traces, operations = seen.spans.traces, seen.spans.operation_names
    entered = seen.entered[seen.rows]
    rows, requests = seen.rows[entered], seen.request_of[entered]
    names = seen.spans.services[rows].astype(np.int64) * len(operations) + seen.spans.operations[rows]
    found, numbers = numbered(names)
    pairs = distinct(requests * found.size + numbers)
    codes = (divmod(code, len(operations)) for code in found.tolist())
    texts = [f"{traces.services[service]}\0{operations[name]}" for service, name in codes]
    hashes = np.array([stable_hash(text) for text in texts], dtype=np.uint64)
    sums = np.zeros(seen.found.entries.size, dtype=np.uint64)
    np.add.at(sums, pairs // found.size, hashes[pairs % found.size])
    return sums


def stable_hash(text: str) -> int:
    """Give a hash of 64 bits that is the same in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _work(seen: _Seen) -> tuple[Work, Ints]:
    """Give the time that requests spent in operations, and the durations of the spans in the order of `Batch`."""
    spans, rows = seen.spans, seen.rows
    entered, failed = seen.entered[rows], spans.statuses[rows] == Status.ERROR
    keys, order = _sorted((seen.request_of, seen.operations[rows], ~entered))
    heads = _heads(keys[:2])
    flags = (np.ones_like(entered), failed, entered, failed & entered)
    counts = [small(np.add.reduceat(flag[order], heads, dtype=np.int32)) for flag in flags]
    own_ns = np.add.reduceat(seen.charges.kept_ns[rows][order], heads)
    requests, operations = (key[heads].astype(np.int32) for key in keys[:2])
    return Work(requests, operations, own_ns, *counts), spans.duration_ns[rows][order]


def _gaps(seen: _Seen) -> Gaps:
    client = seen.charges.client[seen.rows]
    called = client >= 0
    if not called.any():
        return Gaps()
    rows, client = seen.rows[called], client[called]
    keys, order = _sorted((seen.request_of[called], seen.operations[client], seen.operations[rows]))
    heads = _heads(keys)
    requests, callers, callees = (key[heads].astype(np.int32) for key in keys)
    gap_ns = np.add.reduceat(seen.charges.network_ns[rows][order], heads)
    return Gaps(requests, callers, callees, gap_ns, np.diff(heads, append=rows.size).astype(np.int32))


def _calls(seen: _Seen) -> Calls:
    is_head = (seen.entered | (seen.charges.client >= 0)) & (seen.found.entry >= 0)
    return find_calls(seen.found, seen.charges, seen.operations, is_head)


def _sorted(keys: tuple[Ints | Flags, ...]) -> tuple[tuple[Ints | Flags, ...], Ints]:
    """Sort by several keys, the first one most significant; give the sorted keys and the order."""
    order = np.lexsort(keys[::-1])
    return tuple(key[order] for key in keys), order


def _heads(keys: tuple[Ints | Flags, ...]) -> Ints:
    """Give the beginnings of runs of equal keys; there has to be at least one run."""
    differs = np.ones(keys[0].size, dtype=np.bool_)
    differs[1:] = False
    for key in keys:
        differs[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(differs)


_LEAST_SLOW = 5
"""The minimum number of slow traces, where there are at least twice as many traces."""
_VALUES_SHOWN = 5


class Split(Struct, frozen=True):
    """Positions of the traces of both parts in the set that is split."""

    before: list[int]
    after: list[int]
    before_title: str
    after_title: str
    key: str = ""
    """The tag by which the traces were split; empty for none."""
    notes: tuple[str, ...] = ()


def split_by_latency(cohort: Cohort, ratio: float) -> Split:
    """Separate the traces with the slowest requests from the rest.

    A trace without any matching request is in neither part.
    """
    latency = slowest_requests(cohort)
    ids = cohort.traces.ids.tolist()
    order = sorted(latency, key=lambda position: (-latency[position], ids[position]))
    wanted = max(math.ceil(ratio * len(order)), min(_LEAST_SLOW, len(order) // 2))
    slow, rest = sorted(order[:wanted]), sorted(order[wanted:])
    bound = f", from {format_duration(latency[order[wanted - 1]])} on" if wanted else ""
    return Split(rest, slow, "the others", f"the slowest {100 * ratio:g} %{bound}")


def split_slowest(cohort: Cohort, count: int) -> Split:
    """Separate the traces of so many slowest requests, and of others as slow as the last of them, from the rest."""
    latency_ns = [batch.requests.latency_ns for batch in cohort.batches]
    bound_ns = heapq.nlargest(count, chain.from_iterable(part.tolist() for part in latency_ns))[-1:]
    slowest = slowest_requests(cohort)
    slow = [position for position, longest_ns in slowest.items() if bound_ns and longest_ns >= bound_ns[0]]
    return Split(sorted(slowest.keys() - set(slow)), slow, "the others", "the slowest")


def slowest_requests(cohort: Cohort) -> dict[int, int]:
    """Give the latency of the slowest request of each trace, by its position in the cohort's traces, in ns.

    A trace without any request is left out.
    """
    slowest: dict[int, int] = {}
    first = 0
    for batch in cohort.batches:
        latency_ns = most_by_group(batch.requests.traces, batch.requests.latency_ns, len(batch.traces), -1)
        slowest |= {first + at: longest for at, longest in enumerate(latency_ns.tolist()) if longest >= 0}
        first += len(batch.traces)
    return slowest


def split_by_failure(cohort: Cohort) -> Split:
    """Separate the traces with failed spans from the rest."""
    parts: tuple[list[int], list[int]] = ([], [])
    for position, has_failed in enumerate(cohort.traces.failed.tolist()):
        parts[has_failed].append(position)
    return Split(*parts, "without failed spans", "with failed spans")


def split_by_tag(
    values: Sequence[tuple[str, ...]], starts_ns: Sequence[int], text: str, hint: str | Hint = ""
) -> Split:
    """Separate the traces that have one value of a tag from those that have only other values.

    Without a given value, it is the one whose first trace started last: the version that was rolled out. Traces without
    the tag are in neither part, and counted in a note.

    Args:
        values: Values of the tag, for each trace.
        starts_ns: When each trace started.
        text: The tag, alone or with a value.
        hint: What to try where there is no such tag.

    Raises:
        NotFoundError: If no trace has the tag or the value, or all have the same value.
    """
    key, equals, wanted = text.partition("=")
    counts = Counter(value for found in values for value in found)
    chosen = wanted if equals else _newest(values, starts_ns)
    if chosen not in counts or len(counts) < 2:
        if not counts:
            raise NotFoundError(f"no span carries the tag '{key}'", hint=hint)
        raise _cannot_split(key, chosen if equals else None, counts)
    after = [position for position, found in enumerate(values) if chosen in found]
    before = [position for position, found in enumerate(values) if found and chosen not in found]
    without = sum(not found for found in values)
    others = [value for value in sorted(counts) if value != chosen]
    title = f"{key}={others[0]}" if len(others) == 1 else f"{plural(len(others), 'other value')} of {key}"
    notes = (f"left out: {plural(without, 'trace')} without {key}",) if without else ()
    return Split(before, after, title, f"{key}={chosen}", key.removeprefix("resource."), notes)


def _newest(values: Sequence[tuple[str, ...]], starts_ns: Sequence[int]) -> str:
    first: dict[str, int] = {}
    for found, start_ns in zip(values, starts_ns, strict=True):
        for value in found:
            first[value] = min(first.get(value, start_ns), start_ns)
    return max(first, key=lambda value: (first[value], value), default="")


def _cannot_split(key: str, value: str | None, counts: Counter[str]) -> NotFoundError:
    most = sorted(counts, key=lambda found: (-counts[found], found))
    known = ", ".join(f"'{found}'" for found in most[:_VALUES_SHOWN])
    if value is not None and value not in counts:
        return NotFoundError(f"no span carries {key}={value}", hint=f"there is {known}")
    return NotFoundError(f"every span that carries '{key}' says {known}: nothing to split by", hint="another tag?")
