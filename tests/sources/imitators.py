"""Servers that speak Jaeger's API in their own ways, composed from their documents and sources; none was recorded.

All hold the same traces: a gateway calls orders, which asks a database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.sources.servers import Reply, Seen
from traceq.units import NS_PER_US, parse_duration

COUNT = 8
HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A span as all of them store it."""

    number: int
    parent: int
    service: str
    name: str
    kind: str
    after_us: int
    us: int
    tags: dict[str, Any]
    pod: str
    has_failed: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A trace as all of them store it."""

    trace_id: str
    start_us: int
    spans: tuple[Span, ...]


def stored(now_us: int) -> list[Stored]:
    """Make traces that start every minute, newest first; every third one fails, every second one is of a gold user."""
    traces = []
    for at in range(COUNT):
        has_failed, pod = at % 3 == 0, f"orders-{at % 2}"
        spans = (
            Span(1, 0, "gateway", "GET /basket", "server", 0, 400_000, {}, "gateway-0"),
            Span(2, 1, "gateway", "GET", "client", 50_000, 300_000, {"http.url": "http://orders/x"}, "gateway-0"),
            Span(
                3,
                2,
                "orders",
                "GET /orders",
                "server",
                60_000,
                200_000,
                {"tier": "gold" if at % 2 else "free"},
                pod,
                has_failed,
            ),
            Span(4, 3, "orders", "SELECT", "client", 70_000, 150_000, {"db.system": "mysql"}, pod),
        )
        traces.append(Stored(f"{0xC0FFEE00 + at:032x}", now_us - at * 60_000_000 - 10_000_000, spans))
    return traces


def written(
    trace: Stored,
    spans: Iterable[Span] | None = None,
    *,
    is_text: bool = False,
    error: Callable[[Span], list[dict[str, Any]]] | None = None,
    bare: Iterable[str] = (),
) -> dict[str, Any]:
    """Write a trace as v1 does.

    Args:
        trace: The trace.
        spans: Some of its spans; all by default.
        is_text: Whether every value is written as text.
        error: Writes the tags of a failed span.
        bare: The services whose processes are written without tags.
    """
    kept = trace.spans if spans is None else tuple(spans)
    tell = error or (lambda span: [{"key": "error", "type": "bool", "value": True}] if span.has_failed else [])
    return {
        "traceID": trace.trace_id,
        "spans": [
            {
                "traceID": trace.trace_id,
                "spanID": f"{span.number:016x}",
                "operationName": span.name,
                "references": [
                    {"refType": "CHILD_OF", "traceID": trace.trace_id, "spanID": f"{span.parent:016x}"}
                    for _ in range(min(span.parent, 1))
                ],
                "startTime": trace.start_us + span.after_us,
                "duration": span.us,
                "tags": [
                    {"key": key, "type": "string", "value": str(value) if is_text else value}
                    for key, value in {**span.tags, "span.kind": span.kind}.items()
                ]
                + tell(span),
                "logs": [],
                "processID": span.service,
            }
            for span in kept
        ],
        "processes": {
            span.service: {
                "serviceName": span.service,
                "tags": [] if span.service in bare else [{"key": "host.name", "type": "string", "value": span.pod}],
            }
            for span in kept
        },
    }


@dataclass(slots=True)
class Imitator:
    """What they have in common; each of them changes some of it."""

    traces: list[Stored]

    base = ""

    def __call__(self, target: str, _: Seen) -> Reply:
        parts = urlsplit(target)
        path, asked = unquote(parts.path), {key: values[0] for key, values in parse_qs(parts.query).items()}
        if not path.startswith(f"{self.base}/api/"):
            return self.no_route(path)
        path = path.removeprefix(f"{self.base}/api")
        if path == "/services":
            return self.data(["gateway", "orders"])
        if path == "/traces":
            return self.search(asked)
        if path.startswith("/traces/"):
            return self.by_id(path.removeprefix("/traces/"))
        if met := re.fullmatch(r"/services/([^/]+)/operations", path):
            names = {span.name for trace in self.traces for span in trace.spans if span.service == met[1]}
            return self.data(sorted(names))
        return self.no_route(path)

    def no_route(self, _: str) -> Reply:
        return Reply(b"404 page not found\n", 404, {"Content-Type": "text/plain"})

    def data(self, data: list[Any]) -> Reply:
        return Reply(json.dumps({"data": data, "errors": None}).encode())

    def search(self, asked: dict[str, str]) -> Reply:
        return self.data([written(trace) for trace in self.found(asked)])

    def by_id(self, trace_id: str) -> Reply:
        return self.data([written(trace) for trace in self.traces if trace.trace_id == trace_id])

    def found(self, asked: dict[str, str]) -> list[Stored]:
        tags = json.loads(asked.get("tags", "{}"))
        least, most = self.duration_us(asked.get("minDuration")), self.duration_us(asked.get("maxDuration"))
        return [
            trace
            for trace in self.traces
            if any(
                span.service == asked.get("service", span.service)
                and span.name == asked.get("operation", span.name)
                and int(asked["start"]) <= trace.start_us + span.after_us <= int(asked["end"])
                and (least is None or span.us >= least)
                and (most is None or span.us <= most)
                and all(self.carries(span, key, value) for key, value in tags.items())
                for span in trace.spans
            )
        ][: int(asked["limit"])]

    def carries(self, span: Span, key: str, value: str) -> bool:
        if key == "error":
            return span.has_failed == (value == "true")
        return value in (span.tags.get(key), span.pod if key == "host.name" else None)

    def duration_us(self, text: str | None) -> float | None:
        return None if text is None else parse_duration(text) / NS_PER_US


class Quickwit(Imitator):
    """Searches give root spans only; ids that are not whole are an error."""

    base = "/api/v1/otel-traces-v0_9/jaeger"

    def no_route(self, _: str) -> Reply:
        return Reply(b'{"message":"Route not found"}', 404)

    def search(self, asked: dict[str, str]) -> Reply:
        return self.data([written(trace, trace.spans[:1]) for trace in self.found(asked)])

    def by_id(self, trace_id: str) -> Reply:
        if len(trace_id) != 32:
            return Reply(b'{"message":"failed to decode trace id"}', 500)
        return Imitator.by_id(self, trace_id)


class Greptime(Imitator):
    """Clips traces to the window, and writes attributes of resources for the first trace only."""

    base = "/v1/jaeger"

    def search(self, asked: dict[str, str]) -> Reply:
        if "service" not in asked:
            return Reply(b'{"data":null,"errors":[{"code":1004,"msg":"service_name is required"}]}', 400)
        answer, bare = [], set[str]()
        for trace in self.found(asked):
            start_us, end_us = int(asked["start"]) - trace.start_us, int(asked["end"]) - trace.start_us
            spans = [span for span in trace.spans if start_us <= span.after_us <= end_us]
            answer.append(written(trace, spans, bare=bare, error=_boolean))
            bare |= {span.service for span in spans}
        return self.data(answer)

    def by_id(self, trace_id: str) -> Reply:
        for trace in self.traces:
            if trace.trace_id == trace_id:
                return self.data([written(trace, error=_boolean)])
        return Reply(b'{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}', 404)


def _boolean(span: Span) -> list[dict[str, Any]]:
    return [{"key": "error", "type": "boolean", "value": True}] if span.has_failed else []


class Victoria(Imitator):
    """Attributes of resources are found by `resource_attr:KEY`; limits above `MOST` are refused."""

    base = "/select/jaeger"
    most = 5

    def no_route(self, path: str) -> Reply:
        text = f'remoteAddr: "127.0.0.1:5"; requestURI: {path}; unsupported path requested: "{path}"'
        return Reply(text.encode(), 400, {"Content-Type": "text/plain"})

    def search(self, asked: dict[str, str]) -> Reply:
        if int(asked["limit"]) > self.most:
            text = f'remoteAddr: "127.0.0.1:5"; requestURI: /x; limit should be not higher than {self.most}'
            return Reply(text.encode(), 400, {"Content-Type": "text/plain"})
        return self.data([written(trace, is_text=True, error=_unset) for trace in self.found(asked)])

    def carries(self, span: Span, key: str, value: str) -> bool:
        if key.startswith("resource_attr:"):
            return key == "resource_attr:host.name" and span.pod == value
        if value.startswith("~"):
            return re.search(value[1:], str(span.tags.get(key, ""))) is not None
        return key != "host.name" and Imitator.carries(self, span, key, value)


def _unset(span: Span) -> list[dict[str, Any]]:
    return [{"key": "error", "type": "string", "value": "true" if span.has_failed else "unset"}]


class Mocha(Imitator):
    """Errors come with status 200; durations in units of its own, others are not looked at."""

    base = "/jaeger"

    def search(self, asked: dict[str, str]) -> Reply:
        found = self.found(asked)
        return self.data([written(trace) for trace in found]) if found else self.nothing()

    def by_id(self, trace_id: str) -> Reply:
        found = [trace for trace in self.traces if trace.trace_id == trace_id]
        return self.data([written(trace) for trace in found]) if found else self.nothing()

    def nothing(self) -> Reply:
        return Reply(b'{"error":{"code":404,"message":"trace not found"}}')

    def duration_us(self, text: str | None) -> float | None:
        is_read = text is not None and re.fullmatch(r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?", text)
        return Imitator.duration_us(self, text) if is_read else None


class TempoBridge(Imitator):
    """Searches at most a week; limits do not apply to ids."""

    def search(self, asked: dict[str, str]) -> Reply:
        if int(asked["end"]) - int(asked["start"]) > 168 * HOUR_US:
            text = "plugin error: range specified by start and end exceeds 168h0m0s. received start=1 end=2"
            return Reply(json.dumps({"data": None, "errors": [{"code": 500, "msg": text}]}).encode(), 500)
        return Imitator.search(self, asked)

    def by_id(self, trace_id: str) -> Reply:
        found = [trace for trace in self.traces if trace.trace_id == trace_id]
        if not found:
            return Reply(b'{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}', 404)
        return self.data([written(trace) for trace in found])


ALL = (Quickwit, Greptime, Victoria, Mocha, TempoBridge)
