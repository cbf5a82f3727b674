"""Recorded servers, answering again: a mocked transport that knows every exchange in a folder of `fixtures/`."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import respx

from tests.sources.servers import Reply, Seen
from traceq.units import parse_duration

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
URL = "http://jaeger.test:16686"

Key = tuple[str, str, tuple[tuple[str, str], ...], str]
"""Method, path as sent, parameters in one spelling and order, tenant."""


def replaying(folder: str, otherwise: httpx.Response | None = None) -> respx.MockRouter:
    """Make a router that gives the answers recorded in a folder, and another one or a failure on any other question."""
    directory = FIXTURES / folder
    exchanges = json.loads((directory / "exchanges.json").read_text(encoding="utf-8"))
    answers = {_recorded_key(exchange): exchange for exchange in exchanges if _is_askable(exchange)}

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        key = _key(request.method, path, request.url.params.multi_items(), request.headers)
        if key not in answers and otherwise is not None:
            return otherwise
        assert key in answers, f"never recorded: {request.url}"
        exchange = answers[key]
        return httpx.Response(exchange["status"], headers=exchange["headers"], content=_body(directory, exchange))

    router = respx.mock(assert_all_called=False)
    router.route(url__startswith=URL).mock(side_effect=answer)
    return router


def recorded_by_path(folder: str) -> Callable[[str, Seen], Reply]:
    """Make a real server's answers: the largest recorded for a path and service, whatever else is asked."""
    directory = FIXTURES / folder
    best: dict[tuple[str, str], Reply] = {}
    for exchange in json.loads((directory / "exchanges.json").read_text(encoding="utf-8")):
        if exchange["status"] == httpx.codes.OK and exchange["method"] == "GET":
            key, body = (exchange["path"], _service(exchange["query"])), _body(directory, exchange)
            if key not in best or len(body) > len(best[key].body):
                best[key] = Reply(body)

    def answer(target: str, _: Seen) -> Reply:
        path, query = target.partition("?")[::2]
        return best.get((path, _service(parse_qsl(query))), Reply(b"404 page not found", 404))

    return answer


def recorded_trace_id(folder: str) -> str:
    """Give the id of a trace whose answer by id was recorded."""
    exchanges = json.loads((FIXTURES / folder / "exchanges.json").read_text(encoding="utf-8"))
    paths = (exchange["path"] for exchange in exchanges if exchange["status"] == httpx.codes.OK)
    return min(str(path).rpartition("/")[2] for path in paths if re.fullmatch(r"/api/(v3/)?traces/[0-9a-f]+", path))


def _service(params: Iterable[Iterable[str]]) -> str:
    return next((value for name, value in params if name in ("service", "query.service_name")), "")


def scenarios() -> dict[str, Any]:
    """Read when the recorded traces were made, and which belong to which scenario."""
    played: dict[str, Any] = json.loads((FIXTURES / "scenarios.json").read_text(encoding="utf-8"))
    return played


def _is_askable(exchange: dict[str, Any]) -> bool:
    return "accept-encoding" not in exchange.get("request_headers", {})


def _body(directory: Path, exchange: dict[str, Any]) -> bytes:
    if "text" in exchange:
        return str(exchange["text"]).encode()
    path = directory / exchange["body"]
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _recorded_key(exchange: dict[str, Any]) -> Key:
    return _key(exchange["method"], exchange["path"], exchange["query"], exchange.get("request_headers", {}))


def _key(method: str, path: str, params: Iterable[Iterable[str]], headers: Any) -> Key:
    pairs = (tuple(pair) for pair in params)
    spelled = tuple(sorted((name, _spelled(name, value)) for name, value in pairs))
    return method, path, spelled, headers.get("x-tenant", "")


def _spelled(name: str, value: str) -> str:
    """Give a parameter one spelling: a recording and a client may write the same thing in two ways."""
    try:
        if name.endswith(("tags", "attributes")):
            return json.dumps(json.loads(value), sort_keys=True)
        if "duration" in name.lower():
            return str(parse_duration(value))
    except ValueError:
        return value  # recorded to see it refused
    return value.rstrip("Z").rstrip("0") if "start_time" in name else value
