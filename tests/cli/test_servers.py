"""Commands with a server as their source: their answers, and the requests that the server gets."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.cli.conftest import ROOT, Run
from tests.sources.servers import NO_TRACE, Reply, Seen, serving

TRACES = (ROOT / "fixtures" / "chat.json").read_bytes()
WHOLE_WINDOW = ("--start", "2020-01-01", "--limit", "1000")


def jaeger(target: str, _: Seen) -> Reply:
    """Answer every search with all the traces of the chat."""
    match target.partition("?")[0]:
        case "/api/services":
            return Reply(b'{"data":["chat-service"]}')
        case "/api/traces":
            return Reply(TRACES)
        case path if path.startswith("/api/traces/"):
            return NO_TRACE
        case _:
            return Reply(b"404 page not found", 404)


def answer(run: Run, source: str, *arguments: str) -> dict[str, Any]:
    outcome = run(*arguments, "--source", source, "--format", "json")
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = json.loads(outcome.out)
    return document


@pytest.mark.parametrize("more", [("--findings", "--tags"), ("--no-findings",)], ids=["with findings", "without"])
def test_a_server_is_asked_once_and_answers_like_a_file(run: Run, more: tuple[str, ...]) -> None:
    with serving(jaeger) as seen:
        live = answer(run, seen.url, "bottlenecks", "chat-service", *WHOLE_WINDOW, *more)

    filed = answer(run, str(Path("fixtures") / "chat.json"), "bottlenecks", "chat-service", *more)
    told_otherwise = {"source", "query", "notes"}
    assert {key for key in live if live[key] != filed[key]} <= told_otherwise
    assert any(each["statement"] for request in live["slowest_requests"] for each in request["bottlenecks"])
    asked = [target.partition("?")[0] for target, _ in seen.requests]
    assert asked[:2] == ["/api/services", "/api/traces"]
    # The chat holds a trace without its root: it is asked for by id, in vain.
    assert [path[:12] for path in asked[2:]] == ["/api/traces/"]


@pytest.mark.parametrize("command", ["search", "stats", "bottlenecks", "errors", "findings", "flame", "deps"])
def test_a_misspelt_tag_is_told_of_a_sample(command: str, run: Run) -> None:
    """A server does not list tags, so that nothing is claimed about spans that were not looked at."""

    def exactly(target: str, seen: Seen) -> Reply:
        return Reply(b'{"data":[]}') if "tags=" in target else jaeger(target, seen)

    def told(*conditions: str) -> str:
        return run(command, "--source", seen.url, *WHOLE_WINDOW, *conditions).err

    with serving(exactly) as seen:
        sample = "note: no span in a sample of 20 traces has the tag '{}': did you mean '{}'?\n"
        assert sample.format("db.sytem", "db.system") in told("--tag", "db.sytem=mysql")
        assert sample.format("rety_count", "retry_count") in told("--where", "event.rety_count > 3")
        assert "did you mean" not in told("--tag", "db.system=oracle")
        sampled = [target for target, _ in seen.requests if target.endswith("&limit=20")]
        assert "did you mean" not in told("--min-duration", "1h")
        assert len(sampled) == 3 == len([target for target, _ in seen.requests if target.endswith("&limit=20")])


def test_that_nothing_matched_stands_where_a_server_fails_over_the_sample(run: Run) -> None:
    def failing(target: str, seen: Seen) -> Reply:
        if "tags=" in target:
            return Reply(b'{"data":[]}')
        return Reply(b"no space left", 400) if target.endswith("&limit=20") else jaeger(target, seen)

    with serving(failing) as seen:
        result = run("search", "--source", seen.url, *WHOLE_WINDOW, "--tag", "db.sytem=mysql")

    assert any(target.endswith("&limit=20") for target, _ in seen.requests)
    assert (result.code, "did you mean" in result.err) == (0, False)


@pytest.mark.parametrize(("ahead_s", "found_count"), [(290, 1), (310, 0)], ids=["within", "beyond"])
def test_a_host_whose_clock_is_five_minutes_ahead_is_seen(
    ahead_s: int, found_count: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = 1_800_000_000_000_000_000
    start_us = now_ns // 1000 + ahead_s * 1_000_000
    span = {"traceID": "a1", "spanID": "01", "operationName": "get", "startTime": start_us, "duration": 7}
    trace = {"traceID": "a1", "spans": [{**span, "processID": "p1"}], "processes": {"p1": {"serviceName": "web"}}}

    def ahead(target: str, seen: Seen) -> Reply:
        path, _, asked = target.partition("?")
        if path != "/api/traces":
            return Reply(b'{"data":["web"]}') if path == "/api/services" else jaeger(target, seen)
        is_asked_for = start_us <= int(dict(parse_qsl(asked))["end"])
        return Reply(json.dumps({"data": [trace] if is_asked_for else []}).encode())

    monkeypatch.setattr("time.time_ns", lambda: now_ns)
    with serving(ahead) as seen:
        document = answer(run, seen.url, "search", "web")

    assert len(document["traces"]) == found_count


def test_verbose_tells_every_request(run: Run) -> None:
    logger = logging.getLogger("traceq")
    before = logger.level, list(logger.handlers)
    try:
        with serving(jaeger) as seen:
            outcome = run("services", "--source", seen.url, "--verbose")
    finally:
        logger.level, logger.handlers = before

    assert outcome.out.splitlines() == [f"1 service ({seen.url})", " SERVICE", " chat-service"]
    requests = [line for line in outcome.err.splitlines() if "GET" in line]
    assert [re.sub(r"\d+ ms", "N ms", line) for line in requests] == [
        f"traceq: DEBUG: traceq.sources.http: GET {seen.url}/api/services: 200, 25 bytes, N ms"
    ]


def test_a_report_asks_a_server_once_for_all_its_questions_and_links_to_its_pages(run: Run) -> None:
    with serving(jaeger) as seen:
        outcome = run("report", "chat-service", "--source", seen.url, *WHOLE_WINDOW, "--format", "markdown")

    filed = run("report", "chat-service", "--source", "fixtures/chat.json", "--format", "json")
    slowest = json.loads(filed.out)["bottlenecks"]["slowest_requests"][0]["trace_id"]
    assert outcome.code == 0, outcome.err
    assert [target.partition("?")[0] for target, _ in seen.requests].count("/api/traces") == 1
    assert f"[{slowest}](<{seen.url}/trace/{slowest}>)" in outcome.out
