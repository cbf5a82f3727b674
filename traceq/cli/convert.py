"""`traceq convert`: files of traces into Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from traceq.cli.messages import tell, tell_remarks
from traceq.cli.options import DEFAULT_ROTATE, SIZE
from traceq.cli.session import failures_told, progress_line
from traceq.sources import is_url
from traceq.sources.bodies import expanded
from traceq.sources.interface import Progress, ProgressListener
from traceq.traces import TraceWarning
from traceq.units import format_size, plural

if TYPE_CHECKING:
    from traceq.sources.interface import Input


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """What `convert` takes."""

    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files, directories, or - for standard input.")
    ]
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE.parquet|DIR", help="One file, or a directory for several files."),
    ]
    no_attributes: Annotated[
        bool,
        typer.Option(
            "--no-attributes", help="Leave out attributes, events and links: much smaller, but --tag finds nothing."
        ),
    ] = False
    rotate: Annotated[int, typer.Option(help="In a directory: size after which a new file begins.", **SIZE)] = (
        DEFAULT_ROTATE  # type: ignore[assignment]  # defaults go through the parser as if typed
    )
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No warnings, hints or progress.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False


def convert(options: ConvertOptions) -> None:
    """Write traces as Parquet: one row a span, far smaller and faster to read than JSON.

    Every question reads it back with --source, and so do DuckDB, polars and Spark. Needs the extra `parquet`.

    Examples:
      traceq convert traces.json -o traces.parquet

      traceq convert harvest/ -o archive/ --rotate 250MB

      traceq bottlenecks chat-service --source traces.parquet
    """
    if any(is_url(source) for source in options.sources):
        raise typer.BadParameter("a server's traces are fetched first, see `traceq fetch --help`", param_hint="SOURCE")
    from traceq.sources.parquet import require_pyarrow

    require_pyarrow(options.output)
    with progress_line(is_wanted=not options.quiet) as listener, failures_told(Path(options.output)):
        written = _convert(options, listener)
    if not options.quiet:
        _tell(written, options.output)


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written."""

    paths: tuple[Path, ...]
    trace_count: int
    span_count: int
    warnings: tuple[TraceWarning, ...]
    notes: tuple[str, ...]


def _convert(options: ConvertOptions, listener: ProgressListener) -> _Written:
    from traceq.sources.files import FileSource

    with FileSource(expanded(options.sources), listener).slices() as found:
        for attempt in found.attempts():
            with attempt as trusted:
                return _write(trusted, options, listener)
    raise AssertionError("the last attempt either succeeds or raises")


def _write(found: Input, options: ConvertOptions, listener: ProgressListener) -> _Written:
    trace_count = span_count = 0
    warnings: list[TraceWarning] = []
    from traceq.codec.parquet import SpanFiles

    target = Path(options.output)
    _check_target(target)
    with SpanFiles(target, options.rotate, with_details=not options.no_attributes) as files:
        total = sum(piece.trace_count for piece in found.slices)
        for piece in found.slices:
            for table in piece.tables(with_details=True):
                files.add(table)
                trace_count += len(table)
                span_count += table.span_count
                warnings += table.warnings
                listener(Progress("writing Parquet", trace_count, total, trace_count))
        files.close(found.calls)
        return _Written(tuple(files.paths), trace_count, span_count, tuple(warnings), found.notes)


def _check_target(target: Path) -> None:
    """Make the directory that is written to, or find the one that the file is to be in.

    Raises:
        typer.BadParameter: If the directory holds Parquet already, or the file's is not there.
    """
    if target.suffix.lower() == ".parquet":
        if not target.parent.is_dir():
            raise typer.BadParameter(f"there is no directory '{target.parent}'", param_hint="--output")
        return
    target.mkdir(exist_ok=True)
    if any(path.suffix.lower() == ".parquet" for path in target.iterdir()):
        raise typer.BadParameter(f"'{target}' holds Parquet files already", param_hint="--output")


def _tell(written: _Written, output: str) -> None:
    tell_remarks(written.notes, written.warnings)
    counts = f"{plural(written.trace_count, 'trace')}, {plural(written.span_count, 'span')}"
    took = format_size(sum(path.stat().st_size for path in written.paths))
    files = f" in {plural(len(written.paths), 'file')}" if len(written.paths) > 1 else ""
    tell("note", f"wrote {counts} to {output}{files}, {took}")
