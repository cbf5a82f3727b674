"""What every command does before and after its work: open the source, show progress, set up logging."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from traceq.catalog import Window
from traceq.cli.options import OutputOptions, SourceOptions
from traceq.cli.output import check_output
from traceq.cli.progress import progress_line
from traceq.sources import open_source
from traceq.sources.interface import Source
from traceq.units import format_lookback, format_time


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


def window_text(window: Window, *, is_live: bool, lookback_ns: int | None) -> str:
    """Say which time was looked at (`last 1h`, `since 14:00:00.000`), nothing when all of it was."""
    if is_live and lookback_ns is not None:
        return f"last {format_lookback(lookback_ns)}"
    if window.start_ns is not None and window.end_ns is not None:
        return f"{format_time(window.start_ns)} to {format_time(window.end_ns)}"
    if window.start_ns is not None:
        return f"since {format_time(window.start_ns)}"
    return "" if window.end_ns is None else f"until {format_time(window.end_ns)}"
