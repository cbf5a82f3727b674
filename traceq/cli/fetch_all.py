"""`traceq fetch --all`: a whole window, however much it holds, into a directory; goes on where it stopped."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct, structs

from traceq.catalog import Window
from traceq.cli.messages import tell
from traceq.cli.options import DEFAULT_ROTATE, DURATION, SIZE, FilterOptions, SourceOptions
from traceq.cli.outputs import OutputOptions
from traceq.cli.session import failures_told, opened, progress_line
from traceq.errors import SourceError
from traceq.sources.bodies import Packing
from traceq.sources.harvest import TimeSlice, plan_window
from traceq.sources.harvester import Archive, Asked, Harvester, State, read_state
from traceq.units import NS_PER_S, NS_PER_US, format_size, format_time, plural
from traceq.untrusted import printable

_LIMIT = 1000
"""Traces an answer: as many as every storage takes as it is configured by default."""
_MOST_SHOWN = 3


_harvest_option = partial(typer.Option, rich_help_panel="Whole windows")


class HarvestOptions(Struct, frozen=True):
    """How `fetch --all` goes about a whole window."""

    everything: Annotated[
        bool,
        _harvest_option(
            "--all",
            help="Fetch everything in the window into the directory --output, one trace a line; run the same command "
            "again to continue. --limit is then the maximum of one answer.",
        ),
    ] = False
    compress: Annotated[Packing, _harvest_option(help="Compression of the files of --all.")] = "zst"
    rotate: Annotated[int, _harvest_option(help="With --all: size after which a new file begins.", **SIZE)] = (
        DEFAULT_ROTATE  # type: ignore[assignment]  # defaults go through the parser as if typed
    )
    longest_slice: Annotated[
        int | None,
        _harvest_option(
            "--slice", help="With --all: longest time to ask for at once; by default the whole window.", **DURATION
        ),
    ] = None


def fetch_all(
    service: str | None,
    filters: FilterOptions,
    source_options: SourceOptions,
    output: OutputOptions,
    options: HarvestOptions,
) -> None:
    """Harvest a window into a directory.

    Raises:
        typer.BadParameter: If the options do not fit together, or the directory holds something else.
        SourceError: If the server fails; the directory can go on.
    """
    folder = _folder(output)
    # The directory is checked here, where opened() would refuse one; and one line of progress is enough.
    silent = structs.replace(output, output=None, format=None, quiet=True)
    with opened(source_options, silent) as source, progress_line(is_wanted=not output.quiet) as listener:
        if not source.is_live:
            raise typer.BadParameter(
                "--all harvests a server; for files see `traceq convert --help`", param_hint="--all"
            )
        query = filters.query(service, is_live=True, default_limit=_LIMIT)
        conditions = replace(query, window=Window(), limit=None).to_dict()
        asked = Asked(source.location, source_options.connection.identity, conditions, options.compress)
        # What has not happened yet cannot be complete.
        until = replace(query.window, end_ns=min(query.window.end_ns or 0, time.time_ns()))
        harvester = Harvester(source, query, _archive(folder, asked, until, options), listener)
        if not harvester.archive.state.is_finished:
            _run(harvester, output, folder)
    _tell(harvester, output, folder)


def _folder(output: OutputOptions) -> Path:
    if output.output in (None, "-"):
        raise typer.BadParameter("--all writes files: name a directory", param_hint="--output")
    if output.format not in (None, "ndjson"):
        raise typer.BadParameter("--all writes one trace a line: ndjson", param_hint="--format")
    folder = Path(output.output or "")
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"'{folder}' is a file, and --all writes a directory", param_hint="--output")
    return folder


def _archive(folder: Path, asked: Asked, window: Window, options: HarvestOptions) -> Archive:
    """Begin an archive, or find the one to go on with."""
    with failures_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = next(folder.iterdir(), None) is None
    known = read_state(folder)
    if known is None and not is_empty:
        raise typer.BadParameter(f"'{folder}' is not empty and holds no harvest to go on with", param_hint="--output")
    state = State(asked, plan_window(window, options.longest_slice)) if known is None else known
    if state.asked != asked:
        raise typer.BadParameter(f"'{folder}' holds a harvest of something else", param_hint="--output")
    if known is not None and not _is_same_window(known, window):
        what = "the finished harvest" if known.is_finished else "the harvest of another time"
        raise typer.BadParameter(f"'{folder}' holds {what}: {_window(known)}", param_hint="--output")
    return Archive(folder, state, options.rotate)


def _is_same_window(state: State, window: Window) -> bool:
    """Tell whether a command means the window of a harvest that it began.

    `--lookback 1d` means another day every second: as long as the harvest goes on its own window counts, and what is
    typed has to be as long, or to share an end with it.
    """
    start_us, end_us = ((each or 0) // NS_PER_US for each in (window.start_ns, window.end_ns))
    plan = state.plan
    if start_us == plan.start_us and end_us == plan.end_us:
        return True
    is_as_long = abs((end_us - start_us) - (plan.end_us - plan.start_us)) <= NS_PER_S // NS_PER_US
    return not state.is_finished and (is_as_long or start_us == plan.start_us or end_us == plan.end_us)


def _run(harvester: Harvester, output: OutputOptions, folder: Path) -> None:
    state = harvester.archive.state
    if state.part_bytes and not output.quiet:
        tell("note", f"going on with the harvest of {_window(state)}: {_sum(state, folder)} so far")
    try:
        with failures_told(folder):
            harvester.run()
    except (SourceError, KeyboardInterrupt):
        if not output.quiet:
            tell("note", f"{_sum(harvester.archive.state, folder)} so far; the same command again goes on")
        raise


def _tell(harvester: Harvester, output: OutputOptions, folder: Path) -> None:
    state = harvester.archive.state
    for each in state.plan.overfull[:_MOST_SHOWN]:
        tell("warning", f"the limit left traces out {_when(each)}: raise --limit")
    if len(state.plan.overfull) > _MOST_SHOWN:
        tell("warning", f"the same for {len(state.plan.overfull) - _MOST_SHOWN} other microseconds")
    for each in state.plan.holes[:_MOST_SHOWN]:
        tell("warning", f"what started {_when(each)} cannot be read: the server fails over it")
    if len(state.plan.holes) > _MOST_SHOWN:
        tell("warning", f"the same for {len(state.plan.holes) - _MOST_SHOWN} other microseconds")
    if output.quiet:
        return
    for note in harvester.notes:
        tell("note", note)
    tell("note", f"wrote {_sum(state, folder)}")


def _when(each: TimeSlice) -> str:
    whom = "" if each.service is None else f" in {printable(each.service)}"
    return f"within the microsecond {each.first_us} ({format_time(each.first_us * NS_PER_US)}){whom}"


def _sum(state: State, folder: Path) -> str:
    counts = f"{plural(state.trace_count, 'trace')}, {plural(state.span_count, 'span')}"
    return f"{counts} in {plural(len(state.part_bytes), 'file')}, {format_size(sum(state.part_bytes))}, to {folder}"


def _window(state: State) -> str:
    return f"{format_time(state.plan.start_us * NS_PER_US)} to {format_time(state.plan.end_us * NS_PER_US)}"
