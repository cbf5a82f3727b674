"""`traceq fetch`: traces into a file, to ask again later, elsewhere, or without the server."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, get_args

import typer
from msgspec import Struct, field, structs

from traceq.catalog import Window
from traceq.cli.messages import progress_line, tell, tell_remarks
from traceq.cli.options import DEFAULT_ROTATE, DURATION, SIZE, FilterOptions, ServiceOptions, SourceOptions
from traceq.cli.outputs import OutputOptions, TracesOutputOptions
from traceq.cli.references import Located, located
from traceq.cli.session import chosen_format, destination, failures_told, opened
from traceq.errors import SourceError
from traceq.query import DEFAULT_LIMIT, cut_off_line
from traceq.remarks import sum_warnings
from traceq.render import TracesFormat
from traceq.sources.bodies import Packing, packed, unpacked_name
from traceq.sources.harvest import TimeSlice, plan_window
from traceq.sources.harvester import Archive, Asked, Harvester, State, read_state
from traceq.sources.interface import Found, Source
from traceq.units import NS_PER_S, NS_PER_US, format_size, format_time, plural
from traceq.untrusted import printable, shown_json_bytes


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


class FetchOptions(Struct, frozen=True):
    """What `fetch` takes."""

    trace: Annotated[
        list[str] | None,
        typer.Option("--trace", metavar="ID", help="Id of a trace, instead of conditions; repeatable."),
    ] = None
    service: ServiceOptions = field(default_factory=ServiceOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: TracesOutputOptions = field(default_factory=TracesOutputOptions)
    harvest: HarvestOptions = field(default_factory=HarvestOptions)


def fetch(options: FetchOptions) -> None:
    """Write what matches as Jaeger JSON, `{"data": [...]}`: traceq and Jaeger UI read it back.

    With --format ndjson, or a file name that ends in .ndjson or .jsonl, each trace is a line. A further .gz or .zst
    compresses the file.

    With --all, everything in the window is written into a directory, however much it is: time is cut into slices until
    no answer reaches the limit. Run the same command again to continue after an interruption.

    Examples:
      traceq fetch --service chat-service --lookback 2h -o incident.json

      traceq fetch --trace 5b8aa5a2d2c872e8321cf37308d69df2 -o slow.json

      traceq fetch --error | traceq bottlenecks --source -

      traceq fetch --all --lookback 2d -o incident/ --compress gz --rotate 250MB
    """
    if options.harvest.everything:
        if options.trace:
            raise typer.BadParameter("--all takes conditions, not ids", param_hint="--trace")
        fetch_all(options.service.name, options.filters, options.source, options.output, options.harvest)
        return
    if chosen_format(options.output) not in {"text", *get_args(TracesFormat)}:
        raise typer.BadParameter("traces are written as json or ndjson", param_hint="--format")
    places = _places(options)
    with opened(places[0].source if places else options.source, options.output) as source:
        parts = _found(source, places, options)
        _write(parts, options.output)
    if not options.output.quiet:
        _tell_found(parts, options)


def _places(options: FetchOptions) -> list[Located]:
    """Read what was typed for traces.

    Raises:
        typer.BadParameter: If links and files among it lead to several places.
    """
    places = [located(text, options.source, options.output) for text in options.trace or ()]
    if len({place.source.locations for place in places}) > 1:
        raise typer.BadParameter("one server or file at a time: these lead to several", param_hint="--trace")
    return places


def _found(source: Source, places: list[Located], options: FetchOptions) -> list[Found]:
    if places:
        return [Found(source.trace(place.trace_id)) for place in places]
    query = options.filters.query(options.service.name, is_live=source.is_live)
    found = source.find(query, with_attributes=False)
    if not len(found.traces):
        # Late: the engine is for other commands.
        from traceq.engine import why_nothing

        found = replace(found, notes=found.notes + why_nothing(source, query))
    return [found]


def _tell_found(parts: list[Found], options: FetchOptions) -> None:
    cut_off = cut_off_line(options.filters.limit or DEFAULT_LIMIT)
    notes = chain.from_iterable((*found.notes, *([cut_off] if found.is_cut_off else ())) for found in parts)
    tell_remarks(notes, sum_warnings([warning for found in parts for warning in found.traces.warnings]))
    traces = plural(sum(len(found.traces) for found in parts), "trace")
    spans = plural(sum(found.traces.span_count for found in parts), "span")
    where = f" to {options.output.output}" if options.output.output else ""
    tell("note", f"wrote {traces}, {spans}{where}")


def _write(parts: list[Found], output: OutputOptions) -> None:
    name, packing = unpacked_name(output.output)
    as_lines = chosen_format(structs.replace(output, output=name)) == "ndjson"
    with destination(output.output) as file, packed(file, packing) as out:
        if not as_lines:
            out.write(b'{"data":[')
        documents = (found.document(position) for found in parts for position in range(len(found.traces)))
        for number, written in enumerate(documents):
            if number:
                out.write(b"\n" if as_lines else b",\n")
            # As the source sent it, but for what a terminal would obey.
            out.write(shown_json_bytes(written))
        if not as_lines:
            out.write(b"]}")
        out.write(b"\n")


_LIMIT = 1000
"""Traces an answer: as many as every storage takes as it is configured by default."""
_MOST_SHOWN = 3


_harvest_option = partial(typer.Option, rich_help_panel="Whole windows")


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
    _tell_harvest(harvester, output, folder)


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


def _tell_harvest(harvester: Harvester, output: OutputOptions, folder: Path) -> None:
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
