"""What the terminal, or the file, that an answer goes to can do, and text written to it."""

from __future__ import annotations

import io
import os
import shutil
import sys
from dataclasses import dataclass
from typing import BinaryIO

from traceq.cli.options import OutputOptions
from traceq.report import Report

_PIPED_WIDTH = 120
"""Wide enough for most tables and still readable, where nobody tells."""

_LINKING = ("VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "KONSOLE_VERSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR")
_LINKING_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby"})
_LINKING_TERMS = ("alacritty", "foot", "xterm-kitty", "xterm-ghostty", "contour")


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the terminal, or the file, that the answer goes to can do."""

    width: int
    has_color: bool
    has_links: bool
    is_ascii: bool


def _standard_output(*, no_color: bool) -> Terminal:
    """Look at standard output and the environment (`COLUMNS`, `NO_COLOR`, `FORCE_COLOR`, `TERM`)."""
    is_tty = sys.stdout.isatty()
    fallback = 80 if is_tty else _PIPED_WIDTH
    forced = bool(os.environ.get("FORCE_COLOR"))
    dumb = os.environ.get("TERM") == "dumb"
    return Terminal(
        width=max(20, shutil.get_terminal_size((fallback, 24)).columns if is_tty else _columns(fallback)),
        has_color=not no_color and not os.environ.get("NO_COLOR") and (forced or (is_tty and not dumb)),
        has_links=is_tty and _draws_links(),
        is_ascii="utf" not in (sys.stdout.encoding or "").lower(),
    )


def _file_output() -> Terminal:
    """Tell what text in a file can do."""
    return Terminal(width=_columns(_PIPED_WIDTH), has_color=False, has_links=False, is_ascii=False)


def _columns(fallback: int) -> int:
    columns = os.environ.get("COLUMNS", "")
    return max(20, int(columns)) if columns.isdigit() else fallback


def _draws_links() -> bool:
    """Tell the terminals that are known to draw OSC 8 links: others may print the escape."""
    return (
        any(os.environ.get(name) for name in _LINKING)
        or os.environ.get("TERM_PROGRAM") in _LINKING_PROGRAMS
        or os.environ.get("TERM", "").startswith(_LINKING_TERMS)
    )


def write_text(report: Report, out: BinaryIO, options: OutputOptions, *, is_ascii: bool) -> None:
    """Write a report for people."""
    # Late: other formats need no rich.
    from rich.console import Console

    from traceq.render.terminal import Canvas, print_report

    terminal = _file_output() if options.output not in (None, "-") else _standard_output(no_color=options.no_color)
    is_ascii = is_ascii or terminal.is_ascii
    stream = io.TextIOWrapper(out, encoding="ascii" if is_ascii else "utf-8", errors="backslashreplace")
    console = Console(
        file=stream,
        width=terminal.width,
        force_terminal=terminal.has_color or terminal.has_links,
        no_color=not terminal.has_color,
        color_system="auto" if terminal.has_color else None,
        highlight=False,
        legacy_windows=False,
    )
    print_report(report, console, Canvas(terminal.width, is_ascii=is_ascii, has_links=terminal.has_links))
    stream.flush()
    stream.detach()
