"""Puts statuses right that Rust's stdout exporter counts in its own way; the rest of what it writes is OTLP JSON.

Source: opentelemetry-stdout 0.1 to 0.3 (2023 and 2024), `trace/transform.rs`: 1 is an error, and 2 is OK. It is told by
the times of the calendar that stand beside those of OTLP; later versions print text.
"""

from __future__ import annotations

import re

_TELLING = re.compile(rb'"startTimeUnixNano":\d+,"startTime":"')
_LOOKED_AT_BYTES = 2**16
_STATUS = re.compile(rb'("status":\{(?:"message":"(?:[^"\\]|\\.)*+",)?"code":)([12])')
_OTHER = {b"1": b"2", b"2": b"1"}


def is_printed_by_rust(body: memoryview) -> bool:
    """Whether it is what the exporter prints, perhaps among other lines."""
    return _TELLING.search(body, 0, _LOOKED_AT_BYTES) is not None


def with_statuses_of_otlp(body: memoryview) -> memoryview:
    """Give statuses the numbers that they have in OTLP, if it is what the exporter prints."""
    if not is_printed_by_rust(body):
        return body
    return memoryview(_STATUS.sub(lambda found: found[1] + _OTHER[found[2]], body))
