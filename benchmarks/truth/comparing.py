"""Ask traceq what changed, and what is worth a change, where the simulation knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean

import traceq
from benchmarks.truth.execution import Request, execute
from benchmarks.truth.faults import FAULTS, OF_CALLEES, PROBLEMS, Fault, FaultKind, inject, plant
from benchmarks.truth.measuring import load
from benchmarks.truth.programs import Operation, System, draw_system
from benchmarks.truth.recording import Condition, record
from traceq.analysis.comparison.changes import judge

_CLEAN = Condition("clean")
_LOSING = Condition("5 % lost", lost=0.05)
_VISIBLE = 0.05
"""Share of the mean latency, or of the requests that fail, from which a fault can be asked after."""
_HALVES = 4
"""How often the requests of a system are dealt out to two sides."""
_NEVER = ("clock-skew", "incomplete-trace", "gap", "n+1", "slow-query", "queue-delay", "fan-out")
"""Findings that the healthy programs, recorded cleanly, give no reason for."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What `compare` said of injected faults, of nothing, and `findings` of planted problems; adds to others."""

    fault_count: int = 0
    first_count: int = 0
    """Faults whose service comes first by how much longer, or less long, it holds requests."""
    among_three_count: int = 0
    headline_count: int = 0
    """Faults that change the latency, so that the headline has to name a service."""
    right_count: int = 0
    wrong_count: int = 0
    """The rest is silent."""
    same_count: int = 0
    """Comparisons of requests with their like."""
    same_alarm_count: int = 0
    losing_alarm_count: int = 0
    """The same where one side lost 5 % of its spans."""
    problem_count: int = 0
    told_count: int = 0
    """Problems that a finding tells by their kind and service."""
    told_ns: float = 0.0
    """What these findings cost a request, together ..."""
    saved_ns: float = 0.0
    """... and what requests without the problem really save."""
    healthy_count: int = 0
    """Requests without a problem."""
    false_count: int = 0
    """Findings about them that nothing gives a reason for, by request."""

    def __add__(self, other: Verdicts) -> Verdicts:
        return Verdicts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def examine(seed: int, request_count: int) -> Verdicts:
    """Draw a system, and ask about faults, about nothing and about problems."""
    system, random = draw_system(seed), Random(f"faults {seed}")  # noqa: S311  the same every time is the point
    healthy = execute(system, request_count, seed)
    mean_ns = fmean(map(_latency_ns, healthy))
    found = Verdicts()
    for fault in _faults(system, mean_ns, random):
        found += _compare_fault(system, healthy, fault, seed)
    found += _compare_nothing(system, healthy, random)
    found += _find_problems(system, request_count, seed, random)
    return found + _find_nothing(system, healthy, seed)


def _latency_ns(request: Request) -> int:
    return request.spans[0].ended_ns - request.spans[0].begun_ns


def _failed(requests: Sequence[Request]) -> float:
    return fmean(request.spans[0].failed for request in requests)


def _faults(system: System, mean_ns: float, random: Random) -> Iterator[Fault]:
    services = [service.name for service in system.services]
    for kind in FAULTS:
        place = random.choice(services[1:] if kind in OF_CALLEES else services)
        yield Fault(kind, place, mean_ns / 1000 * random.choice((0.15, 0.3, 0.6)))


def _compare_fault(system: System, before: Sequence[Request], fault: Fault, seed: int) -> Verdicts:
    changed = inject(system, fault)
    after = execute(changed, len(before), seed + 1_000_000)
    if not _is_visible(fault.kind, before, after):
        return Verdicts()
    comparison = traceq.compare(_traces(system, before, seed), _traces(changed, after, seed + 1))
    by_errors = fault.kind == "errors"
    services = sorted(comparison.services, key=lambda one: -abs((one.errors if by_errors else one.held).change))
    names = [service.service for service in services]
    verdict = judge(comparison)
    return Verdicts(
        fault_count=1,
        first_count=names[:1] == [fault.service],
        among_three_count=fault.service in names[:3],
        headline_count=not by_errors,
        right_count=not by_errors and verdict.service == fault.service,
        wrong_count=not by_errors and verdict.service not in {"", fault.service},
    )


def _is_visible(kind: FaultKind, before: Sequence[Request], after: Sequence[Request]) -> bool:
    if kind == "errors":
        return _failed(after) - _failed(before) >= _VISIBLE
    # Requests of one operation each: their mix differs by chance from side to side.
    changes = 0.0
    for operation in {id(request.operation): request.operation for request in before}.values():
        sides = [[_latency_ns(r) for r in side if r.operation.name == operation.name] for side in (before, after)]
        if all(sides):
            changes += (fmean(sides[1]) - fmean(sides[0])) * len(sides[0])
    return abs(changes) >= _VISIBLE * sum(map(_latency_ns, before))


def _traces(system: System, requests: Sequence[Request], seed: int, condition: Condition = _CLEAN) -> traceq.Traces:
    return load(record(system, requests, condition, seed))


def _compare_nothing(system: System, requests: Sequence[Request], random: Random) -> Verdicts:
    found = Verdicts()
    for _ in range(_HALVES):
        dealt = random.sample(requests, len(requests))
        one, other = dealt[: len(dealt) // 2], dealt[len(dealt) // 2 :]
        before = _traces(system, one, 0)
        alarms = [_is_alarm(before, _traces(system, other, 1, condition)) for condition in (_CLEAN, _LOSING)]
        found += Verdicts(same_count=1, same_alarm_count=alarms[0], losing_alarm_count=alarms[1])
    return found


def _is_alarm(before: traceq.Traces, after: traceq.Traces) -> bool:
    return judge(traceq.compare(before, after)).outcome in {"slower", "faster", "mixed"}


def _find_problems(system: System, request_count: int, seed: int, random: Random) -> Verdicts:
    found = Verdicts()
    for kind in PROBLEMS:
        healthy = random.choice(system.entries)
        planted = plant(healthy, kind, random)
        sides = [_of_one(system, operation, request_count, seed) for operation in (healthy, planted)]
        answer = traceq.findings(_traces(system, sides[1], seed)).findings
        told = [finding for finding in answer if finding.key.kind == kind and "frontend" in _places(finding)]
        saved_ns = fmean(map(_latency_ns, sides[1])) - fmean(map(_latency_ns, sides[0]))
        told_ns = sum(finding.totals.cost_ns for finding in told) / request_count
        cost = Verdicts(told_ns=told_ns, saved_ns=saved_ns) if told else Verdicts()
        found += Verdicts(problem_count=1, told_count=bool(told)) + cost
    return found


def _of_one(system: System, operation: Operation, request_count: int, seed: int) -> list[Request]:
    return execute(replace(system, entries=(operation,)), request_count, seed)


def _places(finding: traceq.Finding) -> tuple[str, str]:
    return (finding.key.service, finding.key.caller_service)


def _find_nothing(system: System, requests: Sequence[Request], seed: int) -> Verdicts:
    found = traceq.findings(_traces(system, requests, seed)).findings
    false_count = sum(finding.totals.request_count for finding in found if finding.key.kind in _NEVER)
    return Verdicts(healthy_count=len(requests), false_count=false_count)
