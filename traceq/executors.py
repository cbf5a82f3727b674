"""Where work is done other than in this process alone: in its threads, or in other processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from typing import TypeVar

from traceq.errors import TraceqError

_AHEAD = 4
"""Tasks in flight for each worker: enough that none waits, few enough that results do not pile up."""

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_Pool = TypeVar("_Pool", bound=Pool)


class ThreadExecutor:
    """Does the work in threads of this process: for tasks that mostly run without Python's global interpreter lock.

    Args:
        jobs: How many.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def map(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Give the results in the order of the tasks, with a few tasks in progress for each thread."""
        with _ended(ThreadPoolExecutor(self._jobs)) as pool:
            waiting = iter(tasks)
            yield from _in_order(pool, function, waiting, _begun(pool, function, waiting, self._jobs))


class ProcessExecutor:
    """Does the work in processes of this machine.

    Args:
        jobs: How many.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def map(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Give the results in the order of the tasks, with a few tasks in progress for each worker.

        Raises:
            TraceqError: If a worker dies.
        """
        # Spawned, not forked: this process has threads (progress, linear algebra) whose locks a fork would copy.
        context = multiprocessing.get_context("spawn")
        waiting = iter(tasks)
        with _ended(ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_die_silently)) as pool:
            try:
                with _interrupts_held():
                    running = _begun(pool, function, waiting, self._jobs)
                yield from _in_order(pool, function, waiting, running)
            except BrokenProcessPool as error:
                hint = "out of memory? try fewer --jobs; --jobs 1 does without workers"
                raise TraceqError("a worker process died before its work was done", hint=hint) from error


@contextmanager
def _ended(pool: _Pool) -> Iterator[_Pool]:
    """End a pool: after an error or Ctrl-C, tasks that have not begun are dropped, and running ones are waited for."""
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begun(
    pool: Pool, function: Callable[[_Task], _Result], waiting: Iterator[_Task], jobs: int
) -> deque[Future[_Result]]:
    return deque(pool.submit(function, task) for task in islice(waiting, jobs * _AHEAD))


def _in_order(
    pool: Pool, function: Callable[[_Task], _Result], waiting: Iterator[_Task], running: deque[Future[_Result]]
) -> Iterator[_Result]:
    while running:
        result = running.popleft().result()
        running.extend(pool.submit(function, task) for task in islice(waiting, 1))
        yield result


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delay Ctrl-C, also in processes that start meanwhile: during their imports it would end in a traceback."""
    # Started by the first worker otherwise, it would let Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_silently() -> None:
    """Let Ctrl-C end a worker at once, even if it came while the worker started; this process reports it."""
    # If Ctrl-C is ignored, as in the background of a script, it stays ignored, and the work continues.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
