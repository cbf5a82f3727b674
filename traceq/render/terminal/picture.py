"""What a terminal shows as a picture: SVG that loads nothing, with columns that stay aligned in every font.

Each run of text has the width of its cells; boxes, bars and blocks are shapes, since fonts differ most in those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from xml.sax.saxutils import escape

from rich.segment import Segment
from rich.style import Style

from traceq.render.hues import COLOURS
from traceq.render.terminal import Canvas, Strip, draw
from traceq.render.terminal.canvas import HUES, width_of
from traceq.render.terminal.shapes import CELL, ROW, SHAPES, is_bar, shapes
from traceq.report import Report

_BASE = 13.5
"""How far down in their row letters stand."""
_MARGIN = 14.0
_BAR_INSET = 3.0
"""How far a bar stays from the ends of its row."""

_INKS: Mapping[str, tuple[str, str]] = {
    "ink": ("#1c2329", "#dfe5ea"),
    "dim": ("#68727d", "#8b97a3"),
    "ground": ("#ffffff", "#15191d"),
    "red": ("#c5221f", "#ff7b72"),
    "green": ("#2e7d32", "#6cc070"),
    "yellow": ("#a36a00", "#d9a441"),
    "blue": ("#0b57b0", "#7db4ff"),
    **{f"hue-{number}": colours for number, colours in enumerate(COLOURS)},
}
"""Colours on a light ground and on a dark one."""
_NAMES = {style.color.name: f"hue-{number}" for number, style in enumerate(HUES) if style.color}
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"


def render_picture(report: Report, width: int) -> str:
    """Draw what a terminal of this width shows; the picture is as wide as its longest line."""
    strips = list(draw(report, Canvas(width)))
    columns = max((sum(width_of(segment.text) for segment in strip) for strip in strips), default=0)
    across, down = columns * CELL + 2 * _MARGIN, len(strips) * ROW + 2 * _MARGIN
    body = [element for row, strip in enumerate(strips) for element in _row(strip, row)]
    size = f'width="{across:.0f}" height="{down:.0f}" viewBox="0 0 {across:.0f} {down:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>traceq {escape(report.command)}</title>",
        _styles(body),
        '<rect class="ground" width="100%" height="100%" rx="6"/>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _styles(body: Sequence[str]) -> str:
    """Write the colours that are used."""
    used = {name for name in _INKS if any(f'class="{name}' in element for element in body)} | {"ground"}
    light, dark = (
        "".join(f".{name}{{color:{_INKS[name][theme]}}}" for name in _INKS if name in used) for theme in (0, 1)
    )
    return (
        f"<style>text{{font:14px {_FONT};fill:currentColor}}.bold{{font-weight:700}}rect,.fill{{fill:currentColor}}"
        f"path{{stroke:currentColor;fill:none}}.fill{{stroke:none}}{light}"
        f"@media (prefers-color-scheme:dark){{{dark}}}</style>"
    )


def _row(strip: Strip, row: int) -> Iterator[str]:
    column = 0
    for segment in strip:
        cells = width_of(segment.text)
        yield from _run(segment, column, cells, row)
        column += cells


def _run(segment: Segment, column: int, cells: int, row: int) -> Iterator[str]:
    """Draw text in one style; what is reversed is written on a ground of its colour."""
    style = segment.style or Style.null()
    name = _ink(style)
    x, y = _MARGIN + column * CELL, _MARGIN + row * ROW
    if style.reverse:
        yield f'<rect class="{name}" x="{x:g}" y="{y:g}" width="{cells * CELL:g}" height="{ROW:g}"/>'
        name = "ground"
    if style.bold:
        name += " bold"
    inset = _BAR_INSET if is_bar(segment.text) else 0.0
    for is_shape, letters in groupby(segment.text, lambda letter: letter in SHAPES):
        text = "".join(letters)
        yield from shapes(text, x, y, name, inset) if is_shape else _words(text, x, y + _BASE, name)
        x += width_of(text) * CELL


def _ink(style: Style) -> str:
    if style.color is None:
        return "dim" if style.dim else "ink"
    name = _NAMES.get(style.color.name, style.color.name)
    if name not in _INKS:
        raise ValueError(f"no colour for {style.color.name} on light and on dark grounds")
    return name


_WORDS = re.compile(r"\S+(?: \S+)*")


def _words(text: str, x: float, y: float, name: str) -> Iterator[str]:
    """Write words, each group between wide gaps for itself: then no program can lose blanks."""
    for found in _WORDS.finditer(text):
        start = x + width_of(text[: found.start()]) * CELL
        wide = width_of(found.group()) * CELL
        where = f'x="{start:.5g}" y="{y:g}" textLength="{wide:.5g}" lengthAdjust="spacingAndGlyphs"'
        yield f'<text class="{name}" {where}>{escape(found.group())}</text>'
