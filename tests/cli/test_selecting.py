"""Conditions mean the same in every command and for every source: an answer about what meets them is an answer about
those traces alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.builders import SpanLike, span, traces
from tests.cli.conftest import Run
from tests.sources.servers import Reply, Seen, serving
from traceq.cli import main
from traceq.codec.json_writers import encode_trace
from traceq.semantics import Kind, Status

MS = 10**6
COMMANDS = {
    "search": ("search",),
    "search of a service": ("search", "shop"),
    "bottlenecks": ("bottlenecks", "shop", "--no-findings"),
    "errors": ("errors", "shop"),
    "findings": ("findings", "shop"),
    "stats": ("stats",),
    "flame": ("flame", "shop"),
    "report": ("report", "shop"),
    "deps": ("deps", "--from", "traces"),
    "check": ("check", "--service", "shop", "count(shop) >= 0", "p50(shop) >= 0ms", "--allow-empty"),
    "compare": ("compare", "shop", "--failed"),
    "fetch": ("fetch",),
}
TOLD_OTHERWISE = ("source", "query", "notes", "is_cut_off", "window", "generated", "set_apart", "location", "commands")
"""What documents say of how they came about."""


def _by_id() -> dict[str, list[SpanLike]]:
    by_id: dict[str, list[SpanLike]] = {}
    for number in range(8):
        has_failed = number % 4 == 1
        at = number * 1_000 * MS
        edge = span("a", None, at, at + 60 * MS, service="edge", name="GET", kind=Kind.CLIENT)
        entry = span(
            "b",
            "a",
            at + MS,
            at + (51 + number) * MS,
            service="shop",
            name="GET /health" if number % 2 == 0 else f"GET /orders/{number}",
            kind=Kind.SERVER,
            status=Status.ERROR if has_failed else Status.UNSET,
            attributes={"http.status_code": 500 if has_failed else 200, "user": f"u {number % 3}"},
        )
        query = span("c", "b", at + 2 * MS, at + 22 * MS, service="shop", name="SELECT", kind=Kind.CLIENT)
        by_id[f"{number + 1:032x}"] = [edge, entry, query] if number > 5 or number % 2 else [edge, entry]
    return by_id


TABLE = traces(_by_id())
DOCUMENTS = {TABLE.trace_ids[at]: encode_trace(TABLE, at) for at in range(len(TABLE))}
SELECTIONS: dict[str, tuple[tuple[str, ...], set[int]]] = {
    "where": (("--where", "http.status_code >= 500 and not operation ~ '^GET /health'"), {2, 6}),
    "where or": (("--where", "http.status_code = 500 or user = 'u 0'"), {1, 2, 4, 6, 7}),
    "where service": (("--where", "operation in ('SELECT') and service = shop"), {2, 4, 6, 7, 8}),
    "tag": (("--tag", "http.response.status_code=500"), {2, 6}),
    "tag with blanks": (("--tag", "user=u 1"), {2, 5, 8}),
    "tag order": (("--tag", "http.status_code>=400"), {2, 6}),
    "tag pattern": (("--tag", "user~[02]$"), {1, 3, 4, 6, 7}),
    "min spans": (("--min-spans", "3"), {2, 4, 6, 7, 8}),
    "error": (("--error",), {2, 6}),
    "operation": (("--operation", "GET /orders/{id}"), {2, 4, 6, 8}),
    "not operation": (("--not-operation", "shop:GET /health"), {2, 4, 6, 8}),
    "both": (("--not-operation", "GET /health", "--where", "duration > 52ms and duration < 57ms"), {4, 6}),
}


def _written(path: Path, numbers: set[int]) -> str:
    chosen = [document for key, document in DOCUMENTS.items() if int(key, 16) in numbers]
    path.write_bytes(b'{"data":[%s]}' % b",".join(chosen))
    return str(path)


def _plain(value: Any) -> Any:
    """Leave out of a document, at every depth, what says how it came about."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in TOLD_OTHERWISE}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _told(run: Run, command: tuple[str, ...], *arguments: str) -> Any:
    outcome = run(*command, *arguments, "--format", "json")
    assert outcome.code in {0, 6}, outcome.err
    return _plain(json.loads(outcome.out))


def _of_service(options: tuple[str, ...], command: tuple[str, ...]) -> bool:
    """Tell whether an operation that is no request of the whole trace is one of the command's service."""
    return "--not-operation" not in options or "shop" in command


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _written(tmp_path_factory.mktemp("traces") / "all.json", set(range(1, 9)))


@pytest.mark.parametrize("selection", ["where", "not operation", "both"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_selection_is_the_same_in_every_command(
    command: str, selection: str, run: Run, everything: str, tmp_path: Path
) -> None:
    words, (options, numbers) = COMMANDS[command], SELECTIONS[selection]
    if not _of_service(options, words):
        # Whole traces are requests of the edge here.
        options, numbers = ("--not-operation", "shop:GET /health"), set(range(1, 9))
    alone = _written(tmp_path / "alone.json", numbers)

    assert _told(run, words, *options, "-s", everything) == _told(run, words, "-s", alone)


def _jaeger(target: str, _: Seen) -> Reply:
    """Look for the service alone: what else is asked for is checked again, whatever a server makes of it."""
    url = urlsplit(target)
    asked = {key: values[0] for key, values in parse_qs(url.query).items()}
    if url.path == "/api/services":
        return Reply(b'{"data":["edge","shop"]}')
    if url.path == "/api/operations":
        names = sorted({TABLE.names[code] for code in TABLE.name_codes})
        return Reply(json.dumps({"data": [{"name": name, "spanKind": ""} for name in names]}).encode())
    if url.path == "/api/traces":
        newest = list(DOCUMENTS.values())[::-1]
        return Reply(b'{"data":[%s]}' % b",".join(newest[: int(asked["limit"])]))
    return Reply(b"404 page not found", 404)


@pytest.fixture(scope="module")
def sources(everything: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, ...]]]:
    folder = tmp_path_factory.mktemp("archive")
    assert main(("convert", everything, "-o", str(folder / "all.parquet"), "--quiet")) == 0
    with serving(_jaeger) as seen:
        live = ("-s", seen.url, "--start", "2020-01-01", "--limit", "9")
        yield {"file": ("-s", everything), "archive": ("-s", str(folder)), "server": live}


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("command", ["search of a service", "bottlenecks"])
def test_a_selection_is_the_same_for_every_source(
    command: str, selection: str, run: Run, sources: dict[str, tuple[str, ...]]
) -> None:
    words, (options, _) = COMMANDS[command], SELECTIONS[selection]

    found = {name: _told(run, words, *options, *source) for name, source in sources.items()}

    assert found == dict.fromkeys(sources, found["file"])


def test_a_limit_counts_what_is_wanted(run: Run, sources: dict[str, tuple[str, ...]]) -> None:
    options = ("--not-operation", "GET /health")

    for source in sources.values():
        found = _told(run, ("search", "shop"), *options, *source, "--limit", "2")
        requests = _told(run, ("bottlenecks", "shop", "--no-findings"), *options, *source, "--limit", "2")
        assert [int(each["trace_id"], 16) for each in found["traces"]] == [8, 6]
        assert requests["request_count"] == 2


def test_the_table_of_jaeger_knows_no_conditions(run: Run, everything: str) -> None:
    outcome = run("deps", "--from", "jaeger", "--error", "-s", everything)

    assert (outcome.code, outcome.out) == (2, "")
    assert "Jaeger's own table knows no traces: conditions need --from traces" in outcome.err
