from __future__ import annotations

import pytest

from tests.analysis.findings.requests import SELECT, call, costs, entry, found, part, query, rest
from tests.builders import SpanSpec, traces
from traceq.analysis.findings import Thresholds
from traceq.library import findings
from traceq.semantics import Kind

COMMENTS = {"db.system": "mysql", "db.statement": "SELECT * FROM comments WHERE post = 1"}


def test_many_alike_queries_in_turn_are_an_n_plus_one_that_costs_all_but_the_longest() -> None:
    queries = [query(f"q{i}", 10 * i + 0.25, 10 * i + (9.25 if i else 10.25)) for i in range(12)]

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


def test_calls_of_different_kinds_are_none() -> None:
    names = [f"GET /{word}" for word in "abcdefghijkl"]

    assert "n+1" not in costs(entry(120), *(call(name, 10 * i, 10 * i + 9, name=name) for i, name in enumerate(names)))


def test_old_instrumentation_calls_every_call_get_so_the_callee_tells_them_apart() -> None:
    calls = [call(f"c{i}", 10 * i, 10 * i + 9) for i in range(12)]
    servers = [
        part(f"s{i}", f"c{i}", 10 * i + 1, 10 * i + 8, service="b", name=f"GET /{word}", kind=Kind.SERVER)
        for i, word in enumerate("abcdefghijkl")
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
    statements = [{"db.system": "redis", "db.statement": f"GET user:{word}"} for word in "abcde"]

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


def asked(statement: str, system: str = "postgresql") -> dict[str, str]:
    return {"db.system": system, "db.name": "shop", "db.statement": statement}


def in_turn(*statements: str, pause_ms: float = 1, took_ms: float = 9) -> list[SpanSpec]:
    """Give queries one after the other."""
    step_ms = took_ms + pause_ms
    return [
        query(f"q{i}", step_ms * i, step_ms * i + took_ms, attributes=asked(statement))
        for i, statement in enumerate(statements)
    ]


def test_statements_that_differ_in_values_alone_are_alike() -> None:
    texts = (f"select *  from users where id in ({', '.join('7' * n)}) -- {n}" for n in range(1, 13))  # noqa: S608  nobody runs it

    (finding,) = found(entry(120), *in_turn(*texts))

    assert (finding.key.kind, finding.totals.most_spans, finding.totals.cost_ns) == ("n+1", 12, 11 * 9_000_000)
    assert finding.evidence == "12 alike calls one after the other, 108 ms together"
    assert finding.advice.startswith("It already asks with a list")


def test_different_statements_of_one_name_are_no_n_plus_one() -> None:
    assert costs(entry(120), *in_turn(*(f"SELECT * FROM table{i} WHERE id = ?" for i in range(12)))) == {}  # noqa: S608  nobody runs it


def test_placeholders_and_values_give_the_same_finding() -> None:
    told = [
        found(entry(120), *in_turn(*texts))
        for texts in (["SELECT * FROM item WHERE id = ?"] * 9, [f"SELECT * FROM item WHERE id = {i}" for i in range(9)])  # noqa: S608  nobody runs it
    ]

    assert [(one.key.kind, one.totals.cost_ns, one.evidence, one.advice) for (one,) in told] == [
        (
            "repeated-query",
            72_000_000,
            "alike statements 9 times in a request, 81.0 ms together",
            "Ask once for all values; where these are the same too, run it once and pass the answer on.",
        )
    ] * 2


def test_queries_side_by_side_are_an_n_plus_one_of_which_a_batch_makes_one() -> None:
    (finding,) = found(entry(60), *(query(f"q{i}", i, i + 50) for i in range(10)))

    assert (finding.key.kind, finding.totals.cost_ns) == ("n+1", 0)
    assert finding.evidence == "10 alike calls side by side, 500 ms together"
    assert finding.advice.startswith("Send one batched query")


def test_the_same_query_of_many_shards_is_no_n_plus_one() -> None:
    shards = [SELECT | {"server.address": f"shard-{i}"} for i in range(12)]

    assert costs(entry(60), *(query(f"q{i}", i, i + 50, attributes=shards[i]) for i in range(12))) == {}


def test_calls_of_services_side_by_side_are_no_n_plus_one() -> None:
    assert costs(entry(60), *(call(f"c{i}", i, i + 50) for i in range(12))) == {}


def test_the_spans_of_an_orm_and_its_driver_are_counted_once() -> None:
    orm = [query(f"o{i}", 20 * i, 20 * i + 10) for i in range(5)]
    driver = [
        part(f"d{i}", "0", 20 * i + 1, 20 * i + 9, name="SELECT", kind=Kind.CLIENT, attributes=SELECT) for i in range(5)
    ]

    (finding,) = found(entry(100), *orm, *driver)

    assert (finding.key.name, finding.totals.span_count, finding.totals.time.max_ns) == ("SELECT users", 5, 50_000_000)


def test_a_query_within_another_that_asks_for_something_else_is_counted() -> None:
    around = [query(f"o{i}", 20 * i, 20 * i + 10) for i in range(5)]
    inner = [
        part(f"d{i}", "0", 20 * i + 1, 20 * i + 9, name="SELECT", kind=Kind.CLIENT, attributes=COMMENTS)
        for i in range(5)
    ]
    cheap = Thresholds(min_cost_ns=0, min_ratio=0, slow_query_ns=1)

    names = [
        one.key.name for one in found(entry(100), *around, *inner, thresholds=cheap) if one.key.kind == "slow-query"
    ]

    assert names == ["SELECT users"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM users ORDER BY id LIMIT 10 OFFSET 20",
        "SELECT * FROM users WHERE id > 7 ORDER BY id LIMIT 10",
        "COMMIT",
        "SELECT 1",
    ],
)
def test_pages_and_statements_that_ask_for_no_data_are_no_finding(statement: str) -> None:
    assert costs(entry(120), *in_turn(*[statement] * 12)) == {}


