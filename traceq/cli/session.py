"""What every command does before and after its work: open the source, show progress, set up logging."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from traceq.cli.options import AskingOptions, OutputOptions, SourceOptions
from traceq.cli.output import check_output
from traceq.query import Asked, OneTrace, Wanted, asked_of, sum_warnings
from traceq.sources import open_source
from traceq.sources.interface import Progress, ProgressListener, Source, no_progress
from traceq.traces import Traces
from traceq.units import format_count, plural
from traceq.untrusted import printable

if TYPE_CHECKING:
    from rich.status import Status

    from traceq.analysis.grouping import Sums
    from traceq.engine import RankedQuestion

_Sums = TypeVar("_Sums", bound="Sums")
_Answer_co = TypeVar("_Answer_co", covariant=True)


@contextmanager
def opened(source: SourceOptions, output: OutputOptions) -> Iterator[Source]:
    """Open the source that was asked for, with progress on standard error while the command works.

    Raises:
        typer.BadParameter: If the options contradict each other, or the answer could not be written.
    """
    check_output(output)
    if output.verbose:
        _log_to_standard_error()
    with progress_line(is_wanted=not output.quiet) as listener:
        try:
            opened_source = open_source(source.locations, source.connection, listener)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--source") from error
        yield opened_source


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("traceq: %(levelname)s: %(name)s: %(message)s"))
    logger = logging.getLogger("traceq")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)


def answered(
    question: RankedQuestion[_Sums, _Answer_co], options: AskingOptions, service: str | None, trace: str | None = None
) -> tuple[_Answer_co, Asked]:
    """Put a question to the traces that options select: one by its id, or all that meet the conditions."""
    # Late: commands that only list need no engine.
    from traceq.engine import ask

    with opened(options.source, options.output) as source:
        wanted: Wanted = OneTrace(trace or "", service)
        if trace is None:
            wanted = options.filters.query(service, is_live=source.is_live)
        reply = ask(source, wanted, question, options.workers.workers)
    return question.rank(reply.sums), reply.asked


def found_trace(source: Source, trace_id: str, service: str | None = None) -> tuple[Traces, Asked]:
    """Get one trace by its id, as a table, with what there is to say about it."""
    traces = source.trace(trace_id)
    return traces, asked_of(source, OneTrace(traces.trace_ids[0], service), sum_warnings(traces.warnings))


_PATIENCE_S = 1.0


@contextmanager
def progress_line(*, is_wanted: bool) -> Iterator[ProgressListener]:
    """Give a listener that shows the last thing it heard, and wipe the line at the end."""
    if not is_wanted or not sys.stderr.isatty():
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
