"""Traces as codecs read them, on their way into a span table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from traceq.semantics import Kind, Peer, Status
from traceq.traces import SpanDetails


@dataclass(slots=True)
class TraceRecord:
    """One trace, or a part of one, as a codec reads it: columns of equal length, one entry a span."""

    trace_id: str
    """Lower-case hex, as the source gave it."""
    span_ids: list[str] = field(default_factory=list)
    parent_ids: list[tuple[str, ...]] = field(default_factory=list)
    """Span ids in this trace that may be the parent, the best first: CHILD_OF before FOLLOWS_FROM. None for a root."""
    start_ns: list[int] = field(default_factory=list)
    duration_ns: list[int] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    """Empty text where the source tells no service; shown as `unknown-service`."""
    names: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    peers: list[Peer | None] = field(default_factory=list)
    details: list[SpanDetails] = field(default_factory=list)
    """Empty when they were left out on reading."""
    warnings: list[str] = field(default_factory=list)
    """What the source remarked about the trace as a whole."""

    def without(self, dropped: set[int]) -> TraceRecord:
        """Give the record without the spans at these positions."""
        kept = [position for position in range(len(self.span_ids)) if position not in dropped]
        columns: dict[str, Any] = {
            name: [column[position] for position in kept] for name in _COLUMNS if (column := getattr(self, name))
        }
        return replace(self, **columns)


_COLUMNS = tuple(column.name for column in fields(TraceRecord) if column.name not in ("trace_id", "warnings"))


def join(parts: Sequence[TraceRecord]) -> TraceRecord:
    """Put parts of one trace together; it goes by the first part's id."""
    columns: dict[str, Any] = {
        name: [value for part in parts for value in getattr(part, name)] for name in (*_COLUMNS, "warnings")
    }
    return replace(parts[0], **columns)


@dataclass(slots=True)
class CodedTrace:
    """One trace, or a part of one, as a codec reads it without details: columns of equal length, one entry a span.

    Names, origins and meanings are codes of the builder whose table it is to stand in.
    """

    trace_id: str
    """Lower-case hex, as the source gave it."""
    span_ids: list[str] = field(default_factory=list)
    parent_ids: list[str | None] = field(default_factory=list)
    """The parent's span id, None for a root."""
    other_parent_ids: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """By position: where there are several candidates for the parent, those after the first."""
    start_ns: list[int] = field(default_factory=list)
    duration_ns: list[int] = field(default_factory=list)
    names: list[int] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    meanings: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What the source remarked about the trace as a whole."""

    def add_parents(self, candidates: tuple[str, ...]) -> None:
        """Add what may be the next span's parent, the best first."""
        if len(candidates) > 1:
            self.other_parent_ids[len(self.parent_ids)] = candidates[1:]
        self.parent_ids.append(candidates[0] if candidates else None)
