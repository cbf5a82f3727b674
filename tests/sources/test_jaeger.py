from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from traceq.catalog import Operation, ServiceCall, ServiceSummary, TraceSummary, Window
from traceq.errors import LoginRequired, NotFoundError, SourceError, TraceqError
from traceq.query import TraceQuery
from traceq.sources import open_source
from traceq.sources.interface import ConnectionOptions, Progress
from traceq.sources.jaeger import JaegerSource
from traceq.traces import Traces

BASE = "http://jaeger.test:16686"
MS = 1_000_000
HOUR = 3_600_000 * MS
NOW_NS = 1_800_000_000 * 1_000_000_000
WINDOW = Window(NOW_NS - HOUR, NOW_NS)
START_US = NOW_NS // 1000 - 60_000_000
"""When the traces below start: a minute ago."""
LEFT_OUT = "left out 1 trace that the server found but that did not match exactly"
INEXACT = f"{LEFT_OUT}: some storages take tags of different spans together, or read values as patterns"


def span(
    service: str = "chat-service", name: str = "GET /", *, after_ms: int = 0, ms: int = 10, **tags: str
) -> dict[str, Any]:
    return {"service": service, "name": name, "after_ms": after_ms, "ms": ms, "tags": tags}


def v1_trace(number: int, *spans: dict[str, Any]) -> dict[str, Any]:
    """Write a trace as v1 does; trace N starts N seconds after trace 0, so higher numbers are newer."""
    trace_id = f"{number:032x}"
    start_us = START_US + number * 1_000_000
    services = [each["service"] for each in spans]
    return {
        "traceID": trace_id,
        "spans": [
            {
                "traceID": trace_id,
                "spanID": f"{position + 1:016x}",
                "operationName": each["name"],
                "references": [],
                "startTime": start_us + each["after_ms"] * 1000,
                "duration": each["ms"] * 1000,
                "tags": [{"key": key, "type": "string", "value": value} for key, value in each["tags"].items()],
                "logs": [],
                "processID": f"p{services.index(each['service'])}",
                "warnings": None,
            }
            for position, each in enumerate(spans)
        ],
        "processes": {f"p{services.index(name)}": {"serviceName": name, "tags": []} for name in services},
        "warnings": None,
    }


def v3_traces(*traces: dict[str, Any]) -> dict[str, Any]:
    """Write the same traces as v3 does."""
    return {"result": {"resourceSpans": [_resource_spans(trace, each) for trace in traces for each in trace["spans"]]}}


