"""What calls ran or fetched, looked up only for those that are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from traceq.analysis.bottlenecks import BottleneckSums, SlowRequest
from traceq.semantics import STATEMENT, Attributes, first_text

LookUp: TypeAlias = Callable[[Mapping[str, set[str]]], Iterable[tuple[str, str, str, Attributes]]]
"""Ids of spans by the ids of their traces, to trace id, span id, operation and attributes."""


def with_statements(sums: BottleneckSums, look_up: LookUp) -> BottleneckSums:
    """Fill in the statements of the slowest requests' culprits, for sums of tables without attributes."""
    wanted: dict[str, set[str]] = {}
    for request in sums.slowest:
        for culprit in request.culprits:
            wanted.setdefault(request.trace_id, set()).add(culprit.span_id)
    statements: dict[tuple[str, str, str], str] = {}
    for trace_id, span_id, name, attributes in look_up(wanted):
        # Of spans that share id and name the first counts, as it does for their children.
        statements.setdefault((trace_id, span_id, name), first_text(attributes, STATEMENT))
    return replace(sums, slowest=tuple(_filled(request, statements) for request in sums.slowest))


def _filled(request: SlowRequest, statements: Mapping[tuple[str, str, str], str]) -> SlowRequest:
    culprits = tuple(
        replace(culprit, statement=statements.get((request.trace_id, culprit.span_id, culprit.name), ""))
        for culprit in request.culprits
    )
    return replace(request, culprits=culprits)
