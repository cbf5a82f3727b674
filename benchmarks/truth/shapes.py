"""Healthy programs: shapes of requests about which there is nothing to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from benchmarks.truth.programs import (
    TICK,
    Call,
    Crowd,
    Fork,
    Latency,
    Operation,
    Query,
    Section,
    Service,
    Step,
    System,
    Work,
)

_NETWORK = Latency(150, 0.3)
_TICK = Work(TICK)
_TABLES = ("users", "carts", "orders", "prices", "stocks", "coupons", "taxes", "routes", "parcels", "reviews", "tags")


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of healthy request."""

    steps: Callable[[Draw], tuple[Step, ...]]
    true_kinds: frozenset[str] = frozenset()
    """Findings that are true of it, for all its health: a call that was given up has failed."""
    stream: bool = False
    ends_late: bool = False
    """Whether servers keep their span open after their answer."""
    crowd: Callable[[Draw], Crowd] | None = None
    """Draws what requests share that are served at the same time, if this matters."""


class Draw:
    """Draws parts of programs."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.entry = Service("frontend", tuple(f"frontend-{number}" for number in range(random.randint(1, 3))))
        self.tail: Latency | None = None

    def latency(self, low_us: float, high_us: float, sigma: float = 0.3) -> Latency:
        """Draw a median between these two."""
        return Latency(self.random.uniform(low_us, high_us), sigma)

    def leaf(self, name: str, latency: Latency) -> Operation:
        """Give an operation of a service of its own that works so long."""
        service = Service(name, tuple(f"{name}-{number}" for number in range(self.random.randint(1, 2))), self.tail)
        return Operation(service, f"GET /{name}", (Work(latency),))

    def call(self, name: str, latency: Latency, path: str = "") -> Call:
        """Give a call to a service of its own that works so long."""
        return Call(self.leaf(name, latency), _NETWORK, path=path)

    def select(self, table: str, latency: Latency, where: str = "id = {id}") -> Query:
        """Give a query that takes so long."""
        return Query("mysql", "shop", f"SELECT * FROM {table} WHERE {where}", latency)  # noqa: S608  nobody runs it

    def tables(self, count: int) -> list[str]:
        """Give names of different tables."""
        return [_TABLES[n % len(_TABLES)] + (str(n // len(_TABLES)) if n >= len(_TABLES) else "") for n in range(count)]

    def around(self) -> tuple[Step, ...]:
        """Draw what nearly every request does first: a session is looked up, somebody is asked who it is."""
        session = Query("redis", "cache", "GET session:{id}", self.latency(300, 900))
        auth = self.call("auth", self.latency(2000, 8000))
        return tuple(step for step in (session, _TICK, auth, _TICK) if self.random.random() < 0.8)

    def system(self, steps: tuple[Step, ...], *, stream: bool = False) -> System:
        """Give a system whose requests take these steps."""
        entry = Operation(self.entry, "GET /page", (_TICK, *steps, _TICK), stream="events" if stream else "")
        return System((self.entry,), (entry,), (entry,))


def healthy(name: str, seed: int) -> System:
    """Draw a system whose requests have this shape."""
    shape, draw = SHAPES[name], Draw(Random(f"healthy {name} {seed}"))  # noqa: S311  the same every time is the point
    if shape.ends_late:
        draw.tail = Latency(2500, 0.6)
        draw.entry = replace(draw.entry, tail=draw.tail)
    if shape.crowd is not None:
        return replace(draw.system(()), crowd=shape.crowd(draw))
    around = () if shape.stream else draw.around()
    return draw.system((*around, *shape.steps(draw)), stream=shape.stream)


def _plain(draw: Draw) -> tuple[Step, ...]:
    steps: list[Step] = [draw.call("orders", draw.latency(3000, 20_000), "/orders/{id}"), _TICK]
    for table in draw.tables(draw.random.randint(1, 3)):
        steps += [draw.select(table, draw.latency(1000, 5000)), _TICK]
    steps.append(Section("render", (Work(draw.latency(500, 5000)),)))
    return tuple(steps)


def _dependent(draw: Draw) -> tuple[Step, ...]:
    """Draw calls of which each needs what the one before answered: they never change places, and new ids appear."""
    names = ("carts", "items", "prices", "stocks", "quotes", "routes")[: draw.random.randint(3, 6)]
    shows_ids = draw.random.random() < 0.5
    paths = ["/carts/{user}", *(f"/{name}/{{id}}" for name in names[1:])]
    calls = (
        draw.call(name, draw.latency(5000, 30_000), path if shows_ids else "")
        for name, path in zip(names, paths, strict=False)
    )
    return tuple(step for call in calls for step in (call, _TICK))


def _dependent_queries(draw: Draw) -> tuple[Step, ...]:
    latency = draw.latency(3000, 20_000)
    tables = draw.tables(draw.random.randint(3, 8))
    return tuple(step for table in tables for step in (draw.select(table, latency), _TICK))


def _scatter(draw: Draw) -> tuple[Step, ...]:
    """Draw alike calls side by side that take as long as they happen to."""
    call = draw.call("search", draw.latency(5000, 60_000, draw.random.uniform(0.2, 1.0)), "/search/{id}")
    count = draw.random.randint(3, 20)
    return (Fork(((call,),) * count, count),)


def _scatter_of_services(draw: Draw) -> tuple[Step, ...]:
    median_us, sigma = draw.random.uniform(5000, 60_000), draw.random.uniform(0.2, 0.8)
    names = [f"search-{number}" for number in range(draw.random.randint(3, 8))]
    calls = [draw.call(name, Latency(median_us * draw.random.uniform(0.8, 1.25), sigma)) for name in names]
    return (Fork(tuple((call,) for call in calls), len(calls)),)


def _computing(draw: Draw) -> tuple[Step, ...]:
    """Draw a service that computes, in spans made for it and between its calls."""
    compute = Section("compute", (Work(draw.latency(50_000, 300_000, 0.4)),))
    own = Work(draw.latency(5000, 40_000, 0.3))
    return (draw.select("rates", draw.latency(1000, 5000)), own, compute, own, compute)


def _streams(draw: Draw) -> tuple[Step, ...]:
    send: tuple[Step, ...] = (Work(Latency(2_000_000, 0.8)), Section("http send", (Work(Latency(80)),)))
    return send * draw.random.randint(10, 30)


def _polling(draw: Draw) -> tuple[Step, ...]:
    """Draw a job that is begun, and asked after at regular times until it is done."""
    call = draw.call("jobs", draw.latency(1000, 4000), "/jobs/{job}")
    pause, count = draw.latency(20_000, 300_000, 0.05), draw.random.randint(2, 15)
    status = draw.random.choice((0, 202, 404, 409, 425))
    if draw.random.random() < 0.3:
        ask: Step = draw.select("jobs", draw.latency(1000, 4000), "job = {job} AND state = 'done'")
        return (ask, Work(pause)) * count
    return (replace(call, attempts=count + 1, failures=(status,) * count, backoff=pause),)


def _timeouts(draw: Draw) -> tuple[Step, ...]:
    call = draw.call("stock", draw.latency(5000, 15_000))
    return (replace(call, timeout_us=draw.random.choice((50_000, 100_000)), late=0.1), _TICK)


def _statements(draw: Draw) -> tuple[Step, ...]:
    """Draw different statements that all have one name."""
    latency, where = draw.latency(800, 3000), draw.random.choice(("id = ?", "id = {id}", "name = '{word}'"))
    tables = draw.tables(draw.random.randint(6, 20))
    return tuple(step for table in tables for step in (draw.select(table, latency, where), _TICK))


def _late_ends(draw: Draw) -> tuple[Step, ...]:
    calls = (draw.call(name, draw.latency(2000, 10_000)) for name in ("catalog", "offers"))
    return tuple(step for call in calls for step in (call, _TICK))


def _cache_aside(draw: Draw) -> tuple[Step, ...]:
    """Draw values that are looked up in a cache, then in the database, and put into the cache."""
    steps: list[Step] = []
    for table in draw.tables(draw.random.randint(1, 3)):
        steps += [
            Query("redis", "cache", f"GET {table}:{{user}}", draw.latency(300, 900)),
            _TICK,
            draw.select(table, draw.latency(2000, 10_000), "id = {user}"),
            _TICK,
            Query("redis", "cache", f"SETEX {table}:{{user}} 60 ?", draw.latency(300, 900)),
            _TICK,
        ]
    return tuple(steps)


def _pages(draw: Draw) -> tuple[Step, ...]:
    """Draw pages of a list, each asked for with the cursor that came with the one before."""
    name = draw.random.choice(("cursor", "page_token", "after", "starting_after"))
    call = draw.call("catalog", draw.latency(2000, 15_000), f"/items?limit=100&{name}={{word}}")
    pages: Step = call
    if draw.random.random() < 0.4:
        pages = draw.select("items", draw.latency(2000, 15_000), "id > {id} ORDER BY id LIMIT 100")
    return (pages, _TICK) * draw.random.randint(3, 20)


def _busy(draw: Draw) -> Crowd:
    """Draw many requests at once, with connections for all of them and pauses before they use these."""
    query = draw.select("orders", draw.latency(10_000, 60_000))
    work = draw.latency(3000, 15_000)
    return Crowd(1000, 1000, draw.latency(2000, 20_000, 1.0), work, query, draw.random.randint(1, 3))


def _workers(draw: Draw) -> Crowd:
    """Draw requests that wait for a worker before they begin; each worker has its own connection."""
    busy = _busy(draw)
    count = draw.random.randint(1, 8)
    return replace(busy, connections=count, workers=count)


SHAPES: Mapping[str, Shape] = {
    "plain": Shape(_plain),
    "dependent calls": Shape(_dependent),
    "dependent queries": Shape(_dependent_queries),
    "scatter": Shape(_scatter),
    "scatter of services": Shape(_scatter_of_services),
    "computing": Shape(_computing),
    "streams": Shape(_streams, stream=True),
    "polling": Shape(_polling),
    # A server that begins late after its client called is time between the two, and a call given up has failed.
    "timeouts": Shape(_timeouts, frozenset(("error", "network"))),
    "different statements": Shape(_statements),
    "late ends": Shape(_late_ends, ends_late=True),
    "cache-aside": Shape(_cache_aside),
    "pages by cursor": Shape(_pages),
    "many at once": Shape(lambda _: (), crowd=_busy),
    "few workers": Shape(lambda _: (), crowd=_workers),
}
"""All shapes by name."""
