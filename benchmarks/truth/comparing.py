"""Ask traceq what changed, where the simulation knows: after a fault, and after nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import fmean
from typing import Literal, NamedTuple, TypeAlias, assert_never

import traceq
from benchmarks.truth.certainty import CHANGED, is_sure
from benchmarks.truth.execution import Request, TrueSpan, execute
from benchmarks.truth.faults import FAULTS, OF_CALLEES, Fault, FaultKind, changed_operations, inject
from benchmarks.truth.measuring import load
from benchmarks.truth.programs import System, draw_system
from benchmarks.truth.recording import Condition, record
from traceq.analysis.comparison.measuring import Estimate
from traceq.analysis.comparison.verdict import judge
from traceq.semantics import Kind

_CLEAN = Condition("clean")
_LOSING = Condition("5 % lost", lost=0.05)
_VISIBLE = 0.05
"""Share of the mean latency, or of the requests, from which a fault can be asked after."""
_PAIRS = 6
"""How many pairs of sides, of which nothing distinguishes one from the other, a system is asked for."""
TIMED: tuple[FaultKind, ...] = ("latency", "network")
"""Faults that add a time to each call."""
_PLACES = 3
"""In how many services of a system such faults are injected, one after the other; others in one."""
_SIZES = (60, 100, 200)

Strength: TypeAlias = Literal["strong", "quarter", "40 requests"]
STRENGTHS: Mapping[Strength, tuple[float, tuple[int, ...]]] = {
    "strong": (1.0, _SIZES),
    "quarter": (0.25, _SIZES),
    "40 requests": (0.5, (40,)),
}
"""The share of the full strength, and numbers of requests on each side of which one is drawn.

