"""`fetch --all` against a server that keeps to its limit, over a real connection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cli.conftest import ROOT, Run
from tests.sources.servers import NO_TRACE, Answer, Reply, Seen, serving
from traceq.query import TraceQuery
from traceq.sources import open_source

TRACES: list[dict[str, Any]] = json.loads((ROOT / "fixtures" / "chat.json").read_bytes())["data"]
STARTS = [span["startTime"] for trace in TRACES for span in trace["spans"]]
WINDOW = ("--start", str(min(STARTS)), "--end", str(max(STARTS)))


def services(trace: dict[str, Any]) -> set[str]:
    return {process["serviceName"] for process in trace["processes"].values()}


def found(query: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Give the traces with a span of the service in the window, at most as many as the limit, as Jaeger v1 does."""
    service, first, last = query["service"][0], int(query["start"][0]), int(query["end"][0])
    matching = [
        trace
        for trace in TRACES
        if any(
            trace["processes"][span["processID"]]["serviceName"] == service and first <= span["startTime"] <= last
            for span in trace["spans"]
        )
    ]
    return matching[: int(query["limit"][0])]


def jaeger(*, searches: int = 10**9) -> Answer:
    """Answer as Jaeger 1.51 does; after a given number of searches only with errors."""
    left = [searches]

    def answer(target: str, seen: Seen) -> Reply:
        url = urlsplit(target)
        if url.path == "/api/services":
            return reply(sorted(set().union(*map(services, TRACES))))
        if url.path.startswith("/api/traces/"):
            return NO_TRACE
        if url.path != "/api/traces":
            return Reply(b"404 page not found\n", 404, {"Content-Type": "text/plain"})
        left[0] -= 1
        if left[0] < 0:
            return Reply(b'{"errors":[{"code":500,"msg":"storage is away"}]}', 500)
        return reply(found(parse_qs(url.query)))

    return answer


def reply(data: object) -> Reply:
    return Reply(json.dumps({"data": data}).encode())


def test_all_traces_of_the_window_are_harvested(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    with serving(jaeger()) as server:
        done = run("fetch", "--all", "--source", server.url, "-o", str(folder), "--limit", "9", *WINDOW)
        again = run("fetch", "--all", "--source", server.url, "-o", str(folder), "--limit", "9", *WINDOW)

    read = open_source((str(folder),)).find(TraceQuery()).traces
    assert (done.code, done.out) == (0, "")
    assert "wrote 106 traces, 1,606 spans in 1 file" in done.err
    assert again.code == 0
    assert "wrote 106 traces" in again.err
    assert sorted(read.trace_ids) == sorted(trace["traceID"] for trace in TRACES)
    assert read.span_count == 1606


def test_a_failing_server_leaves_a_harvest_that_goes_on(run: Run, tmp_path: Path) -> None:
    command = ("fetch", "--all", "-o", str(tmp_path), "--limit", "9", "--compress", "gz", *WINDOW)
    # The directory remembers the server, which is to be found at the same place again.
    searches = [30]

    def answer(target: str, seen: Seen) -> Reply:
        answered = jaeger(searches=searches[0])(target, seen)
        searches[0] -= target.startswith("/api/traces")
        assert answered is not None
        return answered

    with serving(answer) as server:
        failed = run(*command, "--source", server.url)
        searches[0] = 10**9
        done = run(*command, "--source", server.url)

    assert failed.code == 4
    assert "storage is away" in failed.err
    assert "the same command again goes on" in failed.err
    assert done.code == 0
    assert "going on with the harvest" in done.err
    assert "wrote 106 traces, 1,606 spans" in done.err
    assert open_source((str(tmp_path),)).find(TraceQuery()).traces.span_count == 1606


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param((), "--all writes files: name a directory", id="no directory"),
        pytest.param(("-o", "README.md"), "is a file, and --all writes a directory", id="a file"),
        pytest.param(("-o", "docs"), "is not empty and holds no harvest", id="another directory"),
        pytest.param(("-o", "x", "-f", "json"), "one trace a line", id="another format"),
        pytest.param(("-o", "x", "--trace", "a1"), "takes conditions, not ids", id="one trace"),
        pytest.param(("-o", "x", "--source", "fixtures/chat.json"), "see `traceq convert --help`", id="files"),
        pytest.param(("-o", "x", "--rotate", "big"), "'big' is not a size", id="no size"),
    ],
)
def test_what_does_not_fit_together_is_refused(run: Run, arguments: tuple[str, ...], told: str) -> None:
    refused = run("fetch", "--all", *arguments, width=200)

    assert refused.code == 2
    assert told in refused.err


def test_another_question_does_not_go_on_in_the_same_directory(run: Run, tmp_path: Path) -> None:
    with serving(jaeger()) as server:
        command = ("fetch", "--all", "--source", server.url, "-o", str(tmp_path))
        run(*command, *WINDOW)
        other = run(*command, *WINDOW, "--service", "chat-service")
        later = run(*command, "--start", str(max(STARTS)), "--end", str(max(STARTS) + 5))

    assert (other.code, later.code) == (2, 2)
    assert "holds a harvest of something else" in other.err
    assert "holds the finished harvest" in later.err


@pytest.mark.parametrize("suffix", ["json", "json.gz", "json.zst", "ndjson.gz", "ndjson.zst", "jsonl"])
def test_plain_fetch_compresses_by_suffix(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"some.{suffix}"

    done = run("fetch", "--source", "fixtures/chat.json", "--limit", "5", "-o", str(path))

    assert done.code == 0
    assert len(open_source((str(path),)).find(TraceQuery()).traces) == 5
    assert path.read_bytes()[:2] == {"gz": b"\x1f\x8b", "zst": b"\x28\xb5"}.get(suffix.rpartition(".")[2], b'{"')
