"""What is worth changing in requests.

Sightings of all detectors are grouped by call, in sums that can be added, of which the answer is made.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from traceq.analysis.columns import Ints
from traceq.analysis.culprits import Examined, examine
from traceq.analysis.findings.kinds import KINDS, Evidence, advice_for, detect
from traceq.analysis.findings.series import PoolSums, measure_pools
from traceq.analysis.findings.sightings import Scene, Sightings
from traceq.analysis.grouping import added, distinct, merged, numbered_rows, sum_by_group
from traceq.analysis.learning import learn_from
from traceq.analysis.naming import whose
from traceq.analysis.requests import ASKED_SERVICE, RequestOptions, SetApart, set_apart_specs
from traceq.analysis.spread import Spread, spread_specs, spreads
from traceq.analysis.thresholds import Thresholds
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.learned import Lesson
from traceq.report import Column, Part, Rows, Unit, Value
from traceq.semantics import STATEMENT, URL, Peer, first_text
from traceq.traces import Traces
from traceq.units import format_duration, format_ratio, plural

EXAMPLES = 3
"""Number of requests kept as evidence of each finding."""
EXAMPLE_SPANS = 5
"""Number of spans named for each example."""
_SHOWN_OF_NAMES = 100
"""Number of characters of names in a finding's short text."""

_ORDER = {kind: place for place, kind in enumerate(KINDS)}


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
        return (_ORDER[self.kind], self.service, self.name, peer, self.caller_service, self.caller_name)


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

    @property
    def rank(self) -> tuple[int, int, str, tuple[str, ...]]:
        """The order of examples, the costliest first."""
        return (-self.cost_ns, -self.time_ns, self.trace_id, self.span_ids)


_EXAMPLE_COLUMNS: tuple[Column[FindingExample], ...] = (
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
)


def best_examples(examples: Iterable[FindingExample]) -> tuple[FindingExample, ...]:
    """Keep the costliest examples, each from a different trace."""
    by_trace: dict[str, FindingExample] = {}
    for example in sorted(examples, key=lambda example: example.rank):
        by_trace.setdefault(example.trace_id, example)
    return tuple(heapq.nsmallest(EXAMPLES, by_trace.values(), key=lambda example: example.rank))


@dataclass(frozen=True, slots=True)
class FindingTotals:
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


@dataclass(frozen=True, slots=True)
class FindingSums:
    """The findings of any number of requests, summed up; can be added to others."""

    request_count: int = 0
    trace_count: int = 0
    span_count: int = 0
    latency_ns: int = 0
    """The sum of the latencies of all requests."""
    findings: Mapping[FindingKey, FindingTotals] = field(default_factory=dict)
    """All sightings; those of kind `pool` are findings only if `pools` shows it."""
    pools: PoolSums = field(default_factory=PoolSums)
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: FindingSums) -> FindingSums:
        return added(self, other, findings=merged((*self.findings.items(), *other.findings.items())))


@dataclass(frozen=True, slots=True, repr=False)
class Finding:
    """Something that is worth changing, and its cost."""

    key: FindingKey
    totals: FindingTotals
    ratio: float
    """The cost as a share of the latency of all requests."""

    def __repr__(self) -> str:
        """Name the kind, the place and the cost."""
        key = self.key
        where = f"service={key.service[:_SHOWN_OF_NAMES]!r}, name={key.name[:_SHOWN_OF_NAMES]!r}"
        return f"Finding(kind={key.kind!r}, {where}, cost_ns={self.totals.cost_ns})"

    @property
    def has_caller(self) -> bool:
        """Whether the span above is known."""
        return bool(self.key.caller_service or self.key.caller_name)

    @property
    def statement(self) -> str:
        """The query or URL of the costliest example; empty where it is not recorded."""
        return self.totals.examples[0].statement

    @property
    def remark(self) -> str:
        """Further information about the costliest example."""
        return self.totals.examples[0].remark

    @property
    def advice(self) -> str:
        """The advice, in one line."""
        special = advice_for(self.key.kind, self.key.peer, (self.key.name, self.statement), self._seen)
        return special or KINDS[self.key.kind].advice

    @property
    def evidence(self) -> str:
        """The evidence in words."""
        return KINDS[self.key.kind].evidence(self._seen)

    @property
    def _seen(self) -> Evidence:
        totals, time = self.totals, self.totals.time
        counts = totals.sighting_count, totals.span_count, totals.most_spans, totals.flagged_count
        return Evidence(*counts, time.max_ns, time.percentile(0.5))


