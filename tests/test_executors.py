from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import traceq
from traceq.errors import DecodeError, TraceqError
from traceq.executors import Executor, ProcessExecutor, SerialExecutor, ThreadExecutor


def double(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    if number == 3:
        raise DecodeError("three")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize(
    "executor", [SerialExecutor(), ThreadExecutor(2), ProcessExecutor(2)], ids=["serial", "threads", "processes"]
)
def test_results_come_in_the_order_of_the_tasks(executor: Executor) -> None:
    assert list(executor.map(double, range(30))) == [2 * number for number in range(30)]


@pytest.mark.parametrize(("work", "expected"), [(refuse, "three"), (die, "a worker process died")])
def test_a_failing_worker_ends_the_work_with_one_error(work: Callable[[int], int], expected: str) -> None:
    with pytest.raises(TraceqError, match=expected):
        list(ProcessExecutor(2).map(work, range(100)))


def test_work_that_nobody_waits_for_is_dropped() -> None:
    results = iter(ProcessExecutor(1).map(double, range(10_000)))

    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]  # a generator, whatever the protocol promises


WORK = """
import sys

def work(_):
    with open(sys.argv[2]) as gate, open(sys.argv[1], "w") as place:
        place.write(".")
        place.flush()
        gate.read()

if __name__ == "__mp_main__" and sys.argv[3] == "starting":
    work(None)

if __name__ == "__main__":
    from traceq.executors import ProcessExecutor
    try:
        list(ProcessExecutor(2).map(work, range(9)))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("moment", ["starting", "working"])
def test_an_interrupt_ends_all_workers_without_a_word(moment: str, tmp_path: Path) -> None:
    script, told, gate = (str(tmp_path / name) for name in ("script.py", "told", "gate"))
    Path(script).write_text(WORK, encoding="utf-8")
    os.mkfifo(told)
    os.mkfifo(gate)
    # Opened for both, so that neither side finds nobody there.
    dots, held = (os.open(place, os.O_RDWR) for place in (told, gate))
    command = [sys.executable, script, told, gate, moment]
    environment = os.environ | {"PYTHONPATH": str(Path(traceq.__file__).parents[1])}

    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, env=environment) as running:
        for _ in range(2):
            assert select.select([dots], [], [], 20)[0], "a worker did not start"
            os.read(dots, 1)
        os.killpg(running.pid, signal.SIGINT)
        os.close(held)
        _, errors = running.communicate(timeout=20)

    os.close(dots)
    assert (running.returncode, errors) == (130, b"")
