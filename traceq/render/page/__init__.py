"""A report as a page: one file, to be opened from disk, sent, printed.

A block becomes a part: markup with what it brings along (`parts.PagePart`). The page around the parts asks nobody for
anything, and its policy forbids it to. Styles and scripts are the files beside these modules.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import assert_never

from traceq.render import Imprint
from traceq.render.hues import hues_of
from traceq.render.page.blocks import (
    fields_part,
    heading_part,
    histogram_part,
    lines_part,
    matrix_part,
    table_part,
)
from traceq.render.page.charts import flame_part, heat_map_part, timeline_part
from traceq.render.page.graph import graph_part
from traceq.render.page.parts import Ink, PagePart, anchor, joined, resource, safe
from traceq.render.records import encode
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
    return _document(imprint, list(_parts(blocks, ink)), joined(_parts(report.footer, ink)), headings)


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


_UNSAFE = re.compile("[<>&\u2028\u2029]")
"""Within a script element `</script` and `<!--` end or change something; old scripts end lines at the last two."""


def _document(imprint: Imprint, parts: Sequence[PagePart], footer: PagePart, headings: Sequence[str] = ()) -> str:
    """Write a page.

    Args:
        imprint: What the page says of itself.
        parts: The answer, in the order in which it is read.
        footer: What was looked at, and what to do next.
        headings: Of the parts that can be jumped to.
    """
    styles = _distinct([resource("page.css"), *(part.style for part in parts)])
    scripts = _distinct([resource("page.js"), *(part.script for part in parts)])
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(styles, scripts)}">',
        '<meta name="viewport" content="width=device-width">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{safe(imprint.title)}</title>",
        *(f"<style>{style}</style>" for style in styles),
        "</head>",
        "<body>",
        _header(imprint),
        _navigation(headings),
        "<main>",
        *(_mounted(part, number) for number, part in enumerate(parts)),
        "</main>",
        f"<footer>{footer.html}</footer>",
        *(f"<script>{script}</script>" for script in scripts),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """Allow these styles and scripts and nothing else: no network, no forms, no markup made by scripts."""
    return (
        f"default-src 'none'; style-src {_hashes(styles)}; script-src {_hashes(scripts)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _header(imprint: Imprint) -> str:
    facts = [
        fact for fact in (imprint.window, imprint.source, imprint.written and f"written {imprint.written}") if fact
    ]
    told = "".join(f"<span>{safe(fact)}</span>" for fact in facts)
    remarks = "".join(f"<li>{safe(remark)}</li>" for remark in imprint.remarks)
    return (
        f'<header><h1>{safe(imprint.title)}</h1><p class="about">{told}</p>'
        + (f'<ul class="remarks">{remarks}</ul>' if remarks else "")
        + "</header>"
    )


def _navigation(headings: Sequence[str]) -> str:
    links = "".join(f'<a href="#{anchor(heading)}">{safe(heading)}</a>' for heading in headings)
    return f"<nav>{links}</nav>" if links else ""


def _mounted(part: PagePart, number: int) -> str:
    if not part.name:
        return part.html
    data = _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", encode(part.data))
    return (
        f'<div class="part {part.name}" id="part-{number}" data-part="{part.name}">{part.html}'
        f'<script type="application/json">{data}</script></div>'
    )
