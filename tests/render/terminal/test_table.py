from __future__ import annotations

import time
from typing import Any

from tests.render.terminal.drawing import coloured, lines
from tests.render.terminal.samples import NOON_NS, SLOW, report
from traceq.render.terminal import Canvas
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
