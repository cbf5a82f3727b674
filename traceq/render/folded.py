"""A flame graph as folded stacks: a line for each call path, as flamegraph.pl, inferno and speedscope read them.

`chat-service: POST /rooms;chat-service: save;chat-service: insert 400`: the path from the first call down, and its own
part in ns. The numbers of all lines add up to the total. A comparison has two numbers, before and after, each a mean
over requests, as difffolded.pl writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from traceq.report import Flame, FlameRow
from traceq.untrusted import printable

_LAST_NUMBER = re.compile(r" +(?=\d+(?:\.\d*)?$)")
"""flamegraph.pl takes the number in `SELECT 1 400` for that of the other side of a comparison."""


def render_folded(flame: Flame) -> str:
    """Write one line for each frame with an own part."""
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
