"""Requests executed: when each span truly was, and which span truly held each instant of a request.

A line of execution knows at every instant whether it works or is blocked, and if blocked, whose end released it. Who
held a request is read off this backwards from its answer: what released the line held it since it was begun. traceq's
own rules have no part in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from random import Random
from typing import Literal, NamedTuple, TypeAlias, assert_never

from benchmarks.truth.programs import (
    TICK,
    Call,
    Fork,
    Hedge,
    Operation,
    Publish,
    Query,
    Section,
    Service,
    Shuffled,
    Spawn,
    Staggered,
    Step,
    System,
    Work,
)
from benchmarks.truth.texts import fill
from traceq.semantics import Kind

Attributes: TypeAlias = dict[str, str | int]
Circumstance: TypeAlias = Literal[
    "plain", "background", "hidden", "message", "hedge", "timeout", "late end", "staggered", "pool"
]
"""What a span is part of that makes it hard to tell who waited; the innermost counts."""

EPOCH_NS = 1_760_000_000_000_000_000
"""When the first request may come."""
_EVERY_NS = 100_000_000
"""From one request to the next."""
_FORKING_NS = 12_000


@dataclass(slots=True)
class TrueSpan:
    """A span as it truly was."""

    parent: int
    """Its number in the request; -1 for the root."""
    service: str
    host: str
    name: str
    kind: Kind
    begun_ns: int
    attributes: Attributes
    ended_ns: int = 0
    failed: bool = False
    follows: bool = False
    circumstance: Circumstance = "plain"
    resource: Attributes = field(default_factory=dict)
    """Attributes of its process, beside its service and host."""
    waited_ns: int = 0
    """How long it waited for a connection before it began, where requests are served at the same time."""
    is_cut: bool = False
    """Whether it never came to be, since what would have made it was cancelled."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A time in which a line of execution was blocked."""

    begun_ns: int
    released_ns: int
    by: Line
    """Whose doing it waited for ..."""
    done_ns: int
    """... and when that was done, or given up; the rest is the way back."""


@dataclass(slots=True)
class Line:
    """A line of execution: that of a span, or of a branch within one."""

    span: int
    host: str
    service: Service
    begun_ns: int
    now_ns: int
    waits: list[Wait] = field(default_factory=list)

    def wait(self, released_ns: int, by: Line, done_ns: int) -> None:
        """Be blocked until this instant."""
        self.waits.append(Wait(self.now_ns, released_ns, by, done_ns))
        self.now_ns = released_ns


class Stretch(NamedTuple):
    """A time in which one span held a request."""

    span: int
    from_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it truly was."""

    operation: Operation
    spans: tuple[TrueSpan, ...]
    """The root first, every other after its parent."""
    stretches: tuple[Stretch, ...]
    """Who truly held the request from when to when, the last first; they tile the root's duration."""

    @property
    def held_ns(self) -> dict[int, int]:
        """How long each span truly held the request."""
        held_ns: dict[int, int] = {}
        for stretch in self.stretches:
            held_ns[stretch.span] = held_ns.get(stretch.span, 0) + stretch.until_ns - stretch.from_ns
        return held_ns


def execute(system: System, count: int, seed: int, *, streams: float = 0.0) -> list[Request]:
    """Execute so many requests of a system; this share of them are streams."""
    random = Random(f"requests {seed}")  # noqa: S311  the same every time is the point
    requests = []
    for number in range(count):
        entries = system.streams if random.random() < streams else system.entries
        start_ns = EPOCH_NS + number * _EVERY_NS + random.randrange(_EVERY_NS)
        requests.append(_Execution(random).request(random.choice(entries), start_ns))
    _mark_hidden(requests)
    return requests


_SEEN = 0.01
"""Share of the calls in which a task has to outlive its caller for that to be seen."""


