"""Pages, opened in Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from tests.render.page.conftest import Opened
from tests.render.reports import HOSTILE, blocks_with, imprint_with, report_with
from traceq.render import Imprint
from traceq.render.page import render_page
from traceq.report import Column, Flame, FlameRow, Report, Table, Timeline, TimelineRow, Unit
from traceq.units import format_duration

DURATIONS = [
    *(0, 1, 9, 99, 999, 1_000, 9_994, 9_996, 99_949, 99_950, 999_499, 999_500, 1_000_000, 14_030_000, 999_999_999),
    *(1_000_000_000, 1_214_999_999, 59_949_999_999, 59_950_000_001, 60_000_000_000, 3_599_000_000_000, 90_061 * 10**9),
]


def page_of(*rows: TimelineRow, duration_ns: int = 1000) -> str:
    return render_page(Report("show", {}, Table((), ()), (Timeline(rows, duration_ns),)), Imprint("title"))


def row(depth: int, label: str, start_ns: int = 0, duration_ns: int = 1000, **more: Any) -> TimelineRow:
    is_last = False
    return TimelineRow(depth, is_last, label, "svc", start_ns, duration_ns, **more)


TREE = page_of(
    row(0, "root", critical=((0, 100), (900, 1000))),
    row(1, "first", 100, 800, critical=((100, 900),), is_flagged=True, note="bottleneck 80 %", span_id="aa11"),
    row(2, "leaf", 200, 100, has_error=True, details=(("attribute db.statement", "SELECT 1\n  FROM t"),)),
    row(1, "second", 910, 20),
    row(2, "below", 912, 4),
)
LARGE = page_of(*(row(min(number, 1 + number % 7), f"span {number}") for number in range(10_000)))


WIDE = render_page(report_with("a name with-many-parts/" * 9), imprint_with("x" * 300))


@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_no_page_is_wider_than_its_window(width: int, opened: Opened) -> None:
    assert opened(WIDE, width).evaluate("document.documentElement.scrollWidth") <= width


def test_a_narrow_window_shows_every_cell_of_a_table_with_its_heading(opened: Opened) -> None:
    columns: tuple[Column[Any], ...] = (
        Column("operation", "operation"),
        Column("took_ns", "critical", Unit.DURATION),
        Column("held_by", "held up by"),
    )
    rows = tuple(("POST /rooms/{room_id}/messages", 10**9 + number, "save > insert > " * 9) for number in range(3))
    found = opened(render_page(Report("x", {}, Table((), ()), (Table(columns, rows),)), Imprint("x")), width=390)

    assert found.evaluate("(box => box.scrollWidth <= box.clientWidth)(document.querySelector('.scroller'))")
    cells = found.locator("tbody tr").first.locator("td")
    assert [cells.nth(at).is_visible() for at in range(3)] == [True] * 3
    before = [cells.nth(at).evaluate("cell => getComputedStyle(cell, '::before').content") for at in range(3)]
    assert [text.replace('" "', "").strip() for text in before] == ["none", '"critical "', '"held up by "']


def test_themes_differ(opened: Opened) -> None:
    page = opened(TREE)

    def ground() -> object:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert ground() == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert ground() == "rgb(20, 24, 28)"


def test_names_are_only_shown(opened: Opened) -> None:
    """What fails is a script that runs: the fixture hears of dialogs, errors and requests."""
    blocks = tuple(block for name in HOSTILE for block in blocks_with(name))
    page = opened(render_page(Report("every", {}, Table((), ()), blocks), imprint_with("".join(HOSTILE))))
    for element in page.locator(".timeline .row:visible").all()[::7]:
        element.click()

    assert page.locator("img, iframe, object, [onerror], [onmouseover], [onfocus]").count() == 0
    assert page.locator(".panel:visible").count() > 1


def test_durations_are_written_as_everywhere(opened: Opened) -> None:
    written = opened(TREE).evaluate("durations => durations.map(durationText)", DURATIONS)

    assert written == list(map(format_duration, DURATIONS))


def labels(page: object) -> list[str]:
    texts: list[str] = page.locator(".timeline .row:visible .label").all_inner_texts()  # type: ignore[attr-defined]
    return texts


def test_a_trace_is_walked_through_by_keys(opened: Opened) -> None:
    page = opened(TREE)
    rows = page.locator(".rows")
    rows.focus()

    def selected() -> str:
        text: str = page.locator(".row.selected .label").inner_text()
        return text

    assert labels(page) == ["root", "first", "leaf", "second", "below"]
    page.keyboard.press("ArrowDown")
    assert (selected(), rows.get_attribute("aria-activedescendant")) == ("first", "part-0-1")
    page.keyboard.press("ArrowLeft")
    assert labels(page) == ["root", "first", "second", "below"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    assert selected() == "below"
    page.keyboard.press("ArrowLeft")
    assert selected() == "second"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator(".panel h3").inner_text() == "leaf"
    assert page.locator(".panel dd").last.inner_text() == "SELECT 1\n  FROM t"
    page.keyboard.press("Escape")
    assert not page.locator(".panel").is_visible()
    page.keyboard.press("z")
    assert page.locator(".tick").first.inner_text() == "200 ns"
    for _ in range(5):
        page.keyboard.press("+")
    first, second, *_ = page.locator(".tick").all_inner_texts()
    assert (first.endswith(" ns"), second.startswith("+")) == (True, True)
    page.keyboard.press("0")
    assert page.locator(".tick").first.inner_text() == "0 ns"


def test_a_search_finds_attributes_and_unfolds_what_hides_them(opened: Opened) -> None:
    page = opened(TREE)
    page.locator(".fold-all").click()
    assert labels(page) == ["root", "first", "second"]
    page.locator(".rows").focus()
    page.keyboard.press("/")
    page.keyboard.type("from T")

    assert page.locator(".match-count").inner_text() == "1 found"
    page.keyboard.press("Enter")
    assert page.locator(".row.selected .label").inner_text() == "leaf"
    assert page.locator(".match-count").inner_text() == "1 of 1"


def test_the_critical_path_can_stand_alone(opened: Opened) -> None:
    page = opened(TREE)
    page.locator(".path-only").check()

    assert labels(page) == ["root", "first"]
    assert page.locator(".flagged .note").inner_text() == "bottleneck 80 %"


SOUGHT = page_of(
    row(0, "root", critical=((0, 1000),)),
    row(1, "first", 100, 200),
    row(2, "leaf", 200, 100, is_match=True),
    row(1, "second", 400, 100),
    row(1, "third", 600, 100),
    row(2, "other", 600, 50, is_match=True),
)


def test_what_was_looked_for_is_marked_and_gone_through_by_keys(opened: Opened) -> None:
    page = opened(SOUGHT)

    assert page.locator(".row.match .label").all_inner_texts() == ["leaf", "other"]
    assert page.locator(".match-count").inner_text() == "2 found"
    assert page.locator(".row.selected .label").inner_text() == "leaf"
    page.locator(".rows").focus()
    page.keyboard.press("n")
    assert page.locator(".row.selected .label").inner_text() == "other"
    assert page.locator(".match-count").inner_text() == "2 of 2"
    page.keyboard.press("n")
    assert page.locator(".row.selected .label").inner_text() == "leaf"


def test_what_was_looked_for_can_stand_alone_and_a_search_takes_its_place(opened: Opened) -> None:
    page = opened(SOUGHT)
    page.locator(".match-only").check()
    assert labels(page) == ["root", "first", "leaf", "third", "other"]

    page.locator(".search").fill("second")
    assert page.locator(".match-count").inner_text() == "1 found"
    page.locator(".search").press("Enter")
    assert page.locator(".row.selected .label").inner_text() == "second"
    assert not page.locator(".match-only").is_checked()
    page.locator(".search").fill("")
    assert page.locator(".match-count").inner_text() == "2 found"


def test_a_page_without_a_search_offers_no_matches(opened: Opened) -> None:
    page = opened(TREE)

    assert page.locator(".match-only").is_hidden()
    assert page.locator(".row.match").count() == 0
    assert page.locator(".match-count").inner_text() == ""


def test_ten_thousand_spans_are_a_few_elements_and_paint_within_a_second(opened: Opened) -> None:
    page = opened(LARGE)
    page.locator(".unfold-all").click()

    assert page.locator(".row").count() < 100
    assert page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") < 1_000
    page.locator(".rows").focus()
    page.keyboard.press("End")
    assert page.locator(".row.selected .label").inner_text() == "span 9999"


FLAME = render_page(
    Report(
        "flame",
        {},
        Table((), ()),
        (
            Flame(
                (
                    FlameRow(0, "root", "shop", 1000, 100),
                    FlameRow(1, "wide", "shop", 600, 200),
                    FlameRow(2, "deep", "mysql", 400, 400, facts=(("spans", "7"),)),
                    FlameRow(1, "narrow", "shop", 300, 300),
                    FlameRow(1, "unseen", "shop", 0, 0),
                    FlameRow(0, "other", "shop", 200, 200),
                ),
                1200,
                "critical time",
            ),
        ),
    ),
    Imprint("title"),
)


def test_frames_stand_below_their_callers_as_wide_as_their_time(opened: Opened) -> None:
    page = opened(FLAME)
    places = page.evaluate(
        "[...document.querySelectorAll('.frame')].map(frame => [frame.textContent, parseFloat(frame.style.left) * 12, "
        "parseFloat(frame.style.width) * 12, parseFloat(frame.style.top) / 20].map(each => each.toFixed?.() ?? each))"
    )

    assert places == [
        ["root", "0", "1000", "0"],
        ["wide", "0", "600", "1"],
        ["deep", "0", "400", "2"],
        ["narrow", "600", "300", "1"],
        ["other", "1000", "200", "0"],
    ]


def test_a_flame_graph_is_walked_through_by_keys(opened: Opened) -> None:
    page = opened(FLAME)
    page.locator(".frames").focus()

    def frames() -> list[str]:
        texts: list[str] = page.locator(".frame").all_inner_texts()
        return texts

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.locator(".frame.selected").inner_text() == "narrow"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert page.locator(".flame .facts").inner_text().split("\n") == [
        *("deep", "critical time", "400 ns, 33.3 % of all", "own", "400 ns", "spans", "7")
    ]
    page.keyboard.press("Enter")
    assert frames() == ["root", "wide", "deep"]
    page.keyboard.press("Escape")
    assert len(frames()) == 5
    page.keyboard.press("/")
    page.keyboard.type("SHOP")
    assert page.locator(".match-share").inner_text() == "100.0 % of all"


def test_tables_are_sorted_by_their_headings(opened: Opened) -> None:
    columns = (Column[object]("name", "name"), Column[object]("ns", "took", Unit.DURATION))
    table = Table(columns, (("b", 2_000_000), ("a", None), ("c", 30_000)))
    page = opened(render_page(Report("any", {}, table, (table,)), Imprint("title")))

    def names() -> list[str]:
        texts: list[str] = page.locator("tbody td:first-child").all_inner_texts()
        return texts

    page.locator("th", has_text="took").click()
    assert names() == ["b", "c", "a"]
    page.locator("th", has_text="took").press("Enter")
    assert names() == ["c", "b", "a"]
    page.locator("th", has_text="name").click()
    assert (names(), page.locator("th", has_text="name").get_attribute("aria-sort")) == (["a", "b", "c"], "ascending")
