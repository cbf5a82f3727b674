"""Whether requests got slower, or fail more often, than those of a baseline."""

from __future__ import annotations

from traceq.analysis.checks.results import CheckResult
from traceq.analysis.comparison.batches import MIN_REQUESTS
from traceq.analysis.comparison.compare import Comparison
from traceq.analysis.comparison.measuring import Estimate
from traceq.units import format_duration


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
