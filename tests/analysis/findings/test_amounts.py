from __future__ import annotations

import pytest

from tests.analysis.findings.requests import costs, entry, found, part, query
from tests.builders import SpanSpec
from traceq.analysis.findings import Thresholds
from traceq.semantics import Attributes, Kind
from traceq.traces import Event


def ask(number: int, parent_id: str = "0") -> SpanSpec:
    asked = {"db.system": "mysql", "db.statement": f"SELECT * FROM table{number}"}  # noqa: S608
    return query(f"q{number}", 10 * number, 10 * number + 9, parent_id, attributes=asked)


def test_many_different_calls_that_take_most_of_a_request_cost_all_but_the_longest() -> None:
    (finding,) = found(entry(300), *(ask(number) for number in range(30)))

    key = finding.key
    assert (key.kind, key.service, key.name, key.peer, key.caller_name) == ("chatty", "app", "GET /", None, "")
    assert finding.totals.cost_ns == 29 * 9_000_000
    assert (finding.totals.most_spans, finding.totals.examples[0].span_ids) == (30, ("q0", "q1", "q2", "q3", "q4"))
    assert finding.evidence == "30 calls to answer one request, 270 ms together"


def test_calls_of_functions_count_for_the_span_that_they_serve() -> None:
    functions = [part(f"f{number}", "0", 100 * number, 100 * number + 100, name="load") for number in range(3)]

    assert costs(entry(300), *functions, *(ask(number, f"f{number // 10}") for number in range(30))) == {
        "chatty": 29 * 9
    }


@pytest.mark.parametrize(
    ("count", "latency_ms", "thresholds"),
    [
        pytest.param(29, 400, None, id="too few"),
        pytest.param(30, 541, None, id="less than half of the latency"),
        pytest.param(30, 400, Thresholds(chatty_calls=31), id="fewer than asked for"),
        pytest.param(30, 400, Thresholds(chatty_ratio=0.7), id="less than the share that was asked for"),
    ],
)
def test_fewer_or_shorter_calls_are_not_too_many(count: int, latency_ms: int, thresholds: Thresholds | None) -> None:
    rest = part("rest", "0", 10 * count, latency_ms, name="render")

    spans = [entry(latency_ms), *(ask(number) for number in range(count)), rest]

    assert costs(*spans, thresholds=thresholds) == {}


def test_alike_calls_are_told_as_such() -> None:
    assert costs(entry(300), *(query(f"q{i}", 10 * i, 10 * i + 9) for i in range(30))).keys() == {"n+1"}


def fetch(
    attributes: Attributes, *, events: tuple[Event, ...] = (), server: Attributes | None = None
) -> list[SpanSpec]:
    """Give a request of 100 ms with a call of 20 ms, of which its server works 5 ms."""
    caller = part("c", "0", 10, 30, name="GET", kind=Kind.CLIENT, attributes=attributes, events=events)
    callee = part("s", "c", 15, 20, service="b", name="GET /b", kind=Kind.SERVER, attributes=server)
    return [entry(100), part("work", "0", 30, 100, name="work"), caller, callee]


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.response.body.size": 1_000_000},
        {"http.request.body.size": "2000000"},
        {"http.response_content_length": 5_000_000},
        {"http.request_content_length": 5e6},
        {"rpc.system": "grpc", "rpc.response.size": 1_000_000},
    ],
)
def test_a_large_payload_costs_the_time_that_the_call_itself_holds(attributes: Attributes) -> None:
    (finding,) = found(*fetch(attributes))

    assert (finding.key.kind, finding.key.name, finding.totals.cost_ns) == ("payload", "GET", 15_000_000)


def test_the_amount_is_told() -> None:
    (finding,) = found(*fetch({"http.response.body.size": 5_200_000}))

    assert finding.remark == "5.2 MB"
    assert finding.evidence == "very large, 15.0 ms to get it across"


def test_sizes_may_be_recorded_by_the_server_or_in_events() -> None:
    message = Event(20_000_000, "message", {"message.type": "RECEIVED", "message.uncompressed_size": 3_000_000})

    assert costs(*fetch({}, server={"http.response.body.size": 3_000_000})) == {"payload": 15}
    assert costs(*fetch({"rpc.system": "grpc"}, events=(message,))) == {"payload": 15}


def test_queries_with_many_rows_cost_their_time() -> None:
    many = query("q", 0, 50, attributes={"db.system": "mysql", "db.response.returned_rows": 10_000})

    (finding,) = found(entry(100), many, part("work", "0", 50, 100, name="work"))

    assert (finding.key.kind, finding.totals.cost_ns, finding.remark) == ("payload", 50_000_000, "10.0k rows")


def test_a_large_message_costs_what_sending_it_takes() -> None:
    attributes: Attributes = {"messaging.system": "kafka", "messaging.message.body.size": 1_000_000}
    send = part("p", "0", 0, 20, name="orders publish", kind=Kind.PRODUCER, attributes=attributes)

    assert costs(entry(100), send, part("work", "0", 20, 100, name="work")) == {"payload": 20}


def test_a_large_answer_of_the_request_itself_costs_nothing_that_is_known() -> None:
    export = part("0", None, 0, 100, kind=Kind.SERVER, attributes={"http.response.body.size": 50_000_000})

    (finding,) = found(export)

    assert (finding.key.kind, finding.totals.cost_ns, finding.remark) == ("payload", 0, "50 MB")
    assert finding.evidence == "very large"


@pytest.mark.parametrize(
    "attributes",
    [{"http.response.body.size": 999_999}, {"http.response.body.size": "large"}, {"http.response.body.size": -1}, {}],
)
def test_other_sizes_are_nothing(attributes: Attributes) -> None:
    assert costs(*fetch(attributes)) == {}


def test_a_large_answer_that_takes_no_time_is_nothing() -> None:
    quick = part("c", "0", 96, 100, kind=Kind.CLIENT, attributes={"http.response.body.size": 5_000_000})

    assert costs(entry(100), part("work", "0", 0, 96, name="work"), quick) == {}


def test_time_that_a_large_payload_takes_is_not_told_as_network_time_too() -> None:
    bounds = Thresholds(network_ns=10_000_000)

    assert costs(*fetch({"http.response.body.size": 5_000_000}), thresholds=bounds) == {"payload": 15}
    assert costs(*fetch({}), thresholds=bounds) == {"network": 15}
