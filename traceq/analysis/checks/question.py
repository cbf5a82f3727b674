"""All checks as one question, so that traces are read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from traceq.analysis.checks.expressions import Expression
from traceq.analysis.checks.regressions import against_baseline
from traceq.analysis.checks.results import RESULT_COLUMNS, CheckResult, judge
from traceq.analysis.checks.tallies import CheckSums, tally
from traceq.analysis.comparison.cohorts import Cohort
from traceq.analysis.comparison.cohorts import collect as collect_cohort
from traceq.analysis.comparison.compare import compare
from traceq.analysis.findings import KINDS, Finding, FindingQuestion, FindingSums
from traceq.analysis.grouping import added
from traceq.analysis.requests import RequestOptions
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.learned import Lesson
from traceq.report import Column, Part, Rows, json_key
from traceq.traces import Traces
from traceq.units import plural


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
