"""`traceq convert`: files of traces into Parquet, Jaeger JSON or OTLP JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeAlias

import typer
from msgspec import Struct, field

from traceq.cli.messages import progress_line, tell, tell_remarks
from traceq.cli.options import DEFAULT_ROTATE, SIZE
from traceq.cli.session import failures_told
from traceq.remarks import WarningSums, sum_warnings
from traceq.sources import is_url
from traceq.sources.bodies import expanded, packed, unpacked_name
from traceq.sources.interface import Progress, ProgressListener
from traceq.traces import Traces
from traceq.units import format_size, plural
from traceq.writing import replacing

if TYPE_CHECKING:
    from traceq.sources.interface import Input

Target: TypeAlias = Literal["parquet", "otap", "jaeger", "otlp"]
_BY_SUFFIX: dict[str, Target] = {".json": "jaeger", ".jsonl": "otlp", ".ndjson": "otlp", ".parquet": "parquet"}


class ConvertOptions(Struct, frozen=True):
    """What `convert` takes."""

    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files, directories, or - for standard input.")
    ]
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE|DIR", help="A file, or a directory for several files of Parquet."),
    ]
    to: Annotated[
        Target | None,
        typer.Option(
            metavar="FORMAT",
            help="What to write if the file's name does not say it: parquet (.parquet), jaeger (.json), otlp (.jsonl), "
            "or otap: Parquet with OpenTelemetry's column names, for other tools.",
        ),
    ] = None
    no_attributes: Annotated[
        bool,
        typer.Option(
            "--no-attributes",
            help="Leave out attributes, events and links: much smaller, but --tag finds nothing. For parquet only.",
        ),
    ] = False
    rotate: Annotated[int, typer.Option(help="In a directory: size after which a new file begins.", **SIZE)] = (
        DEFAULT_ROTATE  # type: ignore[assignment]  # defaults go through the parser as if typed
    )
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No warnings, hints or progress.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False


def convert(options: ConvertOptions) -> None:
    """Write traces as Parquet, which is far smaller than JSON, as Jaeger JSON or OTLP JSON.

    Every question reads it back with --source. DuckDB, polars and Spark read Parquet, Jaeger UI reads Jaeger JSON,
    collectors and other tools OTLP. Parquet needs pyarrow.

    Examples:
      traceq convert traces.json -o traces.parquet

      traceq convert harvest/ -o archive/ --rotate 250MB

      traceq convert zipkin.json -o jaeger.json

      traceq convert traces.json -o spans.jsonl.zst

      traceq convert traces.json -o spans.parquet --to otap
    """
    if any(is_url(source) for source in options.sources):
        raise typer.BadParameter("a server's traces are fetched first, see `traceq fetch --help`", param_hint="SOURCE")
    target = _target(options)
    if target in ("parquet", "otap"):
        from traceq.sources.parquet import require_pyarrow

        require_pyarrow(options.output)
    with progress_line(is_wanted=not options.quiet) as listener, failures_told(Path(options.output)):
        written = _convert(options, target, listener)
    if not options.quiet:
        _tell(written, options.output)


def _target(options: ConvertOptions) -> Target:
    """Choose what to write by the option, else by the file's name; a directory is for Parquet.

    Raises:
        typer.BadParameter: If the file's name says something else, or nothing.
    """
    name, packing = unpacked_name(options.output)
    suffix = Path(name or "").suffix.lower()
    if options.to is None and suffix and suffix not in _BY_SUFFIX and not Path(options.output).is_dir():
        known = ", ".join(_BY_SUFFIX)
        raise typer.BadParameter(
            f"a name ends in one of {known}, or say with --to what to write", param_hint="--output"
        )
    target = options.to or _BY_SUFFIX.get(suffix, "parquet")
    is_columnar = target in ("parquet", "otap")
    if is_columnar and (packing != "none" or (suffix and suffix != ".parquet" and suffix in _BY_SUFFIX)):
        raise typer.BadParameter(
            "Parquet is written to a name that ends in .parquet, or a directory", param_hint="--output"
        )
    if not is_columnar and (suffix == ".parquet" or not suffix):
        raise typer.BadParameter(f"{target} is written to a file of JSON", param_hint="--output")
    if options.no_attributes and target != "parquet":
        raise typer.BadParameter("only parquet can be written without attributes", param_hint="--no-attributes")
    return target


class _Written(Struct):
    """What was written."""

    paths: tuple[Path, ...] = ()
    trace_count: int = 0
    span_count: int = 0
    warnings: WarningSums = field(default_factory=WarningSums)
    notes: tuple[str, ...] = ()
    lost: Counter[str] = field(default_factory=Counter)
    """What the format cannot hold, and how often it was met."""


class _Writer(Protocol):
    """Takes tables one after the other."""

    def add(self, traces: Traces) -> None:
        """Write a table."""


def _convert(options: ConvertOptions, target: Target, listener: ProgressListener) -> _Written:
    from traceq.sources.files import FileSource

    with FileSource(expanded(options.sources), listener).slices() as cut:
        for attempt in cut.attempts():
            with attempt as found:
                write = _write_parquet if target in ("parquet", "otap") else _write_text
                return write(found, options, target, listener)
    raise AssertionError("the last attempt either succeeds or raises")


def _write_parquet(found: Input, options: ConvertOptions, target: Target, listener: ProgressListener) -> _Written:
    from traceq.codec.parquet import SpanFiles, SpanWriter
    from traceq.codec.parquet_foreign import OtapWriter

    path = Path(options.output)
    _check_target(path)
    writer = OtapWriter if target == "otap" else partial(SpanWriter, with_details=not options.no_attributes)
    with SpanFiles(path, options.rotate, writer) as files:
        written = _write(found, files, target, listener)
        files.close(found.calls)
        written.paths = tuple(files.paths)
        return written


def _write_text(found: Input, options: ConvertOptions, target: Target, listener: ProgressListener) -> _Written:
    path = Path(options.output)
    with replacing(path) as raw, packed(raw, unpacked_name(options.output)[1]) as out:
        writer = _Documents(out.write) if target == "jaeger" else _Lines(out.write)
        written = _write(found, writer, target, listener)
        writer.close()
    written.paths = (path,)
    return written


class _Lines:
    """Writes OTLP JSON, a trace a line."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def add(self, traces: Traces) -> None:
        from traceq.codec.json_writers import encode_otlp_trace

        for position in range(len(traces)):
            if traces.rows(position):
                self._write(encode_otlp_trace(traces, position) + b"\n")

    def close(self) -> None:
        """Do nothing: every line is whole."""


