"""Something goes wrong: faults that change what requests take, and problems that findings should tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
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
ProblemKind: TypeAlias = Literal["n+1", "slow-query", "straggler", "retries", "sequential-calls", "network", "gap"]
PROBLEMS: tuple[ProblemKind, ...] = get_args(ProblemKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that changes in one service."""

    kind: FaultKind
    service: str
    strength_us: float
    """Time added; what does not add a fixed time (errors, down, aborting, stopped, swapped) does without."""


def inject(system: System, fault: Fault) -> System:
    """Give the system with a fault: in what its service does, or in calls to it."""
    changer = _Changer(_changes_of_calls(fault), _changes_of_service(fault), fault.service)
    return replace(system, entries=tuple(changer.operation(entry) for entry in system.entries))


def plant(operation: Operation, kind: ProblemKind, random: Random) -> Operation:
    """Give an operation with a problem that findings should tell."""
    return replace(operation, steps=(*operation.steps, *_problem(kind, operation, random)))


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
                return replace(operation, failing=max(operation.failing, 0.3))
            case "multiplied" | "stopped":
                return replace(operation, steps=_repeat(steps, 0 if fault.kind == "stopped" else 6))
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

    def operation(self, operation: Operation) -> Operation:
        if id(operation) not in self.done:
            changed = replace(operation, steps=self.steps(operation.steps))
            here = operation.service.name == self.place
            self.done[id(operation)] = self.change_service(changed) if here else changed
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


def _problem(kind: ProblemKind, operation: Operation, random: Random) -> tuple[Step, ...]:
    pause = Work(Latency(15, 0.3))
    query = Query("mysql", "shop", "SELECT * FROM tags WHERE item = ?", Latency(random.uniform(1000, 4000), 0.3))
    callees = [step.callee for step in operation.steps if isinstance(step, Call)]
    leaf = Operation(replace(operation.service, name="planted", hosts=("planted-0",)), "GET /planted", (query,))
    call = Call(callees[0] if callees and kind == "network" else leaf, Latency(200, 0.3))
    match kind:
        case "n+1":
            return (query, pause) * 15
        case "slow-query":
            return (replace(query, latency=Latency(400_000, 0.2)),)
        case "straggler":
            slow = replace(call, callee=replace(leaf, steps=(replace(query, latency=Latency(60_000, 0.2)),)))
            return (Fork(((call,),) * 4 + ((slow,),), 5),)
        case "retries":
            return (replace(call, callee=replace(leaf, failing=0.6), attempts=4, backoff=Latency(20_000, 0.2)),)
        case "sequential-calls":
            work = replace(leaf, steps=(replace(query, latency=Latency(20_000, 0.2)),))
            return (replace(call, callee=work), pause) * 4
        case "network":
            return (replace(call, network=Latency(40_000, 0.2)),)
        case "gap":
            return (Work(Latency(120_000, 0.2)), query)
