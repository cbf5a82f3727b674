"""What every command does before and after its work: open the source, show progress, set up logging."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import typer

from traceq.asked import OneTrace, Wanted
from traceq.cli.options import FilterOptions, OutputOptions, SourceOptions
from traceq.cli.output import check_output
from traceq.cli.progress import progress_line
from traceq.cli.service_options import ServiceOptions
from traceq.sources import open_source
from traceq.sources.interface import Source


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


class _Selecting(Protocol):
    """Options that say which traces a question is about."""

    @property
    def service(self) -> ServiceOptions:
        """Whose."""

    @property
    def trace(self) -> str | None:
        """The id of one trace; None for those that meet the conditions."""

    @property
    def filters(self) -> FilterOptions:
        """The conditions."""


def wanted_by(options: _Selecting, source: Source) -> Wanted:
    """Give which traces options select: one by its id, or all that meet the conditions."""
    if options.trace is not None:
        return OneTrace(options.trace, options.service.name)
    return options.filters.query(options.service.name, is_live=source.is_live)
