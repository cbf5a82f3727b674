"""What every command does before and after its work: open the source, show progress, write the answer whole or not."""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, get_args

import typer
from msgspec.structs import replace

from traceq.cli.messages import progress_line, tell_remarks
from traceq.cli.options import RequestsOptions, SourceOptions
from traceq.cli.outputs import (
    AnswerOutputOptions,
    AskingOptions,
    OutputOptions,
    TracesOutputOptions,
    limited,
    records_with,
    with_fields,
    with_links,
)
from traceq.cli.terminal import columns, is_terminal, standard_output, write_text
from traceq.query import Asked, OneTrace, Wanted, asked_of
from traceq.remarks import sum_warnings, warning_lines
from traceq.render import (
    BUILD_FORMATS,
    FLAME_FORMATS,
    GRAPH_FORMATS,
    AnswerFormat,
    Format,
    Imprint,
    TracesFormat,
    endings_of,
    format_of,
    is_drawing,
)
from traceq.report import Report
from traceq.sources import open_source
from traceq.sources.bodies import unpacked_name
from traceq.sources.interface import Source
from traceq.traces import Traces
from traceq.units import format_time
from traceq.writing import replacing

if TYPE_CHECKING:
    from traceq.analysis.grouping import Sums
    from traceq.engine import RankedQuestion

_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]*")
"""What tells a format, unlike the last part of a date or a version."""
_FIELDED: frozenset[Format] = frozenset(("json", "ndjson", "csv"))
"""The formats of which some keys can be asked for."""

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
    question: RankedQuestion[_Sums, _Answer_co],
    options: AskingOptions,
    service: str | None,
    trace: str | None = None,
    *,
    requests: RequestsOptions | None = None,
) -> tuple[_Answer_co, Asked]:
    """Put a question to the traces that options select: one by its id, or all that meet the conditions.

    Args:
        question: The question.
        options: Which traces.
        service: Of the matching span, and of one trace whose requests are looked at.
        trace: The id of one trace.
        requests: Where the question is about requests, as for `FilterOptions.query`.
    """
    # Late: commands that only list need no engine.
    from traceq.cli.references import located
    from traceq.engine import ask

    place = None if trace is None else located(trace, options.source, options.output)
    with opened(options.source if place is None else place.source, options.output) as source:
        wanted: Wanted = OneTrace(place.trace_id if place else "", service)
        if place is None:
            wanted = options.filters.query(service, is_live=source.is_live, requests=requests)
        reply = ask(source, wanted, question, options.workers.workers)
    return question.rank(reply.sums), reply.asked


def found_trace(source: Source, trace_id: str, service: str | None = None) -> tuple[Traces, Asked]:
    """Get one trace by its id, as a table, with what there is to say about it."""
    traces = source.trace(trace_id)
    asked = asked_of(source, OneTrace(traces.trace_ids[0], service), sum_warnings(traces.warnings))
    return traces, timed(replace(asked, notes=source.remarks().notes))


def timed(asked: Asked) -> Asked:
    """Note when a server was asked: what it has is so long ago; files may be of any age."""
    return replace(asked, asked_ns=time.time_ns()) if asked.is_live else asked


def chosen_format(options: OutputOptions) -> Format:
    """Give the format: as asked, else by the output file's suffix, else text."""
    if options.format is not None:
        return options.format
    return format_of(Path(options.output or "").name) or "text"


def check_output(options: OutputOptions) -> None:
    """Refuse an output that cannot be written before anything long is done.

    Raises:
        typer.BadParameter: If the format is one for graphs, or the file's folder does not exist or cannot be written
            to, or it is a folder itself.
    """
    chosen = chosen_format(options)
    refuse_drawing(chosen, options.drawings)
    if options.chosen_fields and chosen not in _FIELDED:
        raise typer.BadParameter(f"{chosen} has no fields, json, ndjson and csv have", param_hint="--fields")
    if options.output in (None, "-"):
        return
    path = Path(options.output or "")
    _check_ending(path, options)
    if path.is_dir():
        raise typer.BadParameter(f"'{path}' is a directory", param_hint="--output")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no directory '{path.parent}'", param_hint="--output")
    if not os.access(path.parent, os.W_OK) and not _is_special(path):
        raise typer.BadParameter(f"cannot write to the directory '{path.parent}'", param_hint="--output")


def _check_ending(path: Path, options: OutputOptions) -> None:
    """Refuse a name that promises a format which is not written: nobody wants text in `answer.pdf`.

    Raises:
        typer.BadParameter: If it ends like the name of another format, and none was asked for.
    """
    of_traces = isinstance(options, TracesOutputOptions)
    name = Path(unpacked_name(path.name)[0] or "") if of_traces else path
    if options.format is not None or format_of(name.name) or not _ENDING.fullmatch(name.suffix) or _is_special(path):
        return
    known = endings_of(get_args(TracesFormat) if of_traces else {*get_args(AnswerFormat), *options.drawings})
    raise typer.BadParameter(
        f"'{path.name}' ends like no format: end it in {known}, or write --format", param_hint="--output"
    )


def refuse_drawing(chosen: Format, allowed: Collection[Format]) -> None:
    """Refuse a format that only graphs, flame graphs, checks or findings can be written in.

    Raises:
        typer.BadParameter: If it is one, and not one of those allowed.
    """
    if chosen in GRAPH_FORMATS - set(allowed):
        raise typer.BadParameter(f"{chosen} is for graphs: `traceq deps` draws one", param_hint="--format")
    if chosen in FLAME_FORMATS - set(allowed):
        raise typer.BadParameter(f"{chosen} is for flame graphs: `traceq flame` draws one", param_hint="--format")
    if chosen in BUILD_FORMATS - set(allowed):
        told = {"junit": "`traceq check`", "sarif": "`traceq findings`"}.get(chosen, "`traceq check` and `findings`")
        raise typer.BadParameter(f"{chosen} is not for this answer, but for {told}", param_hint="--format")


