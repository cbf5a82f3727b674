"""`traceq fetch`: traces into a file, to ask again later, elsewhere, or without the server."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, get_args

import typer
from msgspec import Struct, field, structs

from traceq.cli.fetch_all import HarvestOptions, fetch_all
from traceq.cli.messages import tell, tell_remarks
from traceq.cli.options import FilterOptions, ServiceOptions, SourceOptions
from traceq.cli.outputs import OutputOptions, TracesOutputOptions
from traceq.cli.references import Located, located
from traceq.cli.session import chosen_format, destination, opened
from traceq.query import DEFAULT_LIMIT, cut_off_line
from traceq.render import TracesFormat
from traceq.sources.bodies import packed, unpacked_name
from traceq.sources.interface import Found, Source
from traceq.units import plural
from traceq.untrusted import shown_json_bytes


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
        _tell(parts, options)


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


def _tell(parts: list[Found], options: FetchOptions) -> None:
    for found in parts:
        cut_off = (cut_off_line(options.filters.limit or DEFAULT_LIMIT),) if found.is_cut_off else ()
        tell_remarks((*found.notes, *cut_off), ())
    tell_remarks((), (warning for found in parts for warning in found.traces.warnings))
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
