from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from traceq.catalog import Window
from traceq.cli.compare import PlaceSide, Side, TraceSide, WindowSide, parse_side, parse_window


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


NOW = ns("2026-11-22 12:00:00")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("yesterday 14:00..15:00", "2026-11-21 14:00", "2026-11-21 15:00"),
        ("yesterday..today", "2026-11-21 00:00", "2026-11-22 00:00"),
        ("9:05..9:06:30", "2026-11-22 09:05", "2026-11-22 09:06:30"),
        ("-1h..now", "2026-11-22 11:00", "2026-11-22 12:00"),
        ("now-2h .. -90m", "2026-11-22 10:00", "2026-11-22 10:30"),
        ("today 11:00..", "2026-11-22 11:00", "2026-11-22 12:00"),
        ("2026-11-20T10:00:00Z..11:00", "2026-11-20 10:00", "2026-11-20 11:00"),
    ],
)
def test_windows_are_read(text: str, start: str, end: str, utc: None) -> None:
    assert parse_window(text, NOW) == Window(ns(start), ns(end))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("now..-1h", "the window 'now..-1h' ends before it starts"),
        ("..now", "'..now' is not a window, write START..END, for example 'yesterday 14:00..15:00'"),
        ("25:00..26:00", "'25:00' is not a time of day, write for example 14:00 or 14:00:30"),
        (
            "soon..now",
            "'soon' is not a time, write for example -2h, yesterday 14:00, now, 2026-11-22T14:00:00Z or an epoch",
        ),
    ],
)
def test_what_is_no_window_is_refused(text: str, told: str, utc: None) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        parse_window(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:16686", PlaceSide("http://localhost:16686")),
        ("-", PlaceSide("-")),
        ("../gone.json", PlaceSide("../gone.json")),
        ("gone.json.gz", PlaceSide("gone.json.gz")),
        ("gone.parquet", PlaceSide("gone.parquet")),
        ("5b8aa5a2d2c872e8321cf37308d69df2", TraceSide("5b8aa5a2d2c872e8321cf37308d69df2")),
        ("-1h..now", WindowSide(Window(NOW - 3600 * 10**9, NOW))),
    ],
)
def test_sides_are_told_apart_by_how_they_are_written(text: str, expected: Side, utc: None) -> None:
    assert parse_side(text, NOW) == expected


def test_a_file_that_exists_is_a_file_whatever_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "abcd").touch()

    assert parse_side("abcd", NOW) == PlaceSide("abcd")


def test_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="'xyz' is no file, URL, window"):
        parse_side("xyz", NOW)