FINDING_COLUMNS: tuple[Column[Finding] | Rows[Finding], ...] = (
    Column("kind", "kind", of="key", about="see [findings](analyses/findings.md)"),
    Column("service", "service", Unit.SERVICE, of="key"),
    Column("operation", "operation", value=lambda finding: finding.key.name),
    Column(
        "peer",
        "peer",
        value=lambda finding: None if finding.key.peer is None else finding.key.peer.label,
        about="what was called: system and name",
    ),
    Column(
        "service",
        "caller",
        Unit.SERVICE,
        lambda finding: finding.key.caller_service if finding.has_caller else None,
        "service of the span above; `caller` is null where there is none",
        within="caller",
    ),
    Column(
        "operation",
        "caller's operation",
        value=lambda finding: finding.key.caller_name if finding.has_caller else None,
        within="caller",
    ),
    Column("cost_ns", "cost", Unit.DURATION, of="totals", about="time on the critical paths"),
    Column("ratio", "of all", Unit.RATIO, about="the cost as a share of `latency_ns`"),
    Column("request_count", "requests", Unit.COUNT, of="totals", about="requests that show it"),
    Column("sighting_count", "sightings", Unit.COUNT, of="totals", about="times it was seen"),
    Column("span_count", "spans", Unit.COUNT, of="totals", about="spans that show it"),
    Column("most_spans", "most spans", Unit.COUNT, of="totals", about="spans of one sighting"),
    *spread_specs("time", "", lambda finding: finding.totals.time, "times that it took, waited for or not"),
    Column("statement", "statement", value=lambda finding: finding.statement or None, about="the query or the URL"),
    Column(
        "remark", "remark", value=lambda finding: finding.remark or None, about="remark about the costliest example"
    ),
    Column("advice", "advice", about="what to try"),
    Rows(
        "examples",
        _EXAMPLE_COLUMNS,
        of="totals",
        about="up to three, the costliest first; in CSV the ids of their traces",
        text=lambda finding: tuple(example.trace_id for example in finding.totals.examples),
    ),
)


@dataclass(frozen=True, slots=True, repr=False)
class Findings(Answer):
    """What is worth changing, the costliest finding first."""

    options: RequestOptions
    thresholds: Thresholds
    sums: FindingSums
    findings: tuple[Finding, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            finding_count="number of findings",
            kind="kind of the costliest; null for none",
            service="its service",
            operation="its operation",
            cost_ns="its time on the critical paths",
            ratio="the same as a share of `latency_ns`",
        ),
        ASKED_SERVICE,
        Column("request_count", of="sums", about="requests that were looked at"),
        Column("trace_count", of="sums", about="traces with these requests"),
        Column("span_count", of="sums", about="spans of these requests"),
        Column("latency_ns", of="sums", about="latency of all requests together"),
        *set_apart_specs(lambda answer: answer.sums.set_apart),
        Rows("findings", FINDING_COLUMNS, about="findings, the costliest first"),
    )
    MAIN: ClassVar[str] = "findings"

    @property
    def verdict(self) -> Verdict | None:
        """The costliest finding, or that there is none; None where there was no request to look at."""
        if not self.sums.request_count:
            return None
        count, seen = len(self.findings), plural(self.sums.request_count, "request")
        if not count:
            whose_requests = f" of {self.options.service}" if self.options.service else ""
            return Verdict((Part(f"No findings in {seen}{whose_requests}."),), {"finding_count": 0})
        first = self.findings[0]
        key, cost_ns = first.key, first.totals.cost_ns
        title = KINDS[key.kind].title
        ratio = f"{format_duration(cost_ns)}, {format_ratio(first.ratio)} of all time"
        parts = (
            Part(f"{title[0].upper()}{title[1:]} "),
            Part(key.name, "strong"),
            Part(whose(key.service, key.name, key.peer, self.options.service)),
            Part(f" costs most: {ratio}." if cost_ns else " costs no time."),
        )
        numbers: dict[str, Value] = {
            "finding_count": count,
            "kind": key.kind,
            "service": key.service,
            "operation": key.name,
            "cost_ns": cost_ns,
            "ratio": first.ratio,
        }
        return Verdict(parts, numbers)


