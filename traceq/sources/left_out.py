"""What was found by its columns alone; the rest is still as the source gave it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from traceq.codec import Part
from traceq.codec.batches import read_attributes
from traceq.traces import FoundAttributes, Traces


@dataclass(frozen=True, slots=True)
class PartsLeftOut:
    """Reads what a table without attributes leaves out of these parts."""

    groups: Mapping[str, Sequence[Part]]
    """The parts of each trace of the table, by `normal_id`, in the table's order."""
    read: Callable[[Sequence[Sequence[Part]]], Traces]
    """Makes a table with attributes of parts."""
    failures_told: Callable[[], AbstractContextManager[None]] = nullcontext
    """What reading happens in, to say whose bytes cannot be read."""

    def table(self) -> Traces:
        """Read the same traces with attributes, events and links."""
        with self.failures_told():
            return self.read(tuple(self.groups.values()))

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
        """Read the attributes of some spans."""
        with self.failures_told():
            yield from read_attributes(self.groups, wanted)
