"""Conditions as people type them: what is read, what is written, and what it means."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders, strategies
from tests.laws import examples
from traceq.conditions import meets
from traceq.errors import ExitCode, PatternTooSlow
from traceq.semantics import Kind, Status
from traceq.traces import Event
from traceq.where import (
    All,
    Any,
    Comparison,
    Exists,
    Length,
    Member,
    Not,
    Number,
    Operator,
    Some,
    Text,
    Where,
    compiled,
    finds,
    parse_where,
    print_where,
)

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
        ("a in (500,two, 'x, y')", Member("a", (Number("500"), Text("two"), Text("x, y")))),
        (
            "not a IN (b) or a not in (5ms)",
            Any((Not(Member("a", (Text("b"),))), Member("a", (Length("5ms"),), is_negated=True))),
        ),
        ("'“a”' = '“b”'", Comparison("“a”", "=", Text("“b”"))),
        ("list = a,b", Comparison("list", "=", Text("a,b"))),
        ("some event (name = x)", Some(Comparison("event.name", "=", Text("x")))),
        ("some = event and event = some", parse_where("'some' = event and 'event' = some")),
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
        ("a = “b”", "at column 5 ('“b”'): this sign means nothing here"),
        ("a > b", "at column 5 ('b'): '>' compares numbers and durations"),
        ("duration > 500", "at column 12 ('500'): a duration has a unit: 500ms"),
        ("and = b", "at column 1 ('and = b'): a name belongs here"),
        ("not " * 60 + "a exists", "there are too many brackets and 'not' around each other"),
        ("a in 5", "at column 6 ('5'): after 'in' values in brackets belong"),
        ("a in ()", "at column 7 (')'): a value belongs here"),
        ("a in (5 6)", "at column 9 ('6)'): values are parted by commas"),
        ("a in (5, 6", "at the end: values are parted by commas, and a bracket follows"),
        ("a not 5", "at column 7 ('5'): after 'a not' only 'in' belongs"),
        ("duration in (5ms, 5)", "at column 19 ('5)'): a duration has a unit"),
        ("kind = serve", "at column 8 ('serve'): 'kind' is one of server, client, producer"),
        (
            "otel.status_code in (ERROR, FAILED)",
            "at column 29 ('FAILED)'): 'otel.status_code' is one of ok, error, unset",
        ),
        ("error = 1", "at column 9 ('1'): 'error' is one of true, false"),
        ("some event (a = b", "at the end: the bracket at column 12 is not closed"),
        ("some event (some event (a = b))", "at column 13 ('some event (a = b))'): an event has no events"),
        ("some event (kind = x) and kind = x", "at column 34 ('x'): 'kind' is one of"),
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


def leaves(names: st.SearchStrategy[str]) -> st.SearchStrategy[Where]:
    return st.one_of(
        st.builds(Comparison, names, operators, texts | numbers | lengths),
        st.builds(Comparison, names, orders, numbers | lengths),
        st.builds(Member, names, st.lists(texts | numbers | lengths, min_size=1, max_size=3).map(tuple), st.booleans()),
        st.builds(Exists, names),
    )


in_events = strategies.wheres(leaves(names.map("event.{}".format)))
wheres = strategies.wheres(leaves(names) | in_events.map(Some))


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
    attributes={
        "http.response.status_code": 503,
        "retries": "2",
        "wait": "250ms",
        "service": "tagged",
        "ratio": 0.5,
        "underscored": "1_0",
        "endless": "inf",
        "beyond": 2**53 + 1,
        "beyond_text": "9007199254740993",
    },
    resource={"host.name": "n1"},
    events=[
        Event(builders.EPOCH_NS, "retry", {"attempt": 3}),
        Event(builders.EPOCH_NS + 1, "exception", {"exception.type": "IOError", "level": "error"}),
    ],
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
        ("name = 'GET /items/{id}' and name in ('GET /items/17', other)", True),
        ("http.status_code in (500, 503) and retries in ('2')", True),
        ("http.status_code not in (200, 404) and not http.status_code in (200, 404)", True),
        ("missing not in (1)", False),
        ("not missing in (1)", True),
        ("event.name = retry and event.name in (other, retry)", True),
        ("span.retries = 2 and event.attempt exists and resource.host.name exists", True),
        ("span.attempt exists or span.host.name exists or event.retries exists or link.retries exists", False),
        ("spanID = b and parentSpanID = 000a", True),
        ("traceID = 1 or statusMessage exists", False),
        ("some event (name = retry and attempt = 3)", True),
        ("some event (event = retry and event.attempt > 2)", True),
        ("event.name = retry and event.level = error", True),
        ("some event (name = retry and level = error)", False),
        ("some event (name = exception and not attempt exists)", True),
        ("not some event (exception.type ~ ^IO or name = retry)", False),
        ("some event (service = shop or http.status_code exists)", False),
        ("SOME EVENT (name = retry) and some = 3", False),
        ("underscored > 0 or endless > 0", False),
        ("beyond > 9007199254740992 and beyond = 9007199254740993", True),
        ("beyond_text >= 9007199254740993 and not beyond_text > 9007199254740993", True),
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


@given(st.text(r"ab{}[]:^\wde,1*+?|()-&=", max_size=9), st.text(r"ab{}[]:^\de1-", max_size=6))
@examples(3)
def test_patterns_find_what_those_of_python_find(pattern: str, text: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            expected = re.search(pattern, text) is not None
    except re.error:
        with pytest.raises(ValueError):  # noqa: PT011 - the message is that of `re`
            compiled(pattern)
    else:
        assert finds(pattern, text) == expected


@pytest.mark.parametrize("pattern", ["(a|aa)+$", r"(?:a?){60}a{60}b|(a|aa)+c"])
def test_a_pattern_that_takes_exponential_time_is_a_mistake(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceq.where._SEARCH_S", 0.05)

    with pytest.raises(PatternTooSlow) as raised:
        finds(pattern, "a" * 60 + "!")

    assert raised.value.message == f"the pattern '{pattern}' takes too long for a value of 61 characters"
    assert raised.value.exit_code == ExitCode.USAGE
