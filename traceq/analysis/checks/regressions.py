"""Whether measures got worse than those of a baseline, beyond what is allowed and beyond what chance explains.

A measure fails where its growth is greater than allowed, and chance alone makes any of all measures that are compared
look so bad in fewer than one of 200 comparisons. All of them are one family: with a bound for each by itself, a build
with 30 measures would fail for nothing all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.checks.chance import (
    Growth,
    Sample,
    adjusted,
    failure_growth,
    joined,
    mean_growth,
    percentile_growth,
    rank_growth,
    rank_of,
    tail,
)
from traceq.analysis.checks.expressions import Allowance, Dimension, Expression, written
from traceq.analysis.checks.results import (
    CheckResult,
    CheckSums,
    Outcome,
    Subject,
    circumstances,
    measured_on_nothing,
    measured_value,
    sample_of,
)
from traceq.analysis.columns import Columns, Ints
from traceq.analysis.grouping import merged, numbered_rows
from traceq.analysis.requests import RequestOptions, Requests, SetApart, requests_of
from traceq.semantics import Kind, Status
from traceq.traces import Traces
from traceq.units import format_count, format_growth, plural


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


def _all_keys(sides: Iterable[EntrySums]) -> list[EntryKey]:
    """Give the operations of all sides, those with most requests first."""
    counts: dict[EntryKey, int] = {}
    for side in sides:
        for key, entries in side.runs.items():
            counts[key] = counts.get(key, 0) + len(entries)
    return sorted(counts, key=lambda key: (-counts[key], key))


_SURE = 0.005
"""Up to this probability that chance makes any measure look so bad, a measure fails."""
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_LEAST_BEYOND = 2
"""The minimum number of values that lie beyond a percentile on each side: 200 for p99, 40 for p95."""
_LEAST = 5
"""The minimum number of values on each side for all other measures."""


class Compared(Struct, frozen=True):
    """A measure of both sides, before it is known what else was compared."""

    result: CheckResult
    growth: Growth | None
    """None where there is too little to tell, or nothing that could differ: it does not count among the measures."""


def settle(found: Sequence[Compared]) -> list[CheckResult]:
    """Decide which of all measures that were compared fail."""
    counted = [each.growth.chance for each in found if each.growth is not None]
    chances = iter(adjusted(counted))
    return [each.result if each.growth is None else _decided(each.result, each.growth, next(chances)) for each in found]


def _decided(result: CheckResult, growth: Growth, chance: float) -> CheckResult:
    outcome = result.outcome
    if outcome in {"failed", "nothing"} and chance > _SURE:
        outcome = "within-chance" if outcome == "failed" else "too-few"
    told = [result.remark, _certainty(growth, chance, outcome)]
    remark = ", ".join(filter(None, told))
    return replace(result, outcome=outcome, remark=remark, low=growth.low, chance=chance)


def _certainty(growth: Growth, chance: float, outcome: Outcome) -> str:
    if outcome == "passed":
        return ""
    if outcome in {"within-chance", "too-few"}:
        return f"which chance alone may do ({_percentage(chance)} of builds)"
    least = f"at least {format_growth(growth.low - 1)}, " if growth.low is not None and growth.low > 1 else ""
    return f"{least}by chance in {_percentage(chance)} of builds"


def _percentage(chance: float) -> str:
    if chance < _LEAST_SHOWN:
        return f"less than {100 * _LEAST_SHOWN:g} %"
    return f"{float(f'{100 * chance:.2g}'):g} %"


_LEAST_SHOWN = 1e-6


def expression_compared(before: CheckSums, after: CheckSums, expression: Expression) -> Compared:
    """Compare the measure of an expression; its name has the same meaning on both sides.

    Raises:
        ValueError: If the expression is not about a baseline.
    """
    if expression.allowance is None:
        raise ValueError("the check has a bound of its own")
    pairs = list(zip(before.meanings, after.meanings, strict=True))
    meant = next((pair for pair in pairs if any(side.durations.count for side in pair)), pairs[-1])
    values = [
        measured_value(side, sums.trace_count, expression) for side, sums in zip(meant, (before, after), strict=True)
    ]
    if values[1] is None:
        return Compared(measured_on_nothing(after, expression), None)
    remark, example = circumstances(after, expression)
    samples = [joined(side.samples) for side in meant]
    if values[0] is not None and expression.measure == "errors":
        values[0] *= len(samples[1]) / len(samples[0])
    after_value: float = values[1]
    if values[0] is not None and expression.quantile is not None:
        values[0], after_value = (percentile(sample, expression.quantile) for sample in samples)
    made = _Measure(expression.text, expression.dimension, expression.allowance, expression.quantile, Subject())
    return _compared(made, (values[0], after_value), (samples[0], samples[1]), _test_of(expression), (remark, example))


_Test = Callable[[Sample, Sample], Growth]


def _test_of(expression: Expression) -> _Test:
    quantile = expression.quantile
    if quantile is not None:
        return partial(percentile_growth, quantile=quantile)
    if expression.measure == "mean":
        return mean_growth
    return failure_growth if expression.measure in {"error_rate", "errors"} else rank_growth


class _Measure(Struct, frozen=True):
    text: str
    dimension: Dimension
    allowance: Allowance
    quantile: float | None
    subject: Subject


def _compared(
    measure: _Measure,
    values: tuple[float | None, float],
    samples: tuple[Sample, Sample],
    test: _Test,
    told: tuple[str, str],
) -> Compared:
    """Compare a measure of two samples.

    Args:
        measure: What is measured.
        values: Before (None for nothing) and after.
        samples: The single values before and after.
        test: Tells how likely chance makes the difference.
        told: How much was looked at, and a trace that shows the value.
    """
    before, after = values
    shown = written(measure.dimension, after)
    if before is None:
        result = CheckResult(measure.text, shown, after, None, "nothing", "nothing in the baseline to compare with")
        return Compared(replace(result, subject=measure.subject), None)
    bound = measure.allowance.bound(before)
    outcome: Outcome = "failed" if after > bound else "passed"
    arrow = f"{written(measure.dimension, before)} → {shown}"
    measured = f"{arrow} ({format_growth(after / before - 1)})" if before and before != after else arrow
    result = CheckResult(measure.text, measured, after, bound, outcome, *told, subject=measure.subject, before=before)
    least = _least(measure.quantile)
    if min(map(len, samples)) < least:
        counts = f"{format_count(len(samples[0]))} and {format_count(len(samples[1]))}"
        remark = f"too few to tell: {counts}, {format_count(least)} are needed"
        return Compared(replace(result, outcome="too-few", remark=remark), None)
    if _never_differ(samples):
        return Compared(result, None)
    return Compared(result, test(*samples))


def _least(quantile: float | None) -> int:
    return _LEAST if quantile is None else max(_LEAST, round(_LEAST_BEYOND / (1 - quantile)))


def _never_differ(samples: tuple[Sample, Sample]) -> bool:
    """Tell whether all values of both sides are the same: chance could not have made a difference either."""
    shares = [sample.shares for sample in samples]
    return bool(min(each.min() for each in shares) == max(each.max() for each in shares))


def entries_compared(before: EntrySums, after: EntrySums, allowance: Allowance) -> list[Compared]:
    """Compare percentiles, failures and calls of every entry operation that the baseline has.

    An operation that only the baseline has was measured on nothing, unless chance explains that it did not occur.
    """
    found: list[Compared] = []
    for key in _all_keys((before, after)):
        sides = before.runs.get(key), after.runs.get(key)
        if sides[0] is None:
            continue
        if sides[1] is None:
            found.append(_missing(key, len(sides[0]), before.request_count, after.request_count))
        else:
            found += _entry_compared(key, sides[0], sides[1], allowance)
    return found


def new_operations(before: EntrySums, after: EntrySums) -> tuple[EntryKey, ...]:
    """Give the operations that the baseline does not have, so that nothing holds them."""
    return tuple(key for key in _all_keys((after,)) if key not in before.runs)


def _missing(key: EntryKey, count: int, before_count: int, after_count: int) -> Compared:
    remark = (
        f"none of {plural(after_count, 'request')}, but {format_count(count)} of {format_count(before_count)} before"
    )
    result = CheckResult(
        f"requests of {_named(key)}", "nothing", None, None, "nothing", remark, subject=Subject("requests", *key)
    )
    return Compared(replace(result, before=count), Growth(tail(before_count, after_count, count, count)))


def _named(key: EntryKey) -> str:
    return " ".join(filter(None, key))


def _entry_compared(key: EntryKey, before: Entries, after: Entries, allowance: Allowance) -> Iterator[Compared]:
    def measure(name: str, dimension: Dimension, quantile: float | None = None) -> _Measure:
        return _Measure(f"{name} of {_named(key)}", dimension, allowance, quantile, Subject(name, *key))

    counts = f"{plural(len(before), 'request')} and {format_count(len(after))}"
    latencies = (before.latency, after.latency)
    for name, quantile in _QUANTILES.items():
        values = (percentile(latencies[0], quantile), percentile(latencies[1], quantile))
        test = partial(percentile_growth, quantile=quantile)
        told = (counts, after.slowest.trace_id)
        yield _compared(measure(name, "duration", quantile), values, latencies, test, told)
    failures = (joined(before.failures), joined(after.failures))
    failed = [int(sample.values.sum()) for sample in failures]
    told = (f"{failed[0]} of {plural(len(before), 'request')} and {failed[1]} of {len(after)}", after.failed.trace_id)
    yield _compared(measure("error rate", "ratio"), _means(failures), failures, failure_growth, told)
    calls = (joined(before.calls), joined(after.calls))
    told = (counts, after.busiest.trace_id)
    yield _compared(measure("calls per request", "count"), _means(calls), calls, rank_growth, told)


def percentile(sample: Sample, quantile: float) -> int:
    """Give the exact value of this rank (nearest rank)."""
    return int(np.sort(sample.values)[rank_of(quantile, len(sample)) - 1])


def _means(samples: tuple[Sample, Sample]) -> tuple[float, float]:
    before, after = (int(sample.values.sum()) / len(sample) for sample in samples)
    return before, after
