"""The tools for agents, called by the protocol's own client over standard input and output, as agents do."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from tests.cli.conftest import ROOT, Run
from tests.loops import completed
from tests.sources.replay import FIXTURES, recorded_by_path, recorded_trace_id
from tests.sources.servers import serving
from traceq.cli.mcp import server_for
from traceq.cli.mcp.tools import TOOLS
from traceq.cli.options import SourceOptions

CHAT = str(FIXTURES / "chat.json")


@asynccontextmanager
async def started(source: str) -> AsyncIterator[Client]:
    """Start `traceq mcp` as agents do."""
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))), "TZ": "UTC"}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "traceq", "mcp", "--source", source], env=environment, cwd=str(ROOT)
    )
    async with Client(command) as client:
        yield client


async def said(client: Client, tool: str, **arguments: Any) -> tuple[bool, str]:
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return bool(result.is_error), content.text


async def answered(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    is_error, text = await said(client, tool, **arguments)
    assert not is_error, text
    assert len(text.encode()) <= arguments.get("max_bytes", 2_000), (tool, len(text))
    answer: dict[str, Any] = json.loads(text)
    return answer


def asked(source: str, ask: Callable[[Client], Awaitable[Any]]) -> Any:
    """Put questions to the tools in this process, which needs no start."""

    async def run() -> Any:
        async with Client(server_for(SourceOptions(source=[source], timeout=30 * 10**9))) as client:
            return await ask(client)

    return completed(run())


async def every_tool(client: Client, window: dict[str, str], trace_id: str = "") -> None:
    """Call every tool with what the answers before it gave; with the id of a trace where not all can be had by id."""
    assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS)
    services = await answered(client, "services", **window)
    service = services["services"]["items"][0]["service"]
    found = await answered(client, "search", service=service, **window)
    trace_id = trace_id or found["traces"]["items"][0]["trace_id"]
    for tool in ("bottlenecks", "findings", "errors", "dependencies"):
        answer = await answered(client, tool, service=service, limit=50, **window)
        assert answer["next"], tool
    split = {"lookback": window["lookback"]} if "lookback" in window else {}
    compared = await answered(client, "compare", split="slow", limit=100, **split)
    assert compared["verdict"]["text"]
    overview = await answered(client, "trace_overview", trace_id=trace_id)
    assert overview["trace"]["trace_id"] == trace_id
    path = await answered(client, "critical_path", trace_id=trace_id)
    span_id = path["segments"]["items"][0]["span_id"]
    details = await answered(client, "span_details", trace_id=trace_id, span_id=span_id)
    assert details["spans"]["items"][0]["span_id"] == span_id


def test_every_tool_answers_about_files_over_standard_output() -> None:
    async def run() -> None:
        async with started(CHAT) as client:
            await every_tool(client, {})

    completed(run())


@pytest.mark.parametrize("folder", ["jaeger-1.51", "jaeger-2.20", "jaeger-2.21-dev"])
def test_every_tool_answers_about_a_server(folder: str) -> None:
    with serving(recorded_by_path(folder)) as seen:
        asked(seen.url, lambda client: every_tool(client, {"lookback": "30d"}, recorded_trace_id(folder)))


def test_tools_only_read_and_say_what_they_take() -> None:
    tools = asked(CHAT, lambda client: client.list_tools()).tools

    assert [tool.name for tool in tools] == list(TOOLS)
    for tool in tools:
        assert tool.annotations.read_only_hint
        assert not tool.annotations.destructive_hint
        assert len(tool.description) > 40
        assert tool.input_schema["additionalProperties"] is False
        assert all(each.get("description") for each in tool.input_schema["properties"].values())


@pytest.mark.parametrize("tool", ["bottlenecks", "findings", "errors"])
def test_an_answer_is_the_commands_own(tool: str, run: Run) -> None:
    rows = {"bottlenecks": "operations", "findings": "findings", "errors": "errors"}[tool]
    command = json.loads(run(tool, "chat-service", "--source", CHAT, "--format", "json").out)

    answer = asked(CHAT, lambda client: answered(client, tool, service="chat-service", max_bytes=50_000))

    assert answer["verdict"]["text"] == command["verdict"]["text"]
    assert answer[rows]["total"] == len(command[rows])
    assert not answer[rows]["truncated"]
    mine = [(each["service"], each["operation"]) for each in answer[rows]["items"]]
    assert mine == [(each["service"], each["operation"]) for each in command[rows]]


def test_a_list_goes_on_where_it_was_cut() -> None:
    async def run(client: Client) -> list[str]:
        names: list[str] = []
        while True:
            part = (await answered(client, "bottlenecks", skip=len(names)))["operations"]
            names += [f"{each['service']} {each['operation']} {each['peer']}" for each in part["items"]]
            if not part["truncated"]:
                return names

    names = asked(CHAT, run)

    whole = asked(CHAT, lambda client: answered(client, "bottlenecks", max_bytes=50_000))["operations"]["items"]
    assert names == [f"{each['service']} {each['operation']} {each['peer']}" for each in whole]


SERVICES = {"tool": "services", "arguments": {}, "why": "lists the services that there are"}
HERE = ROOT / "fixtures" / "chat.json"


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        (
            "bottlenecks",
            {"service": "chat-servce", "limit": 7},
            {
                "error": f"no service named 'chat-servce' in {HERE}",
                "hint": "did you mean 'chat-service'? `services` lists all 5",
                "next": [
                    {
                        "tool": "bottlenecks",
                        "arguments": {"service": "chat-service", "limit": 7},
                        "why": "asks about service chat-service",
                    },
                    SERVICES,
                ],
            },
        ),
        (
            "errors",
            {"service": "chat-service", "operation": "nope"},
            {
                "error": f"no operation named 'nope' in service 'chat-service' in {HERE}",
                "hint": "`bottlenecks` lists all 28",
                "next": [
                    {
                        "tool": "bottlenecks",
                        "arguments": {"service": "chat-service"},
                        "why": "lists operations in requests of chat-service",
                    }
                ],
            },
        ),
        (
            "trace_overview",
            {"trace_id": "feed"},
            {
                "error": f"no trace 'feed' in {HERE}",
                "hint": "`search` lists all 106",
                "next": [{"tool": "search", "arguments": {}, "why": "lists traces with their ids"}],
            },
        ),
        (
            "findings",
            {"operation": "mongodb.insrt"},
            {
                "error": f"no operation named 'mongodb.insrt' in {HERE}",
                "hint": "did you mean 'mongodb.insert'? `bottlenecks` lists all 43",
                "next": [
                    {
                        "tool": "findings",
                        "arguments": {"operation": "mongodb.insert"},
                        "why": "asks about operation mongodb.insert",
                    },
                    {"tool": "bottlenecks", "arguments": {}, "why": "lists operations in requests"},
                ],
            },
        ),
        (
            "critical_path",
            {"trace_id": "bbacfa0a654e2b7ec9357a289e61ccff"},
            {
                "error": f"no trace 'bbacfa0a654e2b7ec9357a289e61ccff' in {HERE}",
                "hint": "did you mean 'bbacfa0a654e2b7ec9357a289e61ccf3'?",
                "next": [
                    {
                        "tool": "critical_path",
                        "arguments": {"trace_id": "bbacfa0a654e2b7ec9357a289e61ccf3"},
                        "why": "asks about trace bbacfa0a654e2b7ec9357a289e61ccf3",
                    }
                ],
            },
        ),
        (
            "compare",
            {"split": "http.metod=GET"},
            {
                "error": "no span carries the tag 'http.metod'",
                "hint": "did you mean 'http.method'? `traceq show bbacfa0a654e2b7ec9357a289e61ccf3 --attributes "
                f"--source {HERE}` lists tags",
                "next": [
                    {"tool": "compare", "arguments": {"split": "http.method=GET"}, "why": "asks about tag http.method"}
                ],
            },
        ),
        (
            "compare",
            {"before": "-1h..now"},
            {"error": "say what to compare", "hint": "give both `before` and `after`, or `split`"},
        ),
    ],
    ids=["service", "operation", "trace", "operation of any service", "trace that is near", "tag", "sides"],
)
def test_failures_say_which_tool_to_call_instead(tool: str, arguments: dict[str, Any], told: Any) -> None:
    """An agent has no shell for the commands that the command line would suggest."""
    is_error, text = asked(CHAT, lambda client: said(client, tool, **arguments))

    assert is_error
    assert json.loads(text) == told


def test_notes_name_arguments_in_place_of_options() -> None:
    document = asked(CHAT, lambda client: answered(client, "findings", service="chat-service", limit=5))

    told = "the limit of 5 left traces out: there may be more, raise `limit` or narrow the window"
    assert document["notes"]["items"] == [told]


@pytest.mark.parametrize("tool", ["search", "bottlenecks", "findings", "errors"])
def test_where_nothing_matched_the_services_come_next(tool: str) -> None:
    document = asked(CHAT, lambda client: answered(client, tool, start="2001-01-01", end="2001-01-02"))

    assert document["next"] == [{**SERVICES, "why": "nothing matched: lists the services that there are"}]


def test_what_comes_next_is_about_the_same_traces() -> None:
    async def run(client: Client) -> None:
        found = await answered(client, "search", error=True, limit=9)
        trace_id = found["traces"]["items"][0]["trace_id"]
        assert [step["arguments"] for step in found["next"]] == [{"trace_id": trace_id}, {"error": True, "limit": 9}]
        one = await answered(client, "bottlenecks", trace_id=trace_id)
        assert one["next"][0]["arguments"] == {"trace_id": trace_id}

    asked(CHAT, run)


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("span_details", {"trace_id": "@", "span_id": "feed"}, "no span 'feed'.*`trace_overview` and `critical_path`"),
        ("search", {"min_duration": "soon"}, "soon"),
        ("search", {"lookback": "1h", "start": "-2h"}, "lookback"),
        ("compare", {}, "say what to compare"),
        ("compare", {"before": "/etc/passwd", "after": "/etc/hosts"}, "windows of time"),
        ("compare", {"before": "http://elsewhere/trace/feed", "after": "feed"}, "windows of time.*hint"),
        ("trace_overview", {"trace_id": "/etc/passwd"}, "'/etc/passwd' is no id of a trace.*hint"),
        ("bottlenecks", {"trace_id": "fixtures/chat.json"}, "'fixtures/chat.json' is no id of a trace.*hint"),
        (
            "span_details",
            {"trace_id": "https://me:hidden@elsewhere/trace/feed", "span_id": "1"},
            "to https://elsewhere,",
        ),
        ("errors", {"trace_id": "http://elsewhere/search"}, "a link to a trace ends in /trace/<id>"),
        ("bottlenecks", {"max_bytes": 3}, "max_bytes"),
        ("bottlenecks", {"limit": 0}, "limit"),
        ("findings", {"trace": "feed"}, "trace\n.*not permitted"),
        ("search", {"source": "/etc/passwd"}, "source\n.*not permitted"),
    ],
)
def test_errors_say_what_is_wrong(tool: str, arguments: dict[str, Any], told: str) -> None:
    async def run(client: Client) -> tuple[bool, str]:
        if arguments.get("trace_id") == "@":
            arguments["trace_id"] = (await answered(client, "search"))["traces"]["items"][0]["trace_id"]
        return await said(client, tool, **arguments)

    is_error, text = asked(CHAT, run)

    assert is_error
    assert re.search(told, text, re.DOTALL), text


def test_ids_are_taken_in_every_form() -> None:
    """A link to the source itself, too, with the span that it is about."""
    folder = "jaeger-1.51"
    trace_id = recorded_trace_id(folder)

    async def run(client: Client) -> None:
        overview = await answered(client, "trace_overview", trace_id=trace_id)
        span_id = (await answered(client, "critical_path", trace_id=trace_id))["segments"]["items"][0]["span_id"]
        details = await answered(client, "span_details", trace_id=trace_id, span_id=span_id)
        padded = trace_id.rjust(32, "0")
        for form in (f"00-{padded}-{span_id}-01", f"{trace_id}:{span_id}:0:1", f"{seen.url}/trace/{trace_id}"):
            assert await answered(client, "trace_overview", trace_id=form) == overview
            assert await answered(client, "bottlenecks", trace_id=form)
        for form in (f"00-{padded}-{span_id}-01", f"{seen.url}/trace/{trace_id}?uiFind={span_id}", f"0x{span_id}"):
            assert await answered(client, "span_details", trace_id=trace_id, span_id=form) == details

    with serving(recorded_by_path(folder)) as seen:
        asked(seen.url, run)


def test_a_link_to_another_server_sends_nothing_there() -> None:
    with serving(recorded_by_path("jaeger-1.51")) as other:
        link = f"{other.url}/trace/{recorded_trace_id('jaeger-1.51')}"
        is_error, text = asked(CHAT, lambda client: said(client, "trace_overview", trace_id=link))

    assert is_error
    assert f"`traceq mcp --source {other.url}` asks that server" in json.loads(text)["hint"]
    assert other.requests == []


def test_a_server_that_is_down_is_an_error_with_a_hint() -> None:
    is_error, text = asked("http://127.0.0.1:9", lambda client: said(client, "services"))

    assert is_error
    told = json.loads(text)
    assert told["error"] == "cannot reach Jaeger at http://127.0.0.1:9 (connection refused)"
    assert told["hint"].endswith("TRACEQ_SOURCE (options of `traceq mcp`: whoever starts it can give them)")


def test_huge_attributes_and_statements_keep_to_the_budget(tmp_path: Path) -> None:
    attributes = [{"key": f"key.{number}", "type": "string", "value": "v" * 20_000} for number in range(230)]
    span = {
        "traceID": "a" * 32,
        "spanID": "b" * 16,
        "operationName": "o" * 3_000,
        "references": [],
        "startTime": 1_700_000_000_000_000,
        "duration": 5_000,
        "tags": attributes,
        "logs": [],
        "processID": "p1",
    }
    trace = {"traceID": "a" * 32, "spans": [span], "processes": {"p1": {"serviceName": "s", "tags": []}}}
    path = tmp_path / "huge.json"
    path.write_text(json.dumps({"data": [trace]}))

    details = asked(str(path), lambda client: answered(client, "span_details", trace_id="a" * 32, span_id="b" * 16))

    attributes_given = details["spans"]["items"][0]["attributes"]
    assert attributes_given["total"] == 230
    assert attributes_given["truncated"]


def test_a_prompt_teaches_the_order_of_questions() -> None:
    prompt = asked(CHAT, lambda client: client.get_prompt("investigate", {"problem": "chat is slow"}))

    text = prompt.messages[0].content.text
    assert "chat is slow" in text
    assert [name for name in ("compare", "errors", "bottlenecks") if f"`{name}`" in text] == [
        "compare",
        "errors",
        "bottlenecks",
    ]
