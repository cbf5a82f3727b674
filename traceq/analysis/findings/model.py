"""Findings: sightings put together over many requests, in sums that add."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, get_args

from traceq.analysis.culprits import RequestOptions
from traceq.analysis.findings.advice import advice
from traceq.analysis.findings.sightings import FindingKind
from traceq.analysis.grouping import merged
from traceq.analysis.set_apart import SetApart
from traceq.analysis.spread import Spread
from traceq.analysis.thresholds import Thresholds
from traceq.semantics import Peer

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
"""Requests kept as evidence of each finding."""
EXAMPLE_SPANS = 5
"""Spans named of each."""

KINDS: tuple[FindingKind, ...] = get_args(FindingKind)


class FindingKey(NamedTuple):
    """Sightings that count as the same finding."""

    kind: FindingKind
    service: str
    name: str
    peer: Peer | None
    caller_service: str
    """Of the span above; empty where there is none."""
    caller_name: str

    @property
    def rank(self) -> tuple[int, str, str, str, str, str]:
        """Orders findings that cost the same."""
        peer = "" if self.peer is None else self.peer.label
        return (KINDS.index(self.kind), self.service, self.name, peer, self.caller_service, self.caller_name)


class FindingExample(NamedTuple):
    """One request that shows a finding."""

    cost_ns: int
    time_ns: int
    span_count: int
    """Spans that show it."""
    trace_id: str
    request_span_id: str
    """Of the request's entry; empty where the spans belong to none."""
    span_ids: tuple[str, ...]
    """The first few of them."""
    statement: str
    """The query that ran or the URL that was called; empty where it is not told."""
    remark: str
    """What else there is to know: the error, the clock, the missing parent."""

    @property
    def rank(self) -> tuple[int, int, str, tuple[str, ...]]:
        """Orders examples, the costliest first."""
        return (-self.cost_ns, -self.time_ns, self.trace_id, self.span_ids)

    def to_dict(self) -> dict[str, object]:
        """Give the example as it stands in JSON."""
        return {
            "trace_id": self.trace_id,
            "request_span_id": self.request_span_id or None,
            "span_ids": list(self.span_ids),
            "span_count": self.span_count,
            "cost_ns": self.cost_ns,
            "time_ns": self.time_ns,
            "statement": self.statement or None,
            "remark": self.remark or None,
        }


def best_examples(examples: Iterable[FindingExample]) -> tuple[FindingExample, ...]:
    """Keep the costliest, each of another trace."""
    by_trace: dict[str, FindingExample] = {}
    for example in sorted(examples, key=lambda example: example.rank):
        by_trace.setdefault(example.trace_id, example)
    return tuple(heapq.nsmallest(EXAMPLES, by_trace.values(), key=lambda example: example.rank))


@dataclass(frozen=True, slots=True)
class FindingTotals:
    """A finding, summed up; adds to others."""

    cost_ns: int
    """Of the critical paths: at most the latencies of the requests that show it."""
    request_count: int
    sighting_count: int
    span_count: int
    most_spans: int
    """In one sighting."""
    time: Spread
    """How long each one went on, waited for or not."""
    examples: tuple[FindingExample, ...]

    def __add__(self, other: FindingTotals) -> FindingTotals:
        return FindingTotals(
            self.cost_ns + other.cost_ns,
            self.request_count + other.request_count,
            self.sighting_count + other.sighting_count,
            self.span_count + other.span_count,
            max(self.most_spans, other.most_spans),
            self.time + other.time,
            best_examples((*self.examples, *other.examples)),
        )


@dataclass(frozen=True, slots=True)
class FindingSums:
    """The findings of any number of requests, summed up; adds to others."""

    request_count: int = 0
    trace_count: int = 0
    span_count: int = 0
    latency_ns: int = 0
    """Of all requests together."""
    findings: Mapping[FindingKey, FindingTotals] = field(default_factory=dict)
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: FindingSums) -> FindingSums:
        return FindingSums(
            self.request_count + other.request_count,
            self.trace_count + other.trace_count,
            self.span_count + other.span_count,
            self.latency_ns + other.latency_ns,
            merged((*self.findings.items(), *other.findings.items())),
            self.set_apart + other.set_apart,
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is worth a change, and what it costs."""

    key: FindingKey
    totals: FindingTotals
    ratio: float
    """Cost as a share of the latency of all requests."""

    @property
    def statement(self) -> str:
        """The query or URL of the costliest example; empty where it is not told."""
        return self.totals.examples[0].statement

    @property
    def remark(self) -> str:
        """What else there is to know of the costliest example."""
        return self.totals.examples[0].remark

    @property
    def advice(self) -> str:
        """What to try, in a line."""
        return advice(self.key.kind, self.key.peer, f"{self.key.name} {self.statement}")

    def to_dict(self) -> dict[str, object]:
        """Give the finding as it stands in JSON."""
        key, totals = self.key, self.totals
        caller = {"service": key.caller_service, "operation": key.caller_name}
        return {
            "kind": key.kind,
            "service": key.service,
            "operation": key.name,
            "peer": None if key.peer is None else key.peer.label,
            "caller": caller if key.caller_service or key.caller_name else None,
            "cost_ns": totals.cost_ns,
            "ratio": self.ratio,
            "request_count": totals.request_count,
            "sighting_count": totals.sighting_count,
            "span_count": totals.span_count,
            "most_spans": totals.most_spans,
            "time": totals.time.to_dict(),
            "statement": self.statement or None,
            "remark": self.remark or None,
            "advice": self.advice,
            "examples": [example.to_dict() for example in totals.examples],
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """What is worth a change, the costliest first."""

    options: RequestOptions
    thresholds: Thresholds
    sums: FindingSums
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, object]:
        """Give the answer as it stands in JSON; times in ns, shares 0..1."""
        return {
            "service": self.options.service,
            "request_count": self.sums.request_count,
            "trace_count": self.sums.trace_count,
            "span_count": self.sums.span_count,
            "latency_ns": self.sums.latency_ns,
            "set_apart": self.sums.set_apart.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row a finding, nested values under names joined by dots. Needs pandas."""
        import pandas as pd

        return pd.json_normalize([finding.to_dict() for finding in self.findings])


def rank_of(finding: Finding) -> tuple[int, int, int, tuple[int, str, str, str, str, str]]:
    """Order findings: by cost, then by kind, then by how many requests show it."""
    kind = KINDS.index(finding.key.kind)
    return (-finding.totals.cost_ns, kind, -finding.totals.request_count, finding.key.rank)
