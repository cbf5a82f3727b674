from __future__ import annotations

from tests.analysis.findings.requests import call, costs, entry, found, part
from tests.builders import EPOCH_NS, SpanSpec, traces
from traceq.library import findings
from traceq.semantics import Attributes, Kind, Status
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


def get(
    span_id: str,
    start_ms: float,
    end_ms: float,
    url: str = "http://b/users/7",
    code: int = 200,
    *,
    name: str = "GET",
    peer: str = "b",
) -> SpanSpec:
    """Give a call with its answer; 400 and above are failures."""
    kept: Attributes = {"http.url": url, "server.address": peer, "http.response.status_code": code}
    status = Status.ERROR if code >= 400 else Status.UNSET
    return part(span_id, "0", start_ms, end_ms, name=name, kind=Kind.CLIENT, status=status, attributes=kept)


def test_calls_of_others_under_the_same_name_are_no_attempts() -> None:
    around = [get("a", 0, 4, "http://auth/me", peer="auth"), get("z", 90, 95, "http://c/", peer="c")]

    assert costs(entry(100), *around, get("b", 5, 15, code=503), get("c", 35, 45)) == {"retries": 30}


def test_another_call_after_a_failure_is_no_further_attempt() -> None:
    assert costs(entry(50), get("a", 5, 15, code=503), get("b", 35, 45, "http://b/users/8")) == {"error": 10}
    assert costs(entry(50), get("a", 5, 15, code=503), get("b", 35, 45, peer="other")) == {"error": 10}


def test_after_a_success_only_a_text_that_says_all_shows_that_it_is_the_same_call() -> None:
    answers = ((0, 5, 200), (5, 15, 503), (35, 45, 200))
    asked = [get(f"g{start}", start, end, code=code) for start, end, code in answers]
    sent = [get(f"p{start}", start, end, code=code, name="POST") for start, end, code in answers]

    assert costs(entry(100), *asked) == {"retries": 30}
    assert costs(entry(55), *sent) == {"error": 10}


def test_attempts_that_reached_different_operations_are_none() -> None:
    attempts = [get("a", 5, 15, "", 503), get("b", 35, 45, "")]
    one = part("s", "a", 6, 14, service="b", name="GET /users", kind=Kind.SERVER)
    other = part("t", "b", 36, 44, service="b", name="GET /rooms", kind=Kind.SERVER)

    assert "retries" not in costs(entry(100), *attempts, one, other)
    assert costs(entry(100), *attempts, other) == {"retries": 30}


def driver(span_id: str, start_ms: float, of: str, *, failed: bool = False) -> SpanSpec:
    """Give a call of 8 ms that says what it asks for in an attribute of its own."""
    kept: Attributes = {"param.driverID": of, "error": failed, "thread.id": start_ms}
    status = Status.ERROR if failed else Status.UNSET
    times = (start_ms, start_ms + 8)
    return part(span_id, "0", *times, name="GetDriver", kind=Kind.CLIENT, status=status, attributes=kept)


def test_without_a_text_other_attributes_say_that_a_call_asks_for_the_same() -> None:
    calls = [driver("a", 0, "T1"), driver("b", 10, "T2", failed=True), driver("c", 20, "T2"), driver("d", 30, "T3")]
    others = [driver("b", 10, "T2", failed=True), driver("c", 20, "T4")]

    assert costs(entry(38), *calls) == {"retries": 10}
    assert costs(entry(38), *others) == {"error": 8}


def test_attempts_are_not_counted_among_alike_calls() -> None:
    """Nine drivers are asked for, two of them twice."""
    numbers = [0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8]
    calls = [
        driver(f"d{place}", 10 * place, f"T{number}", failed=number == following)
        for place, (number, following) in enumerate(zip(numbers, [*numbers[1:], -1], strict=True))
    ]

    assert costs(entry(110), *calls) == {"retries": 20}
    assert costs(entry(120), *calls, driver("e", 110, "T9")) == {"retries": 20, "n+1": 72}


def test_asking_until_something_is_there_is_neither_a_retry_nor_an_error_nor_a_gap() -> None:
    polls = [get(f"g{i}", 100 * i, 100 * i + 5, code=404 if i < 3 else 200) for i in range(4)]

    assert costs(entry(306), *polls) == {}


def test_the_pauses_between_regular_calls_are_no_gap() -> None:
    polls = [get(f"g{i}", 100 * i, 100 * i + 5, code=202) for i in range(4)]

    assert costs(entry(306), *polls) == {}
    assert set(costs(entry(806), *polls[:3], get("last", 800, 805))) == {"gap"}
    assert costs(entry(200), *polls[:2]) == {}
    assert set(costs(entry(106), *polls[:2])) == {"gap"}


def test_what_is_above_passes_an_error_on_only_where_it_failed_too() -> None:
    handled = [entry(20), part("a", "0", 5, 15, status=Status.ERROR)]
    failing = part("0", None, 0, 20, name="GET /", kind=Kind.SERVER, status=Status.ERROR)
    passed = [failing, part("a", "0", 5, 15, status=Status.ERROR)]

    told = [
        findings(table).findings[0].advice
        for table in (traces({"1": handled}), traces({"1": passed}), traces({"1": handled, "2": passed}))
    ]

    assert told == [
        "It begins here, and nothing above failed with it: it was made up for, or is hidden from the caller.",
        "It begins here: what is above, if anything, only passes it on.",
        "It begins here: some spans above only pass it on, others do without or hide it.",
    ]
