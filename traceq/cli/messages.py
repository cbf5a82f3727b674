"""What is said besides the answer: warnings, hints and errors, one line each, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from traceq.traces import TraceWarning, WarningCode
from traceq.units import format_count, plural
from traceq.untrusted import printable

_TEXTS: dict[WarningCode, str] = {
    "orphan": "parent missing: {spans} in {traces}, shown as roots",
    "duplicate-dropped": "exact copies left out: {spans} in {traces}",
    "duplicate-id": "id used for different spans: {spans} in {traces}, children go to the first",
    "self-parent": "own parent: {spans} in {traces}, shown as roots",
    "cycle": "ring of parents: {spans} in {traces}, shown as roots",
    "start-missing": "start time missing: {spans} in {traces}, taken to start with their parents",
    "negative-duration": "end before start: {spans} in {traces}, taken as no time",
    "service-missing": "service missing: {spans} in {traces}",
    "from-source": "the source remarks on {traces}: {example}",
}


def tell(kind: str, text: str) -> None:
    """Write one line on standard error."""
    sys.stderr.write(f"traceq: {kind}: {printable(text)}\n")


def tell_error(message: str, hint: str = "") -> None:
    """Write an error, and below it what to try."""
    tell("error", message)
    if hint:
        tell("hint", hint)


def warning_lines(warnings: Iterable[TraceWarning]) -> list[str]:
    """Sum up warnings: a line for each kind, with how many spans and traces and one of them by name."""
    by_code: dict[WarningCode, list[TraceWarning]] = {}
    for warning in warnings:
        by_code.setdefault(warning.code, []).append(warning)
    return [_line(code, found) for code, found in by_code.items()]


def _line(code: WarningCode, found: list[TraceWarning]) -> str:
    first = found[0]
    text = _TEXTS[code].format(
        spans=plural(len(found), "span"),
        traces=plural(len({warning.trace_id for warning in found}), "trace"),
        example=first.message,
    )
    where = f"span {first.span_id} of trace {first.trace_id}" if first.span_id else f"trace {first.trace_id}"
    return text + (f" ({where})" if len(found) == 1 else f" (first: {where})")


def cut_off_line(limit: int | None, what: str = "traces") -> str:
    """Say that the limit left something out."""
    told = "the source's limit" if limit is None else f"the limit of {format_count(limit)}"
    return f"{told} left {what} out: there may be more, raise --limit or narrow the window"
