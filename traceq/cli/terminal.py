"""What the process's own terminal can do. Nothing else asks it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass

_PIPED_WIDTH = 120
"""Wide enough for most tables and still readable, where nobody tells."""

_LINKING = ("VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "KONSOLE_VERSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR")
_LINKING_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby"})
_LINKING_TERMS = ("alacritty", "foot", "xterm-kitty", "xterm-ghostty", "contour")


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where the answer goes."""

    is_tty: bool
    width: int
    has_color: bool
    has_links: bool
    is_ascii: bool


def standard_output(*, no_color: bool) -> Terminal:
    """Look at standard output and the environment (`COLUMNS`, `NO_COLOR`, `FORCE_COLOR`, `TERM`)."""
    is_tty = sys.stdout.isatty()
    fallback = 80 if is_tty else _PIPED_WIDTH
    forced = bool(os.environ.get("FORCE_COLOR"))
    dumb = os.environ.get("TERM") == "dumb"
    return Terminal(
        is_tty=is_tty,
        width=max(20, shutil.get_terminal_size((fallback, 24)).columns if is_tty else _columns(fallback)),
        has_color=not no_color and not os.environ.get("NO_COLOR") and (forced or (is_tty and not dumb)),
        has_links=is_tty and _draws_links(),
        is_ascii="utf" not in (sys.stdout.encoding or "").lower(),
    )


def file_output() -> Terminal:
    """Tell what text in a file can do."""
    return Terminal(is_tty=False, width=_columns(_PIPED_WIDTH), has_color=False, has_links=False, is_ascii=False)


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
