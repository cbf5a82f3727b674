"""Standard error: warnings, hints and errors, one line each, and the line that says how far work has come."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from traceq.units import format_count, plural
from traceq.untrusted import printable

if TYPE_CHECKING:
    from rich.status import Status

    # `--help` lists commands without sources and the span table.
    from traceq.remarks import WarningSums
    from traceq.sources.interface import Progress, ProgressListener


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
        # Late: only mistakes in conditions are pointed at.
        from rich.cells import cell_len

        before, rest = map(printable, pointed)
        tell("error", f"  {before}{rest}")
        tell("error", f"  {' ' * cell_len(before)}^")
    if hint:
        tell("hint", hint)


def tell_remarks(notes: Iterable[str], warnings: WarningSums) -> None:
    """Write notes and warnings on standard error, a line for each kind of warning."""
    for note in notes:
        tell("note", note)
    # Late: `--help` lists commands without the span table.
    from traceq.remarks import warning_lines

    for line in warning_lines(warnings):
        tell("warning", line)


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
