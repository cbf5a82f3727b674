"""`traceq fetch`: traces into a file, to ask again later, elsewhere, or without the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from traceq.cli.messages import cut_off_line, tell, warning_lines
from traceq.cli.options import FilterOptions, OutputOptions, ServiceOption, SourceOptions
from traceq.cli.output import chosen_format, destination
from traceq.cli.session import opened
from traceq.sources import Found, Source
from traceq.traces import Traces
from traceq.units import plural

_DEFAULT_LIMIT = 200


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """Of `fetch`."""

    trace: Annotated[
        list[str] | None, typer.Option("--trace", metavar="ID", help="This trace; repeatable, instead of conditions.")
    ] = None
    service: ServiceOption = None
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def fetch(options: FetchOptions) -> None:
    """Write what matches as Jaeger JSON, `{"data": [...]}`: traceq and Jaeger UI read it back.

    With --format ndjson, or a file that ends in .ndjson or .jsonl, one trace a line.

    Examples:
      traceq fetch --service chat-service --lookback 2h -o incident.json

      traceq fetch --trace 5b8aa5a2d2c872e8321cf37308d69df2 -o slow.json

      traceq fetch --error | traceq bottlenecks --source -
    """
    if chosen_format(options.output) == "csv":
        raise typer.BadParameter("traces are written as json or ndjson", param_hint="--format")
    with opened(options.source, options.output) as source:
        parts = _found(source, options)
        _write([part.traces for part in parts], options.output)
    if not options.output.quiet:
        _tell(parts, options)


def _found(source: Source, options: FetchOptions) -> list[Found]:
    if options.trace:
        return [Found(source.trace(trace_id)) for trace_id in options.trace]
    query = options.filters.query(options.service, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
    return [source.find(query)]


def _tell(parts: list[Found], options: FetchOptions) -> None:
    for found in parts:
        for note in found.notes:
            tell("note", note)
        if found.is_cut_off:
            tell("note", cut_off_line(options.filters.limit or _DEFAULT_LIMIT))
    for line in warning_lines(warning for found in parts for warning in found.traces.warnings):
        tell("warning", line)
    traces = plural(sum(len(found.traces) for found in parts), "trace")
    spans = plural(sum(found.traces.span_count for found in parts), "span")
    where = f" to {options.output.output}" if options.output.output else ""
    tell("note", f"wrote {traces}, {spans}{where}")


def _write(tables: list[Traces], output: OutputOptions) -> None:
    from traceq.codec import encode_trace

    as_lines = chosen_format(output) == "ndjson"
    with destination(output.output) as out:
        if not as_lines:
            out.write(b'{"data":[')
        documents = (encode_trace(table, position) for table in tables for position in range(len(table)))
        for number, document in enumerate(documents):
            if number:
                out.write(b"\n" if as_lines else b",\n")
            out.write(document)
        if not as_lines:
            out.write(b"]}")
        out.write(b"\n")
