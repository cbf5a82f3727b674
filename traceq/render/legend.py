"""What the marks of a drawn graph mean, in words; only those that the graph has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from traceq.report import Graph, Health, NodeKind

Mark: TypeAlias = Literal["waited", "unwaited", "thick", "label"]
"""A line that is drawn solid, dashed and thick; what is written on lines."""

_KINDS: tuple[NodeKind, ...] = ("service", "database", "messaging", "external")
_HEALTHS: tuple[Health, ...] = ("unknown", "good", "fair", "poor")
_THIN, USUAL, THICK = 1.2, 1.6, 3.6
"""How thick lines are, in pixels."""


class Entry(Struct, frozen=True):
    """A mark and what it means."""

    mark: NodeKind | Health | Mark
    text: str


def legend(graph: Graph) -> tuple[Entry, ...]:
    """Explain the marks of a graph; a mark that tells nothing apart in it is left out."""
    kinds = {node.kind for node in graph.nodes}
    entries = [Entry(kind, kind) for kind in _KINDS if kind in kinds] if len(kinds) > 1 else []
    if any(edge.is_async for edge in graph.edges):
        entries += [Entry("waited", "the caller waits"), Entry("unwaited", "asynchronous: nobody waits")]
    healths, words = {edge.health for edge in graph.edges}, dict(graph.health_legend)
    if healths - {"unknown"}:
        entries += [Entry(health, words[health]) for health in _HEALTHS if health in healths & words.keys()]
    if len({edge.weight for edge in graph.edges}) > 1:
        entries.append(Entry("thick", "thicker: more calls"))
    return (*entries, *([Entry("label", graph.label_legend)] if graph.edges and graph.label_legend else []))


def stroke_widths(weights: Sequence[int]) -> list[float]:
    """Say how thick lines are, in pixels, by how many calls each stands for: ten times as many always add as much."""
    if len(set(weights)) < 2:
        return [USUAL for _ in weights]
    logs = [math.log10(max(weight, 1)) for weight in weights]
    most = max(logs) or 1.0
    return [round(_THIN + (THICK - _THIN) * log / most, 2) for log in logs]
