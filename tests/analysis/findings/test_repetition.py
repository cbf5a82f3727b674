from __future__ import annotations

from tests.analysis.findings.requests import SELECT, call, costs, entry, found, part, query, rest
from traceq.analysis.findings import Thresholds
from traceq.semantics import Kind

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
