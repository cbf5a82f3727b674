"""The answer on its way out: which format, where to, whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import typer

from traceq.cli.messages import tell, warning_lines
from traceq.cli.options import OutputOptions
from traceq.query import Asked
from traceq.render import GRAPH_FORMATS, SUFFIXES, Format, drawn
from traceq.report import Report
from traceq.writing import replacing

_PIPED_WIDTH = 120
"""Wide enough for most tables and still readable, where nobody tells."""

_LINKING = ("VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "KONSOLE_VERSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR")
_LINKING_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby"})
_LINKING_TERMS = ("alacritty", "foot", "xterm-kitty", "xterm-ghostty", "contour")


def chosen_format(options: OutputOptions) -> Format:
    """Give the format: as asked, else by the output file's suffix, else text."""
    if options.format is not None:
        return options.format
    suffix = Path(options.output).suffix if options.output else ""
    return SUFFIXES.get(suffix.lower(), "text")


def check_output(options: OutputOptions) -> None:
    """Refuse an output that cannot be written before anything long is done.

    Raises:
        typer.BadParameter: If the format is one for graphs, or the file's folder does not exist or cannot be written
            to, or it is a folder itself.
    """
    refuse_graph_format(chosen_format(options))
    if options.output in (None, "-"):
        return
    path = Path(options.output or "")
    if path.is_dir():
        raise typer.BadParameter(f"'{path}' is a directory", param_hint="--output")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no directory '{path.parent}'", param_hint="--output")
    if not os.access(path.parent, os.W_OK) and not _is_special(path):
        raise typer.BadParameter(f"cannot write to the directory '{path.parent}'", param_hint="--output")


def refuse_graph_format(chosen: Format) -> None:
    """Refuse a format that only graphs can be written in.

    Raises:
        typer.BadParameter: If it is one.
    """
    if chosen in GRAPH_FORMATS:
        raise typer.BadParameter(f"{chosen} is for graphs: `traceq deps` draws one", param_hint="--format")


def emit(report: Report, asked: Asked, options: OutputOptions, *, is_ascii: bool = False) -> None:
    """Write an answer to standard output or a file, and what there is to say besides to standard error.

    Args:
        report: The answer.
        asked: What was asked, and how it was answered.
        options: Where to, and how.
        is_ascii: Whether text is to be ASCII even where the terminal can do more.

    Raises:
        typer.BadParameter: If the format is one for graphs and the answer is none, or the file cannot be written.
    """
    chosen = chosen_format(options)
    if report.graph is None:
        refuse_graph_format(chosen)
    with destination(options.output) as out:
        if chosen == "text":
            _write_text(report, out, options, is_ascii=is_ascii)
        else:
            out.write(_rendered(report, asked, chosen).encode("utf-8", "backslashreplace"))
    if not options.quiet:
        for note in asked.notes:
            tell("note", note)
        for line in warning_lines(asked.warnings, asked.warning_counts):
            tell("warning", line)


def _rendered(report: Report, asked: Asked, chosen: Format) -> str:
    if chosen == "json":
        from traceq.render.json import render_json

        return render_json(head(report.command, asked), report.document)
    if chosen == "ndjson":
        from traceq.render.json import render_ndjson

        return render_ndjson(report.records)
    if chosen == "csv":
        from traceq.render.csv import render_csv

        return render_csv(report.records)
    if chosen == "text" or report.graph is None:
        raise ValueError(f"{chosen} is not written like this")
    return drawn(report.graph, chosen)


def head(command: str, asked: Asked) -> dict[str, object]:
    """Give what every JSON document begins with."""
    return {
        "schema": f"traceq.{command}/1",
        "source": asked.location,
        "query": dict(asked.query),
        "is_cut_off": asked.is_cut_off,
        "notes": list(asked.notes),
        "warnings": [
            {
                "code": warning.code,
                "trace_id": warning.trace_id,
                "span_id": warning.span_id or None,
                "message": warning.message,
            }
            for warning in asked.warnings
        ],
        "warning_counts": dict(sorted(asked.warning_counts.items())),
    }


def _write_text(report: Report, out: BinaryIO, options: OutputOptions, *, is_ascii: bool) -> None:
    import io

    from rich.console import Console

    from traceq.render.terminal import Canvas, print_report

    terminal = _terminal(options)
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


def _terminal(options: OutputOptions) -> Terminal:
    to_file = options.output not in (None, "-")
    return _file_output() if to_file else _standard_output(no_color=options.no_color)


@contextmanager
def destination(path: str | None) -> Iterator[BinaryIO]:
    """Open standard output, or a file that appears under its name only when everything is written.

    Raises:
        typer.BadParameter: If the file cannot be written.
    """
    if path in (None, "-"):
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path or "")
    with failures_told(target):
        if _is_special(target):
            with target.open("wb") as out:
                yield out
        else:
            with replacing(target) as out:
                yield out


@contextmanager
def failures_told(target: Path) -> Iterator[None]:
    """Turn a file or directory that cannot be written into a usage error.

    Raises:
        typer.BadParameter: If the system refuses to write.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise typer.BadParameter(f"cannot write '{target}': {reason}", param_hint="--output") from error


def _is_special(path: Path) -> bool:
    """Tell pipes and devices, which have to be written in place."""
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the terminal, or the file, that the answer goes to can do."""

    is_tty: bool
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
        is_tty=is_tty,
        width=max(20, shutil.get_terminal_size((fallback, 24)).columns if is_tty else _columns(fallback)),
        has_color=not no_color and not os.environ.get("NO_COLOR") and (forced or (is_tty and not dumb)),
        has_links=is_tty and _draws_links(),
        is_ascii="utf" not in (sys.stdout.encoding or "").lower(),
    )


def _file_output() -> Terminal:
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
