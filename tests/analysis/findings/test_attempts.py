from __future__ import annotations

from tests.analysis.findings.requests import call, costs, entry, found, part
from tests.builders import EPOCH_NS, SpanSpec, traces
from traceq.library import findings
from traceq.semantics import Kind, Status
from traceq.traces import Event
from traceq.units import NS_PER_MS


def attempt(span_id: str, start_ms: float, end_ms: float, status: Status = Status.ERROR) -> SpanSpec:
    return part(
        span_id,
        "0",
        start_ms,
        end_ms,
        name="publish",
        kind=Kind.PRODUCER,
        status=status,
        attributes={"otel.status_description": "no acknowledgement"},
    )


def event(name: str, after_ms: int) -> Event:
    return Event(EPOCH_NS + after_ms * NS_PER_MS, name, {})


def test_failed_attempts_and_the_one_that_succeeds_cost_the_time_until_it_began() -> None:
    (finding,) = found(entry(100), attempt("a", 5, 15), attempt("b", 35, 45), attempt("c", 75, 85, Status.OK))

    assert (finding.key.kind, finding.key.name, finding.totals.cost_ns) == ("retries", "publish", 70_000_000)
    assert finding.totals.examples[0].span_ids == ("a", "b", "c")
    assert finding.remark == "no acknowledgement"


def test_when_the_last_attempt_fails_too_that_is_an_error_and_the_others_are_not() -> None:
    spans = [entry(100), attempt("a", 5, 15), attempt("b", 35, 45), attempt("c", 75, 85)]

    assert costs(*spans) == {"retries": 70, "error": 10}
    assert [finding.totals.span_count for finding in found(*spans)] == [3, 1]


def test_the_pause_between_attempts_is_no_gap() -> None:
    assert "gap" not in costs(entry(300), attempt("a", 0, 10), attempt("b", 200, 290, Status.OK))


def test_failures_among_successes_are_no_retries() -> None:
    calls = [
        attempt("a", 5, 15),
        attempt("b", 20, 30, Status.OK),
        attempt("c", 35, 45),
        attempt("d", 50, 60, Status.OK),
    ]

    assert "retries" not in costs(entry(100), *calls)


def test_failures_side_by_side_and_single_failures_are_no_retries() -> None:
    assert set(costs(entry(100), attempt("a", 0, 50), attempt("b", 10, 60, Status.OK))) == {"error"}
    assert set(costs(entry(100), attempt("a", 0, 50), call("b", 60, 70))) == {"error"}


def test_events_tell_of_retries_where_attempts_have_no_spans() -> None:
    events = [event("retry_1", 30), event("retry_2", 60), event("saved", 90)]

    (finding,) = found(entry(100), part("p", "0", 0, 95, name="publish", events=events))

    assert (finding.key.kind, finding.key.name, finding.totals.cost_ns) == ("retries", "publish", 60_000_000)


def test_attributes_tell_of_retries_too() -> None:
    kept = {"http.request.resend_count": 2}

    assert costs(entry(100), part("c", "0", 0, 95, kind=Kind.CLIENT, attributes=kept)) == {"retries": 95}


def test_other_events_and_a_count_of_none_are_no_retries() -> None:
    spans = [part("p", "0", 0, 95, events=[event("retry_policy_loaded", 30)], attributes={"retry_count": 0})]

    assert costs(entry(100), *spans) == {}


def test_silent_spans_of_other_traces_hide_no_retries() -> None:
    silent = part("p", "0", 0, 95, name="publish")
    telling = part("p", "0", 0, 20, name="publish", events=[event("retry_1", 15)])
    table = traces({f"{number:x}": [entry(100), each] for number, each in enumerate([*60 * [silent], telling])})

    (finding,) = [finding for finding in findings(table).findings if finding.key.kind == "retries"]

    assert finding.totals.request_count == 1


def test_a_retry_nobody_waited_for_costs_nothing_and_is_not_told_by_events() -> None:
    sent = part("s", "0", 0, 5, kind=Kind.PRODUCER)
    received = part("r", "s", 5, 95, kind=Kind.CONSUMER, events=[event("retry_1", 60)])

    assert costs(entry(10), sent, received) == {}
