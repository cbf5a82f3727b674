"""Times as people type them, on a Monday morning in Berlin, a day after summer time ended there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from traceq.cli.options import WindowOptions
from traceq.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_S, Lookback, format_time, parse_lookback, parse_time


def at(text: str) -> int:
    """Give a time in UTC in ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


NOW_NS = at("2026-10-26 09:30:00")
"""10:30 in Berlin."""


def since(start_ns: int) -> Lookback:
    return Lookback(NOW_NS - start_ns, start_ns)


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-10-26 09:30:00"),
        ("NOW", "2026-10-26 09:30:00"),
        *((text, "2026-10-26 07:30:00") for text in ("2h", "-2h", "2h ago", "now-2h", "now - 2h", "2 hours ago")),
        ("1 minute ago", "2026-10-26 09:29:00"),
        ("1.5 hrs ago", "2026-10-26 08:00:00"),
        ("+5m", "2026-10-26 09:35:00"),
        ("now+1h", "2026-10-26 10:30:00"),
        # A day is 24 hours, whatever clocks did; `yesterday` is a day of the calendar.
        ("1d ago", "2026-10-25 09:30:00"),
        ("2d", "2026-10-24 09:30:00"),
        ("today", "2026-10-25 23:00:00"),
        ("yesterday", "2026-10-24 22:00:00"),
        ("Yesterday 14:00", "2026-10-25 13:00:00"),
        ("yesterday at 2pm", "2026-10-25 13:00:00"),
        ("yesterday 01:30", "2026-10-24 23:30:00"),
        ("yesterday 02:30", "2026-10-25 00:30:00"),
        ("yesterday 03:30", "2026-10-25 02:30:00"),
        ("14:00", "2026-10-26 13:00:00"),
        ("9:05:30", "2026-10-26 08:05:30"),
        ("12am", "2026-10-25 23:00:00"),
        ("12:30 PM", "2026-10-26 11:30:00"),
        ("14:00Z", "2026-10-26 14:00:00"),
        ("yesterday 14:00 UTC", "2026-10-25 14:00:00"),
        ("yesterday 14:00 +05:30", "2026-10-25 08:30:00"),
        # Seen from Auckland it is Monday evening, from Honolulu still Sunday.
        ("today -10:00", "2026-10-25 10:00:00"),
        ("monday", "2026-10-25 23:00:00"),
        ("monday 9:00", "2026-10-26 08:00:00"),
        ("monday 14:00", "2026-10-19 12:00:00"),
        ("last monday", "2026-10-18 22:00:00"),
        ("Sunday", "2026-10-24 22:00:00"),
        ("tuesday 8:00", "2026-10-20 06:00:00"),
        ("2026-10-25T10:00", "2026-10-25 09:00:00"),
        ("2026-10-24T10:00", "2026-10-24 08:00:00"),
        ("2026-10-25 02:30", "2026-10-25 00:30:00"),
        ("2026-03-29 02:30", "2026-03-29 01:30:00"),
        ("2026-10-25T10:00Z", "2026-10-25 10:00:00"),
        ("2026-10-25 10:00 UTC", "2026-10-25 10:00:00"),
        ("2026-10-25T10:00+02:00", "2026-10-25 08:00:00"),
        ("2026-10-25", "2026-10-24 22:00:00"),
        *((text, "2026-10-26 09:30:00") for text in ("1793007000", "1793007000000", "1793007000000000")),
        ("1793007000000000000", "2026-10-26 09:30:00"),
        ("1793007000.0", "2026-10-26 09:30:00"),
    ],
)
def test_times_are_read_as_they_are_typed(text: str, expected: str) -> None:
    assert parse_time(text, NOW_NS) == at(expected)


def test_fractions_are_kept() -> None:
    assert parse_time("1793007000.25", NOW_NS) == NOW_NS + NS_PER_S // 4
    assert parse_time("2026-10-26 09:30:00.123456789 UTC", NOW_NS) == NOW_NS + 123_456_789


@pytest.mark.parametrize(
    "text",
    ["Z", "at 14:00", "yesterday at", "25:00", "13pm", "0am", "14:60", "monday tuesday", "2 fortnights ago", "last 2h"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_time(text, NOW_NS)


@pytest.mark.parametrize("text", ["now", "yesterday 14:00", "monday", "-2h", "2026-03-29 03:00", "2026-10-25 01:59"])
def test_a_time_that_is_shown_can_be_typed(text: str) -> None:
    told = parse_time(text, NOW_NS)

    assert parse_time(format_time(told), NOW_NS) == told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", Lookback(2 * NS_PER_HOUR)),
        ("1w", Lookback(7 * NS_PER_DAY)),
        ("yesterday", since(at("2026-10-24 22:00:00"))),
    ],
)
def test_a_lookback_is_a_duration_or_a_time(text: str, expected: Lookback) -> None:
    assert parse_lookback(text, NOW_NS) == expected


def test_a_lookback_to_what_is_to_come_is_refused() -> None:
    with pytest.raises(ValueError, match="'14:00' is a time to come"):
        parse_lookback("14:00", NOW_NS)


HOUR, NOON = NS_PER_HOUR, at("2026-10-26 12:00:00")


@pytest.mark.parametrize("is_live", [False, True])
@pytest.mark.parametrize(
    ("options", "start_ns", "end_ns"),
    [
        (WindowOptions(Lookback(HOUR)), NOW_NS - HOUR, NOW_NS),
        (WindowOptions(Lookback(HOUR), end=NOON), NOON - HOUR, NOON),
        (WindowOptions(since(NOON - 3 * HOUR)), NOON - 3 * HOUR, NOW_NS),
        (WindowOptions(since(NOON - 9 * HOUR), end=NOON - 8 * HOUR), NOON - 9 * HOUR, NOON - 8 * HOUR),
        (WindowOptions(start=NOON - HOUR, end=NOON), NOON - HOUR, NOON),
    ],
)
def test_a_window_is_what_its_parts_say(
    options: WindowOptions,
    start_ns: int,
    end_ns: int,
    is_live: bool,  # noqa: FBT001  from the table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS)
    # Of a server spans are wanted whose clocks are a little ahead.
    ahead_ns = 5 * 60 * NS_PER_S if is_live and end_ns == NOW_NS else 0

    window = options.window(is_live=is_live)

    assert (window.start_ns, window.end_ns) == (start_ns, end_ns + ahead_ns)


def test_ends_that_were_not_typed() -> None:
    assert WindowOptions(start=NOON).window(is_live=False).end_ns is None
    assert WindowOptions(end=NOON).window(is_live=False).start_ns is None
    assert WindowOptions(end=NOON).window(is_live=True).start_ns == NOON - HOUR
