"""How the call paths of two sets of requests differ: a differential flame graph.

Widths of two sets can be compared only for one request: a set with twice as many requests is twice as wide everywhere.
Each side is therefore also given as a mean over its requests.

Source: B. Gregg, Differential Flame Graphs, 2014. Differs: a frame that is on one side only is drawn too, since widths
are those that both sides fit into.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from msgspec import Struct

from traceq.analysis.flame import ASKED, MEASURE_WORDS, CallPaths, PathSums, PathTree, Placed, callers, frame_specs
from traceq.analysis.group_sums import SUMMED, merged_paths
from traceq.analysis.naming import whose
from traceq.analysis.requests import Measure, RequestOptions, set_apart_specs
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.report import Column, Part, Rows, Unit, Value
from traceq.units import format_duration

_NOTABLE_RATIO = 0.01
"""A path has changed if its own part did by this share of a request."""


class FrameSide(Struct, frozen=True):
    """A call path on one side."""

    sums: PathSums
    value_ns: int
    """The width, over all requests of the side."""
    own_ns: int
    each_ns: int
    """The mean width of a request: the mean own part, rounded to ns, and those of all frames that it calls."""
    own_each_ns: int
    """The mean own part of a request, rounded to ns."""


class ChangedFrame(Placed, frozen=True):
    """A call path on both sides; on a side that does not have it, everything is 0."""

    before: FrameSide
    after: FrameSide
    value_ns: int
    """The width that both sides fit into: the longer mean own part, and those of all frames that it calls."""
    own_ns: int
    """The longer mean own part."""

    @property
    def delta_ns(self) -> int:
        """The width afterwards minus the width before, over all requests."""
        return self.after.value_ns - self.before.value_ns

    @property
    def delta_each_ns(self) -> int:
        """The mean width afterwards minus the one before."""
        return self.after.each_ns - self.before.each_ns

    @property
    def own_delta_each_ns(self) -> int:
        """The mean own part afterwards minus the one before."""
        return self.after.own_each_ns - self.before.own_each_ns


def _side_specs(side: str) -> tuple[Column[Any], ...]:
    words = {"before": "before", "after": "afterwards"}[side]
    return (
        Column("value_ns", unit=Unit.DURATION, of=side, about=f"width {words}, over all requests", within=side),
        Column("own_ns", unit=Unit.DURATION, of=side, about="part of it that no frame below covers", within=side),
        Column("each_ns", unit=Unit.DURATION, of=side, about=f"mean width of a request {words}", within=side),
        Column("own_each_ns", unit=Unit.DURATION, of=side, about="part of it that no frame below covers", within=side),
        Column("span_count", unit=Unit.COUNT, of=f"{side}.sums", within=side),
        Column("error_count", unit=Unit.COUNT, of=f"{side}.sums", about="spans that failed", within=side),
    )


CHANGED_COLUMNS: tuple[Column[ChangedFrame], ...] = (
    *frame_specs(),
    Column("delta_ns", unit=Unit.DURATION, about="`after.value_ns` minus `before.value_ns`"),
    Column("delta_each_ns", "difference", Unit.DURATION, about="`after.each_ns` minus `before.each_ns`"),
    Column("own_delta_each_ns", "own difference", Unit.DURATION, about="the same of own parts"),
    *_side_specs("before"),
    *_side_specs("after"),
)


def _totals(side: str) -> tuple[Column[Any] | Rows[Any], ...]:
    return (
        Column("request_count", of=f"{side}.sums", within=side),
        Column("trace_count", of=f"{side}.sums", within=side),
        Column("span_count", of=f"{side}.sums", about="spans in these requests", within=side),
        *set_apart_specs(lambda answer: getattr(answer, side).sums.set_apart, side),
        Column("latency_ns", of=f"{side}.sums", about="latencies of the requests together", within=side),
        Column("total_ns", of=side, about="widths of all frames without a caller together", within=side),
    )


class CallPathChanges(Answer, Struct, frozen=True):
    """How the call paths of two sets of requests differ."""

    before: CallPaths
    after: CallPaths
    frames: tuple[ChangedFrame, ...]
    """Depth first, a caller before what it calls, the widest first."""

    @property
    def options(self) -> RequestOptions:
        """What was asked, of both sides."""
        return self.after.options

    @property
    def total_ns(self) -> int:
        """The sum of the widths of all frames that nothing calls, as they are drawn."""
        return sum(frame.own_ns for frame in self.frames)

    @property
    def verdict(self) -> Verdict | None:
        """The call path whose own part changed most; None where a side has no requests."""
        frame = max(self.frames, key=lambda frame: (abs(frame.own_delta_each_ns), -frame.number), default=None)
        if frame is None or not (self.before.sums.complete_count and self.after.sums.complete_count):
            return None
        measure, delta_ns = MEASURE_WORDS[self.options.measure], frame.own_delta_each_ns
        numbers: dict[str, Value] = {
            "frame": frame.number,
            "service": frame.key.service,
            "operation": frame.key.name,
            "own_delta_each_ns": delta_ns,
        }
        if abs(delta_ns) <= _NOTABLE_RATIO * self.total_ns:
            return Verdict((Part(f"No call path changed by more than a hundredth of the {measure}."),), numbers)
        key, above = frame.key, callers(self.frames, frame, 2, "")
        where = whose(key.service, key.name, key.peer, self.options.service)
        change = f" takes {format_duration(abs(delta_ns))} {'more' if delta_ns > 0 else 'less'}"
        called = f", called by {above}," if above else ""
        told = f"{where}{called}{change} of a request's {measure}."
        return Verdict((Part(key.name, "strong"), Part(told)), numbers)

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            holds={"frame": "count"},
            frame="the frame whose own part changed most",
            service="service of its spans",
            operation="name of its spans",
            own_delta_each_ns="by how much the mean own part of a request grew",
        ),
        *ASKED,
        *_totals("before"),
        *_totals("after"),
        Rows("frames", CHANGED_COLUMNS, about="depth first, a caller before what it calls, the widest first"),
    )
    MAIN: ClassVar[str] = "frames"


def compare_paths(before: CallPaths, after: CallPaths) -> CallPathChanges:
    """Merge the call paths of two sets of requests, asked alike."""
    sides = (before, after)
    tables = [each.sums.paths for each in sides]
    sums = np.zeros((len(sides) * SUMMED, sum(map(len, tables))), dtype=np.int64)
    sums[:SUMMED, : len(tables[0])], sums[SUMMED:, len(tables[0]) :] = (table.sums for table in tables)
    tree = PathTree(merged_paths(tables, sums))
    drawn = [_sides(tree, before.options.measure, at, side.sums.complete_count) for at, side in enumerate(sides)]
    own_ns = [max(first.own_each_ns, second.own_each_ns) for first, second in zip(*drawn, strict=True)]
    value_ns = tree.summed(own_ns)
    frames = tuple(
        ChangedFrame(*place, *tree.named(path), drawn[0][path], drawn[1][path], value_ns[path], own_ns[path])
        for path, place in tree.in_order(value_ns)
    )
    return CallPathChanges(before, after, frames)


def _sides(tree: PathTree, measure: Measure, side: int, request_count: int) -> list[FrameSide]:
    """Give all paths as they are on one side."""
    own_ns, value_ns = tree.widths(measure, side)
    own_each_ns = [(2 * time_ns + request_count) // (2 * request_count) if request_count else 0 for time_ns in own_ns]
    each_ns = tree.summed(own_each_ns)
    columns = zip(value_ns, own_ns, each_ns, own_each_ns, strict=True)
    return [FrameSide(tree.sums(path, side), *widths) for path, widths in enumerate(columns)]
