"""Who calls whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from traceq.analysis.columns import columns
from traceq.analysis.critical_path import is_handed_over
from traceq.catalog import ServiceCall
from traceq.traces import Traces

if TYPE_CHECKING:
    import pandas as pd

Origin: TypeAlias = Literal["jaeger", "traces"]
"""Who counted the calls: Jaeger's own table, or traceq from traces."""


@dataclass(frozen=True, slots=True, order=True)
class Dependency:
    """Calls from one service to another."""

    caller: str
    callee: str
    is_async: bool
    """Whether they are messages, a CONSUMER under a PRODUCER, that the caller does not wait for."""
    call_count: int

    def to_dict(self) -> dict[str, object]:
        """Give the calls as they stand in JSON."""
        return {
            "caller": self.caller,
            "callee": self.callee,
            "call_count": self.call_count,
            "asynchronous": self.is_async,
        }


@dataclass(frozen=True, slots=True)
class DependencySums:
    """Calls between services, summed up; adds to others."""

    trace_count: int = 0
    span_count: int = 0
    services: frozenset[str] = frozenset()
    calls: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    """By caller, callee and whether asynchronous."""

    def __add__(self, other: DependencySums) -> DependencySums:
        calls = dict(self.calls)
        for key, count in other.calls.items():
            calls[key] = calls.get(key, 0) + count
        return DependencySums(
            self.trace_count + other.trace_count,
            self.span_count + other.span_count,
            self.services | other.services,
            calls,
        )


def count_calls(traces: Traces) -> DependencySums:
    """Count the spans whose parent is a span of another service: one call each.

    Source: Jaeger, plugin/storage/memory/memory.go at 1.51. Differs: calls a service makes to itself are left out in
    every version, and messages are told from calls.
    """
    spans = columns(traces)
    parents = spans.parents
    called = np.flatnonzero((parents >= 0) & (spans.services != spans.services[parents]))
    edges = np.stack((spans.services[parents[called]], spans.services[called], is_handed_over(spans)[called]))
    found, counts = np.unique(edges, axis=1, return_counts=True)
    names = traces.services
    calls = {
        (names[caller], names[callee], bool(is_async)): count
        for (caller, callee, is_async), count in zip(found.T.tolist(), counts.tolist(), strict=True)
    }
    present = frozenset(names[code] for code in np.unique(spans.services).tolist())
    return DependencySums(len(traces), traces.span_count, present, calls)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Who calls whom, and who counted it."""

    origin: Origin
    services: tuple[str, ...]
    """Every service in question, sorted; also those without calls."""
    calls: tuple[Dependency, ...]
    """Sorted by caller, callee."""
    trace_count: int | None
    """How many traces were looked at; None for Jaeger's own table."""

    def to_dict(self) -> dict[str, object]:
        """Give the answer as it stands in JSON."""
        return {
            "origin": self.origin,
            "trace_count": self.trace_count,
            "services": list(self.services),
            "dependencies": [call.to_dict() for call in self.calls],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row a pair of services. Needs pandas."""
        import pandas as pd

        return pd.DataFrame([call.to_dict() for call in self.calls], columns=list(_FRAME_COLUMNS))


_FRAME_COLUMNS = ("caller", "callee", "call_count", "asynchronous")


def from_sums(sums: DependencySums) -> Dependencies:
    """Turn counted calls into the answer."""
    calls = (Dependency(*key, count) for key, count in sums.calls.items())
    return Dependencies("traces", tuple(sorted(sums.services)), tuple(sorted(calls)), sums.trace_count)


def from_jaeger(calls: Iterable[ServiceCall]) -> Dependencies:
    """Turn Jaeger's own table into the answer; it does not know messages from calls."""
    edges = sorted(Dependency(call.parent, call.child, is_async=False, call_count=call.call_count) for call in calls)
    services = {name for edge in edges for name in (edge.caller, edge.callee)}
    return Dependencies("jaeger", tuple(sorted(services)), tuple(edges), None)


def around(dependencies: Dependencies, service: str, depth: int) -> Dependencies:
    """Keep the services within so many calls of one, up- or downstream, and every call among them.

    Raises:
        ValueError: If the service is not among them.
    """
    if service not in dependencies.services:
        raise ValueError(f"no service named '{service}' among the dependencies")
    upstream = _reach(((call.callee, call.caller) for call in dependencies.calls), service, depth)
    downstream = _reach(((call.caller, call.callee) for call in dependencies.calls), service, depth)
    kept = upstream | downstream
    return Dependencies(
        dependencies.origin,
        tuple(name for name in dependencies.services if name in kept),
        tuple(call for call in dependencies.calls if call.caller in kept and call.callee in kept),
        dependencies.trace_count,
    )


def _reach(steps: Iterable[tuple[str, str]], start: str, depth: int) -> set[str]:
    following: dict[str, list[str]] = {}
    for near, far in steps:
        following.setdefault(near, []).append(far)
    distance = {start: 0}
    waiting = deque([start])
    while waiting:
        near = waiting.popleft()
        for far in following.get(near, ()):
            if distance[near] < depth and far not in distance:
                distance[far] = distance[near] + 1
                waiting.append(far)
    return set(distance)
