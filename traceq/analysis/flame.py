"""Flame graphs: call paths of many requests, merged and summed up.

A frame stands for all spans with one call path. Its width is its own part and the widths of the frames that it calls,
so widths add up whatever ran in parallel:

- by critical time, the own part is the critical time of its spans, and the total is the latency of all requests;
- by self time, it is their self time, and the total is the work that was done;
- by duration, a frame is as wide as its spans lasted together, or as the frames below it where these ran in parallel.

Source: B. Gregg, The Flame Graph, CACM 59(6), 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, get_args

import numpy as np
from msgspec import Struct, field

from traceq.analysis.culprits import Examined, examine
from traceq.analysis.group_sums import (
    CRITICAL,
    DURATION,
    OTHER,
    SELF,
    SPANS,
    SUMMED,
    GroupKey,
    PathTable,
    group_specs,
    number_groups,
    sum_paths,
)
from traceq.analysis.grouping import added, depths, distinct, moved
from traceq.analysis.learning import skew_specs
from traceq.analysis.naming import whose
from traceq.analysis.requests import ASKED_SERVICE, Measure, RequestOptions, SetApart, set_apart_specs
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.report import Column, Part, Rows, Unit, Value, json_key
from traceq.semantics import Kind, Status
from traceq.traces import Traces
from traceq.units import format_ratio

_OTHER_KEY = GroupKey("", "other paths", Kind.UNSPECIFIED, None)
"""What a frame is called that stands for many paths."""
MEASURE_WORDS: dict[Measure, str] = {"critical-time": "critical time", "self-time": "self time", "duration": "time"}
"""Measures in words."""
_MEASURED: dict[Measure, int] = {"critical-time": CRITICAL, "self-time": SELF, "duration": DURATION}


class FlameSums(Struct, frozen=True):
    """Any number of requests, summed up by call path; can be added to others."""

    trace_count: int = 0
    complete_count: int = 0
    """The number of requests, without those of which only fragments are left."""
    latency_ns: int = 0
    """The sum of their latencies."""
    paths: PathTable = field(default_factory=PathTable)
    moved_span_count: int = 0
    largest_shift_ns: int = 0
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: FlameSums) -> FlameSums:
        return added(self, other, largest_shift_ns=max(self.largest_shift_ns, other.largest_shift_ns))

    @property
    def request_count(self) -> int:
        """The number of requests, including those of which only fragments are left."""
        return self.complete_count + self.set_apart.incomplete_count

    @property
    def span_count(self) -> int:
        """The number of spans in these requests."""
        return int(self.paths.sums[SPANS].sum())


class PathSums(NamedTuple):
    """The spans of a call path, summed up."""

    span_count: int
    error_count: int
    duration_ns: int
    self_ns: int
    critical_ns: int


class Placed(Struct, frozen=True):
    """A call path, in a graph of one set of requests or of two."""

    number: int
    """The position of the frame among all frames."""
    caller: int | None
    """The number of the frame that calls it; None for a request's first span."""
    depth: int
    """The number of frames above it."""
    key: GroupKey
    is_other: bool
    """Whether it stands for all paths below its caller that were too many to be kept."""


class Frame(Placed, frozen=True):
    """A call path, and what its spans took."""

    sums: PathSums
    value_ns: int
    """The width: the own part, and the widths of all frames that it calls."""
    own_ns: int
    ratio: float
    """The width as a share of all."""


def frame_specs() -> tuple[Column[Any], ...]:
    """Describe the columns of where a frame stands, and of the call that it ends with."""
    return (
        Column("frame", "frame", Unit.COUNT, lambda frame: frame.number, "position among all frames, from 0"),
        Column(
            "caller",
            "caller",
            about="frame that calls it; null for the first span of a request",
            holds="count",
            is_known=False,
        ),
        Column("depth", "depth", Unit.COUNT, about="number of frames above it"),
        *group_specs(lambda frame: frame.key),
        Column("is_other", about="whether it stands for paths below its caller that were too many to be kept"),
    )


ASKED: tuple[Column[Any], ...] = (
    ASKED_SERVICE,
    json_key("by", lambda answer: answer.options.measure, "measure that widths stand for", holds=get_args(Measure)),
)
"""What was asked for, of one set of requests or of two."""

