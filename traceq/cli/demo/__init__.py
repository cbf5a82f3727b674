"""`traceq demo`: the main questions on traces that come with traceq."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from traceq.cli import main
from traceq.cli.options import DEFAULT_SOURCE

SLOW_TRACE = "e0eecb5348b9eba372d8056ec85eca9c"
"""A slow request among the traces."""
STEPS = (
    ("Which requests took long?", "search --min-duration 500ms"),
    ("What held one of them up?", f"show {SLOW_TRACE}"),
    ("What makes requests slow, over all of them?", "bottlenecks chat-service"),
)
"""Questions, and the commands that answer them."""
_ABOUT = "Traces of a chat product, recorded for this purpose. To type the commands yourself:"
_NEXT = (
    ("deps", "who calls whom"),
    ("flame chat-service", "which calls of which callers the time goes to"),
    ("findings friend-service", "what is worth a change"),
    ("report chat-service -o report.html", "all of it on a page, to be sent"),
)


class DemoOptions(Struct, frozen=True):
    """The options of `demo`."""

    path: Annotated[bool, typer.Option("--path", help="Only print where the traces are, for --source.")] = False


def demo(options: DemoOptions) -> None:
    """Show what traceq answers, on traces of a chat product that come with it; no server is needed.

    Each command is shown with its answer, and can be typed as it is shown once TRACEQ_SOURCE is set.

    Examples:
      traceq demo

      traceq deps --source "$(traceq demo --path)"
    """
    with _sample() as path:
        if options.path:
            typer.echo(path)
            return
        typer.echo(f"{_ABOUT}\n\n  export TRACEQ_SOURCE={shlex.quote(str(path))}")
        with _source(path):
            for question, command in STEPS:
                typer.echo(f"\n{question}\n$ traceq {command}\n")
                sys.stdout.flush()
                code = main((*shlex.split(command), "--no-pager"))
                if code:
                    raise typer.Exit(code)
        typer.echo(f"\n{_how_to_go_on()}")


@contextmanager
def _sample() -> Iterator[Path]:
    with as_file(files("traceq.cli.demo") / "chat.json.gz") as path:
        yield path


@contextmanager
def _source(path: Path) -> Iterator[None]:
    """Make the traces the source of commands that name none."""
    before = os.environ.get("TRACEQ_SOURCE")
    os.environ["TRACEQ_SOURCE"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TRACEQ_SOURCE"]
        else:
            os.environ["TRACEQ_SOURCE"] = before


def _how_to_go_on() -> str:
    width = max(len(command) for command, _ in _NEXT)
    lines = [f"  traceq {command:<{width}}  {what}" for command, what in _NEXT]
    yours = f"  traceq services --source {DEFAULT_SOURCE}"
    return "\n".join(("More questions to the same traces:", "", *lines, "", "And to your own:", "", yours))
