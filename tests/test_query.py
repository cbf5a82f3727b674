from __future__ import annotations

import pytest

from tests.builders import EPOCH_NS, span, trace, traces
from traceq.catalog import Window
from traceq.conditions import sent_as
from traceq.query import TraceQuery, matching, window_text
from traceq.semantics import AttributeValue, Kind, Status
from traceq.traces import Event


@pytest.mark.parametrize(
    ("key", "pattern", "expected"),
    [
        pytest.param("user_id", "^12", ["fast"], id="a number, as text"),
        pytest.param("user_id", "^2", [], id="somewhere else"),
        pytest.param("http.status_code", "[2-3]0", ["fast"], id="anywhere in the value"),
        pytest.param("k8s.pod.name", "CHAT-", [], id="upper case"),
        pytest.param("k8s.pod.name", "(?i)CHAT-", ["slow"], id="either case, resource"),
        pytest.param("resource.k8s.pod.name", r"-\d$", ["slow"], id="resource by name"),
        pytest.param("attempt", ".", ["events"], id="attribute of an event"),
        pytest.param("event", "^retry", ["events"], id="name of an event"),
        pytest.param("error", "^true$", ["slow"], id="failure"),
        pytest.param("span.kind", "^serv", ["fast"], id="kind"),
        pytest.param("nothing", "", [], id="a key that nobody has"),
    ],
)
def test_patterns_are_searched_for_in_values(key: str, pattern: str, expected: list[str]) -> None:
    found = matching(TABLE, TraceQuery(tag_patterns=((key, pattern),)))

    assert [TABLE.trace_ids[position] for position in found] == expected


def test_patterns_and_values_have_to_hold_for_one_span() -> None:
    def found(**pattern: str) -> list[int]:
        return matching(TABLE, TraceQuery(attributes=(("ratio", "0.5"),), tag_patterns=tuple(pattern.items())))

    assert (found(user_id="3$"), found(user_id="4$")) == ([0], [])


def test_patterns_are_told_in_json() -> None:
    query = TraceQuery(attributes=(("a", "~b"),), tag_patterns=(("c", "d.*"),))

    assert query.to_dict() == {"tags": {"a": "~b"}, "tag_patterns": {"c": "d.*"}}


def test_a_pattern_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="pattern") as raised:
        TraceQuery(tag_patterns=(("a", "(b"),))

    assert str(raised.value) == (
        "cannot read the pattern '(b' of the tag 'a' (missing ), unterminated subpattern at position 0): "
        "a backslash takes away a character's special meaning, and key=value compares exactly"
    )