At full strength each call takes longer by 0.6 times the mean latency, 30 % fail, or calls are made six times.
"""
_FULL = 0.6


class Case(NamedTuple):
    """A sort of fault."""

    kind: FaultKind
    strength: Strength


@dataclass(frozen=True, slots=True)
class Blame:
    """What `compare` said of faults of one sort; adds to others."""

    fault_count: int = 0
    """Faults that can be seen: those that change the latency, calls or errors by 5 % or more."""
    first_count: int = 0
    """Of them those whose culprit comes first among the services."""
    among_three_count: int = 0
    right_count: int = 0
    """The headline names the culprit ..."""
    wrong_count: int = 0
    """... or another; the rest is silent."""
    sure_count: int = 0
    """Those of which a test of its own, on what truly happened, shows that the change is beyond chance ..."""
    sure_right_count: int = 0
    """... and of these, those whose culprit the headline names."""

    def __add__(self, other: Blame) -> Blame:
        return Blame(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Alarms:
    """What `compare` said of two sides that nothing distinguishes; adds to others."""

    count: int = 0
    sure_count: int = 0
    """Those where the time of a service or of an operation is called sure ..."""
    sure_of_any_count: int = 0
    """... or the number of its calls or errors, or anything of an edge."""
    alarm_count: int = 0
    """Those where the headline says that something changed."""
    losing_sure_count: int = 0
    """Those where the time of a service or of an operation is called sure if one side lost 5 % of its spans ..."""
    losing_alarm_count: int = 0
    """... and those where the headline then says that something changed."""

    def __add__(self, other: Alarms) -> Alarms:
        return Alarms(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Compared:
    """All that was asked of `compare` without tags."""

    blames: Mapping[Case, Blame] = field(default_factory=dict)
    alarms: Alarms = field(default_factory=Alarms)

    def __add__(self, other: Compared) -> Compared:
        cases = dict.fromkeys((*self.blames, *other.blames))
        blames = {case: self.blames.get(case, Blame()) + other.blames.get(case, Blame()) for case in cases}
        return Compared(blames, self.alarms + other.alarms)


def compare_system(seed: int, kinds: Iterable[FaultKind] = FAULTS, pair_count: int = _PAIRS) -> Compared:
    """Draw a system, and ask about faults of these kinds, and about so many pairs that differ by nothing."""
    found = Compared(alarms=sum(_alarms(seed, pair_count), Alarms()))
    for strength in STRENGTHS:
        for case, blame in _faults(seed, strength, kinds):
            found += Compared({case: blame})
    return found


def _faults(seed: int, strength: Strength, kinds: Iterable[FaultKind]) -> Iterator[tuple[Case, Blame]]:
    system, random = draw_system(seed), Random(f"faults {seed} {strength}")  # noqa: S311  the same every time
    share, sizes = STRENGTHS[strength]
    size = random.choice(sizes)
    before = execute(system, size, seed)
    told = recorded(system, before, seed)
    mean_us = fmean(map(latency_ns, before)) / 1000
    services = [service.name for service in system.services]
    for kind in FAULTS:
        places = iter(random.sample(services[1:] if kind in OF_CALLEES else services, len(services) - 1))
        found = 0
        while kind in kinds and found < (_PLACES if kind in TIMED else 1) and (place := next(places, None)):
            fault = Fault(kind, place, mean_us * _FULL * share, share)
            changed = inject(system, fault)
            after = execute(changed, size, seed + 1_000_000)
            if _is_visible(system, replace(fault, strength_us=mean_us * _FULL), before, after):
                found += 1
                is_certain = kind in CHANGED and is_sure(CHANGED[kind], before, after)
                compared = traceq.compare(told, recorded(changed, after, seed + 1))
                yield Case(kind, strength), _blame(fault, compared, is_certain=is_certain)


def _is_visible(system: System, full: Fault, before: Sequence[Request], after: Sequence[Request]) -> bool:
    """Tell whether a fault can be asked after.

    Args:
        system: The system without it.
        full: The fault at full strength, at which it changes the latency, or affects requests, by at least 5 %.
        before: Requests without it.
        after: Requests with it.
    """
    match full.kind:
        case "latency" | "network":
            # What is added to one call is known, so that chance has no part in this.
            calls = sum(_calls_that_hold(request, full.service) for request in before)
            return calls * full.strength_us * 1000 >= _VISIBLE * sum(map(latency_ns, before))
        case "errors" | "down" | "aborting" | "unreachable":
            return fmean(_fails(request, full.service) for request in after) >= _VISIBLE
        case "multiplied" | "stopped" | "begun" | "swapped":
            changed = changed_operations(system, full)
            return fmean(any(span.name in changed for span in request.spans) for request in before) >= _VISIBLE
        case _:
            assert_never(full.kind)


def _calls_that_hold(request: Request, service: str) -> int:
    spans = (request.spans[number] for number, held_ns in request.held_ns.items() if held_ns)
    return sum(span.service == service and span.kind is Kind.SERVER for span in spans)


def _fails(request: Request, service: str) -> bool:
    """Tell whether a call of a service failed, with or without a span of its own."""
    failed = (span for span in request.spans if span.failed)
    return any(service == (_called(span) if span.kind is Kind.CLIENT else span.service) for span in failed)


def _called(span: TrueSpan) -> str:
    return host_name(str(span.attributes.get("server.address", "")))


def host_name(peer: str) -> str:
    """Give the service that a host of the simulation belongs to."""
    return peer.partition(".")[0]


def _blame(fault: Fault, comparison: traceq.Comparison, *, is_certain: bool) -> Blame:
    names = [host_name(service.service) for service in comparison.services]
    named = host_name(judge(comparison).service)
    return Blame(
        fault_count=1,
        first_count=names[0] == fault.service,
        among_three_count=fault.service in names[:3],
        right_count=named == fault.service,
        wrong_count=named not in {"", fault.service},
        sure_count=is_certain,
        sure_right_count=is_certain and named == fault.service,
    )


def _alarms(seed: int, pair_count: int) -> Iterator[Alarms]:
    system, random = draw_system(seed), Random(f"pairs {seed}")  # noqa: S311  the same every time is the point
    for number in range(pair_count):
        size = random.choice((40, *_SIZES))
        one, other = (execute(system, size, seed + 1_000_000 * (2 * number + side)) for side in (2, 3))
        before = recorded(system, one, 0)
        comparison = traceq.compare(before, recorded(system, other, 1))
        losing = traceq.compare(before, recorded(system, other, 1, _LOSING))
        services, operations = comparison.services, comparison.operations
        is_sure = _is_time_sure(comparison)
        others = [estimate for line in services for estimate in (line.calls, line.errors)]
        others += [estimate for line in operations for estimate in (line.calls, line.errors)]
        others += [estimate for edge in comparison.edges for estimate in (edge.between, edge.calls)]
        yield Alarms(
            count=1,
            sure_count=is_sure,
            sure_of_any_count=is_sure or _any_sure(others),
            alarm_count=_is_alarm(comparison),
            losing_sure_count=_is_time_sure(losing),
            losing_alarm_count=_is_alarm(losing),
        )


def _is_time_sure(comparison: traceq.Comparison) -> bool:
    services, operations = comparison.services, comparison.operations
    return _any_sure([line.held for line in services] + [line.held for line in operations])


def _any_sure(estimates: Iterable[Estimate]) -> bool:
    return any(estimate.is_sure for estimate in estimates)


def _is_alarm(comparison: traceq.Comparison) -> bool:
    return judge(comparison).outcome not in {"same", "too-few", "incomparable"}


def latency_ns(request: Request) -> int:
    """Give how long a request truly took."""
    return request.spans[0].ended_ns - request.spans[0].begun_ns


def recorded(system: System, requests: Sequence[Request], seed: int, condition: Condition = _CLEAN) -> traceq.Traces:
    """Give requests as traceq reads them."""
    return load(record(system, requests, condition, seed))
