from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import knowing, tables
from tests.analysis.obvious import children
from tests.builders import EPOCH_NS, SpanSpec, span, trace, traces
from tests.laws import examples
from traceq.analysis.columns import columns
from traceq.analysis.errors import ErrorQuestion, ErrorSums, Failure, failure_of, find_origins, masked
from traceq.analysis.requests import RequestOptions
from traceq.library import errors_by_origin
from traceq.semantics import Attributes, Kind, Status
from traceq.traces import Event, Traces
from traceq.views.errors import report

ERROR = Status.ERROR


def exception(time_ns: int, error_type: str, message: str) -> Event:
    kept = {"exception.type": error_type, "exception.message": message, "exception.stacktrace": "Traceback"}
    return Event(EPOCH_NS + time_ns, "exception", kept)


def request(user: int, *, caught: bool) -> list[SpanSpec]:
    """Give a request of one service to another in which a query fails; caught in the first service or not."""
    upper = Status.UNSET if caught else ERROR
    answered = {"http.status_code": 403 if caught else 500}
    events = [exception(30, "Denied", f"user {user} may not")]
    return [
        span("1", None, 0, 100, service="web", name="POST", kind=Kind.SERVER, status=upper, attributes=answered),
        span("2", "1", 10, 90, service="web", name="call", kind=Kind.CLIENT, status=ERROR),
        span("3", "2", 20, 80, service="auth", name="check", kind=Kind.SERVER, status=ERROR),
        span("4", "3", 25, 70, service="auth", name="SELECT", status=ERROR, events=events),
        span("5", "3", 71, 75, service="auth", name="log"),
    ]


def test_errors_are_grouped_by_where_they_begin_with_numbers_masked() -> None:
    table = traces({"a": request(1, caught=True), "b": request(22, caught=False), "c": request(3, caught=False)})

    found = errors_by_origin(table)

    assert found.to_dict()["errors"] == [
        {
            "service": "auth",
            "operation": "SELECT",
            "peer": None,
            "error_type": "Denied",
            "message": "user <n> may not",
            "origin_count": 3,
            "request_count": 3,
            "failed_request_count": 2,
            "longest_chain_span_count": 4,
            "services": ["auth", "web"],
            "http_statuses": {"403": 1, "500": 2},
            "first_ns": EPOCH_NS + 25,
            "last_ns": EPOCH_NS + 25,
            "examples": [
                {"start_ns": EPOCH_NS + 25, "trace_id": "c", "span_id": "4", "message": "user 3 may not"},
                {"start_ns": EPOCH_NS + 25, "trace_id": "b", "span_id": "4", "message": "user 22 may not"},
                {"start_ns": EPOCH_NS + 25, "trace_id": "a", "span_id": "4", "message": "user 1 may not"},
            ],
        }
    ]
    assert (found.sums.request_count, found.sums.failed_request_count, found.sums.failed_span_count) == (3, 2, 11)


def test_calls_of_one_name_are_told_apart_by_what_they_called() -> None:
    def call(trace_id: str, peer: str) -> list[SpanSpec]:
        told = {"peer.service": peer} if peer else {}
        failed = span("2", "1", 1, 9, service="shop", name="GET", kind=Kind.CLIENT, status=ERROR, attributes=told)
        return [span("1", None, 0, 10, service="shop", name="buy", status=ERROR), failed]

    found = errors_by_origin(
        traces({f"{at}": call(f"{at}", peer) for at, peer in enumerate(["bank", "post", "", "bank"])})
    )

    errors: Any = found.to_dict()["errors"]
    assert [(error["operation"], error["peer"], error["origin_count"]) for error in errors] == [
        ("GET", "bank", 2),
        ("GET", None, 1),
        ("GET", "post", 1),
    ]
    lines = [str(line) for line in report(found).blocks]
    assert [any(name in line for line in lines) for name in ("GET → bank  ", "GET → post  ", "'GET  '")] == [True] * 3
    assert found.verdict is not None
    assert found.verdict.text.endswith("with an error without a message in GET (shop → bank).")
    assert found.verdict.numbers["peer"] == "bank"


