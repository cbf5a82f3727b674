"""What becomes of true spans on their way into a store: clocks, lost spans, missing kinds, what sends no spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from benchmarks.truth.execution import EPOCH_NS, Attributes, Circumstance, Request, TrueSpan
from benchmarks.truth.programs import System
from traceq.semantics import Kind

Kinds: TypeAlias = Literal["told", "unspecified", "internal"]


@dataclass(frozen=True, slots=True)
class Condition:
    """How spans are recorded."""

    name: str
    offset_ms: float = 0.0
    """Standard deviation of what each host's clock is off."""
    drift_ppm: float = 0.0
    """How much faster or slower each host's clock runs, one way or the other."""
    tick_us: int = 1
    """Clocks move on in such steps."""
    jitter_us: float = 0.0
    """How much later than it should a span ends, on average."""
    lost: float = 0.0
    """Share of spans that never arrive."""
    kinds: Kinds = "told"
    has_clients: bool = True
    """Whether callers record a span of each call."""
    uninstrumented: float = 0.0
    """Share of services that send no spans, but pass the context on."""
    sampled: float = 1.0
    """Share of requests that are recorded at all."""
    streams: float = 0.0
    """Share of requests that are streams."""


CONDITIONS = (
    Condition("clean"),
    Condition("5 ms skew", offset_ms=5),
    Condition("no kinds, 5 ms skew", offset_ms=5, kinds="unspecified"),
    Condition("all internal, 5 ms skew", offset_ms=5, kinds="internal"),
    Condition("no client spans, 5 ms skew", offset_ms=5, has_clients=False),
    Condition("20 us jitter", jitter_us=20),
    Condition("ms clock", tick_us=1000),
    Condition("500 ppm drift", drift_ppm=500),
    Condition("2 % lost", lost=0.02),
    Condition("10 % lost", lost=0.10),
    Condition("2 % lost, 5 ms skew", lost=0.02, offset_ms=5),
    Condition("services without spans", uninstrumented=0.25),
    Condition("1 in 10 sampled", sampled=0.1),
    Condition("streams", streams=0.05),
)


class Edge(NamedTuple):
    """Who calls whom, or sends messages to whom."""

    caller: str
    callee: str
    via: str
    """The broker between; empty for calls."""


@dataclass(frozen=True, slots=True)
class TrueTrace:
    """What is true of a trace that was recorded."""

    trace_id: str
    root_id: str
    is_root_lost: bool
    is_stream: bool
    root_ns: int
    held_ns: dict[str, int]
    """How long each span held the root, by id; lost ones as well."""
    unknowable_ns: int
    """What lost ones held, and what whole ticks of the clock cannot tell."""
    off_ns: dict[str, int]
    """By how much the clock of each span's host was off."""
    circumstances: dict[str, Circumstance]
    """What each span is part of, by id."""
    edges: Counter[Edge]
    """Calls and messages that were recorded by one of their ends at least, lost spans as well."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Traces as a store would give them back, with their truth beside them."""

    document: bytes
    """Jaeger's v1 JSON."""
    traces: tuple[TrueTrace, ...]


def record(system: System, requests: Sequence[Request], condition: Condition, seed: int) -> Recorded:
    """Record requests."""
    recorder = _Recorder(system, condition, seed)
    told = [recorder.trace(request) for request in requests if recorder.random.random() < condition.sampled]
    return Recorded(msgspec.json.encode({"data": [trace for trace, _ in told]}), tuple(true for _, true in told))


