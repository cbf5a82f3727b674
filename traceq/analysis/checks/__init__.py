"""Checks of traces: bounds on times, errors and calls, and no regression from a baseline."""

from traceq.analysis.checks.expressions import Allowance, Expression, parse_expression
from traceq.analysis.checks.question import Checks, ChecksQuestion, ChecksSums
from traceq.analysis.checks.results import RESULT_COLUMNS, CheckResult

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
