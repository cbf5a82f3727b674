"""Ask traceq what is worth a change where that is known: problems of every strength, and healthy requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import traceq
from benchmarks.truth.crowds import execute_crowd
from benchmarks.truth.execution import Request, execute
from benchmarks.truth.measuring import load
from benchmarks.truth.planted import PROBLEMS, STRENGTHS, plant
from benchmarks.truth.programs import System
from benchmarks.truth.recording import Condition, record
from benchmarks.truth.shapes import SHAPES, healthy
from traceq.analysis.thresholds import Thresholds

_CLEAN = Condition("clean")
_BOUNDS = Thresholds()
_LEAST_WAITS = 10
"""Fewer waits for connections are below the threshold, however much is asked of a pool: chance decides how many."""


@dataclass(frozen=True, slots=True)
class Recall:
    """How planted problems of one kind and strength were told; adds to others."""

    planted_count: int = 0
    told_count: int = 0
    told_ns: float = 0.0
    """What findings cost a request, where one was told ..."""
    saved_ns: float = 0.0
    """... and how much shorter a request of the mended program really is."""

    def __add__(self, other: Recall) -> Recall:
        return Recall(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Alarms:
    """What was told of healthy requests of one shape; adds to others."""

    program_count: int = 0
    request_count: int = 0
    false_program_count: int = 0
    false_request_count: int = 0
    """Requests that show the finding that most of them show, of those that are not true."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Programs by kind of false finding."""

    def __add__(self, other: Alarms) -> Alarms:
        return Alarms(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Told:
    """What findings told; adds to others."""

    recalls: Mapping[str, tuple[Recall, ...]]
    """By kind of problem, in the order of `STRENGTHS`."""
    alarms: Mapping[str, Alarms]
    """By shape."""

    def __add__(self, other: Told) -> Told:
        recalls = {
            name: tuple(one + more for one, more in zip(found, other.recalls[name], strict=True))
            for name, found in self.recalls.items()
        }
        return Told(recalls, {name: found + other.alarms[name] for name, found in self.alarms.items()})


def nothing_told() -> Told:
    """Give what adds to anything."""
    return Told({name: (Recall(),) * len(STRENGTHS) for name in PROBLEMS}, {name: Alarms() for name in SHAPES})


def ask(seed: int, request_count: int) -> Told:
    """Draw one program for each shape, and one for each problem and strength, and ask."""
    return Told(
        {name: tuple(ask_problem(name, strength, seed, request_count) for strength in STRENGTHS) for name in PROBLEMS},
        {name: ask_shape(name, seed, request_count) for name in SHAPES},
    )


def ask_problem(name: str, strength: float, seed: int, request_count: int) -> Recall:
    """Plant one problem, and ask."""
    systems = plant(name, strength, seed)
    with_it, without = (serve(system, request_count, seed) for system in systems)
    if systems[0].crowd and _waits(with_it) < _LEAST_WAITS:
        return Recall()
    found = _findings(systems[0], with_it, seed)
    told = [finding for finding in found if finding.key.kind in PROBLEMS[name].kinds]
    if not told:
        return Recall(1)
    saved_ns = _mean_ns(with_it) - _mean_ns(without)
    return Recall(1, 1, sum(finding.totals.cost_ns for finding in told) / request_count, saved_ns)


def _waits(requests: Sequence[Request]) -> int:
    """Count the calls that truly waited for a connection for so long that findings are documented to tell it."""
    return sum(span.waited_ns >= _BOUNDS.min_cost_ns for request in requests for span in request.spans)


def ask_shape(name: str, seed: int, request_count: int) -> Alarms:
    """Ask about healthy requests."""
    system, shape = healthy(name, seed), SHAPES[name]
    requests = serve(system, request_count, seed, streams=float(shape.stream))
    found = [one for one in _findings(system, requests, seed) if one.key.kind not in shape.true_kinds]
    worst = max((finding.totals.request_count for finding in found), default=0)
    return Alarms(1, request_count, bool(found), worst, Counter({finding.key.kind for finding in found}))


def serve(system: System, count: int, seed: int, streams: float = 0.0) -> list[Request]:
    """Execute requests, each on its own or as a crowd."""
    return execute_crowd(system, count, seed) if system.crowd else execute(system, count, seed, streams=streams)


def _findings(system: System, requests: Sequence[Request], seed: int) -> Sequence[traceq.Finding]:
    return traceq.findings(load(record(system, requests, _CLEAN, seed))).findings


def _mean_ns(requests: Sequence[Request]) -> float:
    return fmean(request.spans[0].ended_ns - request.spans[0].begun_ns for request in requests)
