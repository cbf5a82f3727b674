"""Traces that look like a shop's, made from a seed: the same bytes every time, about 1 KB a span.

Requests enter at a gateway and go down through layers of services; calls are one after the other or side by side, end
at databases and caches, and some go through Kafka to workers that nobody waits for. Two in a hundred calls fail.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple, TypeAlias

Form: TypeAlias = Literal["document", "lines"]
"""One `{"data": [...]}` as Jaeger's API answers, or one trace a line."""

SERVICE = "gateway"
"""Where every request enters."""

_LAYERS = (
    (SERVICE,),
    ("orders", "catalog", "accounts", "search"),
    ("payments", "inventory", "pricing", "sessions", "recommendations"),
    ("ledger", "warehouse", "fraud", "audit"),
)
_WORKERS = ("mailer", "invoicing")
_SERVICES = tuple(name for layer in _LAYERS for name in layer) + _WORKERS
_OPERATIONS = 4
_FAILING = 0.02
_EPOCH_US = 1_760_000_000_000_000
_US_PER_TRACE = 20_000
_FAN_OUT = 4

_Role: TypeAlias = Literal["server", "internal", "client", "database", "producer", "consumer"]


@dataclass(frozen=True, slots=True)
class Shape:
    """How much data, in what form."""

    trace_count: int
    spans_each: int
    form: Form = "document"

    @property
    def span_count(self) -> int:
        """All spans of all traces."""
        return self.trace_count * self.spans_each


class _Work(NamedTuple):
    """A span to be written, and perhaps to get children."""

    span_id: int
    parent_id: int
    role: _Role
    service: int
    start_us: int
    duration_us: int


def write(path: Path, shape: Shape, seed: int = 1) -> None:
    """Write traces of this shape to a file."""
    is_document = shape.form == "document"
    with path.open("wb") as out:
        out.write(b'{"data":[' if is_document else b"")
        for number, trace in enumerate(traces(shape, seed)):
            out.write((b"," if number else b"") if is_document else b"")
            out.write(trace)
            out.write(b"" if is_document else b"\n")
        out.write(b'],"total":0,"limit":0,"offset":0,"errors":null}\n' if is_document else b"")


def traces(shape: Shape, seed: int = 1) -> Iterator[bytes]:
    """Give one trace after the other, as Jaeger's v1 API writes it."""
    random = Random(seed)  # noqa: S311  data that is the same every time is the point
    for number in range(shape.trace_count):
        trace_id = f"{random.getrandbits(128):032x}"
        calls = list(_calls(shape.spans_each, number, random))
        spans = ",".join(_span(work, trace_id, random) for work in calls)
        processes = ",".join(_PROCESSES[service] for service in sorted({work.service for work in calls}))
        yield f'{{"traceID":"{trace_id}","spans":[{spans}],"processes":{{{processes}}},"warnings":null}}'.encode()


def _calls(span_count: int, number: int, random: Random) -> Iterator[_Work]:
    """Grow one request from its entry down, level by level, to exactly so many spans."""
    # More spans take more time: a leaf of the largest trace still lasts microseconds.
    latency_us = int(random.lognormvariate(0, 0.8) * 20_000 * max(1.0, math.sqrt(span_count)))
    root = _Work(random.getrandbits(64), 0, "server", 0, _EPOCH_US + number * _US_PER_TRACE, latency_us)
    yield root
    left = span_count - 1
    waiting = deque([root])
    while left:
        # When every branch has ended at a leaf, the gateway makes another round of calls.
        parent = waiting.popleft() if waiting else root
        children = _children(parent, left, random)
        left -= len(children)
        yield from children
        waiting.extend(child for child in children if child.role != "database")