@pytest.mark.parametrize(
    ("conditions", "complaint"),
    [
        ({"min_duration_ns": 2, "max_duration_ns": 1}, "the minimum duration is above the maximum"),
        ({"min_trace_duration_ns": 2, "max_trace_duration_ns": 1}, "the minimum trace duration is above the maximum"),
        ({"min_duration_ns": -1}, "a duration cannot be negative"),
        ({"window": Window(2, 1)}, "the window ends before it starts"),
        ({"limit": 0}, "the limit has to be 1 or more, not 0"),
    ],
)
def test_conditions_that_contradict_each_other_are_refused(conditions: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TraceQuery(**conditions)  # type: ignore[arg-type]  # any condition


TABLE = traces(
    {
        "fast": [
            span("1", None, 0, 10, service="chat", name="POST", attributes={"user_id": 123, "ratio": 0.5}),
            span("2", "1", 2, 8, service="user", name="GET", kind=Kind.SERVER, attributes={"http.status_code": "200"}),
        ],
        "slow": [
            span("1", None, 100, 1_100, service="chat", name="POST", resource={"k8s.pod.name": "chat-1"}),
            span("2", "1", 900, 2_000, service="user", name="GET", status=Status.ERROR, attributes={"error": True}),
        ],
        "events": [
            span("1", None, 200, 210, service="chat", name="GET", events=[Event(0, "retry_1", {"attempt": 2})]),
        ],
    }
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(TraceQuery(), ["fast", "slow", "events"], id="everything"),
        pytest.param(TraceQuery("user"), ["fast", "slow"], id="service"),
        pytest.param(TraceQuery("nobody"), [], id="unknown service"),
        pytest.param(TraceQuery("chat", "GET"), ["events"], id="operation of that service"),
        pytest.param(TraceQuery(operation="GET"), ["fast", "slow", "events"], id="operation of any service"),
        pytest.param(TraceQuery(min_duration_ns=1_100), ["slow"], id="a span as long as the minimum"),
        pytest.param(TraceQuery(min_duration_ns=1_101), [], id="no span is as long, though the trace is"),
        pytest.param(TraceQuery("chat", min_duration_ns=1_100), [], id="long span of another service"),
        pytest.param(TraceQuery(max_duration_ns=6), ["fast"], id="a span as short as the maximum"),
        pytest.param(TraceQuery(min_trace_duration_ns=1_900), ["slow"], id="whole trace as long as the minimum"),
        pytest.param(TraceQuery(max_trace_duration_ns=10), ["fast", "events"], id="whole trace as short"),
        pytest.param(TraceQuery(has_error=True), ["slow"], id="failed"),
        pytest.param(TraceQuery("chat", has_error=True), [], id="failed in another service"),
        pytest.param(TraceQuery(window=Window(EPOCH_NS + 100, EPOCH_NS + 200)), ["slow", "events"], id="ends included"),
        pytest.param(TraceQuery(window=Window(EPOCH_NS + 900)), ["slow"], id="a later span counts"),
        pytest.param(TraceQuery(attributes=(("user_id", "123"),)), ["fast"], id="number by its text"),
        pytest.param(TraceQuery(attributes=(("ratio", "0.5"),)), ["fast"], id="float by its text"),
        pytest.param(TraceQuery(attributes=(("ratio", "0.25"),)), [], id="another float"),
        pytest.param(TraceQuery(attributes=(("error", "true"),)), ["slow"], id="error"),
        pytest.param(TraceQuery("user", attributes=(("error", "false"),)), ["fast"], id="no error"),
        pytest.param(TraceQuery("user", attributes=(("error", "FALSE"),)), ["fast"], id="no error, in capitals"),
        pytest.param(TraceQuery("user", attributes=(("error", "no"),)), [], id="another error"),
        pytest.param(
            TraceQuery(attributes=(("user_id", "123"), ("http.status_code", "200"))), [], id="tags of different spans"
        ),
        pytest.param(TraceQuery(attributes=(("k8s.pod.name", "chat-1"),)), ["slow"], id="resource"),
        pytest.param(TraceQuery(attributes=(("resource.k8s.pod.name", "chat-1"),)), ["slow"], id="resource, said so"),
        pytest.param(TraceQuery(attributes=(("attempt", "2"),)), ["events"], id="event"),
        pytest.param(TraceQuery(attributes=(("event", "retry_1"),)), ["events"], id="name of an event"),
        pytest.param(TraceQuery(attributes=(("span.kind", "server"),)), ["fast"], id="kind"),
        pytest.param(TraceQuery(attributes=(("user_id", "12"),)), [], id="part of a value"),
        pytest.param(TraceQuery(attributes=(("USER_ID", "123"),)), [], id="key in another case"),
    ],
)
def test_some_span_meets_all_conditions_at_once(query: TraceQuery, expected: list[str]) -> None:
    assert [TABLE.trace_ids[position] for position in matching(TABLE, query)] == expected


def test_a_failed_span_need_not_say_so_in_an_attribute() -> None:
    table = traces({"a": [span("1", None, 0, 9, status=Status.ERROR)], "b": [span("1", None, 0, 9)]})

    assert matching(table, TraceQuery(attributes=(("error", "true"),))) == [0]
    assert matching(table, TraceQuery(attributes=(("error", "false"),))) == [1]


ONE_FACT = traces(
    {
        "old": [span("1", None, 0, 9, status=Status.ERROR, attributes={"http.status_code": 500, "db.statement": "x"})],
        "new": [span("1", None, 0, 9, status=Status.OK, attributes={"http.response.status_code": 500})],
        "neither": [span("1", None, 0, 9, attributes={"db.query.text": "x"}, resource={"deployment.environment": "a"})],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("error", "false"), ["new", "neither"]),
        (("otel.status_code", "ERROR"), ["old"]),
        (("otel.status_code", "error"), ["old"]),
        (("otel.status_code", "OK"), ["new"]),
        (("otel.status_code", "UNSET"), ["neither"]),
        (("otel.status_code", "2"), []),
        (("http.status_code", "500"), ["old", "new"]),
        (("http.response.status_code", "500"), ["old", "new"]),
        (("http.response.status_code", "50"), []),
        (("sql.query", "x"), ["old", "neither"]),
        (("deployment.environment.name", "a"), ["neither"]),
        (("resource.deployment.environment", "a"), ["neither"]),
    ],
)
def test_a_condition_means_a_fact_however_it_is_written(condition: tuple[str, str], expected: list[str]) -> None:
    found = matching(ONE_FACT, TraceQuery(attributes=(condition,)))

    assert [ONE_FACT.trace_ids[position] for position in found] == expected


def test_questions_for_a_server_hold_every_way_of_writing() -> None:
    assert sent_as([("http.method", "GET"), ("error", "false"), ("otel.status_code", "error"), ("a", "b")]) == (
        (("http.method", "GET"), ("error", "true"), ("a", "b")),
        (("http.method", "GET"), ("otel.status_code", "ERROR"), ("a", "b")),
        (("http.request.method", "GET"), ("error", "true"), ("a", "b")),
        (("http.request.method", "GET"), ("otel.status_code", "ERROR"), ("a", "b")),
    )
    assert sent_as([("span.kind", "UNSPECIFIED")]) == ((),)


