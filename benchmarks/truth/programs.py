"""Programs whose waiting is known: services, their hosts and operations, and the steps that operations are made of.

A seed draws a system. Its operations always take the same steps; how long each takes is drawn for every request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["http", "grpc"]
Stream: TypeAlias = Literal["", "events", "websocket", "grpc"]


@dataclass(frozen=True, slots=True)
class Latency:
    """A length of time, log-normally distributed."""

    median_us: float
    sigma: float = 0.5

    def draw(self, random: Random) -> int:
        """Draw one, in ns."""
        return int(self.median_us * random.lognormvariate(0, self.sigma) * 1000)


@dataclass(frozen=True, slots=True)
class Service:
    """A program that runs on several hosts."""

    name: str
    hosts: tuple[str, ...]
    tail: Latency | None = None
    """Up to how long a server span stays open after its answer, as those of ASGI servers do; None for not at all."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a service does when it is called or gets a message."""

    service: Service
    name: str
    steps: tuple[Step, ...]
    protocol: Protocol = "http"
    failing: float = 0.0
    """How often it answers with an error."""
    stream: Stream = ""
    """What it keeps open; empty for a request that is answered and done."""


@dataclass(frozen=True, slots=True)
class Work:
    """The span works itself."""

    latency: Latency


@dataclass(frozen=True, slots=True)
class Call:
    """Another service is called, and waited for."""

    callee: Operation
    network: Latency
    """Each way."""
    timeout_us: float = 0.0
    """After which the caller gives up; the server knows nothing of it. 0 for never."""
    late: float = 0.0
    """How often the server begins only after something like the timeout."""
    attempts: int = 1
    """Made until one succeeds."""
    backoff: Latency = Latency(2000)
    pool: Latency | None = None
    """What the call waits for a connection, within its span."""
    refusal: Latency | None = None
    """After which the call fails since nobody is there to answer; None where somebody is."""
    path: str = ""
    """What is asked for, with blanks (`texts.fill`); empty for the callee's route."""
    failures: tuple[int, ...] = ()
    """HTTP statuses with which the first attempts fail."""
    body_bytes: int = 0
    """Size of the answer; 0 where it is not recorded."""


@dataclass(frozen=True, slots=True)
class Query:
    """A database is asked."""

    system: str
    database: str
    statement: str
    """May have blanks (`texts.fill`)."""
    latency: Latency
    row_count: int = 0
    """Rows of the answer; 0 where they are not recorded."""


@dataclass(frozen=True, slots=True)
class Section:
    """Steps with a span of their own."""

    name: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches side by side, all of them waited for at the end."""

    branches: tuple[tuple[Step, ...], ...]
    width: int
    """How many run at once: threads or connections of a pool; a branch waits until one is free."""


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Steps one after the other, in another order every time: none needs what another one gives."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Staggered:
    """Steps begun one after the other, with the span's own work between, and waited for in the same order."""

    parts: tuple[tuple[Latency, Step], ...]


@dataclass(frozen=True, slots=True)
class Hedge:
    """A call, a second one to another host when no answer has come by then; the slower one is cancelled."""

    call: Call
    delay: Latency


@dataclass(frozen=True, slots=True)
class Spawn:
    """Steps in the background that nobody waits for."""

    name: str
    """Of their span; empty where a call has the only one."""
    steps: tuple[Step, ...]
    begins: Latency = Latency(15)


@dataclass(frozen=True, slots=True)
class Publish:
    """A message is sent; whoever gets it works on it later."""

    topic: str
    consumer: Operation
    acknowledged: Latency
    delivered: Latency
    """From the sending on: it may be taken before the acknowledgement is back."""
    follows: bool
    """Whether the consumer's span refers to the producer's with FOLLOWS_FROM."""
    is_awaited: bool


Step: TypeAlias = "Work | Call | Query | Section | Fork | Shuffled | Staggered | Hedge | Spawn | Publish"


