"""What servers are asked for of a condition: few questions, and together nothing less than what meets it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders, strategies
from traceq.query import TraceQuery, matching
from traceq.semantics import AttributeValue, Kind, Status
from traceq.sources.narrowing import narrowed
from traceq.traces import Event
from traceq.where import (
    Comparison,
    Length,
    Member,
    Number,
    Operator,
    Text,
    Value,
    Where,
    parse_where,
    print_where,
)

MS = 1_000_000
VALUES: tuple[AttributeValue, ...] = (
    500,
    500.0,
    "500",
    "a",
    True,
    "true",
    12345678901.0,
    12345678901,
    1e16,
    10**16,
    "",
)
TRACES = builders.traces(
    {
        f"{number + 1:032x}": [
            builders.span(
                "a",
                None,
                0,
                (1 + number) * MS,
                service=("shop", "cart")[number % 2],
                name=("GET /items/17", "GET /items/{id}", "put")[number % 3],
                kind=list(Kind)[number % len(Kind)],
                status=list(Status)[number % len(Status)],
                attributes={("k", "tag.k", "span.k", "service")[number % 4]: value},
                resource={("host", "resource.host")[number % 2]: value},
                events=[Event(builders.EPOCH_NS, "e", {("k", "event.k")[number % 2]: value})],
            )
        ]
        for number, value in enumerate(VALUES * 3)
    }
)

names = st.sampled_from(
    [
        *("service", "operation", "name", "duration", "kind", "status", "error", "event", "k"),
        *("tag.k", "span.k", "event.k", "resource.host", "tag.service"),
    ]
)
TEXTS = ("shop", "put", "GET /items/{id}", "GET /items/17", "a", "500", "true", "", "e")
texts = st.sampled_from(TEXTS).map(Text)
numbers = st.sampled_from(["500", "500.0", "12345678901", "10000000000000000"]).map(Number)
lengths = st.sampled_from(["2ms", "5ms", "9ms"]).map(Length)
WORDS: dict[str, st.SearchStrategy[Value]] = {
    "kind": st.sampled_from(["server", "CLIENT", "unspecified"]).map(Text),
    "status": st.sampled_from(["error", "OK"]).map(Text),
    "error": st.sampled_from(["true", "FALSE"]).map(Text),
    "duration": lengths,
}
equal: st.SearchStrategy[Operator] = st.sampled_from(["=", "=", "!="])
orders: st.SearchStrategy[Operator] = st.sampled_from([">", ">=", "<", "<="])


@st.composite
def comparisons(draw: st.DrawFn) -> Where:
    name = draw(names)
    values = WORDS.get(name, texts | numbers)
    if draw(st.booleans()):
        return Member(name, tuple(draw(st.lists(values, min_size=1, max_size=3))), draw(st.booleans()))
    return Comparison(name, draw(equal | orders if name == "duration" else equal), draw(values))


wheres = strategies.wheres(comparisons())


@given(wheres)
def test_what_servers_are_asked_for_loses_nothing(where: Where) -> None:
    query = TraceQuery(where=where)

    questions = narrowed(query)

    found = {position for each in questions for position in matching(TRACES, replace(each, where=None))}
    assert len(questions) <= 8
    assert all(each.where == where for each in questions)
    assert found >= set(matching(TRACES, query)), print_where(where)


@pytest.mark.parametrize(
    ("where", "questions"),
    [
        (
            "service = shop and user_id = 7 and duration >= 5ms and not error = true and (a = b or c > 1)",
            [TraceQuery(service="shop", attributes=(("user_id", "7"),), min_duration_ns=5 * MS)],
        ),
        ("status = ERROR and kind = server", [TraceQuery(has_error=True, attributes=(("span.kind", "server"),))]),
        (
            "code in (500, 503) and service = shop",
            [TraceQuery(service="shop", attributes=(("code", code),)) for code in ("500", "503")],
        ),
        ("service = a or service = b and k = 1", [TraceQuery(service="a"), TraceQuery("b", attributes=(("k", "1"),))]),
        ("name = put or operation = get", [TraceQuery(operation="put"), TraceQuery(operation="get")]),
        ("tag.service = x", [TraceQuery(attributes=((key, "x"),)) for key in ("service", "tag.service")]),
        ("id = 12345678901", [TraceQuery(attributes=(("id", id_),)) for id_ in ("12345678901", "1.23456789e+10")]),
        # What is denied, may be otherwise, or is ordered, is not asked for.
        *(
            (text, [TraceQuery()])
            for text in ("not k = 1", "k = 1 or k != 2", "not (service = a)", "k not in (1)", "k ~ x", "k > 1")
        ),
        ("event.k = 1", [TraceQuery()]),
        ("k in (1, 2, 3) and k in (4, 5, 6)", [TraceQuery(attributes=(("k", text),)) for text in "123"]),
        # Bounds that contradict each other are refused by servers; nothing meets them.
        ("duration > 5s and duration < 1s", [TraceQuery(min_duration_ns=5_000 * MS)]),
    ],
)
def test_a_question_says_what_has_to_hold(where: str, questions: list[TraceQuery]) -> None:
    query = TraceQuery(where=parse_where(where))

    assert list(narrowed(query)) == [replace(each, where=query.where) for each in questions]


def test_bounds_that_were_typed_are_kept_where_a_condition_contradicts_them() -> None:
    query = TraceQuery(where=parse_where("duration > 5s or duration = 2ms"), max_duration_ns=MS)

    assert narrowed(query) == (query,)
