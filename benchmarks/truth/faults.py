"""Something goes wrong: faults that change what requests take, or come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from benchmarks.truth.programs import (
    Call,
    Fork,
    Hedge,
    Latency,
    Operation,
    Publish,
    Query,
    Section,
    Spawn,
    Staggered,
    Step,
    System,
    Work,
)

FaultKind: TypeAlias = Literal[
    "latency", "network", "errors", "down", "aborting", "unreachable", "multiplied", "stopped", "begun", "swapped"
]
"""Of these, a service that is down refuses calls at once, one that aborts takes them and drops them without a span of
its own, and one that is unreachable lets its callers wait until they give up."""
FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)
OF_CALLEES: frozenset[FaultKind] = frozenset(("network", "down", "aborting", "unreachable"))
"""Faults of services that others call; the entry cannot have them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that changes in one service."""

    kind: FaultKind
    service: str
    strength_us: float
    """Time added; what does not add a fixed time (errors, down, aborting, stopped, swapped) does without."""
    share: float = 1.0
    """How strong an error fault or repeated calls are: at 1, 30 % fail, and calls are made six times."""


def inject(system: System, fault: Fault) -> System:
    """Give the system with a fault: in what its service does, or in calls to it."""
    return _injected(system, fault)[0]


def changed_operations(system: System, fault: Fault) -> frozenset[str]:
    """Name the operations of the fault's service that take other steps because of it."""
    return frozenset(_injected(system, fault)[1].changed)


def _injected(system: System, fault: Fault) -> tuple[System, _Changer]:
    changer = _Changer(_changes_of_calls(fault), _changes_of_service(fault), fault.service)
    return replace(system, entries=tuple(changer.operation(entry) for entry in system.entries)), changer


def _changes_of_service(fault: Fault) -> Callable[[Operation], Operation]:
    added = Latency(fault.strength_us, 0.3)
    query = Query("mysql", "shop", "SELECT * FROM flags", added)

    def change(operation: Operation) -> Operation:
        steps = operation.steps
        match fault.kind:
            case "latency":
                return replace(operation, steps=(Work(added), *steps))
            case "begun":
                return replace(operation, steps=(query, *steps))
            case "errors":
                return replace(operation, failing=max(operation.failing, 0.3 * fault.share))
            case "multiplied":
                return replace(operation, steps=_repeat(steps, 1 + round(5 * fault.share)))
            case "stopped":
                return replace(operation, steps=_repeat(steps, 0))
            case "swapped":
                return replace(operation, steps=swapped(steps))
            case _:
                return operation

    return change


def _changes_of_calls(fault: Fault) -> Callable[[Call], Call]:
    def change(call: Call) -> Call:
        if fault.kind == "network":
            return replace(call, network=Latency(call.network.median_us + fault.strength_us / 2, call.network.sigma))
        return replace(call, refusal=_refusal(call, fault))

    return change


def _refusal(call: Call, fault: Fault) -> Latency | None:
    match fault.kind:
        case "down":
            return call.network
        case "aborting":
            return Latency(2 * call.network.median_us + 1500, 0.6)
        case "unreachable":
            return Latency(fault.strength_us, 0.01)
        case _:
            return call.refusal


def swapped(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Make the second of two different queries or calls before the first; the same steps where there are no two."""
    places = [place for place, step in enumerate(steps) if isinstance(step, Query | Call)]
    found = [(one, two) for one, two in pairwise(places) if _target(steps[one]) != _target(steps[two])]
    if not found:
        return steps
    one, two = found[0]
    return (*steps[:one], steps[two], *steps[one + 1 : two], steps[one], *steps[two + 1 :])


def _target(step: Step) -> str:
    """Name whom a query or a call is sent to, as its span does."""
    if isinstance(step, Query):
        return f"{step.system} {step.statement.split()[0]}"
    return step.callee.service.name if isinstance(step, Call) else ""


def _repeat(steps: tuple[Step, ...], times: int) -> tuple[Step, ...]:
    """Repeat the first query or call."""
    for place, step in enumerate(steps):
        if isinstance(step, Query | Call):
            return (*steps[:place], *((step, Work(Latency(15, 0.3))) * times), *steps[place + 1 :])
    return steps


class _Changer:
    """Rebuilds operations from the last to the first; what is shared stays shared."""

    def __init__(self, call: Callable[[Call], Call], service: Callable[[Operation], Operation], place: str) -> None:
        self.change_call = call
        self.change_service = service
        self.place = place
        self.done: dict[int, Operation] = {}
        self.changed: set[str] = set()

    def operation(self, operation: Operation) -> Operation:
        if id(operation) not in self.done:
            same = replace(operation, steps=self.steps(operation.steps))
            here = operation.service.name == self.place
            self.done[id(operation)] = self.change_service(same) if here else same
            if self.done[id(operation)].steps is not same.steps:
                self.changed.add(operation.name)
        return self.done[id(operation)]

    def steps(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(self.step(step) for step in steps)

    def call(self, call: Call) -> Call:
        changed = replace(call, callee=self.operation(call.callee))
        return self.change_call(changed) if call.callee.service.name == self.place else changed

    def step(self, step: Step) -> Step:
        match step:
            case Call():
                return self.call(step)
            case Section() | Spawn():
                return replace(step, steps=self.steps(step.steps))
            case Fork():
                return replace(step, branches=tuple(self.steps(branch) for branch in step.branches))
            case Staggered():
                return Staggered(tuple((pause, self.step(part)) for pause, part in step.parts))
            case Hedge():
                return replace(step, call=self.call(step.call))
            case Publish():
                return replace(step, consumer=self.operation(step.consumer))
            case _:
                return step
