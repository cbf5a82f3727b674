from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.group_sums import GroupKey
from traceq.analysis.naming import (
    NOTHING_SAID,
    Wording,
    may_page,
    names_what_it_asks,
    of_statement,
    of_url,
    whose,
)
from traceq.semantics import Kind, Peer


@pytest.mark.parametrize(
    ("kind", "peer", "expected"),
    [
        (Kind.PRODUCER, Peer("messaging", "kafka", "events"), "chat → kafka"),
        (Kind.CONSUMER, Peer("messaging", "kafka", "events"), "chat ← kafka"),
        (Kind.CLIENT, Peer("database", "mysql", "chat"), "chat → mysql"),
        (Kind.SERVER, None, "chat"),
    ],
)
def test_a_service_is_told_with_what_it_talks_to_and_which_way(kind: Kind, peer: Peer | None, expected: str) -> None:
    assert GroupKey("chat", "x", kind, peer).place == expected


@pytest.mark.parametrize(
    ("service", "name", "peer", "asked", "expected"),
    [
        ("chat", "GET", Peer("service", "users", ""), None, " (chat → users)"),
        ("chat", "GET", Peer("service", "users", ""), "chat", " (→ users)"),
        ("chat", "mongodb.insert", Peer("database", "mongodb", "chat"), "chat", ""),
        ("mysql", "SELECT", Peer("database", "mysql", ""), "chat", " (mysql)"),
        ("chat", "work", None, "chat", ""),
    ],
)
def test_what_a_name_leaves_open_is_said(
    service: str, name: str, peer: Peer | None, asked: str | None, expected: str
) -> None:
    assert whose(service, name, peer, asked) == expected


@pytest.mark.parametrize(
    ("statement", "alike"),
    [
        ("SELECT *\n FROM item  WHERE id = 21", "select * from item where id=?"),
        ("select * from item where id=$1 /* trace='a' */", "select * from item where id=?"),
        ("SELECT a FROM t1 WHERE b = 'it''s -- so' AND c > -5", "select a from t1 where b=? and c>?"),
        ("SELECT * FROM item WHERE id IN (1, 2,3)", "select * from item where id in(?)"),
        ("SELECT * FROM item WHERE id IN (?)", "select * from item where id in(?)"),
        ("INSERT INTO log (a, b) VALUES (?, ?), (?, ?)", "insert into log(a,b)values(?)"),
        ("SELECT x::int FROM t WHERE a = :name AND b = @b", "select x::int from t where a=? and b=?"),
        ("SELECT * FROM t WHERE u = 550e8400-e29b-41d4-a716-446655440000", "select * from t where u=?"),
        ('SELECT "id" FROM "users" WHERE "name" = "some one"', 'select "id" from "users" where "name"=?'),
        ("GET user:7", "get user:?"),
        ("GET orders:total", "get orders:total"),
        ("MGET user:7 user:8", "mget user:?"),
        ('{"find": "users", "filter": {"_id": "507f1f77bcf86cd799439011"}}', '{"find":"users","filter":{"_id":?}}'),
        ('{"find": "rooms", "filter": {"_id": {"$in": ["a", "b"]}}}', '{"find":"rooms","filter":{"_id":{"$in":[?]}}}'),
    ],
)
def test_a_statement_without_what_differs_from_call_to_call(statement: str, alike: str) -> None:
    assert of_statement(statement).alike == alike


def test_placeholders_leave_values_open_and_pages_and_controls_are_told_apart() -> None:
    assert of_statement("") == NOTHING_SAID
    assert of_statement("COMMIT") == Wording("commit", is_open=False, pages=False, controls=True)
    assert of_statement("SELECT a FROM t LIMIT ? OFFSET ?") == Wording(
        "select a from t limit ? offset ?", is_open=True, pages=True
    )


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=9), st.lists(st.text("ab'c ", max_size=5), min_size=1))
def test_values_make_no_difference(numbers: list[int], texts: list[str]) -> None:
    quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)

    told = of_statement(f"SELECT * FROM t WHERE a IN ({', '.join(map(str, numbers))}) AND b IN ({quoted})")  # noqa: S608  nobody runs it

    assert told.alike == "select * from t where a in(?)and b in(?)"


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    told = of_statement(text)

    assert (told.alike, told.alike.lower()) == (told.alike.strip(), told.alike)
    assert of_url(text).is_open == (not text)


def test_urls_without_ids_and_values() -> None:
    assert of_url("http://b/orders/12/items?id=3&x=4#top") == Wording(
        "http://b/orders/{id}/items&id&x", is_open=False, pages=False
    )
    assert of_url("http://b/orders?cursor=abc").pages


def test_names_that_say_what_is_asked_and_names_of_things_in_parts() -> None:
    assert [names_what_it_asks(name, "mysql shop") for name in ("SELECT users", "GetDriver", "SELECT shop", "GET")] == [
        True,
        True,
        False,
        False,
    ]
    assert [may_page(name) for name in ("ListItems", "GET /items", "GET /items/{id}", "GetItem", "HTTP GET")] == [
        True,
        True,
        False,
        False,
        True,
    ]
