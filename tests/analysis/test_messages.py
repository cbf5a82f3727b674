from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.analysis.test_dependencies import edges
from tests.builders import SpanSpec, span, traces
from traceq.analysis.call_sums import count_calls
from traceq.analysis.dependencies import Dependencies
from traceq.library import dependencies
from traceq.semantics import Attributes, Kind, Status
from traceq.traces import Link

ORDERS = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
RECEIVE = {**ORDERS, "messaging.operation.type": "receive"}
PROCESS = {**ORDERS, "messaging.operation.type": "process"}


def sent(start_ns: int = 0, service: str = "shop", attributes: Attributes = ORDERS) -> list[SpanSpec]:
    """A trace in which one message is sent: the span `p`."""
    return [span("p", None, start_ns, start_ns + 10, service=service, kind=Kind.PRODUCER, attributes=attributes)]


def links(*trace_ids: str) -> list[Link]:
    return [Link(trace_id, "p", {}) for trace_id in trace_ids]


def taken(
    span_id: str,
    parent_id: str | None,
    start_ns: int,
    to: Sequence[Link] = (),
    *,
    attributes: Attributes = PROCESS,
    kind: Kind = Kind.CONSUMER,
    service: str = "pay",
) -> SpanSpec:
    """A consumer's span of 20 ns."""
    return span(
        span_id, parent_id, start_ns, start_ns + 20, service=service, kind=kind, attributes=attributes, links=to
    )


def received(
    span_id: str, start_ns: int, to: Sequence[Link] = (), *, kind: Kind = Kind.CLIENT, parent_id: str | None = None
) -> SpanSpec:
    return taken(span_id, parent_id, start_ns, to, attributes=RECEIVE, kind=kind)


def waits(found: Dependencies, caller: str, callee: str = "pay") -> tuple[int, int, int]:
    """Give how many queue delays are known along an edge, their sum and the longest."""
    [call] = [call for call in found.calls if (call.caller, call.callee) == (caller, callee)]
    queue = call.counted.queue
    return queue.count, queue.total_ns, queue.max_ns


def processing(found: Dependencies, caller: str, callee: str = "pay") -> tuple[int, int]:
    [call] = [call for call in found.calls if (call.caller, call.callee) == (caller, callee)]
    return call.counted.callee.count, call.counted.callee.max_ns


def of(count: int, *, service: str = "pay") -> list[tuple[str, str, bool, str, int]]:
    """So many messages from `shop` to `pay`."""
    return [
        ("kafka orders", service, True, "", count),
        ("shop", "kafka orders", True, "", count),
        ("shop", service, True, "kafka orders", count),
    ]


