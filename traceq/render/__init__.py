"""Reports written out, one format a module. Nothing heavy is imported here: rich lives in `terminal` alone."""

from __future__ import annotations

from typing import Literal, TypeAlias

GraphFormat: TypeAlias = Literal["mermaid", "dot", "svg", "html"]
"""How a graph is written besides."""

AnswerFormat: TypeAlias = Literal["text", "json", "ndjson", "csv"]
"""How any answer is written."""

TracesFormat: TypeAlias = Literal["json", "ndjson"]
"""How traces themselves are written, as Jaeger's JSON."""

Format: TypeAlias = Literal["text", "json", "ndjson", "csv", "mermaid", "dot", "svg", "html"]
"""How an answer is written: for people, as one document, as records, or as a drawing where it is a graph."""

GRAPH_FORMATS: frozenset[Format] = frozenset({"mermaid", "dot", "svg", "html"})
