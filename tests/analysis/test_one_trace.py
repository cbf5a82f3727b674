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


def test_a_trace_of_many_small_calls_says_that_nothing_stands_out() -> None:
    small = [span(f"step {at}", "a", at * 5, at * 5 + 5) for at in range(20)]
    found = trace_bottlenecks(trace(span("a", None, 0, 100), *small), RequestOptions())
    large = trace_bottlenecks(trace(span("a", None, 0, 100), span("b", "a", 10, 90)), RequestOptions())

    assert found.verdict is not None
    assert large.verdict is not None
    assert found.verdict.text == "Nothing stands out: the most, 5.0 % of the time (5 ns), is in step 0."
    assert large.verdict.text == "80 % of the time, 80 ns, is in b."
