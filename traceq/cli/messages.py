"""Standard error: warnings, hints and errors, one line each, and the line that says how far work has come."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from traceq.units import format_count, plural
from traceq.untrusted import printable

if TYPE_CHECKING:
    from rich.status import Status

    # `--help` lists commands without sources and the span table.
    from traceq.sources.interface import Progress, ProgressListener
    from traceq.traces import TraceWarning, WarningCode

_TEXTS: dict[WarningCode, str] = {
    "orphan": "parent missing: {spans} in {traces}, [a root|roots] unless other traces show [its|their] place",
    "duplicate-dropped": "exact copies ignored: {spans} in {traces}",
    "duplicate-id": "id used for several spans: {spans} in {traces}, children are attached to the first",
    "self-parent": "span is its own parent: {spans} in {traces}, shown as [a root|roots]",
    "cycle": "parents form a cycle: {spans} in {traces}, shown as [a root|roots]",
    "start-missing": "start time missing: {spans} in {traces}, assumed to start with [its parent|their parents]",
    "negative-duration": "end before start: {spans} in {traces}, counted as taking no time",
    "end-missing": "end time missing: {spans} in {traces}, counted as taking no time",
    "time-repaired": "times not written as the format has them: {spans} in {traces}, read as they were meant",
    "unit-recognised": "times in another unit: {traces}, {example}",
    "value-repaired": "fields not written as the format has them: {spans} in {traces}, read as they were meant",
    "value-left-out": "fields that make no sense: {spans} in {traces}, shown without them",
    "id-missing": "span [id|ids] missing: {spans} in {traces}, given [an id of its own|ids of their own]",
    "span-left-out": "not readable as spans, left out: {spans} in {traces}",
    "other-trace": "another trace named than the one that lists them: {spans} in {traces}",
    "halves-joined": "stored by 64 and by 128 bits of one id: {traces}, joined",
    "service-missing": "service missing: {spans} in {traces}",
    "from-source": "the source warns about {traces}: {example}",
}


_ONE_OR_MORE = re.compile(r"\[([^|]*)\|([^]]*)\]")
"""Words for one span, and for several."""


def tell(kind: str, text: str) -> None:
    """Write one line on standard error; where nobody reads it any more, the exit code tells alone."""
    try:
        sys.stderr.write(f"traceq: {kind}: {printable(text)}\n")
    except BrokenPipeError:
        # Python flushes it once more on exit, and would change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def tell_error(message: str, hint: str = "", pointed: Sequence[str] = ()) -> None:
    """Write an error, and a hint below it.

    Args:
        message: What is wrong.
        hint: What to try.
        pointed: What was typed in two parts, of which the second begins where the error was noticed.
    """
    tell("error", message)
    if pointed:
        before, rest = map(printable, pointed)
        tell("error", f"  {before}{rest}")
        tell("error", f"  {' ' * len(before)}^")
    if hint:
        tell("hint", hint)


def tell_remarks(
    notes: Iterable[str], warnings: Iterable[TraceWarning], counts: Mapping[WarningCode, int] | None = None
) -> None:
    """Write notes and warnings on standard error; see `warning_lines`."""
    for note in notes:
        tell("note", note)
    for line in warning_lines(warnings, counts):
        tell("warning", line)


def warning_lines(warnings: Iterable[TraceWarning], counts: Mapping[WarningCode, int] | None = None) -> Iterator[str]:
    """Give a line for each kind of warning, with how many spans and traces and one of them by name.

    Args:
        warnings: The first of each kind, or all.
        counts: How many there are of each kind, listed or not; None where all are listed.
    """
    by_code: dict[WarningCode, list[TraceWarning]] = {}
    for warning in warnings:
        by_code.setdefault(warning.code, []).append(warning)
    for code, found in by_code.items():
        yield _line(found, (counts or {}).get(code, len(found)))


def _line(found: list[TraceWarning], count: int) -> str:
    first = found[0]
    traces = plural(len({warning.trace_id for warning in found}), "trace")
    # Of many only the first are listed, and which traces the others are in is not known.
    text = _ONE_OR_MORE.sub(r"\1" if count == 1 else r"\2", _TEXTS[first.code]).format(
        spans=plural(count, "span"),
        traces=traces if count == len(found) else f"at least {traces}",
        example=first.message,
    )
    where = f"span {first.span_id} of trace {first.trace_id}" if first.span_id else f"trace {first.trace_id}"
    return text + (f" ({where})" if count == 1 else f" (first: {where})")


_PATIENCE_S = 1.0


@contextmanager
def progress_line(*, is_wanted: bool) -> Iterator[ProgressListener]:
    """Give a listener that shows the last thing it heard, and wipe the line at the end."""
    if not is_wanted or not sys.stderr.isatty():
        # Late: `--help` needs no sources.
        from traceq.sources.interface import no_progress

        yield no_progress
        return
    line = _ProgressLine()
    timer = threading.Timer(_PATIENCE_S, line.show)
    timer.daemon = True
    timer.start()
    try:
        yield line.listen
    finally:
        timer.cancel()
        line.hide()


class _ProgressLine:
    """A spinner that appears late; told by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._text = "working"
        self._pace = _Pace()
        self._status: Status | None = None
        self._is_over = False

    def listen(self, progress: Progress) -> None:
        with self._lock:
            self._text = _text(progress, self._pace.rate(progress))
            if self._status is not None:
                self._status.update(self._text)

    def show(self) -> None:
        from rich.console import Console
        from rich.status import Status

        with self._lock:
            if self._is_over:
                return
            self._status = Status(self._text, console=Console(stderr=True, markup=False), spinner="dots")
            self._status.start()

    def hide(self) -> None:
        with self._lock:
            self._is_over = True
            if self._status is not None:
                self._status.stop()


class _Pace:
    """How fast work goes that is measured in bytes."""

    def __init__(self) -> None:
        self._what = ""
        self._began_s = 0.0

    def rate(self, progress: Progress) -> float:
        """Give the bytes a second since this work was first heard of; 0 while that is not known."""
        now_s = time.monotonic()
        if progress.what != self._what:
            self._what, self._began_s = progress.what, now_s
        passed_s = now_s - self._began_s
        return progress.done / passed_s if progress.is_bytes and passed_s > 0 else 0.0


def _text(progress: Progress, bytes_per_s: float = 0.0) -> str:
    parts = [printable(progress.what)]
    if progress.is_bytes:
        parts.append(f"{_megabytes(progress.done)} of {_megabytes(progress.total)} MB")
    elif progress.total:
        parts.append(f"{format_count(progress.done)} of {format_count(progress.total)}")
    if progress.trace_count:
        parts.append(plural(progress.trace_count, "trace"))
    if bytes_per_s:
        left_s = round((progress.total - progress.done) / bytes_per_s)
        parts += [f"{_megabytes(bytes_per_s)} MB/s", f"{left_s} s left"]
    # The status takes markup: a name from outside must not be any.
    return "  ".join(parts).replace("[", "\\[")


def _megabytes(size: float) -> str:
    return format_count(round(size / 1e6))
