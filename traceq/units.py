"""Durations, times, counts and sizes: text at the edges, integer nanoseconds inside."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_S
NS_PER_HOUR = 3600 * NS_PER_S
NS_PER_DAY = 24 * NS_PER_HOUR

_UNIT_NS = {
    "ns": 1,
    "us": NS_PER_US,
    "µs": NS_PER_US,
    "μs": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": NS_PER_MINUTE,
    "h": NS_PER_HOUR,
    "d": NS_PER_DAY,
    "w": 7 * NS_PER_DAY,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_EPOCH_DIGITS = {10: NS_PER_S, 13: NS_PER_MS, 16: NS_PER_US, 19: 1}


def parse_duration(text: str) -> int:
    """Read a Go duration such as `150ms`, `1m30s` or `.5s`, and `d` and `w` besides, as nanoseconds.

    Written here because the kept library for Go durations reads `300ns` as 0.

    Raises:
        ValueError: If a unit is missing or unknown, or the text is negative or empty.
    """
    stripped = text.strip()
    if stripped == "0":
        return 0
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise ValueError(_duration_complaint(stripped))
    return int(sum(Fraction(number) * _UNIT_NS[unit] for number, unit in parts))


def _duration_complaint(text: str) -> str:
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
        return f"'{text}' has no unit, write {text}ms or {text}s"
    return f"'{text}' is not a duration, write for example 500ms, 1.5s, 1m30s or 2d"


_SHARE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)")


def parse_share(text: str) -> float:
    """Read a share as 0..1: a percentage (`10%`) or a part (`0.1`).

    Raises:
        ValueError: If it is neither, or not between 0 % and 100 %.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is not a share, write for example 10% or 0.1")
    value = float(found.group(1)) / (100 if found.group(2) else 1)
    if value > 1:
        raise ValueError(f"'{text}' is not a share between 0% and 100%, write for example 10% or 0.1")
    return value


def parse_time(text: str, now_ns: int) -> int:
    """Read a point in time as nanoseconds since the epoch.

    Takes RFC 3339 (`2026-11-22T14:03:22Z`; local time where no zone is given), a date, `now`, an offset from now
    (`-2h`, `2h`, `1d ago`, `now-15m`, `+5m`), `today` or `yesterday`, alone for midnight or with a time of day
    (`yesterday 14:00`), a time of day alone, which is today's, and an epoch in seconds, milliseconds, microseconds or
    nanoseconds told apart by their digits.

    Raises:
        ValueError: If the text is none of these.
    """
    stripped = text.strip()
    if stripped == "now":
        return now_ns
    if found := _DAY_AND_TIME.fullmatch(stripped):
        day = local_date(now_ns) - timedelta(days=(found["day"] or "").lower() == "yesterday")
        return at_time_of_day(day, found["time"] or found["alone"] or "00:00")
    if found := _AGO.fullmatch(stripped):
        return now_ns - parse_duration(found["length"])
    if stripped.startswith(("-", "now-")):
        return now_ns - parse_duration(stripped.removeprefix("now").removeprefix("-"))
    if stripped.startswith(("+", "now+")):
        return now_ns + parse_duration(stripped.removeprefix("now").removeprefix("+"))
    if stripped.isascii() and stripped.isdigit():
        return _parse_epoch(stripped)
    return _parse_rfc3339(stripped)


_DAY_AND_TIME = re.compile(
    r"(?P<day>today|yesterday)(?:\s+(?P<time>\d{1,2}:\d{2}(?::\d{2})?))?|(?P<alone>\d{1,2}:\d{2}(?::\d{2})?)",
    re.IGNORECASE,
)
_AGO = re.compile(rf"(?P<length>(?:{_PART.pattern})+)(?:\s+ago)?")