@pytest.mark.parametrize("text", ["0.3", "0.30000000000000004"])
def test_a_float_compares_by_ten_digits_or_by_all(text: str) -> None:
    table = traces({"t": [span("1", None, 0, 1, attributes={"share": 0.1 + 0.2})]})

    assert matching(table, TraceQuery(attributes=(("share", text),))) == [0]


def test_bounds_of_nothing_are_bounds() -> None:
    query = TraceQuery(max_duration_ns=0, min_trace_duration_ns=0, max_trace_duration_ns=0)

    assert matching(traces({"a": [span("1", None, 5, 5)], "b": [span("1", None, 5, 6)]}), query) == [0]


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (Window(), ""),
        (Window(lookback_ns=5_400 * 10**9), "last 90m"),
        (Window(EPOCH_NS, EPOCH_NS + 10**9), "2023-11-14 22:13:20.000 to 2023-11-14 22:13:21.000"),
        (Window(EPOCH_NS), "since 2023-11-14 22:13:20.000"),
        (Window(None, EPOCH_NS), "until 2023-11-14 22:13:20.000"),
    ],
)
def test_a_window_is_told_as_it_was_asked_for(window: Window, text: str, utc: None) -> None:
    assert window_text(window) == text


def test_only_what_was_asked_stands_in_json() -> None:
    query = TraceQuery("chat", attributes=(("a", "b"),), has_error=True, window=Window(1, None), limit=20)

    assert query.to_dict() == {"service": "chat", "tags": {"a": "b"}, "error": True, "start_ns": 1, "limit": 20}


def values() -> list[tuple[AttributeValue, str]]:
    return [
        (True, "true"),
        (3, "3"),
        (2.0, "2"),
        (b"\x00\xff", "00ff"),
        ([1, "a"], '[1,"a"]'),
        ({"k": None}, '{"k":null}'),
    ]


@pytest.mark.parametrize(("value", "text"), values())
def test_values_of_every_type_compare_by_their_text(value: AttributeValue, text: str) -> None:
    table = traces({"t": [span("1", None, 0, 1, attributes={"key": value})]})

    assert matching(table, TraceQuery(attributes=(("key", text),))) == [0]


@pytest.mark.parametrize(
    ("operation", "expected"), [("GET /orders/8", [1]), ("GET /orders/{id}", [0, 1]), ("GET /orders", [])]
)
def test_an_operation_is_named_as_it_was_written_or_without_ids(operation: str, expected: list[int]) -> None:
    table = traces({f"{number}": [span("1", None, 0, 10, name=f"GET /orders/{number}")] for number in (7, 8)})

    assert matching(table, TraceQuery(operation=operation)) == expected


def test_traces_are_left_out_by_their_size() -> None:
    table = trace(("a", None, 0, 9), ("b", "a", 1, 8))

    assert matching(table, TraceQuery(min_span_count=2)) == [0]
    assert matching(table, TraceQuery(min_span_count=3)) == []


@pytest.mark.parametrize(
    ("service", "unwanted", "is_kept"),
    [
        (None, ("GET /7",), False),
        (None, ("GET /{id}",), False),
        (None, ("web:GET /{id}",), False),
        (None, ("shop:GET /7",), True),
        (None, ("health",), True),
        ("shop", ("GET /7",), True),
        ("shop", ("health",), True),
        ("shop", ("health", "buy"), False),
        ("shop", ("shop:health", "shop:buy"), False),
        # A call back into the service is no request of it.
        ("shop", ("buy", "back"), True),
    ],
)
def test_traces_of_nothing_but_unwanted_requests_are_left_out(
    service: str | None,
    unwanted: tuple[str, ...],
    is_kept: bool,  # noqa: FBT001  from the table
) -> None:
    table = trace(
        span("c", "b", 3, 7, service="web", name="call"),
        span("d", "c", 4, 6, service="shop", name="back"),
        span("a", None, 0, 9, service="web", name="GET /7"),
        span("b", "a", 1, 8, service="shop", name="health"),
        span("e", "a", 1, 8, service="shop", name="buy"),
        span("f", "gone", 1, 8, service="web", name="left over"),
    )

    query = TraceQuery(service, without_operations=unwanted)

    assert matching(table, query) == [0] * is_kept


def test_requests_of_whole_traces_begin_with_roots() -> None:
    table = trace(span("a", None, 0, 9, service="web", name="GET"), span("b", "a", 1, 8, service="shop", name="buy"))

    assert matching(table, TraceQuery("shop", without_operations=("GET",))) == [0]
    assert matching(table, TraceQuery("shop", without_operations=("GET",), has_whole_traces=True)) == []
