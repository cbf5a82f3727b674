"""Ask traceq which tag slow requests share, where the simulation knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import fmean
from typing import Literal, NamedTuple, TypeAlias, get_args

from benchmarks.truth.comparing import latency_ns, recorded
from benchmarks.truth.execution import Attributes, Request, execute
from benchmarks.truth.faults import Fault, inject
from benchmarks.truth.programs import System, draw_system
from traceq.analysis.comparison.cohorts import CohortQuestion, split_by_latency
from traceq.analysis.comparison.tags import TagChanges, TaggedSample, TagQuestion, choose, compare_tags
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Kind
from traceq.traces import Traces

TagKey: TypeAlias = Literal["host", "tenant", "version"]
Way: TypeAlias = Literal["one side", "slow requests"]
Place: TypeAlias = Literal["request", "service"]
_SIZE = 200
_SLOW = 0.1
"""The share of requests that are split off as the slowest."""
_RARE = 0.15
"""How frequent the culprit is among all requests."""
_BUSY = 0.2
"""The share of the requests that the slow service holds at least, so that a tag of its spans can stand out."""
_STRENGTH = 1.5
"""What each call takes longer, in mean latencies."""
_KEYS: Mapping[TagKey, str] = {"host": "host.name", "tenant": "tenant.id", "version": "service.version"}
_VALUES: Mapping[TagKey, tuple[str, ...]] = {
    "host": ("node-a", "node-b", "node-c", "node-d"),
    "tenant": ("acme", "globex", "initech", "umbrella", "hooli"),
    "version": ("1.9.0", "2.0.0"),
}


class Planted(NamedTuple):
    """A sort of tag that makes requests slow."""

    key: TagKey
    way: Way
    """Whether it is frequent after only, or equally frequent among all requests, of which the slowest are asked."""
    place: Place
    """Whether the spans of the entry service bear it, or those of the service that it makes slow."""


PLANTED = tuple(
    Planted(key, way, place) for way in get_args(Way) for place in get_args(Place) for key in get_args(TagKey)
)


@dataclass(frozen=True, slots=True)
class Named:
    """How often the culprit tag stands first; adds to others."""

    count: int = 0
    first_count: int = 0
    among_count: int = 0
    """Those in which it stands out at all."""

    def __add__(self, other: Named) -> Named:
        return Named(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Tagged:
    """All that was asked about tags."""

    named: Mapping[Planted, Named] = field(default_factory=dict)

    def __add__(self, other: Tagged) -> Tagged:
        keys = dict.fromkeys((*self.named, *other.named))
        return Tagged({key: self.named.get(key, Named()) + other.named.get(key, Named()) for key in keys})


class _Traffic:
    """Requests of a system, in which tags of every sort are planted."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.system = draw_system(seed)
        self.healthy = execute(self.system, 2 * _SIZE, seed)
        held = Counter(name for one in self.healthy for name in {one.spans[number].service for number in one.held_ns})
        self.busy = [service.name for service in self.system.services[1:] if held[service.name] >= 2 * _SIZE * _BUSY]
        self._slow: dict[str, list[Request]] = {}

    def slow(self, service: str) -> list[Request]:
        """Give such requests where each call of a service takes longer."""
        if service not in self._slow:
            fault = Fault("latency", service, _STRENGTH * fmean(map(latency_ns, self.healthy)) / 1000)
            self._slow[service] = execute(inject(self.system, fault), 2 * _SIZE, self.seed + 1_000_000)
        return self._slow[service]


def tag_system(seed: int) -> Tagged:
    """Draw a system, and ask about tags of every sort."""
    traffic = _Traffic(seed)
    return Tagged({planted: named for planted in PLANTED if (named := _ask(traffic, planted)) is not None})


def _ask(traffic: _Traffic, planted: Planted) -> Named | None:
    """Plant a tag in a system's requests, and ask; None where no service is called often enough."""
    busy, random = traffic.busy, Random(f"tags {traffic.seed} {planted}")  # noqa: S311  the same every time
    bearer = "frontend" if planted.place == "request" else random.choice(busy) if busy else ""
    if not bearer:
        return None
    # A tenant of the request may make any service slow; hosts and versions are those of the slow service itself.
    slow_service = random.choice(busy) if busy and planted.key == "tenant" and bearer == "frontend" else bearer
    culprit, *others = random.sample(_VALUES[planted.key], len(_VALUES[planted.key]))
    marked: list[Request] = []
    for number, pair in enumerate(zip(traffic.healthy, traffic.slow(slow_service), strict=True)):
        value = culprit if random.random() < _frequency(planted.way, number) else random.choice(others)
        marked.append(_marked(pair[value == culprit], bearer, planted.key, value, random))
    return _named(_tags(traffic.system, marked, planted.way, traffic.seed), _KEYS[planted.key], culprit)


def _frequency(way: Way, number: int) -> float:
    if way == "slow requests":
        return _RARE
    return _RARE / 3 if number < _SIZE else 0.5


def _marked(request: Request, bearer: str, key: TagKey, value: str, random: Random) -> Request:
    """Give a request with the tag, and with innocent ones: of its user, its region, and its threads."""
    root = {"user.id": f"user-{random.randrange(10_000)}", "region": random.choice(("eu", "us", "asia"))}
    threads = random.randrange(8)
    spans = []
    for number, span in enumerate(request.spans):
        attributes = span.attributes | {"thread.id": (threads + number) % 8} | (root if number == 0 else {})
        mine = span.service == bearer
        if key == "tenant":
            is_marked = mine and span.kind is Kind.SERVER and (bearer != "frontend" or number == 0)
            spans.append(replace(span, attributes=attributes | ({_KEYS[key]: value} if is_marked else {})))
        else:
            resource: Attributes = {_KEYS[key]: value} if mine else {}
            host = f"{span.host} {value}" if mine else span.host
            spans.append(replace(span, attributes=attributes, resource=resource, host=host))
    return replace(request, spans=tuple(spans))


def _tags(system: System, requests: Sequence[Request], way: Way, seed: int) -> TagChanges:
    if way == "one side":
        parts = (requests[:_SIZE], requests[_SIZE:])
        before, after = (_tagged(recorded(system, part, seed + side)) for side, part in enumerate(parts))
        return compare_tags(before, after)
    traces = recorded(system, requests, seed)
    cohort = CohortQuestion(RequestOptions()).collect(traces).cohort
    split = split_by_latency(cohort, _SLOW)
    both = TagQuestion(tuple(choose(cohort.of(positions).traces) for positions in (split.before, split.after)))
    before, after = both.rank(both.collect(traces))
    return compare_tags(before, after)


def _tagged(traces: Traces) -> TaggedSample:
    question = TagQuestion((choose(CohortQuestion(RequestOptions()).collect(traces).cohort.traces),))
    return question.rank(question.collect(traces))[0]


def _named(tags: TagChanges, key: str, value: str) -> Named:
    lines = [
        {(name.removeprefix("resource."), told) for name, told in ((line.key, line.value), *line.alike)}
        for line in tags.changes
    ]
    return Named(1, any((key, value) in line for line in lines[:1]), any((key, value) in line for line in lines))
