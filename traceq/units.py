"""Durations, times, counts and sizes: text at the edges, integer nanoseconds inside."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from fractions import Fraction
from typing import NamedTuple

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_S
NS_PER_HOUR = 3600 * NS_PER_S
NS_PER_DAY = 24 * NS_PER_HOUR
YEAR_2000_NS = 946_684_800 * NS_PER_S
"""What began before is not timed by the calendar, but by a count from some beginning."""

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

    Takes `now`; an offset from now (`-2h`, `2h`, `1d ago`, `10 minutes ago`, `now-15m`, `+5m`), a day being 24 hours; a
    day (`today`, `yesterday`, `last friday`, `friday`: the last one, which may be today), alone for midnight or with a
    time of day (`yesterday 14:00`); a time of day alone (`14:00`, `2pm`), which is today's; RFC 3339
    (`2026-11-22T14:03:22Z`) and a date; and an epoch in seconds, milliseconds, microseconds or nanoseconds told apart
    by their digits. Times without a zone are local: one that clocks skipped is as long after the change as it says, and
    one that they showed twice is the first.

    Raises:
        ValueError: If the text is none of these.
    """
    stripped = text.strip()
    if stripped.lower() == "now":
        return now_ns
    if found := _DAY_AND_TIME.fullmatch(stripped):
        return _on_day(found, now_ns)
    if found := _OFFSET.fullmatch(stripped):
        return now_ns + (1 if found["sign"] == "+" else -1) * parse_duration(found["length"])
    if found := _AGO.fullmatch(stripped):
        return now_ns - parse_duration(found["length"] or found["count"] + found["unit"][0].lower())
    if _EPOCH.fullmatch(stripped):
        return _parse_epoch(stripped)
    return _parse_rfc3339(stripped)


_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = r"\d{1,2}(?::\d{2}){1,2}(?:\s*[ap]m)?|\d{1,2}\s*[ap]m"
TIME_OF_DAY = re.compile(_CLOCK, re.IGNORECASE)
_DAY_AND_TIME = re.compile(
    rf"(?:(?P<day>today|yesterday|(?P<last>last\s+)?(?:{'|'.join(_WEEKDAYS)}))(?:\s+(?:at\s+)?|$))?"
    rf"(?P<time>{_CLOCK})?(?<=.)\s*(?P<zone>Z|UTC|[+-]\d{{2}}:?\d{{2}})?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"(?:now)?\s*(?P<sign>[+-])\s*(?P<length>.+)", re.IGNORECASE)
_AGO = re.compile(
    rf"(?P<length>(?:{_PART.pattern})+)(?:\s+ago)?"
    r"|(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>sec(?:ond)?s?|min(?:ute)?s?|h(?:ou)?rs?|days?|weeks?)\s+ago",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def _on_day(found: re.Match[str], now_ns: int) -> int:
    zone = _zone(found["zone"])
    today = local_date(now_ns, zone)
    word, clock = (found["day"] or "today").lower(), found["time"] or "0:00"
    if word in ("today", "yesterday"):
        return at_time_of_day(today - timedelta(days=word == "yesterday"), clock, zone)
    back = (today.weekday() - _WEEKDAYS.index(word.split()[-1])) % 7
    at_ns = at_time_of_day(today - timedelta(days=back), clock, zone)
    is_too_late = at_ns > now_ns or (back == 0 and found["last"] is not None)
    return at_time_of_day(today - timedelta(days=back + 7), clock, zone) if is_too_late else at_ns


def _zone(written: str | None) -> tzinfo | None:
    if written is None:
        return None
    return UTC if written.upper() in ("Z", "UTC") else datetime.strptime(written, "%z").tzinfo


def local_date(time_ns: int, zone: tzinfo | None = None) -> date:
    """Give the day of a point in time in a zone, or where this program runs."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, tz=UTC).astimezone(zone).date()


_PARTS_OF_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*([ap]m)?", re.IGNORECASE)


def at_time_of_day(day: date, clock: str, zone: tzinfo | None = None) -> int:
    """Give the point in time of a clock (`14:00`, `9:05:30`, `2pm`) on a day, in a zone or in local time.

    Raises:
        ValueError: If no clock shows this.
    """
    found = _PARTS_OF_CLOCK.fullmatch(clock)
    try:
        hour, minute, second = (int(part or 0) for part in found.groups()[:3]) if found else (-1, 0, 0)
        half = found and found[4]
        if half:
            hour = hour % 12 + (12 if half.lower() == "pm" else 0) if 1 <= hour <= 12 else -1
        at = time(hour, minute, second)
    except ValueError as error:
        raise ValueError(f"'{clock}' is not a time of day, write for example 14:00 or 14:00:30") from error
    return int(datetime.combine(day, at, zone).timestamp()) * NS_PER_S


class Lookback(NamedTuple):
    """How far to look back from the end of a window."""

    length_ns: int
    start_ns: int | None = None
    """The time since which to look, whatever the end, where one was typed; the length is that until now."""


def parse_lookback(text: str, now_ns: int) -> Lookback:
    """Read how far to look back: a duration, or a time since which to look (`yesterday`, `14:00`).

    Raises:
        ValueError: If it is neither, or a time to come.
    """
    try:
        return Lookback(parse_duration(text))
    except ValueError as complaint:
        try:
            start_ns = parse_time(text, now_ns)
        except ValueError:
            raise complaint from None
        if start_ns >= now_ns:
            raise ValueError(f"'{text}' is a time to come") from None
        return Lookback(now_ns - start_ns, start_ns)


def _parse_epoch(text: str) -> int:
    digits, _, fraction = text.partition(".")
    factor = _EPOCH_DIGITS.get(len(digits))
    if factor is None:
        raise ValueError(f"'{text}' is not an epoch in seconds, milliseconds, microseconds or nanoseconds")
    return int(Fraction(text) * factor) if fraction else int(digits) * factor


_FRACTION = re.compile(r"\.(\d{1,9})\d*")


def _parse_rfc3339(text: str) -> int:
    # datetime stops at microseconds: the fraction is taken out and added as whole nanoseconds.
    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    whole = re.sub(r"\s*(?:UTC|Z)$", "Z", whole, flags=re.IGNORECASE)
    try:
        # Without a zone this is local time, of which the system knows when clocks were changed.
        seconds = int(datetime.fromisoformat(whole).timestamp())
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
