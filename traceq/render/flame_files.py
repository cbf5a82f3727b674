"""Flame graphs as files for other tools: folded stacks, speedscope, and trace events for Perfetto and Chrome.

Spans of one trace overlap, and what overlaps in such files has to be nested: they lie on lanes. Many traces make one
tree of frames along summed time.

Sources: the schema https://www.speedscope.app/file-format-schema.json; Trace Event Format; Perfetto,
docs/getting-started/other-formats.md and src/trace_processor/importers/json.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from math import inf, nextafter
from typing import NamedTuple, assert_never

from msgspec import Struct

from traceq.render import FlameFormat
from traceq.render.records import encode
from traceq.report import Flame, FlameRow, Report, Timeline, TimelineRow
from traceq.units import NS_PER_US
from traceq.untrusted import printable

_NO_NAME = "(no name)"


def render_flame(report: Report, chosen: FlameFormat, name: str) -> str:
    """Write a flame graph in one of the formats.

    Args:
        report: The answer; without a flame graph it is one without frames.
        chosen: The format.
        name: What it is about.
    """
    flame = report.flame or Flame((), 0, "time")
    match chosen:
        case "folded":
            return render_folded(flame)
        case "speedscope":
            return render_speedscope(flame, report.spans, name)
        case "perfetto" | "chrome":
            return render_trace_events(flame, report.spans, name)
    assert_never(chosen)


_LAST_NUMBER = re.compile(r" +(?=\d+(?:\.\d*)?$)")
"""flamegraph.pl takes the number in `SELECT 1 400` for that of the other side of a comparison."""


def render_folded(flame: Flame) -> str:
    """Write one line for each frame with an own part, as flamegraph.pl, inferno and speedscope read them.

    `chat-service: POST /rooms;chat-service: save;chat-service: insert 400`: the path from the first call down, and its
    own part in ns. The numbers of all lines add up to the total. A comparison has two numbers, before and after, each a
    mean over requests, as difffolded.pl writes them.
    """
    return "".join(_lines(flame))


def _lines(flame: Flame) -> Iterator[str]:
    path: list[str] = []
    for row in flame.rows:
        del path[row.depth :]
        path.append(_name(row))
        values = (row.own_ns,) if row.own_sides_ns is None else row.own_sides_ns
        if any(values):
            yield f"{';'.join(path)} {' '.join(map(str, values))}\n"


def _name(row: FlameRow) -> str:
    """Name a frame; semicolons part frames, and numbers are the last words of lines, so that names can have neither."""
    name = f"{row.service}: {row.label}" if row.service else row.label
    return _LAST_NUMBER.sub("_", printable(name).replace(";", ","))


_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class _Frames:
    """The frames that profiles share."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, row: FlameRow | TimelineRow) -> int:
        return self._numbers.setdefault((row.label, row.service), len(self._numbers))

    def to_list(self) -> list[dict[str, str]]:
        # An empty name would not be shown; the file is what speedscope shows beside it and colours by.
        return [{"name": name or _NO_NAME, **({"file": file} if file else {})} for name, file in self._numbers]


def render_speedscope(flame: Flame, spans: Timeline | None, name: str) -> str:
    """Write a file of profiles for speedscope (https://www.speedscope.app).

    Of one trace there is a profile for each lane of spans, along time; of many traces one of stacks and their weights;
    of a comparison one for each side.

    Args:
        flame: The call paths.
        spans: The spans of the trace that they are of; None for more than one trace.
        name: What the file is about.
    """
    frames = _Frames()
    if spans is not None and spans.rows:
        lanes = find_lanes(spans.rows, lambda _: "")
        profiles = [_evented(lane, number, spans, frames) for number, lane in enumerate(lanes, 1)]
    elif flame.sides is not None:
        profiles = [
            _sampled(flame, side, f"{title}, {flame.measure}", frames) for side, title in enumerate(flame.sides)
        ]
    else:
        profiles = [_sampled(flame, None, f"{name}, {flame.measure}", frames)]
    return (
        encode(
            {
                "$schema": _SCHEMA,
                "shared": {"frames": frames.to_list()},
                "profiles": profiles,
                "name": name,
                "activeProfileIndex": 0,
                "exporter": "traceq",
            }
        )
        + "\n"
    )


