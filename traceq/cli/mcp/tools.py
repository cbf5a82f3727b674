"""The tools that agents call: each is a question that a command asks too, and the part of its document that decides.

A tool is a line in `TOOLS`: what it is called with, how it is answered, which keys of the command's document are kept,
and what its answer suggests to ask next.
"""

from __future__ import annotations

import inspect
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import time_ns
from typing import Any, TypeAlias

import typer
from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool as ServedTool
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from msgspec import structs

from traceq.analysis.bottlenecks import BottleneckQuestion
from traceq.analysis.call_sums import DependencyOptions
from traceq.analysis.critical_path import critical_path
from traceq.analysis.dependencies import DependencyQuestion
from traceq.analysis.errors import ErrorQuestion
from traceq.analysis.findings import FindingQuestion, Thresholds
from traceq.analysis.one_trace import examine_trace, find_spans
from traceq.analysis.requests import RequestOptions
from traceq.analysis.statistics import StatisticsOptions, StatisticsQuestion
from traceq.answer import Answer, Document, compact, fitted, selected, with_totals
from traceq.cli.compare import CompareOptions, SidesOptions, WindowSide, parse_side, reported
from traceq.cli.mcp import arguments as given
from traceq.cli.mcp import suggestions
from traceq.cli.mcp.arguments import ArgumentError, parameters
from traceq.cli.mcp.suggestions import Step, failure, with_arguments
from traceq.cli.options import FilterOptions, RequestsOptions, ServiceOptions, SourceOptions, WindowOptions
from traceq.cli.outputs import AskingOptions, OutputOptions
from traceq.cli.search import SearchOptions, listed
from traceq.cli.session import answered, found_trace, opened
from traceq.errors import Hint, NextCommand, NotFoundError, TraceqError
from traceq.query import Asked
from traceq.units import parse_lookback, parse_share

Found: TypeAlias = tuple[Document, Asked]
"""A document, without the head that the command line gives it, and what there is to say about it."""

_QUIET = OutputOptions(quiet=True)
_SLOW = "5%"


@dataclass(frozen=True)
class Tool:
    """A question that agents can ask."""

    about: str
    """What it answers, in the list that agents choose from."""
    arguments: type[given.Room]
    ask: Callable[[SourceOptions, Any], Found]
    keys: tuple[str, ...]
    """What is kept of the command's document; the first list among them is the one that `skip` leaves items out of."""
    follow: Callable[[Document, Any], Iterable[Step]]
    """What its answer, with all its keys, suggests to ask next, the best first."""

    def answer(self, source: SourceOptions, values: Mapping[str, Any]) -> Document:
        """Ask, and give the answer in the room that there is.

        Raises:
            TraceqError: If the source fails, or has no such service or trace.
            ValueError: If an argument cannot be read.
            typer.BadParameter: If arguments contradict each other.
        """
        wanted = given.with_plain_ids(self.arguments(**values), source)
        document, asked = self.ask(source, wanted)
        steps = [step.to_dict() for step in self.follow(document, wanted)]
        kept = _without_first(selected(document, self.keys), wanted.skip)
        told: Document = {"is_cut_off": asked.is_cut_off, "is_partial": asked.is_partial}
        remarks = {
            "notes": list(map(with_arguments, asked.notes)),
            "warning_counts": dict(sorted(asked.warnings.counts.items())),
        }
        said = {key: value for key, value in remarks.items() if value}
        return fitted({**with_totals({**kept, **told, **said}), "next": steps}, wanted.max_bytes)


def _without_first(document: Document, skip: int) -> Document:
    lists = [key for key, value in document.items() if isinstance(value, (list, tuple))]
    return {**document, lists[0]: list(document[lists[0]])[skip:]} if lists and skip else document


def _document(answer: Answer) -> Document:
    return answer.to_dict()


def _asking(source: SourceOptions, filters: FilterOptions) -> AskingOptions:
    return AskingOptions(source=source, filters=filters, output=_QUIET)  # type: ignore[arg-type]  # no answer is written


