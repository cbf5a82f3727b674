"""A report as Markdown, to be pasted into an issue, a wiki or a chat (GitHub's dialect, which most pages know)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, assert_never
from urllib.parse import quote

from traceq.render import COMPARED, Imprint, number_text
from traceq.render.drawings import render_mermaid
from traceq.report import (
    Block,
    Column,
    Fields,
    Flame,
    Graph,
    Heading,
    HeatMap,
    Histogram,
    Line,
    Matrix,
    Part,
    Report,
    Table,
    Timeline,
    Unit,
    Value,
)
from traceq.untrusted import printable

_DRAWN_WIDTH = 100
"""The width of what is drawn with characters."""

_MEANING = re.compile(
    r"[\\`*\[\]<>&|~$@]|\{(?=[{%])"  # marks, markup, entities, cells, mathematics, templates, who would be notified
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it means nothing
    r"|:(?=//)|(?<=www)\."  # what would become a link
    r"|#(?=\w)"  # what would become a link to an issue
)
_AT_START = re.compile(r"^([-+#=]|\d+(?=[.)](?:\s|$)))")
"""What begins a list, a heading or a rule where a line begins."""
_WEB = ("http://", "https://")


def render_markdown(report: Report, imprint: Imprint) -> str:
    """Write a report as Markdown that reads well as text, too."""
    blocks = report.blocks
    if report.graph is not None and not any(isinstance(block, Graph) for block in blocks):
        blocks = (report.graph, *blocks)
    # Below headings of parts those within a part are a level deeper.
    marks = "###" if any(isinstance(block, Heading) for block in blocks) else "##"
    pieces = [f"# {escaped(imprint.title)}", *_about(imprint)]
    pieces += _written(blocks, report.trace_url, marks)
    pieces += _written(report.footer, report.trace_url, marks)
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _about(imprint: Imprint) -> Iterator[str]:
    written = f"written {imprint.written}" if imprint.written else ""
    yield _paragraph(" · ".join(escaped(fact) for fact in (imprint.window, imprint.source, written) if fact))
    yield "\n".join(f"> {_paragraph(escaped(remark))}  " for remark in imprint.remarks)


def _written(blocks: Sequence[Block], trace_url: str, marks: str) -> Iterator[str]:
    for is_text, group in groupby(blocks, lambda block: isinstance(block, Line)):
        for block in group if not is_text else ():
            yield _block(block, trace_url)
        if is_text:
            yield from _paragraphs((block for block in group if isinstance(block, Line)), marks)


def _block(block: Block, trace_url: str) -> str:
    match block:
        case Table():
            return _table(block, trace_url)
        case Timeline() | Matrix() | Histogram() | HeatMap() | Flame():
            return _drawn(block)
        case Heading():
            return f"## {escaped(block.text)}"
        case Graph():
            return _fenced(render_mermaid(block.whole or block), "mermaid")
        case Fields():
            return _pairs(block)
        case Line():
            return "\n\n".join(_paragraphs([block], "##"))
    assert_never(block)


def escaped(text: str) -> str:
    """Take away what text from traces would mean in Markdown and in HTML, and leave it readable."""
    return _MEANING.sub(_escape, printable(text))


def _escape(found: re.Match[str]) -> str:
    sign = found.group()
    # An entity where a page looks at what is shown, and not at what is written.
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "@&#8288;"}.get(sign, f"\\{sign}")


def _paragraphs(lines: Iterable[Line], marks: str) -> Iterator[str]:
    """Write lines: blank ones part paragraphs, a line that is strong as a whole is a heading."""
    for is_blank, group in groupby(lines, lambda line: not line.parts):
        if is_blank:
            continue
        for is_heading, some in groupby(group, _is_heading):
            if is_heading:
                yield from (f"{marks} {escaped(line.parts[0].text)}" for line in some)
            else:
                # Two blanks at the end keep the lines apart.
                yield "  \n".join(map(_line, some))


def _is_heading(line: Line) -> bool:
    return [part.role for part in line.parts] == ["strong"]


def _line(line: Line) -> str:
    if not line.wraps:
        return _code("".join(part.text for part in line.parts))
    return _paragraph("".join(_runs(line.parts)))


def _paragraph(text: str) -> str:
    """Take away what a line would mean by what it begins with, and blanks that only a terminal shows."""
    return _AT_START.sub(_unlisted, re.sub(" {2,}", " ", text).strip())


def _unlisted(found: re.Match[str]) -> str:
    return f"{found[1]}\\" if found[1].isdigit() else f"\\{found[1]}"


def _runs(parts: Sequence[Part]) -> Iterator[str]:
    for before, part, after in zip(("", *(each.text for each in parts)), parts, (*parts[1:], None), strict=False):
        text, core = escaped(part.text), escaped(part.text.strip())
        # Within a word marks may be taken for themselves.
        is_word = f" {before}"[-1].isalnum() or (after is not None and after.text[:1].isalnum())
        if part.role in {"strong", "error"} and core and not (is_word and text == core):
            start = text.index(core)
            text = f"{text[:start]}**{core}**{text[start + len(core) :]}"
        yield text


def _code(text: str) -> str:
    """Write text that is to be copied, within more backticks than it has in a row."""
    shown = printable(text).strip()
    ticks = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    padding = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{ticks}{padding}{shown}{padding}{ticks}"


def _fenced(text: str, language: str = "text") -> str:
    ticks = "`" * max(3, max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _drawn(block: Block) -> str:
    """Draw with characters, as in a terminal."""
    # Late: it needs rich.
    from traceq.render.terminal import Canvas, draw

    strips = draw(Report("", {}, Table((), ()), (block,)), Canvas(_DRAWN_WIDTH))
    return _fenced("\n".join("".join(segment.text for segment in strip) for strip in strips))


def _pairs(fields: Fields) -> str:
    lines = [f"| {escaped(name)} | {escaped(value)} |" for name, value in fields.pairs]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _table(table: Table, trace_url: str) -> str:
    if not table.rows:
        return ""
    # A bar says what the number beside it says.
    kept = [at for at, column in enumerate(table.columns) if column.unit not in {Unit.BAR, Unit.OBJECT}]
    columns = [table.columns[at] for at in kept]
    heads = " | ".join(escaped(column.title) for column in columns)
    rules = " | ".join("---:" if column.unit in COMPARED else "---" for column in columns)
    rows = (
        " | ".join(_cell(column, row[at], trace_url) for column, at in zip(columns, kept, strict=True))
        for row in table.rows
    )
    return "\n".join([f"| {heads} |", f"| {rules} |", *(f"| {row} |" for row in rows)])


def _cell(column: Column[Any], value: Value, trace_url: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(column.unit, value)
    if not isinstance(value, str):
        return " · ".join(escaped(str(member)) for member in value)
    return _trace(value, trace_url) if column.unit is Unit.TRACE_ID else escaped(value)


def _number(unit: Unit, value: float) -> str:
    text = number_text(unit, value)
    if unit is Unit.ERRORS:
        return f"**{text}**" if value else "-"
    return escaped(text) if unit is Unit.RATIO else text


def _trace(trace_id: str, trace_url: str) -> str:
    link = trace_url.replace("{trace_id}", quote(trace_id, safe=""))
    if not link.lower().startswith(_WEB):
        return _code(trace_id).replace("|", "\\|")
    return f"[{escaped(trace_id)}](<{re.sub(r'[<>|]', lambda found: quote(found[0]), printable(link))}>)"