def local_date(time_ns: int) -> date:
    """Give the day of a point in time where this program runs."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, tz=UTC).astimezone().date()


def at_time_of_day(day: date, clock: str) -> int:
    """Give the point in time of a clock (`14:00`, `9:05:30`) on a day, in local time.

    Raises:
        ValueError: If no clock shows this.
    """
    try:
        at = time.fromisoformat(clock if clock[2] == ":" else f"0{clock}")
    except ValueError as error:
        raise ValueError(f"'{clock}' is not a time of day, write for example 14:00 or 14:00:30") from error
    # As people type it; `astimezone` knows when clocks were changed.
    return int(datetime.combine(day, at).astimezone().timestamp()) * NS_PER_S


def parse_lookback(text: str, now_ns: int) -> int:
    """Read how far to look back: a duration, or a time since which to look (`yesterday`, `14:00`).

    Raises:
        ValueError: If it is neither, or a time to come.
    """
    try:
        return parse_duration(text)
    except ValueError as complaint:
        try:
            length_ns = now_ns - parse_time(text, now_ns)
        except ValueError:
            raise complaint from None
        if length_ns <= 0:
            raise ValueError(f"'{text}' is a time to come") from None
        return length_ns


def _parse_epoch(digits: str) -> int:
    factor = _EPOCH_DIGITS.get(len(digits))
    if factor is None:
        raise ValueError(f"'{digits}' is not an epoch in seconds, milliseconds, microseconds or nanoseconds")
    return int(digits) * factor


_FRACTION = re.compile(r"\.(\d{1,9})\d*")


def _parse_rfc3339(text: str) -> int:
    # datetime stops at microseconds: the fraction is taken out and added as whole nanoseconds.
    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    try:
        moment = datetime.fromisoformat(whole)
        seconds = int((moment if moment.tzinfo else moment.astimezone()).timestamp())
    except (ValueError, OverflowError, OSError) as error:
        complaint = (
            f"'{text}' is not a time, write for example -2h, yesterday 14:00, now, 2026-11-22T14:00:00Z or an epoch"
        )
        raise ValueError(complaint) from error
    return seconds * NS_PER_S + (int(fraction.group(1).ljust(9, "0")) if fraction else 0)


def format_duration(duration_ns: int) -> str:
    """Write a duration for people: three significant digits and a unit (`1.21 s`, `612 ms`, `15.0 ms`, `0 ns`)."""
    if duration_ns < 0:
        return "-" + format_duration(-duration_ns)
    for unit, size_ns in (("ns", 1), ("µs", NS_PER_US), ("ms", NS_PER_MS)):
        digits = "0" if size_ns == 1 else _three_digits(duration_ns / size_ns)
        if duration_ns < 1000 * size_ns and digits != "1000":
            return f"{duration_ns} ns" if size_ns == 1 else f"{digits} {unit}"
    if duration_ns < NS_PER_MINUTE:
        digits = _three_digits(duration_ns / NS_PER_S)
        return f"{digits} s" if digits != "60.0" else "1 m 00 s"
    return _clock(round(duration_ns / NS_PER_S))


def format_signed(duration_ns: int) -> str:
    """Write a difference of durations (`+1.21 s`, `-612 ms`, `0 ns`)."""
    return f"{'+' if duration_ns > 0 else ''}{format_duration(duration_ns)}"


def _three_digits(value: float) -> str:
    if abs(value) < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"


def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02d} h"
    return f"{hour} h {minute:02d} m" if hour else f"{minute} m {second:02d} s"


def format_lookback(duration_ns: int) -> str:
    """Write a window's length as it is typed (`1h`, `90m`, `2d`, `1500ms`): whole, in the greatest unit that fits."""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if duration_ns >= _UNIT_NS[unit] and duration_ns % _UNIT_NS[unit] == 0:
            return f"{duration_ns // _UNIT_NS[unit]}{unit}"
    return f"{duration_ns}ns"


