"""Traces as codecs read them, before they become part of a span table."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from traceq.semantics import Meaning
from traceq.traces import SpanDetails, TraceWarning

_Value = TypeVar("_Value", bound=Hashable)


class Codes(dict[_Value, int]):
    """Small numbers for values that repeat, in the order in which the values first occur.

    Args:
        known: Values that get the first codes.
    """

    def __init__(self, *known: _Value) -> None:
        super().__init__((value, code) for code, value in enumerate(known))

    def __missing__(self, value: _Value) -> int:
        self[value] = code = len(self)
        return code


class Codebook:
    """What the codes in coded traces stand for; shared by all traces of one table."""

    def __init__(self) -> None:
        self.names: Codes[str] = Codes()
        self.origins: Codes[tuple[str, str]] = Codes()
        """Where spans ran: service (empty if the source does not name one) and host."""
        self.meanings: Codes[Meaning] = Codes()
        self.told: dict[tuple[object, ...], int] = {}
        """A cache for codecs: the code of a meaning by the values from which it was read, in the codec's own form."""
        self.nameless: set[int] = set()
        """Codes of origins without a service."""

    def origin(self, service: str, host: str) -> int:
        """Return the code of a service on a host."""
        code = self.origins[service, host]
        if not service:
            self.nameless.add(code)
        return code


class CodedTrace(Struct):
    """One trace, or a part of one, as a codec reads it: columns of equal length, one entry per span.

    Names, origins and meanings are codes of a `Codebook`.
    """

    trace_id: str
    """The trace's id, lower-case hex, as the source gave it."""
    span_ids: list[str] = []
    parent_ids: list[str | None] = []
    """The parent's span id, None for a root."""
    other_parent_ids: dict[int, tuple[str, ...]] = {}
    """By position of the span: if there are several candidates for its parent, those after the first, best first."""
    child_of_counts: dict[int, int] = {}
    """By position of the span: the number of leading candidates named by CHILD_OF, if FOLLOWS_FROM names the rest."""
    start_ns: list[int] = []
    duration_ns: list[int] = []
    names: list[int] = []
    origins: list[int] = []
    meanings: list[int] = []
    details: list[SpanDetails] = []
    """The details of each span; empty if they were not read."""
    warnings: list[str] = []
    """The source's warnings about the trace as a whole."""
    repairs: list[TraceWarning] = []
    """What was wrong with spans where they were read: what was put right, and what was left out."""

    def add_parents(self, candidates: tuple[str, ...], child_of_count: int) -> None:
        """Append the candidates for the parent of the next span.

        Args:
            candidates: Span ids, best first; none for a root.
            child_of_count: How many of them, from the first on, are named by CHILD_OF; FOLLOWS_FROM names the rest.
        """
        position = len(self.parent_ids)
        if len(candidates) > 1:
            self.other_parent_ids[position] = candidates[1:]
        if child_of_count < len(candidates):
            self.child_of_counts[position] = child_of_count
        self.parent_ids.append(candidates[0] if candidates else None)

    def candidates(self, position: int) -> tuple[str, ...]:
        """Return the candidates for the parent of the span at this position, best first; none for a root."""
        first = self.parent_ids[position]
        return () if first is None else (first, *self.other_parent_ids.get(position, ()))

    def follows_from(self, position: int, candidate: int = 0) -> bool:
        """Whether FOLLOWS_FROM alone names this candidate for the parent of the span at this position."""
        return self.child_of_counts.get(position, candidate + 1) <= candidate

    def without(self, dropped: set[int]) -> CodedTrace:
        """Return the trace without the spans at these positions."""
        kept = [position for position in range(len(self.span_ids)) if position not in dropped]
        columns: dict[str, Any] = {
            name: [column[position] for position in kept] for name in _COLUMNS if (column := getattr(self, name))
        }
        by_position: dict[str, Any] = {
            name: {new: values[old] for new, old in enumerate(kept) if old in values}
            for name in _BY_POSITION
            if (values := getattr(self, name))
        }
        return replace(self, **columns, **by_position)


_BY_POSITION = ("other_parent_ids", "child_of_counts")
_LISTS = ("warnings", "repairs")
"""Fields that have nothing to do with positions."""
_COLUMNS = tuple(name for name in CodedTrace.__struct_fields__ if name not in ("trace_id", *_BY_POSITION, *_LISTS))


def join(parts: Sequence[CodedTrace]) -> CodedTrace:
    """Combine the parts of one trace; the result has the trace id of the first part."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {
        name: [value for part in parts for value in getattr(part, name)] for name in (*_COLUMNS, *_LISTS)
    }
    bases = list(accumulate((len(part.span_ids) for part in parts), initial=0))
    by_position: dict[str, Any] = {
        name: {
            base + position: value
            for base, part in zip(bases, parts, strict=False)
            for position, value in getattr(part, name).items()
        }
        for name in _BY_POSITION
    }
    return replace(parts[0], **columns, **by_position)
