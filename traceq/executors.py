"""Where work is done other than in this process alone: in its threads, in other processes, or on a Dask cluster.

Dask gives the tasks of a worker that dies to another one; a task that several workers died of ends the work. Results
come in the order of the tasks, so the answer is the same as without a cluster. Only what uses a cluster imports dask.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures import Executor as Pool
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import islice
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, TypeVar

from traceq.errors import SourceError, TraceqError
from traceq.untrusted import printable

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as Pending

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
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


LOCAL = "local"
"""Instead of an address: a cluster of this machine's cores, for as long as the question takes."""
_PATIENCE_S = 10


class DaskExecutor:
    """Does the work on a Dask cluster.

    Args:
        address: Where the scheduler is (`tcp://scheduler:8786`), or `local`.

    Raises:
        SourceError: If dask is not installed.
    """

    def __init__(self, address: str) -> None:
        if find_spec("distributed") is None:
            raise SourceError("a cluster needs dask, which is not installed", hint="pip install 'dask[distributed]'")
        self._address = address

    def map(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Give the results in the order of the tasks; the first exception of a task ends it and is raised.

        Raises:
            SourceError: If the scheduler cannot be reached, or goes away.
            TraceqError: If a task takes several workers down.
        """
        with self._connected() as client, self._losses_told():
            waiting = iter(tasks)
            ahead = _AHEAD * max(1, sum(client.nthreads().values()))  # type: ignore[no-untyped-call]
            running: deque[Pending[_Result]] = deque()
            running.extend(_submit(client, function, task) for task in islice(waiting, ahead))
            while running:
                result: _Result = running.popleft().result()
                running.extend(_submit(client, function, task) for task in islice(waiting, 1))
                yield result

    @property
    def _place(self) -> str:
        return "the local Dask cluster" if self._address == LOCAL else f"Dask at {printable(self._address)}"

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        from distributed import Client, LocalCluster

        with ExitStack() as opened:
            where: LocalCluster | str = self._address
            try:
                if self._address == LOCAL:
                    # One thread a process: the work holds the interpreter's lock for most of its time.
                    where = LocalCluster(threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL)  # type: ignore[no-untyped-call]
                    opened.enter_context(where)
                else:
                    _knock(self._address)
                client = Client(where, timeout=_PATIENCE_S, set_as_default=False)  # type: ignore[no-untyped-call]
            except (OSError, ValueError) as error:
                raise self._no_answer(error) from error
            yield opened.enter_context(client)

    @contextmanager
    def _losses_told(self) -> Iterator[None]:
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        try:
            yield
        except KilledWorker as error:
            raise TraceqError(
                f"{self._place} lost {error.allowed_failures + 1} workers over the same part of the input",
                hint="out of memory? give the workers more, or run fewer of them on each machine",
            ) from error
        except (CommClosedError, CancelledError) as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: BaseException) -> SourceError:
        reason = str(error).partition("\n")[0] or type(error).__name__
        return SourceError(
            f"no answer from {self._place} ({printable(reason)})",
            hint="is a scheduler running there? `dask scheduler` prints its address, tcp://HOST:8786 as a rule",
        )


def _knock(address: str) -> None:
    """Find out at once whether somebody listens: a client that gets no connection takes half a minute to give up."""
    from distributed.comm.addressing import get_address_host_port

    host, port = get_address_host_port(address)
    socket.create_connection((host, port), _PATIENCE_S).close()


def _submit(client: Client, function: Callable[[_Task], _Result], task: _Task) -> Pending[_Result]:
    # Not pure: Dask would hash the task to find an earlier result of the same name.
    return client.submit(function, task, pure=False)
