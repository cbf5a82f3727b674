"""Findings that were acknowledged stay so in the next run, and new ones are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import SpanSpec, span, traces
from tests.laws import examples
from traceq.analysis.findings import Acknowledgement, FindingKey, Findings, Review, reviewed_by
from traceq.analysis.naming import without_literals
from traceq.library import findings
from traceq.semantics import Kind, Peer, Status

MS = 1_000_000


def run(seed: int, requests: int, *, is_changed: bool = False) -> Findings:
    """Draw a run of a service with an N+1, a slow query and an error; changed, with another N+1."""
    random = Random(seed)  # noqa: S311
    made = {}
    for _ in range(requests):
        spans = _request(random, ("users", "carts") if is_changed else ("users",))
        random.shuffle(spans)
        made[f"{random.getrandbits(128):032x}"] = spans
    return findings(traces(made))


def _request(random: Random, tables: tuple[str, ...]) -> list[SpanSpec]:
    """Draw a request with an N+1 of each table; ids, literals, addresses, times and numbers of calls are by chance."""
    root = f"{random.getrandbits(64):016x}"
    start = at = random.randrange(10**6) * MS
    spans = []
    for table in tables:
        for _ in range(random.randrange(12, 20)):
            where = f"id = {random.randrange(10**6)}"
            spans.append(_call(random, root, (at, at + 9 * MS), f"SELECT {table}", _queried(table, where)))
            at += 10 * MS
    where = f"day = '{random.randrange(2000, 2030)}-01-01'"
    spans.append(_call(random, root, (at, at + 900 * MS), "SELECT orders", _queried("orders", where)))
    at += 905 * MS
    address = f"10.{random.randrange(256)}.3.7:{random.randrange(1024, 9999)}"
    asked = {"server.address": address, "http.request.method": "GET", "url.full": f"http://{address}/pay/{at}"}
    paid = _call(random, root, (at, at + 20 * MS), f"GET /pay/{random.randrange(10**6)}", asked)
    path = f"GET /orders/{random.randrange(10**6)}"
    entry = span(root, None, start, at + 30 * MS, name=path, kind=Kind.SERVER, status=Status.ERROR)
    return [entry, *spans, replace(paid, status=Status.ERROR)]


def _queried(table: str, where: str) -> dict[str, str]:
    return {"db.system": "mysql", "db.name": "shop", "db.statement": f"SELECT * FROM {table} WHERE {where}"}  # noqa: S608  it runs nowhere


def _call(random: Random, parent: str, times: tuple[int, int], name: str, attributes: dict[str, str]) -> SpanSpec:
    span_id = f"{random.getrandbits(64):016x}"
    return span(span_id, parent, *times, name=name, kind=Kind.CLIENT, attributes=attributes)


def signatures(answer: Findings) -> set[str]:
    return {finding.signature for finding in answer.findings}


def test_a_run_has_the_findings_that_it_was_given() -> None:
    before, after = (run(1, 3, is_changed=is_changed) for is_changed in (False, True))

    assert {finding.key.kind for finding in before.findings} >= {"n+1", "slow-query", "error"}
    assert signatures(before) < signatures(after)
    assert {signature.split(":")[0] for signature in signatures(after) - signatures(before)} == {"n+1"}


sizes = st.tuples(st.integers(0, 10**6), st.integers(1, 3))


@examples(0.2)
@given(sizes, sizes, sizes)
def test_acknowledged_findings_stay_acknowledged_and_new_ones_are_told(
    one: tuple[int, int], other: tuple[int, int], third: tuple[int, int]
) -> None:
    """Ids, literals, addresses, the order of spans, times and numbers of requests and calls differ between the runs."""
    first, second, changed = run(*one), run(*other), run(*third, is_changed=True)
    review = reviewed_by((Acknowledgement(each, "known") for each in signatures(first)), date(2026, 11, 26), None)

    assert second.reviewed(review).unacknowledged == ()
    new = changed.reviewed(review).unacknowledged
    assert {finding.key.kind for finding in new} == {"n+1"}
    assert all("carts" in finding.signature for finding in new)
    since = changed.reviewed(Review(known=frozenset(signatures(first))))
    assert since.findings == new
    assert since.known_count == len(changed.findings) - len(new)


def test_a_signature_is_kind_service_operation_and_hash() -> None:
    mysql = Peer("database", "mysql", "shop")

    assert FindingKey("n+1", "web", "SELECT users", mysql, "web", "GET /orders").signature == (
        "n+1:web:SELECT users:a9f38d438a"
    )


def test_what_differs_in_kind_place_peer_or_caller_differs() -> None:
    mysql, mongodb = Peer("database", "mysql", "shop"), Peer("database", "mongodb", "shop")
    found = [
        FindingKey("n+1", "web", "SELECT users", mysql, "web", "GET /orders").signature,
        FindingKey("n+1", "web", "SELECT users", mysql, "web", "GET /carts").signature,
        FindingKey("n+1", "web", "SELECT users", mongodb, "web", "GET /orders").signature,
        FindingKey("n+1", "web", "SELECT users", None, "web", "GET /orders").signature,
        FindingKey("n+1", "app", "SELECT users", mysql, "web", "GET /orders").signature,
        FindingKey("slow-query", "web", "SELECT users", mysql, "web", "GET /orders").signature,
    ]

    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.1.2.3:5432", "10.9.9.9:6543"),
        ("db.internal:5432", "db.internal:6000"),
        ("[2001:db8::1]:80", "[2001:db8::7]:80"),
    ],
)
def test_addresses_and_ports_have_no_part_in_it(one: str, other: str) -> None:
    found = {FindingKey("network", "a", "GET", Peer("host", host, ""), "a", "b").signature for host in (one, other)}

    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("GET /rooms/{id}/messages", "GET /rooms/{id}/messages"),
        ("SELECT  users", "SELECT users"),
        ("SELECT * FROM t WHERE id = 5 AND n = 'x'", "select * from t where id=? and n=?"),
        ("worker-3", "worker-?"),
    ],
)
def test_literals_have_no_part_in_it(name: str, kept: str) -> None:
    assert without_literals(name) == kept


def test_decisions_end() -> None:
    decision = Acknowledgement("n+1:web:x:1", "next quarter", "ann", date(2026, 12, 31))

    assert reviewed_by([decision], date(2026, 12, 31), None) == Review({"n+1:web:x:1": decision})
    assert reviewed_by([decision], date(2027, 1, 1), None) == Review({}, (decision,))


def test_what_has_expired_or_is_not_there_is_told() -> None:
    kept, gone = Acknowledgement("a", "known"), Acknowledgement("b", "known")
    late = Acknowledgement("c", "until then", "", date(2026, 1, 1))

    review = reviewed_by([kept, gone, late], date(2026, 11, 26), None)

    assert review.notes(["a", "c"]) == (
        "the acknowledgement of 'c' expired on 2026-01-01",
        "'b' is acknowledged, but was not found: is it done?",
    )
