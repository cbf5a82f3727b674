"""A flame graph as a file for speedscope (https://www.speedscope.app).

Of one trace there is a profile for each lane of spans, along time: spans overlap, and what overlaps in such a profile
has to be nested. Of many traces there is one profile of stacks and their weights; of a comparison one for each side.

Source: the published schema, https://www.speedscope.app/file-format-schema.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from traceq.render.json import encode
from traceq.render.lanes import Lane, find_lanes
from traceq.report import Flame, FlameRow, Timeline, TimelineRow

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class _Frames:
    """The frames that profiles share."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, row: FlameRow | TimelineRow) -> int:
        return self._numbers.setdefault((row.label, row.service), len(self._numbers))

    def to_list(self) -> list[dict[str, str]]:
        # An empty name would not be shown; the file is what speedscope shows beside it and colours by.
        return [{"name": name or "(no name)", **({"file": file} if file else {})} for name, file in self._numbers]


def render_speedscope(flame: Flame, spans: Timeline | None, name: str) -> str:
    """Write a file of profiles.

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
