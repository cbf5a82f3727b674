"""Rows of values under columns, and how these share the width."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from tests.render.terminal.drawing import coloured, lines
from tests.render.terminal.samples import NOON_NS, SLOW, report
from traceq.render.terminal import Canvas
from traceq.render.terminal.canvas import cut, width_of
from traceq.render.terminal.table import GAP, Wish, fit, shorten_all
from traceq.report import Column, Table, Unit, Value


def _column(unit: Unit, *values: Value) -> list[str]:
    return [line[1:] for line in lines(Table((Column("k", "it", unit),), tuple((value,) for value in values)))]


def test_units_of_durations_stand_below_each_other() -> None:
    assert _column(Unit.DURATION, 1_210_000_000, 15_000_000, 0, 75_000_000_000, None) == [
        "       IT",
        "  1.21 s",
        "  15.0 ms",
        "     0 ns",
        "1 m 15 s",
        "        -",
    ]


def test_counts_errors_and_shares_are_aligned_right() -> None:
    assert _column(Unit.COUNT, 7, 12_345, None) == ["   IT", "    7", "12.3k", "    -"]
    assert _column(Unit.ERRORS, 0, 3, None) == ["IT", " -", "!3", " -"]
    assert _column(Unit.RATIO, 0.5, 0.004, None) == ["   IT", " 50 %", "0.4 %", "    -"]
    assert _column(Unit.TEXT, 5, 1.23456, 12) == ["  IT", "   5", "1.23", "  12"]


def test_text_of_all_sorts() -> None:
    is_so = True

    assert _column(Unit.TEXT, "a", is_so, None, ("x", "y"), "[red]b[/red]") == [
        "IT",
        "a",
        "yes",
        "-",
        "x · y",
        "[red]b[/red]",
    ]


def test_bars_are_drawn_in_eighths_and_never_vanish() -> None:
    assert _column(Unit.BAR, 1, 0.5, 0.19, 0.0001, 0, 7.0) == ["IT", "█" * 10, "█████", "█▉", "▏", "", "█" * 10]


def test_times_are_told_to_the_second_and_their_day_and_zone_once(utc: None) -> None:
    assert _column(Unit.TIME, NOON_NS, NOON_NS + 1_500_000_000, None) == [
        "IT",
        "12:00:00",
        "12:00:01",
        "-",
        "times: 2026-11-22 UTC",
    ]
    assert _column(Unit.TIME, NOON_NS, NOON_NS + 86_400 * 10**9) == [
        "IT",
        "2026-11-22 12:00:00",
        "2026-11-23 12:00:00",
        "times: UTC",
    ]


def test_less_important_columns_are_left_out_and_named() -> None:
    columns: tuple[Column[Any], ...] = (
        Column("id", "trace", Unit.TRACE_ID),
        Column("root", "root", can_shrink=True),
        Column("count", "spans", Unit.COUNT, priority=1),
        Column("other", "other", priority=2),
    )
    table = Table(columns, ((SLOW, "GET /rooms/{room_id}/messages", 14, "x" * 9),))

    assert lines(table, width=70) == [
        " TRACE                             ROOT                      SPANS",
        f" {SLOW}  GET /rooms/{{ro…/messages     14",
        " width 70: OTHER left out, see --format json",
    ]
    assert lines(table, width=52) == [
        " TRACE                             ROOT",
        f" {SLOW}  GET /rooms…ssages",
        " width 52: SPANS, OTHER left out, see --format json",
    ]


def test_the_excess_is_shared_in_proportion() -> None:
    columns: tuple[Column[Any], ...] = (Column("a", "a", can_shrink=True), Column("b", "b", can_shrink=True))

    assert lines(Table(columns, (("x" * 36, "y" * 26),)), width=58)[1] == f" {'x' * 30}…  {'y' * 23}…"


def test_no_rows_draw_nothing() -> None:
    assert lines(Table((Column("a", "a"),), ())) == []


def test_ids_are_links_where_the_terminal_and_the_source_allow() -> None:
    table = Table((Column("id", "trace", Unit.TRACE_ID),), ((SLOW,), ("\x1b\\evil",)))
    shown = report(table, trace_url="http://jaeger/trace/{trace_id}")

    linked = coloured(shown, Canvas(80, has_links=True))

    assert f";http://jaeger/trace/{SLOW}\x1b\\{SLOW}\x1b]8;;" in linked
    assert "trace/%1B%5Cevil\x1b\\\\x1b\\evil\x1b]8;;" in linked
    assert "\x1b]8" not in coloured(shown, Canvas(80))
    assert "\x1b]8" not in coloured(report(table), Canvas(80, has_links=True))


def test_a_service_keeps_its_colour_and_shares_it_with_no_other() -> None:
    names = [f"service-{number}" for number in range(12)]
    table = Table((Column("s", "service", Unit.SERVICE),), tuple((name,) for name in names * 2))

    shown = coloured(report(table), Canvas(80)).splitlines()[1:]

    assert shown[:12] == shown[12:]
    assert len({line.split("service")[0] for line in shown}) == 12


def test_five_thousand_rows_take_no_time() -> None:
    columns: tuple[Column[Any], ...] = (
        Column("id", "trace", Unit.TRACE_ID),
        Column("root", "root", can_shrink=True),
        Column("n", "n", Unit.COUNT),
    )
    table = Table(
        columns, tuple((f"{number:032x}", "POST /rooms/{room_id}/messages" * 2, number) for number in range(5_000))
    )
    started = time.process_time()

    assert len(lines(table)) == 5_001
    assert time.process_time() - started < 3


WISHES = st.lists(
    st.builds(
        Wish,
        width=st.integers(1, 300),
        title=st.integers(0, 12),
        can_shrink=st.booleans(),
        is_id=st.booleans(),
        priority=st.integers(0, 9),
    ),
    min_size=1,
    max_size=12,
)
WORDS = st.text("abcxyz/-_.", min_size=1, max_size=60)


@given(WISHES)
@examples(0.5)
def test_no_column_gets_less_of_a_greater_width(wishes: list[Wish]) -> None:
    found = [fit(wishes, room) for room in range(1, 251)]

    for narrow, wide in pairwise(found):
        assert all(less <= more for less, more in zip(narrow, wide, strict=True))
    for room, widths in enumerate(found, 1):
        given_to = [width for width in widths if width]
        assert sum(given_to) + GAP * (len(given_to) - 1) <= room
        assert all(width <= wish.width for width, wish in zip(widths, wishes, strict=True))
    assert found[-1].count(0) < len(wishes)


@given(st.data())
@examples(0.2)
def test_no_cell_shows_less_in_a_wider_terminal(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    columns = [
        Column[Any](f"k{at}", f"t{at}", can_shrink=data.draw(st.booleans()), priority=data.draw(st.integers(0, 5)))
        for at in range(count)
    ]
    rows = data.draw(st.lists(st.tuples(*[WORDS] * count), min_size=1, max_size=4))
    known: dict[tuple[int, str], int] = {}

    for width in range(40, 251, 7):
        drawn = lines(Table(tuple(columns), tuple(rows)), width)
        titles = drawn[0].split()
        for number, line in enumerate(drawn[1 : len(rows) + 1]):
            cells = dict(zip(titles, line.split(), strict=True))
            for title, size in [(title, size) for (at, title), size in known.items() if at == number]:
                assert len(cells[title]) >= size, (width, title)
            known |= {(number, title): len(cell) for title, cell in cells.items()}


@given(st.lists(st.text(max_size=40), max_size=8), st.integers(1, 40))
def test_shortened_texts_fit_and_no_longer_one_shows_less(texts: list[str], width: int) -> None:
    narrow, wide = shorten_all(texts, width, "…"), shorten_all(texts, width + 1, "…")

    for less, more in zip(narrow, wide, strict=True):
        assert width_of(less) <= width
        assert width_of(more) >= width_of(less)


@given(st.text("abc", min_size=3, max_size=60), st.text("abc", min_size=3, max_size=60), st.integers(6, 60))
def test_two_texts_that_differ_still_do(one: str, other: str, width: int) -> None:
    shown = shorten_all([one, other], width, "…")

    assert (shown[0] == shown[1]) == (one == other)


@given(st.lists(st.text("ab-", max_size=40), max_size=12), st.integers(2, 40))
def test_no_fewer_differ_than_when_their_ends_are_cut_off(texts: list[str], width: int) -> None:
    ends_cut = {text if len(text) <= width else cut(text, width - 1) + "…" for text in texts}

    assert len(set(shorten_all(texts, width, "…"))) >= len(ends_cut)


def test_pods_routes_and_chains_keep_what_tells_them_apart() -> None:
    pods = [f"checkout-service-7d9f8b6c54-{end}" for end in ("x2x7k", "q9wlm")]
    routes = ["GET /api/v1/stations/id/{stationName}", "GET /api/v1/stations/id/{stationCode}"]
    chains = [
        "POST /orders > validate > insert_order > mongodb.insert",
        "POST /orders > validate > insert_order > commit",
    ]
    middles = ["shop-eu-central-1-frontend-service", "shop-us-central-1-frontend-service"]

    assert shorten_all(pods, 16, "…") == ["checkou…54-x2x7k", "checkou…54-q9wlm"]
    assert shorten_all(routes, 24, "…") == ["GET /api/v1/st…tionName}", "GET /api/v1/st…tionCode}"]
    assert shorten_all(chains, 30, "…") == ["POST /orders… > mongodb.insert", "POST /orders > valid… > commit"]
    assert shorten_all(middles, 16, "…") == ["shop-eu-central…", "shop-us-central…"]


def test_an_empty_column_goes_before_any_other() -> None:
    columns: tuple[Column[Any], ...] = (
        Column("id", "trace", Unit.TRACE_ID),
        Column("errors", "errors", Unit.ERRORS),
        Column("start", "start", priority=4),
    )
    rows = (("a" * 32, 0, "14:03:22"), ("b" * 32, 0, "14:03:23"))

    assert lines(Table(columns, rows), width=44) == [
        " TRACE                             START",
        f" {'a' * 32}  14:03:22",
        f" {'b' * 32}  14:03:23",
    ]
