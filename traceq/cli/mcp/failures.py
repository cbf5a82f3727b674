"""Failures and notes in the words of agents: calls of tools in place of command lines, arguments of options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from traceq.cli.mcp.arguments import OneSpan, Requests, Search, Sides
from traceq.cli.mcp.suggestions import Step
from traceq.documents import Document
from traceq.errors import Hint, Meant, NextCommand, TraceqError

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
