"""Lines of text on a page: paragraphs, headings, and what hangs below them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import assert_never

from traceq.render.page.parts import Ink, PagePart, anchor, hued, prose, safe, trace_html
from traceq.report import Heading, Line, Part

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
