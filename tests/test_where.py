"""Conditions as people type them: what is read, what is written, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from traceq.query import TraceQuery, matching
from traceq.semantics import Kind, Status
from traceq.traces import Event
from traceq.where import (
    All,
    Any,
    Comparison,
    Exists,
    Length,
    Not,
    Number,
    Operator,
    Text,
    Where,
    parse_where,
    print_where,
)
from traceq.where_conditions import meets

STATUS = Comparison("http.status_code", ">=", Number("500"))
HEALTH = Comparison("operation", "~", Text("^GET /health"))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('http.status_code >= 500 and not operation ~ "^GET /health"', All((STATUS, Not(HEALTH)))),
        ("http.status_code>=500", STATUS),
        ("a = 'two words'", Comparison("a", "=", Text("two words"))),
        ("a == b OR c exists", Any((Comparison("a", "=", Text("b")), Exists("c")))),
        ("a = b or c = d and e = f", Any((Comparison("a", "=", Text("b")), parse_where("c = d and e = f")))),
        ("(a = b or c = d) and not (e exists)", All((parse_where("a = b or c = d"), Not(Exists("e"))))),
        ("duration > 1.5s", Comparison("duration", ">", Length("1.5s"))),
        (r"'a key' ~ '\d+\''", Comparison("a key", "~", Text(r"\d+'"))),
        ("url = /a?b&c", Comparison("url", "=", Text("/a?b&c"))),
    ],
)
def test_a_condition_is_read(text: str, where: Where) -> None:
    assert parse_where(text) == where
    assert parse_where(print_where(where)) == where


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at the end: a name belongs here"),
        ("a", "at the end: after 'a' one of"),
        ("a = ", "at the end: a value belongs here"),
        ("a = b c = d", "at column 7 ('c = d'): 'and' or 'or' belongs between conditions"),
        ("(a = b", "at the end: the bracket at column 1 is not closed"),
        ("a = 'b", "at column 5 (''b'): this quote is not closed"),
        ("a ~ '('", "at column 5 (''(''): the pattern cannot be read"),
        ("a > b", "at column 5 ('b'): '>' compares numbers and durations"),
        ("duration > 500", "at column 12 ('500'): a duration has a unit: 500ms"),
        ("and = b", "at column 1 ('and = b'): a name belongs here"),
        ("not " * 60 + "a exists", "there are too many brackets and 'not' around each other"),
        ("a ! b", "at column 3 ('! b'): this sign means nothing here"),
    ],
)
def test_a_mistake_is_told_with_its_column(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="cannot read the condition") as caught:
        parse_where(text)

    assert message in str(caught.value)


names = st.sampled_from(["service", "http.status_code", "a key", "not", "x"]) | st.text(min_size=1, max_size=5)
texts = st.text(max_size=6).map(Text)
numbers = (st.integers() | st.floats(allow_nan=False, allow_infinity=False)).map(lambda number: Number(str(number)))
lengths = st.sampled_from(["5ms", "1h2m", "1.5s"]).map(Length)
operators: st.SearchStrategy[Operator] = st.sampled_from(["=", "!="])
orders: st.SearchStrategy[Operator] = st.sampled_from([">", ">=", "<", "<="])
comparisons = st.one_of(
    st.builds(Comparison, names, operators, texts | numbers | lengths),
    st.builds(Comparison, names, orders, numbers | lengths),
)
wheres: st.SearchStrategy[Where] = st.recursive(
    comparisons | st.builds(Exists, names),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Any(tuple(parts))),
    ),
    max_leaves=6,
)


@given(wheres)
def test_what_is_written_is_read_back(where: Where) -> None:
    assert parse_where(print_where(where)) == where


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_a_mistake(text: str) -> None:
    try:
        where = parse_where(text)
    except ValueError:
        return

    assert parse_where(print_where(where)) == where


FAILED = builders.span(
    "b",
    "a",
    10,
    60_000_000,
    service="shop",
    name="GET /items/17",
    kind=Kind.SERVER,
    status=Status.ERROR,
    attributes={"http.response.status_code": 503, "retries": "2", "wait": "250ms", "service": "tagged", "ratio": 0.5},
    resource={"host.name": "n1"},
    events=[Event(builders.EPOCH_NS, "retry", {"attempt": 3})],
)
TRACE = builders.trace(("a", None, 0, 100_000_000), FAILED)


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("service = shop and kind = SERVER and status = error and error = true", True),
        ("service = shop and error = false", False),
        ("operation = 'GET /items/17'", True),
        ("operation ~ '^GET' and operation !~ health", True),
        ("http.status_code >= 500 and http.status_code < 504", True),
        ("http.response.status_code = 503 and http.status_code != 200", True),
        ("http.status_code > 503", False),
        ("retries > 1 and retries = 2 and retries = '2'", True),
        ("http.status_code = '503'", True),
        ("ratio = 0.50", True),
        ("wait >= 200ms and wait < 1s", True),
        ("duration > 59ms and duration <= 60ms", True),
        ("duration > 60ms", False),
        ("missing != 5", False),
        ("not missing = 5 and retries exists", True),
        ("missing exists or event = retry", True),
        ("event.attempt = 3 and resource.host.name = n1 and host.name = n1", True),
        ("resource.retries exists", False),
        ("tag.service = tagged and service = shop", True),
        ("retries > x1 or retries exists", None),
        ("service > 5", False),
    ],
)
def test_a_span_meets_a_condition(text: str, is_met: bool | None) -> None:  # noqa: FBT001  from the table
    if is_met is None:
        with pytest.raises(ValueError, match="compares numbers"):
            parse_where(text)
        return

    assert meets(TRACE, 1, parse_where(text)) is is_met


@given(wheres)
def test_a_condition_means_what_its_parts_mean(where: Where) -> None:
    def twin(each: Where) -> bool:
        match each:
            case Not(part):
                return not twin(part)
            case All(parts):
                return min(twin(part) for part in parts)
            case Any(parts):
                return max(twin(part) for part in parts)
            case _:
                return meets(TRACE, 1, each)

    assert meets(TRACE, 1, where) == twin(where)


@given(wheres)
def test_what_servers_are_asked_for_loses_nothing(where: Where) -> None:
    query = TraceQuery(where=where)
    try:
        narrowed = query.narrowed()
    except ValueError:
        return  # bounds on the duration that contradict each other: no span meets both

    assert matching(TRACE, query) == matching(TRACE, narrowed)


def test_a_query_is_narrowed_by_what_has_to_hold() -> None:
    where = parse_where("service = shop and user_id = 7 and duration >= 5ms and not error = true and (a = b or c = d)")

    narrowed = TraceQuery(where=where).narrowed()

    assert narrowed == TraceQuery(
        service="shop", attributes=(("user_id", "7"),), min_duration_ns=5_000_000, where=where
    )
    assert narrowed.to_dict()["where"] == print_where(where)


def test_traces_are_left_out_by_their_root_and_size() -> None:
    assert matching(TRACE, TraceQuery(min_span_count=2)) == [0]
    assert matching(TRACE, TraceQuery(min_span_count=3)) == []
    assert matching(TRACE, TraceQuery(without_operations=("b",))) == [0]
    assert matching(TRACE, TraceQuery(without_operations=("app:a",))) == []
