from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.units import (
    format_count,
    format_duration,
    format_growth,
    format_lookback,
    format_number,
    format_ratio,
    format_rfc3339,
    format_time,
    parse_duration,
    parse_share,
    parse_time,
    plural,
)

NOW_NS = 1_800_000_000_000_000_000


@pytest.fixture(autouse=True)
def _tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live where local time is not UTC and never changes."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    os.environ.pop("TZ")
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", 500_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1m30s", 90_000_000_000),
        ("300ns", 300),
        ("2µs", 2_000),
        ("2us", 2_000),
        ("1h", 3_600_000_000_000),
        ("2d", 172_800_000_000_000),
        ("1w", 604_800_000_000_000),
        ("0", 0),
        ("0s", 0),
        ("0.1ms", 100_000),
        (" 10ms ", 10_000_000),
    ],
)
def test_durations_are_read(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10", "'10' has no unit, write 10ms or 10s"),
        ("1.5", "'1.5' has no unit, write 1.5ms or 1.5s"),
        ("-5s", "'-5s' is not a duration, write for example 500ms, 1.5s, 1m30s or 2d"),
        ("abc1ms", "'abc1ms' is not a duration, write for example 500ms, 1.5s, 1m30s or 2d"),
        ("1.2.3s", "'1.2.3s' is not a duration, write for example 500ms, 1.5s, 1m30s or 2d"),
        ("", "'' is not a duration, write for example 500ms, 1.5s, 1m30s or 2d"),
        ("5 parsecs", "'5 parsecs' is not a duration, write for example 500ms, 1.5s, 1m30s or 2d"),
    ],
)
def test_what_is_not_a_duration_is_refused_with_advice(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"duration|unit") as caught:
        parse_duration(text)

    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW_NS),
        ("-2h", NOW_NS - 7_200_000_000_000),
        ("now-15m", NOW_NS - 900_000_000_000),
        ("+5m", NOW_NS + 300_000_000_000),
        ("now+1s", NOW_NS + 1_000_000_000),
        ("2026-11-22T14:03:22Z", 1_795_356_202_000_000_000),
        ("2026-11-22T14:03:22.123456789Z", 1_795_356_202_123_456_789),
        ("2026-11-22T15:03:22.5+01:00", 1_795_356_202_500_000_000),
        ("2026-11-22T23:03:22", 1_795_356_202_000_000_000),
        ("2026-11-22 23:03", 1_795_356_180_000_000_000),
        ("2026-11-22", 1_795_273_200_000_000_000),
        ("1795356202", 1_795_356_202_000_000_000),
        ("1795356202123", 1_795_356_202_123_000_000),
        ("1795356202123456", 1_795_356_202_123_456_000),
        ("1795356202123456789", 1_795_356_202_123_456_789),
    ],
)
def test_times_are_read(text: str, expected: int) -> None:
    assert parse_time(text, NOW_NS) == expected


@pytest.mark.parametrize("text", ["tomorrow", "12345", "2026-13-01", "-2", "", "now+1", "٣٤٥٦٧٨٩٠١٢"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has no unit"):
        parse_time(text, NOW_NS)


@pytest.mark.parametrize(
    ("duration_ns", "expected"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (9_994, "9.99 µs"),
        (9_995, "10.0 µs"),
        (99_949, "99.9 µs"),
        (99_950, "100 µs"),
        (999_499, "999 µs"),
        (999_500, "1.00 ms"),
        (15_000_000, "15.0 ms"),
        (612_000_000, "612 ms"),
        (999_999_999, "1.00 s"),
        (1_210_000_000, "1.21 s"),
        (59_940_000_000, "59.9 s"),
        (59_960_000_000, "1 m 00 s"),
        (90_000_000_000, "1 m 30 s"),
        (3_600_000_000_000, "1 h 00 m"),
        (90_000_000_000_000, "1 d 01 h"),
        (-40_000_000, "-40.0 ms"),
    ],
)
def test_durations_have_three_digits_and_a_unit(duration_ns: int, expected: str) -> None:
    assert format_duration(duration_ns) == expected


@given(st.integers(1, 59_000_000_000))
def test_a_written_duration_is_right_to_half_a_percent(duration_ns: int) -> None:
    read = parse_duration(format_duration(duration_ns).replace(" ", ""))

    assert abs(read - duration_ns) <= duration_ns * 0.005


@pytest.mark.parametrize(
    ("duration_ns", "expected"),
    [
        (3_600_000_000_000, "1h"),
        (5_400_000_000_000, "90m"),
        (172_800_000_000_000, "2d"),
        (1_500_000_000, "1500ms"),
        (7, "7ns"),
    ],
)
def test_a_lookback_is_written_as_it_is_typed(duration_ns: int, expected: str) -> None:
    assert format_lookback(duration_ns) == expected
    assert parse_duration(expected) == duration_ns


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_rfc_3339_is_exact_both_ways(time_ns: int) -> None:
    assert parse_time(format_rfc3339(time_ns), NOW_NS) == time_ns


def test_times_are_local_and_cut_to_the_millisecond() -> None:
    assert format_time(1_795_356_202_123_999_999) == "2026-11-22 23:03:22.123"
    assert format_time(1_795_356_202_123_999_999, with_date=False, utc=True) == "14:03:22.123"
    assert format_time(10**30) == "epoch 1000000000000000000000 s"


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (9_994_999, "9.99M"),
        (9_995_000, "10.0M"),
        (12_345_678, "12.3M"),
        (999_499_999, "999M"),
        (999_500_000, "1.00G"),
        (5_000_000_000, "5.00G"),
    ],
)
def test_counts_are_whole_until_they_are_great(count: int, expected: str) -> None:
    assert format_count(count) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0, "0 %"),
        (0.0005, "<0.1 %"),
        (0.061, "6.1 %"),
        (0.0994, "9.9 %"),
        (0.0995, "10 %"),
        (0.83, "83 %"),
        (1, "100 %"),
        (9.99, "999 %"),
        (10.84, "1,080 %"),
    ],
)
def test_shares_are_percentages(ratio: float, expected: str) -> None:
    assert format_ratio(ratio) == expected


def test_nouns_go_with_their_counts() -> None:
    assert (plural(1, "trace"), plural(2, "trace"), plural(0, "query", "queries")) == (
        "1 trace",
        "2 traces",
        "0 queries",
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("5%", 0.05), (" 0.5 % ", 0.005), ("0.1", 0.1), (".5", 0.5), ("0", 0), ("100%", 1)]
)
def test_a_share_is_a_percentage_or_a_part(text: str, expected: float) -> None:
    assert parse_share(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "%", "much", "-1%", "1e-1", "nan", "inf", "101%", "5", "1.01"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a share.*, write for example 10% or 0\.1"):
        parse_share(text)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0, "±0 %"), (0.0004, "±0 %"), (-0.0006, "-0.1 %"), (0.5, "+50 %"), (-0.031, "-3.1 %"), (10.84, "+1,080 %")],
)
def test_growth_has_a_sign(ratio: float, expected: str) -> None:
    assert format_growth(ratio) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.001, "<0.01"),
        (0.0349, "0.03"),
        (2.157, "2.16"),
        (211.8, "212"),
        (1_500.2, "1,500"),
        (-3.5, "-3.50"),
    ],
)
def test_numbers_have_three_digits(value: float, expected: str) -> None:
    assert format_number(value) == expected
