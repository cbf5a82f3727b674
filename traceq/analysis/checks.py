"""Checks of traces: bounds on times, errors and calls, and no regression from a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from traceq.analysis.columns import Columns, Ints, columns, meanings
from traceq.analysis.comparison.batches import MIN_REQUESTS
from traceq.analysis.comparison.cohorts import Cohort
from traceq.analysis.comparison.cohorts import collect as collect_cohort
from traceq.analysis.comparison.compare import Comparison, compare
from traceq.analysis.comparison.measuring import Estimate
from traceq.analysis.expressions import Expression
from traceq.analysis.findings import KINDS, Finding, FindingQuestion, FindingSums
from traceq.analysis.grouping import added
from traceq.analysis.requests import RequestOptions, SetApart, requests_of, set_apart_specs
from traceq.analysis.spread import Spread, spread
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.learned import Lesson
from traceq.report import Column, Part, Rows, Unit, json_key
from traceq.semantics import Status
from traceq.traces import Traces
from traceq.units import format_duration, plural


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


@dataclass(frozen=True, slots=True)
class ChecksSums:
    """The sums that any number of checks need; can be added to others."""

    trace_count: int = 0
    span_count: int = 0
    measured: tuple[CheckSums, ...] = ()
    """The sums of each check on a measure, in their order."""
    findings: FindingSums = field(default_factory=FindingSums)
    """The findings; empty where no check needs them."""
    cohort: Cohort = field(default_factory=Cohort)
    """The requests, for the baseline; empty where there is none."""

    def __add__(self, other: ChecksSums) -> ChecksSums:
        measured = tuple(one + more for one, more in zip(self.measured, other.measured, strict=True))
        return added(self, other, measured=measured)


_ON_PARTS = "within bounds as far as it was measured, but something is missing in the answer"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check and its result."""

    text: str
    """The text of the check."""
    measured: str
    """The measured value, as text for people."""
    value: float | None
    """The measured value: ns, 0..1, or a count; None where nothing could be measured."""
    bound: float | None
    passed: bool
    remark: str = ""
    """Further information: how much was measured, or why nothing was."""
    example: str = ""
    """The id of a trace that shows the result; empty for none."""
    set_apart: SetApart = field(default_factory=SetApart)
    """What does not count among the requests that were looked at."""


RESULT_COLUMNS: tuple[Column[CheckResult], ...] = (
    Column("check", "check", value=lambda result: result.text, about="check as it was written", can_shrink=True),
    Column("passed", "passed"),
    Column("measured", "measured", about="what was found, for people"),
    Column("value", "value", about="the same as a number: ns, 0..1 or a count; null where nothing could be measured"),
    Column("bound", "bound", about="in the same unit; null where there is none"),
    Column("remark", "remark", value=lambda result: result.remark or None, about="how much was looked at"),
    Column(
        "example_trace_id",
        "example",
        Unit.TRACE_ID,
        lambda result: result.example or None,
        "a trace that shows it; null where none does",
    ),
    *set_apart_specs(lambda result: result.set_apart),
)