def _children(parent: _Work, most: int, random: Random) -> list[_Work]:
    if parent.role in {"client", "producer"}:
        return [_answer(parent, random)]
    count = min(most, random.randint(1, _FAN_OUT))
    is_parallel = random.random() < 0.4
    share_us = max(1, parent.duration_us * 9 // 10 // (1 if is_parallel else count))
    found = []
    for position in range(count):
        duration_us = int(share_us * random.uniform(0.5, 1.0))
        offset_us = parent.duration_us // 20 + (0 if is_parallel else position * share_us)
        role = _role(parent, random)
        work = _Work(random.getrandbits(64), parent.span_id, role, parent.service, parent.start_us + offset_us, 0)
        found.append(work._replace(duration_us=duration_us))
    return found


def _role(parent: _Work, random: Random) -> _Role:
    is_last = parent.service >= len(_SERVICES) - len(_WORKERS) - len(_LAYERS[-1])
    drawn = random.random()
    if is_last or drawn < 0.3:
        return "database"
    if drawn < 0.85:
        return "client"
    return "internal" if drawn < 0.95 else "producer"


def _answer(parent: _Work, random: Random) -> _Work:
    """Give the other side of a call: a service one layer down, or a worker that takes the message later."""
    span_id = random.getrandbits(64)
    if parent.role == "producer":
        service = _SERVICES.index(random.choice(_WORKERS))
        start_us = parent.start_us + parent.duration_us + random.randint(500, 50_000)
        return _Work(span_id, parent.span_id, "consumer", service, start_us, random.randint(1_000, 40_000))
    layer = next(number for number, names in enumerate(_LAYERS) if _SERVICES[parent.service] in names)
    service = _SERVICES.index(random.choice(_LAYERS[layer + 1]))
    network_us = parent.duration_us // 20
    duration_us = parent.duration_us - 2 * network_us
    return _Work(span_id, parent.span_id, "server", service, parent.start_us + network_us, duration_us)


def _span(work: _Work, trace_id: str, random: Random) -> str:
    name, tags, logs = _TEXTS[work.role][work.service][random.randrange(_OPERATIONS)]
    parent = f'{{"refType":"CHILD_OF","traceID":"{trace_id}","spanID":"{work.parent_id:016x}"}}'
    failed = _FAILED if random.random() < _FAILING else ""
    logs = logs.replace("@time", str(work.start_us)) if random.random() < 0.5 else ""
    return (
        f'{{"traceID":"{trace_id}","spanID":"{work.span_id:016x}","operationName":"{name}",'
        f'"references":[{parent if work.parent_id else ""}],"startTime":{work.start_us},"duration":{work.duration_us},'
        f'"tags":[{tags.replace("@number", str(random.getrandbits(40)))}{failed}],"logs":[{logs}],'
        f'"processID":"p{work.service}","warnings":null}}'
    )


def _tags(values: dict[str, object]) -> str:
    kinds = {str: "string", int: "int64", bool: "bool", float: "float64"}
    tags = [{"key": key, "type": kinds[type(value)], "value": value} for key, value in values.items()]
    return json.dumps(tags, separators=(",", ":"))[1:-1]


_FAILED = "," + _tags({"error": True, "otel.status_code": "ERROR"})


def _text(role: _Role, service: int, operation: int) -> tuple[str, str, str]:
    """Give an operation's name, its tags, and an event that half of its spans have."""
    owner = _SERVICES[service]
    path = f"/api/v1/{owner}/{('items', 'detail', 'batch', 'status')[operation]}"
    common: dict[str, object] = {
        "otel.scope.name": f"io.opentelemetry.{role}",
        "otel.scope.version": "2.11.0-alpha",
        "thread.id": 40,
    }
    http: dict[str, object] = {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    texts: dict[_Role, tuple[str, dict[str, object]]] = {
        "server": (f"GET {path}", {**http, "url.path": path, "url.scheme": "http", "client.address": "10.4.17.23"}),
        "client": (f"GET {path}", {**http, "url.full": f"http://{owner}.shop.svc:8080{path}?id=@number"}),
        "internal": (f"{owner.title()}Service.handle{operation}", {"code.function": "handle", "items.count": 12}),
        "database": (
            f"SELECT shop.{owner}_{operation}",
            {
                "db.system": "postgresql" if operation else "redis",
                "db.name": "shop",
                "db.statement": f"SELECT id, state, amount FROM {owner}_{operation} WHERE id = @number",  # noqa: S608
                "server.address": f"db-{service % 3}.shop.svc",
            },
        ),
        "producer": (f"{owner}.events publish", _message(f"{owner}.events", "publish")),
        "consumer": (f"{owner}.events process", _message(f"{owner}.events", "process")),
    }
    name, own = texts[role]
    kind = "client" if role == "database" else role
    event = {"event": "message", "level": "info", "text": f"{owner} is done with {operation}, cache was warm"}
    log = f'{{"timestamp":@time,"fields":[{_tags(dict(event))}]}}'
    return name, _tags({"span.kind": kind, **common, **own}), log


def _message(topic: str, operation: str) -> dict[str, object]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation": operation,
        "messaging.kafka.message.offset": 4711,
    }


def _process(service: int) -> str:
    tags = {
        "host.name": f"node-{service % 5}",
        "k8s.pod.name": f"{_SERVICES[service]}-7d9c5b8f4-x{service:03d}",
        "telemetry.sdk.language": "java",
    }
    return f'"p{service}":{{"serviceName":"{_SERVICES[service]}","tags":[{_tags(dict(tags))}]}}'


_ROLES: tuple[_Role, ...] = ("server", "internal", "client", "database", "producer", "consumer")
_TEXTS = {
    role: [[_text(role, service, each) for each in range(_OPERATIONS)] for service in range(len(_SERVICES))]
    for role in _ROLES
}
_PROCESSES = [_process(service) for service in range(len(_SERVICES))]
