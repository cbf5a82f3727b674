"""`--where` and `--operation` on a server find what they find in the same traces in a file, whatever a limit cuts off.

The server is composed: it looks for what Jaeger looks for (service, operation, tags of any level, bounds on the
duration of one span), and gives the newest traces up to the limit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
import respx

from tests import builders
from traceq.catalog import Window
from traceq.codec.json_writers import encode_trace
from traceq.query import TraceQuery, matching
from traceq.semantics import AttributeValue, Kind, Status
from traceq.sources import gathering
from traceq.sources.interface import ConnectionOptions
from traceq.sources.jaeger import JaegerSource
from traceq.traces import Event
from traceq.units import parse_duration
from traceq.where import parse_where

BASE = "http://jaeger.test:16686"
MS = 1_000_000
WINDOW = Window(builders.EPOCH_NS, builders.EPOCH_NS + 3_600_000 * MS)
PAGE = 20
"""The most traces of one answer here, of which there are some more."""
VALUES: tuple[AttributeValue, ...] = (200, 503, "500", 4.5, True, "", "a,b=c", "grüße", ["a", "b"], 2**53 + 1, -1, "2s")


def _traces() -> dict[str, list[builders.SpanLike]]:
    by_id: dict[str, list[builders.SpanLike]] = {}
    for number, value in enumerate(VALUES):
        by_id[f"{number + 1:032x}"] = [
            builders.span(
                "a",
                None,
                number * 1_000 * MS,
                number * 1_000 * MS + (100 + 10 * number) * MS,
                service="shop",
                name=f"GET /items/{number}" if number % 2 else "POST /orders",
                kind=Kind.SERVER,
                status=Status.ERROR if number % 4 == 0 else Status.UNSET,
                attributes={"http.status_code": 500 if number % 4 == 0 else 200, "user_id": str(number % 3)},
                resource={"host.name": f"n{number % 2}"},
            ),
            builders.span(
                "b",
                "a",
                number * 1_000 * MS + MS,
                number * 1_000 * MS + (2 + number) * MS,
                service="cart" if number % 2 else "pay",
                name="load",
                kind=Kind.CLIENT,
                attributes={"val": value},
                events=[Event(builders.EPOCH_NS + number * 1_000 * MS, "retry", {"attempt": number})],
            ),
        ]
    for number in range(3 * PAGE):
        start = (100 + number) * 1_000 * MS
        by_id[f"{number + 1000:032x}"] = [
            builders.span("a", None, start, start + MS, service="probe", name="GET /health")
        ]
    return by_id


TABLE = builders.traces(_traces())
STORED: list[dict[str, Any]] = [json.loads(encode_trace(TABLE, position)) for position in range(len(TABLE))]


def _text(tag: dict[str, Any]) -> str:
    """Write a value as Jaeger compares it."""
    value = tag["value"]
    return (
        str(value).lower() if isinstance(value, bool) else f"{value:.10g}" if isinstance(value, float) else str(value)
    )


def _meets(span: dict[str, Any], trace: dict[str, Any], asked: httpx.QueryParams) -> bool:
    process = trace["processes"][span["processID"]]
    fields = [tag for log in span["logs"] for tag in log["fields"]]
    carried = {(tag["key"], _text(tag)) for tag in (*span["tags"], *process["tags"], *fields)}
    return (
        asked["service"] == process["serviceName"]
        and asked.get("operation") in (None, span["operationName"])
        and set(json.loads(asked.get("tags", "{}")).items()) <= carried
        and span["duration"] * 1000 >= parse_duration(asked.get("minDuration", "0"))
        and span["duration"] * 1000 <= parse_duration(asked.get("maxDuration", "1d"))
        and int(asked["start"]) <= span["startTime"] <= int(asked["end"])
    )


def _search(request: httpx.Request, *, gives_oldest: bool = False) -> httpx.Response:
    asked = request.url.params
    found = [trace for trace in STORED if any(_meets(span, trace, asked) for span in trace["spans"])]
    ordered = sorted(found, key=lambda trace: min(span["startTime"] for span in trace["spans"]))
    limit = int(asked["limit"])
    return httpx.Response(200, json={"data": ordered[:limit] if gives_oldest else ordered[-limit:]})


def _operations(request: httpx.Request) -> httpx.Response:
    service = request.url.params["service"]
    names = {
        span["operationName"]
        for trace in STORED
        for span in trace["spans"]
        if trace["processes"][span["processID"]]["serviceName"] == service
    }
    return httpx.Response(200, json={"data": [{"name": name, "spanKind": ""} for name in sorted(names)]})


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpx_retries.retry.time.sleep", lambda _seconds: None)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[JaegerSource]:
    kind = getattr(request, "param", "newest")
    monkeypatch.setattr(gathering, "MOST_TRACES", PAGE)
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        router.get("/api/services").respond(json={"data": ["cart", "pay", "probe", "shop"]})
        names = router.get("/api/operations").mock(side_effect=_operations)
        if kind == "nameless":
            names.respond(500, text="no")
        router.get("/api/v3/trace-summaries").respond(404, text="404 page not found\n")
        router.get("/api/traces").mock(side_effect=partial(_search, gives_oldest=kind == "oldest"))
        router.get(url__regex=r"/api/traces/\w+$").mock(
            side_effect=lambda request: httpx.Response(
                200, json={"data": [each for each in STORED if request.url.path.endswith(each["traceID"])]}
            )
        )
        yield JaegerSource(BASE, ConnectionOptions(), clock=lambda: WINDOW.end_ns or 0)


CONDITIONS = (
    *("service = shop", "service = nosuch", "service != probe", "not service = probe", "service in (cart, pay)"),
    *("service = cart or service = pay and duration > 7ms", "not (service = probe or http.status_code = 200)"),
    *('operation = "POST /orders"', 'operation = "GET /items/{id}"', 'name = "GET /items/3"', 'not name ~ "^GET"'),
    *("http.status_code >= 500", "http.response.status_code in (500, 503)", "http.status_code != 200"),
    *("not http.status_code = 200 and service = shop", "http.status_code = 500 or user_id = 1"),
    *("error = true", "error = false and service = pay", "not error = true and service = shop", "status = error"),
    *(
        "status in (ok, unset) and service = cart",
        "kind = server",
        "kind = CLIENT and val exists",
        "kind = unspecified",
    ),
    *("duration > 150ms", "duration >= 5ms and duration < 9ms", "duration > 5s and duration < 1s", "duration = 100ms"),
    *("not duration < 150ms", "event = retry and event.attempt = 3", "event.attempt >= 9", "event.name not in (retry)"),
    *(
        "resource.host.name = n1",
        "host.name = n1",
        "span.host.name = n1",
        "user_id = 1",
        'user_id = "1"',
        "user_id > 1",
    ),
    *(
        "not user_id exists",
        "missing != 1",
        "not missing = 1 and service = pay",
        "val = 200",
        "val = 500",
        'val = "500"',
    ),
    *("val = 4.5", "val = 4.50", "val = true", 'val = ""', 'val = "a,b=c"', "val = grüße", """val = '["a","b"]'"""),
    *("val = 9007199254740993", "val >= 9007199254740993", "val < 0", "val > 1s", 'val ~ "[=,]"', "val in (true, -1)"),
    *("(user_id = 1 or user_id = 2) and error = true", "not (user_id = 1 or error = true) and service = shop"),
    *("tag.user_id = 1 and span.user_id = 1", "parentSpanID exists and service = cart", "not parentSpanID exists"),
)


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_finds_on_a_server_what_it_finds_in_a_file(
    condition: str, limit: int | None, source: JaegerSource
) -> None:
    query = TraceQuery(where=parse_where(condition), window=WINDOW, limit=limit)
    expected = [TABLE.trace_ids[position] for position in matching(TABLE, query)][::-1]

    found = source.find(query)

    assert list(found.traces.trace_ids) == expected[:limit]
    # Where as many were found as were asked for, no more is looked for.
    assert found.is_cut_off == (len(expected) > len(found.traces)) or len(expected) == limit


@pytest.mark.parametrize("service", [None, "shop"])
@pytest.mark.parametrize("name", ["GET /items/{id}", "GET /items/3", "POST /orders"])
def test_an_operation_is_found_by_either_name(name: str, service: str | None, source: JaegerSource) -> None:
    query = TraceQuery(service, name, window=WINDOW)

    found = source.find(query)

    assert list(found.traces.trace_ids) == [TABLE.trace_ids[at] for at in matching(TABLE, query)][::-1]
    assert {each.trace_id for each in source.summaries(query).summaries} == set(found.traces.trace_ids)


@pytest.mark.parametrize("source", ["nameless"], indirect=True)
def test_an_operation_is_looked_for_where_a_server_fails_over_listing_names(source: JaegerSource) -> None:
    query = TraceQuery(operation="GET /items/{id}", window=WINDOW)

    found = source.find(query)

    assert list(found.traces.trace_ids) == [TABLE.trace_ids[at] for at in matching(TABLE, query)][::-1]


@pytest.mark.parametrize("source", ["oldest"], indirect=True)
@pytest.mark.parametrize("condition", ['not operation ~ "^GET /items"', "http.status_code != 500", "val exists"])
def test_the_newest_are_found_where_the_limit_of_a_server_keeps_others(condition: str, source: JaegerSource) -> None:
    """As does Jaeger's memory storage."""
    query = TraceQuery(where=parse_where(condition), window=WINDOW, limit=3)

    found = source.find(query)

    assert list(found.traces.trace_ids) == [TABLE.trace_ids[at] for at in matching(TABLE, query)][:-4:-1]


def test_what_was_looked_at_is_said(source: JaegerSource) -> None:
    found = source.find(TraceQuery(where=parse_where('not name ~ "^GET /health"'), window=WINDOW, limit=3))

    assert found.notes == ("looked at 72 traces, all since 2023-11-14 22:13:20.000, to find those that match",)
