"""`traceq show`: one trace, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct, field, structs

from traceq.cli.options import DURATION, MeasureOption, SkewOption, SourceOptions
from traceq.cli.outputs import AnswerOutputOptions
from traceq.cli.references import located, span_id_in
from traceq.cli.session import chosen_format, emit, found_trace, opened
from traceq.errors import Hint, NotFoundError
from traceq.query import Asked
from traceq.report import Report
from traceq.traces import Traces

if TYPE_CHECKING:
    from traceq.analysis.culprits import Wanted
    from traceq.analysis.one_trace import FoundSpans


class ShowOptions(Struct, frozen=True):
    """Of `show`."""

    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE",
            help="A trace id in any form, in files also its first digits; a link; a file of one trace.",
        ),
    ]
    span: Annotated[
        str | None, typer.Option("--span", metavar="ID", help="Show everything about one span instead of the tree.")
    ] = None
    attributes: Annotated[bool, typer.Option("--attributes", help="Show attributes below each span.")] = False
    events: Annotated[bool, typer.Option("--events", help="Show events below each span.")] = False
    links: Annotated[bool, typer.Option("--links", help="Show links below each span.")] = False
    depth: Annotated[int | None, typer.Option(min=0, metavar="N", help="Most levels to draw below the root.")] = None
    errors: Annotated[bool, typer.Option("--errors", help="Only failed spans and the calls that lead to them.")] = False
    min_span_duration: Annotated[
        int | None,
        typer.Option(help="Shortest span to draw; its callers are drawn, too.", **DURATION),
    ] = None
    find: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Only spans that contain this in a name, service, attribute (key=value) or event, and their callers.",
        ),
    ] = None
    path: Annotated[bool, typer.Option("--path", help="Only spans that hold the critical path.")] = False
    subtree: Annotated[
        str | None, typer.Option("--subtree", metavar="SPAN", help="Only this span and what it calls.")
    ] = None
    no_fold: Annotated[bool, typer.Option("--no-fold", help="Draw every span on a row of its own.")] = False
    everything: Annotated[
        bool, typer.Option("--all", help="Draw every row; of more than 100 only those are drawn that tell most.")
    ] = False
    ids: Annotated[bool, typer.Option("--ids", help="Show the id of each row's span, the first one of a fold.")] = False
    by: MeasureOption = "critical-time"
    no_skew_correction: SkewOption = False
    source: SourceOptions = field(default_factory=SourceOptions)
    output: AnswerOutputOptions = field(default_factory=AnswerOutputOptions)


def show(options: ShowOptions) -> None:
    """Draw a trace: its span tree with times, the critical path, errors, and what held it up.

    Thick bars show the critical path: the intervals that made the trace as long as it was. Dotted bars show work that
    no caller waited for.

    Examples:
      traceq show 5b8aa5a2d2c872e8321cf37308d69df2

      traceq show http://localhost:16686/trace/5b8aa5a2d2c872e8321cf37308d69df2

      traceq show 5b8aa5a2 --source traces.json --errors --attributes

      traceq show 5b8aa5a2 --source traces.json --span 0f3b2a1c4d5e6f70

      traceq show 5b8aa5a2 --source traces.json --find http.status_code=500
    """
    place = located(options.trace, options.source, options.output, "TRACE")
    with opened(place.source, options.output) as source:
        traces, asked = found_trace(source, place.trace_id)
    linked = place.reference
    span_id = span_id_in(options.span, "--span") if options.span else linked.span_id
    sought = linked.find or None if options.find is None else options.find
    options = options if span_id else structs.replace(options, find=sought)
    if span_id:
        asked = structs.replace(asked, query={**asked.query, "span_id": span_id})
    if options.span and (options.find or options.path or options.subtree):
        raise typer.BadParameter("it shows one span, --find, --path and --subtree show some", param_hint="--span")
    chosen = {"find": options.find, "path": options.path or None, "subtree": options.subtree}
    asked = structs.replace(
        asked, query={**asked.query, **{key: value for key, value in chosen.items() if value is not None}}
    )
    report = _span(traces, span_id, asked) if span_id else _tree(traces, options, asked)
    emit(report, asked, options.output)


def _tree(traces: Traces, options: ShowOptions, asked: Asked) -> Report:
    # Late: these need numpy, and options are imported for --help.
    from traceq.analysis.one_trace import Details, examine_trace
    from traceq.analysis.requests import RequestOptions
    from traceq.views.show import Shown, report

    requests = RequestOptions(measure=options.by, correct_skew=not options.no_skew_correction)
    # A page folds by itself, and has room for everything.
    is_page = chosen_format(options.output) == "html"
    details = Details(options.attributes, options.events, options.links, whole=is_page)
    shown = Shown(
        max_depth=options.depth,
        errors_only=options.errors,
        min_span_ns=options.min_span_duration or 0,
        folds=not (options.no_fold or is_page),
        is_abridged=not (is_page or _asks_for_part(options)),
        has_ids=options.ids,
    )
    return report(examine_trace(traces, requests, details, _wanted(traces, options, asked)), asked, shown)


def _asks_for_part(options: ShowOptions) -> bool:
    """Tell whether somebody said what is to be drawn."""
    limits = (options.depth, options.min_span_duration, options.find, options.subtree)
    return options.everything or options.errors or options.path or any(limit is not None for limit in limits)


def _wanted(traces: Traces, options: ShowOptions, asked: Asked) -> Wanted:
    from traceq.analysis.culprits import Wanted

    if options.find is not None and not options.find:
        raise typer.BadParameter("there is nothing to find: the text is empty", param_hint="--find")
    root = None
    if options.subtree is not None:
        found = _found_spans(traces, span_id_in(options.subtree, "--subtree"), asked).spans
        rows = {span.row for span in found}
        # Of a client and a server that share an id the client calls the server.
        root = next(span.row for span in found if traces.parents[span.row] not in rows)
    return Wanted(options.find, options.path, root)


def _span(traces: Traces, span_id: str, asked: Asked) -> Report:
    from traceq.views.show import span_report

    return span_report(_found_spans(traces, span_id, asked), asked)


def _found_spans(traces: Traces, span_id: str, asked: Asked) -> FoundSpans:
    """Find the spans with an id.

    Raises:
        NotFoundError: If there are none.
    """
    from traceq.analysis.one_trace import find_spans

    found = find_spans(traces, span_id)
    if not found.spans:
        command = asked.command("show", traces.trace_ids[0], "--format", "csv")
        raise NotFoundError(
            f"no span '{span_id}' in trace {traces.trace_ids[0]}",
            hint=Hint((command, f" lists all {traces.span_count}")),
        )
    return found