def _evented(lane: Lane, number: int, spans: Timeline, frames: _Frames) -> dict[str, object]:
    first = spans.rows[lane.edges[0].row]
    name = f"{first.service}: {first.label}" if first.service else first.label
    return {
        "type": "evented",
        # Lanes often begin with spans of one name, and are chosen from a list of names.
        "name": name if number == 1 else f"lane {number}: {name}",
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": spans.duration_ns,
        "events": [
            {"type": "O" if edge.is_start else "C", "frame": frames.number(spans.rows[edge.row]), "at": edge.at_ns}
            for edge in lane.edges
        ],
    }


def _sampled(flame: Flame, side: int | None, name: str, frames: _Frames) -> dict[str, object]:
    samples = list(_samples(flame.rows, side, frames))
    weights = [weight for _, weight in samples]
    return {
        "type": "sampled",
        "name": name,
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": [stack for stack, _ in samples],
        "weights": weights,
    }


def _samples(rows: Sequence[FlameRow], side: int | None, frames: _Frames) -> Iterator[tuple[list[int], int]]:
    """Give the stacks of frames with an own part, from the first call down, and that part."""
    stack: list[int] = []
    for row in rows:
        del stack[row.depth :]
        stack.append(frames.number(row))
        weight = row.own_ns if side is None or row.own_sides_ns is None else row.own_sides_ns[side]
        if weight:
            yield list(stack), weight


def render_trace_events(flame: Flame, spans: Timeline | None, name: str) -> str:
    """Write trace events for Perfetto (https://ui.perfetto.dev) and chrome://tracing: the object form, one a line.

    Of one trace every span is a pair of asynchronous events, in the process of its service, on tracks on which spans
    lie in their callers or follow each other: Perfetto puts events with one id on one track, on which they have to be
    nested, and takes an end for that of the innermost event. Ids are unique among processes, since Perfetto looks at
    those of all. Of many traces there are complete events nested in each other, along summed time; what takes none has
    no event, since programs cannot tell what such an event is nested in.

    Times are relative to the first span: in microseconds since 1970, with which the format counts, nanoseconds are
    lost. No unit is named in which they are to be shown: Perfetto once took it for the unit in which they are written.

    Args:
        flame: The call paths.
        spans: The spans of the trace that they are of; None for more than one trace.
        name: What the file is about.
    """
    events = _of_spans(spans) if spans is not None and spans.rows else _of_frames(flame, name)
    lines = ",\n".join(encode(event) for event in events)
    return f'{{"traceEvents": [\n{lines}\n], "otherData": {encode({"about": name})}}}\n'


def _us(time_ns: int) -> float:
    """Write a time so that it is exact for those who multiply it with 1000 and cut off what is behind the point.

    Perfetto does, and drops events that end a nanosecond after those that they are nested in.
    """
    nearest = time_ns / NS_PER_US
    return nearest if int(nearest * NS_PER_US) == time_ns else nextafter(nearest, inf)


def _named(pid: int, tid: int, what: str, name: str) -> dict[str, object]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name or _NO_NAME}}


def _of_spans(spans: Timeline) -> Iterator[dict[str, object]]:
    rows = spans.rows
    processes = {service: pid for pid, service in enumerate(dict.fromkeys(row.service for row in rows), 1)}
    for service, pid in processes.items():
        yield _named(pid, pid, "process_name", service)
    # Sorting is stable: events of one time stay in the order of their lane.
    edges = [
        (edge, number)
        for number, lane in enumerate(find_lanes(rows, lambda row: row.service), 1)
        for edge in lane.edges
    ]
    for edge, number in sorted(edges, key=lambda pair: pair[0].at_ns):
        row = rows[edge.row]
        event: dict[str, object] = {
            "ph": "b" if edge.is_start else "e",
            "cat": "span",
            "name": row.label or _NO_NAME,
            "id": f"{number:#x}",
            "pid": processes[row.service],
            "tid": processes[row.service],
            "ts": _us(edge.at_ns),
        }
        yield {**event, "args": _args(row)} if edge.is_start else event


def _args(row: TimelineRow) -> dict[str, object]:
    return {"span_id": row.span_id, "error": row.has_error, **dict(row.details)}


