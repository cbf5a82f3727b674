"""More than a screenful goes through a pager, as git does it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

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
