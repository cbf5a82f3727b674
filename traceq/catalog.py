"""What a source knows besides spans: operations, calls between services, how an answer came about."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Operation:
    """A name under which a service records spans."""

    name: str
    kind: str = ""
    """`server`, `client`, `producer`, `consumer`, `internal`; empty when the source does not tell."""


@dataclass(frozen=True, slots=True, order=True)
class ServiceCall:
    """An edge of the dependency table that Jaeger itself keeps."""

    parent: str
    child: str
    call_count: int


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, both ends included, in nanoseconds since the epoch; None is open."""

    start_ns: int | None = None
    end_ns: int | None = None
    lookback_ns: int | None = field(default=None, compare=False)
    """How far back from now it was asked for; None where its ends were."""

    def __contains__(self, time_ns: int) -> bool:
        after_start = self.start_ns is None or time_ns >= self.start_ns
        return after_start and (self.end_ns is None or time_ns <= self.end_ns)
