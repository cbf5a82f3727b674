"""What is worth changing in requests, with evidence, cost and advice.

Detectors are plain functions from a `Scene` (examined requests and thresholds) to `Sightings`; `FindingQuestion` runs
them all and sums up the sightings by call. Sums can be added, and only `rank` turns them into an answer.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.columns import Ints
from traceq.analysis.culprits import Examined, examine
from traceq.analysis.findings.answer import (
    EXAMPLES,
    Acknowledgement,
    Finding,
    FindingExample,
    FindingKey,
    Findings,
    FindingSums,
    FindingTotals,
    Review,
    best_examples,
    reviewed_by,
)
from traceq.analysis.findings.kinds import KINDS, FindingKind, detect, no_kind
from traceq.analysis.findings.series import measure_pools
from traceq.analysis.findings.sightings import Scene, Sightings
from traceq.analysis.grouping import distinct, most_by_group, numbered_rows, sum_by_group
from traceq.analysis.learning import learn_from
from traceq.analysis.requests import RequestOptions
from traceq.analysis.spread import spreads
from traceq.analysis.thresholds import Thresholds
from traceq.learned import Lesson
from traceq.semantics import CODE_FILE, CODE_LINE, STATEMENT, URL, first_text
from traceq.traces import Traces

__all__ = [
    "KINDS",
    "Acknowledgement",
    "Finding",
    "FindingExample",
    "FindingKey",
    "FindingKind",
    "FindingQuestion",
    "FindingSums",
    "FindingTotals",
    "Findings",
    "Review",
    "Scene",
    "Sightings",
    "Thresholds",
    "no_kind",
    "reviewed_by",
]
_EXAMPLE_SPANS = 5
"""Number of spans named for each example."""
_STEPS_UP = 8
"""Number of spans, from one upwards, that are asked for the source code that they run."""


class FindingQuestion(Struct, frozen=True):
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
        return self.sum_up(examine(traces, self.options))

    def sum_up(self, examined: Examined) -> FindingSums:
        """Sum up what is worth changing in requests that were examined already."""
        scene = Scene(examined, self.thresholds)
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

    def rank(self, sums: FindingSums) -> Findings:
        """Turn sums into the answer, ordered by cost, then by kind, then by the number of requests."""
        found = [
            Finding(key, totals, totals.cost_ns / sums.latency_ns if sums.latency_ns else 0.0)
            for key, totals in _shown(sums, self.thresholds).items()
        ]
        return Findings(self.options, self.thresholds, sums, tuple(sorted(found, key=lambda finding: finding.rank)))


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


class _Merged(Struct, frozen=True, eq=False):
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
    cost_ns, request_counts = _by_request(scene, merged)
    sums = zip(
        cost_ns,
        request_counts,
        np.bincount(number, minlength=size).tolist(),
        sum_by_group(number, span_counts, size).tolist(),
        most_by_group(number, span_counts, size, 0).tolist(),
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
    file, line = _code_of(traces, span.row)
    return FindingExample(
        cost_ns=int(seen.cost_ns[at]),
        time_ns=int(seen.time_ns[at]),
        span_count=int(members.size),
        trace_id=span.trace_id,
        request_span_id=traces.span_ids[request] if request >= 0 else "",
        span_ids=tuple(traces.span_ids[row] for row in members[:_EXAMPLE_SPANS].tolist()),
        statement="" if traces.details is None else first_text(span.details.attributes(), (*STATEMENT, *URL)),
        remark=KINDS[seen.kind].remark(scene, span),
        file=file,
        line=line,
    )


def _code_of(traces: Traces, row: int) -> tuple[str, int]:
    """Say which file and line a span runs: as it tells itself, or the nearest span above it in its service.

    Returns:
        The path, empty where no span tells it or attributes were left out, and the line, 0 where it is not told.
    """
    if traces.details is None:
        return "", 0
    service = traces.service_codes[row]
    for _ in range(_STEPS_UP):
        if row < 0 or traces.service_codes[row] != service:
            break
        attributes = traces.span(row).details.attributes()
        if file := first_text(attributes, CODE_FILE):
            line = first_text(attributes, CODE_LINE)
            return file, int(line) if line.isascii() and line.isdigit() else 0
        row = traces.parents[row]
    return "", 0
