"""Reports drawn for people, as lines of rich segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import assert_never

from rich.console import Console
from rich.segment import Segment, Segments

from traceq.render.terminal.canvas import Canvas, Pen, Strip, trimmed
from traceq.render.terminal.prose import draw_fields, draw_histogram, draw_line
from traceq.render.terminal.table import draw_table
from traceq.render.terminal.timeline import draw_timeline
from traceq.report import Block, Fields, Graph, Histogram, Line, Matrix, Report, Table, Timeline

__all__ = ["Canvas", "Strip", "draw", "print_report"]

_BATCH = 500
"""Lines handed to the console at a time: few calls, and the first lines show before the last are drawn."""


def draw(report: Report, canvas: Canvas) -> Iterator[Strip]:
    """Draw a report's blocks and its footer, one line after the other, each within the canvas's width if it wraps.

    Blank lines are the report's business: an empty `Line` is one.
    """
    pen = Pen(canvas, report.trace_url)
    for block in (*report.blocks, *report.footer):
        yield from map(trimmed, _draw_block(block, pen))


def print_report(report: Report, console: Console, canvas: Canvas) -> None:
    """Draw a report and write it; the console decides about colours and where to."""
    lines = draw(report, canvas)
    while batch := list(islice(lines, _BATCH)):
        # Already measured and wrapped: rich shall neither crop nor wrap it again.
        console.print(Segments(_with_newlines(batch)), end="", crop=False, soft_wrap=True)


def _with_newlines(lines: Iterable[Strip]) -> Iterable[Segment]:
    newline = Segment.line()
    return chain.from_iterable((*line, newline) for line in lines)


def _draw_block(block: Block, pen: Pen) -> Iterator[Strip]:
    match block:
        case Table():
            return draw_table(block, pen)
        case Timeline():
            return draw_timeline(block, pen)
        case Graph():
            # Late: a third of this package's import time, and `deps` alone draws graphs.
            from traceq.render.terminal.graph import draw_graph

            return draw_graph(block, pen)
        case Matrix():
            from traceq.render.terminal.matrix import draw_matrix

            return draw_matrix(block, pen)
        case Histogram():
            return draw_histogram(block, pen)
        case Fields():
            return draw_fields(block, pen)
        case Line():
            return draw_line(block, pen)
    assert_never(block)
