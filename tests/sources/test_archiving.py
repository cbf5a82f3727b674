from __future__ import annotations

import httpx
import pytest
import respx

from tests.sources.replay import URL, replaying
from traceq.errors import LoginRequired, NotFoundError, SourceError
from traceq.sources.interface import ConnectionOptions
from traceq.sources.jaeger import JaegerSource

ARCHIVED = "f3742736a89eae327f93d3c63181dd88"
ABSENT = "0123456789abcdef0123456789abcdef"
SETUP = (
    "its operator gives it one: `traces_archive` in the storage of jaeger_query (Jaeger 2), or a flag such as "
    "--es-archive.enabled (Jaeger 1)"
)
KEEP = f"`traceq fetch --output traces.json.gz --source {URL}` keeps traces in a file"
NO_ROUTE = f"the server at {URL} does not archive traces: it has no route for that"


@pytest.fixture
def source() -> JaegerSource:
    return JaegerSource(URL, ConnectionOptions())


def test_a_trace_is_archived_and_found_by_its_id_afterwards(source: JaegerSource) -> None:
    with replaying("jaeger-1.51-archive", httpx.Response(200, json={"data": []})):
        source.archive(ARCHIVED.upper())

        assert source.trace(ARCHIVED).trace_ids == (ARCHIVED,)


def test_a_trace_that_is_not_there_cannot_be_archived(source: JaegerSource) -> None:
    with replaying("jaeger-1.51"), pytest.raises(NotFoundError) as raised:
        source.archive(ABSENT)

    assert raised.value.message == f"no trace {ABSENT} at {URL}"


@pytest.mark.parametrize("server", ["jaeger-2.20", "jaeger-2.21-dev"])
def test_a_server_without_an_archive_is_told_from_a_failure(server: str, source: JaegerSource) -> None:
    with replaying(server), pytest.raises(SourceError) as raised:
        source.archive(ABSENT)

    assert (raised.value.message, raised.value.hint) == (f"Jaeger at {URL} has no archive storage", SETUP)


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        pytest.param(httpx.Response(404, text="404 page not found\n"), NO_ROUTE, KEEP, id="VictoriaTraces"),
        pytest.param(httpx.Response(405, text=""), NO_ROUTE, KEEP, id="other-method"),
        pytest.param(httpx.Response(404, json={"message": "Route not found"}), NO_ROUTE, KEEP, id="Quickwit"),
        pytest.param(httpx.Response(200, html="<html><title>Jaeger UI</title></html>"), NO_ROUTE, KEEP, id="page"),
        pytest.param(
            httpx.Response(500, json={"data": None, "errors": [{"code": 500, "msg": "no space left on device"}]}),
            f"Jaeger at {URL} answered 500 Internal Server Error: no space left on device",
            "the server's log tells more; its storage may be slow or out of reach",
            id="failure",
        ),
        pytest.param(
            httpx.Response(200, json={"data": [], "errors": [{"msg": "one span \x1b[31m was refused"}]}),
            f"Jaeger at {URL} could not archive the trace: one span \\x1b[31m was refused",
            "",
            id="failure-with-200",
        ),
    ],
)
def test_other_refusals_are_explained(answer: httpx.Response, message: str, hint: str, source: JaegerSource) -> None:
    with respx.mock:
        respx.post(f"{URL}/api/archive/{ABSENT}").mock(return_value=answer)
        with pytest.raises(SourceError) as raised:
            source.archive(ABSENT)

    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_a_login_page_is_no_archive(source: JaegerSource) -> None:
    page = httpx.Response(200, html="<html><title>Sign in</title><input type='password'></html>")
    with respx.mock:
        respx.post(url__startswith=URL).mock(return_value=page)
        with pytest.raises(LoginRequired):
            source.archive(ABSENT)


def test_a_short_id_is_sent_whole_and_an_order_is_sent_once(source: JaegerSource) -> None:
    """A repeated order may be carried out twice, and then some storages hold each span twice."""
    with respx.mock:
        order = respx.post(f"{URL}/api/archive/{'0' * 30}4d").mock(return_value=httpx.Response(503))
        with pytest.raises(SourceError, match="503"):
            source.archive("4d")

    assert order.call_count == 1


@pytest.mark.parametrize("text", ["", "xyz", "0" * 33, "../services"])
def test_what_cannot_be_an_id_is_not_sent(text: str, source: JaegerSource) -> None:
    with respx.mock, pytest.raises(NotFoundError, match="that is not a trace id"):
        source.archive(text)
