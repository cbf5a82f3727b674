"""Reports written out, one format a module. Nothing heavy is imported here: rich lives in `terminal` alone.

A new format for graphs is a module of its own and its name here: in `GraphFormat`, `SUFFIXES` and `drawn`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never, get_args

from traceq.report import Graph

AnswerFormat: TypeAlias = Literal["text", "json", "ndjson", "csv", "html", "markdown"]
"""How any answer is written: for people, as one document, as records, as a page, or to be pasted."""

TracesFormat: TypeAlias = Literal["json", "ndjson"]
"""How traces themselves are written, as Jaeger's JSON."""

GraphFormat: TypeAlias = Literal["mermaid", "dot", "svg"]
"""How a graph is written besides, as a drawing."""

Format: TypeAlias = Literal[AnswerFormat, GraphFormat]

GRAPH_FORMATS: frozenset[Format] = frozenset(get_args(GraphFormat))

SUFFIXES: dict[str, Format] = {
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
}
"""The formats that names of files tell."""


def drawn(graph: Graph, chosen: GraphFormat) -> str:
    """Write a graph as a drawing; only the format that is wanted is imported."""
    if chosen == "mermaid":
        from traceq.render.mermaid import render_mermaid

        return render_mermaid(graph)
    if chosen == "dot":
        from traceq.render.dot import render_dot

        return render_dot(graph)
    if chosen == "svg":
        from traceq.render.svg import render_svg

        return render_svg(graph)
    assert_never(chosen)