BATCHES: dict[str, list[SpanSpec]] = {
    "processed one by one": [
        received("r", 30, links("a1", "a2")),
        taken("s", "r", 60, links("a1")),
        taken("t", "r", 80, links("a2")),
    ],
    "links of the poll alone": [received("r", 30, links("a1", "a2")), taken("s", "r", 60), taken("t", "r", 80)],
    "links of the processing alone": [
        received("r", 30),
        taken("s", "r", 60, links("a1")),
        taken("t", "r", 80, links("a2")),
    ],
    "siblings": [
        span("loop", None, 20, 200, service="pay"),
        received("r", 30, links("a1", "a2"), parent_id="loop"),
        taken("s", "loop", 60),
        taken("t", "loop", 80),
    ],
    "received by a consumer": [
        received("r", 30, links("a1", "a2"), kind=Kind.CONSUMER),
        taken("s", "r", 60),
        taken("t", "r", 80),
    ],
    "received by an internal span": [
        received("r", 30, links("a1", "a2"), kind=Kind.INTERNAL),
        taken("s", "r", 60),
        taken("t", "r", 80),
    ],
    "a link twice": [received("r", 30), taken("s", "r", 60, links("a1", "a1")), taken("t", "r", 80, links("0a2"))],
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_each_message_of_a_batch_is_one_with_its_own_time(batch: list[SpanSpec]) -> None:
    found = dependencies(traces({"a1": sent(), "a2": sent(5), "b1": batch}))

    assert edges(found) == of(2)
    assert waits(found, "shop") == waits(found, "kafka orders") == (2, 50 + 65, 65)
    assert processing(found, "shop") == processing(found, "kafka orders") == (2, 20)
    assert [call.time.max_ns for call in found.calls if call.time] == [20, 10, 20]


def test_a_batch_that_one_span_processes_is_as_many_messages_as_it_links_to() -> None:
    found = dependencies(
        traces({"a1": sent(), "a2": sent(), "a3": sent(), "b1": [taken("s", None, 60, links("a1", "a2", "a3"))]})
    )

    assert edges(found) == of(3)
    assert waits(found, "kafka orders") == (3, 150, 50)


def test_links_of_a_poll_belong_to_the_one_span_that_processes_all_of_them() -> None:
    batch = [received("r", 30, links("a1", "a2")), taken("s", "r", 60)]

    found = dependencies(traces({"a1": sent(), "a2": sent(), "b1": batch}))

    assert edges(found) == of(2)
    assert waits(found, "shop") == (2, 100, 50)


def test_which_span_processes_which_message_is_not_guessed() -> None:
    batch = [received("r", 30, links("a1", "a2", "a3")), taken("s", "r", 60), taken("t", "r", 80)]

    found = dependencies(traces({"a1": sent(), "a2": sent(), "a3": sent(), "b1": batch}))

    assert edges(found) == of(3)
    assert waits(found, "shop") == (0, 0, 0)
    assert processing(found, "shop") == (0, 0)
    assert processing(found, "kafka orders") == (2, 20)


def test_a_consumer_below_its_producer_may_link_to_it_and_to_others() -> None:
    parent = [*sent(), taken("s", "p", 60, links("a1", "a2"))]

    found = dependencies(traces({"a1": parent, "a2": sent(20, service="web")}))

    assert edges(found) == [
        ("kafka orders", "pay", True, "", 2),
        ("shop", "kafka orders", True, "", 1),
        ("shop", "pay", True, "kafka orders", 1),
        ("web", "kafka orders", True, "", 1),
        ("web", "pay", True, "kafka orders", 1),
    ]
    assert waits(found, "shop") == (1, 50, 50)
    assert waits(found, "web") == (1, 30, 30)


def test_what_is_processed_below_its_producer_is_not_counted_where_it_was_received() -> None:
    by_id = {
        "a1": [*sent(), taken("s", "p", 60)],
        "a2": [*sent(), taken("s", "p", 80)],
        "b1": [received("r", 30, links("a1", "a2"))],
    }

    found = dependencies(traces(by_id))

    assert edges(found) == of(2)


def test_what_another_trace_processes_is_not_counted_where_it_was_received() -> None:
    by_id = {"a1": sent(), "b1": [received("r", 30, links("a1"))], "c1": [taken("s", None, 60, links("a1"))]}

    found = dependencies(traces(by_id))

    assert edges(found) == of(1)
    assert processing(found, "kafka orders") == (1, 20)


def test_each_group_of_consumers_takes_the_message_once() -> None:
    below = [*sent(), taken("s", "p", 60), taken("t", "p", 70, service="mail")]

    found = dependencies(traces({"a1": below, "b1": [taken("u", None, 90, links("a1"), service="audit")]}))

    assert edges(found) == sorted({edge for service in ("audit", "mail", "pay") for edge in of(1, service=service)})


def test_producers_that_were_not_read_are_unknown_and_their_messages_count() -> None:
    found = dependencies(traces({"b1": [taken("s", None, 60, links("a1", "a2"))]}))

    assert edges(found) == [("kafka orders", "pay", True, "", 2)]
    assert waits(found, "kafka orders") == (0, 0, 0)


def test_a_link_to_a_span_that_sends_nothing_is_no_message() -> None:
    work = [span("p", None, 0, 50, service="pay"), taken("s", "p", 60, links("b1"))]

    found = dependencies(traces({"b1": work}))

    assert edges(found) == [("kafka orders", "pay", True, "", 1)]


def test_a_producer_is_named_by_its_span_or_the_one_around_it() -> None:
    wrapped = [
        span("p", None, 0, 10, service="shop", kind=Kind.PRODUCER, attributes=ORDERS),
        span("q", "p", 2, 8, service="shop", kind=Kind.PRODUCER, attributes=ORDERS),
    ]

    found = dependencies(traces({"a1": wrapped, "b1": [taken("s", None, 60, links("a1"))]}))

    assert edges(found) == of(1)


@pytest.mark.parametrize("kind", [Kind.CLIENT, Kind.PRODUCER, Kind.INTERNAL])
def test_messages_that_are_created_one_by_one_and_sent_together_are_counted_by_their_creation(kind: Kind) -> None:
    created: Attributes = {**ORDERS, "messaging.operation.type": "create"}
    together: Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": 2,
    }
    batch = [
        span("h", None, 0, 50, service="shop", kind=Kind.SERVER),
        span("p", "h", 5, 6, service="shop", kind=Kind.PRODUCER, attributes=created),
        span("q", "h", 7, 8, service="shop", kind=Kind.PRODUCER, attributes=created),
        span(
            "s",
            "h",
            10,
            20,
            service="shop",
            kind=kind,
            attributes=together,
            links=[Link("a1", "p", {}), Link("a1", "q", {})],
        ),
    ]
    by_id = {
        "a1": batch,
        "b1": [taken("s", None, 60, links("a1"))],
        "c1": [taken("s", None, 70, [Link("a1", "q", {})])],
    }

    assert edges(dependencies(traces(by_id))) == of(2)