@dataclass(frozen=True, slots=True)
class Crowd:
    """Requests of one program that come while others are served, and share what they need."""

    connections: int
    """To the database, of each process."""
    workers: int
    """The number of requests that each process serves at once; others wait before their span begins."""
    every: Latency
    """From one request to the next."""
    work: Latency
    """Before each query, and after the last."""
    query: Query
    query_count: int
    """By request, one after the other, each with a connection of its own."""


@dataclass(frozen=True, slots=True)
class System:
    """Services, and the operations at which requests enter; the last entries may be streams."""

    services: tuple[Service, ...]
    entries: tuple[Operation, ...]
    streams: tuple[Operation, ...]
    crowd: Crowd | None = None
    """How requests of the first entry are executed, instead of each on its own, by its steps."""


_NAMES = (
    ("frontend",),
    ("orders", "catalog", "accounts", "search"),
    ("payments", "inventory", "pricing", "sessions"),
    ("ledger", "warehouse", "fraud", "audit"),
)
_CONSUMERS = ("mailer", "invoicing")
_NOUNS = ("order", "item", "quote", "user", "room", "offer", "event", "batch")
_SYSTEMS = (("mysql", "shop"), ("postgresql", "shop"), ("mongodb", "chat"), ("redis", "cache"))
_STATEMENTS = tuple(f"SELECT * FROM {noun}s WHERE id = ?" for noun in _NOUNS)  # noqa: S608  nobody runs them
TICK = Latency(15, 0.3)
"""Between one step and the next, where the span does nothing in between."""


def draw_system(seed: int) -> System:
    """Draw services and operations."""
    return _Draw(Random(f"system {seed}")).system()  # noqa: S311  the same every time is the point


