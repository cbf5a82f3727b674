"""Ask traceq what a faster operation would save, and really run the program with that operation faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

import traceq
from benchmarks.truth.execution import Request, execute
from benchmarks.truth.measuring import load
from benchmarks.truth.programs import TICK, Call, Fork, Latency, Query, Section, Staggered, Step, System, Work
from benchmarks.truth.recording import Condition, record
from benchmarks.truth.shapes import Draw

CHANGES = (0.1, 0.5, 1.0)
"""Shares of its time by which an operation becomes faster."""
_CLEAN = Condition("clean")
_TICK = Work(TICK)
_VISIBLE = 0.01
"""Share of the requests' time from which a saving is compared for itself."""
_NEAR = 0.1
_SYSTEMS = ("mysql", "postgresql", "mongodb", "redis")
_NAMES = ("carts", "items", "prices", "stocks", "quotes", "routes", "users", "taxes")

Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Savings:
    """What faster operations save, as traceq says and really; adds to others."""

    saved_ns: float = 0.0
    told_ns: float = 0.0
    change_count: int = 0
    """Changes that save a hundredth of the requests' time or more ..."""
    near_count: int = 0
    """... and of which traceq says what they save to a tenth of it."""
    ratios: tuple[float, ...] = field(default=())
    """Told over saved, of each of these changes."""

    def __add__(self, other: Savings) -> Savings:
        return Savings(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def save(seed: int, request_count: int) -> dict[str, Savings]:
    """Draw programs of every shape, and make each of their operations faster in turn."""
    return {name: _save(name, seed, request_count) for name in SAVING_SHAPES}


def _save(name: str, seed: int, request_count: int) -> Savings:
    draw = Draw(Random(f"saving {name} {seed}"))  # noqa: S311  the same every time is the point
    system = draw.system((*draw.around(), *SAVING_SHAPES[name](draw)))
    before = execute(system, request_count, seed)
    traces = load(record(system, before, _CLEAN, seed))
    found = Savings()
    for target in _targets(before):
        for change in CHANGES:
            after = execute(_quicker(system, target, 1 - change), request_count, seed)
            saved_ns = sum(map(_latency_ns, before)) - sum(map(_latency_ns, after))
            told_ns = traceq.what_if(traces, f"{target}=-{change:.0%}").sums.saved_ns
            found += _compared(saved_ns, told_ns, sum(map(_latency_ns, before)))
    return found


def _compared(saved_ns: int, told_ns: int, whole_ns: int) -> Savings:
    if saved_ns < _VISIBLE * whole_ns:
        return Savings(saved_ns, told_ns)
    is_near = abs(told_ns - saved_ns) <= _NEAR * saved_ns
    return Savings(saved_ns, told_ns, 1, is_near, (told_ns / saved_ns,))


def _latency_ns(request: Request) -> int:
    return request.spans[0].ended_ns - request.spans[0].begun_ns


def _targets(requests: list[Request]) -> list[str]:
    """Name the operations without others below them."""
    spans = [(request.spans, span) for request in requests for span in request.spans]
    callers = {f"{above[span.parent].service}:{above[span.parent].name}" for above, span in spans if span.parent >= 0}
    return sorted({f"{span.service}:{span.name}" for _, span in spans} - callers)


def _quicker(system: System, target: str, ratio: float) -> System:
    """Give the same system with an operation that takes this share of its time."""

    def changed(step: Step) -> Step:
        match step:
            case Query() if f"{entry.service.name}:{step.system}.{step.statement.split()[0]}" == target:
                return replace(step, latency=_shorter(step.latency, ratio))
            case Call() if f"{step.callee.service.name}:{step.callee.name}" == target:
                return replace(step, callee=replace(step.callee, steps=tuple(map(worked, step.callee.steps))))
            case Section():
                return replace(step, steps=tuple(map(changed, step.steps)))
            case Fork():
                return replace(step, branches=tuple(tuple(map(changed, branch)) for branch in step.branches))
            case Staggered():
                return Staggered(tuple((pause, changed(part)) for pause, part in step.parts))
            case _:
                return step

    def worked(step: Step) -> Step:
        return Work(_shorter(step.latency, ratio)) if isinstance(step, Work) else step

    [entry] = system.entries
    return replace(system, entries=(replace(entry, steps=tuple(map(changed, entry.steps))),))


def _shorter(latency: Latency, ratio: float) -> Latency:
    return replace(latency, median_us=latency.median_us * ratio)


class _Parts:
    """Hands out different operations."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.names = iter(draw.random.sample(_NAMES, len(_NAMES)))
        self.systems = iter(draw.random.sample(_SYSTEMS, len(_SYSTEMS)))

    def one(self) -> Step:
        """Draw a call or a query that is no other's like, as long as there are names."""
        latency = self.draw.latency(2000, 30_000, self.draw.random.uniform(0.2, 0.6))
        name = next(self.names, "") if self.draw.random.random() < 0.7 else ""
        if name:
            return self.draw.call(name, latency)
        system = next(self.systems, "mysql")
        return Query(system, "shop", "SELECT * FROM tags", latency)

    def pause(self) -> Work:
        """Draw hardly any work, or real work."""
        return _TICK if self.draw.random.random() < 0.6 else Work(self.draw.latency(300, 4000))


def _sequential(draw: Draw) -> Steps:
    parts = _Parts(draw)
    return tuple(step for _ in range(draw.random.randint(3, 6)) for step in (parts.one(), parts.pause()))


def _fork_join(draw: Draw) -> Steps:
    parts = _Parts(draw)
    forks = (tuple((parts.one(),) for _ in range(draw.random.randint(2, 4))) for _ in range(2))
    return tuple(step for branches in forks for step in (Fork(branches, len(branches)), parts.pause()))


def _chains(draw: Draw) -> Steps:
    """Draw chains of calls side by side."""
    parts = _Parts(draw)
    branches = tuple(_chain(parts) for _ in range(draw.random.randint(2, 3)))
    return (Fork(branches, len(branches)), parts.pause(), parts.one())


def _chain(parts: _Parts) -> Steps:
    count = parts.draw.random.randint(1, 3)
    return tuple(step for _ in range(count) for step in (parts.one(), parts.pause()))


def _staggered_chains(draw: Draw) -> Steps:
    """Draw chains side by side that begin one after the other."""
    parts = _Parts(draw)
    count = draw.random.randint(2, 3)
    branches = tuple((Work(draw.latency(500 + 4000 * n, 1000 + 8000 * n)), *_chain(parts)) for n in range(count))
    return (Fork(branches, len(branches)), _TICK, parts.one())


def _staggered(draw: Draw) -> Steps:
    parts = _Parts(draw)
    pauses = (draw.latency(15, 2000) for _ in range(draw.random.randint(2, 4)))
    return (Staggered(tuple((pause, parts.one()) for pause in pauses)), _TICK, parts.one())


def _alike_chains(draw: Draw) -> Steps:
    """Draw chains of the same calls side by side, as for each item of a list."""
    parts = _Parts(draw)
    chain = tuple(step for _ in range(2) for step in (parts.one(), _TICK))
    return (Fork((chain,) * draw.random.randint(3, 6), 6), _TICK, parts.one())


def _fan_out(draw: Draw) -> Steps:
    parts = _Parts(draw)
    return (Fork(((parts.one(),),) * draw.random.randint(20, 40), 40), parts.pause(), parts.one())


def _pool(draw: Draw) -> Steps:
    """Draw many alike calls on a few connections."""
    parts = _Parts(draw)
    return (
        Fork(((parts.one(),),) * draw.random.randint(10, 20), draw.random.randint(2, 4)),
        parts.pause(),
        parts.one(),
    )


SAVING_SHAPES: Mapping[str, Callable[[Draw], Steps]] = {
    "in turn": _sequential,
    "fork and join": _fork_join,
    "chains side by side": _chains,
    "staggered chains": _staggered_chains,
    "staggered calls": _staggered,
    "alike chains": _alike_chains,
    "fan-out": _fan_out,
    "pool": _pool,
}
"""Programs in which operations become faster, by what they do."""