@dataclass(frozen=True, slots=True, repr=False)
class Checks(Answer):
    """The results of all checks."""

    sums: ChecksSums
    results: tuple[CheckResult, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            check_count="number of checks",
            failed_count="number of those that failed",
        ),
        json_key("passed", lambda answer: not answer.failed, "whether all checks passed"),
        Rows("checks", RESULT_COLUMNS, lambda answer: answer.results, "checks in the order in which they were given"),
    )
    MAIN: ClassVar[str] = "checks"

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that did not pass."""
        return [result for result in self.results if not result.passed]

    @property
    def verdict(self) -> Verdict:
        """Whether all checks passed; the first that did not."""
        count, failed = len(self.results), self.failed
        numbers = {"check_count": count, "failed_count": len(failed)}
        if not failed:
            told = f"All {count} checks passed." if count > 1 else "The check passed."
            return Verdict((Part(told, "strong"),), numbers)
        first = failed[0]
        told = f"{len(failed)} of {plural(count, 'check')} failed"
        return Verdict((Part(told, "error"), Part(f": {first.text}, measured {first.measured}.")), numbers)

    def on_parts(self) -> Checks:
        """Fail the checks that passed, because what is missing in the traces could have broken them."""
        doubted = (replace(each, passed=False, remark=_ON_PARTS) if each.passed else each for each in self.results)
        return replace(self, results=tuple(doubted))

    def with_baseline(self, before: Cohort, tolerance: float) -> Checks:
        """Add checks against the requests of a baseline; see `against_baseline`."""
        comparison = compare(before, self.sums.cohort)
        apart = comparison.after.set_apart
        regressions = (replace(result, set_apart=apart) for result in against_baseline(comparison, tolerance))
        return replace(self, results=(*self.results, *regressions))


@dataclass(frozen=True, slots=True)
class ChecksQuestion:
    """All checks as one question, so that traces are read once."""

    options: RequestOptions
    expressions: tuple[Expression, ...] = ()
    with_cohort: bool = False
    """Whether requests are compared with those of a baseline."""
    learns: bool = True

    def __post_init__(self) -> None:
        """Refuse unknown kinds of findings.

        Raises:
            ValueError: If a check names one.
        """
        for each in self.expressions:
            if each.measure == "no" and each.target not in KINDS:
                raise ValueError(f"'{each.target}' is no kind of finding, there are {', '.join(KINDS)}")

    @property
    def bounds(self) -> tuple[Expression, ...]:
        """The checks on a measure; the others are about findings."""
        return tuple(each for each in self.expressions if each.measure != "no")

    @property
    def needs_details(self) -> bool:
        """Whether findings are needed; measures need only columns."""
        return len(self.bounds) < len(self.expressions)

    @property
    def lesson(self) -> Lesson | None:
        """Give what findings need to know."""
        return "habits" if self.needs_details else None

    def nothing(self) -> ChecksSums:
        """Give the sums of no traces."""
        return ChecksSums(measured=tuple(CheckSums() for _ in self.bounds))

    def collect(self, traces: Traces) -> ChecksSums:
        """Sum up a table."""
        found = FindingQuestion(self.options).collect(traces) if self.needs_details else FindingSums()
        cohort = collect_cohort(traces, self.options) if self.with_cohort else Cohort()
        bounds = tuple(tally(traces, bound, self.options) for bound in self.bounds)
        return ChecksSums(len(traces), traces.span_count, bounds, found, cohort)

    def rank(self, sums: ChecksSums) -> Checks:
        """Give the results of the checks in the order in which they were given."""
        findings = FindingQuestion(self.options).rank(sums.findings).findings
        measured = iter(sums.measured)
        results = (
            _without_finding(findings, each, sums) if each.measure == "no" else judge(next(measured), each)
            for each in self.expressions
        )
        return Checks(sums, tuple(results))


def _without_finding(findings: Sequence[Finding], expression: Expression, sums: ChecksSums) -> CheckResult:
    there = [finding for finding in findings if finding.key.kind == expression.target]
    remark, example = f"in {plural(sums.trace_count, 'trace')}", ""
    if there:
        remark = f"{there[0].key.service} {there[0].key.name} {remark}"
        example = there[0].totals.examples[0].trace_id
    measured, apart = plural(len(there), "finding"), sums.findings.set_apart
    return CheckResult(expression.text, measured, len(there), 0, not there, remark, example, apart)


def judge(sums: CheckSums, expression: Expression) -> CheckResult:
    """Compare the sums with the bound.

    A name that fits no span is a failure: a check with a misspelt name would otherwise always pass. Calls are the
    exception, since 0 is a number of calls too.
    """
    value = _value(sums, expression)
    if value is None:
        remark = f"no span goes by this name in {plural(sums.trace_count, 'trace')}"
        return CheckResult(expression.text, "nothing", None, expression.bound, False, remark, "", sums.set_apart)  # noqa: FBT003
    remark, example = _circumstances(sums, expression)
    measured, passed = expression.written(value), expression.holds(value)
    return CheckResult(expression.text, measured, value, expression.bound, passed, remark, example, sums.left_out)


def _value(sums: CheckSums, expression: Expression) -> float | None:
    meant = sums.meant
    if expression.measure == "calls":
        worst = meant.most if expression.comparison in {"<", "<="} else meant.least
        return None if worst is None or not sums.trace_count else worst[0]
    durations = meant.durations
    if not durations.count:
        return None
    if expression.measure == "error_rate":
        return meant.error_count / durations.count
    if expression.quantile is not None:
        return durations.percentile(expression.quantile)
    return {
        "mean": durations.total_ns / durations.count,
        "min": durations.min_ns,
        "max": durations.max_ns,
    }[expression.measure]


def _circumstances(sums: CheckSums, expression: Expression) -> tuple[str, str]:
    meant = sums.meant
    count = meant.durations.count
    if expression.measure == "calls":
        worst = meant.most if expression.comparison in {"<", "<="} else (meant.least or (0, ""))
        mean = f"{count / max(sums.trace_count, 1):.3g} on average"
        return f"in the worst of {plural(sums.trace_count, 'trace')}, {mean}", worst[1]
    if expression.measure == "error_rate":
        return f"{meant.error_count} of {plural(count, 'span')}", ""
    return f"of {plural(count, 'span')}", meant.slowest[1]


def against_baseline(comparison: Comparison, tolerance: float) -> tuple[CheckResult, ...]:
    """Tell whether requests got slower or fail more often than those of a baseline, beyond chance.

    A regression is a growth by more than the tolerance that chance does not explain: of the mean latency, of the share
    of failed requests, or of the time that a service holds requests, as a share of the mean latency before. Only those
    services are given that regressed.
    """
    counts = (comparison.before.request_count, comparison.after.request_count)
    bound = f"<= +{100 * tolerance:g} %"
    if min(counts) < MIN_REQUESTS or not comparison.latency.before:
        remark = f"too few requests of the same kinds to tell: {counts[0]} before, {counts[1]} after"
        text = f"baseline: mean latency {bound}"
        return (CheckResult(text, "nothing", None, tolerance, passed=False, remark=remark),)
    whole_ns = comparison.latency.before
    latency = _regression(f"baseline: mean latency {bound}", comparison.latency, whole_ns, tolerance)
    services = [
        _regression(f"baseline: {change.service} {bound}", change.held, whole_ns, tolerance, change.example_id)
        for change in comparison.services
    ]
    failures = _more_failures(f"baseline: failed requests {bound}", comparison, tolerance)
    return (latency, failures, *(result for result in services if not result.passed))


def _regression(text: str, change: Estimate, whole_ns: float, tolerance: float, example: str = "") -> CheckResult:
    ratio = change.change / whole_ns
    times = f"{format_duration(round(change.before))} → {format_duration(round(change.after))}"
    passed = not (change.low > 0 and ratio > tolerance)
    remark = f"{times}{', not more than chance' if ratio > tolerance and passed else ''}"
    return CheckResult(text, f"{100 * ratio:+.3g} %", ratio, tolerance, passed, remark, "" if passed else example)


def _more_failures(text: str, comparison: Comparison, tolerance: float) -> CheckResult:
    failures = comparison.failures
    passed = not (failures.low > 0 and failures.change > tolerance * failures.before)
    measured = f"{100 * failures.before:.3g} % → {100 * failures.after:.3g} %"
    return CheckResult(text, measured, failures.after, None, passed)
