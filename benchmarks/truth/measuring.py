"""Ask traceq about one set of traces, and compare its answers with the truth."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import traceq
from benchmarks.truth.execution import Circumstance, execute
from benchmarks.truth.programs import draw_system
from benchmarks.truth.recording import Condition, Edge, Recorded, TrueTrace, record

_NEAR_NS = 1_000_000
"""Where clocks are off a span may be put so far from where it truly was: networks hide that much."""


@dataclass(frozen=True, slots=True)
class Score:
    """How traceq did on some traces; adds to others."""

    root_count: int = 0
    """Requests whose root was recorded, streams left out."""
    wrong: float = 0.0
    """Sum over these roots of the share of the root's time charged to spans that did not hold it."""
    unknowable: float = 0.0
    """The part of it that nobody can charge rightly: what lost spans held, and what lies between ticks of the clock."""
    wrong_by: Counter[Circumstance] = field(default_factory=Counter)
    """`wrong`, by what the spans are part of that were charged too much, in parts of a million."""
    made_count: int = 0
    """Requests that were recorded, streams left out."""
    counted_count: int = 0
    """Requests that traceq counts."""
    trace_count: int = 0
    moved_wrongly_count: int = 0
    """Traces with spans that were moved though their clocks were right, or to another wrong place."""
    timeout_count: int = 0
    """Traces in which a client gave up."""
    called_skew_count: int = 0
    """Requests with a finding about clocks."""
    call_count: int = 0
    """Calls and messages along all edges."""
    edge_difference: int = 0
    """Sum over edges of the difference between calls counted and made."""

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def run(seed: int, request_count: int, condition: Condition) -> Score:
    """Draw a system, execute requests, record them under this condition, and ask traceq."""
    system = draw_system(seed)
    recorded = record(system, execute(system, request_count, seed, streams=condition.streams), condition, seed)
    return score(load(recorded), recorded.traces, condition)


def load(recorded: Recorded) -> traceq.Traces:
    """Give what was recorded as traceq reads it."""
    with tempfile.TemporaryDirectory(prefix="traceq-truth-") as folder:
        path = Path(folder) / "traces.json"
        path.write_bytes(recorded.document)
        with warnings.catch_warnings():
            # What is lost and wrong is so on purpose.
            warnings.simplefilter("ignore", traceq.ReadWarning)
            return traceq.load(path)


def score(traces: traceq.Traces, truth: Sequence[TrueTrace], condition: Condition) -> Score:
    """Compare every answer about traces with the truth."""
    paths = traceq.critical_path(traces)
    made: Counter[Edge] = sum((true.edges for true in truth), Counter())
    counted = count_edges(traces)
    return attribution(paths, truth) + Score(
        made_count=sum(not true.is_stream for true in truth),
        counted_count=count_requests(traces),
        trace_count=len(truth),
        moved_wrongly_count=count_moved_wrongly(traces, paths, truth, condition),
        timeout_count=sum("timeout" in true.circumstances.values() for true in truth),
        called_skew_count=count_skew_findings(traces),
        call_count=made.total(),
        edge_difference=sum(abs(made[edge] - counted[edge]) for edge in made.keys() | counted.keys()),
    )


def attribution(paths: traceq.CriticalPath, truth: Iterable[TrueTrace]) -> Score:
    """Find how much of the roots' time is charged to spans that did not hold it.

    Of a root that is the sum over all spans, lost ones as well, of the difference between the time charged and the
    time held, halved (what one has too much another has too little), as a share of the root's duration. Streams and
    requests whose root was lost are left out.
    """
    by_root = charged_ns(paths)
    found = Score()
    for true in truth:
        if true.is_stream or true.is_root_lost or not true.root_ns:
            continue
        charged = by_root.get(true.root_id, {})
        more_ns = {span: charged.get(span, 0) - true.held_ns.get(span, 0) for span in charged.keys() | true.held_ns}
        by: Counter[Circumstance] = Counter()
        for span, over_ns in more_ns.items():
            if over_ns > 0:
                by[true.circumstances[span]] += over_ns * 1_000_000 // true.root_ns
        wrong_ns = sum(map(abs, more_ns.values())) / 2
        found += Score(1, wrong_ns / true.root_ns, true.unknowable_ns / true.root_ns, by)
    return found


def charged_ns(paths: traceq.CriticalPath) -> dict[str, dict[str, int]]:
    """Add up the path's time, by root and span."""
    by_root: dict[str, dict[str, int]] = {}
    frame = paths.to_frame()
    for root, span, time_ns in zip(frame["root_span_id"], frame["span_id"], frame["length_ns"], strict=True):
        spans = by_root.setdefault(root, {})
        spans[span] = spans.get(span, 0) + time_ns
    return by_root


def count_requests(traces: traceq.Traces) -> int:
    """Count the requests as `bottlenecks` does."""
    count = traceq.bottlenecks(traces).to_dict()["request_count"]
    return count if isinstance(count, int) else 0


def count_moved_wrongly(
    traces: traceq.Traces, paths: traceq.CriticalPath, truth: Iterable[TrueTrace], condition: Condition
) -> int:
    """Count traces with a span that was moved wrongly, against its root.

    Where all clocks are right every move by more than a tick of the clock is wrong; else one that leaves the span more
    than a millisecond off.
    """
    places = {trace_id: place for place, trace_id in enumerate(traces.trace_ids)}
    shift_ns = paths.skew.shift_ns.tolist()
    is_right = not condition.offset_ms and not condition.drift_ppm
    near_ns = condition.tick_us * 1000 if is_right else _NEAR_NS
    count = 0
    for true in truth:
        rows = traces.rows(places[true.trace_id]) if true.trace_id in places else range(0)
        roots = [row for row in rows if traces.span_ids[row] == true.root_id]
        root_ns = shift_ns[roots[0]] + true.off_ns[true.root_id] if roots else 0
        count += any(
            shift_ns[row] and abs(shift_ns[row] + true.off_ns[traces.span_ids[row]] - root_ns) > near_ns for row in rows
        )
    return count


def count_skew_findings(traces: traceq.Traces) -> int:
    """Count requests of which findings say that a clock is wrong."""
    found = traceq.findings(traces).findings
    return sum(finding.totals.request_count for finding in found if finding.key.kind == "clock-skew")


def count_edges(traces: traceq.Traces) -> Counter[Edge]:
    """Count calls along edges, under the names that the simulation uses: a host is told by its first label."""
    found: Counter[Edge] = Counter()
    for call in traceq.dependencies(traces).calls:
        found[Edge(call.caller, call.callee.partition(".svc")[0].partition(".shop")[0], call.via)] += call.call_count
    return found
