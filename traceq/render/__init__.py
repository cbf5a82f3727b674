"""Reports written out, a module for each kind of format. Nothing heavy is imported here: rich is in `terminal` alone.

A new format for graphs is a function in `drawings`, and its name in `GraphFormat` and `SUFFIXES`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal, TypeAlias, TypeGuard, assert_never, get_args

from msgspec import Struct

from traceq.report import Column, Unit, Value
from traceq.units import format_count, format_duration, format_number, format_ratio, format_signed, format_time

AnswerFormat: TypeAlias = Literal["text", "json", "ndjson", "csv", "html", "markdown", "svg"]
"""How any answer is written: for people, as one document, as records, as a page, to be pasted, or as a picture."""

TracesFormat: TypeAlias = Literal["json", "ndjson"]
"""How traces themselves are written, as Jaeger's JSON."""

GraphFormat: TypeAlias = Literal["mermaid", "dot"]
"""How a graph is written besides, as a drawing."""

FlameFormat: TypeAlias = Literal["folded", "speedscope", "perfetto", "chrome"]
"""How a flame graph is written besides, for other tools; Perfetto and Chrome read the same."""

IssueFormat: TypeAlias = Literal["github", "sarif"]
"""How issues are written for build servers and code hosts."""

CaseFormat: TypeAlias = Literal["junit"]
"""How checks are written for build servers."""

Format: TypeAlias = Literal[AnswerFormat, GraphFormat, FlameFormat, IssueFormat, CaseFormat]

GRAPH_FORMATS: frozenset[Format] = frozenset(get_args(GraphFormat))
FLAME_FORMATS: frozenset[Format] = frozenset(get_args(FlameFormat))
BUILD_FORMATS: frozenset[Format] = frozenset((*get_args(IssueFormat), *get_args(CaseFormat)))

SUFFIXES: dict[str, Format] = {
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".folded": "folded",
    ".collapsed": "folded",
    ".speedscope.json": "speedscope",
    ".perfetto.json": "perfetto",
    ".chrome.json": "chrome",
    ".sarif": "sarif",
    ".sarif.json": "sarif",
    ".xml": "junit",
}
"""The formats that names of files tell."""


def format_of(name: str) -> Format | None:
    """Give the format that the name of a file tells, by the longest ending that is known; None for none."""
    endings = [ending for ending in SUFFIXES if name.lower().endswith(ending)]
    return SUFFIXES[max(endings, key=len)] if endings else None


def endings_of(formats: Collection[Format]) -> str:
    """List the endings of names that tell one of these formats, the first one of each."""
    first = {told: ending for ending, told in reversed(SUFFIXES.items())}
    return ", ".join(sorted(ending for told, ending in first.items() if told in formats))


def is_drawing(chosen: Format) -> TypeGuard[GraphFormat]:
    """Tell whether a format is a drawing of a graph."""
    return chosen in GRAPH_FORMATS


class Imprint(Struct, frozen=True):
    """What stands at the head and at the foot of a document that is handed on."""

    title: str
    """What was asked (`bottlenecks of chat-service`)."""
    source: str = ""
    """Where the traces came from."""
    window: str = ""
    """The time window in words; empty for no limits."""
    written: str = ""
    """When the document was written: a window such as `last 1h` ends there."""
    remarks: tuple[str, ...] = ()
    """What a reader has to know of the answer: that it is partial, what was strange in the traces."""


COMPARED = frozenset({Unit.COUNT, Unit.ERRORS, Unit.DURATION, Unit.CHANGE, Unit.RATIO})


def is_compared(column: Column[Any], values: Iterable[Value]) -> bool:
    """Tell whether a column has numbers that are compared: these are aligned right."""
    if column.unit is Unit.TEXT:
        return all(value is None or is_number(value) for value in values)
    return column.unit in COMPARED


def is_number(value: Value) -> TypeGuard[float]:
    """Tell whether a value is a number; truths are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number_text(unit: Unit, value: float) -> str:
    """Write a number as people read it; how failures stand out is up to the format."""
    match unit:
        case Unit.COUNT | Unit.ERRORS:
            return format_count(int(value))
        case Unit.DURATION:
            return format_duration(int(value))
        case Unit.CHANGE:
            return format_signed(int(value))
        case Unit.RATIO:
            return format_ratio(value)
        case Unit.TIME:
            return format_time(int(value))
        case Unit.TEXT | Unit.SERVICE | Unit.TRACE_ID | Unit.BAR | Unit.OBJECT:
            return str(value) if isinstance(value, int) else format_number(value)
    assert_never(unit)
