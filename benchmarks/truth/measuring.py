"""Ask traceq, and compare its answers with the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import traceq
from benchmarks.truth.execution import execute
from benchmarks.truth.programs import draw_system
from benchmarks.truth.recording import Condition, Recorded, TrueTrace, record


@dataclass(frozen=True, slots=True)
class Attribution:
    """Of how many roots how much time was charged to spans that did not hold it; adds to others."""

    root_count: int = 0
    wrong: float = 0.0
    """Sum over roots of the share of the root's time."""
    lost: float = 0.0
    """The same of the time that spans held which were lost: nobody can charge it rightly."""

    def __add__(self, other: Attribution) -> Attribution:
        return Attribution(self.root_count + other.root_count, self.wrong + other.wrong, self.lost + other.lost)


@dataclass(frozen=True, slots=True)
class Score:
    """How traceq did under one condition; adds to others."""

    attribution: Attribution = Attribution()
    made_count: int = 0
    """Requests that were recorded, streams left out."""
    counted_count: int = 0
    """Requests that traceq counts."""

    def __add__(self, other: Score) -> Score:
        return Score(
            self.attribution + other.attribution,
            self.made_count + other.made_count,
            self.counted_count + other.counted_count,
        )


def run(seed: int, request_count: int, condition: Condition) -> Score:
    """Draw a system, execute requests, record them under this condition, and ask traceq."""
    system = draw_system(seed)
    recorded = record(system, execute(system, request_count, seed, streams=condition.streams), condition, seed)
    return score(load(recorded), recorded.traces)


def score(traces: traceq.Traces, truth: Sequence[TrueTrace]) -> Score:
    """Compare answers with the truth."""
    counted = traceq.bottlenecks(traces).to_dict()["request_count"]
    made = sum(not true.is_stream for true in truth)
    return Score(attribution(traces, truth), made, counted if isinstance(counted, int) else 0)


def load(recorded: Recorded) -> traceq.Traces:
    """Give what was recorded as traceq reads it."""
    with tempfile.TemporaryDirectory(prefix="traceq-truth-") as folder:
        path = Path(folder) / "traces.json"
        path.write_bytes(recorded.document)
        return traceq.load(path)


def attribution(traces: traceq.Traces, truth: Iterable[TrueTrace]) -> Attribution:
    """Find how much of the roots' time is charged to spans that did not hold it.

    Of a root that is the sum over all spans, lost ones as well, of the difference between the time charged and the
    time held, halved (what one has too much another has too little), as a share of the root's duration. Streams and
    requests whose root was lost are left out.
    """
    charged_ns: dict[str, dict[str, int]] = {}
    frame = traceq.critical_path(traces).to_frame()
    for root, span, time_ns in zip(frame["root_span_id"], frame["span_id"], frame["length_ns"], strict=True):
        spans = charged_ns.setdefault(root, {})
        spans[span] = spans.get(span, 0) + time_ns
    found = Attribution()
    for true in truth:
        if not true.is_stream and not true.is_root_lost and true.root_ns:
            wrong_ns = _difference(charged_ns.get(true.root_id, {}), true.held_ns) / 2
            found += Attribution(1, wrong_ns / true.root_ns, true.lost_ns / true.root_ns)
    return found


def _difference(one: dict[str, int], other: dict[str, int]) -> int:
    return sum(abs(one.get(key, 0) - other.get(key, 0)) for key in one.keys() | other.keys())
