"""What to ask next, after an answer or a call that failed, so that an agent need not know the order of questions.

Failures and notes are told in the words of agents: tools in the place of commands, arguments in that of options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from traceq.answer import Document
from traceq.cli.mcp.arguments import OneSpan, Requests, Search, Sides
from traceq.errors import Hint, Meant, NextCommand, TraceqError
from traceq.units import format_ratio

if TYPE_CHECKING:
    from traceq.cli.mcp import arguments as given

_NOTABLE_ERRORS = 0.01
"""The share of failed requests from which errors are looked at before durations."""


@dataclass(frozen=True)
class Step:
    """A call of a tool that is worth making."""

    tool: str
    arguments: Mapping[str, Any]
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Give the call as it stands in an answer, without arguments that are not set."""
        arguments = {key: value for key, value in self.arguments.items() if value not in (None, False)}
        return {"tool": self.tool, "arguments": arguments, "why": self.why}


def _same(wanted: given.Filters) -> dict[str, Any]:
    """Give the arguments that keep a question about the same traces."""
    return {
        "service": wanted.service,
        "operation": wanted.operation,
        "tags": wanted.tags,
        "error": wanted.error,
        "min_duration": wanted.min_duration,
        "lookback": wanted.lookback,
        "start": wanted.start,
        "end": wanted.end,
        "limit": wanted.limit,
        "trace_id": getattr(wanted, "trace_id", None),
    }


_NOTHING = Step("services", {}, "nothing matched: lists the services that there are")


def after_services(document: Document, wanted: given.Listing) -> Iterator[Step]:
    """Look at errors where there are many, else at where the time goes."""
    window = {"lookback": wanted.lookback, "start": wanted.start, "end": wanted.end}
    failing = max(document["services"], key=lambda row: row["error_count"], default=None)
    if failing and failing["error_count"] > _NOTABLE_ERRORS * failing["span_count"]:
        told = f"{failing['error_count']} of {failing['span_count']} spans of {failing['service']} failed"
        yield Step("errors", window, told)
    yield Step("bottlenecks", window, "ranks where the time of all requests goes")
    yield Step("dependencies", window, "shows who calls whom")


def after_search(document: Document, wanted: given.Search) -> Iterator[Step]:
    """Look at the first trace, then at all of them together."""
    if not document["traces"]:
        yield _NOTHING
    for trace in document["traces"][:1]:
        yield Step("trace_overview", {"trace_id": trace["trace_id"]}, "says what held up the first trace")
        yield Step("bottlenecks", _same(wanted), "ranks what holds up all such requests")


def after_bottlenecks(document: Document, wanted: given.Requests) -> Iterator[Step]:
    """Look at what is worth a change there, at an example of the call that the verdict names, at errors."""
    named = document["verdict"] or {}
    lines = document["operations"]
    told = [line for line in lines if all(line[key] == named.get(key) for key in ("service", "operation"))]
    yield Step("findings", _same(wanted), "says what is worth a change, and what it costs") if lines else _NOTHING
    for line in (told or lines)[:1]:
        example = {"trace_id": line["example"]["trace_id"], "span_id": line["example"]["span_id"]}
        yield Step("span_details", example, f"shows the longest {line['operation']}")
    if document["failed_request_count"] > _NOTABLE_ERRORS * document["request_count"]:
        ratio = document["failed_request_count"] / document["request_count"]
        yield Step("errors", _same(wanted), f"{format_ratio(ratio)} of the requests failed")


def after_findings(document: Document, wanted: given.Requests) -> Iterator[Step]:
    """Look at an example of the finding that costs most."""
    for finding in document["findings"][:1]:
        for example in finding["examples"][:1]:
            for span_id in example["span_ids"][:1]:
                where = {"trace_id": example["trace_id"], "span_id": span_id}
                yield Step("span_details", where, f"shows an example of {finding['kind']}")
            yield Step("trace_overview", {"trace_id": example["trace_id"]}, "shows the request around it")
    if not document["request_count"]:
        yield _NOTHING
    elif not document["findings"]:
        yield Step("bottlenecks", _same(wanted), "ranks where the time goes all the same")


def after_errors(document: Document, wanted: given.Requests) -> Iterator[Step]:
    """Look at an example of the error that fails most requests."""
    for error in document["errors"][:1]:
        for example in error["examples"][:1]:
            where = {"trace_id": example["trace_id"], "span_id": example["span_id"]}
            yield Step("span_details", where, f"shows the failed {error['operation']}, its exception and attributes")
    if not document["request_count"]:
        yield _NOTHING
    elif not document["errors"]:
        yield Step("bottlenecks", _same(wanted), "nothing failed: ranks where the time goes")


def after_compare(document: Document, wanted: given.Sides) -> Iterator[Step]:
    """Look at a trace of the culprit afterwards, at errors where more requests fail."""
    failed = document["failed_ratio"]
    if failed is not None and failed["is_sure"] and failed["change"] > 0:
        start, _, end = (wanted.after or "").partition("..")
        when = {"start": start or None, "end": end or None} if wanted.after else {"lookback": wanted.lookback}
        yield Step("errors", {"service": wanted.service, **when}, "more requests fail: says where errors begin")
    for service in document["services"][:1]:
        if service["example_trace_id"]:
            where = {"trace_id": service["example_trace_id"]}
            yield Step("trace_overview", where, f"shows a request that {service['service']} holds longer")


