"""What a program costs: time on the clock and on all cores, and memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLED_EVERY_S = 0.05
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run of a program and all processes it started."""

    wall_s: float
    cpu_s: float
    """User and system time of all of them."""
    anonymous_bytes: int
    """The most memory they had together at any sample, files they had mapped left aside; 0 where /proc is missing."""
    largest_bytes: int
    """The most memory that one of them had, mapped files included."""


def run(command: Sequence[str]) -> Cost:
    """Run a program to its end, its output thrown away.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    began_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  the benchmark's own commands
    sampler = _Sampler(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = sampler.stop()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, peak, usage.ru_maxrss * _KIB)


class _Sampler:
    """Watches the memory of a process and everything below it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLED_EVERY_S):
            self._peak = max(self._peak, sum(_anonymous_bytes(pid) for pid in _tree(self._pid)))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in _text(task).split()]
    return found


def _anonymous_bytes(pid: int) -> int:
    lines = _text(Path(f"/proc/{pid}/status")).splitlines()
    return sum(int(line.split()[1]) * _KIB for line in lines if line.startswith("RssAnon:"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return ""  # the process ended since it was listed