class _Recorder:
    def __init__(self, system: System, condition: Condition, seed: int) -> None:
        self.condition = condition
        self.seed = seed
        self.random = Random(f"recording {seed}")  # noqa: S311  the same every time is the point
        self.clocks: dict[str, tuple[int, float]] = {}
        others = [service.name for service in system.services[1:]]
        self.silent = {name for name in others if self.random.random() < condition.uninstrumented}

    def trace(self, request: Request) -> tuple[dict[str, object], TrueTrace]:
        spans = request.spans
        trace_id = f"{self.random.getrandbits(128):032x}"
        ids = [f"{self.random.getrandbits(64):016x}" for _ in spans]
        told = [self.is_told(span) for span in spans]
        lost = [self.random.random() < self.condition.lost for _ in spans]
        homes = self.homes(spans, told)
        held_ns: dict[str, int] = {}
        for number, time_ns in request.held_ns.items():
            held_ns[ids[homes[number]]] = held_ns.get(ids[homes[number]], 0) + time_ns
        rows = []
        for number, span in enumerate(spans):
            if told[number] and not lost[number]:
                above = "" if span.parent < 0 else ids[homes[span.parent]]
                rows.append(self.row(span, trace_id, ids[number], above))
        true = TrueTrace(
            trace_id=trace_id,
            root_id=ids[0],
            is_root_lost=lost[0],
            is_stream=bool(request.operation.stream),
            root_ns=spans[0].ended_ns - spans[0].begun_ns,
            held_ns=held_ns,
            unknowable_ns=sum(held_ns.get(ids[number], 0) for number in range(len(spans)) if lost[number])
            + self.blurred_ns(request, [not lost[homes[number]] for number in range(len(spans))]),
            off_ns={ids[number]: self.off_ns(span.host, span.begun_ns) for number, span in enumerate(spans)},
            circumstances={ids[number]: span.circumstance for number, span in enumerate(spans)},
            edges=Counter(edge for number in range(len(spans)) for edge in _edges(spans, number, told, homes)),
        )
        processes = {_process_id(span): _process(span) for span in spans}
        return {"traceID": trace_id, "spans": rows, "processes": processes, "warnings": None}, true

    def is_told(self, span: TrueSpan) -> bool:
        is_client = span.kind is Kind.CLIENT and "db.system" not in span.attributes
        if span.is_cut or span.service in self.silent:
            return False
        return self.condition.has_clients or not is_client

    def homes(self, spans: Sequence[TrueSpan], told: Sequence[bool]) -> list[int]:
        """Find for each span the nearest recorded one above, or itself."""
        homes: list[int] = []
        for number, span in enumerate(spans):
            homes.append(number if told[number] else homes[span.parent])
        return homes

    def off_ns(self, host: str, time_ns: int) -> int:
        if host not in self.clocks:
            random = Random(f"clock {self.seed} {host}")  # noqa: S311
            offset_ns = int(random.gauss(0, self.condition.offset_ms) * 1e6)
            self.clocks[host] = (offset_ns, self.condition.drift_ppm * random.uniform(-1, 1) / 1e6)
        offset_ns, drift = self.clocks[host]
        return offset_ns + int(drift * (time_ns - EPOCH_NS))

    def read_us(self, host: str, time_ns: int) -> int:
        """Read the clock of a host."""
        tick_us = self.condition.tick_us
        return (time_ns + self.off_ns(host, time_ns)) // (1000 * tick_us) * tick_us

    def blurred_ns(self, request: Request, known: Sequence[bool]) -> int:
        """Give what is charged wrongly when everything is known but the time between ticks."""
        tick_ns = self.condition.tick_us * 1000
        more_ns: Counter[int] = Counter()
        for span, from_ns, until_ns in request.stretches:
            ticks = until_ns // tick_ns - from_ns // tick_ns
            more_ns[span] += ticks * tick_ns - (until_ns - from_ns)
        return sum(abs(more) for span, more in more_ns.items() if known[span]) // 2

    def row(self, span: TrueSpan, trace_id: str, span_id: str, above: str) -> dict[str, object]:
        late_ns = int(self.random.expovariate(1) * self.condition.jitter_us * 1000)
        start_us = self.read_us(span.host, span.begun_ns)
        kind = "FOLLOWS_FROM" if span.follows else "CHILD_OF"
        return {
            "traceID": trace_id,
            "spanID": span_id,
            "operationName": span.name,
            "references": [{"refType": kind, "traceID": trace_id, "spanID": above}] if above else [],
            "startTime": start_us,
            "duration": self.read_us(span.host, span.ended_ns + late_ns) - start_us,
            "tags": [*self.kind(span), *_tags(span)],
            "logs": [],
            "processID": _process_id(span),
            "warnings": None,
        }

    def kind(self, span: TrueSpan) -> list[dict[str, object]]:
        if self.condition.kinds == "unspecified":
            return []
        kind = span.kind.name if self.condition.kinds == "told" else "INTERNAL"
        return [{"key": "span.kind", "type": "string", "value": kind.lower()}]


def _edges(spans: Sequence[TrueSpan], number: int, told: Sequence[bool], homes: Sequence[int]) -> list[Edge]:
    """Find what a span is an end of: calls as their client tells, or else their server; messages as both ends do."""
    span = spans[number]
    if not told[number]:
        return []
    broker = _broker(span)
    match span.kind:
        case Kind.CLIENT:
            return [Edge(span.service, _called(span), "")]
        case Kind.PRODUCER:
            return [Edge(span.service, broker, "")]
        case Kind.CONSUMER:
            sent = [Edge(spans[span.parent].service, span.service, broker)] if told[span.parent] else []
            return [Edge(broker, span.service, ""), *sent]
        case Kind.SERVER if span.parent >= 0 and not told[span.parent]:
            return [Edge(spans[homes[span.parent]].service, span.service, "")]
        case _:
            return []


def _broker(span: TrueSpan) -> str:
    return f"kafka {span.attributes.get('messaging.destination.name')}"


def _called(span: TrueSpan) -> str:
    if "db.system" in span.attributes:
        return f"{span.attributes['db.system']} {span.attributes['db.namespace']}"
    return str(span.attributes["server.address"]).partition(".")[0]


def _tags(span: TrueSpan) -> list[dict[str, object]]:
    tags = _key_values(span.attributes)
    return [*tags, {"key": "error", "type": "bool", "value": True}] if span.failed else tags


def _key_values(attributes: Attributes) -> list[dict[str, object]]:
    return [
        {"key": key, "type": "string" if isinstance(value, str) else "int64", "value": value}
        for key, value in attributes.items()
    ]


def _process_id(span: TrueSpan) -> str:
    return "/".join((span.host, *map(str, span.resource.values())))


def _process(span: TrueSpan) -> dict[str, object]:
    return {"serviceName": span.service, "tags": _key_values({"host.name": span.host, **span.resource})}