def after_dependencies(document: Document, wanted: given.Requests) -> Iterator[Step]:
    """Look at whoever fails most, else at where the time goes."""
    verdict = document["verdict"] or {}
    if verdict.get("failing_caller"):
        when = {key: value for key, value in _same(wanted).items() if key in ("lookback", "start", "end")}
        calls = f"calls from {verdict['failing_caller']} to {verdict['failing_callee']} fail"
        yield Step("errors", when, calls)
    yield Step("bottlenecks", _same(wanted), "ranks where the time goes")


def after_overview(document: Document, _: given.OneTrace) -> Iterator[Step]:
    """Look at the call that held most, and at errors where there are some."""
    trace_id = document["trace"]["trace_id"]
    for call in document["bottlenecks"][:1]:
        where = {"trace_id": trace_id, "span_id": call["span_id"]}
        yield Step("span_details", where, f"{call['operation']} held {format_ratio(call['ratio'])} of the trace")
    if document["trace"]["error_count"]:
        yield Step("errors", {"trace_id": trace_id}, f"{document['trace']['error_count']} of its spans failed")
    yield Step("critical_path", {"trace_id": trace_id}, "lists all intervals that made it this long")


def after_path(document: Document, _: given.OneTrace) -> Iterator[Step]:
    """Look at the longest interval."""
    longest = max(document["segments"], key=lambda each: each["length_ns"], default=None)
    if longest is not None:
        where = {"trace_id": longest["trace_id"], "span_id": longest["span_id"]}
        yield Step("span_details", where, "shows the longest interval's span")


def after_span(document: Document, wanted: given.OneSpan) -> Iterator[Step]:
    """Look at the trace around it, and at the service that sent it."""
    yield Step("trace_overview", {"trace_id": wanted.trace_id}, "shows the trace around the span")
    service = document["spans"][0]["service"]
    yield Step("findings", {"service": service}, f"says what is worth a change in requests of {service}")


_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_OPTIONS = {
    each.name.replace("_", "-"): each.name for kind in (Requests, Search, Sides, OneSpan) for each in fields(kind)
}
"""Options that are arguments of tools, too."""
_OF_THE_START = "options of `traceq mcp`: whoever starts it can give them"
_NAMED = {"service": "service", "operation": "operation", "trace": "trace_id", "tag": "split"}
"""The arguments that names are given in."""


def failure(error: TraceqError, tool: str, values: Mapping[str, Any]) -> Document:
    """Give what is told of a call that failed.

    Args:
        error: Why.
        tool: What was called.
        values: Its arguments.
    """
    steps = [step.to_dict() for part in error.advice.parts for step in _steps(part, tool, values)]
    told = {"error": error.message, "hint": _in_terms_of_tools(error.advice) or None, "next": steps}
    return {key: value for key, value in told.items() if value not in (None, [])}


def with_arguments(text: str) -> str:
    """Write arguments in the place of options."""
    return _in_terms_of_tools(Hint((text,)))


def _in_terms_of_tools(hint: Hint) -> str:
    """Write tools in the place of commands, and arguments in that of options; what no tool does is for people."""
    told = "".join(map(_part_in_terms_of_tools, hint.parts))
    are_left = any(isinstance(part, str) and set(_OPTION.findall(part)) - _OPTIONS.keys() for part in hint.parts)
    return f"{told} ({_OF_THE_START})" if are_left else told


def _part_in_terms_of_tools(part: str | NextCommand | Meant) -> str:
    if isinstance(part, str):
        return _OPTION.sub(lambda found: f"`{_OPTIONS[found[1]]}`" if found[1] in _OPTIONS else found[0], part)
    if isinstance(part, NextCommand):
        return f"`{part if (step := _step(part)) is None else step.tool}`"
    return str(part)


def _steps(part: str | NextCommand | Meant, tool: str, values: Mapping[str, Any]) -> Iterator[Step]:
    """Give the calls that a part of a hint suggests."""
    if isinstance(part, NextCommand) and (step := _step(part)) is not None:
        yield step
    # An argument that was not given can hardly have been misspelt.
    if isinstance(part, Meant) and (key := _NAMED.get(part.what)) is not None and values.get(key):
        # Of `key=value` only the key was misspelt.
        value = "".join(values[key].partition("=")[1:]) if part.what == "tag" else ""
        for name in part.names:
            yield Step(tool, {**values, key: name + value}, f"asks about {part.what} {name}")


def _step(command: NextCommand) -> Step | None:
    """Give the call that answers what a command answers; None where no tool does."""
    match command.words:
        case ("services",):
            return Step("services", {}, "lists the services that there are")
        case ("operations", service):
            return Step("bottlenecks", {"service": service}, f"lists operations in requests of {service}")
        case ("stats", "--by", "operation"):
            return Step("bottlenecks", {}, "lists operations in requests")
        case ("search",):
            return Step("search", {}, "lists traces with their ids")
        case ("show", trace_id):
            return Step("trace_overview", {"trace_id": trace_id}, "shows the calls that held the trace up")
    return None
