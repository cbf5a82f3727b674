"""The requests of every entry operation: how long each took, whether it failed, and how many calls it made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field

from traceq.analysis.checks.chance import Sample, joined
from traceq.analysis.checks.tallies import sample_of
from traceq.analysis.columns import Columns, Ints
from traceq.analysis.grouping import merged, numbered_rows
from traceq.analysis.requests import RequestOptions, Requests, SetApart, requests_of
from traceq.semantics import Kind, Status
from traceq.traces import Traces


class EntryKey(NamedTuple):
    """An operation with which requests begin."""

    service: str
    operation: str
    """Its name without ids."""


class Worst(NamedTuple):
    """The worst request by some measure."""

    value: int = 0
    trace_id: str = ""


class Entries(Struct, frozen=True, eq=False):
    """The requests of one entry operation; can be added to others."""

    latencies: tuple[Sample, ...]
    failures: tuple[Sample, ...]
    calls: tuple[Sample, ...]
    """The number of calls that each request made, at whatever depth."""
    slowest: Worst
    failed: Worst
    busiest: Worst

    def __add__(self, other: Entries) -> Entries:
        return Entries(
            self.latencies + other.latencies,
            self.failures + other.failures,
            self.calls + other.calls,
            max(self.slowest, other.slowest),
            max(self.failed, other.failed),
            max(self.busiest, other.busiest),
        )

    def __len__(self) -> int:
        return sum(map(len, self.latencies))

    @property
    def latency(self) -> Sample:
        """The durations of all requests, in order of time."""
        return joined(self.latencies)


class EntrySums(Struct, frozen=True, eq=False):
    """The requests of all entry operations; can be added to others."""

    runs: Mapping[EntryKey, Entries] = {}
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: EntrySums) -> EntrySums:
        runs = merged((*self.runs.items(), *other.runs.items()))
        return EntrySums(runs, self.set_apart + other.set_apart)

    @property
    def request_count(self) -> int:
        """The number of requests of all operations."""
        return sum(map(len, self.runs.values()))


def collect_entries(traces: Traces, options: RequestOptions) -> EntrySums:
    """Take what is compared from the requests of a table."""
    if not len(traces):
        return EntrySums()
    requests = requests_of(traces, options)
    spans, entries = requests.spans, requests.entries
    names, operations = spans.operation_names, spans.operations
    places, numbers = numbered_rows(spans.services[entries], operations[entries])
    calls = _calls(requests)[entries]
    failed = (spans.statuses[entries] == Status.ERROR).astype(np.int64)
    latency_ns, at = spans.duration_ns[entries], spans.trace[entries]
    columns = [sample_of(spans, values, at) for values in (latency_ns, failed, calls)]
    runs, ends = {}, np.cumsum(np.bincount(numbers, minlength=places.size))
    groups = np.split(np.argsort(numbers, kind="stable"), ends[:-1])
    for row, chosen in zip(entries[places].tolist(), groups, strict=False):
        latencies, failures, made = ((sample.of(chosen),) for sample in columns)
        worst = (_worst(spans, values[chosen], at[chosen]) for values in (latency_ns, failed, calls))
        key = EntryKey(traces.services[spans.services[row]], names[operations[row]])
        runs[key] = Entries(latencies, failures, made, *worst)
    return EntrySums(runs, requests.set_apart)


def _worst(spans: Columns, values: Ints, at: Ints) -> Worst:
    most = int(values.max())
    return Worst(most, max(spans.traces.trace_ids[trace] for trace in at[values == most].tolist())) if most else Worst()


def _calls(requests: Requests) -> Ints:
    """Count for each entry the calls below it: spans that ask or send, and services entered without such a span."""
    spans, entry = requests.spans, requests.entry
    asks = np.isin(spans.roles, (Kind.CLIENT, Kind.PRODUCER))
    entered = (spans.parents >= 0) & (spans.services != spans.services[spans.parents]) & ~asks[spans.parents]
    rows = np.flatnonzero((asks | entered) & (entry >= 0) & (entry != np.arange(entry.size)))
    return np.bincount(entry[rows], minlength=entry.size).astype(np.int64)


def all_keys(sides: Iterable[EntrySums]) -> list[EntryKey]:
    """Give the operations of all sides, those with most requests first."""
    counts: dict[EntryKey, int] = {}
    for side in sides:
        for key, entries in side.runs.items():
            counts[key] = counts.get(key, 0) + len(entries)
    return sorted(counts, key=lambda key: (-counts[key], key))
