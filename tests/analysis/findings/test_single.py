from __future__ import annotations

import pytest

from tests.analysis.findings.requests import call, costs, entry, found, part, query, rest
from tests.builders import SpanSpec, traces
from traceq.library import findings
from traceq.semantics import Kind, Status


def test_a_slow_query_costs_what_it_holds_of_the_path_and_comes_with_its_statement() -> None:
    (finding,) = found(entry(1000), query("q", 10, 910))

    assert (finding.key.kind, finding.totals.cost_ns, finding.ratio) == ("slow-query", 900_000_000, 0.9)
    assert finding.statement == "SELECT * FROM users WHERE id = 7"
    assert finding.key.peer is not None
    assert finding.key.peer.system == "mysql"


@pytest.mark.parametrize(
    ("system", "statement", "word"),
    [
        ("mongodb", '{"insert": "messages"}', "insert_many"),
        ("mongodb", '{"find": "messages"}', "explain()"),
        ("mysql", "SELECT 1", "EXPLAIN"),
        ("mysql", "INSERT INTO a VALUES (1)", "one statement"),
        ("postgresql", "select * from updates", "EXPLAIN (ANALYZE, BUFFERS)"),
        ("redis", "HGETALL users", "SLOWLOG"),
        ("clickhouse", "SELECT 1", "missing index"),
    ],
)
def test_advice_goes_by_database_and_by_what_it_was_asked(system: str, statement: str, word: str) -> None:
    asked = {"db.system": system, "db.statement": statement}

    (finding,) = found(entry(1000), part("q", "0", 10, 910, kind=Kind.CLIENT, name="q", attributes=asked))

    assert word in finding.advice


def test_quick_queries_small_shares_and_queries_nobody_waits_for_are_left_alone() -> None:
    assert costs(entry(1000), query("q", 10, 205), rest(205, 1000)) == {}
    assert costs(entry(10_000), query("q", 10, 310), rest(310, 10_000)) == {}
    sent = part("s", "0", 0, 5, kind=Kind.PRODUCER)
    received = part("r", "s", 5, 995, kind=Kind.CONSUMER)
    assert costs(entry(10), sent, received, query("q", 10, 910, "r")) == {}


def test_a_drivers_span_below_an_orms_is_the_same_query() -> None:
    finding, *others = found(entry(1000), query("orm", 10, 910), query("driver", 11, 909, "orm"))

    assert (others, finding.totals.span_count) == ([], 1)


def test_time_between_client_and_server_costs_what_the_server_does_not_account_for() -> None:
    served = part("s", "c", 40, 60, service="b", name="GET /b", kind=Kind.SERVER)

    (finding,) = found(entry(100), call("c", 5, 95), served)

    assert (finding.key.kind, finding.key.service, finding.key.name) == ("network", "b", "GET /b")
    assert (finding.key.caller_service, finding.totals.cost_ns) == ("app", 70_000_000)


def test_calls_whose_server_works_almost_all_the_time_lose_nothing() -> None:
    served = part("s", "c", 10, 90, service="b", name="GET /b", kind=Kind.SERVER)

    assert costs(entry(100), call("c", 5, 95), served) == {}


def test_calls_to_somebody_who_sends_no_spans_are_no_network_time() -> None:
    assert costs(entry(100), call("c", 5, 95)) == {}


def test_a_long_wait_before_between_or_after_calls_is_a_gap() -> None:
    assert costs(entry(200), call("a", 80, 190)) == {"gap": 80}
    assert costs(entry(300), call("a", 5, 80), call("b", 180, 290)) == {"gap": 100}
    assert costs(entry(200), call("a", 5, 90)) == {"gap": 110}
    assert costs(entry(300), call("a", 60, 90), call("b", 90, 200)) == {"gap": 160}


def test_short_pauses_and_spans_without_calls_are_no_gaps() -> None:
    assert costs(entry(200), call("a", 45, 190)) == {}
    assert costs(entry(200)) == {}
    assert costs(entry(200), call("a", 0, 199), part("n", "a", 150, 199, name="tls")) == {}


