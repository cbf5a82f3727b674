"""The results of checks: the spans that a name means, summed up, and their measures beside bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.checks.chance import Sample, joined
from traceq.analysis.checks.expressions import Expression
from traceq.analysis.columns import Columns, Ints, columns, meanings
from traceq.analysis.comparison.cohorts import stable_hash
from traceq.analysis.culprits import examine
from traceq.analysis.grouping import added, least_by_group, numbered_rows, sum_by_group
from traceq.analysis.requests import RequestOptions, SetApart, requests_of, set_apart_specs
from traceq.analysis.spread import Spread, spread
from traceq.errors import Near, near
from traceq.report import Column, Unit
from traceq.semantics import Status, operation
from traceq.traces import Traces, normal_id
from traceq.units import plural


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


@dataclasses.dataclass(frozen=True, slots=True)
class CheckSums:
    """The sums that one check needs of any number of traces; can be added to others."""

    trace_count: int = 0
    meanings: tuple[Tally, ...] = (Tally(), Tally(), Tally(), Tally())
    """One tally for each of `columns.meanings`: which of them is meant is known when all traces were read."""
    set_apart: SetApart = dataclasses.field(default_factory=SetApart)
    """What is no request of the service that the name means; empty where no service has it."""
    # Needed only where no part has the name, so sums of parts may hold more.
    near: Near = dataclasses.field(default_factory=Near, compare=False)
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
    start_ns = least_by_group(spans.trace, spans.start_ns, len(ids))
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


Outcome: TypeAlias = Literal["passed", "failed", "within-chance", "too-few", "nothing", "partial"]
"""What came of a check.

