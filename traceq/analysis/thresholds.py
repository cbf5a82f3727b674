"""From when on something is worth a finding."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What every detector goes by; a healthy request stays below all of them.

    `min_cost_ns` holds for every finding about time, `min_ratio` for those that are about where one request's time
    went; the others say for themselves.
    """

    min_cost_ns: int = 5 * NS_PER_MS
    """Time on the critical path that a finding about time has to cost in a request."""
    min_ratio: float = 0.1
    """The share of the request's latency that slow queries, network time, gaps, stragglers and sequences have to cost.

    A tenth is about what people notice; below it, the ranking of bottlenecks says where the time is.
    """
    n_plus_one_calls: int = 10
    """Alike calls one after the other from which they are an N+1; as many as Jaeger's own playbook asks for."""
    repeated_queries: int = 5
    """Times that one request has to run the same statement."""
    sequential_calls: int = 3
    """Calls to services one after the other from which they might better run side by side."""
    sequential_gap_ns: int = 5 * NS_PER_MS
    """The pause between two of them up to which the second does not look as if it needed the first's answer."""
    straggler_calls: int = 3
    """Calls that have to run side by side for one of them to be a straggler."""
    straggler_factor: float = 1.25
    """How many times as long as the median of the others it has to take."""
    fan_out_calls: int = 30
    """Calls side by side under one span from which a fan-out is oversized."""
    retries: int = 1
    """Further attempts."""
    network_ns: int = 25 * NS_PER_MS
    """Between a call and its server's work; healthy calls on one busy host were seen to lose 18 ms."""
    gap_ns: int = 50 * NS_PER_MS
    """In which a span that calls others waits for nothing that has a span."""
    slow_query_ns: int = 200 * NS_PER_MS
    """How long a single query has to take."""
    queue_delay_ns: int = 500 * NS_PER_MS
    """Between the end of sending a message and the start of its processing."""
    skew_ns: int = 10 * NS_PER_MS
    """How far a call has to lie outside its caller; ASGI servers end up to 7 ms after the client has its answer."""

    def __post_init__(self) -> None:
        """Refuse numbers under which detectors would have nothing to go by.

        Raises:
            ValueError: If a count is below 2 (below 1 for retries), or anything is negative.
        """
        counts = (self.n_plus_one_calls, self.repeated_queries, self.sequential_calls, self.straggler_calls)
        if min(*counts, self.fan_out_calls) < 2 or self.retries < 1:
            raise ValueError("a finding about several calls needs at least 2 of them, one about retries at least 1")
        times_ns = (self.min_cost_ns, self.sequential_gap_ns, self.network_ns, self.gap_ns, self.slow_query_ns)
        if min(*times_ns, self.queue_delay_ns, self.skew_ns, self.min_ratio, self.straggler_factor) < 0:
            raise ValueError("a threshold cannot be negative")