FRAME_COLUMNS: tuple[Column[Frame], ...] = (
    *frame_specs(),
    Column("value_ns", "width", Unit.DURATION, about="own part and the widths of all frames that it calls"),
    Column("own_ns", "own", Unit.DURATION, about="part of the width that no frame below it covers"),
    Column("ratio", "share", Unit.RATIO, about="width as a share of `total_ns`"),
    Column("span_count", "spans", Unit.COUNT, of="sums"),
    Column("error_count", "errors", Unit.ERRORS, of="sums", about="spans that failed"),
    Column("duration_ns", "duration", Unit.DURATION, of="sums", about="durations of its spans together"),
    Column("self_ns", "self", Unit.DURATION, of="sums", about="self times of its spans together"),
    Column("critical_ns", "critical", Unit.DURATION, of="sums", about="critical times of its spans together"),
)


def callers(frames: Sequence[Placed], frame: Placed, most: int, more: str = " < ...") -> str:
    """Name the calls above a frame, the nearest first, and add something if there are more than that."""
    names: list[str] = []
    above = frame.caller
    while above is not None and len(names) < most:
        names.append(frames[above].key.name)
        above = frames[above].caller
    return " < ".join(names) + (more if above is not None else "")


class CallPaths(Answer, Struct, frozen=True):
    """The call paths of many requests: a flame graph."""

    options: RequestOptions
    sums: FlameSums
    frames: tuple[Frame, ...]
    """Depth first, a caller before what it calls, the widest first."""

    @property
    def total_ns(self) -> int:
        """The sum of the widths of all frames that nothing calls."""
        return sum(frame.own_ns for frame in self.frames)

    @property
    def other_count(self) -> int:
        """The number of spans whose paths were too many to be kept."""
        return sum(frame.sums.span_count for frame in self.frames if frame.is_other)

    @property
    def verdict(self) -> Verdict | None:
        """The call path that most of the time is spent at the end of; None without any time."""
        frame = max(self.frames, key=lambda frame: (frame.own_ns, -frame.number), default=None)
        if frame is None or not frame.own_ns:
            return None
        ratio = frame.own_ns / self.total_ns
        key, above = frame.key, callers(self.frames, frame, 2, "")
        numbers: dict[str, Value] = {
            "frame": frame.number,
            "service": key.service,
            "operation": key.name,
            "own_ratio": ratio,
        }
        measure = MEASURE_WORDS[self.options.measure]
        before = f"{format_ratio(ratio)} of the {measure} is spent in "
        where = whose(key.service, key.name, key.peer, self.options.service)
        called = f", called by {above}." if above else "."
        return Verdict((Part(before), Part(key.name, "strong"), Part(f"{where}{called}")), numbers)

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            holds={"frame": "count"},
            frame="the frame with the greatest own part",
            service="service of its spans",
            operation="name of its spans",
            own_ratio="its own part as a share of `total_ns`",
        ),
        *ASKED,
        Column("request_count", of="sums"),
        Column("trace_count", of="sums"),
        Column("span_count", of="sums", about="spans in these requests"),
        *set_apart_specs(lambda answer: answer.sums.set_apart),
        json_key(
            "latency_ns",
            lambda answer: answer.sums.latency_ns if answer.sums.request_count else None,
            "latencies of the requests together; null without any",
        ),
        *skew_specs(lambda answer: (answer.sums.moved_span_count, answer.sums.largest_shift_ns)),
        json_key(
            "total_ns",
            lambda answer: answer.total_ns if answer.frames else None,
            "widths of all frames without a caller together; null without any",
        ),
        json_key("other_span_count", lambda answer: answer.other_count, "spans of paths too many to be kept"),
        Rows("frames", FRAME_COLUMNS, about="depth first, a caller before what it calls, the widest first"),
    )
    MAIN: ClassVar[str] = "frames"


