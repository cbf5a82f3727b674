"""Problems that findings should tell, of any strength above the threshold of their kind, and programs without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from benchmarks.truth.programs import TICK, Crowd, Fork, Latency, Publish, Query, Section, Shuffled, Step, System, Work
from benchmarks.truth.shapes import Draw
from traceq.analysis.thresholds import Thresholds

STRENGTHS = (1.1, 1.6, 5.0, 20.0)
"""Multiples of the thresholds."""
_TICK = Work(TICK)
_BOUNDS = Thresholds()

Steps = tuple[Step, ...]


class Planted(NamedTuple):
    """A problem, and what is there when it is mended."""

    steps: Steps
    mended: Steps
    crowds: tuple[Crowd, Crowd] | tuple[None, None] = (None, None)
    """The same for requests that are served at the same time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of problem."""

    planted: Callable[[Draw, float], Planted]
    """Draws one of this strength, a multiple of the threshold."""
    kinds: frozenset[str]
    """Kinds of findings that tell it."""


def plant(name: str, strength: float, seed: int) -> tuple[System, System]:
    """Draw a system with a problem, and the same system without it."""
    draw = Draw(Random(f"planted {name} {strength} {seed}"))  # noqa: S311  the same every time is the point
    planted, around = PROBLEMS[name].planted(draw, strength), draw.around()
    with_it, without = (
        replace(draw.system((*around, *steps)), crowd=crowd)
        for steps, crowd in zip((planted.steps, planted.mended), planted.crowds, strict=True)
    )
    return with_it, without


def _count(threshold: float, strength: float) -> int:
    """Give the number of calls; just above a threshold is the threshold, which counts."""
    return round(threshold * strength) if strength > STRENGTHS[0] else round(threshold)


_ALIKE = (
    "SELECT * FROM tags WHERE item = ?",
    "SELECT * FROM tags WHERE item = {id}",
    "SELECT * FROM tags WHERE name = '{word}' AND item = {id}",
    "SELECT * FROM tags WHERE item IN ({list})",
    "SELECT * FROM tags WHERE item = {id} /* request {id} of {word} */",
)


def _n_plus_one(draw: Draw, strength: float) -> Planted:
    statement = draw.random.choice(_ALIKE)
    query = Query("mysql", "shop", statement, draw.latency(1000, 4000))
    return Planted((query, _TICK) * _count(_BOUNDS.n_plus_one_calls, strength), (query,))


def _n_plus_one_calls(draw: Draw, strength: float) -> Planted:
    call = draw.call("items", draw.latency(1000, 6000), "/items/{id}")
    return Planted((call, _TICK) * _count(_BOUNDS.n_plus_one_calls, strength), (call,))


def _side_by_side(draw: Draw, strength: float) -> Planted:
    """Draw alike queries on a few connections at once."""
    query = Query("mysql", "shop", draw.random.choice(_ALIKE), draw.latency(2000, 6000))
    count = 2 * _count(_BOUNDS.n_plus_one_calls, strength)
    return Planted((Fork(((query,),) * count, draw.random.randint(2, 4)),), (query,))


def _slow_query(draw: Draw, strength: float) -> Planted:
    query = draw.select("reports", Latency(_BOUNDS.slow_query_ns / 1000 * strength, 0.02))
    return Planted((query,), (replace(query, latency=Latency(5000, 0.02)),))


def _straggler(draw: Draw, strength: float) -> Planted:
    """Draw calls side by side that take alike, and one that always takes longer."""
    usual = Latency(30_000, 0.05)
    others = tuple((draw.call(f"part-{number}", usual),) for number in range(draw.random.randint(3, 6)))
    slow = draw.call("slow", Latency(usual.median_us * _BOUNDS.straggler_factor * strength, 0.05))
    last = (draw.call("slow", usual),)
    return Planted((Fork((*others, (slow,)), len(others) + 1),), (Fork((*others, last), len(others) + 1),))


def _retries(draw: Draw, strength: float) -> Planted:
    call = draw.call("flaky", draw.latency(2000, 6000), "/flaky/{user}")
    count = _count(_BOUNDS.retries, strength)
    status = draw.random.choice((500, 503, 429))
    tried = replace(call, attempts=count + 1, failures=(status,) * count, backoff=Latency(10_000, 0.2))
    return Planted((tried,), (call,))


def _calls_in_turn(draw: Draw, strength: float) -> Planted:
    count = _count(_BOUNDS.sequential_calls, strength)
    calls = tuple(draw.call(f"part-{n}", draw.latency(8000, 20_000), f"/part-{n}/{{user}}") for n in range(count))
    return Planted((Shuffled(calls),), (Fork(tuple((call,) for call in calls), count),))


def _queries_in_turn(draw: Draw, strength: float) -> Planted:
    count = _count(_BOUNDS.sequential_calls, strength)
    queries = tuple(draw.select(table, draw.latency(8000, 20_000), "owner = {user}") for table in draw.tables(count))
    return Planted((Shuffled(queries),), (Fork(tuple((query,) for query in queries), count),))


def _network(draw: Draw, strength: float) -> Planted:
    call = draw.call("far", draw.latency(2000, 10_000))
    return Planted((replace(call, network=Latency(_BOUNDS.network_ns / 2000 * strength, 0.02)),), (call,))


def _gap(draw: Draw, strength: float) -> Planted:
    query = draw.select("tags", draw.latency(1000, 5000))
    return Planted((query, Work(Latency(_BOUNDS.gap_ns / 1000 * strength, 0.02)), query), (query, _TICK, query))


def _chatty(draw: Draw, strength: float) -> Planted:
    """Draw very many different queries, in an order that never varies."""
    latency = draw.latency(2000, 4000)
    queries = tuple(draw.select(table, latency) for table in draw.tables(_count(_BOUNDS.chatty_calls, strength)))
    return Planted(tuple(step for query in queries for step in (query, _TICK)), queries[:1])


def _rounds(draw: Draw, strength: float) -> Planted:
    """Draw a loop that asks for several things of each item."""
    latency = draw.latency(1000, 4000)
    asked: list[Step] = [draw.select(table, latency) for table in draw.tables(draw.random.randint(2, 4))]
    if draw.random.random() < 0.3:
        asked[0] = draw.call("items", latency, "/items/{id}")
    once = tuple(step for part in asked for step in (part, _TICK))
    return Planted(once * _count(_BOUNDS.n_plus_one_calls, strength), once)


_US_PER_BYTE = 0.02
"""Of 50 MB/s."""
_US_PER_ROW = 4


def _large_answer(draw: Draw, strength: float) -> Planted:
    size = round(_BOUNDS.payload_bytes * strength)
    call = draw.call("export", draw.latency(1000, 4000), "/export/{user}")
    large = replace(call, network=Latency(size * _US_PER_BYTE / 2, 0.05), body_bytes=size)
    return Planted((large,), (replace(call, body_bytes=2000),))


def _many_rows(draw: Draw, strength: float) -> Planted:
    count = round(_BOUNDS.payload_rows * strength)
    query = draw.select("events", Latency(count * _US_PER_ROW, 0.05), "owner = {user}")
    return Planted((replace(query, row_count=count),), (replace(query, latency=Latency(1000), row_count=50),))


def _fan_out(draw: Draw, strength: float) -> Planted:
    count = _count(_BOUNDS.fan_out_calls, strength)
    call = draw.call("shard", draw.latency(5000, 15_000), "/shard/{id}")
    return Planted((Fork(((call,),) * count, count),), (call,))


def _repeated(draw: Draw, strength: float) -> Planted:
    """Draw one statement that is run in several places."""
    query = draw.select("settings", draw.latency(4000, 8000), "owner = {user}")
    count = _count(_BOUNDS.repeated_queries, strength)
    places = tuple(Section(f"part-{number}", (query, _TICK)) for number in range(count))
    return Planted(places, (places[0],))


_LOADS = dict(zip(STRENGTHS, (1.1, 1.3, 2.0, 5.0), strict=True))
"""What is asked of a pool by what it can give, instead of a multiple of a threshold."""


def _pool(draw: Draw, strength: float) -> Planted:
    """Draw requests that need more connections than there are."""
    connections, query_us = draw.random.randint(1, 8), draw.random.uniform(30_000, 80_000)
    query = draw.select("orders", Latency(query_us, 0.3), draw.random.choice(("id = ?", "id = {id}")))
    count = draw.random.randint(1, 3)
    every = Latency(query_us * count / connections / len(draw.entry.hosts) / _LOADS[strength], 0.8)
    crowd = Crowd(connections, 1000, every, draw.latency(500, 3000), query, count)
    return Planted((), (), (crowd, replace(crowd, connections=1000)))


def _queue_delay(draw: Draw, strength: float) -> Planted:
    delivered = Latency(_BOUNDS.queue_delay_ns / 1000 * strength, 0.02)
    consumer = draw.leaf("mailer", draw.latency(1000, 5000))
    sent = Publish("order.events", consumer, Latency(1000), delivered, follows=False, is_awaited=True)
    return Planted((sent,), (replace(sent, delivered=Latency(1000)),))


PROBLEMS: Mapping[str, Problem] = {
    "N+1": Problem(_n_plus_one, frozenset(("n+1",))),
    "N+1 of calls": Problem(_n_plus_one_calls, frozenset(("n+1",))),
    "N+1 side by side": Problem(_side_by_side, frozenset(("n+1",))),
    "M*N+1": Problem(_rounds, frozenset(("m*n+1",))),
    "slow query": Problem(_slow_query, frozenset(("slow-query",))),
    "repeated query": Problem(_repeated, frozenset(("repeated-query",))),
    "straggler": Problem(_straggler, frozenset(("straggler",))),
    "fan-out": Problem(_fan_out, frozenset(("fan-out",))),
    "retries": Problem(_retries, frozenset(("retries",))),
    "calls in turn": Problem(_calls_in_turn, frozenset(("sequential-calls",))),
    "queries in turn": Problem(_queries_in_turn, frozenset(("sequential-queries",))),
    "chatty": Problem(_chatty, frozenset(("chatty",))),
    "large answer": Problem(_large_answer, frozenset(("payload",))),
    "many rows": Problem(_many_rows, frozenset(("payload",))),
    "pool exhausted": Problem(_pool, frozenset(("pool",))),
    "slow network": Problem(_network, frozenset(("network",))),
    "gap": Problem(_gap, frozenset(("gap",))),
    "queue delay": Problem(_queue_delay, frozenset(("queue-delay",))),
}
"""All problems by name."""
