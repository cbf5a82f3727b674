"""Looks at what a picture of a graph is made of, cell by cell."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.render.terminal.drawing import lines
from traceq.render.terminal.graph import _Grid
from traceq.report import Graph, GraphEdge

_ACROSS, _DOWN = 2 | 8, 1 | 4


def assert_clean(graph: Graph) -> None:
    """Where two wires share a cell one goes across and one down; only ends and labels are written over wires."""
    wires: dict[tuple[int, int], list[int]] = defaultdict(list)
    written: list[tuple[int, int, str]] = []
    original_wire, original_write = _Grid.wire, _Grid.write

    def wire(grid: _Grid, row: int, column: int, sides: int, edge: GraphEdge) -> None:
        wires[row, column].append(sides)
        original_wire(grid, row, column, sides, edge)

    def write(grid: _Grid, row: int, column: int, text: str, style: object = None) -> None:
        written.append((row, column, text))
        original_write(grid, row, column, text, style)  # type: ignore[arg-type]  # handed through

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Grid, "wire", wire)
        patch.setattr(_Grid, "write", write)
        drawn = lines(graph, width=10_000)

    for sides in wires.values():
        assert len(sides) == 1 or sorted(sides) == [_DOWN, _ACROSS], drawn
    _assert_written_over(wires, written, drawn)


def _assert_written_over(
    wires: dict[tuple[int, int], list[int]], written: list[tuple[int, int, str]], drawn: list[str]
) -> None:
    for row, column, text in written:
        covered = [wires[row, column + offset] for offset in range(len(text)) if (row, column + offset) in wires]
        if text.strip(" ◀▶") and text[0] not in "─│┌┐└┘├┤┬┴┼┄┆":
            assert not covered or (text.startswith(" ") and covered == [[_ACROSS]] * len(text)), drawn
        elif len(text) > 1:
            assert not covered, drawn