class FlameQuestion(Struct, frozen=True):
    """Which call paths the time of requests goes to."""

    options: RequestOptions
    needs_details: bool = False
    learns: bool = True

    def nothing(self) -> FlameSums:
        """Give the sums of no traces."""
        return FlameSums()

    def collect(self, traces: Traces) -> FlameSums:
        """Sum up the spans of the requests in a span table by call path."""
        return self.sum_up(examine(traces, self.options))

    def sum_up(self, examined: Examined) -> FlameSums:
        """Sum up the spans of requests that were examined already."""
        spans, entry, entries = examined.spans, examined.requests.entry, examined.requests.entries
        rows = np.flatnonzero(entry >= 0)
        keys, codes = number_groups(spans, rows)
        # A caller's row among these: what calls a span of a request is a span of the request.
        places = moved(np.arange(rows.size), rows, entry.size + 1, -1)
        failed = (spans.statuses == Status.ERROR).astype(np.int64)
        measured = (np.ones_like(failed), failed, spans.duration_ns, examined.self_ns, examined.charged_ns)
        sums = np.array([column[rows] for column in measured])
        return FlameSums(
            trace_count=distinct(spans.trace[entries]).size,
            complete_count=entries.size,
            latency_ns=int(spans.duration_ns[entries].sum()),
            paths=sum_paths(keys, codes, places[spans.parents[rows]], sums),
            moved_span_count=examined.skew.span_count,
            largest_shift_ns=examined.skew.largest_ns,
            set_apart=examined.requests.set_apart,
        )

    def rank(self, sums: FlameSums) -> CallPaths:
        """Turn sums into frames."""
        tree = PathTree(sums.paths)
        own_ns, value_ns = tree.widths(self.options.measure, 0)
        total_ns = sum(own_ns)
        frames = tuple(
            Frame(
                *place,
                *tree.named(path),
                tree.sums(path, 0),
                value_ns[path],
                own_ns[path],
                value_ns[path] / total_ns if total_ns else 0.0,
            )
            for path, place in tree.in_order(value_ns)
        )
        return CallPaths(self.options, sums, frames)


class PathTree:
    """Call paths as a tree; their number is bounded, so they are walked one by one."""

    def __init__(self, paths: PathTable) -> None:
        self._paths = paths
        self._parents: list[int] = paths.parents.tolist()
        self._codes: list[int] = paths.codes.tolist()
        self._sums: list[list[int]] = paths.sums.T.tolist()
        self._upwards: list[int] = np.argsort(-depths(paths.parents), kind="stable").tolist()

    def named(self, path: int) -> tuple[GroupKey, bool]:
        """Give the key of a path's last call, and whether it stands for many."""
        code = self._codes[path]
        return (_OTHER_KEY, True) if code == OTHER else (self._paths.keys[code], False)

    def sums(self, path: int, side: int) -> PathSums:
        """Give the sums of a path on one side."""
        return PathSums(*self._sums[path][side * SUMMED : (side + 1) * SUMMED])

    def widths(self, measure: Measure, side: int) -> tuple[list[int], list[int]]:
        """Give the own parts and the widths of all paths, by a measure of one side."""
        column = side * SUMMED + _MEASURED[measure]
        own_ns, value_ns = [0] * len(self._parents), [0] * len(self._parents)
        for path in self._upwards:
            told_ns = self._sums[path][column]
            # Here are the widths of all callees; durations contain those of callees, the other measures do not.
            own_ns[path] = max(told_ns - value_ns[path], 0) if measure == "duration" else told_ns
            value_ns[path] += own_ns[path]
            if self._parents[path] >= 0:
                value_ns[self._parents[path]] += value_ns[path]
        return own_ns, value_ns

    def summed(self, own_ns: Sequence[int]) -> list[int]:
        """Give the width of each path: own parts of the path and of all below it."""
        value_ns = list(own_ns)
        for path in self._upwards:
            if self._parents[path] >= 0:
                value_ns[self._parents[path]] += value_ns[path]
        return value_ns

    def in_order(self, value_ns: Sequence[int]) -> Iterator[tuple[int, tuple[int, int | None, int]]]:
        """Give all paths depth first, the widest callee first, each with its number, its caller's, and its depth."""
        below: dict[int, list[int]] = {}
        for path, parent in enumerate(self._parents):
            below.setdefault(parent, []).append(path)
        for paths in below.values():
            paths.sort(key=lambda path: (-value_ns[path], *self._name(path)), reverse=True)
        waiting: list[tuple[int, int | None, int]] = [(path, None, 0) for path in below.get(-1, ())]
        number = 0
        while waiting:
            path, caller, depth = waiting.pop()
            yield path, (number, caller, depth)
            waiting += [(callee, number, depth + 1) for callee in below.get(path, ())]
            number += 1

    def _name(self, path: int) -> tuple[bool, str, str, int, str]:
        key, is_other = self.named(path)
        peer = "" if key.peer is None else "\0".join(key.peer)
        return (is_other, key.service, key.name, key.kind, peer)