def _services(source: SourceOptions, wanted: given.Listing) -> Found:
    filters = FilterOptions(when=wanted.when())
    answer, asked = answered(StatisticsQuestion(StatisticsOptions(("service",))), _asking(source, filters), None)
    with opened(source, _QUIET) as place:
        names = place.services()
    document = _document(answer)
    seen = [{"service": row["value"], **row} for row in document["rows"]]
    without = set(names) - {row["service"] for row in seen}
    return {**document, "services": seen, "services_without_traces": sorted(without)}, asked


def _search(source: SourceOptions, wanted: given.Search) -> Found:
    filters, most = wanted.filters(), wanted.count + wanted.skip
    slowest = most if wanted.order == "slowest" else None
    filters = structs.replace(filters, limit=filters.limit or most) if slowest is None else filters
    service = ServiceOptions(wanted.service)
    answer, asked = listed(SearchOptions(service, filters, slowest=slowest, source=source, output=_QUIET))  # type: ignore[arg-type]  # no answer is written
    return _document(answer), asked


def _requests(question: Callable[[RequestOptions], Any]) -> Callable[[SourceOptions, given.Requests], Found]:
    """Answer a question about the requests of a service, or of one trace."""

    def ask(source: SourceOptions, wanted: given.Requests) -> Found:
        asking = _asking(source, wanted.filters())
        options = RequestsOptions()
        requests = options.of(wanted.service, without=wanted.not_operations)
        answer, asked = answered(question(requests), asking, wanted.service, wanted.trace_id, requests=options)
        return _document(answer), asked

    return ask


def _dependencies(source: SourceOptions, wanted: given.Requests) -> Found:
    question = DependencyQuestion(DependencyOptions())
    answer, asked = answered(question, _asking(source, wanted.filters()), wanted.service, wanted.trace_id)
    return _document(answer), asked


def _trace_overview(source: SourceOptions, wanted: given.OneTrace) -> Found:
    with opened(source, _QUIET) as place:
        traces, asked = found_trace(place, wanted.trace_id)
    return _document(examine_trace(traces, RequestOptions())), asked


def _critical_path(source: SourceOptions, wanted: given.OneTrace) -> Found:
    with opened(source, _QUIET) as place:
        traces, asked = found_trace(place, wanted.trace_id)
    return _document(critical_path(traces)), asked


def _span_details(source: SourceOptions, wanted: given.OneSpan) -> Found:
    with opened(source, _QUIET) as place:
        traces, asked = found_trace(place, wanted.trace_id)
    found = find_spans(traces, wanted.span_id)
    if not found.spans:
        raise NotFoundError(
            f"no span '{wanted.span_id}' in trace {traces.trace_ids[0]}",
            hint=Hint((NextCommand(("show", traces.trace_ids[0])), " and `critical_path` give ids of spans")),
        )
    return {"spans": [_with_listed(span) for span in _document(found)["spans"]]}, asked


def _with_listed(span: Document) -> Document:
    """Make lists of a span's attributes, so that there is an end from which they can be cut."""
    listed_keys = ("attributes", "resource")
    pairs = {key: [{"key": name, "value": value} for name, value in (span[key] or {}).items()] for key in listed_keys}
    return {**span, **pairs}


def _compare(source: SourceOptions, wanted: given.Sides) -> Found:
    if wanted.split is None and None in (wanted.before, wanted.after):
        raise given.ArgumentError("say what to compare", hint="give both `before` and `after`, or `split`")
    window = None if wanted.lookback is None else parse_lookback(wanted.lookback, time_ns())
    filters = FilterOptions(when=WindowOptions(window), limit=wanted.limit)
    options = CompareOptions(what=_sides(wanted), service=wanted.service, asking=_asking(source, filters))
    report, asked = reported(options)
    return report.document, asked


def _sides(wanted: given.Sides) -> SidesOptions:
    match wanted.split:
        case None:
            before, after = (None if text is None else _window(text) for text in (wanted.before, wanted.after))
            return SidesOptions(before=before, after=after)
        case "slow":
            return SidesOptions(slow=parse_share(_SLOW))
        case "failed":
            return SidesOptions(failed=True)
        case key:
            return SidesOptions(split_by=key)


