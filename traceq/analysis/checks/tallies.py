"""The spans that a name means, summed up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from traceq.analysis.checks.expressions import Expression
from traceq.analysis.columns import Columns, Ints, columns, meanings
from traceq.analysis.grouping import added
from traceq.analysis.requests import RequestOptions, SetApart, requests_of
from traceq.analysis.spread import Spread, spread
from traceq.semantics import Status
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class Tally:
    """The spans that a name means, summed up; can be added to others. Examples do not depend on the order of adding."""

    durations: Spread = field(default_factory=Spread)
    error_count: int = 0
    most: tuple[int, str] = (0, "")
    """The largest number of calls in a trace, and that trace."""
    least: tuple[int, str] | None = None
    """The smallest number of calls in a trace, and that trace; None before any trace."""
    slowest: tuple[int, str] = (0, "")
    """The duration of the longest span in ns, and its trace."""

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
        options: What is set apart from requests; the expression decides whose requests they are.
    """
    if not len(traces):
        return CheckSums()
    spans = columns(traces)
    *others, service = meanings(spans, expression.target)
    entered = service & ((spans.parents < 0) | (spans.services != spans.services[spans.parents]))
    set_apart = SetApart()
    if entered.any():
        requests = requests_of(traces, replace(options, service=expression.target, whole_trace=False))
        entered &= requests.entry >= 0
        set_apart = requests.set_apart
    tallies = tuple(_tally(spans, np.flatnonzero(flags)) for flags in (*others, entered))
    return CheckSums(len(traces), tallies, set_apart)


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