def rank_of(finding: Finding) -> tuple[int, int, int, tuple[int, str, str, str, str, str]]:
    """Order findings by cost, then by kind, then by the number of requests that show them."""
    kind = _ORDER[finding.key.kind]
    return (-finding.totals.cost_ns, kind, -finding.totals.request_count, finding.key.rank)


@dataclass(frozen=True, slots=True)
class FindingQuestion:
    """What is worth changing in requests."""

    options: RequestOptions
    thresholds: Thresholds = field(default_factory=Thresholds)
    needs_details: bool = True
    """Whether attributes and events are needed: statements, errors and retries are recorded there."""
    learns: bool = True
    lesson: Lesson = "habits"

    def nothing(self) -> FindingSums:
        """Give the sums of no traces."""
        return FindingSums()

    def collect(self, traces: Traces) -> FindingSums:
        """Sum up what is worth changing in the requests of a span table."""
        if traces.learned is None:
            traces = replace(traces, learned=learn_from([traces], more=self.lesson))
        return sum_up(examine(traces, self.options), self.thresholds)

    def rank(self, sums: FindingSums) -> Findings:
        """Turn sums into the answer, ordered by cost, then by kind, then by the number of requests."""
        found = [
            Finding(key, totals, totals.cost_ns / sums.latency_ns if sums.latency_ns else 0.0)
            for key, totals in _shown(sums, self.thresholds).items()
        ]
        return Findings(self.options, self.thresholds, sums, tuple(sorted(found, key=rank_of)))


def _shown(sums: FindingSums, thresholds: Thresholds) -> dict[FindingKey, FindingTotals]:
    """Leave out waits for connections where no pool is exhausted, and gaps that are nothing but such waits."""
    exhausted = sums.pools.exhausted(max(1, thresholds.min_cost_ns))
    found, waited_ns = dict(sums.findings), Counter[tuple[str, str]]()
    for key, totals in sums.findings.items():
        if key.kind != "pool":
            continue
        if key.peer is None or (key.service, key.peer.label) not in exhausted:
            del found[key]
        else:
            waited_ns[key.caller_service, key.caller_name] += totals.cost_ns
    explained = {key for key in found if key.kind == "gap" and waited_ns[key.service, key.name] >= found[key].cost_ns}
    return {key: totals for key, totals in found.items() if key not in explained}


