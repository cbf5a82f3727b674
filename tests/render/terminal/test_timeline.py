from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.laws import examples
from tests.render.terminal.drawing import coloured, lines, printed
from tests.render.terminal.samples import report
from traceq.render.terminal import Canvas
from traceq.report import Timeline, TimelineRow

_COUNT = 20_000
_PATIENCE_S = 8
"""Of processor time, and generous: what is held here is that time grows with rows, not with rows times depth."""


def _span(depth: int, label: str, start: int = 0, duration: int = 10, **more: object) -> TimelineRow:
    row = TimelineRow(depth, is_last=True, label=label, service="svc", start_ns=start, duration_ns=duration)
    return replace(row, **more)


def _row(start: int, duration: int, *critical: tuple[int, int], label: str = "op", note: str = "") -> TimelineRow:
    return TimelineRow(
        0,
        is_last=True,
        label=label,
        service="svc",
        start_ns=start,
        duration_ns=duration,
        critical=critical,
        note=note,
        is_flagged=bool(note),
    )


def _bars(*rows: TimelineRow) -> list[str]:
    """The bars at 20 cells: two halves are 100 ns."""
    drawn = lines(Timeline((*rows, _row(0, 0, label="x" * 60)), 2_000), width=60)
    start = drawn[0].index(" 0 ") + 1
    assert len(drawn[0]) - start == 20
    return [line[start:] for line in drawn[1:-1]]


def test_bars_have_half_cells_at_both_ends() -> None:
    bars = _bars(_row(0, 2_000, (0, 2_000)), _row(50, 100, (50, 150)), _row(50, 100), _row(200, 50), _row(0, 0, (0, 0)))

    assert bars == ["━" * 20, "╺╸", "╶╴", "  ╴", "╸"]


def test_the_critical_path_is_heavy_within_a_light_bar_in_whole_cells() -> None:
    bars = _bars(
        _row(0, 800, (100, 250), (400, 401)),
        _row(0, 1_000, *((start, start + 60) for start in range(0, 1_000, 100))),
        _row(0, 1_000, *((start, start + 30) for start in range(0, 1_000, 100))),
        _row(1_990, 900, (1_990, 2_000)),
    )

    # A short stretch among others gives way; a bar that has nothing else shows it.
    assert bars == ["─━━─────", "━" * 10, "━─────────", " " * 19 + "╺"]


def test_asynchronous_bars_are_dashed() -> None:
    row = _span(0, "op", 100, 300, relation="asynchronous")

    assert _bars(row) == [" ┄┄┄"]


def test_a_trace_without_duration_is_drawn() -> None:
    assert lines(Timeline((_row(0, 0),), 0))[1].split() == ["op", "svc", "0", "ns", "╴"]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_bars_get_a_third_of_the_width(width: int) -> None:
    rows = (_span(0, "root", 0, 100, self_ns=5), _span(1, "x" * 90, service="a-service-of-a-long-name", self_ns=5))

    header = lines(Timeline(rows, 100, has_ids=True), width)[0]

    assert width - header.index(" 0 ") - 1 >= width / 3


@given(st.lists(st.tuples(st.text("ab/", min_size=1, max_size=90), st.text("cd", max_size=40)), min_size=1, max_size=5))
@examples(0.2)
def test_names_only_get_longer_with_the_width(names: list[tuple[str, str]]) -> None:
    rows = tuple(_span(0, name, 0, 100, service=service, self_ns=1) for name, service in names)
    longest = [0] * len(rows)

    for width in range(50, 251, 3):
        drawn = lines(Timeline(rows, 100), width)
        found = [len(line[: drawn[0].index("DURATION")].rstrip()) for line in drawn[1:]]
        assert all(now >= before for now, before in zip(found, longest, strict=True))
        longest = found


def test_each_row_shows_its_id() -> None:
    rows = (_span(0, "root", 0, 100, span_id="0f3b2a1c4d5e6f70"), _span(1, "call", span_id="aa"))

    drawn = lines(Timeline(rows, 100, has_ids=True), 100)

    assert [line[1:19] for line in drawn] == ["ID                ", "0f3b2a1c4d5e6f70  ", "aa                "]


