"""`traceq show`: one trace, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from traceq.cli.options import MeasureOption, OutputOptions, SkewOption, SourceOptions, duration
from traceq.cli.output import emit
from traceq.cli.session import opened
from traceq.engine import OneTrace, asked_of, sum_warnings, with_warnings
from traceq.errors import NotFoundError
from traceq.report import Column, Fields, Line, Part, Report, Table, Unit, Value, document
from traceq.semantics import Attributes, AttributeValue, value_text
from traceq.sources import is_url
from traceq.sources.interface import Source
from traceq.summary import TraceSummary, summarize
from traceq.traces import Span, Traces, normal_id
from traceq.units import format_duration, format_time, plural
from traceq.views.finding_lines import finding_lines

if TYPE_CHECKING:
    from traceq.analysis.culprits import Examined
    from traceq.analysis.findings import Findings
    from traceq.views.waterfall import Waterfall, WaterfallOptions

_SHOWN_FINDINGS = 5


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """Of `show`."""

    trace: Annotated[
        str,
        typer.Argument(metavar="TRACE", help="A trace id, a link to Jaeger UI, or in files the beginning of an id."),
    ]
    span: Annotated[
        str | None, typer.Option("--span", metavar="ID", help="Everything about one span instead of the tree.")
    ] = None
    attributes: Annotated[bool, typer.Option("--attributes", help="Attributes below each span.")] = False
    events: Annotated[bool, typer.Option("--events", help="Events below each span.")] = False
    links: Annotated[bool, typer.Option("--links", help="Links below each span.")] = False
    depth: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only so many levels below the root.")] = None
    errors: Annotated[bool, typer.Option("--errors", help="Only failed spans and what leads to them.")] = False
    min_span_duration: Annotated[
        int | None,
        typer.Option(parser=duration, metavar="DURATION", help="Only spans that lasted so long, and their ancestors."),
    ] = None
    no_fold: Annotated[bool, typer.Option("--no-fold", help="A row for every span, alike or not.")] = False
    by: MeasureOption = "critical-time"
    no_skew_correction: SkewOption = False
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def waterfall(self) -> WaterfallOptions:
        """Give what of the trace is to be shown."""
        from traceq.views.waterfall import WaterfallOptions

        return WaterfallOptions(
            max_depth=self.depth,
            errors_only=self.errors,
            min_span_ns=self.min_span_duration or 0,
            folds=not self.no_fold,
            with_attributes=self.attributes,
            with_events=self.events,
            with_links=self.links,
            measure=self.by,
        )


def show(options: ShowOptions) -> None:
    """Draw a trace: its span tree with times, the critical path, errors, and what held it up.

    Thick bars are on the critical path: the stretches that made the trace as long as it was. Dotted ones nobody waited
    for.

    Examples:
      traceq show 5b8aa5a2d2c872e8321cf37308d69df2

      traceq show http://localhost:16686/trace/5b8aa5a2d2c872e8321cf37308d69df2

      traceq show 5b8aa5a2 --source traces.json --errors --attributes

      traceq show 5b8aa5a2 --source traces.json --span 0f3b2a1c4d5e6f70
    """
    location, trace_id, span_id = _target(options)
    with opened(replace(options.source, source=location), options.output) as source:
        traces = source.trace(trace_id)
    span_id = options.span or span_id
    report = _span_report(source, traces, span_id) if span_id else show_report(source, traces, options)
    asked = with_warnings(asked_of(source, OneTrace(traces.trace_ids[0])), sum_warnings(traces.warnings))
    if span_id:
        asked = replace(asked, query={**asked.query, "span_id": span_id})
    emit(report, asked, options.output)


def _target(options: ShowOptions) -> tuple[list[str] | None, str, str]:
    """Give the source, the trace and the span that were asked for; a link to Jaeger UI holds all three."""
    if not is_url(options.trace):
        return options.source.source, options.trace, ""
    address, _, query = options.trace.partition("?")
    base, found, rest = address.rpartition("/trace/")
    if not found or not rest.strip("/"):
        raise typer.BadParameter("a link to a trace ends in /trace/<id>", param_hint="TRACE")
    wanted = dict(pair.partition("=")[::2] for pair in query.split("&")).get("uiFind", "")
    span_id = wanted if len(wanted) == len("0123456789abcdef") and _is_hex(wanted) else ""
    return options.source.source or [base], rest.strip("/"), span_id


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


def show_report(source: Source, traces: Traces, options: ShowOptions) -> Report:
    """Draw the one trace of a table."""
    from traceq.analysis.culprits import CULPRIT_COLUMNS, RequestOptions, examine
    from traceq.analysis.findings import FindingQuestion, Thresholds, sum_up
    from traceq.views.waterfall import waterfall

    requests = RequestOptions(
        measure=options.by,
        correct_skew=not options.no_skew_correction,
        include_streams=True,
        with_fragments=True,
    )
    examined = examine(traces, requests)
    drawn = waterfall(examined, options.waterfall())
    findings = FindingQuestion(requests).rank(sum_up(examined, Thresholds()))
    summary = summarize(traces)[0]
    records = span_records(examined)
    found = {
        "trace": summary.to_dict(),
        "skew": {"span_count": examined.skew.span_count, "largest_shift_ns": examined.skew.largest_ns},
        "bottlenecks": [document(CULPRIT_COLUMNS, culprit) for culprit in drawn.culprits],
        "spans": _span_documents(examined, records, options),
        "findings": findings.to_dict()["findings"],
    }
    return Report(
        "show",
        found,
        records,
        (headline(summary), Line(), drawn.timeline, *_finding_blocks(findings), Line()),
        _footer(source, examined, summary, drawn),
        source.trace_url,
    )


def _finding_blocks(findings: Findings) -> list[Line]:
    """Draw what is worth a change, the costliest first."""
    shown = findings.findings[:_SHOWN_FINDINGS]
    if not shown:
        return []
    lines = [Line(), Line((Part("Findings", "strong"),))]
    return lines + finding_lines(shown, findings.sums.request_count, is_brief=True)[1:]


def headline(summary: TraceSummary) -> Line:
    """Say in one line what a trace is."""
    parts = [
        Part(summary.root_service, "service"),
        Part(f" {summary.root_name}  ", "strong"),
        Part(f"{format_duration(summary.duration_ns)}  {format_time(summary.start_ns)}  "),
        Part(f"{plural(summary.span_count, 'span')}  {plural(len(summary.services), 'service')}"),
    ]
    if summary.error_count:
        parts.append(Part(f"  {plural(summary.error_count, 'error')}", "error"))
    if summary.orphan_count:
        parts.append(Part(f"  incomplete: {plural(summary.orphan_count, 'orphan')}", "error"))
    return Line(tuple(parts))


def _footer(source: Source, examined: Examined, summary: TraceSummary, drawn: Waterfall) -> tuple[Line, ...]:
    from traceq.views.waterfall import NOTABLE_SHIFT_RATIO

    lines = [_counts(drawn)]
    skew = examined.skew
    if skew.largest_ns > NOTABLE_SHIFT_RATIO * summary.duration_ns:
        moved = f"clocks corrected: {plural(skew.span_count, 'span')} moved by up to {format_duration(skew.largest_ns)}"
        lines.append(f"{moved}; --no-skew-correction shows them as recorded")
    if drawn.culprits and drawn.culprits[0].statement:
        lines.append(f"bottleneck ran: {drawn.culprits[0].statement}")
    where = source.trace_url.format(trace_id=summary.trace_id) if source.trace_url else source.location
    lines.append(f"trace {summary.trace_id} ({where})")
    return tuple(Line((Part(text, "dim"),)) for text in lines if text)


def _counts(drawn: Waterfall) -> str:
    if not drawn.hidden_count and not drawn.folded_count:
        return ""
    parts = [f"{plural(drawn.span_count, 'span')} in {plural(len(drawn.timeline.rows), 'row')}"]
    if drawn.folded_count:
        parts.append(f"{plural(drawn.folded_count, 'span')} folded into rows like them, --no-fold shows each")
    if drawn.hidden_count:
        parts.append(f"{plural(drawn.hidden_count, 'span')} not shown, as asked")
    return ": ".join((parts[0], ", ".join(parts[1:])))


def span_records(examined: Examined) -> Table:
    """Give one record a span, clocks corrected, in order of start: servers answer in any order."""
    columns: tuple[Column[Any], ...] = (
        Column("trace_id", "trace", Unit.TRACE_ID),
        Column("span_id", "span"),
        Column("parent_id", "parent"),
        Column("service", "service", Unit.SERVICE),
        Column("operation", "operation"),
        Column("kind", "kind"),
        Column("status", "status"),
        Column("start_ns", "start", Unit.TIME),
        Column("duration_ns", "duration", Unit.DURATION),
        Column("self_ns", "self", Unit.DURATION),
        Column("critical_ns", "critical", Unit.DURATION),
        Column("own_critical_ns", "own critical", Unit.DURATION),
        Column("network_ns", "network", Unit.DURATION),
        Column("shift_ns", "shift", Unit.DURATION),
        Column("peer", "peer"),
    )
    return Table(columns, tuple(_span_record(examined, row) for row in rows_by_start(examined)))


def rows_by_start(examined: Examined) -> list[int]:
    """Give the rows in order of corrected start, then of span id."""
    starts = examined.spans.start_ns.tolist()
    return sorted(range(len(starts)), key=lambda row: (starts[row], examined.spans.traces.span_ids[row], row))


def _span_record(examined: Examined, row: int) -> tuple[Value, ...]:
    span = examined.spans.traces.span(row)
    return (
        span.trace_id,
        span.span_id,
        span.parent_id,
        span.service,
        span.name,
        span.kind.name.lower(),
        span.status.name.lower(),
        int(examined.spans.start_ns[row]),
        span.duration_ns,
        int(examined.self_ns[row]),
        int(examined.charged_ns[row]),
        int(examined.paths.own_ns[row]),
        int(examined.network_ns[row]),
        int(examined.skew.shift_ns[row]),
        None if span.peer is None else span.peer.label,
    )


def _span_documents(examined: Examined, records: Table, options: ShowOptions) -> list[dict[str, object]]:
    """Give each record as a document, with the details that were asked for."""
    keys = [column.key for column in records.columns]
    traces = examined.spans.traces
    return [
        dict[str, object](zip(keys, record, strict=True)) | _asked_details(traces.span(row), options)
        for row, record in zip(rows_by_start(examined), records.rows, strict=True)
    ]


def _asked_details(span: Span, options: ShowOptions) -> dict[str, object]:
    found: dict[str, object] = {}
    if options.attributes:
        found["attributes"] = _json_attributes(span.details.attributes())
    if options.events:
        found["events"] = _json_events(span)
    if options.links:
        found["links"] = _json_links(span)
    return found


def _json_attributes(attributes: Attributes) -> dict[str, object]:
    return {key: _json_value(value) for key, value in sorted(attributes.items())}


def _json_value(value: AttributeValue) -> object:
    return value_text(value) if isinstance(value, bytes) else value


def _json_events(span: Span) -> list[dict[str, object]]:
    return [
        {"time_ns": event.time_ns, "name": event.name, "attributes": _json_attributes(event.attributes)}
        for event in span.details.events()
    ]


def _json_links(span: Span) -> list[dict[str, object]]:
    return [{"trace_id": link.trace_id, "span_id": link.span_id} for link in span.details.links()]


def _span_report(source: Source, traces: Traces, span_id: str) -> Report:
    rows = _rows_of(traces, span_id)
    if not rows:
        raise NotFoundError(
            f"no span '{span_id}' in trace {traces.trace_ids[0]}",
            hint=f"`traceq show {traces.trace_ids[0]} --format csv` lists all {traces.span_count}",
        )
    spans = [traces.span(row) for row in rows]
    columns: tuple[Column[Any], ...] = (Column("key", "key"), Column("value", "value"))
    records = tuple(pair for span in spans for pair in _pairs(span))
    blocks = [block for span in spans for block in (Line((Part(span.name, "strong"),)), Fields(tuple(_pairs(span))))]
    document = {"spans": [_span_document(span) for span in spans]}
    return Report("show", document, Table(columns, records), tuple(blocks), (), source.trace_url)


def _rows_of(traces: Traces, span_id: str) -> Sequence[int]:
    """Find a span by its id, however padded, else by a beginning of it that is unique."""
    wanted = span_id.lower()
    known = enumerate(traces.span_ids)
    same = [row for row, known_id in known if normal_id(known_id) == normal_id(wanted)]
    begun = [row for row, known_id in enumerate(traces.span_ids) if known_id.startswith(wanted)]
    return same or (begun if len(begun) == 1 else [])


def _pairs(span: Span) -> list[tuple[str, str]]:
    details = span.details
    pairs = [
        ("span", span.span_id),
        ("trace", span.trace_id),
        ("parent", (span.parent_id or "none") + (" (missing)" if span.is_orphan else "")),
        ("service", span.service),
        ("operation", span.name),
        ("kind", span.kind.name.lower()),
        ("status", span.status.name.lower()),
        ("start", format_time(span.start_ns)),
        ("duration", format_duration(span.duration_ns)),
    ]
    if span.peer is not None:
        pairs.append(("peer", span.peer.label))
    pairs += [(f"attribute {key}", value_text(value)) for key, value in sorted(details.attributes().items())]
    pairs += [(f"resource {key}", value_text(value)) for key, value in sorted(details.resource().items())]
    for event in details.events():
        fields = " ".join(f"{key}={value_text(value)}" for key, value in event.attributes.items())
        pairs.append((f"event +{format_duration(event.time_ns - span.start_ns)}", f"{event.name} {fields}".strip()))
    pairs += [("link", f"trace {link.trace_id} span {link.span_id}") for link in details.links()]
    pairs += [("warning", text) for text in dict.fromkeys(details.warnings())]
    return pairs


def _span_document(span: Span) -> dict[str, object]:
    return {
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "service": span.service,
        "operation": span.name,
        "kind": span.kind.name.lower(),
        "status": span.status.name.lower(),
        "start_ns": span.start_ns,
        "duration_ns": span.duration_ns,
        "peer": None if span.peer is None else span.peer.label,
        "attributes": _json_attributes(span.details.attributes()),
        "resource": _json_attributes(span.details.resource()),
        "events": _json_events(span),
        "links": _json_links(span),
        "warnings": list(dict.fromkeys(span.details.warnings())),
    }
