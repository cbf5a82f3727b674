"""The line that says how far work has come."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest

from traceq.cli.messages import progress_line
from traceq.sources.interface import Progress, no_progress


class Terminal(io.StringIO):
    """Standard error on a terminal."""

    def isatty(self) -> bool:
        return True


class AtOnce:
    """A timer that does not wait."""

    def __init__(self, _: float, function: Callable[[], None]) -> None:
        self.daemon = False
        self.start = function

    def cancel(self) -> None:
        """Nothing is under way."""


Show = Callable[..., str]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Show:
    """Give what is written on a terminal 80 wide on which the line appears at once, for everything that is heard."""
    monkeypatch.setattr("traceq.cli.messages.threading.Timer", AtOnce)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")

    def written(*heard: Progress) -> str:
        terminal = Terminal()
        # Here and not in the fixture: in between the test runner puts its own in place.
        monkeypatch.setattr("sys.stderr", terminal)
        with progress_line(is_wanted=True) as listen:
            for each in heard:
                listen(each)
        at_the_end = terminal.getvalue()
        listen(Progress("too late", 1, 2))
        assert terminal.getvalue() == at_the_end
        return at_the_end

    return written


def test_bytes_come_with_their_pace_and_what_is_left(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=partial(next, iter(range(10**6))))
    monkeypatch.setattr("traceq.cli.messages.time", clock)

    shown = show(
        Progress("summing up traces", 0, 100_000_000, is_bytes=True),
        Progress("summing up traces", 25_000_000, 100_000_000, 1234, is_bytes=True),
    )

    assert " summing up traces  25 of 100 MB  1,234 traces  25 MB/s  3 s left\n" in shown


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (Progress("summing up traces", 0, 170_000_000, is_bytes=True), "summing up traces  0 of 170 MB"),
        (Progress("looking through a.json", 1, 3, 12), "looking through a.json  1 of 3  12 traces"),
        (Progress("asking", 0, 0), "asking"),
        (Progress("reading [red]\x1b[2Jx", 1, 2), "reading [red]\\x1b[2Jx  1 of 2"),
    ],
    ids=["bytes-at-first", "files", "nothing-to-count", "hostile-name"],
)
def test_a_line_says_what_goes_on(heard: Progress, told: str, show: Show) -> None:
    assert f" {told}\n" in show(heard)


def test_nothing_is_left_of_it(show: Show) -> None:
    assert show(Progress("reading", 1, 2)).endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


@pytest.mark.parametrize(("is_wanted", "stderr"), [(False, Terminal()), (True, io.StringIO())], ids=["quiet", "file"])
def test_nobody_is_told_where_nobody_looks(
    is_wanted: bool,  # noqa: FBT001 - pytest gives it by name
    stderr: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stderr", stderr)

    with progress_line(is_wanted=is_wanted) as listen:
        assert listen is no_progress
