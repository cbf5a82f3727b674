"""The options of `fetch --all`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from traceq.cli.fetch_sizes import DEFAULT_ROTATE, size
from traceq.cli.options import duration
from traceq.sources.packing import Packing

_PANEL = "Whole windows"


@dataclass(frozen=True, slots=True)
class HarvestOptions:
    """Of `fetch --all`."""

    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Everything in the window, as one trace a line, into the directory --output; the same command again "
            "goes on where it stopped. --limit is then what one answer may hold.",
            rich_help_panel=_PANEL,
        ),
    ] = False
    compress: Annotated[
        Packing, typer.Option(help="How the files of --all are compressed.", rich_help_panel=_PANEL)
    ] = "zst"
    rotate: Annotated[
        int,
        typer.Option(
            parser=size, metavar="SIZE", help="With --all, begin a new file after so much.", rich_help_panel=_PANEL
        ),
    ] = DEFAULT_ROTATE  # type: ignore[assignment]  # defaults go through the parser as if typed
    longest_slice: Annotated[
        int | None,
        typer.Option(
            "--slice",
            parser=duration,
            metavar="DURATION",
            help="With --all, the longest time to ask for at once; all of the window by default.",
            rich_help_panel=_PANEL,
        ),
    ] = None
