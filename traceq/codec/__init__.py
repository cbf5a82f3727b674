"""Bytes to traces: `documents` finds the parts of traces in bytes; here they become tables of some size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from traceq.assembly import TableBuilder
from traceq.codec.parts import Part, together
from traceq.codec.wire import collector_paused
from traceq.records import join
from traceq.traces import FoundAttributes, Traces, TraceWarning, low_half, normal_id

BATCH_SPANS = 50_000
"""The larger a table, the less its sums cost per span; a table takes about 150 bytes per span."""
DETAILED_SPANS = 20_000
"""Details take about 1 KB more per span."""


def by_trace(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """Collect the parts of each trace, by `normal_id`.

    What is stored under the low 64 bits of a trace's id belongs to it, if no other trace has the same ones.
    """
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(normal_id(part.trace_id), []).append(part)
    halves = [trace_id for trace_id in groups if len(trace_id) <= 16]
    if 0 < len(halves) < len(groups):
        wholes: dict[str, list[str]] = {}
        for trace_id in groups:
            if len(trace_id) > 16:
                wholes.setdefault(low_half(trace_id), []).append(trace_id)
        for half in halves:
            if len(found := wholes.get(half, [])) == 1:
                groups[found[0]] += groups.pop(half)
    return groups


def read_tables(groups: Iterable[Sequence[Part]], *, with_details: bool) -> Iterator[Traces]:
    """Decode traces into tables; each trace is whole in one of them.

    Args:
        groups: The parts of each trace.
        with_details: Whether to keep attributes, events and links.

    Raises:
        DecodeError: If one of them cannot be read.
    """
    remaining = iter(groups)
    enough = DETAILED_SPANS if with_details else BATCH_SPANS
    while True:
        with collector_paused():
            table = _read_table(remaining, enough, with_details=with_details)
        if not (len(table) or table.warnings):
            return
        yield table


def read_table(groups: Iterable[Sequence[Part]], *, with_details: bool) -> Traces:
    """Decode traces into one table; see `read_tables`."""
    with collector_paused():
        return _read_table(iter(groups), inf, with_details=with_details)


def read_attributes(
    groups: Mapping[str, Sequence[Part]], wanted: Mapping[str, Collection[str]]
) -> Iterator[FoundAttributes]:
    """Read the attributes of some spans.

    Args:
        groups: The parts of each trace, by `normal_id`.
        wanted: Span ids by trace id, as they are in tables.

    Raises:
        DecodeError: If a trace cannot be read.
    """
    for trace_id, span_ids in wanted.items():
        for part in together(groups[normal_id(trace_id)]):
            for found in part.attributes(span_ids):
                yield FoundAttributes(trace_id, *found)


def _read_table(groups: Iterator[Sequence[Part]], enough: float, *, with_details: bool) -> Traces:
    builder = TableBuilder()
    for group in groups:
        whole = join([part.coded(builder.codes, with_details=with_details) for part in together(group)])
        halves = _halves(group)
        builder.add(replace(whole, repairs=[*whole.repairs, *halves]) if halves else whole)
        if builder.span_count >= enough:
            break
    return builder.table(with_details=with_details)


def _halves(group: Sequence[Part]) -> list[TraceWarning]:
    """Say so if a trace is put together from what is stored under its whole id, and under the low half of it."""
    if len(group) == 1:
        return []
    first = normal_id(group[0].trace_id)
    other = next((part.trace_id for part in group if normal_id(part.trace_id) != first), None)
    if other is None:
        return []
    message = f"spans that are stored under {other} belong to {group[0].trace_id}, and are shown there"
    return [TraceWarning("halves-joined", group[0].trace_id, message)]


class PartsLeftOut(Struct, frozen=True):
    """Reads the details of traces that were decoded without them."""

    groups: Mapping[str, Sequence[Part]]
    """The parts of each trace of the table, by `normal_id`, in the table's order."""
    read: Callable[[Sequence[Sequence[Part]]], Traces]
    """Decodes parts into a table with attributes."""
    failures_told: Callable[[], AbstractContextManager[None]] = nullcontext
    """Wraps every read, to say whose bytes cannot be read."""

    @classmethod
    def of(
        cls,
        traces: Traces,
        groups: Mapping[str, Sequence[Part]],
        read: Callable[[Sequence[Sequence[Part]]], Traces],
        failures_told: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> PartsLeftOut:
        """Keep only the parts that the table was read from."""
        return cls({key: groups[key] for key in map(normal_id, traces.trace_ids)}, read, failures_told)

    def table(self) -> Traces:
        """Read the same traces with attributes, events and links."""
        with self.failures_told():
            return self.read(tuple(self.groups.values()))

    def document(self, trace_id: str) -> bytes:
        """Return a trace as Jaeger's v1 JSON in one line, unchanged if that is what the source wrote."""
        parts = self.groups[normal_id(trace_id)]
        written = parts[0].line() if len(parts) == 1 else None
        if written is not None:
            return written
        # Late, as in `Found.document`: few commands write traces.
        from traceq.codec.json_writers import encode_trace

        with self.failures_told():
            return encode_trace(self.read([parts]), 0)

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
        """Read the attributes of some spans."""
        with self.failures_told():
            yield from read_attributes(self.groups, wanted)
