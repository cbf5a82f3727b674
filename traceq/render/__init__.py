"""Reports written out, one format a module. Nothing heavy is imported here: rich lives in `terminal` alone.

A new format for graphs is a module of its own and its name here: in `GraphFormat`, `SUFFIXES` and `drawn`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypeAlias, TypeGuard, assert_never, get_args

from traceq.report import Flame, Graph, Report

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


def drawn(graph: Graph, chosen: GraphFormat) -> str:
    """Write a graph as a drawing; only the format that is wanted is imported."""
    if chosen == "mermaid":
        from traceq.render.mermaid import render_mermaid

        return render_mermaid(graph)
    if chosen == "dot":
        from traceq.render.dot import render_dot

        return render_dot(graph)
    assert_never(chosen)


def written_flame(report: Report, chosen: FlameFormat, name: str) -> str:
    """Write a flame graph for another tool; only the format that is wanted is imported.

    Args:
        report: The answer; without a flame graph it is one without frames.
        chosen: The format.
        name: What it is about.
    """
    flame = report.flame or Flame((), 0, "time")
    match chosen:
        case "folded":
            from traceq.render.folded import render_folded

            return render_folded(flame)
        case "speedscope":
            from traceq.render.speedscope import render_speedscope

            return render_speedscope(flame, report.spans, name)
        case "perfetto" | "chrome":
            from traceq.render.trace_events import render_trace_events

            return render_trace_events(flame, report.spans, name)
    assert_never(chosen)


def written_for_builds(report: Report, chosen: Literal[IssueFormat, CaseFormat], location: str) -> str:
    """Write what a build server or a code host shows; only the format that is wanted is imported.

    Args:
        report: The answer.
        chosen: The format.
        location: Where the traces are.
    """
    match chosen:
        case "junit":
            from traceq.render.junit import render_junit

            return render_junit(report, location)
        case "github":
            from traceq.render.annotations import render_annotations

            return render_annotations(report)
        case "sarif":
            from traceq.render.sarif import render_sarif

            return render_sarif(report, location)
    assert_never(chosen)