def _mark_hidden(requests: Sequence[Request]) -> None:
    """Tell the background tasks that hardly ever outlive their caller: their spans look as if they were waited for."""
    tasks: Counter[tuple[str, ...]] = Counter()
    outliving: Counter[tuple[str, ...]] = Counter()
    for request in requests:
        for span in _tasks(request):
            above = request.spans[span.parent]
            tasks[_sort(span, above)] += 1
            outliving[_sort(span, above)] += span.ended_ns > above.ended_ns
    for request in requests:
        for span in request.spans:
            above = request.spans[span.parent]
            if span.circumstance == "background" and (
                above.circumstance == "hidden"
                or (above.circumstance != "background" and outliving[key := _sort(span, above)] <= _SEEN * tasks[key])
            ):
                span.circumstance = "hidden"


def _tasks(request: Request) -> Iterator[TrueSpan]:
    for span in request.spans:
        if span.circumstance == "background" and request.spans[span.parent].circumstance != "background":
            yield span


def _sort(span: TrueSpan, above: TrueSpan) -> tuple[str, ...]:
    return (span.service, above.name, span.name, str(span.attributes.get("url.full")))


def held(line: Line, until_ns: int) -> Iterator[Stretch]:
    """Tell which span held the line from its beginning until then, the last stretch first."""
    cursor_ns = until_ns
    for wait in reversed(line.waits):
        # What was not waited for yet when the last one was begun held nothing that is not told.
        if wait.begun_ns >= cursor_ns or wait.by.begun_ns >= cursor_ns:
            continue
        done_ns = min(wait.done_ns, cursor_ns)
        yield Stretch(line.span, done_ns, cursor_ns)
        yield from held(wait.by, done_ns)
        cursor_ns = wait.by.begun_ns
    yield Stretch(line.span, line.begun_ns, cursor_ns)


