"""What was found by its columns alone; the rest is still as the source gave it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from traceq.codec import Part, encode_trace
from traceq.codec.batches import read_attributes
from traceq.sources.interface import Found
from traceq.traces import FoundAttributes, Traces, normal_id


def document(found: Found, position: int) -> bytes:
    """Give a trace that was found as Jaeger's v1 JSON in one line."""
    if found.left_out is None:
        return encode_trace(found.traces, position)
    return found.left_out.document(found.traces.trace_ids[position])


@dataclass(frozen=True, slots=True)
class PartsLeftOut:
    """Reads what a table without attributes leaves out of these parts."""

    groups: Mapping[str, Sequence[Part]]
    """The parts of each trace of the table, by `normal_id`, in the table's order."""
    read: Callable[[Sequence[Sequence[Part]]], Traces]
    """Makes a table with attributes of parts."""
    failures_told: Callable[[], AbstractContextManager[None]] = nullcontext
    """What reading happens in, to say whose bytes cannot be read."""

    @classmethod
    def of(
        cls,
        traces: Traces,
        groups: Mapping[str, Sequence[Part]],
        read: Callable[[Sequence[Sequence[Part]]], Traces],
        failures_told: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> PartsLeftOut:
        """Keep of these parts those that the table was read from."""
        return cls({key: groups[key] for key in map(normal_id, traces.trace_ids)}, read, failures_told)

    def table(self) -> Traces:
        """Read the same traces with attributes, events and links."""
        with self.failures_told():
            return self.read(tuple(self.groups.values()))

    def document(self, trace_id: str) -> bytes:
        """Give a trace as Jaeger's v1 JSON in one line: as the source wrote it, where that is what it writes."""
        parts = self.groups[normal_id(trace_id)]
        written = parts[0].line() if len(parts) == 1 else None
        if written is not None:
            return written
        with self.failures_told():
            return encode_trace(self.read([parts]), 0)

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
        """Read the attributes of some spans."""
        with self.failures_told():
            yield from read_attributes(self.groups, wanted)
