"""Reports with every form of block, of ordinary and of hostile text."""

from __future__ import annotations

from typing import get_args

from traceq.render import Imprint
from traceq.report import (
    Block,
    Column,
    Fields,
    Flame,
    FlameRow,
    Graph,
    GraphEdge,
    GraphNode,
    Heading,
    HeatMap,
    Histogram,
    Line,
    Matrix,
    Part,
    Report,
    Role,
    Table,
    Timeline,
    TimelineRow,
    Unit,
    Value,
)

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- <script>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)",
    "javascript:alert(1)",
    "\x1b[31mred\x07 \u202eback\x00",
    "=HYPERLINK(1)",
    "[link](javascript:alert(1)) ![](http://example.invalid/x)",
    "**bold** _it_ `code` ~~gone~~ | cell | $x$ @someone #1",
    "# heading\n- list\n\n```\nfence",
    "&lt;b&gt; &#60;i&#62;",
    "http://example.invalid/a?b=c www.example.invalid",
    "{{ 7 * 7 }} {% raw %}",
    "日本 👩‍💻 é",
    "x" * 300,
)
"""Names that mean something to a browser, to Markdown, to a terminal or to a template."""

VALUES: dict[Unit, Value] = {
    Unit.COUNT: 12_345,
    Unit.ERRORS: 3,
    Unit.DURATION: 1_210_000_000,
    Unit.TIME: 1_700_000_000_123_000_000,
    Unit.RATIO: 0.613,
    Unit.BAR: 0.5,
    Unit.OBJECT: None,
}
"""A number for each unit that has numbers."""


def blocks_with(text: str) -> tuple[Block, ...]:
    """Make one block of every form with this text wherever text may stand."""
    roles: tuple[Role, ...] = get_args(Role)
    units = [Column[object](unit.name, text, unit) for unit in Unit]
    row = tuple(VALUES.get(unit, text) for unit in Unit)
    is_last = True
    span = TimelineRow(
        0, is_last, text, text, 0, 100, 40, ((0, 60),), has_error=True, note=text, span_id=text, details=((text, text),)
    )
    call = TimelineRow(
        1, is_last, text, f"→ {text}", 10, 50, relation="asynchronous", count=3, is_flagged=True, note=text
    )
    nodes = (GraphNode(text, text, "service", text, text), GraphNode("b", text, "database"))
    edges = (
        GraphEdge(text, "b", text, short_label=text, health="poor", facts=((text, text),)),
        GraphEdge("b", "b", text),
    )
    return (
        Line((Part(text, "strong"),)),
        Line(tuple(Part(f"{text} ", role) for role in roles)),
        Line(),
        Line((Part(f"next: {text}", "hint"),), wraps=False),
        Table(tuple(units), (row, tuple(None for _ in units))),
        Heading(text),
        Histogram(10_000_000, 1_240_000_000, (1, 0, 2, 12)),
        HeatMap(10**18, 10**9, 10_000_000, 1_240_000_000, ((1, 0, 2, 12), (0, 0, 0, 5)), (0, 2), 10**9),
        Timeline((span, call), 100),
        Graph(nodes, edges),
        Matrix(nodes, edges),
        Fields(((text, text),)),
        Flame(
            (
                FlameRow(0, text, text, 100, 40, -20, (40, 20), ((text, text),)),
                FlameRow(1, text, text, 60, 60, 10, (50, 60)),
            ),
            100,
            text,
            (text, text),
        ),
    )


def report_with(text: str) -> Report:
    """Make a report of every form of block, all of it this text."""
    url = "http://localhost:16686/trace/{trace_id}"
    return Report("every", {}, Table((), ()), blocks_with(text), (Line((Part(text, "dim"),)),), url)


def imprint_with(text: str) -> Imprint:
    """Say this text wherever a document says something of itself."""
    return Imprint(text, text, text, text, (text, text))
