"""`traceq search`: which requests there were, and which were slow."""

from __future__ import annotations

from typing import Annotated, get_args

import typer
from msgspec import Struct, field, structs

from traceq.catalog import AnyOrder, Order, TraceList
from traceq.cli.options import FilterOptions, ServiceOptions, SourceOptions
from traceq.cli.outputs import AnswerOutputOptions
from traceq.cli.session import chosen_format, emit, opened, timed
from traceq.query import Asked, TraceQuery, asked_of, cut_off_line
from traceq.remarks import sum_warnings
from traceq.sources.interface import FoundSummaries, Source
from traceq.views.listings import traces_report

_DEFAULT_LIMIT = 20
"""As in Jaeger UI."""
_SORT_HELP = f"Order of the traces, as in Jaeger UI: {', '.join(get_args(Order))}."


class SearchOptions(Struct, frozen=True):
    """The options of `search`."""

    service: ServiceOptions = field(default_factory=ServiceOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    sort: Annotated[Order, typer.Option(metavar="ORDER", help=_SORT_HELP)] = "recent"
    slowest: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="The slowest N traces of the whole window, however many requests to the server that takes: of a "
            "service by its response time, otherwise, or with --sort longest, by how long the trace took.",
        ),
    ] = None
    source: SourceOptions = field(default_factory=SourceOptions)
    output: AnswerOutputOptions = field(default_factory=AnswerOutputOptions)


def search(options: SearchOptions) -> None:
    """Find traces of one service, or of all services at once.

    Each trace is one line: its root, when it started, how long it took, how many spans it has, and their services.

    Examples:
      traceq search --min-duration 500ms

      traceq search chat-service --tag user_id=123 --lookback 2h

      traceq search --error --sort longest --format ndjson

      traceq search --slowest 5 --lookback 1d

      traceq search --where 'http.status_code >= 500 and not user_id exists'
    """
    answer, asked = listed(options)
    # A document is read later.
    asked = timed(asked) if chosen_format(options.output) == "text" else asked
    emit(traces_report(answer, asked), asked, options.output)


def listed(options: SearchOptions) -> tuple[TraceList, Asked]:
    """Find what was asked for, with what there is to say about it."""
    with opened(options.source, options.output) as source:
        query = options.filters.query(options.service.name, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
        by_response = options.slowest is not None and query.service is not None and options.sort != "longest"
        found = _find(source, query, options.slowest, by_response=by_response)
        reasons = () if found.summaries else _why_nothing(source, query)
    notes = found.notes + reasons + ((cut_off_line(query.limit),) if found.is_cut_off else ())
    if by_response:
        notes += ("ordered by response time; traces that last longer, as where a message waits: --sort longest",)
    about = asked_of(source, query, sum_warnings(found.warnings))
    asked = structs.replace(about, notes=notes, is_cut_off=found.is_cut_off, is_partial=found.is_partial)
    order: AnyOrder = options.sort
    if options.slowest is not None and order == "recent":
        order = "slowest" if by_response else "longest"
    return TraceList.of(found.summaries, order, found.service_count), asked


def _find(source: Source, query: TraceQuery, slowest: int | None, *, by_response: bool) -> FoundSummaries:
    if slowest is None:
        return source.summaries(query)
    from traceq.sources.slowest import find_slowest, slowest_responses

    return slowest_responses(source, query, slowest) if by_response else find_slowest(source.summaries, query, slowest)


def _why_nothing(source: Source, query: TraceQuery) -> tuple[str, ...]:
    # Late: the engine is for other commands.
    from traceq.engine import why_nothing

    return why_nothing(source, query)
