"""Checks of traces as one question: bounds on times, errors and calls, and no regression from a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.checks.expressions import Allowance, Expression, parse_expression
from traceq.analysis.checks.regressions import (
    Compared,
    EntryKey,
    EntrySums,
    collect_entries,
    entries_compared,
    expression_compared,
    new_operations,
    settle,
)
from traceq.analysis.checks.results import RESULT_COLUMNS, CheckResult, CheckSums, Outcome, judge, tally
from traceq.analysis.findings import KINDS, Finding, FindingQuestion, FindingSums, Review, no_kind
from traceq.analysis.grouping import added
from traceq.analysis.requests import RequestOptions
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.learned import Lesson
from traceq.report import Column, Part, Rows, json_key
from traceq.traces import Traces
from traceq.units import plural

__all__ = [
    "RESULT_COLUMNS",
    "Allowance",
    "CheckResult",
    "Checks",
    "ChecksQuestion",
    "ChecksSums",
    "Expression",
    "parse_expression",
]
_ON_PARTS = "within bounds as far as it was measured, but something is missing in the answer"
_NOTHING_ALLOWED = Allowance()
_ANY_KIND = ("finding", "new-finding")
"""What stands for findings of every kind, and for those of every kind that were not there before."""


class ChecksSums(Struct, frozen=True):
    """The sums that any number of checks need; can be added to others."""

    trace_count: int = 0
    span_count: int = 0
    measured: tuple[CheckSums, ...] = ()
    """The sums of each check on a measure, in their order."""
    findings: FindingSums = field(default_factory=FindingSums)
    """The findings; empty where no check needs them."""
    entries: EntrySums = field(default_factory=EntrySums)
    """The requests of entry operations, for the baseline; empty where there is none."""

    def __add__(self, other: ChecksSums) -> ChecksSums:
        measured = tuple(one + more for one, more in zip(self.measured, other.measured, strict=True))
        return added(self, other, measured=measured)


class Checks(Answer, Struct, frozen=True):
    """The results of all checks."""

    sums: ChecksSums
    results: tuple[CheckResult, ...]
    unheld: tuple[EntryKey, ...] = ()
    """Entry operations that a baseline does not have, so that nothing holds them."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            check_count="number of checks",
            failed_count="number of those that failed",
            doubtful_count="number of those that passed although something is worse, which chance alone may do",
        ),
        json_key("passed", lambda answer: not answer.failed, "whether all checks passed", holds="boolean"),
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
        doubtful = sum(each.passed and each.outcome == "within-chance" for each in self.results)
        numbers = {"check_count": count, "failed_count": len(failed), "doubtful_count": doubtful}
        if not failed:
            told = f"All {count} checks passed" if count > 1 else "The check passed"
            worse = f"; {plural(doubtful, 'measure')} worse, which chance alone may do" if doubtful else ""
            return Verdict((Part(told, "strong"), Part(f"{worse}.")), numbers)
        first = failed[0]
        told = f"{len(failed)} of {plural(count, 'check')} failed"
        return Verdict((Part(told, "error"), Part(f": {first.title}, measured {first.measured}.")), numbers)

    def on_parts(self) -> Checks:
        """Fail the checks that passed, because what is missing in the traces could have broken them."""
        doubted = (replace(each, outcome="partial", remark=_ON_PARTS) if each.passed else each for each in self.results)
        return replace(self, results=tuple(doubted))

    def allowing(self, *, chance: bool, nothing: bool) -> Checks:
        """Let checks pass whose growth chance explains, and those that were measured on nothing."""
        results = self.results
        if chance:
            results = tuple(each.allowed("within-chance") for each in results)
        if nothing:
            results = tuple(each.allowed("nothing") for each in results)
        return replace(self, results=results)