class _Execution:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.known: dict[str, str] = {}
        self.spans: list[TrueSpan] = []

    def request(self, operation: Operation, start_ns: int) -> Request:
        line, _ = self.serve(operation, -1, start_ns)
        return Request(operation, tuple(self.spans), tuple(held(line, self.spans[0].ended_ns)))

    def open(self, line: Line, kind: Kind, name: str, attributes: Attributes) -> Line:
        """Begin a span within a line, on its host."""
        self.spans.append(TrueSpan(line.span, line.service.name, line.host, name, kind, line.now_ns, attributes))
        return Line(len(self.spans) - 1, line.host, line.service, line.now_ns, line.now_ns)

    def close(self, line: Line, *, failed: bool = False) -> None:
        span = self.spans[line.span]
        span.ended_ns, span.failed = line.now_ns, span.failed or failed

    def mark(self, first: int, circumstance: Circumstance) -> None:
        """Tell what the spans from this one on are part of."""
        for span in self.spans[first:]:
            if span.circumstance == "plain":
                span.circumstance = circumstance

    def branch(self, line: Line) -> Line:
        return Line(line.span, line.host, line.service, line.now_ns, line.now_ns)

    def serve(self, operation: Operation, parent: int, start_ns: int, kind: Kind = Kind.SERVER) -> tuple[Line, int]:
        """Execute an operation on one of its hosts; gives its line and when it answered."""
        service, number = operation.service, len(self.spans)
        host = self.random.choice(service.hosts)
        above = Line(parent, host, service, start_ns, start_ns)
        line = self.open(above, kind, operation.name, _server_attributes(operation))
        self.run(line, operation.steps)
        answered_ns = line.now_ns
        if service.tail is not None and kind is Kind.SERVER and self.random.random() < 0.4:
            line.now_ns += min(service.tail.draw(self.random), 7_000_000)
            self.spans[number].circumstance = "late end"
        self.close(line, failed=self.random.random() < operation.failing)
        return line, answered_ns

    def run(self, line: Line, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self.step(line, step)

    def step(self, line: Line, step: Step) -> None:  # noqa: C901  one case for each kind of step
        match step:
            case Work():
                line.now_ns += step.latency.draw(self.random)
            case Call():
                self.call(line, step)
            case Query():
                self.query(line, step)
            case Section():
                self.section(line, step.name, step.steps)
            case Fork():
                self.fork(line, step)
            case Shuffled():
                for part in self.random.sample(step.steps, len(step.steps)):
                    self.run(line, (part, Work(TICK)))
            case Staggered():
                self.staggered(line, step)
            case Hedge():
                self.hedge(line, step)
            case Spawn():
                self.spawn(line, step)
            case Publish():
                self.publish(line, step)
            case _:
                assert_never(step)

    def section(self, line: Line, name: str, steps: tuple[Step, ...]) -> None:
        inner = self.open(line, Kind.INTERNAL, name, {})
        self.run(inner, steps)
        self.close(inner)
        line.wait(inner.now_ns, inner, inner.now_ns)

    def query(self, line: Line, step: Query) -> None:
        attributes: Attributes = {"db.system": step.system, "db.namespace": step.database}
        statement = fill(step.statement, self.known, self.random)
        attributes |= {"db.query.text": statement, "server.address": f"{step.system}-{step.database}"}
        attributes |= {"db.response.returned_rows": step.row_count} if step.row_count else {}
        inner = self.open(line, Kind.CLIENT, f"{step.system}.{step.statement.split()[0]}", attributes)
        inner.now_ns += step.latency.draw(self.random)
        self.close(inner)
        line.wait(inner.now_ns, inner, inner.now_ns)

    def call(self, line: Line, step: Call) -> None:
        for attempt in range(step.attempts):
            if attempt:
                line.now_ns += step.backoff.draw(self.random)
            client, failed = self.attempt(line, step, (*step.failures[attempt : attempt + 1], 0)[0])
            line.wait(client.now_ns, client, client.now_ns)
            if not failed:
                return
        if self.random.random() < 0.5:
            self.spans[line.span].failed = True

    def attempt(self, line: Line, step: Call, status: int = 0) -> tuple[Line, bool]:
        """Make one call, answered with this status if it is not 0; gives the client's line, and whether it failed."""
        first = len(self.spans)
        attributes = _client_attributes(step.callee, fill(step.path, self.known, self.random))
        attributes |= {"http.response.body.size": step.body_bytes} if step.body_bytes else {}
        attributes |= {"http.response.status_code": status} if status else {}
        client = self.open(line, Kind.CLIENT, _client_name(step.callee), attributes)
        client.now_ns += 0 if step.pool is None else step.pool.draw(self.random)
        if step.refusal is not None:
            client.now_ns += step.refusal.draw(self.random)
            self.close(client, failed=True)
            return client, True
        arrival_ns = client.now_ns + step.network.draw(self.random)
        if self.random.random() < step.late:
            arrival_ns += int(step.timeout_us * 1000 * self.random.uniform(0.5, 1.5))
        server, answered_ns = self.serve(step.callee, client.span, arrival_ns)
        released_ns = answered_ns + step.network.draw(self.random)
        given_up_ns = client.begun_ns + int(step.timeout_us * 1000)
        timed_out = bool(step.timeout_us) and released_ns > given_up_ns
        if timed_out:
            released_ns = max(given_up_ns, client.now_ns)
        if server.begun_ns < released_ns:
            # The answer's way is held by the server while its span is open, then by the client.
            client.wait(released_ns, server, min(server.now_ns, released_ns))
        client.now_ns = released_ns
        if timed_out:
            self.mark(first, "timeout")
        if self.spans[server.span].circumstance == "late end":
            self.spans[client.span].circumstance = "late end"
        if status:
            self.spans[server.span].attributes["http.response.status_code"] = status
            # A server is not to blame for what it cannot find.
            self.spans[server.span].failed |= status >= 500
        failed = timed_out or status >= 400 or self.spans[server.span].failed
        self.close(client, failed=failed)
        return client, failed

    def fork(self, line: Line, step: Fork) -> None:
        first, lanes = len(self.spans), []
        for _ in range(min(step.width, len(step.branches))):
            line.now_ns += _FORKING_NS
            lanes.append(self.branch(line))
        free = [(lane.now_ns, number) for number, lane in enumerate(lanes)]
        heapify(free)
        for branch in step.branches:
            _, number = free[0]
            lane = lanes[number]
            self.run(lane, branch)
            lane.now_ns += _FORKING_NS
            heapreplace(free, (lane.now_ns, number))
        last = max(lanes, key=lambda lane: lane.now_ns)
        line.wait(last.now_ns, last, last.now_ns)
        if step.width < len(step.branches):
            self.mark(first, "pool")

    def staggered(self, line: Line, step: Staggered) -> None:
        first, lanes = len(self.spans), []
        for pause, part in step.parts:
            line.now_ns += pause.draw(self.random)
            lane = self.branch(line)
            self.step(lane, part)
            lanes.append(lane)
        for lane in lanes:
            if lane.now_ns > line.now_ns:
                line.wait(lane.now_ns, lane, lane.now_ns)
        self.mark(first, "staggered")

    def hedge(self, line: Line, step: Hedge) -> None:
        first, _ = self.attempt(self.branch(line), step.call)
        hedged_ns = line.now_ns + step.delay.draw(self.random)
        if first.now_ns <= hedged_ns:
            line.wait(first.now_ns, first, first.now_ns)
            return
        line.wait(hedged_ns, first, hedged_ns)
        second, _ = self.attempt(self.branch(line), step.call)
        winner, loser = (first, second) if first.now_ns <= second.now_ns else (second, first)
        until = second.span if loser is first else len(self.spans)
        self.mark(first.span, "hedge")
        self.cancel(range(loser.span, until), winner.now_ns + int(self.random.uniform(20_000, 500_000)))
        line.wait(winner.now_ns, winner, winner.now_ns)

    def cancel(self, spans: range, at_ns: int) -> None:
        """End a call; the server hears of it, or works on."""
        heard = self.random.random() < 0.5
        for number in spans if heard else spans[:1]:
            span = self.spans[number]
            # The server hears of it later than its client.
            cut_ns = at_ns + (200_000 if number > spans.start else 0)
            span.is_cut = span.begun_ns >= cut_ns
            if span.ended_ns > cut_ns:
                span.ended_ns, span.failed = cut_ns, True

    def spawn(self, line: Line, step: Spawn) -> None:
        line.now_ns += _FORKING_NS
        background = self.branch(line)
        background.now_ns += step.begins.draw(self.random)
        first = len(self.spans)
        if step.name:
            self.section(background, step.name, step.steps)
        else:
            self.run(background, step.steps)
        self.mark(first, "background")

    def publish(self, line: Line, step: Publish) -> None:
        attributes: Attributes = {"messaging.system": "kafka", "messaging.destination.name": step.topic}
        producer = self.open(line, Kind.PRODUCER, f"{step.topic} publish", attributes)
        sent_ns = producer.now_ns
        producer.now_ns += step.acknowledged.draw(self.random)
        self.close(producer)
        if step.is_awaited:
            line.wait(producer.now_ns, producer, producer.now_ns)
        else:
            line.now_ns += _FORKING_NS
        received_ns = sent_ns + step.delivered.draw(self.random)
        consumer, _ = self.serve(step.consumer, producer.span, received_ns, Kind.CONSUMER)
        span = self.spans[consumer.span]
        span.name, span.follows = f"{step.topic} process", step.follows
        span.attributes = attributes | {
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": consumer.service.name,
        }
        self.mark(producer.span, "message")


def _server_attributes(operation: Operation) -> Attributes:
    if operation.protocol == "grpc":
        return {"rpc.system": "grpc", "rpc.service": operation.name.partition("/")[0]}
    method, _, route = operation.name.partition(" ")
    found: Attributes = {"http.request.method": method, "http.route": route}
    return found | _STREAMS[operation.stream]


_STREAMS: dict[str, Attributes] = {
    "": {},
    "events": {"http.response.header.content-type": "text/event-stream"},
    "websocket": {"http.request.header.upgrade": "websocket", "http.response.status_code": 101},
    "grpc": {"rpc.system": "grpc", "rpc.grpc.stream": "server"},
}


def _client_name(operation: Operation) -> str:
    return operation.name if operation.protocol == "grpc" else operation.name.partition(" ")[0]


def _client_attributes(operation: Operation, path: str = "") -> Attributes:
    host = f"{operation.service.name}.shop.svc.cluster.local"
    if operation.protocol == "grpc":
        return _server_attributes(operation) | {"server.address": host}
    method, _, route = operation.name.partition(" ")
    return {"http.request.method": method, "url.full": f"http://{host}{path or route}", "server.address": host}
