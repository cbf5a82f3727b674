"""Asks a server slice by slice, and adds what is new to an archive: one trace a line, in files of bounded size.

Beside the files stand two hidden ones: the state (JSON, replaced as a whole), and the index, a line for each trace
written (`id span-count file-number`). What was written since the last state is cut off when the harvest goes on, so no
trace is there twice. Every block is compressed by itself: whatever the state counts is readable without the rest.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from traceq.codec import read_table
from traceq.errors import Hint, InputError, LoginRequired, NotFoundError, ServerError, SourceError, is_refusal
from traceq.query import TraceQuery
from traceq.sources.bodies import Packing, lines_of, pack
from traceq.sources.harvest import Met, Plan, TimeSlice
from traceq.sources.interface import MOST_AT_ONCE, Found, Progress, ProgressListener, Source, no_progress
from traceq.traces import normal_id
from traceq.units import format_ratio
from traceq.untrusted import printable
from traceq.writing import replacing, sweep


@dataclass(slots=True)
class Harvester:
    """Harvests a window.

    Args:
        source: A server.
        query: Which traces, its window aside; its limit is the most that one answer may hold.
        archive: Where they go, and how far an earlier run came.
        progress: Told after every answer.
    """

    source: Source
    query: TraceQuery
    archive: Archive
    progress: ProgressListener = no_progress
    notes: dict[str, None] = field(default_factory=dict)
    """Remarks about the answers, without repetition."""
    _plan: Plan = field(init=False)
    _listed: tuple[str | None, ...] = ()

    def run(self) -> None:
        """Ask until the window is harvested; if this ends early, the archive can be continued.

        Nothing is asked when it was harvested before.

        Raises:
            SourceError: If the server fails, or does not look at the times that it is asked for.
            NotFoundError: If the query's service or operation does not exist.
            InputError: If the archive was changed by somebody else.
            OSError: If it cannot be written.
        """
        if self.archive.state.is_finished:
            return
        self.archive.go_on()
        self._listed = self._services()
        self._plan = self.archive.state.plan.with_services(self._listed)
        executor = ThreadPoolExecutor(MOST_AT_ONCE)
        try:
            self._harvest(executor)
        except SourceError as error:
            kind = LoginRequired if isinstance(error, LoginRequired) else SourceError
            hint = "the same command again goes on from here"
            raise kind(error.message, hint=Hint((*error.advice.parts, "; ", hint)) if error.hint else hint) from error
        finally:
            executor.shutdown(cancel_futures=True)
            self.archive.commit(self._plan)
        self.archive.finish()

    def _services(self) -> tuple[str | None, ...]:
        """List the services to ask for: the given one, or all of them if the server cannot search without a service."""
        if self.query.service is not None:
            return (self.query.service,)
        # Servers do not say what they can do; a minimal search shows how it had to be made.
        plan = self.archive.state.plan
        window = TimeSlice(None, plan.start_us, plan.end_us).window
        found = self.source.summaries(TraceQuery(window=window, limit=1))
        if not found.service_count:
            return (None,)
        # Elasticsearch lists the services of the last 72 hours only; not every server has a table of calls.
        try:
            calls = self.source.dependencies(window)
        except ServerError:
            calls = ()
        return tuple(sorted({*self.source.services(), *(name for call in calls for name in (call.parent, call.child))}))

    def _harvest(self, executor: ThreadPoolExecutor) -> None:
        """Ask for several services at a time, each of them one slice after the other."""
        flying: dict[Future[Found | SourceError], TimeSlice] = {}
        while True:
            busy = {asked.service for asked in flying.values()}
            waiting = [asked for asked in self._plan.questions if asked.service not in busy]
            for asked in waiting[: MOST_AT_ONCE - len(flying)]:
                flying[executor.submit(self._ask, asked)] = asked
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                self._take(flying.pop(future), future.result())
            if self.archive.is_due():
                self.archive.commit(self._plan)

    def _take(self, asked: TimeSlice, found: Found | SourceError) -> None:
        """Add an answer to the archive, and to the plan."""
        if isinstance(found, SourceError):
            failed = self._plan.failed(asked)
            if failed is None:
                raise found
            self._plan = failed
            return
        self.notes |= dict.fromkeys(found.notes)
        traces = found.traces
        for position, trace_id in enumerate(traces.trace_ids):
            span_count = len(traces.rows(position))
            if self.archive.met.is_news(trace_id, span_count):
                self.archive.add(trace_id, span_count, found.document(position))
        is_sparse = not found.is_cut_off and 2 * len(traces) < (self.query.limit or 0)
        plan = self._plan.answered(asked, is_cut_off=found.is_cut_off, is_sparse=is_sparse)
        if asked.service is not None and self.query.service is None:
            # A service that the server did not list may be in its traces.
            plan = plan.with_services(sorted(set(traces.services)))
        self._plan = plan
        self._tell(plan, asked)
        if plan.is_hopeless:
            raise SourceError(
                f"{self.source.location} answers with as many traces for a microsecond as for any other time",
                hint="does it look at the times it is asked for? a higher --limit may help",
            )

    def _ask(self, asked: TimeSlice) -> Found | SourceError:
        """Ask for a slice; give a failure over this question alone, do not raise it."""
        query = replace(self.query, service=asked.service, window=asked.window)
        try:
            return self.source.find(query, with_attributes=False)
        except NotFoundError as error:
            if self.query.service is not None:
                raise
            if asked.service in self._listed:
                # The server listed the service and no longer does: its last traces expired during the harvest.
                self.notes[f"forgotten by the server since the harvest began: {error.message}"] = None
            return Found(read_table((), with_details=False))
        except SourceError as error:
            if is_refusal(error):
                return error
            raise

    def _tell(self, plan: Plan, asked: TimeSlice) -> None:
        whom = "all services" if asked.service is None else printable(asked.service)
        what = f"harvesting {whom}, {format_ratio(plan.done_ratio)} of all"
        self.progress(Progress(what, trace_count=len(self.archive.met.span_counts)))


STATE_NAME = ".traceq-harvest.json"
INDEX_NAME = ".traceq-harvest.index"
_SCHEMA = "traceq.harvest/2"
_BLOCK_BYTES = 4 * 2**20
"""Large enough to compress well, small enough to lose."""
_COMMIT_AFTER_S = 5.0
_TRACE_ID = re.compile(rb'\{"traceID":"([0-9a-f]+)"')


class Asked(Struct, frozen=True):
    """What a harvest asks for; it can be continued only if this is the same, except for the window."""

    location: str = msgspec.field(name="source")
    identity: dict[str, str]
    """As whom: tenants and accounts see different traces."""
    conditions: dict[str, object]
    """The conditions of the query, without window and limit."""
    packing: Packing


class State(Struct, frozen=True):
    """The progress of a harvest, as of the last complete block."""

    asked: Asked
    plan: Plan
    part_bytes: tuple[int, ...] = ()
    """The sizes of the files, in order."""
    index_bytes: int = 0
    trace_count: int = 0
    span_count: int = 0
    is_finished: bool = False

    def written(self) -> bytes:
        """Write it as the file holds it: what was asked for beside the progress."""
        told = msgspec.to_builtins(self)
        document = {"schema": _SCHEMA, **told.pop("asked"), **told}
        return msgspec.json.format(msgspec.json.encode(document), indent=1)


def read_state(folder: Path) -> State | None:
    """Read the state of a harvest; None if there is none.

    Raises:
        InputError: If it is there and cannot be read.
    """
    path = folder / STATE_NAME
    hint = "without it a harvest cannot go on: remove the directory, or give another one"
    try:
        told = msgspec.json.decode(path.read_bytes())
        if told["schema"] != _SCHEMA:
            raise InputError(f"cannot read {printable(str(path))}: it is of another version of traceq", hint=hint)
        return msgspec.convert({**told, "asked": told}, State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read {printable(str(path))}: {type(error).__name__}", hint=hint) from error


@dataclass(slots=True)
class _Block:
    """Traces that are not in a file yet; each is added in one step, so that Ctrl-C cannot leave half of one."""

    index_at: int
    """The length of the index before they are written; if the index is longer, they are in a file."""
    lines: list[tuple[str, int, bytes]] = field(default_factory=list)
    byte_count: int = 0


@dataclass(slots=True)
class Archive:
    """Files of traces in a folder, to which traces are appended.

    Args:
        folder: Where; it exists.
        state: What was read there, or the state of a new harvest.
        rotate_bytes: Files are not made longer than this, unless a single block is.
        clock: Seconds that only rise.
    """

    folder: Path
    state: State
    rotate_bytes: int
    clock: Callable[[], float] = time.monotonic
    met: Met = field(default_factory=Met)
    _block: _Block = field(default_factory=lambda: _Block(0))
    _committed_at: float = 0.0

    def go_on(self) -> None:
        """Truncate everything to the last state, and read which traces are there.

        Raises:
            InputError: If a file is shorter than the state says, or the index is damaged.
            OSError: If a file cannot be read or cut.
        """
        self._committed_at = self.clock()
        sweep(self.folder, "trace")
        if self.state.plan.lanes and not self.state.plan.questions:
            # Only finishing was left, which makes files shorter and can be repeated.
            self.state = structs.replace(self.state, part_bytes=self._sizes())
        for number, size in enumerate(self.state.part_bytes, 1):
            _cut_back(self.part_path(number), size)
        if self.state.index_bytes:
            _cut_back(self._index_path, self.state.index_bytes)
        # Files beyond those in the state were begun later.
        number = len(self.state.part_bytes) + 1
        while self.part_path(number).exists():
            self.part_path(number).unlink()
            number += 1
        for trace_id, span_count, _ in self._index():
            self.met.is_news(trace_id, span_count)
        self._block = _Block(self.state.index_bytes)

    def part_path(self, number: int) -> Path:
        """Return the path of a file; numbers begin with 1."""
        packing = self.state.asked.packing
        return self.folder / f"traces-{number:05d}.ndjson{'' if packing == 'none' else '.' + packing}"

    def add(self, trace_id: str, span_count: int, line: bytes) -> None:
        """Add a trace; it is in a file after the next `commit` at the latest.

        Raises:
            OSError: If a file cannot be written.
        """
        self._block.lines.append((normal_id(trace_id), span_count, line))
        self._block.byte_count += len(line) + 1
        if self._block.byte_count >= _BLOCK_BYTES:
            self._write_block()

    def is_due(self) -> bool:
        """Whether enough time has passed to record the progress again."""
        return self.clock() - self._committed_at >= _COMMIT_AFTER_S

    def commit(self, plan: Plan) -> None:
        """Write what was added, then record the progress.

        Raises:
            OSError: If a file cannot be written.
        """
        self._write_block()
        self._save(structs.replace(self.state, plan=plan))
        self._committed_at = self.clock()

    def finish(self) -> None:
        """Remove lines that later ones replaced, and close the harvest.

        Every step can be repeated, so an interruption here is made good the next time.

        Raises:
            OSError: If a file cannot be written.
        """
        if self.met.renewed:
            self._drop_replaced()
        self._save(structs.replace(self.state, part_bytes=self._sizes(), index_bytes=0, is_finished=True))
        self._index_path.unlink(missing_ok=True)

    @property
    def _index_path(self) -> Path:
        return self.folder / INDEX_NAME

    def _sizes(self) -> tuple[int, ...]:
        return tuple(self.part_path(number).stat().st_size for number in range(1, len(self.state.part_bytes) + 1))

    def _save(self, state: State) -> None:
        met = self.met.span_counts
        self.state = structs.replace(state, trace_count=len(met), span_count=sum(met.values()))
        with replacing(self.folder / STATE_NAME) as out:
            out.write(self.state.written())

    def _write_block(self) -> None:
        """Write what was added; may be called again after an interruption at any point."""
        block, state = self._block, self.state
        if block.lines and block.index_at == state.index_bytes:
            self.state = self._with_block(block)
        self._block = _Block(self.state.index_bytes)

    def _with_block(self, block: _Block) -> State:
        """Append to the last file, or to a new one if the last would become too long."""
        packed = pack(b"".join(line + b"\n" for _, _, line in block.lines), self.state.asked.packing)
        sizes = list(self.state.part_bytes)
        if not sizes or sizes[-1] + len(packed) > self.rotate_bytes:
            sizes.append(0)
        number = len(sizes)
        _append(self.part_path(number), sizes[-1], packed)
        sizes[-1] += len(packed)
        entries = "".join(f"{trace_id} {span_count} {number}\n" for trace_id, span_count, _ in block.lines).encode()
        _append(self._index_path, self.state.index_bytes, entries)
        return structs.replace(self.state, part_bytes=tuple(sizes), index_bytes=self.state.index_bytes + len(entries))

    def _index(self) -> Iterator[tuple[str, int, int]]:
        """Yield the trace id, span count and file number of every line written, in order."""
        if not self._index_path.exists():
            return
        with self._index_path.open(encoding="ascii") as lines:
            for line in lines:
                trace_id, span_count, number = line.split(" ")
                yield trace_id, int(span_count), int(number)

    def _drop_replaced(self) -> None:
        """Keep only the last line of each trace that was written several times."""
        homes: dict[str, set[int]] = defaultdict(set)
        for trace_id, _, number in self._index():
            if trace_id in self.met.renewed:
                homes[trace_id].add(number)
        by_part: dict[int, set[str]] = defaultdict(set)
        for trace_id, numbers in homes.items():
            for number in numbers:
                by_part[number].add(trace_id)
        for number, trace_ids in by_part.items():
            elsewhere = {trace_id for trace_id in trace_ids if max(homes[trace_id]) > number}
            self._rewrite(number, trace_ids, elsewhere)

    def _rewrite(self, number: int, replaced: set[str], elsewhere: set[str]) -> None:
        """Copy a file without the lines of some traces.

        Args:
            number: Which file.
            replaced: Traces of which only the last line stays.
            elsewhere: Those of them whose last line is in a later file, so that none stays here.
        """
        path, packing = self.part_path(number), self.state.asked.packing
        last: dict[str, int] = {}
        for place, line in enumerate(lines_of(path, packing)):
            trace_id = _trace_id(line)
            if trace_id in replaced:
                last[trace_id] = place
        kept = {place for trace_id, place in last.items() if trace_id not in elsewhere}
        with replacing(path) as out:
            block = bytearray()
            for place, line in enumerate(lines_of(path, packing)):
                if place in kept or _trace_id(line) not in last:
                    block += line
                if len(block) >= _BLOCK_BYTES:
                    out.write(pack(bytes(block), packing))
                    block.clear()
            out.write(pack(bytes(block), packing))


def _trace_id(line: bytes) -> str:
    found = _TRACE_ID.match(line)
    return normal_id(found.group(1).decode("ascii")) if found else ""


def _cut_back(path: Path, size: int) -> None:
    try:
        actual = path.stat().st_size
    except FileNotFoundError:
        actual = -1
    if actual < size:
        what = "is missing" if actual < 0 else "is shorter than the harvest left it"
        raise InputError(
            f"cannot go on in {printable(str(path.parent))}: {printable(path.name)} {what}",
            hint="start anew in another directory",
        )
    if actual > size:
        os.truncate(path, size)


def _append(path: Path, at: int, data: bytes) -> None:
    """Write after what is known to be complete, and wait until it is on the disk."""
    with path.open("r+b" if at else "wb") as out:
        out.seek(at)
        out.truncate()
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