def test_a_message_has_one_broker_as_its_producer_names_it() -> None:
    exchange = {"messaging.system": "rabbitmq", "messaging.destination.name": "shop:order.created"}
    queue = {**exchange, "messaging.destination.name": "shop:order.created:pay", "messaging.operation": "process"}

    found = dependencies(
        traces({"a1": sent(attributes=exchange), "b1": [taken("s", None, 60, links("a1"), attributes=queue)]})
    )

    assert edges(found) == [
        ("rabbitmq shop:order.created", "pay", True, "", 1),
        ("shop", "pay", True, "rabbitmq shop:order.created", 1),
        ("shop", "rabbitmq shop:order.created", True, "", 1),
    ]


@pytest.mark.parametrize(
    ("start_ns", "expected"),
    [(60, (1, 50, 50)), (4, (1, 0, 0)), (-5, (0, 0, 0))],
    ids=["later", "before the acknowledgement", "before it was sent"],
)
@pytest.mark.parametrize(("parent_id", "to"), [("p", []), (None, links("a1"))], ids=["child", "link"])
def test_a_wait_is_never_negative_and_unknown_where_clocks_contradict_it(
    start_ns: int, expected: tuple[int, int, int], parent_id: str | None, to: list[Link]
) -> None:
    consumer = taken("s", parent_id, start_ns, to)

    found = dependencies(traces({"a1": [*sent(), consumer]}))

    assert waits(found, "shop") == waits(found, "kafka orders") == expected


def test_whoever_polls_before_there_is_a_message_gets_it_without_a_wait() -> None:
    found = dependencies(traces({"a1": sent(10), "b1": [received("r", 5, links("a1"))]}))

    assert edges(found) == of(1)
    assert waits(found, "shop") == (1, 0, 0)


def test_an_end_that_saw_a_linked_message_fail_makes_it_a_failure_of_its_edges() -> None:
    failed = span("p", None, 0, 10, service="shop", kind=Kind.PRODUCER, attributes=ORDERS, status=Status.ERROR)

    found = dependencies(traces({"a1": [failed], "b1": [taken("s", None, 60, links("a1"))]}))

    assert [(call.caller, call.callee, call.counted.error_count) for call in found.calls] == [
        ("kafka orders", "pay", 0),
        ("shop", "kafka orders", 1),
        ("shop", "pay", 1),
    ]


def test_messages_tied_over_traces_are_the_same_however_these_are_divided() -> None:
    whole = traces(
        {
            "a1": sent(),
            "a2": sent(5),
            "b1": BATCHES["links of the poll alone"],
            "c1": [taken("s", None, 99, links("a2"))],
        }
    )

    apart = [count_calls(part) for part in whole]

    assert sum(apart[1:], apart[0]) == count_calls(whole)


def test_a_reply_over_a_queue_is_a_message_of_its_own() -> None:
    replies = {**ORDERS, "messaging.destination.name": "replies"}
    conversation = [
        span("h", None, 0, 200, service="shop", kind=Kind.SERVER),
        span("p", "h", 0, 10, service="shop", kind=Kind.PRODUCER, attributes=ORDERS),
        taken("s", "p", 30),
        span("q", "s", 40, 45, service="pay", kind=Kind.PRODUCER, attributes=replies),
        taken("t", "q", 60, attributes={**replies, "messaging.operation": "receive"}, service="shop"),
    ]

    found = dependencies(traces({"a1": conversation}))

    assert edges(found) == [
        ("kafka orders", "pay", True, "", 1),
        ("kafka replies", "shop", True, "", 1),
        ("pay", "kafka replies", True, "", 1),
        ("pay", "shop", True, "kafka replies", 1),
        ("shop", "kafka orders", True, "", 1),
        ("shop", "pay", True, "kafka orders", 1),
    ]
    assert waits(found, "pay", "shop") == (1, 15, 15)
