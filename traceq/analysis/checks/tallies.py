"""The spans that a name means, summed up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.checks.chance import Sample
from traceq.analysis.checks.expressions import Expression
from traceq.analysis.columns import Columns, Ints, columns, meanings
from traceq.analysis.comparison.cohorts import stable_hash
from traceq.analysis.culprits import examine
from traceq.analysis.grouping import added, numbered_rows, sum_by_group
from traceq.analysis.requests import RequestOptions, SetApart, requests_of
from traceq.analysis.spread import Spread, spread
from traceq.nearest import Near, near
from traceq.semantics import Status, operation
from traceq.traces import Traces, normal_id


class Tally(Struct, frozen=True):
    """The spans that a name means, summed up; can be added to others. Examples do not depend on the order of adding."""

    durations: Spread = Spread()
    error_count: int = 0
    most: tuple[int, str] = (0, "")
    """The largest number of calls in a trace, and that trace."""
    least: tuple[int, str] | None = None
    """The smallest number of calls in a trace, and that trace; None before any trace."""
    slowest: tuple[int, str] = (0, "")
    """The duration of the longest span in ns, and its trace."""
    samples: tuple[Sample, ...] = ()
    """Single values, where a baseline is compared, or shares of requests are measured; empty elsewhere."""

    def __add__(self, other: Tally) -> Tally:
        fewest = [least for least in (self.least, other.least) if least is not None]
        most, slowest = max(self.most, other.most), max(self.slowest, other.slowest)
        return added(self, other, most=most, least=min(fewest, default=None), slowest=slowest)


@dataclass(frozen=True, slots=True)
class CheckSums:
    """The sums that one check needs of any number of traces; can be added to others."""

    trace_count: int = 0
    meanings: tuple[Tally, ...] = (Tally(), Tally(), Tally(), Tally())
    """One tally for each of `columns.meanings`: which of them is meant is known when all traces were read."""
    set_apart: SetApart = field(default_factory=SetApart)
    """What is no request of the service that the name means; empty where no service has it."""
    # Needed only where no part has the name, so sums of parts may hold more.
    near: Near = field(default_factory=Near, compare=False)
    """Names like this one, of traces in which it means no span."""

    @property
    def meant(self) -> Tally:
        """The first meaning that fits any span; an empty tally where the name fits no span."""
        return next((tally for tally in self.meanings if tally.durations.count), self.meanings[-1])

    @property
    def left_out(self) -> SetApart:
        """What does not count; nothing where the name means spans, of which all count."""
        return self.set_apart if self.meant is self.meanings[-1] else SetApart()

    def __add__(self, other: CheckSums) -> CheckSums:
        tallies = zip(self.meanings, other.meanings, strict=True)
        return added(self, other, meanings=tuple(one + more for one, more in tallies))


def tally(traces: Traces, expression: Expression, options: RequestOptions) -> CheckSums:
    """Sum up the spans of a check; those of a service count only where it was entered, in requests that count.

    Args:
        traces: A table.
        expression: The check.
        options: What is set apart from requests; the expression decides whose requests they are, except for shares of
            critical time, which are those of the requests that are asked for.
    """
    if not len(traces):
        return CheckSums()
    if expression.measure == "critical_share":
        return _shares(traces, expression, options)
    spans = columns(traces)
    *others, service = meanings(spans, expression.target)
    entered = service & ((spans.parents < 0) | (spans.services != spans.services[spans.parents]))
    set_apart = SetApart()
    if entered.any():
        requests = requests_of(traces, replace(options, service=expression.target, whole_trace=False))
        entered &= requests.entry >= 0
        set_apart = requests.set_apart
    rows = [np.flatnonzero(flags) for flags in (*others, entered)]
    tallies = [_tally(spans, each) for each in rows]
    if expression.allowance is not None:
        taken = (_values(spans, each, expression) for each in rows)
        pairs = zip(tallies, taken, strict=True)
        tallies = [replace(one, samples=(sample_of(spans, values, at),)) for one, (values, at) in pairs]
    return CheckSums(len(traces), tuple(tallies), set_apart, _near(spans, expression.target, tallies))


def _near(spans: Columns, name: str, tallies: Sequence[Tally]) -> Near:
    """Find names like one that means no span: of services, operations and what was called."""
    if any(tally.durations.count for tally in tallies):
        return Near()
    traces = spans.traces
    peers = (text for peer in traces.peers if peer is not None for text in (peer.system, peer.label))
    parted: Iterable[str] = ()
    if ":" in name:
        rows, _ = numbered_rows(spans.services, spans.operations)
        parted = (f"{span.service}:{operation(span.name)}" for span in map(traces.span, rows.tolist()))
    return near(name, (*traces.services, *map(operation, traces.names), *peers, *parted))


def sample_of(spans: Columns, values: Ints, at: Ints, weights: Ints | None = None) -> Sample:
    """Give values with what is known of their traces.

    Args:
        spans: The table.
        values: The values.
        at: For each of them the position of its trace.
        weights: What each value is a part of; None for values that are no parts.
    """
    ids = spans.traces.trace_ids
    start_ns = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(start_ns, spans.trace, spans.start_ns)
    hashes = np.array([stable_hash(normal_id(trace_id)) for trace_id in ids], dtype=np.uint64)
    return Sample(values, np.ones_like(values) if weights is None else weights, start_ns[at], hashes[at])


def _values(spans: Columns, rows: Ints, expression: Expression) -> tuple[Ints, Ints]:
    """Give the single values of a measure, and the positions of their traces."""
    if expression.measure == "calls":
        size = len(spans.traces)
        return np.bincount(spans.trace[rows], minlength=size).astype(np.int64), np.arange(size)
    if expression.measure in {"error_rate", "errors"}:
        return (spans.statuses[rows] == Status.ERROR).astype(np.int64), spans.trace[rows]
    return spans.duration_ns[rows], spans.trace[rows]


def _shares(traces: Traces, expression: Expression, options: RequestOptions) -> CheckSums:
    """Sum up the critical time that spans hold, for each request beside its latency."""
    examined = examine(traces, options)
    spans, requests = examined.spans, examined.requests
    size, latency_ns = spans.parents.size, spans.duration_ns[requests.entries]
    tallies = []
    for flags in meanings(spans, expression.target):
        rows = np.flatnonzero(flags & (requests.entry >= 0))
        held_ns = sum_by_group(requests.entry[rows], examined.charged_ns[rows], size)[requests.entries]
        sample = sample_of(spans, held_ns, spans.trace[requests.entries], latency_ns)
        tallies.append(replace(_tally(spans, rows), samples=(sample,)))
    return CheckSums(len(traces), tuple(tallies), requests.set_apart, _near(spans, expression.target, tallies))


def _tally(spans: Columns, rows: Ints) -> Tally:
    ids = spans.traces.trace_ids
    counts: Ints = np.bincount(spans.trace[rows], minlength=len(ids))
    most, least = int(counts.max()), int(counts.min())
    lengths_ns = spans.duration_ns[rows]
    longest_ns = int(lengths_ns.max(initial=0))
    slowest = spans.trace[rows[lengths_ns == longest_ns]]
    return Tally(
        durations=spread(lengths_ns),
        error_count=int(np.count_nonzero(spans.statuses[rows] == Status.ERROR)),
        most=(most, max(ids[at] for at in np.flatnonzero(counts == most).tolist())),
        least=(least, min(ids[at] for at in np.flatnonzero(counts == least).tolist())),
        slowest=max(((longest_ns, ids[at]) for at in slowest.tolist()), default=(0, "")),
    )
