"""Which of twelve hues a service has: one in all of an answer, in the terminal, on pages and in pictures."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from traceq.report import Block, Flame, Graph, Line, Report, Table, Timeline, Unit

COLOURS = (
    *(("#00779b", "#35b6dd"), ("#347d34", "#6cbd6c"), ("#9a3f9a", "#cf7fcf"), ("#a05f00", "#e39a3a")),
    *(("#3b62d9", "#8aa4ff"), ("#007b77", "#35bdb8"), ("#b33aae", "#e07fdd"), ("#58782b", "#9cc568")),
    *(("#7b4fd0", "#b79bff"), ("#826d00", "#c6b03c"), ("#377878", "#78bcbc"), ("#8c6827", "#dfb96f")),
)
"""The hues where all colours can be had: on white, where the terminal's own are too light to be read, and on black."""
HUE_COUNT = len(COLOURS)


_ARROW = re.compile(r"(?:^| )(?:→|←) ")


def _hue_name(text: str) -> str:
    """Give the name that decides about a hue: `mongodb` for `→ mongodb`, `chat → mongodb` and `mongodb messages`.

    Peers are named by their systems in some views and with what they hold in others.
    """
    name = _ARROW.split(text, maxsplit=1)[-1]
    return name.partition(" ")[0] or name


class Hues(Struct, frozen=True):
    """The hues of the services of one answer."""

    _numbers: Mapping[str, int] = {}

    def number(self, service: str) -> int:
        """Give a service its hue."""
        name = _hue_name(service)
        found = self._numbers.get(name)
        return _wanted(name) if found is None else found


def hues_of(report: Report) -> Hues:
    """Give every service of an answer its hue, in whatever order renderers draw its blocks.

    Each has one of its own as long as there are enough: the one that its name wants, or else a free one. So most
    services have the same in other answers, too.
    """
    graphs = () if report.graph is None else (report.graph,)
    ends = (end for text in _services((*report.blocks, *graphs)) for end in _ARROW.split(text))
    names = sorted({_hue_name(end) for end in ends if end})
    first: dict[int, str] = {}
    for name in names:
        first.setdefault(_wanted(name), name)
    numbers = {name: number for number, name in first.items()}
    for name in names:
        if name not in numbers:
            after = ((_wanted(name) + step) % HUE_COUNT for step in range(HUE_COUNT))
            # Beyond the palette hues are shared.
            numbers[name] = next((hue for hue in after if hue not in first), _wanted(name))
            first[numbers[name]] = name
    return Hues(numbers)


def _wanted(name: str) -> int:
    # From the name, and not by Python's hash: that one differs from run to run.
    return zlib.crc32(name.encode("utf-8", "replace")) % HUE_COUNT


def _services(blocks: Iterable[Block]) -> Iterator[str]:
    """Give everything that may be drawn in a hue."""
    for block in blocks:
        match block:
            case Table():
                hued = [at for at, column in enumerate(block.columns) if column.unit is Unit.SERVICE]
                yield from {cell for row in block.rows for cell in (row[at] for at in hued) if isinstance(cell, str)}
            case Line():
                yield from (part.text for part in block.parts if part.role == "service")
            case Timeline():
                yield from {row.service for row in block.rows}
            case Flame():
                yield from {row.place for row in block.rows}
            case Graph():
                yield from (node.label for node in (block.whole or block).nodes)
