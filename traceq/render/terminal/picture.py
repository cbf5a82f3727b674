"""An answer as a picture of what a terminal shows: SVG, in which boxes, bars and blocks are paths.

As paths they join, whatever font letters have.
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
    inset = _BAR_INSET if _is_bar(segment.text) else 0.0
    for is_shape, letters in groupby(segment.text, lambda letter: letter in SHAPES):
        text = "".join(letters)
        yield from _shapes(text, x, y, name, inset) if is_shape else _words(text, x, y + _BASE, name)
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


CELL, ROW = 8.4, 18.0
"""The size of a cell in pixels."""
_LIGHT, _HEAVY, _APART = 1.3, 3.4, 2.0
"""How thick strokes are, and how far each of a double one is from the middle."""

_STRAIGHT = (
    "─0101 ━0202 │1010 ┌0110 ┐0011 └1100 ┘1001 ├1110 ┤1011 ┬0111 ┴1101 ┼1111 ╴0001 ╶0100 ╸0002 ╺0200 ╼0201 ╾0102"
)
_ARMS: Mapping[str, str] = {entry[0]: entry[1:] for entry in _STRAIGHT.split()}
"""How thick the strokes to the north, east, south and west are: 0 for none, 1 light, 2 heavy."""
_DASHES: Mapping[str, tuple[int, float, bool]] = {
    "┄": (3, _LIGHT, False),
    "┅": (3, _HEAVY, False),
    "╌": (2, _LIGHT, False),
    "┆": (3, _LIGHT, True),
    "╎": (2, _LIGHT, True),
}
"""How many dashes a cell has, how thick they are, and whether they stand upright."""
_ROUNDED: Mapping[str, tuple[int, int]] = {"╭": (1, 1), "╮": (-1, 1), "╯": (-1, -1), "╰": (1, -1)}
"""To which sides a round corner opens: right or left, down or up."""
_DOUBLE: Mapping[str, tuple[int, int]] = {"╔": (1, 1), "╗": (-1, 1), "╝": (-1, -1), "╚": (1, -1)}
_LOWER, _LEFT = "▁▂▃▄▅▆▇█", "▏▎▍▌▋▊▉█"
"""Blocks from an eighth to all of a cell, from below and from the left."""

SHAPES = frozenset("".join((*_ARMS, *_DASHES, *_ROUNDED, *_DOUBLE, "═║", _LOWER, _LEFT)))
"""The characters that are drawn."""


def _is_bar(text: str) -> bool:
    """Tell a bar, which lies and stays clear of the bars above and below, from blocks that stand, as in histograms."""
    return bool(text.strip()) and not text.strip().strip(_LEFT)


def _shapes(text: str, x: float, y: float, name: str, inset: float = 0.0) -> Iterator[str]:
    """Draw characters of `SHAPES` from this corner on; alike ones beside each other are one shape.

    Args:
        text: The characters.
        x: The left end.
        y: The upper end of the row.
        name: The class of what is drawn.
        inset: How far blocks stay below and above the ends of the row.
    """
    paths: dict[float, list[str]] = {}
    for letter, run in groupby(text):
        cells = len(list(run))
        for thickness, path in _drawn(letter, x, y, cells, inset):
            paths.setdefault(thickness, []).append(path)
        x += cells * CELL
    for thickness, parts in sorted(paths.items()):
        data = "".join(parts)
        if thickness:
            yield f'<path class="{name}" stroke-width="{thickness:g}" d="{data}"/>'
        else:
            yield f'<path class="{name} fill" d="{data}"/>'


def _drawn(letter: str, x: float, y: float, cells: int, inset: float) -> Iterator[tuple[float, str]]:
    """Give the strokes of a run, each with its thickness; 0 for what is filled."""
    middle, end = y + ROW / 2, x + cells * CELL
    if letter in "─━":
        yield (_LIGHT if letter == "─" else _HEAVY), f"M{x:.1f} {middle:.1f}H{end:.1f}"
    elif letter == "═":
        for shift in (-_APART, _APART):
            yield _LIGHT, f"M{x:.1f} {middle + shift:.1f}H{end:.1f}"
    elif letter in _LOWER:
        high = (ROW - 2 * inset) * (_LOWER.index(letter) + 1) / 8
        yield 0, f"M{x:.1f} {y + ROW - inset - high:.2f}H{end:.1f}v{high:.2f}H{x:.1f}z"
    else:
        for cell in range(cells):
            yield from _cell(letter, x + cell * CELL, y, inset)


def _cell(letter: str, x: float, y: float, inset: float) -> Iterator[tuple[float, str]]:
    across, down = x + CELL / 2, y + ROW / 2
    if letter in _LEFT:
        wide = CELL * (_LEFT.index(letter) + 1) / 8
        yield 0, f"M{x:.1f} {y + inset:.1f}h{wide:.2f}v{ROW - 2 * inset:.1f}h{-wide:.2f}z"
    elif letter in _DASHES:
        yield _dashes(letter, x, y)
    elif letter in _ROUNDED:
        right, low = _ROUNDED[letter]
        side, end = across + right * CELL / 2, down + low * ROW / 2
        bend = CELL / 2
        yield (
            _LIGHT,
            f"M{side:.1f} {down:.1f}Q{across:.1f} {down:.1f} {across:.1f} {down + low * bend:.1f}V{end:.1f}",
        )
    elif letter == "║" or letter in _DOUBLE:
        yield from _double(letter, across, down)
    else:
        yield from _arms(letter, across, down)


def _arms(letter: str, across: float, down: float) -> Iterator[tuple[float, str]]:
    sides = ((0.0, -1.0, ROW), (1.0, 0.0, CELL), (0.0, 1.0, ROW), (-1.0, 0.0, CELL))
    for weight, (right, low, length) in zip(_ARMS[letter], sides, strict=True):
        if weight != "0":
            # Half a stroke before the middle, so that corners are closed.
            start = f"M{across - right * _LIGHT / 2:.2f} {down - low * _LIGHT / 2:.2f}"
            way = f"L{across + right * length / 2:.1f} {down + low * length / 2:.1f}"
            yield (_LIGHT if weight == "1" else _HEAVY), start + way


def _dashes(letter: str, x: float, y: float) -> tuple[float, str]:
    count, thickness, is_upright = _DASHES[letter]
    step = (ROW if is_upright else CELL) / count
    starts = [(number + 0.2) * step for number in range(count)]
    if is_upright:
        return thickness, "".join(f"M{x + CELL / 2:.1f} {y + start:.2f}v{0.6 * step:.2f}" for start in starts)
    return thickness, "".join(f"M{x + start:.2f} {y + ROW / 2:.1f}h{0.6 * step:.2f}" for start in starts)


def _double(letter: str, across: float, down: float) -> Iterator[tuple[float, str]]:
    if letter == "║":
        for shift in (-_APART, _APART):
            yield _LIGHT, f"M{across + shift:.1f} {down - ROW / 2:.1f}v{ROW:.1f}"
        return
    right, low = _DOUBLE[letter]
    for shift in (-_APART, _APART):
        corner = across + right * shift, down + low * shift
        side, end = across + right * CELL / 2, down + low * ROW / 2
        yield _LIGHT, f"M{side:.1f} {corner[1]:.1f}H{corner[0]:.1f}V{end:.1f}"
