"""What the terminal, or the file, that an answer goes to can do; text written to it, or to a pager."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, BinaryIO, Literal, TextIO

from msgspec import Struct

from traceq.cli.outputs import OutputOptions
from traceq.report import Report

if TYPE_CHECKING:
    from traceq.render.terminal import Strip

_PIPED_WIDTH = 120
"""Wide enough for most tables and still readable, where nobody tells."""

_LINKING = ("VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "KONSOLE_VERSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR")
_LINKING_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby"})
_LINKING_TERMS = ("alacritty", "foot", "xterm-kitty", "xterm-ghostty", "contour")


class Terminal(Struct, frozen=True):
    """What the terminal, or the file, that the answer goes to can do."""

    width: int
    has_color: bool
    has_links: bool
    is_ascii: bool
    pager: str = ""
    """The command of the pager for what is longer than the screen; empty for none."""
    height: int = 0
    """Lines of the screen."""


def _standard_output(options: OutputOptions) -> Terminal:
    """Look at standard output and the environment (`COLUMNS`, `NO_COLOR`, `FORCE_COLOR`, `TERM`)."""
    is_tty = is_terminal()
    size = shutil.get_terminal_size((80, 24))
    return Terminal(
        width=max(20, size.columns if is_tty else columns(_width_beyond_pipe() or _PIPED_WIDTH)),
        has_color=_has_color(options, is_tty=is_tty),
        has_links=is_tty and _draws_links(),
        # A stream of text alone takes every character.
        is_ascii=hasattr(sys.stdout, "buffer") and "utf" not in (sys.stdout.encoding or "").lower(),
        pager=pager() if is_tty and not options.no_pager else "",
        height=size.lines,
    )


def _has_color(options: OutputOptions, *, is_tty: bool) -> bool:
    """Decide about colours: what was typed counts most, then `NO_COLOR`, then `FORCE_COLOR`, then the terminal."""
    if options.no_color or options.color != "auto":
        return options.color == "always" and not options.no_color
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (is_tty and os.environ.get("TERM") != "dumb")


def _width_beyond_pipe() -> int | None:
    """Measure the terminal in which a pipe most likely ends (`... | less -R`); None for files, and without one."""
    out = _number(sys.stdout)
    if out is None or not stat.S_ISFIFO(os.fstat(out).st_mode):
        return None
    # Warnings may go elsewhere: `traceq show ID 2>/dev/null | less -R`.
    numbers = map(_number, (sys.stderr, sys.stdin))
    return next((os.get_terminal_size(at).columns for at in numbers if at is not None and os.isatty(at)), None)


def is_terminal() -> bool:
    """Whether people read standard output as it comes; notebooks are none, whatever they say."""
    return sys.stdout.isatty() and _number(sys.stdout) is not None


def _number(stream: TextIO | None) -> int | None:
    """Give the file number of a stream; None for one without, as in notebooks and of who collects the output."""
    try:
        return None if stream is None else stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Give standard output for bytes, also where somebody has put a stream of text alone in its place."""
    sys.stdout.flush()
    if hasattr(sys.stdout, "buffer"):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with io.BytesIO() as out:
        yield out
        sys.stdout.write(out.getvalue().decode("utf-8", "backslashreplace"))


def _file_output(options: OutputOptions) -> Terminal:
    """Tell what text in a file can do."""
    has_color = options.color == "always" and not options.no_color
    return Terminal(width=columns(), has_color=has_color, has_links=False, is_ascii=False)


def columns(fallback: int = _PIPED_WIDTH) -> int:
    """Give the width that `COLUMNS` tells."""
    told = os.environ.get("COLUMNS", "")
    return max(20, int(told)) if told.isdigit() else fallback


def _draws_links() -> bool:
    """Tell the terminals that are known to draw OSC 8 links: others may print the escape."""
    return (
        any(os.environ.get(name) for name in _LINKING)
        or os.environ.get("TERM_PROGRAM") in _LINKING_PROGRAMS
        or os.environ.get("TERM", "").startswith(_LINKING_TERMS)
    )


def write_text(report: Report, out: BinaryIO, options: OutputOptions, *, is_ascii: bool) -> None:
    """Write a report for people, by way of a pager where it is longer than the screen."""
    # Late: other formats need no rich.
    from traceq.render.terminal import Canvas, draw, without_links

    terminal = _file_output(options) if options.output not in (None, "-") else _standard_output(options)
    is_ascii = is_ascii or terminal.is_ascii
    lines = draw(report, Canvas(terminal.width, is_ascii=is_ascii, has_links=terminal.has_links))
    first = list(islice(lines, terminal.height if terminal.pager else 0))
    lines = chain(first, lines)
    if not terminal.pager or len(first) < terminal.height:
        _write(lines, out, terminal, is_ascii=is_ascii)
        return
    with paged(terminal.pager) as shown:
        # Older versions of less show what makes a link.
        _write(without_links(lines), shown, terminal, is_ascii=is_ascii)


def _write(lines: Iterator[Strip], out: IO[bytes], terminal: Terminal, *, is_ascii: bool) -> None:
    from rich.console import Console

    from traceq.render.terminal import print_lines

    stream = io.TextIOWrapper(out, encoding="ascii" if is_ascii else "utf-8", errors="backslashreplace")
    console = Console(
        file=stream,
        width=terminal.width,
        force_terminal=terminal.has_color or terminal.has_links,
        no_color=not terminal.has_color,
        color_system=_color_system() if terminal.has_color else None,
        highlight=False,
        legacy_windows=False,
    )
    try:
        print_lines(lines, console)
        stream.flush()
    finally:
        stream.detach()


def _color_system() -> Literal["256", "truecolor"]:
    """Tell how colours are written: all terminals of today know 256, and pipes know no `TERM`."""
    return "truecolor" if os.environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"} else "256"


_DEFAULT = "less -FRX"


def pager() -> str:
    """Give the command of the pager: `TRACEQ_PAGER`, `PAGER`, else less; empty for none, and where it is not there."""
    told = next((os.environ[name] for name in ("TRACEQ_PAGER", "PAGER") if name in os.environ), _DEFAULT)
    try:
        words = shlex.split(told)
    except ValueError:
        return told  # the shell will say what is wrong with it
    return told if words and words != ["cat"] and shutil.which(words[0]) else ""


@contextmanager
def paged(command: str) -> Iterator[IO[bytes]]:
    """Give what the pager shows, and wait for its end; that its reader leaves early is no failure."""
    # Late: most answers fit the screen.
    import subprocess

    # As git does: what its user has set is left alone. A pager may be a pipeline, which needs the shell.
    environment = {"LESS": "FRX", "LV": "-c"} | os.environ
    shell = ["/bin/sh", "-c", command]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, env=environment) as process:  # noqa: S603 - the user's own
        # Ctrl-C is the pager's: it stops a search, say. Set afterwards, or the pager would ignore it as well.
        interrupts = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    yield process.stdin
                with suppress(BrokenPipeError):
                    process.stdin.close()
            process.wait()
        finally:
            signal.signal(signal.SIGINT, interrupts)
