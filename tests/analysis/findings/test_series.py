from __future__ import annotations

from tests.analysis.findings.requests import SELECT, call, costs, entry, found, part, query, rest
from tests.builders import EPOCH_NS, SpanSpec, traces
from traceq.analysis.findings import Thresholds
from traceq.library import findings
from traceq.semantics import Kind, Status
from traceq.traces import Event
from traceq.units import NS_PER_MS

COMMENTS = {"db.system": "mysql", "db.statement": "SELECT * FROM comments WHERE post = 1"}


def test_many_alike_queries_in_turn_are_an_n_plus_one_that_costs_all_but_the_longest() -> None:
    queries = [query(f"q{i}", 10 * i, 10 * i + (9 if i else 10)) for i in range(12)]

    (finding,) = found(entry(125), *queries)

    assert (finding.key.kind, finding.key.service, finding.key.name) == ("n+1", "app", "SELECT users")
    assert (finding.key.caller_service, finding.key.caller_name) == ("app", "GET /")
    assert finding.totals.cost_ns == 11 * 9_000_000
    assert (finding.totals.request_count, finding.totals.span_count, finding.totals.most_spans) == (1, 12, 12)
    assert finding.totals.examples[0].span_ids == ("q0", "q1", "q2", "q3", "q4")
    assert finding.statement == "SELECT * FROM users WHERE id = 7"
    assert finding.advice.startswith("Ask once with WHERE ... IN (...)")


def test_queries_in_functions_of_their_own_are_an_n_plus_one_too() -> None:
    wrappers = [part(f"w{i}", "0", 10 * i, 10 * i + 9, name="load_user") for i in range(10)]
    queries = [query(f"q{i}", 10 * i + 1, 10 * i + 8, f"w{i}") for i in range(10)]

    assert costs(entry(100), *wrappers, *queries) == {"n+1": 9 * 7}


def test_nine_are_none_unless_fewer_are_asked_for() -> None:
    spans = [entry(100), *(query(f"q{i}", 10 * i, 10 * i + 9, attributes={"db.system": "mysql"}) for i in range(9))]

    assert costs(*spans) == {}
    assert costs(*spans, thresholds=Thresholds(n_plus_one_calls=9)) == {"n+1": 8 * 9}


def test_calls_side_by_side_are_none() -> None:
    assert "n+1" not in costs(entry(60), *(query(f"q{i}", i, i + 50) for i in range(12)))


def test_calls_of_different_kinds_are_none() -> None:
    names = [f"GET /{i}" for i in range(12)]

    assert "n+1" not in costs(entry(120), *(call(name, 10 * i, 10 * i + 9, name=name) for i, name in enumerate(names)))


def test_old_instrumentation_calls_every_call_get_so_the_callee_tells_them_apart() -> None:
    calls = [call(f"c{i}", 10 * i, 10 * i + 9) for i in range(12)]
    servers = [
        part(f"s{i}", f"c{i}", 10 * i + 1, 10 * i + 8, service="b", name=f"GET /{i}", kind=Kind.SERVER)
        for i in range(12)
    ]

    assert "n+1" not in costs(entry(120), *calls, *servers)


def test_functions_that_call_nobody_are_none() -> None:
    steps = [part(f"p{i}", "0", 10 * i, 10 * i + 9, name="step") for i in range(20)]

    assert costs(entry(200), *steps) == {}


def test_an_n_plus_one_that_costs_nothing_worth_a_word_is_none() -> None:
    assert costs(entry(100), *(query(f"q{i}", i / 10, i / 10 + 0.09) for i in range(12)), rest(2, 100)) == {}


def test_one_statement_five_times_in_a_request_is_repeated_wherever_it_runs() -> None:
    steps = [part(f"p{i}", "0", 20 * i, 20 * i + 15, name=f"step {i}") for i in range(5)]
    queries = [query(f"q{i}", 20 * i, 20 * i + 10, f"p{i}") for i in range(5)]

    (finding,) = found(entry(100), *steps, *queries)

    assert (finding.key.kind, finding.totals.cost_ns, finding.totals.most_spans) == ("repeated-query", 40_000_000, 5)


def test_different_statements_are_not_repeated() -> None:
    statements = [{"db.system": "redis", "db.statement": f"GET user:{i}"} for i in range(5)]

    assert costs(entry(100), *(query(f"q{i}", 20 * i, 20 * i + 10, attributes=statements[i]) for i in range(5))) == {}