class _Draw:
    """Operations are drawn from the last layer of services to the first, so that calls make no ring."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.callees: tuple[Operation, ...] = ()
        self.consumers: tuple[Operation, ...] = ()
        self.names = 0

    def system(self) -> System:
        services: list[Service] = []
        for layer in (*reversed(_NAMES[1:]), _CONSUMERS):
            drawn = [self.service(name) for name in layer[: self.random.randint(2, len(layer))]]
            depth = 0 if layer is _CONSUMERS else _NAMES.index(layer)
            operations = tuple(self.operation(service, depth) for service in drawn for _ in range(2))
            if layer is _CONSUMERS:
                self.consumers = operations
            elif depth > 1:
                self.callees = operations
            else:
                self.callees, lower = operations, self.callees
                self.callees += lower
            services += drawn
        frontend = self.service("frontend")
        entries = tuple(self.operation(frontend, 0) for _ in range(self.random.randint(3, 5)))
        kinds: tuple[Stream, ...] = ("events", "websocket", "grpc")
        streams = (self.stream(frontend, self.random.choice(kinds)),)
        return System((frontend, *services), entries, streams)

    def service(self, name: str) -> Service:
        hosts = tuple(f"{name}-{number}" for number in range(self.random.randint(1, 3)))
        return Service(name, hosts, Latency(1500, 0.7) if self.random.random() < 0.15 else None)

    def operation(self, service: Service, depth: int) -> Operation:
        protocol: Protocol = "grpc" if depth and self.random.random() < 0.4 else "http"
        noun = self.random.choice(_NOUNS)
        self.names += 1
        if protocol == "grpc":
            name = f"{service.name}.{service.name.title()}/Get{noun.title()}{self.names}"
        else:
            name = f"{self.random.choice(('GET', 'POST'))} /{service.name}/{noun}{self.names}"
        count = self.random.randint(2, 5 - depth) if depth < 3 else self.random.randint(1, 2)
        steps: list[Step] = [Work(self.work(0.2))]
        for _ in range(count):
            steps += [self.step(depth), Work(self.work(0.4))]
        failing = 0.01 if self.random.random() < 0.3 else 0.0
        return Operation(service, name, tuple(steps), protocol, failing)

    def stream(self, service: Service, kind: Stream) -> Operation:
        send: tuple[Step, ...] = (Work(Latency(2_000_000, 0.8)), Section("http send", (Work(Latency(80)),)))
        return Operation(service, f"GET /{service.name}/live", send * 20, "http", stream=kind)

    def work(self, share: float) -> Latency:
        """Draw real work, in this share of the cases, or hardly any."""
        if self.random.random() > share:
            return TICK
        return Latency(self.random.uniform(400, 6000), self.random.uniform(0.3, 0.8))

    def step(self, depth: int) -> Step:
        kinds: tuple[tuple[int, Callable[[], Step]], ...] = (
            (22, self.query),
            (4, self.section),
            (30, self.call),
            (4, self.retried),
            (3, self.timed),
            (10, self.fork),
            (3, self.pool),
            (5, self.staggered),
            (2, self.hedge),
            (4, self.spawn),
            (5, self.publish),
        )
        usable = kinds if depth < 3 and self.callees else kinds[:2]
        (kind,) = self.random.choices([kind for _, kind in usable], [weight for weight, _ in usable])
        return kind()

    def query(self) -> Step:
        system, database = self.random.choice(_SYSTEMS)
        statement = self.random.choice(_STATEMENTS)
        latency = Latency(self.random.choice((600, 1600, 4000, 12_000)), self.random.uniform(0.3, 0.8))
        return Query(system, database, statement, latency)

    def section(self) -> Step:
        name = self.random.choice(("render", "validate", "serialize", "compress"))
        inner: tuple[Step, ...] = (self.query(), Work(TICK)) if self.random.random() < 0.5 else ()
        return Section(name, (Work(self.work(0.8)), *inner))

    def call(self) -> Call:
        pool = Latency(300, 1.0) if self.random.random() < 0.1 else None
        return Call(self.random.choice(self.callees), Latency(self.random.uniform(80, 250), 0.4), pool=pool)

    def retried(self) -> Step:
        call = self.call()
        callee = Operation(call.callee.service, call.callee.name, call.callee.steps, call.callee.protocol, 0.1)
        return Call(callee, call.network, attempts=3)

    def timed(self) -> Step:
        call = self.call()
        return Call(call.callee, call.network, timeout_us=self.random.choice((50_000, 100_000)), late=0.05, attempts=2)

    def short(self) -> Step:
        return self.call() if self.random.random() < 0.6 else self.query()

    def fork(self) -> Step:
        branches = tuple((self.short(),) for _ in range(self.random.randint(2, 4)))
        return Fork(branches, len(branches))

    def pool(self) -> Step:
        branch = (self.short(),)
        return Fork((branch,) * self.random.randint(3, 8), self.random.randint(1, 3))

    def staggered(self) -> Step:
        pauses = (
            Latency(self.random.choice((15, 15, 60, 60, 200, 500)), 0.4) for _ in range(self.random.randint(2, 3))
        )
        return Staggered(tuple((pause, self.short()) for pause in pauses))

    def hedge(self) -> Step:
        return Hedge(self.call(), Latency(self.random.uniform(4000, 16_000), 0.1))

    def spawn(self) -> Step:
        """Draw background work that outlives its caller always, now and then, or hardly ever."""
        median_us = self.random.choice((300_000, 200_000, 40_000, 15_000, 500))
        name = f"async-{self.random.choice(('audit', 'flush', 'prefetch', 'metrics'))}"
        if self.random.random() < 0.15:
            return Spawn("", (self.call(),))
        inner: tuple[Step, ...] = (self.short(),) if self.random.random() < 0.4 else ()
        return Spawn(name, (*inner, Work(Latency(median_us, 0.6))))

    def publish(self) -> Step:
        return Publish(
            topic=f"{self.random.choice(_NOUNS)}.events",
            consumer=self.random.choice(self.consumers) if self.consumers else self.random.choice(self.callees),
            acknowledged=Latency(self.random.uniform(400, 3000), 0.4),
            delivered=Latency(self.random.choice((500, 3000, 15_000)), 0.8),
            follows=self.random.random() < 0.3,
            is_awaited=self.random.random() < 0.9,
        )
