from __future__ import annotations

from tests.builders import span, trace
from traceq.analysis.one_trace import find_assumptions, trace_bottlenecks
from traceq.analysis.requests import RequestOptions


def assumptions(*more: object) -> tuple[str, ...]:
    traces = trace(span("a", None, 0, 100), *more)  # type: ignore[arg-type]
    return find_assumptions(trace_bottlenecks(traces, RequestOptions()).examined)


def test_a_span_alone_needs_no_assumption() -> None:
    assert assumptions() == ()


def test_what_ended_in_time_is_taken_to_be_awaited() -> None:
    assert assumptions(span("b", "a", 10, 90)) == ("calls that ended before their callers were waited for",)


def test_clocks_are_compared_by_the_trace_alone() -> None:
    assert assumptions(span("b", "a", 10, 90, service="other")) == (
        "clocks are right where a call fits into its caller",
    )