def format_time(time_ns: int, *, with_date: bool = True, utc: bool = False) -> str:
    """Write a point in time to the millisecond, in local time unless `utc`; cut, not rounded, as clocks do."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    try:
        moment = datetime.fromtimestamp(seconds, tz=UTC)
        moment = moment if utc else moment.astimezone()
    except (OverflowError, ValueError, OSError):
        return f"epoch {seconds} s"
    pattern = "%Y-%m-%d %H:%M:%S" if with_date else "%H:%M:%S"
    return f"{moment.strftime(pattern)}.{rest_ns // NS_PER_MS:03d}"


def format_age(age_ns: int) -> str:
    """Write how long ago something was, in one unit (`40 s`, `3 min`, `2 h`, `5 d`); never less than nothing."""
    for size_ns, unit in ((NS_PER_DAY, "d"), (NS_PER_HOUR, "h"), (NS_PER_MINUTE, "min")):
        if age_ns >= size_ns:
            return f"{age_ns // size_ns:,} {unit}"
    return f"{max(age_ns, 0) // NS_PER_S} s"


def zone_of(time_ns: int) -> str:
    """Name the local time zone at a point in time (`UTC`, `CET`; `+05:30` where it has no name)."""
    try:
        moment = datetime.fromtimestamp(time_ns // NS_PER_S, tz=UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return "UTC"
    name = moment.tzname() or ""
    return name if name.isalpha() else f"{moment:%z}"[:3] + ":" + f"{moment:%z}"[3:5]


def format_rfc3339(time_ns: int) -> str:
    """Write a point in time as RFC 3339 in UTC with nanoseconds, as Jaeger's v3 parameters want it."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, tz=UTC).strftime('%Y-%m-%dT%H:%M:%S')}.{rest_ns:09d}Z"


def format_count(count: int) -> str:
    """Write a count for people: whole below 10,000 (`1,234`), else three digits with k, M or G (`12.3k`)."""
    if abs(count) < 10_000:
        return f"{count:,}"
    for suffix, size in (("k", 1_000), ("M", 1_000_000)):
        if abs(count) * 2 < size * 1_999:
            return f"{_three_digits(count / size)}{suffix}"
    return f"{_three_digits(count / 1_000_000_000)}G"


def format_number(value: float) -> str:
    """Write a number that counts nothing for people, in three digits (`0.03`, `2.16`, `212`, `12.3k`)."""
    if abs(value) >= 999.5 or value == 0:
        return format_count(round(value))
    return "<0.01" if 0 < value < 0.005 else _three_digits(value)


def format_ratio(ratio: float) -> str:
    """Write a share as a percentage of two digits at least (`83 %`, `6.1 %`, `<0.1 %`)."""
    percent = ratio * 100
    if 0 < percent < 0.1:
        return "<0.1 %"
    if percent >= 999.5:
        return f"{float(f'{percent:.3g}'):,.0f} %"
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.1f} %"


def format_growth(ratio: float) -> str:
    """Write how much more or less something is, as a share of what it was (`+50 %`, `-3.1 %`, `+1,080 %`, `±0 %`)."""
    if abs(ratio) < 0.0005:
        return "±0 %"
    return f"{'+' if ratio > 0 else '-'}{format_ratio(max(abs(ratio), 0.001))}"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Write a count with its noun (`1 trace`, `2 traces`, `3 queries`)."""
    return f"{format_count(count)} {noun if count == 1 else nouns or noun + 's'}"


_SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def parse_size(text: str) -> int:
    """Read a size such as `500MB`, `1.5GB` or `64MiB` as bytes.

    Raises:
        ValueError: If it is none, or less than a byte.
    """
    found = _SIZE.fullmatch(text.strip())
    factor = found and _SIZE_UNITS.get(found.group(2).upper())
    if not found or not factor or float(found.group(1)) * factor < 1:
        raise ValueError(f"'{text}' is not a size, write for example 500MB or 64MiB")
    return round(float(found.group(1)) * factor)


def format_size(byte_count: int) -> str:
    """Write a size: `512 B`, `3.4 MB`."""
    for unit in ("GB", "MB", "KB"):
        if byte_count >= _SIZE_UNITS[unit]:
            return f"{byte_count / _SIZE_UNITS[unit]:.3g} {unit}"
    return f"{byte_count} B"
