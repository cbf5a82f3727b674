"""`traceq archive`: keep traces that the server would delete some day."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from msgspec import Struct, field

from traceq.catalog import ArchivedTrace, ArchiveList
from traceq.cli.options import SourceOptions
from traceq.cli.outputs import AnswerOutputOptions
from traceq.cli.references import following, read_reference
from traceq.cli.session import emit, opened
from traceq.errors import NotFoundError, SourceError, TraceqError
from traceq.query import TraceQuery, asked_of
from traceq.sources.interface import ArchivingSource
from traceq.units import plural
from traceq.views.listings import archive_report

_NOT_ASKED = "not asked for after the failure"


class ArchiveOptions(Struct, frozen=True):
    """The options of `archive`."""

    traces: Annotated[
        list[str],
        typer.Argument(
            metavar="TRACE...",
            help="Trace ids, or links to Jaeger UI; `-` reads them from standard input, one a line.",
        ),
    ]
    source: SourceOptions = field(default_factory=SourceOptions)
    output: AnswerOutputOptions = field(default_factory=AnswerOutputOptions)


def archive(options: ArchiveOptions) -> None:
    """Have the server keep traces for longer, in its archive storage.

    Searches do not find what only the archive has: note the ids. `traceq show` finds archived traces by their ids, and
    so does Jaeger UI. Archiving a trace twice is of no use, and some storages then hold its spans twice.

    Examples:
      traceq archive 5b8aa5a2d2c872e8321cf37308d69df2

      traceq archive http://localhost:16686/trace/5b8aa5a2d2c872e8321cf37308d69df2

      traceq search --error --format ndjson | traceq archive -
    """
    base, trace_ids = _wanted(options.traces)
    with opened(following(base, options.source, options.output), options.output) as source:
        if not isinstance(source, ArchivingSource):
            raise typer.BadParameter("files keep their traces: name a server", param_hint="--source")
        traces, failure = _archived(source, trace_ids)
    if failure is not None and len(traces) == 1:
        raise failure
    asked = asked_of(source, TraceQuery())
    emit(archive_report(ArchiveList(traces), asked), asked, options.output)
    if failure is not None:
        raise failure


def _wanted(words: Iterable[str]) -> tuple[str, list[str]]:
    """Give the server that links lead to, empty if there are no links, and the ids, each once.

    Raises:
        typer.BadParameter: If there is no id, or links lead to several servers.
    """
    bases: dict[str, None] = {}
    trace_ids: dict[str, None] = {}
    for word in _given(words):
        reference = read_reference(word, "TRACE")
        if reference.location:
            bases[reference.location] = None
        trace_ids[reference.trace_id] = None
    if len(bases) > 1:
        raise typer.BadParameter("one server at a time: these links lead to several", param_hint="TRACE")
    if not trace_ids:
        raise typer.BadParameter("standard input names no trace", param_hint="TRACE")
    return next(iter(bases), ""), list(trace_ids)


def _given(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        if word == "-":
            yield from (_id_in(line.strip()) for line in sys.stdin if line.strip())
        else:
            yield word


def _id_in(line: str) -> str:
    """Take the id from a line: it may be a record of `traceq search --format ndjson`."""
    if not line.startswith("{"):
        return line
    try:
        record = json.loads(line)
    except ValueError:
        record = {}
    if not isinstance(record.get("trace_id"), str):
        raise typer.BadParameter("a record on standard input has no trace_id", param_hint="TRACE")
    return str(record["trace_id"])


def _archived(source: ArchivingSource, trace_ids: list[str]) -> tuple[tuple[ArchivedTrace, ...], TraceqError | None]:
    """Archive one trace after the other; when the server fails, the answer still tells which are archived.

    Raises:
        SourceError: If it fails over the first one.
    """
    done: list[ArchivedTrace] = []
    missing: list[NotFoundError] = []
    for trace_id in trace_ids:
        try:
            source.archive(trace_id)
        except NotFoundError as error:
            missing.append(error)
            done.append(ArchivedTrace(trace_id, "not found"))
        except SourceError as error:
            if not done:
                raise
            done.append(ArchivedTrace(trace_id, error.message))
            done += [ArchivedTrace(later, _NOT_ASKED) for later in trace_ids[len(done) :]]
            return tuple(done), error
        else:
            done.append(ArchivedTrace(trace_id))
    return tuple(done), _not_found(missing)


def _not_found(missing: list[NotFoundError]) -> NotFoundError | None:
    if len(missing) < 2:
        return missing[0] if missing else None
    return NotFoundError(f"{plural(len(missing), 'trace')} not found; {missing[0].message}", hint=missing[0].advice)
