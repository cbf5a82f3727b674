"""Sightings of one finding, summed up: sums of any number of requests can be added."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from traceq.analysis.findings.kinds import KINDS
from traceq.analysis.findings.series import PoolSums
from traceq.analysis.grouping import added, merged
from traceq.analysis.requests import SetApart
from traceq.analysis.spread import Spread
from traceq.report import Column, Unit
from traceq.semantics import Peer

EXAMPLES = 3
"""Number of requests kept as evidence of each finding."""

ORDER = {kind: place for place, kind in enumerate(KINDS)}
"""The order of kinds of equal cost."""


class FindingKey(NamedTuple):
    """Sightings that count as the same finding."""

    kind: str
    """The kind of finding: a key of `KINDS`."""
    service: str
    name: str
    peer: Peer | None
    caller_service: str
    """The service of the span above; empty where there is none."""
    caller_name: str

    @property
    def rank(self) -> tuple[int, str, str, str, str, str]:
        """The order of findings of equal cost."""
        peer = "" if self.peer is None else self.peer.label
        return (ORDER[self.kind], self.service, self.name, peer, self.caller_service, self.caller_name)


class FindingExample(NamedTuple):
    """One request that shows a finding."""

    cost_ns: int
    time_ns: int
    span_count: int
    """The number of spans that show the finding."""
    trace_id: str
    request_span_id: str
    """The id of the request's entry span; empty where the spans belong to no request."""
    span_ids: tuple[str, ...]
    """The ids of the first few spans that show the finding."""
    statement: str
    """The query that ran or the URL that was called; empty where it is not recorded."""
    remark: str
    """Further information: the error, the clock, the missing parent."""
    file: str = ""
    """The path of the source code, where the span, or one above it in its service, tells it."""
    line: int = 0
    """The line in that file, from 1 on; 0 for unknown."""

    @property
    def rank(self) -> tuple[int, int, str, tuple[str, ...]]:
        """The order of examples, the costliest first."""
        return (-self.cost_ns, -self.time_ns, self.trace_id, self.span_ids)


EXAMPLE_COLUMNS: tuple[Column[FindingExample], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID),
    Column(
        "request_span_id",
        "request",
        value=lambda example: example.request_span_id or None,
        about="id of the request's entry span; null outside of requests",
    ),
    Column(
        "span_ids",
        "spans",
        value=lambda example: list(example.span_ids),
        about="the first five of the spans that show it",
        holds="texts",
    ),
    Column("span_count", "spans", Unit.COUNT, about="number of spans that show it"),
    Column("cost_ns", "cost", Unit.DURATION, about="its time on the critical path"),
    Column("time_ns", "time", Unit.DURATION, about="how long it went on, waited for or not"),
    Column("statement", "statement", value=lambda example: example.statement or None, about="the query or the URL"),
    Column(
        "remark",
        "remark",
        value=lambda example: example.remark or None,
        about="the error, the clock or the missing parent",
    ),
    Column(
        "file",
        "file",
        value=lambda example: example.file or None,
        about="path of the source code, where the span or one above it in its service tells it",
        within="code",
    ),
    Column(
        "line",
        "line",
        value=lambda example: example.line or None,
        about="line in that file",
        within="code",
        holds="count",
        is_known=False,
    ),
)


def best_examples(examples: Iterable[FindingExample]) -> tuple[FindingExample, ...]:
    """Keep the costliest examples, each from a different trace."""
    by_trace: dict[str, FindingExample] = {}
    for example in sorted(examples, key=lambda example: example.rank):
        by_trace.setdefault(example.trace_id, example)
    return tuple(heapq.nsmallest(EXAMPLES, by_trace.values(), key=lambda example: example.rank))


class FindingTotals(Struct, frozen=True):
    """A finding, summed up; can be added to others."""

    cost_ns: int
    """The cost, as time on critical paths: at most the latencies of the requests that show the finding."""
    request_count: int
    sighting_count: int
    span_count: int
    most_spans: int
    """The largest number of spans in one sighting."""
    time: Spread
    """The duration of each sighting, waited for or not."""
    flagged_count: int
    """The number of sightings with the flag that their kind gives: see `Evidence.flagged_count`."""
    examples: tuple[FindingExample, ...]

    def __add__(self, other: FindingTotals) -> FindingTotals:
        return added(
            self,
            other,
            most_spans=max(self.most_spans, other.most_spans),
            examples=best_examples((*self.examples, *other.examples)),
        )


class FindingSums(Struct, frozen=True):
    """The findings of any number of requests, summed up; can be added to others."""

    request_count: int = 0
    trace_count: int = 0
    span_count: int = 0
    latency_ns: int = 0
    """The sum of the latencies of all requests."""
    findings: Mapping[FindingKey, FindingTotals] = {}
    """All sightings; those of kind `pool` are findings only if `pools` shows it."""
    pools: PoolSums = field(default_factory=PoolSums)
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: FindingSums) -> FindingSums:
        return added(self, other, findings=merged((*self.findings.items(), *other.findings.items())))