def test_queries_kept_apart_by_a_sleep_are_polling() -> None:
    assert costs(entry(1200), *in_turn(*["SELECT state FROM jobs WHERE id = ?"] * 12, pause_ms=91), rest(0, 1200)) == {}
    few = in_turn(*["SELECT state FROM jobs WHERE id = ?"] * 8, pause_ms=91)
    assert costs(entry(800), *few, rest(0, 800)) == {}


def url_calls(*urls: str, name: str = "GET") -> list[SpanSpec]:
    """Give calls one after the other, with the URLs that they ask for; empty for none."""
    return [
        part(f"c{i}", "0", 10 * i, 10 * i + 9, name=name, kind=Kind.CLIENT, attributes={"http.url": url} if url else {})
        for i, url in enumerate(urls)
    ]


@pytest.mark.parametrize(
    ("spans", "is_told"),
    [
        (url_calls(*(f"http://b/users/{i}" for i in range(12))), True),
        (url_calls(*(f"http://b/users?id={i}" for i in range(12))), True),
        (url_calls(*(f"http://b/{word}" for word in "abcdefghijkl")), False),
        (url_calls(*(f"http://b/users?page={i}" for i in range(12))), False),
        (url_calls(*[""] * 12), False),
        (url_calls(*[""] * 12, name="shop.Users/GetUser"), True),
        (url_calls(*[""] * 12, name="shop.Users/ListUsers"), False),
        (url_calls(*[""] * 12, name="GET /users"), False),
        (url_calls(*[""] * 12, name="GET /users/{id}"), True),
    ],
)
def test_calls_of_services_are_an_n_plus_one_where_they_ask_for_alike_things(
    spans: list[SpanSpec], *, is_told: bool
) -> None:
    assert ("n+1" in costs(entry(120), *spans)) == is_told


def test_operations_whose_names_contain_ids_are_one() -> None:
    table = traces(
        {
            f"{i:x}": [part("0", None, 0, 350, name=f"GET /orders/{i}", kind=Kind.SERVER), query("q", 0, 350)]
            for i in range(3)
        }
    )

    (finding,) = findings(table).findings

    assert (finding.key.kind, finding.key.caller_name, finding.totals.request_count) == (
        "slow-query",
        "GET /orders/{id}",
        3,
    )
