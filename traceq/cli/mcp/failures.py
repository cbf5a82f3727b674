"""Failures and notes in the words of agents: calls of tools in place of command lines, arguments of options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from traceq.cli.mcp.arguments import OneSpan, Requests, Search, Sides
from traceq.cli.mcp.suggestions import Step
from traceq.documents import Document

_COMMAND = re.compile(r"`(?:\.\.\. \| )?traceq ([^`]+)`")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_MEANT = re.compile(r"did you mean ('[^']+'(?: or '[^']+')*)\?")
_NAMED = ("service", "operation")
_ARGUMENTS = frozenset(each.name for kind in (Requests, Search, Sides, OneSpan) for each in fields(kind))
_OF_THE_START = "options of `traceq mcp`: whoever starts it can give them"


def failure(message: str, hint: str, tool: str, values: Mapping[str, Any]) -> Document:
    """Give what is told of a call that failed.

    Args:
        message: What failed.
        hint: What the command line would suggest; empty for nothing.
        tool: What was called.
        values: Its arguments.
    """
    steps = (*_meant(message, hint, tool, values), *_listed(hint))
    told = {"error": message, "hint": in_terms_of_tools(hint) or None, "next": [step.to_dict() for step in steps]}
    return {key: value for key, value in told.items() if value not in (None, [])}


def in_terms_of_tools(text: str) -> str:
    """Write tools in the place of commands, and arguments in that of options."""

    def command(match: re.Match[str]) -> str:
        step = _step(match[1])
        return match[0] if step is None else f"`{step.tool}`"

    def option(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        return f"`{name}`" if name in _ARGUMENTS else match[0]

    parts = _COMMAND.split(text)
    # Commands that are no tools are for people, and stay as they can be typed.
    told = "".join(
        _OPTION.sub(option, part) if at % 2 == 0 else _COMMAND.sub(command, f"`traceq {part}`")
        for at, part in enumerate(parts)
    )
    left = {f"--{name}" for name in _OPTION.findall(_COMMAND.sub("", told))}
    return f"{told} ({_OF_THE_START})" if left else told


def _meant(message: str, hint: str, tool: str, values: Mapping[str, Any]) -> Iterator[Step]:
    """Repeat the call with the names that come nearest to one that is not known."""
    match = _MEANT.search(hint)
    for key in _NAMED if match else ():
        if values.get(key) and f"no {key} named '{values[key]}'" in message:
            for name in re.findall(r"'([^']+)'", match[1] if match else ""):
                yield Step(tool, {**values, key: name}, f"asks about {key} {name}")


def _listed(hint: str) -> Iterator[Step]:
    for command in _COMMAND.findall(hint):
        step = _step(command)
        if step is not None:
            yield step


def _step(command: str) -> Step | None:
    """Give the call that answers what a command answers; None where no tool does."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    named = [word for at, word in enumerate(words) if "--source" not in (word, words[at - 1] if at else "")]
    match named:
        case ["services"]:
            return Step("services", {}, "lists the services that there are")
        case ["operations", service]:
            return Step("bottlenecks", {"service": service}, f"lists operations in requests of {service}")
        case ["search"]:
            return Step("search", {}, "lists traces with their ids")
    return None