class _Documents:
    """Writes Jaeger JSON, one document with all traces."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._separator = b'{"data":[\n'

    def add(self, traces: Traces) -> None:
        from traceq.codec.json_writers import encode_trace

        for position in range(len(traces)):
            self._write(self._separator + encode_trace(traces, position))
            self._separator = b",\n"

    def close(self) -> None:
        """Write the end of the document."""
        self._write((b"" if self._separator == b",\n" else self._separator) + b"\n]}\n")


def _write(found: Input, writer: _Writer, target: Target, listener: ProgressListener) -> _Written:
    from traceq.codec.json_writers import lost

    written = _Written(notes=found.notes)
    total = sum(piece.trace_count for piece in found.slices)
    for piece in found.slices:
        for table in piece.tables(with_details=True):
            writer.add(table)
            written.trace_count += len(table)
            written.span_count += table.span_count
            written.warnings += sum_warnings(table.warnings)
            written.lost += lost(table, target)
            listener(Progress("writing traces", written.trace_count, total, written.trace_count))
    if found.calls and target != "parquet":
        written.lost["calls of dependency tables are left out"] += len(found.calls)
    return written


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
    for what, count in sorted(written.lost.items()):
        tell("warning", f"{what}: {count:,}")
    counts = f"{plural(written.trace_count, 'trace')}, {plural(written.span_count, 'span')}"
    took = format_size(sum(path.stat().st_size for path in written.paths))
    files = f" in {plural(len(written.paths), 'file')}" if len(written.paths) > 1 else ""
    tell("note", f"wrote {counts} to {output}{files}, {took}")