def _window(text: str) -> WindowSide:
    side = parse_side(text, time_ns())
    if isinstance(side, WindowSide):
        return side
    raise given.ArgumentError(
        "before and after are windows of time, START..END", hint="of two traces `trace_overview` shows one at a time"
    )


_NAMES = ("service", "operation")


def _of(rows: str, *keys: str) -> tuple[str, ...]:
    return tuple(f"{rows}.{key}" for key in keys)


TOOLS: dict[str, Tool] = {
    "services": Tool(
        "List the services, with how many spans of each were seen in the newest traces, how many failed, and how long "
        "they took. Begin here when you do not know the system.",
        given.Listing,
        _services,
        (
            *_of("services", "service", "span_count", "error_count", "duration.p50_ns", "duration.p95_ns"),
            *("services_without_traces", "trace_count"),
        ),
        suggestions.after_services,
    ),
    "search": Tool(
        "Find traces by service, operation, tags and duration: the newest, or the slowest.",
        given.Search,
        _search,
        _of("traces", "trace_id", "root_service", "root_operation", "start_ns", "duration_ns", "span_count")
        + _of("traces", "error_count"),
        suggestions.after_search,
    ),
    "bottlenecks": Tool(
        "Rank where the time of a service's requests goes, on the critical path, slow requests against typical ones. "
        "Begin here when requests are slow.",
        given.Requests,
        _requests(BottleneckQuestion),
        (
            *("verdict.text", "request_count", "failed_request_count", "latency.p50_ns", "latency.p95_ns"),
            *_of("operations", *_NAMES, "peer.name", "request_count", "error_count", "critical_ratio", "slow_ratio"),
            *_of("operations", "typical_ratio", "duration.p95_ns", "example.trace_id", "example.span_id"),
        ),
        suggestions.after_bottlenecks,
    ),
    "findings": Tool(
        "Find what is worth a change: N+1 queries, slow queries, retries, calls in turn, gaps and more, each with its "
        "cost in time and advice.",
        given.Requests,
        _requests(lambda options: FindingQuestion(options, Thresholds())),
        (
            *("verdict.text", "request_count"),
            *_of("findings", "kind", *_NAMES, "peer", "cost_ns", "ratio", "request_count", "most_spans"),
            *_of("findings", "statement", "remark", "advice", "examples.trace_id", "examples.span_ids"),
        ),
        suggestions.after_findings,
    ),
    "errors": Tool(
        "Find where errors begin, how far they spread, and how many requests they fail. Begin here when requests fail.",
        given.Requests,
        _requests(ErrorQuestion),
        (
            *("verdict.text", "request_count", "failed_request_count"),
            *_of("errors", *_NAMES, "error_type", "message", "origin_count", "request_count"),
            *_of("errors", "failed_request_count", "services", "examples.trace_id", "examples.span_id"),
        ),
        suggestions.after_errors,
    ),
    "compare": Tool(
        "Say what changed between two windows of time, or what tells slow (or failed) traces from the others. Begin "
        "here when it was fine before: give the good window as `before`, the bad one as `after`.",
        given.Sides,
        _compare,
        (
            *("verdict.text", "verdict.outcome", "before.request_count", "after.request_count", "latency.before_ns"),
            *("latency.after_ns", "latency.is_sure", "failed_ratio.before", "failed_ratio.after"),
            *_of("services", "service", "kind", "caused.change_ns", "caused.is_sure", "example_trace_id"),
            *_of("operations", *_NAMES, "peer.name", "held.before_ns", "held.after_ns", "held.is_sure"),
            *_of("call_changes", "kind", "caller", "callee", "callee_operation", "calls_before", "calls_after"),
            *("call_changes.is_sure", "tags.changes.key", "tags.changes.value", "tags.changes.before_ratio"),
            "tags.changes.after_ratio",
        ),
        suggestions.after_compare,
    ),
    "dependencies": Tool(
        "List who calls whom, databases and brokers included, how often and how well, counted in traces.",
        given.Requests,
        _dependencies,
        (
            *_of("dependencies", "caller", "callee", "asynchronous", "call_count", "error_count"),
            *("dependencies.callee_time.p95_ns", "verdict.text", "trace_count"),
        ),
        suggestions.after_dependencies,
    ),
    "trace_overview": Tool(
        "Give one trace in short: its root, services, errors, and the calls that held it up.",
        given.OneTrace,
        _trace_overview,
        (
            *_of("bottlenecks", "span_id", *_NAMES, "peer", "call_count", "held_ns", "ratio", "network_ns"),
            *("bottlenecks.statement", "bottlenecks.is_entry", "trace.trace_id", "trace.root_service"),
            *("trace.root_operation", "trace.start_ns", "trace.duration_ns", "trace.span_count", "trace.error_count"),
            *("trace.services", "findings.kind", "findings.operation", "findings.cost_ns"),
        ),
        suggestions.after_overview,
    ),
    "critical_path": Tool(
        "List the intervals of one trace that made it as long as it was, in order of time.",
        given.OneTrace,
        _critical_path,
        _of("segments", "span_id", *_NAMES, "start_ns", "length_ns"),
        suggestions.after_path,
    ),
    "span_details": Tool(
        "Give all of one span: attributes, resource, events with stack traces, links.",
        given.OneSpan,
        _span_details,
        ("spans",),
        suggestions.after_span,
    ),
}
"""In the order in which agents see them."""


