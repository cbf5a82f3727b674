"""Ids and times as formats write them that follow no specification."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from traceq.codec.wire import hex_id

_NS = 10**9


def read_id(written: str | None) -> str:
    """Read an id in hex, with `0x` before it or not, or in base64."""
    return hex_id((written or "").removeprefix("0x"))


def read_time(written: float | str | None) -> int:
    """Read a time: RFC 3339, or a number whose size tells whether it counts ns, us, ms or s.

    Raises:
        ValueError: If it is text that is no time, or not a number.
    """
    if not written:
        return 0
    if isinstance(written, str):
        return read_time(int(written)) if written.isascii() and written.isdigit() else _calendar(written)
    unit = next((unit for unit, limit in _UNITS if abs(written) < limit), 1)
    return written * unit if isinstance(written, int) else round(written * unit)


def known_time(written: float | str | None) -> int:
    """Read a time as `read_time` does; what is none counts as missing, which is told of the span."""
    try:
        return read_time(written)
    except (ValueError, OverflowError):
        return 0


_UNITS = ((_NS, 10**11), (10**6, 10**14), (10**3, 10**17))
"""Units in ns, each with what numbers in this unit stay below: years from 1973 to 5138 are told apart."""

_FRACTION = re.compile(r"\.(\d+)")


def _calendar(text: str) -> int:
    """Read a time of the calendar; without a zone it is UTC."""
    if text.startswith("0001-01-01"):
        return 0  # what Go writes for a time that is not set
    # datetime stops at microseconds.
    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError as error:
        raise ValueError(f"'{text}' is not a time") from error
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return seconds * _NS + (int(fraction[1][:9].ljust(9, "0")) if fraction else 0)
