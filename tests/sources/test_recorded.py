"""The whole source against the recorded answers of real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from tests.sources import contract
from tests.sources.replay import URL, replaying, scenarios
from traceq.catalog import Operation, ServiceCall, Window
from traceq.errors import LoginRequired, NotFoundError, SourceError, TraceqError
from traceq.query import TraceQuery
from traceq.sources.interface import ConnectionOptions
from traceq.sources.jaeger import JaegerSource

MS = 1_000_000
ODD = 'legacy/import+export 100% "ü"'
SERVERS = ["jaeger-1.51", "jaeger-2.20", "jaeger-2.21-dev"]
VARIANTS = ["1.51", "2.20", "2.21-dev"]


def recorded_window() -> Window:
    """Give the window of the recorded requests: that of the recording and a second on either side."""
    played = scenarios()
    return Window((played["start_us"] - 1_000_000) * 1000, (played["end_us"] + 1_000_000) * 1000)


def trace_ids(scenario: str) -> list[str]:
    """Give the ids of a scenario's traces."""
    [found] = [each["trace_ids"] for each in scenarios()["scenarios"] if each["name"] == scenario]
    return [str(trace_id) for trace_id in found]


@pytest.fixture(params=SERVERS)
def source(request: pytest.FixtureRequest) -> Iterator[JaegerSource]:
    with replaying(request.param):
        yield JaegerSource(URL, ConnectionOptions())


@pytest.fixture
def question(source: JaegerSource) -> contract.Question:
    everything = TraceQuery(window=recorded_window())
    return contract.Question(source, everything, "chat-service", trace_ids("message-slow")[0])


CHECKS = [check for check in contract.CHECKS if check is not contract.check_dependencies]
"""Requests for dependencies have times in whole milliseconds, and were recorded like that: see below."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_contract_of_sources_is_kept(
    check: Callable[[contract.Question], None], question: contract.Question
) -> None:
    check(question)


def test_the_services_of_the_play_are_listed(source: JaegerSource) -> None:
    assert source.services() == ("chat-service", "friend-service", ODD, "notification-service", "user-service")


def test_a_service_whose_name_needs_escaping_is_asked_for_by_it(source: JaegerSource) -> None:
    operations = source.operations(ODD)
    found = source.find(TraceQuery(service=ODD, window=recorded_window()))

    assert Operation("say \"hello\" 'world'", "internal") in operations
    assert list(found.traces.trace_ids) == trace_ids("odd-service")


def test_every_recorded_trace_is_found_once(source: JaegerSource) -> None:
    found = source.find(TraceQuery(window=recorded_window()))

    assert (len(found.traces), found.traces.span_count) == (106, 1606)
    assert (found.is_cut_off, found.notes) == (False, ())


@pytest.mark.parametrize(
    ("query", "count"),
    [
        pytest.param(TraceQuery(attributes=(("user_id", "123"),)), 10, id="tag"),
        pytest.param(TraceQuery(has_error=True), 6, id="error"),
        pytest.param(TraceQuery(min_duration_ns=500 * MS), 8, id="min duration"),
        pytest.param(TraceQuery(operation="POST /rooms/{room_id}/messages"), 66, id="operation"),
    ],
)
def test_each_filter_finds_what_the_fixtures_promise(source: JaegerSource, query: TraceQuery, count: int) -> None:
    asked = replace(query, service="chat-service", window=recorded_window())

    found, summaries = source.find(asked), source.summaries(asked)

    assert (len(found.traces), found.is_cut_off, found.notes) == (count, False, ())
    assert [summary.trace_id for summary in summaries.summaries] == list(found.traces.trace_ids)


def test_slow_traces_are_those_of_the_scenario(source: JaegerSource) -> None:
    query = TraceQuery(service="chat-service", min_duration_ns=500 * MS, window=recorded_window())

    assert set(source.find(query).traces.trace_ids) == set(trace_ids("message-slow"))


def test_an_operation_that_does_not_exist_is_not_found(source: JaegerSource) -> None:
    query = TraceQuery(service="chat-service", operation="no such operation", window=recorded_window())

    with pytest.raises(NotFoundError, match="no operation named 'no such operation' in service 'chat-service'"):
        source.find(query)


def test_calls_on_record_are_read(source: JaegerSource) -> None:
    window = recorded_window()
    assert window.start_ns is not None
    assert window.end_ns is not None

    calls = source.dependencies(Window(window.start_ns // MS * MS, window.end_ns // MS * MS))

    # From 2.8 on Jaeger's memory storage counts calls within a service too.
    assert tuple(call for call in calls if call.parent != call.child) == (
        ServiceCall("chat-service", "friend-service", 5),
        ServiceCall("chat-service", "notification-service", 67),
        ServiceCall("chat-service", "user-service", 84),
        ServiceCall("friend-service", "user-service", 15),
    )


class TestTenancy:
    @pytest.mark.parametrize("version", VARIANTS)
    @pytest.mark.parametrize(
        ("tenant", "why"), [(None, "missing tenant header"), ("nobody", "unknown tenant")], ids=["none", "wrong"]
    )
    def test_a_server_that_wants_a_tenant_says_so(self, version: str, tenant: str | None, why: str) -> None:
        with replaying(f"jaeger-{version}-tenancy"), pytest.raises(LoginRequired) as raised:
            JaegerSource(URL, ConnectionOptions(tenant=tenant)).services()

        assert (raised.value.message, raised.value.hint) == (
            f"Jaeger at {URL} refuses access (401, {why})",
            "name the tenant with --tenant",
        )

    @pytest.mark.parametrize("version", VARIANTS)
    def test_the_right_tenant_is_let_in(self, version: str) -> None:
        with replaying(f"jaeger-{version}-tenancy"):
            assert JaegerSource(URL, ConnectionOptions(tenant="acme")).services() == ()


NOT_FOUND = httpx.Response(404, text="404 page not found\n")


class TestBasePath:
    @pytest.mark.parametrize("version", VARIANTS)
    def test_the_right_path_leads_to_the_api(self, version: str) -> None:
        with replaying(f"jaeger-{version}-base-path"):
            assert JaegerSource(f"{URL}/jaeger/", ConnectionOptions()).services() == ()

    @pytest.mark.parametrize("path", ["", "/tracing"])
    def test_old_servers_tell_the_right_path_on_their_page(self, path: str) -> None:
        assert self._failure("1.51", path) == (
            f"{URL}{path} answered with the Jaeger UI page: not the API",
            f"its base path seems to be /jaeger: set --source {URL}/jaeger",
        )

    @pytest.mark.parametrize("path", ["", "/tracing"])
    @pytest.mark.parametrize("version", ["2.20", "2.21-dev"])
    def test_new_servers_do_not_know_other_paths(self, version: str, path: str) -> None:
        assert self._failure(version, path) == (
            f"Jaeger at {URL}{path} answered 404 Not Found: 404 page not found",
            f"is a base path missing or wrong? it is part of --source, for example {URL}/jaeger",
        )

    def _failure(self, version: str, path: str) -> tuple[str, str]:
        with replaying(f"jaeger-{version}-base-path", NOT_FOUND), pytest.raises(TraceqError) as raised:
            JaegerSource(URL + path, ConnectionOptions()).services()
        assert isinstance(raised.value, SourceError)
        return raised.value.message, raised.value.hint