_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def make_server(source: SourceOptions, instructions: str) -> MCPServer:
    """Make a server of the tools.

    Args:
        source: The one source that they ask.
        instructions: What agents are told before their first call.
    """
    # One question at a time: each may need the memory and the processes of the whole machine.
    turn = threading.Lock()
    tools = [_strict(_callable(name, tool, source, turn), name, tool.about) for name, tool in TOOLS.items()]
    server = MCPServer("traceq", instructions=instructions, log_level="WARNING", tools=tools)
    server.prompt("investigate", description="Find the cause of slow or failing requests in few calls.")(_investigate)
    return server


def _strict(function: Any, name: str, about: str) -> ServedTool:
    """Make a tool that refuses arguments which it does not have.

    The library drops them: an agent that says `trace` for `trace_id` would take an answer about all traces for one
    about its own.
    """
    served = ServedTool.from_function(function, name, description=about, annotations=_READ_ONLY)
    model: Any = types.new_class(name, (served.fn_metadata.arg_model,), {"extra": "forbid"})
    metadata = served.fn_metadata.model_copy(update={"arg_model": model})
    return served.model_copy(update={"fn_metadata": metadata, "parameters": model.model_json_schema(by_alias=True)})


def _callable(name: str, tool: Tool, source: SourceOptions, turn: threading.Lock) -> Any:
    taken = parameters(tool.arguments)
    defaults = {each.name: each.default for each in taken}

    def call(**values: Any) -> str | CallToolResult:
        def failed(error: TraceqError) -> CallToolResult:
            # Not an exception: the library would put words before the document.
            told = compact(failure(error, name, typed))
            return CallToolResult(content=[TextContent(type="text", text=told)], is_error=True)

        typed = {key: value for key, value in values.items() if value != defaults[key]}
        try:
            with turn:
                return compact(tool.answer(source, values))
        except TraceqError as error:
            return failed(error)
        except typer.BadParameter as error:
            return failed(ArgumentError(error.message))
        except ValueError as error:
            return failed(ArgumentError(str(error)))

    call.__name__ = name
    call.__signature__ = inspect.Signature(taken, return_annotation=str)  # type: ignore[attr-defined]  # what inspect.signature looks for first
    return call


def _investigate(problem: str) -> str:
    """Ask for the cause of a problem, in the order of questions that finds it soonest."""
    return (
        f"Find the cause of this problem with the tools of traceq: {problem}\n"
        "If it was fine before, begin with `compare`; if requests fail, with `errors`; if they are slow, with "
        "`bottlenecks`. Follow the first of the `next` calls unless the answer gives you a reason not to. Name the "
        "service and operation that cause it, the evidence with its numbers, and the id of a trace that shows it. If "
        "an answer is partial or nothing is sure, say so."
    )