def _of_frames(flame: Flame, name: str) -> Iterator[dict[str, object]]:
    yield _named(1, 1, "process_name", name)
    yield _named(1, 1, "thread_name", f"{flame.measure}, merged")
    for start_ns, row in _starts(flame.rows):
        if not row.value_ns:
            continue
        yield {
            "ph": "X",
            "cat": row.service or "frame",
            "name": row.label or _NO_NAME,
            "pid": 1,
            "tid": 1,
            "ts": _us(start_ns),
            "dur": _us(row.value_ns),
            "args": dict(row.facts),
        }


def _starts(rows: Sequence[FlameRow]) -> Iterator[tuple[int, FlameRow]]:
    """Give where each frame begins: callees begin where their caller does, one after the other."""
    ahead_ns = [0]
    for row in rows:
        del ahead_ns[row.depth + 1 :]
        start_ns = ahead_ns[row.depth]
        ahead_ns[row.depth] += row.value_ns
        ahead_ns.append(start_ns)
        yield start_ns, row


class _Edge(NamedTuple):
    """The start or the end of a span."""

    at_ns: int
    row: int
    """The position of the span among the rows."""
    is_start: bool


class Lane(Struct, eq=False):
    """Spans that are nested in each other or follow each other."""

    key: str
    """What its spans have in common."""
    edges: list[_Edge] = []
    """In order of time; a span that lies in another one starts after it and ends before it."""
    _open: list[tuple[int, int]] = []
    """The rows of spans that have not ended yet, with their ends, the innermost last."""

    def close_until(self, at_ns: int, parent: int = -1) -> None:
        """End the spans that end by a time, but not the one that the next span is called by."""
        while self._open and self._open[-1][1] <= at_ns and self._open[-1][0] != parent:
            row, end_ns = self._open.pop()
            self.edges.append(_Edge(end_ns, row, is_start=False))

    def close(self) -> None:
        """End what is left."""
        while self._open:
            self.close_until(self._open[-1][1])

    def can_hold(self, parent: int, end_ns: int) -> bool:
        """Tell whether a span that ends then lies directly in the one that calls it."""
        return bool(self._open) and self._open[-1][0] == parent and end_ns <= self._open[-1][1]

    def start(self, row: int, start_ns: int, end_ns: int) -> None:
        """Put a span on the lane."""
        self._open.append((row, end_ns))
        self.edges.append(_Edge(start_ns, row, is_start=True))


def find_lanes(rows: Sequence[TimelineRow], key: Callable[[TimelineRow], str]) -> list[Lane]:
    """Put spans on as few lanes as their callers allow, those of different keys on different ones.

    A span lies in its caller where no other call of the caller is there at that time; otherwise, or if it lasts longer
    than its caller, it gets a lane on which nothing else is at that time. Nothing ever lies in a span that did not call
    it.

    Args:
        rows: All spans, depth first.
        key: What spans of a lane have in common.
    """
    parents = list(_parents(rows))
    lanes: list[Lane] = []
    lane_of = [-1] * len(rows)
    # By key: when lanes are free, and which of them are.
    busy: dict[str, list[tuple[int, int]]] = {}
    idle: dict[str, list[int]] = {}
    for row in sorted(range(len(rows)), key=lambda row: (rows[row].start_ns, row)):
        span, parent = rows[row], parents[row]
        kind, end_ns = key(span), span.start_ns + span.duration_ns
        above = lane_of[parent] if parent >= 0 else -1
        if above >= 0 and lanes[above].key == kind:
            lanes[above].close_until(span.start_ns, parent)
            if lanes[above].can_hold(parent, end_ns):
                lanes[above].start(row, span.start_ns, end_ns)
                lane_of[row] = above
                continue
        waiting, free = busy.setdefault(kind, []), idle.setdefault(kind, [])
        while waiting and waiting[0][0] <= span.start_ns:
            heappush(free, heappop(waiting)[1])
        if not free:
            free.append(len(lanes))
            lanes.append(Lane(kind))
        lane_of[row] = heappop(free)
        heappush(waiting, (end_ns, lane_of[row]))
        lanes[lane_of[row]].close_until(span.start_ns)
        lanes[lane_of[row]].start(row, span.start_ns, end_ns)
    for lane in lanes:
        lane.close()
    return lanes


def _parents(rows: Sequence[TimelineRow]) -> Iterator[int]:
    """Give for each row the one that it hangs on; -1 for a root."""
    above: list[int] = []
    for position, row in enumerate(rows):
        del above[row.depth :]
        yield above[-1] if above else -1
        above.append(position)
