from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import traceq
from traceq.engine import Executor, SerialExecutor
from traceq.errors import DecodeError, TraceqError
from traceq.executors import ProcessExecutor, ThreadExecutor


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
import fcntl
import sys

def work(_):
    with open(sys.argv[1], "w") as place:
        place.write(".")
    with open(sys.argv[2]) as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)

if __name__ == "__mp_main__" and sys.argv[3] == "starting":
    work(None)

if __name__ == "__main__":
    from traceq.executors import ProcessExecutor
    try:
        list(ProcessExecutor(2).map(work, range(9)))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.fixture
def at_interrupts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have processes that start meanwhile be ended by Ctrl-C, or ignore it, whatever the tests do themselves."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


def after_an_interrupt(moment: str, folder: Path) -> tuple[int, bytes]:
    """Interrupt a program and its two workers, let the work end, and give the program's exit code and complaints."""
    script, told, gate = (str(folder / name) for name in ("script.py", "told", "gate"))
    Path(script).write_text(WORK, encoding="utf-8")
    os.mkfifo(told)
    # Opened for both, so that neither side finds nobody there.
    dots = os.open(told, os.O_RDWR)
    command = [sys.executable, script, told, gate, moment]
    environment = os.environ | {"PYTHONPATH": str(Path(traceq.__file__).parents[1])}

    held = os.open(gate, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)

    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, env=environment) as running:
        for _ in range(2):
            assert select.select([dots], [], [], 20)[0], "a worker did not start"
            os.read(dots, 1)
        os.killpg(running.pid, signal.SIGINT)
        os.close(held)
        _, errors = running.communicate(timeout=20)

    os.close(dots)
    return running.returncode, errors


@pytest.mark.parametrize("at_interrupts", [signal.default_int_handler], indirect=True)
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_an_interrupt_ends_all_workers_without_a_word(at_interrupts: None, moment: str, tmp_path: Path) -> None:
    assert after_an_interrupt(moment, tmp_path) == (130, b"")


@pytest.mark.parametrize("at_interrupts", [signal.SIG_IGN], indirect=True)
@pytest.mark.parametrize("moment", ["starting", "working"])
def test_workers_ignore_interrupts_where_the_whole_program_does(
    at_interrupts: None, moment: str, tmp_path: Path
) -> None:
    """Begun by nohup, or in the background of a script: Ctrl-C is meant for somebody else."""
    assert after_an_interrupt(moment, tmp_path) == (0, b"")
