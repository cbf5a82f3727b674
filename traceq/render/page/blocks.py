"""Text, tables and figures on a page: paragraphs, headings, rows of values, histograms, matrices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, assert_never

from traceq.render import is_compared, is_number, number_text
from traceq.render.page.parts import Ink, PagePart, anchor, duration_html, hued, prose, safe, trace_html
from traceq.report import (
    Column,
    Fields,
    GraphNode,
    Heading,
    Histogram,
    Line,
    Matrix,
    Part,
    Table,
    Unit,
    Value,
)
from traceq.units import format_count, format_duration

_NOTHING = '<span class="quiet">–</span>'  # noqa: RUF001 - a dash of a digit's width


_ONE_LINE = 40
"""Maximum number of characters of texts that stay on one line where there is room."""


def table_part(table: Table, ink: Ink) -> PagePart:
    """Write a table; what is compared is aligned right, and stands with its exact value in the markup."""
    if not table.rows:
        return PagePart("")
    kept = [number for number, column in enumerate(table.columns) if column.unit is not Unit.OBJECT]
    marks = {number: _mark(table.columns[number], [row[number] for row in table.rows]) for number in kept}
    heads = "".join(f'<th scope="col"{marks[number]}>{safe(table.columns[number].title)}</th>' for number in kept)
    # Where columns have no room beside each other, each cell says which it is of.
    named = {number: f' data-title="{safe(table.columns[number].title)}"' for number in kept}
    rows = (
        "".join(
            f"<td{marks[number]}{named[number]}>{_cell(table.columns[number], row[number], ink)}</td>"
            for number in kept
        )
        for row in table.rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return PagePart(
        f'<div class="scroller" tabindex="0"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _mark(column: Column[Any], values: Sequence[Value]) -> str:
    """Say how the cells of a column look."""
    if column.unit is Unit.BAR:
        return ' class="share"'
    if is_compared(column, values):
        return ' class="number"'
    is_long = any(isinstance(value, str) and len(value) > _ONE_LINE for value in values)
    return f' class="{"long" if is_long else "text"}"'


def _cell(column: Column[Any], value: Value, ink: Ink) -> str:
    if value is None:
        return _NOTHING
    if is_number(value):
        return _number(column.unit, value)
    if not isinstance(value, str):
        return _words(value)
    match column.unit:
        case Unit.SERVICE:
            return hued(value, ink)
        case Unit.TRACE_ID:
            return trace_html(value, ink)
        case _:
            return safe(value)


def _words(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    members = value if isinstance(value, Sequence) else [str(value)]
    return '<span class="quiet"> · </span>'.join(safe(str(member)) for member in members)


def _number(unit: Unit, value: float) -> str:
    if unit is Unit.BAR:
        return bar_html(value)
    if unit is Unit.DURATION:
        return duration_html(int(value))
    if unit is Unit.CHANGE:
        return duration_html(int(value), is_change=True)
    if unit is Unit.ERRORS and not value:
        return _NOTHING
    text = safe(number_text(unit, value))
    shown = f'<span class="error">{text}</span>' if unit is Unit.ERRORS else text
    return f'<data value="{value}">{shown}</data>'


def bar_html(ratio: float) -> str:
    """Draw 0..1 as a bar; what is above zero is never invisible."""
    width = max(min(ratio, 1.0) * 100, 1.0 if ratio > 0 else 0.0)
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width:.4g}" height="8"/></svg>'
    )


_BAR_HEIGHT = 60


def histogram_part(histogram: Histogram) -> PagePart:
    """Draw how durations spread; each bar tells what it counts."""
    top, cells = max(histogram.counts, default=0), len(histogram.counts)
    bars = "".join(_histogram_bar(histogram, at, top) for at in range(cells) if histogram.counts[at])
    low, high = (safe(format_duration(end)) for end in (histogram.low_ns, histogram.high_ns))
    return PagePart(
        f'<figure class="histogram"><svg viewBox="0 0 {cells * 10} {_BAR_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="durations from {low} to {high}">{bars}</svg>'
        f"<figcaption><span>{low}</span><span>{high}</span></figcaption></figure>"
    )


def _histogram_bar(histogram: Histogram, at: int, top: int) -> str:
    height = max(histogram.counts[at] / top * _BAR_HEIGHT, 1.0)
    between = " to ".join(format_duration(round(edge)) for edge in _edges(histogram, at))
    return (
        f'<rect x="{at * 10 + 0.5:g}" y="{_BAR_HEIGHT - height:.4g}" width="9" height="{height:.4g}">'
        f"<title>{safe(f'{between}: {format_count(histogram.counts[at])}')}</title></rect>"
    )


def _edges(histogram: Histogram, at: int) -> Iterator[float]:
    low = max(histogram.low_ns, 1)
    ratio = max(histogram.high_ns, 1) / low
    for edge in (at, at + 1):
        yield low * ratio ** (edge / len(histogram.counts))


def fields_part(fields: Fields) -> PagePart:
    """Write names and values."""
    pairs = "".join(f"<dt>{safe(name)}</dt><dd>{prose(value)}</dd>" for name, value in fields.pairs)
    return PagePart(f"<dl>{pairs}</dl>")


def matrix_part(matrix: Matrix) -> PagePart:
    """Write a row a caller and a column a callee, those left out who call nobody or whom nobody calls."""
    cells: dict[tuple[str, str], list[str]] = {}
    for edge in matrix.edges:
        cells.setdefault((edge.source, edge.target), []).append(edge.short_label or edge.label)
    callers = [node for node in matrix.nodes if any(source == node.node_id for source, _ in cells)]
    callees = [node for node in matrix.nodes if any(target == node.node_id for _, target in cells)]
    heads = "".join(f'<th scope="col" class="number"><span>{safe(node.label)}</span></th>' for node in callees)
    rows = "".join(
        f'<tr><th scope="row">{safe(node.label)}</th>{"".join(_square(cells, node, callee) for callee in callees)}</tr>'
        for node in callers
    )
    return PagePart(
        f'<div class="scroller" tabindex="0"><table class="matrix"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _square(cells: dict[tuple[str, str], list[str]], caller: GraphNode, callee: GraphNode) -> str:
    labels = cells.get((caller.node_id, callee.node_id))
    return f'<td class="number">{safe(" + ".join(labels)) if labels else _NOTHING}</td>'


_TRACE = re.compile(r"\b(trace )([0-9a-f]{32}|[0-9a-f]{16})\b")
_FIGURES = re.compile(r"^ +|  +")
"""Blanks that put figures of several lines below each other, in a terminal."""
_BEGINS_WITH_FIGURES = re.compile(r" *[-\d<]")
_FIGURE_SPACE = "\u2007"
_HANGS = 2
"""Number of blanks from which a line belongs to the one above, unless it begins with figures in columns."""


def lines_part(lines: Sequence[Line], ink: Ink) -> PagePart:
    """Write lines: blank ones part paragraphs, and a line that is strong as a whole is a heading."""
    pieces = []
    for is_blank, group in groupby(lines, lambda line: not line.parts):
        if not is_blank:
            pieces.append(f'<div class="lines">{"".join(_line(line, ink) for line in group)}</div>')
    return PagePart("".join(pieces))


def heading_part(heading: Heading) -> PagePart:
    """Begin a part of the page."""
    return PagePart(f'<h2 class="section" id="{anchor(heading.text)}">{safe(heading.text)}</h2>')


def _line(line: Line, ink: Ink) -> str:
    roles = [part.role for part in line.parts]
    first = line.parts[0].text
    if roles[0] == "strong" and set(roles[1:]) <= {"dim"}:
        level = 3 if ink.is_part else 2
        aside = "".join(_run(part, ink) for part in line.parts[1:])
        return f"<h{level}>{prose(first.strip())}{f' <small>{aside}</small>' if aside else ''}</h{level}>"
    if not line.wraps:
        return f'<p class="copied">{"".join(_run(part, ink) for part in line.parts)}</p>'
    blanks = len(first) - len(first.lstrip(" "))
    if blanks >= _HANGS and (len(line.parts) == 1 or not _BEGINS_WITH_FIGURES.match(first)):
        parts = (Part(first[blanks:], roles[0]), *line.parts[1:])
        return f'<p class="hangs">{"".join(_run(part, ink) for part in parts)}</p>'
    if blanks:
        parts = (Part(_FIGURES.sub(lambda found: _FIGURE_SPACE * len(found[0]), first), roles[0]), *line.parts[1:])
        return f"<p>{''.join(_run(part, ink) for part in parts)}</p>"
    return f"<p>{''.join(_run(part, ink) for part in line.parts)}</p>"


def _run(part: Part, ink: Ink) -> str:
    match part.role:
        case "plain":
            return _linked(part.text, ink)
        case "service":
            return hued(part.text, ink)
        case "strong" | "dim" | "error" | "hint":
            return f'<span class="{part.role}">{_linked(part.text, ink)}</span>'
    assert_never(part.role)


def _linked(text: str, ink: Ink) -> str:
    """Write text, in it ids of traces as they stand in tables."""
    return _TRACE.sub(lambda found: found[1] + trace_html(found[2], ink), prose(text))
