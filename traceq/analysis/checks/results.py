"""The results of checks: measured values beside their bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from traceq.analysis.checks.expressions import Expression
from traceq.analysis.checks.tallies import CheckSums
from traceq.analysis.requests import SetApart, set_apart_specs
from traceq.report import Column, Unit
from traceq.units import plural


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