`within-chance`: worse than the baseline allows, which chance explains. `too-few`: too little was measured to compare it
with a baseline. `nothing`: nothing was measured. `partial`: it holds as far as it was measured, but something is
missing.
"""


class Subject(Struct, frozen=True):
    """What a comparison with a baseline is about; texts are empty for checks that are written as expressions."""

    measure: str = ""
    service: str = ""
    operation: str = ""


class CheckResult(Struct, frozen=True):
    """One check and its result."""

    text: str
    """The text of the check."""
    measured: str
    """The measured value, as text for people."""
    value: float | None
    """The measured value: ns, 0..1, or a count; None where nothing could be measured."""
    bound: float | None
    outcome: Outcome
    remark: str = ""
    """Further information: how much was measured, or why nothing was."""
    example: str = ""
    """The id of a trace that shows the result; empty for none."""
    set_apart: SetApart = field(default_factory=SetApart)
    """What does not count among the requests that were looked at."""
    subject: Subject = field(default_factory=Subject)
    before: float | None = None
    """The value of the baseline; None where there is none."""
    low: float | None = None
    """The lower end of the factor by which the value grew."""
    chance: float | None = None
    """The probability that chance makes any of the compared measures grow so much; None without a comparison."""
    name: str = ""
    reason: str = ""
    is_allowed: bool = False
    """Whether it passes although it did not hold as written: what would fail it was allowed."""

    @property
    def passed(self) -> bool:
        """Whether the check does not fail the build."""
        return self.is_allowed or self.outcome in {"passed", "too-few"}

    @property
    def change(self) -> float | None:
        """The growth as a share of the baseline; None where that is unknown or 0."""
        return None if self.value is None or not self.before else self.value / self.before - 1

    @property
    def title(self) -> str:
        """The name that the check was given, else its text."""
        return self.name or self.text

    def allowed(self, outcome: Outcome) -> CheckResult:
        """Let it pass with this outcome."""
        return replace(self, is_allowed=True) if self.outcome == outcome else self


RESULT_COLUMNS: tuple[Column[CheckResult], ...] = (
    Column(
        "name", "name", value=lambda result: result.name or None, about="name in the file of checks; null without one"
    ),
    Column("check", "check", value=lambda result: result.text, about="check as it was written", can_shrink=True),
    Column("passed", "passed", holds="boolean"),
    Column(
        "outcome",
        "outcome",
        about="`passed`, `failed`, `within-chance`, `too-few`, `nothing` or `partial`; see [checks](analyses/check.md)",
        holds=get_args(Outcome),
    ),
    Column("measured", "measured", about="what was found, for people"),
    Column(
        "value",
        "value",
        about="the same as a number: ns, 0..1 or a count; null where nothing could be measured",
        holds="number",
    ),
    Column("bound", "bound", about="in the same unit; null where there is none", holds="number"),
    Column(
        "baseline",
        "baseline",
        value=lambda result: result.before,
        about="value of the baseline; null without one",
        holds="number",
    ),
    Column(
        "change_ratio",
        "change",
        value=lambda result: result.change,
        about="growth as a share of the baseline",
        holds="number",
    ),
    Column(
        "change_low_ratio",
        "at least",
        value=lambda result: None if result.low is None else result.low - 1,
        about="the lower end of that growth, in 95 of 100 cases; only for percentiles",
        holds="number",
    ),
    Column(
        "chance",
        "chance",
        about="probability that chance alone makes any of the compared measures look so bad; null without a baseline",
        holds="share",
    ),
    Column(
        "measure",
        "measure",
        value=lambda result: result.subject.measure or None,
        about="measure of an entry operation that is held to the baseline; null for checks as they were written",
    ),
    Column(
        "service",
        "service",
        Unit.SERVICE,
        lambda result: result.subject.service or None,
        "service of that operation",
    ),
    Column(
        "operation", "operation", value=lambda result: result.subject.operation or None, about="name of that operation"
    ),
    Column("remark", "remark", value=lambda result: result.remark or None, about="how much was looked at"),
    Column("reason", "reason", value=lambda result: result.reason or None, about="why the check is there, by the file"),
    Column(
        "example_trace_id",
        "example",
        Unit.TRACE_ID,
        lambda result: result.example or None,
        "a trace that shows it; null where none does",
        is_known=False,
    ),
    *set_apart_specs(lambda result: result.set_apart),
)
NO_SPAN = "no span goes by this name"
"""What is said of a misspelt name, most likely."""


def judge(sums: CheckSums, expression: Expression) -> CheckResult:
    """Compare the sums with the bound.

    A name that fits no span is a failure: a check with a misspelt name would otherwise always pass. Numbers are the
    exception where a trace was read, since 0 is a number of calls too.
    """
    value = measured_value(sums.meant, sums.trace_count, expression)
    if value is None:
        return measured_on_nothing(sums, expression)
    remark, example = circumstances(sums, expression)
    if not sums.meant.durations.count and sums.near.question:
        remark += f", {NO_SPAN}: {sums.near.question}"
    outcome: Outcome = "passed" if expression.holds(value) else "failed"
    apart = sums.set_apart if expression.measure == "critical_share" else sums.left_out
    return CheckResult(
        expression.text, expression.written(value), value, expression.bound, outcome, remark, example, apart
    )


def measured_on_nothing(sums: CheckSums, expression: Expression) -> CheckResult:
    """Say that no span has the name."""
    remark = f"{NO_SPAN} in {plural(sums.trace_count, 'trace')}"
    remark += f": {sums.near.question}" if sums.near.question else ""
    bound = None if expression.allowance else expression.bound
    return CheckResult(expression.text, "nothing", None, bound, "nothing", remark, "", sums.set_apart)


def measured_value(meant: Tally, trace_count: int, expression: Expression) -> float | None:
    """Give the value of a measure; None where nothing was measured."""
    durations = meant.durations
    if expression.measure == "calls":
        if expression.allowance is not None:
            return durations.count / trace_count if trace_count else None
        worst = meant.most if expression.comparison in {"<", "<="} else meant.least
        return None if worst is None or not trace_count else worst[0]
    if expression.measure == "count":
        return durations.count if trace_count else None
    if not durations.count:
        return None
    if expression.quantile is not None:
        return durations.percentile(expression.quantile)
    return _OTHERS[expression.measure](meant)


def _critical_share(meant: Tally) -> float:
    sample = joined(meant.samples)
    return int(sample.values.sum()) / max(int(sample.weights.sum()), 1)


_OTHERS: dict[str, Callable[[Tally], float]] = {
    "mean": lambda meant: meant.durations.total_ns / meant.durations.count,
    "min": lambda meant: meant.durations.min_ns,
    "max": lambda meant: meant.durations.max_ns,
    "error_rate": lambda meant: meant.error_count / meant.durations.count,
    "errors": lambda meant: meant.error_count,
    "critical_share": _critical_share,
}


def circumstances(sums: CheckSums, expression: Expression) -> tuple[str, str]:
    """Say how much was looked at, and name a trace that shows the value."""
    meant = sums.meant
    count = meant.durations.count
    if expression.measure == "calls" and expression.allowance is None:
        worst = meant.most if expression.comparison in {"<", "<="} else (meant.least or (0, ""))
        mean = f"{count / max(sums.trace_count, 1):.3g} on average"
        return f"in the worst of {plural(sums.trace_count, 'trace')}, {mean}", worst[1]
    if expression.measure == "calls":
        return f"on average of {plural(sums.trace_count, 'trace')}", meant.most[1]
    if expression.measure == "count":
        return f"in {plural(sums.trace_count, 'trace')}", ""
    if expression.measure in {"error_rate", "errors"}:
        return f"{meant.error_count} of {plural(count, 'span')}", ""
    if expression.measure == "critical_share":
        return f"of the latency of {plural(len(joined(meant.samples)), 'request')}", meant.slowest[1]
    return f"of {plural(count, 'span')}", meant.slowest[1]
