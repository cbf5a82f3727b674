"""Thresholds: from which value on something is worth a finding."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from msgspec import Struct

from traceq.report import Unit
from traceq.units import NS_PER_MS


class About(Struct, frozen=True):
    """The description of a threshold, for every place where it can be set."""

    name: str
    """The name of the option (`n-plus-one`)."""
    help: str
    unit: Unit = Unit.COUNT
    """The unit: a count, a duration in ns, a share 0..1, or plain text for a factor."""
    least: int = 0
    """The lowest value that detectors can use."""


def _bound(default: float, name: str, text: str, unit: Unit = Unit.COUNT, least: int = 0) -> Any:
    return field(default=default, metadata={"about": About(name, text, unit, least)})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of all detectors; a healthy request stays below all of them.

    `min_cost_ns` holds for every finding about time, `min_ratio` for findings about where the time of one request went;
    the others are thresholds of single kinds.

    Raises:
        ValueError: If one is below the lowest value that detectors can use.
    """

    min_cost_ns: int = _bound(
        5 * NS_PER_MS, "min-cost", "Smallest cost of a finding about time, on a request's critical path.", Unit.DURATION
    )
    min_ratio: float = _bound(
        0.1,
        "min-share",
        "Smallest share of the request's latency that slow queries, network time, gaps, stragglers and calls in turn "
        "must cost.",
        Unit.RATIO,
    )
    """The minimum share of a request's latency. A tenth is about what people notice."""
    n_plus_one_calls: int = _bound(
        10, "n-plus-one", "Number of alike calls one after the other that make an N+1.", least=2
    )
    """The minimum number of alike calls, the same as in Jaeger's own playbook."""
    repeated_queries: int = _bound(5, "repeats", "Number of times that one request runs the same statement.", least=2)
    sequential_calls: int = _bound(
        3, "sequential", "Number of calls to services one after the other that could run side by side.", least=2
    )
    sequential_gap_ns: int = _bound(
        5 * NS_PER_MS, "sequential-gap", "Longest pause between two such calls.", Unit.DURATION
    )
    """The maximum pause in ns after which a call does not look as if it needed the answer of the one before."""
    straggler_calls: int = _bound(
        3, "straggler-calls", "Number of calls side by side, of which one is a straggler.", least=2
    )
    straggler_factor: float = _bound(
        2.0, "straggler-factor", "Smallest duration of a straggler as a multiple of the others' median.", Unit.TEXT
    )
    chatty_calls: int = _bound(30, "chatty", "Number of different calls of one span that are too many.", least=2)
    chatty_ratio: float = _bound(
        0.5, "chatty-share", "Smallest share of the request's latency that these calls together must take.", Unit.RATIO
    )
    payload_bytes: int = _bound(
        1_000_000, "payload", "Number of bytes of a request, an answer or a message that are too many.", least=1
    )
    payload_rows: int = _bound(10_000, "payload-rows", "Number of rows of a query's answer that are too many.", least=1)
    fan_out_calls: int = _bound(30, "fan-out", "Number of calls side by side that are too many.", least=2)
    retries: int = _bound(1, "retries", "Number of further attempts.", least=1)
    network_ns: int = _bound(
        25 * NS_PER_MS, "network", "Time lost between a call and its server's work.", Unit.DURATION
    )
    """The minimum network time in ns. Healthy calls on one busy host were seen to lose 18 ms."""
    gap_ns: int = _bound(
        50 * NS_PER_MS, "gap", "Time before, between or after children with nothing to show.", Unit.DURATION
    )
    slow_query_ns: int = _bound(200 * NS_PER_MS, "slow-query", "Duration of a single slow query.", Unit.DURATION)
    queue_delay_ns: int = _bound(
        500 * NS_PER_MS, "queue-delay", "Time from sending a message to processing it.", Unit.DURATION
    )
    skew_ns: int = _bound(10 * NS_PER_MS, "skew", "Smallest clock offset to report.", Unit.DURATION)
    """The minimum clock offset in ns. ASGI servers end up to 7 ms after the client has its answer."""

    def __post_init__(self) -> None:
        """Refuse values that detectors cannot use."""
        for each in fields(self):
            about: About = each.metadata["about"]
            if not getattr(self, each.name) >= about.least:
                raise ValueError(f"the threshold {each.name} has to be {about.least} or more")
