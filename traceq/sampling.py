"""Which traces are learned from: a sample chosen by their ids alone, the same however the input is cut."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from traceq.traces import normal_id

LEAST_SAMPLED = 1_000
"""Of twice as many traces or more only some are learned from, but hardly ever fewer than these."""


def sample_level(trace_count: int) -> int:
    """Say how few of so many traces are learned from: 0 for all of them, 1 for half, 2 for a quarter."""
    return max(0, (trace_count // LEAST_SAMPLED).bit_length() - 1)


def is_sampled(trace_id: str, level: int) -> bool:
    """Tell whether a trace is learned from; what is at one level is at all lower ones."""
    # Every bit of the id changes the higher bits of its checksum.
    return not level or zlib.crc32(normal_id(trace_id).encode("utf-8", "surrogatepass")) >> (32 - level) == 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The ids of the traces that are learned from."""

    level: int

    def __contains__(self, trace_id: object) -> bool:
        return isinstance(trace_id, str) and is_sampled(trace_id, self.level)
