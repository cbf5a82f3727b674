"""Traces as codecs read them, on their way into a span table."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from traceq.semantics import Meaning
from traceq.traces import SpanDetails

_Value = TypeVar("_Value", bound=Hashable)


class Codes(dict[_Value, int]):
    """Small numbers for values that repeat, in the order in which they first occur.

    Args:
        known: Come first.
    """

    def __init__(self, *known: _Value) -> None:
        super().__init__((value, code) for code, value in enumerate(known))

    def __missing__(self, value: _Value) -> int:
        self[value] = code = len(self)
        return code


class Codebook:
    """What the codes of a table to be stand for."""

    def __init__(self) -> None:
        self.names: Codes[str] = Codes()
        self.origins: Codes[tuple[str, str]] = Codes()
        """What spans ran in: service (empty where the source tells none) and host."""
        self.meanings: Codes[Meaning] = Codes()
        self.told: dict[tuple[tuple[str, str], ...], int] = {}
        """Codes of meanings by the attributes that tell them, for codecs to keep."""
        self.nameless: set[int] = set()
        """Codes of origins without a service."""

    def origin(self, service: str, host: str) -> int:
        """Give the code of what spans ran in."""
        code = self.origins[service, host]
        if not service:
            self.nameless.add(code)
        return code


@dataclass(slots=True)
class CodedTrace:
    """One trace, or a part of one, as a codec reads it: columns of equal length, one entry a span.

    Names, origins and meanings are codes of the table that it is to stand in.
    """

    trace_id: str
    """Lower-case hex, as the source gave it."""
    span_ids: list[str] = field(default_factory=list)
    parent_ids: list[str | None] = field(default_factory=list)
    """The parent's span id, None for a root."""
    other_parent_ids: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """By position: where there are several candidates for the parent, those after the first, the best first."""
    start_ns: list[int] = field(default_factory=list)
    duration_ns: list[int] = field(default_factory=list)
    names: list[int] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    meanings: list[int] = field(default_factory=list)
    details: list[SpanDetails] = field(default_factory=list)
    """Empty when they were left out on reading."""
    warnings: list[str] = field(default_factory=list)
    """What the source remarked about the trace as a whole."""

    def add_parents(self, candidates: tuple[str, ...]) -> None:
        """Add what may be the next span's parent, the best first."""
        if len(candidates) > 1:
            self.other_parent_ids[len(self.parent_ids)] = candidates[1:]
        self.parent_ids.append(candidates[0] if candidates else None)

    def candidates(self, position: int) -> tuple[str, ...]:
        """Give what may be the parent of the span at this position, the best first; nothing for a root."""
        first = self.parent_ids[position]
        return () if first is None else (first, *self.other_parent_ids.get(position, ()))

    def without(self, dropped: set[int]) -> CodedTrace:
        """Give the trace without the spans at these positions."""
        kept = [position for position in range(len(self.span_ids)) if position not in dropped]
        columns: dict[str, Any] = {
            name: [column[position] for position in kept] for name in _COLUMNS if (column := getattr(self, name))
        }
        others = {new: self.other_parent_ids[old] for new, old in enumerate(kept) if old in self.other_parent_ids}
        return replace(self, **columns, other_parent_ids=others)


_COLUMNS = tuple(
    column.name for column in fields(CodedTrace) if column.name not in ("trace_id", "other_parent_ids", "warnings")
)


def join(parts: Sequence[CodedTrace]) -> CodedTrace:
    """Put parts of one trace together; it goes by the first part's id."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {
        name: [value for part in parts for value in getattr(part, name)] for name in (*_COLUMNS, "warnings")
    }
    others: dict[int, tuple[str, ...]] = {}
    base = 0
    for part in parts:
        others |= {base + position: candidates for position, candidates in part.other_parent_ids.items()}
        base += len(part.span_ids)
    return replace(parts[0], **columns, other_parent_ids=others)