def _resource_spans(trace: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    service = trace["processes"][each["processID"]]["serviceName"]
    return {
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [
            {
                "scope": {},
                "spans": [
                    {
                        "traceId": trace["traceID"],
                        "spanId": each["spanID"],
                        "name": each["operationName"],
                        "startTimeUnixNano": str(each["startTime"] * 1000),
                        "endTimeUnixNano": str((each["startTime"] + each["duration"]) * 1000),
                        "status": {},
                    }
                ],
            }
        ],
    }


def summary(
    number: int, *, ms: int = 10, errors: int = 0, services: Iterable[str] = ("chat-service",)
) -> dict[str, Any]:
    start_ns = (START_US + number * 1_000_000) * 1000
    return {
        "traceId": f"{number:032x}",
        "rootServiceName": "chat-service",
        "rootOperationName": "GET /",
        "minStartTimeUnixNano": str(start_ns),
        "maxEndTimeUnixNano": str(start_ns + ms * MS),
        "spanCount": 1,
        "errorSpanCount": errors,
        "services": [{"name": name, "spanCount": 1, "errorSpanCount": errors} for name in services],
    }


def enveloped(*data: Any) -> dict[str, Any]:
    return {"data": list(data), "total": 0, "limit": 0, "offset": 0, "errors": None}


def v1_error(code: int, text: str) -> httpx.Response:
    return httpx.Response(code, json={"data": None, "errors": [{"code": code, "msg": text}]})


def v3_error(code: int, text: str) -> httpx.Response:
    return httpx.Response(code, json={"error": {"httpCode": code, "message": text}})


NO_ROUTE = httpx.Response(404, text="404 page not found\n")
UNAUTHORIZED = f"Jaeger at {BASE} wants credentials (401)"
TIMEOUT = f"Jaeger at {BASE} answered 500 Internal Server Error: timeout"
UI_PAGE = '<!DOCTYPE html><html><base href="/jaeger/" data-inject-target="BASE_URL"/><title>Jaeger UI</title></html>'


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("httpx_retries.retry.time.sleep", lambda _seconds: None)


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        # Asked for to find out whether searches give parts of traces; tests of single traces have an `a` in their ids.
        router.get(url__regex=r"/api/(v3/)?traces/0{20}[0-9b-f]+$").respond(
            404, json={"errors": [{"msg": "not found"}]}
        )
        yield router


@pytest.fixture
def v1(server: respx.MockRouter) -> respx.MockRouter:
    """Speak v1 as Jaeger before 2.19 does, with one service."""
    server.get("/api/services").respond(json=enveloped("chat-service", "friend-service"))
    server.get("/api/v3/trace-summaries").mock(return_value=NO_ROUTE)
    server.get("/api/v3/traces").mock(return_value=NO_ROUTE)
    server.get("/api/v3/traces/00000000000000000000000000000abc").mock(return_value=NO_ROUTE)
    return server


@pytest.fixture
def v3(server: respx.MockRouter) -> respx.MockRouter:
    """Speak v3 alone, as Jaeger after 2.20 does."""
    server.get("/api/services").mock(return_value=NO_ROUTE)
    server.get("/api/v3/services").respond(json={"services": ["chat-service", "friend-service"]})
    return server


@pytest.fixture
def source() -> JaegerSource:
    return JaegerSource(BASE, ConnectionOptions(), clock=lambda: NOW_NS)


def numbers(found: Traces | tuple[TraceSummary, ...]) -> list[int]:
    ids = found.trace_ids if isinstance(found, Traces) else [trace.trace_id for trace in found]
    return [int(trace_id, 16) for trace_id in ids]


def failure(ask: Any) -> tuple[type[TraceqError], str, str]:
    with pytest.raises(TraceqError) as raised:
        ask()
    return type(raised.value), raised.value.message, raised.value.hint


CHAT = TraceQuery(service="chat-service", window=WINDOW)


class TestDialects:
    def test_v1_is_found_with_the_answer_to_the_first_question(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        assert source.services() == ("chat-service", "friend-service")
        assert [call.request.url.path for call in v1.calls] == ["/api/services"]

    def test_v3_is_asked_where_v1_is_gone(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        assert source.services() == ("chat-service", "friend-service")
        assert [call.request.url.path for call in v3.calls] == ["/api/services", "/api/v3/services"]

    def test_a_search_looks_for_the_dialect_too(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        v3.get("/api/v3/operations").respond(json={"operations": [{"name": "GET /", "spanKind": "server"}]})

        source.operations("chat-service")

        assert [call.request.url.path for call in v3.calls][2:] == ["/api/v3/operations"]

    def test_the_dialect_is_looked_for_once(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        source.services()
        source.services()

        assert [call.request.url.path for call in v3.calls][2:] == ["/api/v3/services"]

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            pytest.param(
                NO_ROUTE,
                (
                    SourceError,
                    f"Jaeger at {BASE} answered 404 Not Found: 404 page not found",
                    f"is a base path missing or wrong? it is part of --source, for example {BASE}/jaeger",
                ),
                id="404",
            ),
            pytest.param(
                httpx.Response(200, html=UI_PAGE),
                (
                    SourceError,
                    f"{BASE} answered with the Jaeger UI page: not the API",
                    f"its base path seems to be /jaeger: set --source {BASE}/jaeger",
                ),
                id="the UI below another path",
            ),
            pytest.param(
                httpx.Response(200, html=UI_PAGE.replace("/jaeger/", "/")),
                (
                    SourceError,
                    f"{BASE} answered with the Jaeger UI page: not the API",
                    f"is a base path missing or wrong? it is part of --source, for example {BASE}/jaeger",
                ),
                id="the UI",
            ),
            pytest.param(
                httpx.Response(200, html="<html><title>ACME</title><input name=p type='password'></html>"),
                (
                    LoginRequired,
                    f"{BASE} answered with a login page ('ACME')",
                    "give credentials with --token, --basic or --header (a cookie works too)",
                ),
                id="a password field",
            ),
            pytest.param(
                httpx.Response(200, html="<html><body>Sign in with OpenShift</body></html>"),
                (
                    LoginRequired,
                    f"{BASE} answered with a login page",
                    "give credentials with --token, --basic or --header (a cookie works too)",
                ),
                id="a sign-in button",
            ),
            pytest.param(
                httpx.Response(200, html="<html><title>It \x1b[31mworks</title></html>"),
                (
                    SourceError,
                    f"{BASE} answered with a web page ('It \\x1b[31mworks'): not the Jaeger API",
                    f"is a base path missing or wrong? it is part of --source, for example {BASE}/jaeger",
                ),
                id="some page",
            ),
        ],
    )
    def test_a_server_that_speaks_neither_is_described(
        self,
        server: respx.MockRouter,
        source: JaegerSource,
        answer: httpx.Response,
        expected: tuple[type[TraceqError], str, str],
    ) -> None:
        server.route().mock(return_value=answer)

        assert _kind(failure(source.services)) == expected

    @pytest.mark.parametrize(
        ("answer", "message", "hint"),
        [
            pytest.param(
                v1_error(500, "no living connections"),
                f"Jaeger at {BASE} answered 500 Internal Server Error: no living connections",
                "the server's log tells more; its storage may be slow or out of reach",
                id="its storage is gone",
            ),
            pytest.param(
                httpx.Response(502, html="<html><title>502 Bad Gateway</title></html>"),
                f"Jaeger at {BASE} answered 502 Bad Gateway: 502 Bad Gateway",
                "the server's log tells more; its storage may be slow or out of reach",
                id="a proxy has no server",
            ),
            pytest.param(
                httpx.Response(599, text="out of luck"),
                f"Jaeger at {BASE} answered 599: out of luck",
                "the server's log tells more; its storage may be slow or out of reach",
                id="a status without a name",
            ),
            pytest.param(
                httpx.Response(400, text="Client sent an HTTP request to an HTTPS server.\n"),
                f"Jaeger at {BASE} answered 400 Bad Request: Client sent an HTTP request to an HTTPS server.",
                "set --source https://jaeger.test:16686",
                id="it speaks https",
            ),
            pytest.param(
                httpx.Response(200, json=["chat-service"]),
                f"the answer of Jaeger at {BASE} cannot be read: "
                "not an answer with services: Expected object, got array",
                "is it a Jaeger query server, or one that speaks like it?",
                id="other JSON",
            ),
        ],
    )
    def test_a_server_that_fails_is_quoted(
        self, server: respx.MockRouter, source: JaegerSource, answer: httpx.Response, message: str, hint: str
    ) -> None:
        server.get("/api/services").mock(return_value=answer)

        assert _kind(failure(source.services)) == (SourceError, message, hint)

    def test_nothing_is_sent_before_the_first_question(self, server: respx.MockRouter) -> None:
        source = open_source(("http://ann:s3cret@jaeger.test:16686/jaeger/",))

        assert server.calls.call_count == 0
        assert (source.location, source.trace_url, source.is_live) == (
            f"{BASE}/jaeger",
            f"{BASE}/jaeger/trace/{{trace_id}}",
            True,
        )


def _kind(found: tuple[type[TraceqError], str, str]) -> tuple[type[TraceqError], str, str]:
    """Take the module's own subclass for what it is to callers."""
    kind, message, hint = found
    return (LoginRequired if issubclass(kind, LoginRequired) else SourceError), message, hint


class TestOperations:
    def test_they_come_with_their_kinds(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        route = v1.get("/api/operations").respond(
            json=enveloped({"name": "GET /", "spanKind": "server"}, {"name": "find", "spanKind": "client"})
        )

        assert source.operations("chat-service") == (Operation("GET /", "server"), Operation("find", "client"))
        assert dict(route.calls.last.request.url.params) == {"service": "chat-service"}

    def test_names_alone_come_from_servers_without_the_newer_route(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        v1.get("/api/operations").mock(return_value=NO_ROUTE)
        route = v1.route(path__regex="^/api/services/.*/operations$").respond(json=enveloped("GET /", "find"))

        assert source.operations("a/b+c 100%") == (Operation("GET /"), Operation("find"))
        assert route.calls.last.request.url.raw_path == b"/api/services/a%2Fb%2Bc%20100%25/operations"

    def test_v3_has_a_route_of_its_own(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        v3.get("/api/v3/operations", params={"service": "chat-service"}).respond(
            json={"operations": [{"name": "GET /", "spanKind": "server"}]}
        )

        assert source.operations("chat-service") == (Operation("GET /", "server"),)

    def test_a_service_without_operations_has_none(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/operations").respond(json={"data": None, "total": 0, "errors": None})

        assert source.operations("friend-service") == ()

    def test_an_unknown_service_is_told_from_one_without_operations(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        v1.get("/api/operations").respond(json={"data": None, "total": 0, "errors": None})

        assert failure(lambda: source.operations("Chat-servce")) == (
            NotFoundError,
            f"no service named 'Chat-servce' at {BASE}",
            f"did you mean 'chat-service'? `traceq services --source {BASE}` lists all 2",
        )

    def test_a_part_of_a_name_names_what_holds_it(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/operations").respond(json=enveloped())

        assert failure(lambda: source.operations("service"))[2] == (
            f"did you mean 'chat-service' or 'friend-service'? `traceq services --source {BASE}` lists all 2"
        )


class TestSearch:
    def test_v1_is_sent_every_condition(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        route = v1.get("/api/traces").respond(
            json=enveloped(v1_trace(1, span(name="say hi", ms=20, user_id='1"2', error="true")))
        )

        found = source.find(
            TraceQuery(
                service="chat-service",
                operation="say hi",
                attributes=(("user_id", '1"2'),),
                has_error=True,
                min_duration_ns=1_500_500,
                max_duration_ns=2_000 * MS,
                window=Window(NOW_NS - HOUR + 1, NOW_NS - 1),
                limit=5,
            )
        )

        assert numbers(found.traces) == [1]
        assert (found.is_cut_off, found.notes) == (False, ())
        assert dict(route.calls.last.request.url.params) == {
            "service": "chat-service",
            "operation": "say hi",
            "tags": '{"user_id":"1\\"2","error":"true"}',
            "minDuration": "1500500ns",
            "maxDuration": "2s",
            "start": str((NOW_NS - HOUR) // 1000),
            "end": str(NOW_NS // 1000),
            "limit": "5",
        }

    def test_v3_is_sent_every_condition(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        route = v3.get("/api/v3/traces").respond(json=v3_traces(v1_trace(1, span(name="say hi", ms=20))))

        found = source.find(
            TraceQuery(
                service="chat-service",
                operation="say hi",
                min_duration_ns=2 * MS,
                max_duration_ns=2_000 * MS,
                window=WINDOW,
                limit=5,
            )
        )

        assert numbers(found.traces) == [1]
        assert dict(route.calls.last.request.url.params) == {
            "query.service_name": "chat-service",
            "query.operation_name": "say hi",
            "query.duration_min": "2ms",
            "query.duration_max": "2s",
            "query.start_time_min": "2027-01-15T07:00:00.000000000Z",
            "query.start_time_max": "2027-01-15T08:00:00.000000000Z",
            "query.num_traces": "5",
        }

    def test_v3_is_sent_tags_as_a_json_map(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        route = v3.get("/api/v3/traces").mock(return_value=v3_error(404, "No traces found"))

        source.find(replace(CHAT, attributes=(("user_id", "7"),), has_error=True))

        assert route.calls.last.request.url.params["query.attributes"] == '{"user_id":"7","error":"true"}'

    @pytest.mark.parametrize(
        ("window", "sent"),
        [
            pytest.param(Window(), Window(NOW_NS - 48 * HOUR, NOW_NS + HOUR), id="open on both ends"),
            pytest.param(
                Window(end_ns=NOW_NS - 50 * HOUR),
                Window(NOW_NS - 98 * HOUR, NOW_NS - 50 * HOUR),
                id="open to the past",
            ),
            pytest.param(Window(NOW_NS - HOUR), Window(NOW_NS - HOUR, NOW_NS + HOUR), id="open to the future"),
            pytest.param(Window(NOW_NS, NOW_NS), Window(NOW_NS, NOW_NS + 1000), id="one instant"),
        ],
    )
    def test_every_server_is_sent_both_ends_of_the_window(
        self, v1: respx.MockRouter, source: JaegerSource, window: Window, sent: Window
    ) -> None:
        route = v1.get("/api/traces").respond(json=enveloped())

        found = source.find(replace(CHAT, window=window))

        params = route.calls.last.request.url.params
        assert Window(int(params["start"]) * 1000, int(params["end"]) * 1000) == sent
        is_open = window.start_ns is None
        assert found.notes == (("no start was given, so the search went back 48 hours",) if is_open else ())

    def test_traces_come_newest_first_and_the_limit_keeps_the_newest(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        v1.get("/api/traces").respond(json=enveloped(*(v1_trace(number, span()) for number in (2, 9, 4))))

        found = source.find(replace(CHAT, limit=2))

        assert numbers(found.traces) == [9, 4]
        assert found.is_cut_off

    @pytest.mark.parametrize(("limit", "is_cut_off"), [(1, True), (2, False), (None, False)])
    def test_an_answer_as_long_as_the_limit_may_have_left_traces_out(
        self, v1: respx.MockRouter, source: JaegerSource, limit: int | None, *, is_cut_off: bool
    ) -> None:
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span())))

        assert source.find(replace(CHAT, limit=limit)).is_cut_off is is_cut_off

    def test_a_trace_that_comes_in_parts_counts_once(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        part, other = v1_trace(1, span(), span("friend-service")), v1_trace(1, span())
        part["traceID"] = "1"
        other["spans"][0]["spanID"] = "f" * 16
        v1.get("/api/traces").respond(json=enveloped(part, other))

        found = source.find(replace(CHAT, limit=2))

        assert (len(found.traces), found.traces.span_count, found.is_cut_off) == (1, 3, False)

    def test_what_does_not_match_exactly_is_left_out_and_said(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        tags_on_two_spans = v1_trace(1, span(user_id="7"), span(room_id="8"))
        v1.get("/api/traces").respond(json=enveloped(tags_on_two_spans, v1_trace(2, span(user_id="7", room_id="8"))))

        found = source.find(replace(CHAT, attributes=(("user_id", "7"), ("room_id", "8"))))

        assert numbers(found.traces) == [2]
        assert found.notes == (INEXACT,)

    def test_times_that_v1_cuts_to_microseconds_still_match(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span(ms=10))))

        found = source.find(
            replace(CHAT, min_duration_ns=10 * MS + 999, window=Window((START_US + 1_000_000) * 1000 + 999, NOW_NS))
        )

        assert (numbers(found.traces), found.notes) == ([1], ())

    def test_the_duration_of_whole_traces_is_checked_here_among_as_many_as_can_be_had(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        route = v1.get("/api/traces").respond(
            json=enveloped(
                v1_trace(1, span(ms=10), span(after_ms=400, ms=100)),
                v1_trace(2, span(ms=10)),
                v1_trace(3, span(ms=700)),
            )
        )

        found = source.find(replace(CHAT, min_trace_duration_ns=500 * MS, limit=1))

        assert numbers(found.traces) == [3]
        assert (found.is_cut_off, found.notes) == (True, ())
        assert route.calls.last.request.url.params["limit"] == "1000"

    def test_cassandra_is_asked_again_without_durations(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        route = v1.get("/api/traces").mock(
            side_effect=[
                v1_error(500, "cannot query for duration and tags simultaneously"),
                httpx.Response(
                    200, json=enveloped(v1_trace(1, span(ms=10, user_id="7")), v1_trace(2, span(ms=90, user_id="7")))
                ),
            ]
        )

        found = source.find(replace(CHAT, attributes=(("user_id", "7"),), min_duration_ns=50 * MS))

        assert numbers(found.traces) == [2]
        [note] = found.notes
        assert note == (
            "the server's storage cannot look for tags and durations at once: durations were checked afterwards, "
            "among the traces it found by tags"
        )
        assert [{"minDuration", "tags"} & set(call.request.url.params) for call in route.calls] == [
            {"minDuration", "tags"},
            {"tags"},
        ]

    def test_what_the_server_tells_of_failures_beside_the_traces_is_said(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        partial = enveloped(v1_trace(1, span())) | {"errors": [{"msg": "shard 3 failed"}]}
        v1.get("/api/traces").respond(json=partial)

        found = source.find(CHAT)

        assert numbers(found.traces) == [1]
        [note] = found.notes
        assert "shard 3 failed" in note

    def test_a_refusal_is_quoted(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        why = "search depth must be greater than 0 and less than max traces"
        v1.get("/api/traces").mock(return_value=v1_error(500, why))

        assert _kind(failure(lambda: source.find(CHAT))) == (
            SourceError,
            f"Jaeger at {BASE} answered 500 Internal Server Error: {why}",
            "give a smaller --limit",
        )

    def test_v3_tells_nothing_found_from_a_route_that_is_gone(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        route = v3.get("/api/v3/traces").mock(return_value=v3_error(404, "No traces found"))

        assert numbers(source.find(CHAT).traces) == []

        route.mock(return_value=NO_ROUTE)
        assert _kind(failure(lambda: source.find(CHAT)))[:2] == (
            SourceError,
            f"Jaeger at {BASE} answered 404 Not Found: 404 page not found",
        )

    @pytest.mark.parametrize("with_attributes", [True, False])
    def test_a_value_that_cannot_be_read_costs_only_itself(
        self, v1: respx.MockRouter, source: JaegerSource, *, with_attributes: bool
    ) -> None:
        broken = v1_trace(1, span(), span())
        broken["spans"][1]["duration"] = "long"
        v1.get("/api/traces").respond(json=enveloped(broken))

        found = source.find(CHAT, with_attributes=with_attributes)

        assert found.traces.span_count == 2
        assert [each.span_id for each in found.traces.warnings if each.code == "value-left-out"] == [
            broken["spans"][1]["spanID"]
        ]

    def test_attributes_that_cannot_be_read_as_typed_are_read_all_the_same(
        self, v3: respx.MockRouter, source: JaegerSource
    ) -> None:
        broken = v3_traces(v1_trace(1, span()))
        [sent] = broken["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"]
        sent["attributes"] = [{"key": "user", "value": 5}]
        v3.get("/api/v3/traces").respond(json=broken)
        left_out = source.find(CHAT, with_attributes=False).left_out
        assert left_out is not None

        [found] = left_out.attributes({sent["traceId"]: {sent["spanId"]}})

        assert found.attributes == {"user": 5}

    def test_reading_gives_one_batch_and_logs_what_is_missing(
        self, v1: respx.MockRouter, source: JaegerSource, caplog: pytest.LogCaptureFixture
    ) -> None:
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span(user_id="7")), v1_trace(2, span())))

        with caplog.at_level(logging.WARNING):
            [batch] = source.read(replace(CHAT, attributes=(("user_id", "7"),), limit=2))

        assert numbers(batch) == [1]
        assert [record.getMessage() for record in caplog.records] == [
            f"{BASE}: {INEXACT}",
            f"{BASE}: there may be more traces than the 1 read",
        ]

    def test_reading_nothing_gives_no_batch(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces").respond(json=enveloped())

        assert list(source.read(CHAT)) == []


class TestUnknownNames:
    def test_an_unknown_service_is_told_from_one_that_nothing_is_found_for(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        v1.get("/api/traces").respond(json=enveloped())

        assert numbers(source.find(CHAT).traces) == []
        assert failure(lambda: source.find(replace(CHAT, service="chat-servce"))) == (
            NotFoundError,
            f"no service named 'chat-servce' at {BASE}",
            f"did you mean 'chat-service'? `traceq services --source {BASE}` lists all 2",
        )
        assert failure(lambda: source.summaries(replace(CHAT, service="zzz"))) == (
            NotFoundError,
            f"no service named 'zzz' at {BASE}",
            f"`traceq services --source {BASE}` lists all 2",
        )

    def test_an_unknown_operation_is_named_with_what_is_near(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces").respond(json=enveloped())
        v1.get("/api/operations").respond(json=enveloped({"name": "GET /rooms", "spanKind": "server"}))

        assert numbers(source.find(replace(CHAT, operation="GET /rooms")).traces) == []
        assert failure(lambda: source.find(replace(CHAT, operation="GET /room"))) == (
            NotFoundError,
            f"no operation named 'GET /room' in service 'chat-service' at {BASE}",
            f"did you mean 'GET /rooms'? `traceq operations chat-service --source {BASE}` lists it",
        )

    @pytest.mark.parametrize("length", [256, 257])
    def test_a_name_that_elasticsearch_does_not_list_is_explained(
        self, length: int, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        v1.get("/api/traces").respond(json=enveloped())
        v1.get("/api/operations").respond(json=enveloped({"name": "GET /rooms", "spanKind": "server"}))

        _, _, hint = failure(lambda: source.find(replace(CHAT, operation="o" * length)))

        told = "Elasticsearch and OpenSearch list no name of more than 256 characters; " if length > 256 else ""
        assert hint == f"{told}`traceq operations chat-service --source {BASE}` lists it"

    def test_names_are_not_asked_for_while_something_is_found(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span(), span())))

        source.find(CHAT)

        assert [call.request.url.path for call in v1.calls] == ["/api/services", "/api/traces"]


class TestAllServices:
    @pytest.fixture
    def by_service(self, v1: respx.MockRouter) -> respx.MockRouter:
        """Give one shared trace, of which one service returns a part, and one of each service's own."""
        shared = v1_trace(5, span(), span("friend-service", ms=30))
        answers = {
            "chat-service": enveloped(v1_trace(5, span()), v1_trace(2, span())),
            "friend-service": enveloped(shared, v1_trace(7, span("friend-service"))),
        }

        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json=answers[request.url.params["service"]])

        v1.get("/api/traces").mock(side_effect=answer)
        return v1

    @pytest.mark.usefixtures("by_service")
    def test_each_service_is_asked_and_a_trace_of_several_counts_once_and_whole(self, source: JaegerSource) -> None:
        found = source.find(TraceQuery(window=WINDOW))

        assert numbers(found.traces) == [7, 5, 2]
        assert found.traces.span_count == 4
        assert (found.is_cut_off, found.notes, found.traces.warnings) == (False, (), ())

    @pytest.mark.usefixtures("by_service")
    def test_the_limit_is_kept_over_all_services(self, source: JaegerSource) -> None:
        found = source.find(TraceQuery(window=WINDOW, limit=2))

        assert (numbers(found.traces), found.is_cut_off) == ([7, 5], True)

    @pytest.mark.usefixtures("by_service")
    def test_progress_is_told(self) -> None:
        told: list[Progress] = []
        source = JaegerSource(BASE, ConnectionOptions(), told.append, clock=lambda: NOW_NS)

        source.find(TraceQuery(window=WINDOW))

        assert [(each.what, each.done, each.total) for each in told] == [
            ("asking 2 services", 0, 2),
            ("asking 2 services", 1, 2),
            ("asking 2 services", 2, 2),
        ]
        assert told[-1].trace_count == 3

    @pytest.mark.usefixtures("by_service")
    def test_summaries_tell_how_many_services_were_asked(self, source: JaegerSource) -> None:
        found = source.summaries(TraceQuery(window=WINDOW))

        assert (numbers(found.summaries), found.service_count) == ([7, 5, 2], 2)

    def test_one_service_that_refuses_fails_the_whole(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces", params={"service": "friend-service"}).respond(401)
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span())))

        assert failure(lambda: source.find(TraceQuery(window=WINDOW)))[:2] == (
            LoginRequired,
            f"no answer for service 'friend-service', one of several asked for: {UNAUTHORIZED}",
        )

    def test_one_service_that_the_server_fails_over_is_named_and_the_others_are_given(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        v1.get("/api/traces", params={"service": "friend-service"}).mock(return_value=v1_error(500, "NaN"))
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span())))

        found = source.find(TraceQuery(window=WINDOW))

        assert (numbers(found.traces), found.is_partial) == ([1], True)
        assert found.notes == (
            f"no answer for service 'friend-service': Jaeger at {BASE} answered 500 Internal Server Error: NaN",
        )

    def test_services_that_all_fail_are_a_failure(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces").mock(return_value=v1_error(500, "timeout"))

        assert failure(lambda: source.find(TraceQuery(window=WINDOW)))[:2] == (
            SourceError,
            f"no answer for service 'chat-service', one of several asked for: {TIMEOUT}",
        )

    def test_what_v1_cannot_write_is_read_in_v3(self, server: respx.MockRouter, source: JaegerSource) -> None:
        server.get("/api/services").respond(json=enveloped("chat-service"))
        server.get("/api/traces").mock(return_value=v1_error(500, "json: unsupported value: NaN"))
        server.get("/api/v3/traces").respond(json=v3_traces(v1_trace(1, span())))

        found = source.find(CHAT)

        assert (numbers(found.traces), found.is_partial, found.notes) == ([1], False, ())

    def test_a_server_without_services_has_no_traces(self, server: respx.MockRouter, source: JaegerSource) -> None:
        server.get("/api/services").respond(json={"data": None, "total": 0, "errors": None})

        assert numbers(source.find(TraceQuery(window=WINDOW)).traces) == []

    def test_v3_is_asked_once_for_all(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        route = v3.get("/api/v3/traces").respond(json=v3_traces(v1_trace(1, span())))

        assert numbers(source.find(TraceQuery(window=WINDOW)).traces) == [1]
        assert route.call_count == 1
        assert "query.service_name" not in route.calls.last.request.url.params

    def test_v3_is_asked_service_by_service_where_the_storage_needs_a_name(
        self, v3: respx.MockRouter, source: JaegerSource
    ) -> None:
        needs_name = v3_error(
            400,
            "this storage backend requires a service name to search; searching all services is not supported",
        )
        v3.get("/api/v3/traces", params__contains={"query.service_name": "chat-service"}).respond(
            json=v3_traces(v1_trace(1, span()))
        )
        v3.get("/api/v3/traces", params__contains={"query.service_name": "friend-service"}).respond(
            json=v3_traces(v1_trace(2, span("friend-service")))
        )
        nameless = v3.get("/api/v3/traces").mock(return_value=needs_name)

        assert numbers(source.find(TraceQuery(window=WINDOW)).traces) == [2, 1]
        assert numbers(source.find(TraceQuery(window=WINDOW)).traces) == [2, 1]
        assert nameless.call_count == 1


class TestSamples:
    def test_every_service_gets_the_limit_for_itself(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        answers = {
            "chat-service": enveloped(*(v1_trace(number, span()) for number in (9, 8, 7))),
            "friend-service": enveloped(v1_trace(1, span("friend-service"))),
        }
        v1.get("/api/traces").mock(
            side_effect=lambda request: httpx.Response(200, json=answers[request.url.params["service"]])
        )

        found = source.find(TraceQuery(window=WINDOW, limit=3), is_sample=True)

        assert (numbers(found.traces), found.is_cut_off) == ([9, 8, 7, 1], True)
        assert found.notes == (
            "of every service the newest 3 traces were looked at; there may be more of chat-service",
        )

    def test_services_without_traces_are_named(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces", params={"service": "chat-service"}).respond(json=enveloped(v1_trace(1, span())))
        v1.get("/api/traces").respond(json=enveloped())

        found = source.find(TraceQuery(window=WINDOW, limit=3), is_sample=True)

        assert (numbers(found.traces), found.notes) == ([1], ("nothing was found of friend-service",))

    def test_servers_that_search_all_services_are_asked_for_each_where_the_limit_is_reached(
        self, v3: respx.MockRouter, source: JaegerSource
    ) -> None:
        v3.get("/api/v3/traces", params__contains={"query.service_name": "friend-service"}).respond(
            json=v3_traces(v1_trace(1, span("friend-service")))
        )
        v3.get("/api/v3/traces").respond(json=v3_traces(*(v1_trace(number, span()) for number in (9, 8))))

        assert numbers(source.find(TraceQuery(window=WINDOW, limit=2)).traces) == [9, 8]
        assert numbers(source.find(TraceQuery(window=WINDOW, limit=2), is_sample=True).traces) == [9, 8, 1]


class TestPartsOfTraces:
    """Traces whose spans name a parent that the search did not give."""

    @staticmethod
    def part(number: int) -> dict[str, Any]:
        trace = v1_trace(number, span("db"), span("db"))
        for each in trace["spans"]:
            each["references"] = [{"refType": "CHILD_OF", "traceID": trace["traceID"], "spanID": "00000000000000ff"}]
        return trace

    @classmethod
    def whole(cls, number: int) -> dict[str, Any]:
        trace = cls.part(number)
        root = v1_trace(number, span(ms=500))
        root["spans"][0]["spanID"] = "00000000000000ff"
        root["spans"][0]["processID"] = "root"
        trace["spans"].append(root["spans"][0])
        trace["processes"]["root"] = {"serviceName": "chat-service", "tags": []}
        return trace

    def test_they_are_asked_for_by_id(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces").respond(json=enveloped(self.part(10), v1_trace(26, span(), span())))
        v1.get(f"/api/traces/{10:032x}").respond(json=enveloped(self.whole(10)))

        found = source.find(replace(CHAT, service="db"))

        assert numbers(found.traces) == [10]
        assert (found.traces.span_count, found.traces.warnings, found.is_partial) == (3, (), False)
        assert found.notes == (LEFT_OUT, "the search gave only a part of 1 trace: asked for by id")

    def test_asking_ends_where_by_id_there_is_no_more(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        numbered = (10, 26, 42, 58)
        v1.get("/api/traces").respond(json=enveloped(*(self.part(number) for number in numbered)))
        for number in numbered:
            v1.get(f"/api/traces/{number:032x}").respond(json=enveloped(self.part(number)))

        found = source.find(replace(CHAT, service="db"))

        assert (len(found.traces), found.notes, found.is_partial) == (4, (), False)
        assert sum("/api/traces/" in str(call.request.url) for call in v1.calls) == 3

    def test_servers_that_give_the_roots_only_are_found_out(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get("/api/traces").respond(json=enveloped(*(v1_trace(number, span()) for number in (10, 26))))
        for number in (10, 26):
            v1.get(f"/api/traces/{number:032x}").respond(json=enveloped(v1_trace(number, span(), span("db"))))

        found = source.find(CHAT)

        assert (numbers(found.traces), found.traces.span_count) == ([26, 10], 4)

    def test_a_trace_at_the_limit_of_a_storage_is_doubted(
        self, v1: respx.MockRouter, source: JaegerSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("traceq.sources.dialects.V1Dialect.most_spans", 2)
        v1.get("/api/traces").respond(json=enveloped(v1_trace(10, span(), span())))

        found = source.find(CHAT)

        assert (found.is_partial, found.notes) == (
            True,
            (f"the server may have cut off 1 trace at 2 spans: {10:032x}",),
        )


class TestDurationsOfTraces:
    QUERY = replace(CHAT, min_trace_duration_ns=5000 * MS, window=Window(START_US * 1000, START_US * 1000 + HOUR))

    @pytest.fixture
    def many(self, v1: respx.MockRouter) -> respx.Route:
        """Hold 3,000 traces, a second from one to the next, and answer as storages do: the newest up to the limit."""
        long = {17, 1800, 2990}

        def answer(request: httpx.Request) -> httpx.Response:
            params = request.url.params
            first, last = (int(params[end]) - START_US for end in ("start", "end"))
            inside = [number for number in range(3000) if first <= number * 1_000_000 <= last]
            if "minDuration" in params:
                inside = []
            newest = inside[-int(params["limit"]) :]
            made = [v1_trace(number, span(), *([span(after_ms=6000)] if number in long else [])) for number in newest]
            return httpx.Response(200, json=enveloped(*made))

        return v1.get("/api/traces").mock(side_effect=answer)

    @pytest.mark.usefixtures("many")
    def test_the_window_is_looked_through_for_them(self, source: JaegerSource) -> None:
        found = source.find(replace(self.QUERY, limit=20))

        assert (len(found.traces), found.is_cut_off) == (3, False)
        assert found.notes == ("looked at 3,000 traces, all of the window, to find those of that duration",)

    @pytest.mark.usefixtures("many")
    def test_looking_ends_with_the_limit(self, source: JaegerSource) -> None:
        found = source.find(replace(self.QUERY, limit=2))

        assert (len(found.traces), found.is_cut_off) == (2, True)
        [note] = found.notes
        assert re.fullmatch(r"looked at [12],\d{3} traces, all since .*, to find those of that duration", note)

    def test_the_longest_duration_is_sent_for_spans(self, many: respx.Route, source: JaegerSource) -> None:
        source.find(replace(CHAT, max_trace_duration_ns=5 * MS, max_duration_ns=9 * MS))

        assert many.calls.last.request.url.params["maxDuration"] == "5ms"


class TestSummaries:
    @pytest.fixture
    def summaries(self, v1: respx.MockRouter) -> respx.Route:
        """Add the route of 2.19 and later, with two summaries, the older first."""
        return v1.get("/api/v3/trace-summaries").respond(
            json={"summaries": [summary(1, errors=1), summary(4, ms=700, services=("chat-service", "db"))]}
        )

    def test_they_come_from_the_server_where_it_has_them(self, summaries: respx.Route, source: JaegerSource) -> None:
        found = source.summaries(replace(CHAT, limit=9))

        assert found.summaries[1] == TraceSummary(
            trace_id=f"{1:032x}",
            root_service="chat-service",
            root_name="GET /",
            start_ns=(START_US + 1_000_000) * 1000,
            duration_ns=10 * MS,
            span_count=1,
            error_count=1,
            orphan_count=0,
            services=(ServiceSummary("chat-service", 1, 1),),
        )
        assert (numbers(found.summaries), found.is_cut_off, found.notes, found.service_count) == ([4, 1], False, (), 0)
        assert summaries.calls.last.request.url.params["query.num_traces"] == "9"

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            pytest.param(replace(CHAT, has_error=True), [1], id="no errors"),
            pytest.param(replace(CHAT, min_duration_ns=50 * MS), [4], id="shorter than its span had to be"),
            pytest.param(replace(CHAT, window=Window((START_US + 2_000_000) * 1000, NOW_NS)), [4], id="too early"),
            pytest.param(replace(CHAT, window=Window(0, (START_US + 2_000_000) * 1000)), [1], id="too late"),
            pytest.param(replace(CHAT, service="db"), [4], id="another service"),
        ],
    )
    @pytest.mark.usefixtures("summaries")
    def test_what_a_summary_refutes_is_left_out_and_said(
        self, source: JaegerSource, query: TraceQuery, expected: list[int]
    ) -> None:
        found = source.summaries(query)

        assert numbers(found.summaries) == expected
        if query.window != CHAT.window:
            assert found.notes == ()  # windows are no question of how exactly the server looks
        else:
            assert found.notes == (INEXACT if query.has_error else LEFT_OUT,)

    @pytest.mark.usefixtures("summaries")
    def test_the_duration_of_traces_is_checked_here(self, source: JaegerSource) -> None:
        found = source.summaries(replace(CHAT, min_trace_duration_ns=700 * MS))

        assert (numbers(found.summaries), found.notes) == ([4], ())

    def test_tags_are_checked_on_whole_traces(
        self, v1: respx.MockRouter, summaries: respx.Route, source: JaegerSource
    ) -> None:
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span(user_id="7"))))

        found = source.summaries(replace(CHAT, attributes=(("user_id", "7"),)))

        assert numbers(found.summaries) == [1]
        assert summaries.call_count == 0

    @pytest.mark.parametrize(
        "no_route",
        [
            pytest.param(NO_ROUTE, id="404"),
            pytest.param(httpx.Response(200, html=UI_PAGE), id="the UI, up to 2.15"),
            pytest.param(httpx.Response(404, json={"message": "Route not found"}), id="Quickwit"),
            pytest.param(httpx.Response(400, text='unsupported path requested: "/api/v3/x"'), id="VictoriaTraces"),
        ],
    )
    def test_whole_traces_are_asked_for_where_the_server_has_none(
        self, v1: respx.MockRouter, source: JaegerSource, no_route: httpx.Response
    ) -> None:
        route = v1.get("/api/v3/trace-summaries").mock(return_value=no_route)
        v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span(ms=25, error="true"))))

        first, second = source.summaries(CHAT), source.summaries(CHAT)

        assert first == second
        assert [(each.duration_ns, each.error_count) for each in first.summaries] == [(25 * MS, 1)]
        assert route.call_count == 1

    def test_cassandra_has_whole_traces_checked_where_durations_cannot_be_asked_for(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        refused = "cannot query for duration and tags simultaneously"
        v1.get("/api/v3/trace-summaries").mock(
            side_effect=[v3_error(500, refused), httpx.Response(200, json={"summaries": [summary(1)]})]
        )
        v1.get("/api/traces").mock(
            side_effect=[
                v1_error(500, refused),
                httpx.Response(200, json=enveloped(v1_trace(2, span(ms=90, error="true")))),
            ]
        )

        found = source.summaries(replace(CHAT, has_error=True, min_duration_ns=50 * MS))

        assert numbers(found.summaries) == [2]

    def test_whole_traces_are_asked_for_where_the_server_fails_over_summaries(
        self, v1: respx.MockRouter, source: JaegerSource
    ) -> None:
        v1.get("/api/v3/trace-summaries").mock(return_value=v3_error(500, "scripts are disabled"))
        traces = v1.get("/api/traces").respond(json=enveloped(v1_trace(1, span())))

        assert numbers(source.summaries(CHAT).summaries) == [1]
        traces.mock(return_value=v1_error(500, "storage is down"))
        assert _kind(failure(lambda: source.summaries(CHAT)))[1] == (
            f"Jaeger at {BASE} answered 500 Internal Server Error: storage is down"
        )


class TestOneTrace:
    def test_it_is_given_whole(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get(f"/api/traces/{10:032x}").respond(json=enveloped(v1_trace(10, span(), span("friend-service"))))

        trace = source.trace(f" {10:032X}")

        assert (numbers(trace), trace.span_count) == ([10], 2)

    def test_what_the_server_tells_of_failures_beside_it_is_logged(
        self, v1: respx.MockRouter, source: JaegerSource, caplog: pytest.LogCaptureFixture
    ) -> None:
        v1.get("/api/traces/a").respond(json=enveloped(v1_trace(10, span())) | {"errors": [{"msg": "shard 3 failed"}]})

        with caplog.at_level(logging.WARNING):
            source.trace("a")

        [line] = [record.getMessage() for record in caplog.records]
        assert line.startswith(f"{BASE}: ")
        assert "shard 3 failed" in line

    def test_v3_is_sent_the_id_in_full_length(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        v3.get(f"/api/v3/traces/{10:032x}").respond(json=v3_traces(v1_trace(10, span(), span("friend-service"))))

        assert source.trace("a").span_count == 2

    @pytest.mark.parametrize(
        "answer",
        [v1_error(404, "trace not found"), httpx.Response(200, json=enveloped() | {"total": 1})],
        ids=["Jaeger", "VictoriaTraces"],
    )
    def test_an_absent_one_is_not_found(
        self, v1: respx.MockRouter, source: JaegerSource, answer: httpx.Response
    ) -> None:
        v1.get(url__regex="/api/traces/0*abc$").mock(return_value=answer)

        assert failure(lambda: source.trace("abc")) == (
            NotFoundError,
            f"no trace abc at {BASE}",
            "is the id complete? with Elasticsearch, traces older than 72 h are found by search only",
        )

    def test_v3_has_a_404_of_its_own_for_an_absent_one(self, v3: respx.MockRouter, source: JaegerSource) -> None:
        v3.get(f"/api/v3/traces/{0xABC:032x}").mock(return_value=v3_error(404, "No traces found"))

        assert failure(lambda: source.trace("abc"))[:2] == (NotFoundError, f"no trace abc at {BASE}")

    @pytest.mark.parametrize("trace_id", ["", "xyz", "../services", "0" * 33])
    def test_what_cannot_be_an_id_is_not_asked_for(
        self, server: respx.MockRouter, source: JaegerSource, trace_id: str
    ) -> None:
        assert failure(lambda: source.trace(trace_id)) == (
            NotFoundError,
            f"no trace '{trace_id}' at {BASE}: that is not a trace id",
            "a trace id is written with up to 32 digits, 0 to 9 and a to f",
        )
        assert server.calls.call_count == 0

    def test_a_server_that_fails_is_not_one_without_the_trace(self, v1: respx.MockRouter, source: JaegerSource) -> None:
        v1.get(url__regex="/api/traces/0*abc$").mock(return_value=v1_error(500, "storage is down"))

        assert _kind(failure(lambda: source.trace("abc")))[0] is SourceError


class TestDependencies:
    @pytest.mark.parametrize(
        ("window", "end_ms", "lookback_ms"),
        [
            pytest.param(Window(NOW_NS - HOUR, NOW_NS), NOW_NS // MS, 3_600_000, id="both ends"),
            pytest.param(Window(), NOW_NS // MS, 7 * 24 * 3_600_000, id="the last week"),
            pytest.param(Window(NOW_NS + HOUR), NOW_NS // MS, 0, id="in the future"),
            pytest.param(Window(5 * MS + 1, 7 * MS + 1), 8, 3, id="outward to whole milliseconds"),
        ],
    )
    def test_the_window_is_sent_in_milliseconds(
        self, server: respx.MockRouter, source: JaegerSource, window: Window, end_ms: int, lookback_ms: int
    ) -> None:
        route = server.get("/api/dependencies").respond(
            json=enveloped({"parent": "chat-service", "child": "user-service", "callCount": 3})
        )

        assert source.dependencies(window) == (ServiceCall("chat-service", "user-service", 3),)
        assert dict(route.calls.last.request.url.params) == {"endTs": str(end_ms), "lookback": str(lookback_ms)}

    def test_a_server_without_any_has_none(self, server: respx.MockRouter, source: JaegerSource) -> None:
        server.get("/api/dependencies").respond(json=enveloped())

        assert source.dependencies(WINDOW) == ()

    def test_a_page_instead_is_an_error(self, server: respx.MockRouter, source: JaegerSource) -> None:
        server.get("/api/dependencies").respond(html=UI_PAGE)

        assert failure(lambda: source.dependencies(WINDOW))[:2] == (
            SourceError,
            f"{BASE} answered with the Jaeger UI page: not the API",
        )