def emit(
    report: Report, asked: Asked, options: OutputOptions, *, top: int | None = None, is_ascii: bool = False
) -> None:
    """Write an answer to standard output or a file, and what there is to say besides to standard error.

    Args:
        report: The answer.
        asked: What was asked, and how it was answered.
        options: Where to, and how.
        top: How many items of its list machine formats are to give; None for all.
        is_ascii: Whether text is to be ASCII even where the terminal can do more.

    Raises:
        typer.BadParameter: If the format is one for graphs and the answer is none, or the file cannot be written.
    """
    chosen = chosen_format(options)
    # Whatever the command draws elsewhere: this answer may be no graph.
    refuse_drawing(chosen, options.drawings - (GRAPH_FORMATS if report.graph is None else frozenset()))
    if isinstance(options, AnswerOutputOptions) and options.link is not None:
        report = with_links(report, options.link)
    with destination(options.output) as out:
        if chosen == "text":
            write_text(report, out, options, is_ascii=is_ascii)
        else:
            report = limited(report, top)
            out.write(_rendered(report, asked, chosen, options).encode("utf-8", "backslashreplace"))
    if not options.quiet:
        tell_remarks(asked.notes, asked.warnings)


def _rendered(report: Report, asked: Asked, chosen: Format, options: OutputOptions) -> str:
    if chosen in _FIELDED:
        return _for_programs(report, asked, chosen, options)
    if chosen == "html":
        from traceq.render.page import render_page

        return render_page(report, imprint(report, asked))
    if chosen == "markdown":
        from traceq.render.markdown import render_markdown

        return render_markdown(report, imprint(report, asked))
    match chosen:
        case "svg":
            return _picture(report)
        case "folded" | "speedscope" | "perfetto" | "chrome":
            from traceq.render.flame_files import render_flame

            return render_flame(report, chosen, imprint(report, asked).title)
        case "junit" | "github" | "sarif":
            from traceq.render.builds import render_for_builds

            return render_for_builds(report, chosen, asked.location)
    if report.graph is not None and is_drawing(chosen):
        from traceq.render.drawings import render_drawing

        return render_drawing(report.graph, chosen)
    raise ValueError(f"{chosen} is not written like this")


def _for_programs(report: Report, asked: Asked, chosen: Format, options: OutputOptions) -> str:
    """Write a document or records, with the keys that were asked for."""
    fields = options.chosen_fields
    if chosen == "json":
        from traceq.render.records import render_json

        document: Mapping[str, object] = {**asked.head(report.command), **report.document}
        if fields:
            document = with_fields(document, report.main, fields)
        # People read it on a terminal, programs everywhere else.
        return render_json(document, 2 if options.output in (None, "-") and is_terminal() else None)
    records = records_with(report.records, report.main, fields) if fields else report.records
    if chosen == "ndjson":
        from traceq.render.records import render_ndjson

        return render_ndjson(records)
    from traceq.render.records import render_csv

    return render_csv(records)


def _picture(report: Report) -> str:
    """Draw a graph as one, and every other answer as a terminal shows it."""
    if report.graph is not None:
        from traceq.render.hues import hues_of
        from traceq.render.svg import render_svg

        return render_svg(report.graph, hues_of(report))
    from traceq.render.terminal.picture import render_picture

    return render_picture(report, columns())


_SUBJECTS = {
    "bottlenecks": "Bottlenecks",
    "check": "Checks",
    "compare": "Comparison",
    "errors": "Errors",
    "findings": "Findings",
    "flame": "Call paths",
    "operations": "Operations",
    "search": "Traces",
    "services": "Services",
    "stats": "Spans",
}
"""What commands show, for readers who never typed one."""


def _title(command: str, asked: Asked) -> str:
    """Say what an answer is about: what was asked, of which service and trace."""
    query, subject = asked.query, _SUBJECTS.get(command, command)
    whose = [str(query["service"])] if "service" in query else []
    if "trace_id" in query:
        trace = f"trace {query['trace_id']}"
        if "span_id" in query:
            return f"Span {query['span_id']} of {trace}"
        if command == "show":
            return trace.capitalize()
        whose.append(trace)
    return f"{subject} of {', '.join(whose)}" if whose else subject


def imprint(report: Report, asked: Asked) -> Imprint:
    """Say what a document has to say of itself, since it is read elsewhere and later."""
    zone = time.strftime("%Z")
    return Imprint(
        title=report.title or _title(report.command, asked),
        source=asked.location,
        window=asked.window,
        written=f"{format_time(time.time_ns())[: len('2026-11-22 14:03')]} {zone}, times in {zone}",
        remarks=(*asked.notes, *warning_lines(asked.warnings)),
    )


@contextmanager
def destination(path: str | None) -> Iterator[BinaryIO]:
    """Open standard output, or a file that appears under its name only when everything is written.

    Raises:
        typer.BadParameter: If the file cannot be written.
    """
    if path in (None, "-"):
        with standard_output() as out:
            yield out
        return
    target = Path(path or "")
    with failures_told(target):
        if _is_special(target):
            with target.open("wb") as out:
                yield out
        else:
            with replacing(target) as out:
                yield out


@contextmanager
def failures_told(target: Path) -> Iterator[None]:
    """Turn a file or directory that cannot be written into a usage error.

    Raises:
        typer.BadParameter: If the system refuses to write.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise typer.BadParameter(f"cannot write '{target}': {reason}", param_hint="--output") from error


def _is_special(path: Path) -> bool:
    """Tell pipes and devices, which have to be written in place."""
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)
