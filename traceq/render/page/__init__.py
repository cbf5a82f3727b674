"""A report as a page: one file, to be opened from disk, sent, printed.

A block becomes a part: markup with what it brings along (`parts.PagePart`); the shell puts parts on a page.
Styles and scripts are the files beside these modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import assert_never

from traceq.render.hues import hues_of
from traceq.render.imprint import Imprint
from traceq.render.page.blocks import (
    fields_part,
    histogram_part,
    matrix_part,
    table_part,
)
from traceq.render.page.flame import flame_part
from traceq.render.page.graph import graph_part
from traceq.render.page.heat import heat_map_part
from traceq.render.page.lines import heading_part, lines_part
from traceq.render.page.parts import Ink, PagePart, joined
from traceq.render.page.shell import document
from traceq.render.page.timeline import timeline_part
from traceq.report import (
    Block,
    Fields,
    Flame,
    Graph,
    Heading,
    HeatMap,
    Histogram,
    Line,
    Matrix,
    Report,
    Table,
    Timeline,
)

__all__ = ["render_page"]


def render_page(report: Report, imprint: Imprint) -> str:
    """Write a report as a page of its own."""
    blocks = report.blocks
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    ink = Ink(report.trace_url, report.links, hues_of(report), is_part=bool(headings))
    if report.graph is not None and not any(isinstance(block, Graph) for block in blocks):
        # A page can draw what a terminal may have been too narrow for.
        blocks = (report.graph, *blocks)
    return document(imprint, list(_parts(blocks, ink)), joined(_parts(report.footer, ink)), headings)


def _parts(blocks: Sequence[Block], ink: Ink) -> Iterator[PagePart]:
    """Make parts of blocks; lines that follow each other are one."""
    for is_text, group in groupby(blocks, lambda block: isinstance(block, Line)):
        if is_text:
            yield lines_part(_lines(group), ink)
        else:
            yield from (_part(block, ink) for block in group)


def _lines(blocks: Iterable[Block]) -> list[Line]:
    return [block for block in blocks if isinstance(block, Line)]


def _part(block: Block, ink: Ink) -> PagePart:
    match block:
        case Table():
            return table_part(block, ink)
        case Timeline():
            return timeline_part(block, ink)
        case Graph():
            return graph_part(block.whole or block, ink)
        case Flame():
            return flame_part(block, ink)
        case Matrix():
            return matrix_part(block)
        case Histogram():
            return histogram_part(block)
        case HeatMap():
            return heat_map_part(block)
        case Fields():
            return fields_part(block)
        case Line() | Heading():
            return heading_part(block) if isinstance(block, Heading) else lines_part([block], ink)
    assert_never(block)
