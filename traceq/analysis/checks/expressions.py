"""Checks as people write them: `p95(chat-service) < 500ms`, `calls(mysql) <= baseline + 10%`, `no(n+1)`."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, cast

from msgspec import Struct

from traceq.units import format_duration, parse_duration

Comparison: TypeAlias = Literal["<", "<=", ">", ">="]
Dimension: TypeAlias = Literal["duration", "ratio", "count"]

_WORD = re.compile(r"\s*([A-Za-z_]\w*(?:\.\d+)?)\s*")
_BOUND = re.compile(r"\s*(<=|>=|<|>)\s*")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_BASELINE = re.compile(r"baseline\s*(?:\+\s*(.*\S)\s*)?")
_DURATIONS = ("mean", "min", "max")
_RATIOS = ("error_rate", "critical_share")
_COUNTS = ("calls", "errors", "count")
MEASURES = "p50 to p99.9, mean, min, max, error_rate, critical_share, errors, calls, count or no"
_OF_ALL = {"min": "p5", "max": "p99", "count": "calls"}
"""Measures that depend on how much was measured, so that they cannot be compared, and what may be meant."""
_EXAMPLE = "for example 'p95(chat-service) < 500ms', 'error_rate(chat-service) < 1%' or 'calls(mysql) <= 5'"


class Allowance(Struct, frozen=True):
    """How far a measure may lie above that of a baseline."""

    ratio: float = 0.0
    """A share of the baseline ..."""
    more: float = 0.0
    """... and an amount, in the unit of the measure."""

    def bound(self, before: float) -> float:
        """Give the bound for a value of the baseline."""
        return before * (1 + self.ratio) + self.more


class Expression(Struct, frozen=True):
    """A bound on a measure."""

    text: str
    """The check as it was written."""
    measure: str
    """The measure: `p95` and other percentiles, `mean`, `error_rate`, `calls`, `no` or another of `MEASURES`."""
    target: str
    """The name of what is measured; see `columns.meanings`. For `no` the kind of finding."""
    comparison: Comparison
    bound: float
    """The bound: in ns for durations, 0..1 for rates, otherwise a count; 0 where `allowance` says it."""
    allowance: Allowance | None = None
    """For a comparison with a baseline, how far beyond it the measure may be; None for a bound."""
    name: str = ""
    """The name that the check was given."""
    reason: str = ""
    """Why it is there."""
    may_be_empty: bool = False
    """Whether it passes where nothing was measured."""

    @property
    def dimension(self) -> Dimension:
        """The dimension of the measure."""
        if self.measure in {*_COUNTS, "no"}:
            return "count"
        return "ratio" if self.measure in _RATIOS else "duration"

    @property
    def quantile(self) -> float | None:
        """The percentile of the measure, 0..1; None where it is not a percentile."""
        found = _PERCENTILE.fullmatch(self.measure)
        return float(f"{found.group(1)}e-2") if found else None

    def holds(self, value: float, bound: float | None = None) -> bool:
        """Tell whether a measured value keeps within the bound.

        Args:
            value: The value.
            bound: The bound, where it depends on a baseline.
        """
        limit = self.bound if bound is None else bound
        match self.comparison:
            case "<":
                return value < limit
            case "<=":
                return value <= limit
            case ">":
                return value > limit
            case ">=":
                return value >= limit

    def written(self, value: float) -> str:
        """Write a value of the measure for people."""
        return written(self.dimension, value)


def written(dimension: Dimension, value: float) -> str:
    """Write a measured value for people."""
    if dimension == "duration":
        return format_duration(round(value))
    return f"{100 * value:.3g} %" if dimension == "ratio" else f"{value:.3g}" if value % 1 else f"{value:,.0f}"


def parse_expression(text: str) -> Expression:
    """Read one check.

    The form is `MEASURE(NAME) BOUND`, or `no(KIND)` without a bound; `BOUND` is also `<= baseline` or
    `<= baseline + 10%`. Names may contain blanks and brackets: the last closing bracket ends the name.

    Raises:
        ValueError: If it is not a check; the message says where reading stopped.
    """
    word = _WORD.match(text)
    if word is None:
        raise _stopped(text, 0, f"a measure, {_EXAMPLE}")
    measure = word.group(1)
    if measure not in {*_DURATIONS, *_RATIOS, *_COUNTS, "no"} and not _PERCENTILE.fullmatch(measure):
        raise _stopped(text, word.start(1), MEASURES)
    if text[word.end() : word.end() + 1] != "(":
        raise _stopped(text, word.end(), "'('")
    close = text.rfind(")")
    if close < 0:
        raise _stopped(text, len(text.rstrip()), "')'")
    target = text[word.end() + 1 : close].strip()
    if not target:
        raise _stopped(text, word.end() + 1, "a name: an operation, a service, service:operation, or what is called")
    if measure == "no":
        return _no_finding(text, target, close)
    return _bounded(text, measure, target, close + 1)


def _no_finding(text: str, target: str, close: int) -> Expression:
    if text[close + 1 :].strip():
        raise _stopped(text, close + 1, "nothing: no(...) has no bound")
    return Expression(text.strip(), "no", target, "<=", 0)


def _bounded(text: str, measure: str, target: str, at: int) -> Expression:
    sign = _BOUND.match(text, at)
    if sign is None:
        raise _stopped(text, at, "<, <=, > or >=")
    comparison = cast("Comparison", sign.group(1))
    bound = text[sign.end() :].strip()
    try:
        if relative := _BASELINE.fullmatch(bound):
            allowance = _allowance(measure, comparison, relative.group(1))
            return Expression(text.strip(), measure, target, comparison, 0, allowance)
        return Expression(text.strip(), measure, target, comparison, _bound(measure, bound))
    except ValueError as error:
        raise _stopped(text, sign.end(), str(error)) from error


def _allowance(measure: str, comparison: Comparison, text: str | None) -> Allowance:
    """Read what a measure may be above the baseline: nothing, a share of the baseline, or an amount.

    Raises:
        ValueError: If it cannot be read, or the measure cannot be compared; the message says what would be right.
    """
    if instead := _OF_ALL.get(measure):
        raise ValueError(f"a bound, since {measure} depends on how much was measured: compare {instead}")
    if comparison not in {"<", "<="}:
        raise ValueError("<= before a baseline: what got worse is looked for")
    if text is None:
        return Allowance()
    if re.fullmatch(r"\d+(\.\d+)?\s*%", text):
        return Allowance(ratio=float(text.rstrip("% ")) / 100)
    try:
        return Allowance(more=_bound(measure, text))
    except ValueError as error:
        raise ValueError(f"a share of the baseline such as 10%, or {error}") from error


def _bound(measure: str, text: str) -> float:
    """Read a bound in the dimension of the measure.

    Raises:
        ValueError: If it has another dimension; the message says which one is needed.
    """
    if measure in _RATIOS:
        if not re.fullmatch(r"\d+(\.\d+)?\s*%", text):
            raise ValueError("a share such as 1%")
        return float(text.rstrip("% ")) / 100
    if measure in _COUNTS:
        if not re.fullmatch(r"\d+(\.\d+)?", text):
            raise ValueError("a number such as 5")
        return float(text)
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ValueError("a duration such as 500ms") from error


def _stopped(text: str, at: int, wanted: str) -> ValueError:
    while text[at : at + 1].isspace():
        at += 1
    rest = text[at:]
    where = f"at '{rest}' (column {at + 1})" if rest else "at its end"
    return ValueError(f"cannot read the check '{text}' {where}: expected {wanted}")