def test_queries_that_do_not_tell_their_statement_are_not_repeated() -> None:
    silent = {"db.system": "mysql"}

    assert costs(entry(100), *(query(f"q{i}", 20 * i, 20 * i + 10, attributes=silent) for i in range(5))) == {}


def test_four_times_is_not_repeated_and_an_n_plus_one_is_not_told_twice() -> None:
    assert costs(entry(100), *(query(f"q{i}", 20 * i, 20 * i + 10) for i in range(4))) == {}
    assert set(costs(entry(120), *(query(f"q{i}", 10 * i, 10 * i + 9) for i in range(12)))) == {"n+1"}


def test_statements_are_counted_apart() -> None:
    users = [query(f"u{i}", 20 * i, 20 * i + 9, attributes=SELECT) for i in range(5)]
    comments = [query(f"c{i}", 20 * i + 10, 20 * i + 19, attributes=COMMENTS) for i in range(4)]

    (finding,) = found(entry(100), *users, *comments)

    assert (finding.statement, finding.totals.span_count) == ("SELECT * FROM users WHERE id = 7", 5)


def test_calls_in_turn_with_hardly_a_pause_could_run_side_by_side() -> None:
    (finding,) = found(entry(100), call("a", 0, 30), call("b", 31, 51), call("c", 52, 72))

    assert (finding.key.kind, finding.totals.most_spans) == ("sequential-calls", 3)
    assert finding.totals.cost_ns == 40_000_000


def test_calls_with_work_between_them_may_need_each_others_answers() -> None:
    assert costs(entry(100), call("a", 0, 30), call("b", 36, 56), call("c", 62, 82)) == {}
    wide = Thresholds(sequential_gap_ns=6_000_000)
    assert costs(entry(100), call("a", 0, 30), call("b", 36, 56), call("c", 62, 82), thresholds=wide) == {
        "sequential-calls": 40
    }


def test_two_calls_queries_and_functions_in_turn_are_left_alone() -> None:
    assert costs(entry(100), call("a", 0, 30), call("b", 31, 51)) == {}
    assert costs(entry(100), query("a", 0, 30), query("b", 31, 51), query("c", 52, 72)) == {}
    assert costs(entry(100), part("a", "0", 0, 30), part("b", "0", 31, 51), part("c", "0", 52, 72)) == {}


def test_calls_in_turn_that_are_a_small_part_of_the_request_are_left_alone() -> None:
    assert costs(entry(1000), call("a", 0, 30), call("b", 31, 51), call("c", 52, 72), rest(72, 1000)) == {}


def test_a_fan_out_that_waits_for_one_is_held_up_by_it() -> None:
    (finding,) = found(entry(100), call("a", 0, 30), call("b", 1, 35), call("c", 2, 90))

    assert (finding.key.kind, finding.totals.cost_ns) == ("straggler", 55_000_000)
    assert finding.totals.examples[0].span_ids == ("a", "b", "c")
    assert finding.totals.examples[0].span_count == 3


def test_functions_side_by_side_count_as_what_they_call() -> None:
    assert costs(entry(100), part("a", "0", 0, 30), part("b", "0", 1, 35), part("c", "0", 2, 90)) == {"straggler": 55}


def test_a_fan_out_whose_calls_end_together_has_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 80), call("b", 1, 85), call("c", 2, 90)) == {}


def test_a_call_that_began_late_is_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 50), call("b", 1, 51), call("c", 40, 91)) == {}


def test_bookkeeping_beside_a_long_call_is_no_fan_out() -> None:
    assert costs(entry(100), part("a", "0", 1, 2), part("b", "0", 3, 4), call("c", 0, 90)) == {}


def test_two_calls_side_by_side_have_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 30), call("c", 2, 90)) == {}


def test_messages_nobody_waits_for_are_no_stragglers() -> None:
    sent = part("send", "0", 0, 90, kind=Kind.PRODUCER)
    received = [part(f"r{i}", "send", 1, 20 if i < 2 else 80, kind=Kind.CONSUMER) for i in range(3)]

    assert costs(entry(100), sent, *received) == {}


def test_thirty_calls_at_once_are_too_many() -> None:
    calls = [call(f"c{i}", i / 100, 50 + i / 100) for i in range(30)]

    assert found(entry(60), *calls)[0].key.kind == "fan-out"
    assert costs(entry(60), *calls[1:]) == {}


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
