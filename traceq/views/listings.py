"""What commands that only list show: traces in a line each, services, operations."""

from __future__ import annotations

from collections.abc import Sized

from msgspec.structs import replace

from traceq.answer import report_of
from traceq.catalog import (
    ARCHIVED_COLUMNS,
    SUMMARY_COLUMNS,
    ArchivedTrace,
    ArchiveList,
    OperationList,
    ServiceList,
    TraceList,
    TraceSummary,
    summarize,
)
from traceq.query import NOT_ASKED, Asked
from traceq.report import Column, Line, Part, Report, Table, Unit, picked, table
from traceq.traces import Traces
from traceq.units import format_age, format_duration, plural
from traceq.views.wording import answer_line, dim, hint, next_line, nothing_found, reported, strong

_ORDER_TEXTS = {"recent": "newest first", "oldest": "oldest first", "name": "by name", "name-desc": "by name, Z to A"}


@report_of.register
def traces_report(answer: TraceList, asked: Asked = NOT_ASKED) -> Report:
    """Show traces, a line each."""
    told = plural(len(answer.summaries), "trace")
    told += f" from {plural(answer.service_count, 'service')}" if answer.service_count else ""
    order = _ORDER_TEXTS.get(answer.order, f"{answer.order.replace('-', ' ')} first")
    if answer.order == "slowest":
        order = f"slowest response of {asked.query.get('service', 'the service')} first"
    # Which ones a limit leaves out depends on the order: only the newest are said to be that.
    if asked.is_cut_off and answer.order == "recent":
        told, order = f"Only the newest {told}", ""
    told = ", ".join(text for text in (told, asked.window, order) if text)
    footer = [dim(asked.location)] if asked.location else []
    if not answer.summaries:
        return reported("search", answer, asked, (hint(nothing_found(asked, "traces")),), footer)
    slowest = max(answer.summaries, key=lambda summary: (summary.duration_ns, summary.trace_id))
    failed = sum(summary.error_count > 0 for summary in answer.summaries)
    parts = [Part(told, "strong"), Part(f": the longest took {format_duration(slowest.duration_ns)}")]
    parts += [Part(f", {failed} with errors", "error")] if failed else []
    first = answer_line(parts, replace(asked, is_cut_off=False))
    footer.append(next_line(asked, "show", slowest.trace_id))
    return reported(
        "search", answer, asked, (first, _table(answer.summaries, asked, by_response=answer.order == "slowest")), footer
    )


@report_of.register
def report_of_traces(traces: Traces, asked: Asked = NOT_ASKED) -> Report:
    """Show what a span table holds, as if it had been searched for."""
    return traces_report(TraceList.of(summarize(traces)), asked)


def _table(summaries: tuple[TraceSummary, ...], asked: Asked, *, by_response: bool) -> Table:
    trace, start, duration, response, spans, errors = picked(
        SUMMARY_COLUMNS, "trace_id", "start_ns", "duration_ns", "response_ns", "span_count", "error_count"
    )
    lengths = {summary: (summary.response_ns or 0) if by_response else summary.duration_ns for summary in summaries}
    longest_ns = max(lengths.values()) or 1
    columns = (
        trace,
        Column[TraceSummary]("root", "root", value=_root, can_shrink=True),
        start,
        *((_age(asked.asked_ns),) if asked.asked_ns is not None else ()),
        *((response,) if by_response else ()),
        replace(duration, title="in all", priority=3) if by_response else duration,
        Column[TraceSummary]("bar", "", Unit.BAR, lambda summary: lengths[summary] / longest_ns, priority=3),
        replace(spans, priority=1),
        errors,
        Column[TraceSummary]("services", "services", value=_services, can_shrink=True, priority=4),
    )
    return table(columns, summaries)


def _age(asked_ns: int) -> Column[TraceSummary]:
    """Say how long ago traces began."""
    return Column("age", "", value=lambda summary: f"{format_age(asked_ns - summary.start_ns)} ago", priority=4)


def _services(summary: TraceSummary) -> str:
    return " · ".join(f"{share.name} {share.span_count}" for share in summary.services)


def _root(summary: TraceSummary) -> str:
    incomplete = " (incomplete)" if summary.orphan_count else ""
    # Servers' own summaries name no root when the only one misses its parent: the service with most spans has to do.
    service = summary.root_service or (summary.services[0].name if summary.services else "?")
    return f"{service} {summary.root_name}".strip() + incomplete


@report_of.register
def services_report(answer: ServiceList, asked: Asked = NOT_ASKED) -> Report:
    """List the services of a source."""
    found = answer.records()
    return Report("services", answer.to_dict(), found, (_count(answer.services, "service", asked), found))


@report_of.register
def operations_report(answer: OperationList, asked: Asked = NOT_ASKED) -> Report:
    """List the operations of a service."""
    found = answer.records()
    count = _count(answer.operations, "operation", asked, f" of {answer.service}")
    return Report("operations", answer.to_dict(), found, (count, found))


@report_of.register
def archive_report(answer: ArchiveList, asked: Asked = NOT_ASKED) -> Report:
    """Say which traces are archived, and how to see one again."""
    where = f" at {asked.location}" if asked.location else ""
    archived = [trace for trace in answer.traces if trace.is_archived]
    told = plural(len(archived), "trace")
    if len(archived) < len(answer.traces):
        told = f"{len(archived)} of {plural(len(answer.traces), 'trace')}"
    columns = (
        *picked(ARCHIVED_COLUMNS, "trace_id"),
        Column[ArchivedTrace]("outcome", "", value=lambda trace: trace.problem or "archived", can_shrink=True),
    )
    footer = (next_line(asked, "show", archived[0].trace_id),) if archived else ()
    return reported(
        "archive", answer, asked, (strong(f"archived {told}{where}"), table(columns, answer.traces)), footer
    )


def _count(listed: Sized, noun: str, asked: Asked, whose: str = "") -> Line:
    where = f" ({asked.location})" if asked.location else ""
    return Line((Part(f"{plural(len(listed), noun)}{whose}", "strong"), Part(where, "dim")))
