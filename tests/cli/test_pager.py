"""More than a screenful goes through a pager; colours and width survive pipes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run
from tests.cli.test_golden import first

CHAT = ("--source", "fixtures/chat.json")
LONG = ("search", *CHAT)
SHORT = ("services", *CHAT)
SLOW, HEALTHY, SMALL = first("message-slow"), first("message-healthy"), first("link")
ANSWERS = {
    "show": ("show", SLOW, *CHAT),
    "show-small": ("show", SMALL, *CHAT),
    "bottlenecks": ("bottlenecks", "chat-service", *CHAT),
    "compare": ("compare", HEALTHY, SLOW, *CHAT),
    "deps": ("deps", *CHAT),
}
"""Longer than the screen, and shorter."""
COLOR = "\x1b["
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def in_terminal(
    *arguments: str,
    width: int = 80,
    is_piped: bool = False,
    has_warnings: bool = True,
    names: Mapping[str, str] | None = None,
) -> str:
    """Run a command with a terminal; its output where it is that terminal, else what came through a pipe.

    Standard error is the terminal, or else nothing (`2>/dev/null`), and standard input is it.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    environment = kept | {"TERM": "xterm-256color", "TZ": "UTC", "LC_ALL": "C.UTF-8", **(names or {})}
    done = subprocess.Popen(
        [sys.executable, "-m", "traceq", *arguments, "--quiet"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL if has_warnings else theirs,
        stdout=subprocess.PIPE if is_piped else theirs,
        stderr=theirs if has_warnings else subprocess.DEVNULL,
    )
    os.close(theirs)
    if done.stdout is not None:
        text = done.stdout.read()
        done.stdout.close()
    else:
        text = read(ours)
    os.close(ours)
    assert done.wait() == 0
    return text.decode().replace("\r\n", "\n")


def read(terminal: int) -> bytes:
    """Read what was written until its other end is closed, which Linux reports as a failure."""
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def test_what_is_longer_than_the_screen_goes_through_the_pager() -> None:
    shown = in_terminal(*LONG, names={"PAGER": "sed s/^/paged:/", "NO_COLOR": "1"})

    assert all(line.startswith("paged:") for line in shown.splitlines())
    assert len(shown.splitlines()) > 100


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (SHORT, {"PAGER": "sed s/^/paged:/"}),
        ((*LONG, "--no-pager"), {"PAGER": "sed s/^/paged:/"}),
        (LONG, {"PAGER": "sed s/^/paged:/", "TRACEQ_PAGER": ""}),
        (LONG, {"TRACEQ_PAGER": "cat"}),
        (LONG, {"TRACEQ_PAGER": "no-such-pager --raw"}),
    ],
    ids=["short", "unwanted", "none", "cat", "missing"],
)
def test_anything_else_is_written_plainly(arguments: tuple[str, ...], names: dict[str, str]) -> None:
    shown = in_terminal(*arguments, names=names)

    assert "paged:" not in shown
    assert COLOR in shown
    assert shown.splitlines()


def test_to_leave_the_pager_early_is_no_failure() -> None:
    assert len(in_terminal(*LONG, names={"TRACEQ_PAGER": "head -n 2"}).splitlines()) == 2


def test_links_are_left_to_the_terminal() -> None:
    # A pager may show the escapes; what is written plainly has them.
    names = {"TERM": "xterm-kitty", "TRACEQ_PAGER": "sed s/^/paged:/"}

    assert "\x1b]8;" not in in_terminal(*LONG, names=names)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_looks_the_same_in_the_pager_in_a_pipe_and_without(name: str) -> None:
    """As people type it: `traceq show ... | less -R`, and `--color always` for its colours."""
    arguments = ANSWERS[name]
    coloured = in_terminal(*arguments, "--no-pager")
    plain = _COLORS.sub("", coloured)

    assert in_terminal(*arguments, is_piped=True) == plain
    assert in_terminal(*arguments, "--color", "always", is_piped=True) == coloured
    # What the pager gets is what it shows: lines within the width are not broken again.
    assert in_terminal(*arguments, names={"TRACEQ_PAGER": "sed ''"}) == coloured
    assert all(len(line) <= 80 or line.startswith("next: ") for line in plain.splitlines())
    assert COLOR not in plain
    assert COLOR in coloured


@pytest.mark.parametrize("width", [80, 130])
def test_a_pipe_within_a_terminal_has_its_width(width: int) -> None:
    shown = in_terminal(*LONG, width=width, is_piped=True)

    assert max(map(len, shown.splitlines())) <= width
    assert shown == in_terminal(*LONG, width=width, is_piped=True, has_warnings=False)
    assert shown == in_terminal(*LONG, "--no-pager", width=width, names={"NO_COLOR": "1"})
    assert COLOR not in shown


def test_colours_and_width_survive_a_pipe() -> None:
    piped = in_terminal(*LONG, "--color", "always", is_piped=True)

    assert piped == in_terminal(*LONG, "--no-pager")


@pytest.mark.parametrize(
    ("arguments", "names", "has_color"),
    [
        ((), {}, False),
        (("--color", "always"), {}, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "always", "--no-color"), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        (("--no-color",), {"FORCE_COLOR": "1"}, False),
    ],
)
def test_who_decides_about_colours(
    arguments: tuple[str, ...], names: dict[str, str], has_color: object, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in names.items():
        monkeypatch.setenv(name, value)

    assert (COLOR in run(*LONG, *arguments).out) is has_color


def test_a_file_has_colours_where_it_is_told_to(run: Run, tmp_path: Path) -> None:
    plain, coloured = tmp_path / "plain.txt", tmp_path / "coloured.txt"
    run(*SHORT, "-o", str(plain))
    run(*SHORT, "-o", str(coloured), "--color", "always")

    assert COLOR not in plain.read_text()
    assert COLOR in coloured.read_text()
