"""Requests that are served at the same time and wait for the same workers and connections, by discrete events."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple, TypeAlias

from benchmarks.truth.execution import EPOCH_NS, Request, TrueSpan
from benchmarks.truth.programs import Latency, System
from benchmarks.truth.texts import fill
from traceq.semantics import Kind

_HANDED_OVER = Latency(30, 0.5)
"""From one that gives back to the next that takes."""


@dataclass(slots=True)
class _Supply:
    """Workers or connections of one process; who comes first is served first."""

    free: int
    waiting: deque[_Served] = field(default_factory=deque)


_Served: TypeAlias = "Generator[int | tuple[_Supply, bool], int, None]"
"""A request: it yields how long it does something in ns, or what it takes (True) or gives back; it is sent the time."""


def execute_crowd(system: System, count: int, seed: int) -> list[Request]:
    """Execute so many requests of a system with a crowd; who truly held them is not told."""
    random, crowd = Random(f"crowd {seed}"), system.crowd  # noqa: S311  the same every time is the point
    if crowd is None:
        raise ValueError("this system serves each request on its own")
    hosts = system.entries[0].service.hosts
    supplies = {host: (_Supply(crowd.workers), _Supply(crowd.connections)) for host in hosts}
    requests: list[list[TrueSpan]] = []
    events: list[tuple[int, int, _Served]] = []
    now_ns, number = EPOCH_NS, 0
    for number in range(count):
        now_ns += crowd.every.draw(random)
        host = random.choice(hosts)
        requests.append([])
        served = _serve(_Setting(system, host, *supplies[host]), requests[-1], random)
        next(served)
        heappush(events, (now_ns, number, served))
    while events:
        now_ns, _, served = heappop(events)
        for woken, wait_ns in _advance(served, now_ns, random):
            number += 1
            heappush(events, (now_ns + wait_ns, number, woken))
    return [Request(system.entries[0], tuple(spans), ()) for spans in requests]


def _advance(served: _Served, now_ns: int, random: Random) -> list[tuple[_Served, int]]:
    """Let a request go on; gives who goes on when."""
    try:
        asked = served.send(now_ns)
    except StopIteration:
        return []
    if isinstance(asked, int):
        return [(served, asked)]
    supply, takes = asked
    if not takes:
        supply.free += 1
    woken = [] if takes else [(served, 0)]
    if takes:
        supply.waiting.append(served)
    if supply.free and supply.waiting:
        supply.free -= 1
        woken.append((supply.waiting.popleft(), _HANDED_OVER.draw(random)))
    return woken


class _Setting(NamedTuple):
    system: System
    host: str
    workers: _Supply
    connections: _Supply


def _serve(setting: _Setting, spans: list[TrueSpan], random: Random) -> _Served:
    system, host, workers, connections = setting
    operation, crowd = system.entries[0], system.crowd
    if crowd is None:
        return
    service, query = operation.service.name, crowd.query
    yield 0
    now_ns = yield (workers, True)
    root = TrueSpan(-1, service, host, operation.name, Kind.SERVER, now_ns, {"http.route": "/page"})
    spans.append(root)
    for _ in range(crowd.query_count):
        asked_ns = yield crowd.work.draw(random)
        now_ns = yield (connections, True)
        asked = {"db.system": query.system, "db.namespace": query.database}
        asked |= {"db.query.text": fill(query.statement, {}, random), "server.address": query.system}
        span = TrueSpan(0, service, host, f"{query.system}.SELECT", Kind.CLIENT, now_ns, dict(asked))
        span.waited_ns = now_ns - asked_ns
        spans.append(span)
        span.ended_ns = yield query.latency.draw(random)
        yield (connections, False)
    root.ended_ns = yield crowd.work.draw(random)
    yield (workers, False)
