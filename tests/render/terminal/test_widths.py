"""Laws that hold for every width and every text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from tests.render.terminal import samples
from tests.render.terminal.drawing import assert_fits, lines
from traceq.render.terminal import Canvas, draw
from traceq.report import (
    Block,
    Column,
    Fields,
    Graph,
    GraphEdge,
    GraphNode,
    Histogram,
    Line,
    NodeKind,
    Part,
    Table,
    Timeline,
    TimelineRow,
    Unit,
)

_HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "two\nlines\r\tand a tab",
    "[red]not markup[/red] [link=x]",
    "=cmd()",
    "部屋を作成する👩‍👩‍👧",
    "x" * 300,
    "",
    " ",
    "\u0301",
    "a/b/" + "c" * 90,
]
_TEXT = st.sampled_from(_HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_WIDTH = st.integers(20, 200)


@pytest.mark.parametrize("width", range(20, 201))
@pytest.mark.parametrize("is_ascii", [False, True])
def test_samples_fit_every_width(width: int, is_ascii: bool) -> None:  # noqa: FBT001 - a parameter of the test
    for sample in (samples.search, samples.show, samples.details, samples.bottlenecks, samples.deps, samples.fields):
        drawn = ["".join(part.text for part in strip) for strip in draw(sample(), Canvas(width, is_ascii))]

        assert_fits(drawn, width)
        assert not is_ascii or all(line.isascii() for line in drawn)


@pytest.mark.parametrize("width", range(40, 201))
def test_trace_ids_stay_whole(width: int) -> None:
    shown = [samples.search(), samples.bottlenecks(), samples.fields()]

    for report in shown:
        assert samples.SLOW in "\n".join("".join(part.text for part in strip) for strip in draw(report, Canvas(width)))


_VALUES = {
    Unit.TEXT: _TEXT | st.booleans() | st.floats() | st.lists(_TEXT, max_size=3).map(tuple),
    Unit.SERVICE: _TEXT,
    Unit.TRACE_ID: st.just(samples.SLOW),
    Unit.COUNT: st.integers(0, 10**9),
    Unit.ERRORS: st.integers(0, 10**5),
    Unit.DURATION: st.integers(0, 10**18),
    Unit.TIME: st.integers(0, 2 * 10**18),
    Unit.RATIO: st.floats(0, 1),
    Unit.BAR: st.floats(0, 1),
}


@st.composite
def _tables(draw: st.DrawFn) -> Table:
    units = draw(st.lists(st.sampled_from(list(_VALUES)), min_size=1, max_size=6))
    columns: list[Column[Any]] = [
        Column("k", draw(_TEXT), unit, can_shrink=draw(st.booleans()), priority=draw(st.integers(0, 3)))
        for unit in units
    ]
    row = st.tuples(*(st.none() | _VALUES[unit] for unit in units))
    return Table(tuple(columns), tuple(draw(st.lists(row, max_size=4))))


@st.composite
def _timelines(draw: st.DrawFn) -> Timeline:
    times = st.integers(0, 10**9)
    rows, depth = [], 0
    for _ in range(draw(st.integers(0, 6))):
        start, duration = draw(times), draw(times)
        rows.append(
            TimelineRow(
                depth,
                draw(st.booleans()),
                draw(_TEXT),
                draw(_TEXT),
                start,
                duration,
                draw(st.none() | times),
                draw(st.sampled_from([(), ((start, start + duration // 2),)])),
                draw(st.booleans()),
                draw(st.sampled_from(["blocking", "asynchronous", "placeholder"])),
                draw(st.sampled_from([1, 47, 12_345])),
                draw(st.sampled_from(["", "bottleneck 83 %"]) | _TEXT),
                draw(st.booleans()),
                details=draw(st.sampled_from([(), (("db.query.text", "SELECT 1"),)]) | st.just((("k" * 90, "\x1b"),))),
            )
        )
        depth = draw(st.integers(0, depth + 1))
    return Timeline(tuple(rows), draw(times))


@st.composite
def _graphs(draw: st.DrawFn) -> Graph:
    kinds: st.SearchStrategy[NodeKind] = st.sampled_from(["service", "database", "messaging", "external"])
    ids = [str(number) for number in range(draw(st.integers(1, 7)))]
    nodes = tuple(GraphNode(node_id, draw(_TEXT), draw(kinds)) for node_id in ids)
    ends = st.sampled_from(ids)
    edge = st.builds(GraphEdge, ends, ends, _TEXT, st.booleans())
    return Graph(nodes, tuple(draw(st.lists(edge, max_size=8))), draw(st.sampled_from(["graph", "tree", "auto"])))


_BLOCKS = st.one_of(
    _tables(),
    _timelines(),
    _graphs(),
    st.lists(st.tuples(_TEXT, _TEXT), max_size=4).map(lambda pairs: Fields(tuple(pairs))),
    st.lists(_TEXT, max_size=4).map(lambda texts: Line(tuple(Part(text, "service") for text in texts))),
    st.lists(st.integers(0, 9), max_size=300).map(lambda counts: Histogram(1, 10**12, tuple(counts))),
)


@examples(3)
@given(_BLOCKS, _WIDTH, st.booleans())
def test_whatever_a_trace_says_fits_and_obeys_nothing(block: Block, width: int, is_ascii: bool) -> None:  # noqa: FBT001 - given
    drawn = lines(block, width, is_ascii=is_ascii)

    assert_fits(drawn, width)
    assert not is_ascii or all(line.isascii() for line in drawn)