def test_work_that_takes_as_long_as_usual_is_no_gap() -> None:
    def page(work: int) -> list[SpanSpec]:
        return [entry(work + 100), call("a", 0, 40), call("b", work + 40, work + 95)]

    def gaps(*works: int) -> int:
        """Count the requests with gaps, one with each of these stretches of work."""
        told = findings(traces({f"{at:x}": page(work) for at, work in enumerate(works, start=1)})).findings
        return sum(finding.totals.request_count for finding in told if finding.key.kind == "gap")

    assert gaps(*range(20, 50), 55, 60) == 0
    assert gaps(*range(20, 50), 55, 300) == 1
    # What is always there is no work that now and then takes longer.
    assert gaps(*[60] * 30) == 30


def test_where_spans_are_missing_a_gap_says_nothing() -> None:
    orphan = query("o", 20, 70, "gone")

    assert set(costs(entry(200), call("a", 80, 190), orphan)) == {"incomplete-trace"}


def test_a_message_that_lies_in_a_queue_is_late_but_nobody_waits() -> None:
    sent = part("s", "0", 0, 5, kind=Kind.PRODUCER)
    received = part("r", "s", 805, 900, kind=Kind.CONSUMER, service="worker", name="consume")

    (finding,) = found(entry(10), sent, received)

    assert (finding.key.kind, finding.key.service, finding.totals.cost_ns) == ("queue-delay", "worker", 0)
    assert finding.totals.time.max_ns == 800_000_000


def test_messages_processed_soon_are_not_late() -> None:
    sent = part("s", "0", 0, 5, kind=Kind.PRODUCER)
    received = part("r", "s", 405, 900, kind=Kind.CONSUMER)

    assert costs(entry(10), sent, received) == {}


def test_an_error_is_told_where_it_begins() -> None:
    spans = [
        part("0", None, 0, 100, name="GET /", kind=Kind.SERVER, status=Status.ERROR),
        part("a", "0", 10, 60, name="save", status=Status.ERROR),
        part("b", "a", 20, 50, name="insert", status=Status.ERROR, attributes={"error.type": "Timeout"}),
    ]

    (finding,) = found(*spans)

    assert (finding.key.kind, finding.key.name, finding.remark) == ("error", "insert", "Timeout")
    assert finding.totals.cost_ns == 30_000_000


def test_spans_that_did_not_fail_are_no_errors() -> None:
    assert costs(entry(100), part("a", "0", 10, 60, status=Status.OK, attributes={"http.status_code": 404})) == {}


def test_a_server_that_begins_before_its_client_has_a_clock_of_its_own() -> None:
    served = part("s", "c", -35, 25, service="b", name="GET /b", kind=Kind.SERVER, host="b")
    called = part("c", "0", 5, 95, name="GET", kind=Kind.CLIENT, host="a")

    skewed = next(finding for finding in found(entry(100), called, served) if finding.key.kind == "clock-skew")

    assert skewed.totals.time.max_ns == 55_000_000
    assert skewed.remark == "the clock of b is about 55.0 ms behind that of a"
    assert skewed.totals.cost_ns == 0


def test_a_server_that_ends_a_little_after_its_client_has_no_clock_of_its_own() -> None:
    served = part("s", "c", 10, 99, service="b", name="GET /b", kind=Kind.SERVER)

    assert costs(entry(100), call("c", 5, 95), served) == {}


def test_work_that_outlives_its_caller_is_no_skew() -> None:
    assert "clock-skew" not in costs(entry(100), part("a", "0", 90, 200, service="b", name="later"))


def test_a_span_whose_parent_is_missing_makes_a_trace_incomplete() -> None:
    (finding,) = found(entry(100), part("o", "dead", 10, 20, name="lost"))

    assert (finding.key.kind, finding.key.name) == ("incomplete-trace", "lost")
    assert finding.remark == "parent dead is missing"


def test_two_whole_roots_are_not_incomplete() -> None:
    assert costs(entry(100), part("r", None, 10, 20, name="other root")) == {}


def test_one_missing_parent_is_one_finding_however_many_children_it_had() -> None:
    orphans = [part(f"o{i}", "dead", i, 10 + i, name=f"step {i}", service=f"s{i}") for i in range(3)]

    (finding,) = [one for one in found(entry(100), *orphans) if one.key.kind == "incomplete-trace"]

    assert (finding.key.name, finding.totals.span_count, finding.totals.sighting_count) == ("step 0", 3, 1)