def sum_up(examined: Examined, thresholds: Thresholds) -> FindingSums:
    """Sum up what is worth changing in requests that were examined already."""
    scene = Scene(examined, thresholds)
    spans, entries = scene.spans, examined.requests.entries
    findings: dict[FindingKey, FindingTotals] = {}
    for seen in detect(scene):
        findings |= _sum_sightings(scene, seen)
    return FindingSums(
        request_count=int(entries.size) + examined.requests.set_apart.incomplete_count,
        trace_count=distinct(spans.trace[entries]).size,
        span_count=int(np.count_nonzero(scene.is_asked)),
        latency_ns=int(spans.duration_ns[entries].sum()),
        findings=findings,
        pools=measure_pools(scene),
        set_apart=examined.requests.set_apart,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Merged:
    """Sightings by finding; arrays have one entry for each sighting."""

    seen: Sightings
    keys: tuple[FindingKey, ...]
    number: Ints
    """The position of each sighting's key."""
    requests: Ints
    """Row of the request's entry; where the spans belong to no request, a number below -1 that stands for the trace."""


def _sum_sightings(scene: Scene, seen: Sightings) -> dict[FindingKey, FindingTotals]:
    if not seen.rows.size:
        return {}
    merged = _merge(scene, seen)
    size, number = len(merged.keys), merged.number
    span_counts = np.diff(seen.offsets)
    most_spans = np.zeros(size, dtype=np.int64)
    np.maximum.at(most_spans, number, span_counts)
    cost_ns, request_counts = _by_request(scene, merged)
    sums = zip(
        cost_ns,
        request_counts,
        np.bincount(number, minlength=size).tolist(),
        sum_by_group(number, span_counts, size).tolist(),
        most_spans.tolist(),
        spreads(number, seen.time_ns, size),
        np.bincount(number[seen.is_flagged], minlength=size).tolist(),
        _examples(scene, merged),
        strict=True,
    )
    return {key: FindingTotals(*parts) for key, parts in zip(merged.keys, sums, strict=True)}


def _merge(scene: Scene, seen: Sightings) -> _Merged:
    """Number the findings that sightings belong to: one kind, for one call and caller, names without ids."""
    spans, rows = scene.spans, seen.rows
    traces, names = spans.traces, scene.operation_names
    parents = scene.recorded.parents[rows]
    called = parents >= 0
    callers = (np.where(called, codes[parents], -1) for codes in (spans.services, scene.operations))
    codes = (spans.services[rows], scene.operations[rows], spans.peers[rows], *callers)
    places, number = numbered_rows(*codes)
    keys = (
        FindingKey(
            seen.kind,
            traces.services[service],
            names[name],
            traces.peers[peer],
            traces.services[caller_service] if caller_service >= 0 else "",
            names[caller_name] if caller_name >= 0 else "",
        )
        for service, name, peer, caller_service, caller_name in zip(
            *(column[places].tolist() for column in codes), strict=True
        )
    )
    entry = scene.examined.requests.entry[rows]
    requests = np.where(entry >= 0, entry, -2 - spans.trace[rows])
    return _Merged(seen, tuple(keys), number, requests)


def _by_request(scene: Scene, merged: _Merged) -> tuple[list[int], list[int]]:
    """Give each finding's cost and the number of requests that show it; the cost is never greater than their latency.

    The path of one request may run through a finding twice, one inside the other (a recursive call): time that both
    would save is counted once.
    """
    size = len(merged.keys)
    places, pair = numbered_rows(merged.number, merged.requests)
    findings, requests = merged.number[places], merged.requests[places]
    cost_ns = sum_by_group(pair, merged.seen.cost_ns, places.size)
    latency_ns = np.where(requests >= 0, scene.latency_ns[np.maximum(requests, 0)], 0)
    total_ns = sum_by_group(findings, np.minimum(cost_ns, latency_ns), size)
    return total_ns.tolist(), np.bincount(findings, minlength=size).tolist()


def _examples(scene: Scene, merged: _Merged) -> list[tuple[FindingExample, ...]]:
    """Pick the costliest sightings of each finding, each from a different trace."""
    seen, traces = merged.seen, scene.spans.traces
    trace_ids = np.array([traces.trace_ids[traces.trace_of(row)] for row in seen.rows.tolist()])
    span_ids = np.array([traces.span_ids[row] for row in seen.rows.tolist()])
    order = np.lexsort((span_ids, trace_ids, -seen.time_ns, -seen.cost_ns, merged.number))
    picked: list[dict[str, FindingExample]] = [{} for _ in merged.keys]
    for at in order.tolist():
        examples, trace_id = picked[merged.number[at]], str(trace_ids[at])
        if len(examples) < EXAMPLES and trace_id not in examples:
            examples[trace_id] = _example(scene, merged, at)
    return [best_examples(examples.values()) for examples in picked]


def _example(scene: Scene, merged: _Merged, at: int) -> FindingExample:
    seen, traces = merged.seen, scene.spans.traces
    members = seen.members[seen.offsets[at] : seen.offsets[at + 1]]
    request, span = int(merged.requests[at]), traces.span(int(seen.rows[at]))
    return FindingExample(
        cost_ns=int(seen.cost_ns[at]),
        time_ns=int(seen.time_ns[at]),
        span_count=int(members.size),
        trace_id=span.trace_id,
        request_span_id=traces.span_ids[request] if request >= 0 else "",
        span_ids=tuple(traces.span_ids[row] for row in members[:EXAMPLE_SPANS].tolist()),
        statement="" if traces.details is None else first_text(span.details.attributes(), (*STATEMENT, *URL)),
        remark=KINDS[seen.kind].remark(scene, span),
    )
