from __future__ import annotations

from tests.builders import SpanSpec, span, trace
from traceq.analysis.one_trace import trace_bottlenecks
from traceq.analysis.requests import RequestOptions
from traceq.report import TimelineRow
from traceq.semantics import Kind
from traceq.views.waterfall import Shown, waterfall

KAFKA = {"messaging.system": "kafka", "messaging.destination": "events"}


def rows(*spans: SpanSpec) -> dict[str, TimelineRow]:
    drawn = waterfall(trace_bottlenecks(trace(*spans), RequestOptions()), Shown())
    return {row.label: row for row in drawn.timeline.rows}


def test_a_call_stands_with_what_it_called_and_a_consumer_with_its_own_service() -> None:
    found = rows(
        span("root", None, 0, 100, service="chat"),
        span("publish", "root", 0, 20, service="chat", kind=Kind.PRODUCER, attributes=KAFKA),
        span("consume", "publish", 10, 60, service="notify", attributes={"messaging.system": "kafka"}),
        span("send", "root", 20, 40, service="chat", kind=Kind.PRODUCER, attributes=KAFKA),
    )

    assert {label: (row.service, row.relation) for label, row in found.items()} == {
        "root": ("chat", "blocking"),
        "publish": ("chat", "blocking"),
        "consume": ("notify", "asynchronous"),
        "send": ("→ kafka", "blocking"),
    }


def test_a_request_that_holds_itself_up_has_no_bottleneck() -> None:
    held, alone = rows(span("root", None, 0, 100), span("a", "root", 0, 80)), rows(span("root", None, 0, 100))

    assert {label: row.note for label, row in held.items()} == {"root": "", "a": "bottleneck 80 %"}
    assert alone["root"].note == "100 % in itself"


def test_it_is_said_where_a_span_works_beside_a_child_that_nobody_waits_for() -> None:
    found = rows(span("root", None, 0, 100), span("task", "root", 0, 150, follows_from=True))

    assert found["root"].note.startswith("100 % in itself, beside what nobody waits for")


def test_what_a_row_is_charged_for_the_way_to_it_is_said() -> None:
    found = rows(
        span("root", None, 0, 100),
        span("call", "root", 0, 90, service="chat", kind=Kind.CLIENT),
        span("serve", "call", 30, 80, service="user", kind=Kind.SERVER),
    )

    assert found["serve"].note == "bottleneck 90 %, 40 ns of it on the way"


def test_alike_calls_of_one_length_name_it_once() -> None:
    found = rows(span("root", None, 0, 100), *(span("get", "root", at * 10, at * 10 + 5) for at in range(3)))

    assert found["get"].note.endswith("5 ns each")
    assert " to " not in found["get"].note


def test_that_work_ends_after_the_response_is_said_once_where_it_leaves() -> None:
    found = rows(
        span("root", None, 0, 100, service="chat"),
        span("publish", "root", 0, 20, service="chat", kind=Kind.PRODUCER, attributes=KAFKA),
        span("consume", "publish", 30, 60, service="notify", kind=Kind.CONSUMER, attributes=KAFKA),
        span("send", "consume", 70, 140, service="notify"),
    )

    assert "ends 40 ns after the response" in found["consume"].note
    assert found["send"].note == "asynchronous"