def test_requests_of_a_service_end_at_its_entry() -> None:
    (origin,) = errors_by_origin(trace(*request(1, caught=True)), "auth").origins

    assert (origin.totals.failed_request_count, origin.totals.most_spans) == (1, 2)
    assert origin.totals.services == {"auth"}
    assert errors_by_origin(trace(*request(1, caught=True)), "nobody").origins == ()


def test_the_error_that_fails_most_requests_comes_first() -> None:
    harmless = [span("1", None, 0, 10), span("2", "1", 1, 2, name="retry", status=ERROR)]
    table = traces({"a": harmless, "b": harmless, "c": request(1, caught=False)})

    assert [origin.key.name for origin in errors_by_origin(table).origins] == ["SELECT", "retry"]


def test_a_trace_without_errors_has_no_origins() -> None:
    found = errors_by_origin(trace(("1", None, 0, 10)))

    assert (found.origins, found.to_frame().empty) == ((), True)


@pytest.mark.parametrize(
    ("attributes", "events", "failure"),
    [
        pytest.param({}, [exception(1, "A", "a"), exception(2, "B", "b\nmore")], Failure("B", "b"), id="last event"),
        pytest.param({"otel.status_description": "went away"}, [], Failure("", "went away"), id="status"),
        pytest.param({"error.type": "timeout"}, [], Failure("timeout", ""), id="type"),
        pytest.param({"http.status_code": 503}, [], Failure("", "HTTP 503"), id="old http status"),
        pytest.param({"http.response.status_code": 502}, [], Failure("", "HTTP 502"), id="new http status"),
        pytest.param({"rpc.grpc.status_code": 14}, [], Failure("", "gRPC 14"), id="grpc status"),
        pytest.param({}, [Event(EPOCH_NS, "saved", {"message": "no"})], Failure("", ""), id="nothing"),
    ],
)
def test_why_a_span_failed(attributes: Attributes, events: list[Event], failure: Failure) -> None:
    failed = trace(span("1", None, 0, 10, status=ERROR, attributes=attributes, events=events))

    assert failure_of(failed.span(0)) == failure


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("user 123 is not in room 456", "user <n> is not in room <n>"),
        ("no answer within 1.5s, 10ms or 1,000", "no answer within <n>s, <n>ms or <n>"),
        ("no order 0b9a1f2e-1111-4222-8333-123456789abc", "no order <uuid>"),
        ("trace 5b8aa5a2d2c872e8321cf37308d69df2 at 0xdeadbeef", "trace <id> at <id>"),
        ("duplicate key 'ann@example.org' in \"users\"", "duplicate key <value> in <value>"),
        ("can't connect to 10.0.0.7:3306, isn't up", "can't connect to <n>, isn't up"),
        ("utf8 in s3 and http2: retry_3", "utf8 in s3 and http2: retry_<n>"),
        ("added feedback decade", "added feedback decade"),
        ("", ""),
    ],
)
def test_what_differs_from_one_error_to_the_next_is_masked(message: str, expected: str) -> None:
    assert masked(message) == expected


@given(st.text(max_size=400))
def test_masking_never_fails_and_is_bounded(message: str) -> None:
    assert len(masked(message)) <= 300


@given(tables())
def test_origins_are_the_failed_spans_without_a_failed_child(table: Traces) -> None:
    found = find_origins(columns(table)).tolist()

    for row in range(table.span_count):
        failed_below = any(child.has_error for child in children(table, row))
        assert found[row] == (table.span(row).has_error and not failed_below)


@examples(0.5)
@given(tables())
def test_parts_add_up_in_any_order(table: Traces) -> None:
    table = knowing(table)
    options = RequestOptions()
    parts = [ErrorQuestion(options).collect(part) for part in table]
    forward = reduce(ErrorSums.__add__, parts, ErrorSums())
    backward = reduce(ErrorSums.__add__, reversed(parts), ErrorSums())

    whole = ErrorQuestion(options).rank(ErrorQuestion(options).collect(table)).to_dict()
    assert ErrorQuestion(options).rank(forward).to_dict() == ErrorQuestion(options).rank(backward).to_dict() == whole
    for totals in forward.errors.values():
        assert totals.failed_request_count <= totals.request_count <= totals.origin_count
