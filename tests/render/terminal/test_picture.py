"""Answers as pictures: what the terminal shows, in letters and shapes that stay where they belong."""

from __future__ import annotations

import re
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from tests.render.reports import HOSTILE, report_with
from traceq.render.hues import COLOURS
from traceq.render.terminal import Canvas, draw
from traceq.render.terminal.canvas import HUES, UNICODE, width_of
from traceq.render.terminal.picture import CELL, ROW, SHAPES, render_picture
from traceq.report import Column, Histogram, Line, Part, Report, Table, Timeline, TimelineRow, Unit

_SVG = "{http://www.w3.org/2000/svg}"
_MARGIN = 14


def _parsed(report: Report, width: int = 100) -> ET.Element:
    return ET.fromstring(render_picture(report, width))  # noqa: S314 - we wrote it


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_only_shown(name: str) -> None:
    report = replace(report_with(name), command=name if name.isprintable() else "every")

    root = _parsed(report)

    assert {element.tag.removeprefix(_SVG) for element in root.iter()} == {
        "svg",
        "title",
        "style",
        "rect",
        "path",
        "text",
    }
    assert {key for element in root.iter() for key in element.attrib} <= {
        *("width", "height", "viewBox", "role", "class", "rx", "x", "y", "d"),
        *("stroke-width", "textLength", "lengthAdjust"),
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_every_letter_of_the_terminal_is_there_in_its_cell(name: str) -> None:
    report = report_with(name)
    shown: dict[int, str] = {}
    for element in _parsed(report).iter(f"{_SVG}text"):
        text = element.text or ""
        column = (float(element.get("x", "")) - _MARGIN) / CELL
        row = (float(element.get("y", "")) - _MARGIN - 13.5) / ROW
        assert [column, row] == pytest.approx([round(column), round(row)], abs=0.01)
        assert float(element.get("textLength", "")) == pytest.approx(width_of(text) * CELL, rel=1e-3)
        line = shown.get(round(row), "")
        shown[round(row)] = line + " " * (round(column) - width_of(line)) + text

    for row, strip in enumerate(draw(report, Canvas(100))):
        line = "".join(segment.text for segment in strip)
        assert shown.get(row, "") == "".join(" " if letter in SHAPES else letter for letter in line).rstrip()


def test_a_picture_loads_nothing() -> None:
    picture = render_picture(report_with("name"), 100)

    assert not re.search(r"url\(|@import|@font-face|href|<script|<image|<foreignObject", picture)


def test_what_terminals_draw_lines_and_bars_with_is_drawn() -> None:
    drawn = {*UNICODE.levels, *UNICODE.eighths, *UNICODE.wires, *UNICODE.strokes.values()}
    drawn |= {
        *UNICODE.tee,
        *UNICODE.corner,
        *UNICODE.async_tee,
        *UNICODE.pipe,
        UNICODE.async_across,
        UNICODE.async_down,
    }
    drawn |= {part for box in UNICODE.boxes.values() for part in (box.top_left, box.top, box.top_right, box.side)}
    drawn |= {part for box in UNICODE.boxes.values() for part in (box.bottom_right, box.bottom_left)}

    assert drawn - {" "} <= SHAPES


def test_bars_are_as_long_as_they_say() -> None:
    report = Report("x", {}, Table((), ()), (Histogram(10, 80, (4, 1, 0, 8)),))

    paths = "".join(path.get("d", "") for path in _parsed(report).iter(f"{_SVG}path"))
    bars = [(float(y), float(high)) for y, high in re.findall(r"M[\d.]+ ([\d.]+)H[\d.]+v([\d.]+)H", paths)]
    assert bars == [(23.0, 9.0), (29.75, 2.25), (14.0, 18.0)]


def test_bars_of_a_column_do_not_touch_each_other() -> None:
    column = Column[object]("share", "", Unit.BAR)

    root = _parsed(Report("x", {}, Table((), ()), (Table((column,), ((1.0,), (0.55,))),)))

    bars = re.findall(
        r"M[\d.]+ ([\d.]+)[Hh][\d.]+v([\d.]+)", "".join(path.get("d", "") for path in root.iter(f"{_SVG}path"))
    )
    assert bars == [("35.00", "12.00"), ("53.00", "12.00"), ("53.0", "12.0")]


def test_a_picture_is_as_wide_as_its_longest_line_and_follows_the_theme() -> None:
    root = _parsed(Report("x", {}, Table((), ()), (Line((Part("12345", "error"),)), Line(), Line((Part("1"),)))))

    assert (root.get("width"), root.get("height")) == ("70", "82")
    style = root.findtext(f"{_SVG}style", "")
    assert ".red{color:#c5221f}" in style.partition("@media (prefers-color-scheme:dark)")[0]
    assert ".red{color:#ff7b72}" in style.partition("@media (prefers-color-scheme:dark)")[2]


def test_a_service_has_one_hue_in_the_terminal_on_pages_and_in_pictures() -> None:
    sheet = (files("traceq.render.page") / "page.css").read_text(encoding="utf-8")
    row = TimelineRow(0, True, "GET /", "chat-service", 0, 10)  # noqa: FBT003 - the last of its siblings

    assert len(HUES) == len(COLOURS)
    for number, colours in enumerate(COLOURS):
        assert re.findall(rf"--hue-{number}: (#\w+);", sheet) == list(colours)
    assert 'class="hue-' in render_picture(Report("x", {}, Table((), ()), (Timeline((row,), 10),)), 100)