def test_lines_of_details_are_lines_and_none_is_obeyed() -> None:
    trace = "Traceback\n  File x.py\x1b[31m\n\nError: [bold]"
    rows = (_span(0, "root", 0, 100, details=(("", f"+1 ns  raised\nstack=\n{trace}"), ("http.url", "a"))),)

    assert [line.rstrip() for line in lines(Timeline(rows, 100), 80)[2:]] == [
        "    +1 ns  raised",
        "      stack=",
        "      Traceback",
        "        File x.py\\x1b[31m",
        "",
        "      Error: [bold]",
        "    http.url=a",
    ]


def test_a_line_too_long_goes_on_further_in_than_it_began() -> None:
    code = "Traceback\n    return await dependant.call(**values, following=the_others)"
    rows = (_span(0, "root", 0, 100, details=(("", code),)),)

    assert [line.rstrip() for line in lines(Timeline(rows, 100), 40)[2:]] == [
        "    Traceback",
        "          return await",
        "            dependant.call(**values,",
        "            following=the_others)",
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (_row(0, 400, note="slow"), "────  ← slow"),
        (_row(1_600, 400, note="slow"), "         slow → ────"),
        (_row(100, 1_800, note="slow"), " ──────────────────\n ↑ slow"),
        (_row(1_100, 900, note="quite slow"), "           ─────────\n        ↑ quite slow"),
    ],
    ids=["right", "left", "below", "below, at the margin"],
)
def test_a_note_stands_where_it_fits(row: TimelineRow, expected: str) -> None:
    assert "\n".join(_bars(row)) == expected


def test_what_is_remarkable_survives_without_colour() -> None:
    rows = (
        _span(0, "root", 0, 100),
        _span(1, "failed", is_last=False, has_error=True),
        _span(1, "folded", is_last=False, count=1_047),
        _span(1, "absent", is_last=False, relation="placeholder"),
        _span(1, "later", relation="asynchronous"),
    )

    drawn = [line.split("  ")[0] for line in lines(Timeline(rows, 100))]

    assert drawn == [" SPAN", " root", " ├─ ! failed", " ├─ folded x 1,047", " ├─ ? absent", " └┄ later"]


def test_colour_tells_errors_services_and_the_path() -> None:
    rows = (
        _span(0, "root", 0, 100, critical=((0, 100),)),
        _span(1, "failed", has_error=True),
    )

    root, failed = coloured(report(Timeline(rows, 100)), Canvas(80)).splitlines()[1:]

    assert "\x1b[1mroot\x1b[0m" in root
    assert "\x1b[31m! \x1b[0m\x1b[2mfailed\x1b[0m" in failed
    assert "\x1b[38;5;" in root


def _deep() -> Timeline:
    rows = (_span(depth, "op", depth, 2 * _COUNT - 2 * depth) for depth in range(_COUNT))
    return Timeline(tuple(rows), 2 * _COUNT)


def _wide() -> Timeline:
    root = _span(0, "root", 0, _COUNT, critical=((0, 5), (10, 20)))
    rows = (_span(1, "op", number, 1, is_last=number == _COUNT - 2) for number in range(_COUNT - 1))
    return Timeline((root, *rows), _COUNT)


@pytest.mark.parametrize("timeline", [_deep(), _wide()], ids=["deep", "wide"])
def test_large_traces_take_seconds(timeline: Timeline) -> None:
    started = time.process_time()

    drawn = printed(report(timeline), Canvas(100))

    assert time.process_time() - started < _PATIENCE_S
    assert drawn.count("\n") == _COUNT + 1


def test_deep_rows_tell_how_many_levels_are_not_drawn() -> None:
    last = lines(_deep(), width=100)[-1]

    assert last.startswith(" ⋯19,990 ")
    assert "└─op" in last