class ChecksQuestion(Struct, frozen=True):
    """All checks as one question, so that traces are read once."""

    options: RequestOptions
    expressions: tuple[Expression, ...] = ()
    with_entries: bool = False
    """Whether the requests of entry operations are compared with those of a baseline."""
    review: Review = field(default_factory=Review)
    """What was decided about findings, and which were there before."""
    learns: bool = True

    def __post_init__(self) -> None:
        """Refuse unknown kinds of findings.

        Raises:
            ValueError: If a check names one.
        """
        for each in self.expressions:
            if each.measure == "no" and each.target not in {*KINDS, *_ANY_KIND}:
                raise ValueError(no_kind(each.target, (*KINDS, *_ANY_KIND)))

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
        entries = collect_entries(traces, self.options) if self.with_entries else EntrySums()
        bounds = tuple(tally(traces, bound, self.options) for bound in self.bounds)
        return ChecksSums(len(traces), traces.span_count, bounds, found, entries)

    def findings(self, sums: ChecksSums) -> tuple[Finding, ...]:
        """Give all findings, those included that were there before, with what was decided about them."""
        found = FindingQuestion(self.options).rank(sums.findings)
        return found.reviewed(replace(self.review, known=None)).findings

    @property
    def of_baseline(self) -> ChecksQuestion:
        """What a baseline is asked: only what is compared with it."""
        return replace(self, expressions=tuple(each for each in self.expressions if each.allowance is not None))

    def _meant(self, findings: Sequence[Finding], expression: Expression) -> list[Finding]:
        """Give the findings that a check forbids: of its kind, and not acknowledged."""
        known = (self.review.known or frozenset()) if expression.target == "new-finding" else frozenset[str]()
        return [
            finding
            for finding in findings
            if finding.acknowledged is None
            and expression.target in {finding.key.kind, *_ANY_KIND}
            and finding.signature not in known
        ]

    def rank(self, sums: ChecksSums) -> Checks:
        """Give the results of the checks that have bounds of their own, in the order in which they were given."""
        return self.against(None, sums)

    def against(self, baseline: ChecksSums | None, sums: ChecksSums, allowance: Allowance = _NOTHING_ALLOWED) -> Checks:
        """Give the results of all checks, in the order in which they were given, then those of entry operations.

        Args:
            baseline: The sums that `of_baseline` gave for the baseline; None for no baseline.
            sums: The sums of the traces that are checked.
            allowance: How far the measures of entry operations may be above the baseline.
        """
        findings = self.findings(sums)
        measured, before = iter(sums.measured), iter(baseline.measured if baseline else ())
        results: list[CheckResult | Compared] = []
        for each in self.expressions:
            if each.measure == "no":
                results.append(_named(_without_finding(self._meant(findings, each), each, sums), each))
                continue
            after = next(measured)
            if each.allowance is None:
                results.append(_named(judge(after, each), each))
            elif baseline is not None:
                compared = expression_compared(next(before), after, each)
                results.append(replace(compared, result=_named(compared.result, each)))
        if baseline is None or not self.with_entries:
            return Checks(sums, _settled(results))
        held, apart = entries_compared(baseline.entries, sums.entries, allowance), sums.entries.set_apart
        results += [replace(each, result=replace(each.result, set_apart=apart)) for each in held]
        # That operations do not occur any more compares nothing yet.
        told = [each.result.outcome for each in held if each.result.subject.measure != "requests"]
        if not {"passed", "failed"} & set(told):
            results.append(_nothing_compared(baseline.entries, sums.entries))
        return Checks(sums, _settled(results), new_operations(baseline.entries, sums.entries))


def _named(result: CheckResult, expression: Expression) -> CheckResult:
    """Give a result the name and the reason of its check, and let it pass where it may be measured on nothing."""
    named = replace(result, name=expression.name, reason=expression.reason)
    return named.allowed("nothing") if expression.may_be_empty else named


def _settled(results: Sequence[CheckResult | Compared]) -> tuple[CheckResult, ...]:
    """Decide about all measures that were compared together, and keep the order."""
    settled = iter(settle([each for each in results if isinstance(each, Compared)]))
    return tuple(next(settled) if isinstance(each, Compared) else each for each in results)


def _nothing_compared(before: EntrySums, after: EntrySums) -> CheckResult:
    counts = f"{before.request_count} before, {after.request_count} after"
    remark = f"too few requests of the same operations to tell: {counts}"
    return CheckResult("requests of the baseline", "nothing", None, None, "nothing", remark)


def _without_finding(there: Sequence[Finding], expression: Expression, sums: ChecksSums) -> CheckResult:
    remark, example = f"in {plural(sums.trace_count, 'trace')}", ""
    if there:
        kind = f"{there[0].key.kind} of " if expression.target in _ANY_KIND else ""
        others = ", above all" if len(there) > 1 else ":"
        remark += f"{others} {kind}{there[0].key.service} {there[0].key.name}"
        example = there[0].totals.examples[0].trace_id
    measured, apart = plural(len(there), "finding"), sums.findings.set_apart
    if not sums.findings.request_count:
        return CheckResult(expression.text, "nothing", None, 0, "nothing", remark, example, apart)
    outcome: Outcome = "failed" if there else "passed"
    return CheckResult(expression.text, measured, len(there), 0, outcome, remark, example, apart)
