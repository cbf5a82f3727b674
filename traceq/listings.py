"""What a source has, as answers: traces in a line each, services, operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from traceq.answer import Answer
from traceq.catalog import Operation
from traceq.report import Column, Rows, Table, Unit, table
from traceq.summary import SUMMARY_COLUMNS, TraceSummary

Order: TypeAlias = Literal[
    "recent",
    "oldest",
    "longest",
    "shortest",
    "most-spans",
    "least-spans",
    "most-errors",
    "least-errors",
    "name",
    "name-desc",
]
"""Jaeger UI's ten orders."""

_KEYS: dict[Order, tuple[Callable[[TraceSummary], tuple[int | str, ...]], bool]] = {
    "recent": (lambda summary: (summary.start_ns,), True),
    "oldest": (lambda summary: (summary.start_ns,), False),
    "longest": (lambda summary: (summary.duration_ns,), True),
    "shortest": (lambda summary: (summary.duration_ns,), False),
    "most-spans": (lambda summary: (summary.span_count,), True),
    "least-spans": (lambda summary: (summary.span_count,), False),
    "most-errors": (lambda summary: (summary.error_count,), True),
    "least-errors": (lambda summary: (summary.error_count,), False),
    "name": (lambda summary: (summary.root_service, summary.root_name), False),
    "name-desc": (lambda summary: (summary.root_service, summary.root_name), True),
}
"""What is compared, and whether the greatest goes first."""


@dataclass(frozen=True, slots=True, repr=False)
class TraceList(Answer):
    """Traces that were found, in short."""

    summaries: tuple[TraceSummary, ...]
    order: Order = "recent"
    """In which they stand."""
    service_count: int = 0
    """How many services were asked; 0 where the source was asked once for all of them."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Rows("traces", SUMMARY_COLUMNS, lambda answer: answer.summaries, "in the order that was asked for"),
    )
    MAIN: ClassVar[str] = "traces"

    @staticmethod
    def of(summaries: Iterable[TraceSummary], order: Order = "recent", service_count: int = 0) -> TraceList:
        """Put traces in order; ties go newest first, then by id, whichever way the order runs."""
        key, descending = _KEYS[order]
        newest = sorted(summaries, key=lambda summary: (-summary.start_ns, summary.trace_id))
        return TraceList(tuple(sorted(newest, key=key, reverse=descending)), order, service_count)


@dataclass(frozen=True, slots=True, repr=False)
class ServiceList(Answer):
    """The services that a source knows."""

    services: tuple[str, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Column("services", value=lambda answer: list(answer.services), about="names, sorted; in CSV one a line"),
    )

    def records(self) -> Table:
        """Give one record a service."""
        return table((Column[str]("service", "service", Unit.SERVICE, lambda name: name),), self.services)


OPERATION_COLUMNS: tuple[Column[Operation], ...] = (
    Column("operation", "operation", value=lambda operation: operation.name, can_shrink=True),
    Column(
        "kind",
        "kind",
        value=lambda operation: operation.kind or None,
        about="`server`, `client`, ...; null where the source does not tell",
    ),
)


@dataclass(frozen=True, slots=True, repr=False)
class OperationList(Answer):
    """The operations of a service."""

    service: str
    operations: tuple[Operation, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Column("service", value=lambda answer: answer.service, about="whose operations"),
        Rows("operations", OPERATION_COLUMNS, lambda answer: answer.operations),
    )
    MAIN: ClassVar[str] = "operations"
