"""The loop of `traceq deps --watch`: ask, draw, wait, until interrupted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from traceq.cli.messages import tell
from traceq.cli.terminal import is_terminal
from traceq.errors import SourceError
from traceq.units import NS_PER_S, format_time

_Answer = TypeVar("_Answer")

_CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def watch(
    ask: Callable[[], _Answer],
    show: Callable[[_Answer, _Answer | None], None],
    interval_ns: int,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], int] = time.time_ns,
) -> None:
    """Ask and show until interrupted; the first question may fail, a later failure is told and tried again.

    Args:
        ask: Gets the graph.
        show: Draws it, given the one before.
        interval_ns: From the end of one drawing to the next question.
        sleep: Waits so many seconds.
        clock: Tells the time, in ns since the epoch.
    """
    try:
        answer = ask()
        last = None
        while True:
            _begin(clock())
            show(answer, last)
            last = answer
            answer = _next(ask, sleep, interval_ns / NS_PER_S)
    except KeyboardInterrupt:
        # How a watch ends, not something that went wrong.
        return


def _next(ask: Callable[[], _Answer], sleep: Callable[[float], None], seconds: float) -> _Answer:
    while True:
        sleep(seconds)
        try:
            return ask()
        except SourceError as error:
            tell("warning", f"{error.message}; asking again in {seconds:g} s")


def _begin(now_ns: int) -> None:
    if is_terminal():
        sys.stdout.write(_CLEAR)
    sys.stdout.write(f"{format_time(now_ns)}\n")
    sys.stdout.flush()
