"""The results of checks: measured values beside their bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.checks.chance import joined
from traceq.analysis.checks.expressions import Expression
from traceq.analysis.checks.tallies import CheckSums, Tally
from traceq.analysis.requests import SetApart, set_apart_specs
from traceq.report import Column, Unit
from traceq.units import plural

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
