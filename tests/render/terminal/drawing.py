"""Drawings as text, for tests."""

from __future__ import annotations

import io
import unicodedata

from rich.cells import cell_len
from rich.console import Console

from tests.render.terminal.samples import report
from traceq.render.terminal import Canvas, draw, print_lines
from traceq.report import Block, Report


def printed(shown: Report, canvas: Canvas) -> str:
    """Print a report the way a pipe would get it."""
    file = io.StringIO()
    print_lines(draw(shown, canvas), Console(file=file, width=80, color_system=None))
    return file.getvalue()


def coloured(shown: Report, canvas: Canvas) -> str:
    """Print a report the way a terminal would get it."""
    file = io.StringIO()
    print_lines(draw(shown, canvas), Console(file=file, width=80, force_terminal=True, color_system="256"))
    return file.getvalue()


def lines(block: Block, width: int = 80, *, is_ascii: bool = False) -> list[str]:
    """Draw one block."""
    return ["".join(segment.text for segment in strip) for strip in draw(report(block), Canvas(width, is_ascii))]


def assert_fits(drawn: list[str], width: int) -> None:
    """No line is too wide, none ends in blanks and none holds what a terminal would obey."""
    for line in drawn:
        assert cell_len(line) <= width, line
        assert line == line.rstrip()
        shown = line.replace("\u200d", "")
        assert not any(unicodedata.category(character).startswith("C") for character in shown), ascii(line)
