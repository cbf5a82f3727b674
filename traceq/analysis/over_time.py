"""When requests were made, how long they took then, and when slow ones began: of the requests of a cohort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.comparison.batches import Batch
from traceq.analysis.slow_time import Made, SlowTime, find_slow_time, slow_time_specs
from traceq.answer import Answer
from traceq.report import Column, Rows, Unit
from traceq.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_S

_MOST_STRETCHES = 60
_WIDTHS = tuple(
    step * unit
    for unit, steps in (
        (NS_PER_MS, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (NS_PER_S, (1, 2, 5, 10, 15, 30)),
        (NS_PER_MINUTE, (1, 2, 5, 10, 15, 30)),
        (NS_PER_HOUR, (1, 2, 3, 6, 12)),
        (NS_PER_DAY, (1, 2, 7, 14, 28)),
    )
    for step in steps
)
"""How long a stretch of time may be: lengths that people count in."""


class Stretch(Struct, frozen=True):
    """The requests that began in a stretch of time."""

    start_ns: int
    request_count: int
    slow_count: int
    failed_count: int
    p50_ns: int | None
    """None where there are none."""
    max_ns: int | None


STRETCH_COLUMNS: tuple[Column[Stretch], ...] = (
    Column("start_ns", "from", Unit.TIME, about="start of the stretch, since the epoch"),
    Column("request_count", "requests", Unit.COUNT, about="requests whose traces began in it"),
    Column("slow_count", "slow", Unit.COUNT, about="of these the slow ones"),
    Column("failed_count", "failed", Unit.ERRORS, about="of these the failed ones"),
    Column("p50_ns", "p50", Unit.DURATION, about="median latency; null where there are no requests"),
    Column("max_ns", "max", Unit.DURATION, about="longest latency"),
)


class Entry(Struct, frozen=True):
    """The requests that enter at one operation."""

    service: str
    name: str
    request_count: int
    slow_count: int
    failed_count: int
    p50_ns: int
    max_ns: int


ENTRY_COLUMNS: tuple[Column[Entry], ...] = (
    Column("service", "service", Unit.SERVICE),
    Column("operation", "request", value=lambda entry: entry.name, about="operation at which they enter"),
    Column("request_count", "requests", Unit.COUNT),
    Column("slow_count", "slow", Unit.COUNT, about="of these the slow ones"),
    Column("failed_count", "failed", Unit.ERRORS, about="of these the failed ones"),
    Column("p50_ns", "p50", Unit.DURATION, about="median latency"),
    Column("max_ns", "max", Unit.DURATION, about="longest latency"),
)


class OverTime(Answer, Struct, frozen=True, eq=False):
    """When requests were made, and when and at which operation those entered that were slow."""

    slow_from_ns: int | None
    """The latency from which requests are slow; None where there are too few requests."""
    width_ns: int
    """The length of a stretch."""
    stretches: tuple[Stretch, ...]
    """In order of time, without gaps."""
    entries: tuple[Entry, ...]
    """Those with most slow requests first."""
    starts_ns: Ints
    """When the trace of each request began, in order of time."""
    latencies_ns: Ints
    is_failed: Flags
    slow_time: SlowTime | None
    """When requests were slower than at other times; None where no time stands out."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Column("slow_from_ns", about="latency from which requests are slow; null where there are too few"),
        Column("width_ns", about="length of a stretch"),
        Column("first_slow_ns", about="when the first slow request was made, since the epoch; null for none"),
        Column("last_slow_ns", about="when the last slow request was made"),
        *slow_time_specs("slow_time"),
        Rows("stretches", STRETCH_COLUMNS, about="stretches of time, in order and without gaps"),
        Rows("entries", ENTRY_COLUMNS, about="operations at which requests enter, those with most slow ones first"),
    )
    MAIN: ClassVar[str] = "stretches"

    @property
    def slow_starts_ns(self) -> Ints:
        """When slow requests were made, in order of time."""
        return self.starts_ns[_is_slow(self.latencies_ns, self.slow_from_ns)]

    @property
    def first_slow_ns(self) -> int | None:
        """When the first slow request was made."""
        return int(self.slow_starts_ns[0]) if self.slow_starts_ns.size else None

    @property
    def last_slow_ns(self) -> int | None:
        """When the last slow request was made."""
        return int(self.slow_starts_ns[-1]) if self.slow_starts_ns.size else None

    def cells(self, rows: int) -> tuple[tuple[int, ...], ...]:
        """Count for each stretch the requests in so many buckets of equal ratio, from the shortest to the longest."""
        latencies = np.maximum(self.latencies_ns, 1)
        low, high = latencies.min(initial=np.iinfo(np.int64).max), latencies.max(initial=1)
        scale = np.log(latencies / low) / max(np.log(high / low), np.finfo(np.float64).eps)
        bucket = np.minimum((scale * rows).astype(np.int64), rows - 1)
        counts = np.zeros((len(self.stretches), rows), dtype=np.int64)
        if self.stretches:
            np.add.at(counts, ((self.starts_ns - self.stretches[0].start_ns) // self.width_ns, bucket), 1)
        return tuple(tuple(column) for column in counts.tolist())


def _is_slow(latencies_ns: Ints, slow_from_ns: int | None) -> Flags:
    slow: Flags = latencies_ns >= (np.iinfo(np.int64).max if slow_from_ns is None else slow_from_ns)
    return slow


def over_time(batch: Batch, slow_count: int | None) -> OverTime:
    """Count requests by when they were made.

    Args:
        batch: The requests; a request is made when its trace begins.
        slow_count: The number of requests that count as slow, as `bottlenecks` has it; None for too few to tell.
    """
    starts_ns = batch.traces.start_ns[batch.requests.traces]
    order = np.lexsort((batch.requests.latency_ns, starts_ns))
    starts_ns, latencies_ns = starts_ns[order], batch.requests.latency_ns[order]
    failed, operations = batch.requests.failed[order], batch.requests.operations[order]
    # Exact, and so that those as slow as the last of them count, too.
    slow_from_ns = None if slow_count is None else int(np.partition(latencies_ns, -slow_count)[-slow_count])
    slow = _is_slow(latencies_ns, slow_from_ns)
    width_ns = _width_ns(starts_ns)
    stretches = tuple(_stretches(starts_ns, latencies_ns, slow, failed, width_ns)) if starts_ns.size else ()
    entries = tuple(
        Entry(key.service, key.name, *_counted(operations == number, latencies_ns, slow, failed))
        for number, key in enumerate(batch.operations)
        if np.any(operations == number)
    )
    ranked = sorted(entries, key=lambda entry: (-entry.slow_count, -entry.request_count, entry.service, entry.name))
    found = find_slow_time(Made(starts_ns, latencies_ns, operations), batch.operations)
    return OverTime(slow_from_ns, width_ns, stretches, tuple(ranked), starts_ns, latencies_ns, failed, found)


def _width_ns(starts_ns: Ints) -> int:
    if not starts_ns.size:
        return _WIDTHS[0]
    first, last = int(starts_ns[0]), int(starts_ns[-1])
    return next(
        (width for width in _WIDTHS if last // width - first // width < _MOST_STRETCHES),
        # Clocks that are years apart: whatever fits.
        -(-(last - first + 1) // (_MOST_STRETCHES - 1)),
    )


def _stretches(starts_ns: Ints, latencies_ns: Ints, slow: Flags, failed: Flags, width_ns: int) -> Iterator[Stretch]:
    first, last = int(starts_ns[0]) // width_ns, int(starts_ns[-1]) // width_ns
    numbers = starts_ns // width_ns
    for number in range(first, last + 1):
        inside = slice(*np.searchsorted(numbers, (number, number + 1)).tolist())
        latencies = latencies_ns[inside]
        yield Stretch(
            number * width_ns,
            latencies.size,
            int(np.count_nonzero(slow[inside])),
            int(np.count_nonzero(failed[inside])),
            _median(latencies) if latencies.size else None,
            int(latencies.max()) if latencies.size else None,
        )


def _counted(chosen: Flags, latencies_ns: Ints, slow: Flags, failed: Flags) -> tuple[int, int, int, int, int]:
    latencies = latencies_ns[chosen]
    return (
        latencies.size,
        int(np.count_nonzero(slow[chosen])),
        int(np.count_nonzero(failed[chosen])),
        _median(latencies),
        int(latencies.max()),
    )


def _median(latencies_ns: Ints) -> int:
    """Give the middle one, the lower of two: a duration that was measured."""
    middle = (latencies_ns.size - 1) // 2
    return int(np.partition(latencies_ns, middle)[middle])
