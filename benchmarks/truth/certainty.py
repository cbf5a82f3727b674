"""Whether a change is sure by what truly happened: a test of its own, which knows nothing of traceq's.

What happens in some requests and not in others (a service fails, a call is made more often than usual, one call comes
before another) is counted by the operation at which requests enter, before and after. How probable as great a
difference would be if nothing had changed is counted exactly; of all that is looked at, the least probable difference
has to be beyond chance.

Source: Fisher, Statistical Methods for Research Workers, 1934, section 21.02; Bonferroni's correction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations
from math import comb
from statistics import median
from typing import Literal, TypeAlias, assert_never

from benchmarks.truth.execution import Request, TrueSpan
from benchmarks.truth.faults import FaultKind
from traceq.semantics import Kind

What: TypeAlias = Literal["errors", "calls", "order"]
CHANGED: Mapping[FaultKind, What] = {
    "errors": "errors",
    "multiplied": "calls",
    "stopped": "calls",
    "begun": "calls",
    "swapped": "order",
}
"""What these faults change, which requests show or do not."""
_CHANCE = 0.01
"""How often anything at all may be called sure though nothing changed."""


def is_sure(what: What, before: Sequence[Request], after: Sequence[Request]) -> bool:
    """Tell whether errors, calls or their order differ between two sets of requests by more than chance."""
    chances = [_chance(*counts) for counts in _tables(what, before, after)]
    return bool(chances) and min(chances) * len(chances) <= _CHANCE


def _tables(what: What, before: Sequence[Request], after: Sequence[Request]) -> Iterator[tuple[int, int, int, int]]:
    """Give for each thing in each entry operation: how many requests before, in how many it is so, the same after."""
    sides = [_by_entry(what, requests) for requests in (before, after)]
    for entry in sorted(sides[0].keys() & sides[1].keys()):
        told = [side[entry] for side in sides]
        for thing in {thing for side in told for request in side for thing in request}:
            # Of two calls it is asked which comes first only where both are made.
            asked = [[request for request in side if what != "order" or thing in request] for side in told]
            numbers = [[request.get(thing, 0) for request in side] for side in asked]
            usual = median(numbers[0] + numbers[1]) if what == "calls" else 0
            counts = [sum(number > usual for number in side) for side in numbers]
            if 0 < sum(counts) < len(numbers[0]) + len(numbers[1]):
                yield len(numbers[0]), counts[0], len(numbers[1]), counts[1]


def _by_entry(what: What, requests: Sequence[Request]) -> dict[str, list[Mapping[Hashable, int]]]:
    found: dict[str, list[Mapping[Hashable, int]]] = defaultdict(list)
    for request in requests:
        found[request.operation.name].append(_things(what, request.spans))
    return found


def _things(what: What, spans: Sequence[TrueSpan]) -> Mapping[Hashable, int]:
    """Give what a request has, with a number: services that fail, calls by name, pairs of calls in order."""
    match what:
        case "errors":
            return {_failing(span): 1 for span in spans if span.failed}
        case "calls":
            return Counter((span.service, span.name) for span in spans)
        case "order":
            return dict(_orders(spans))
        case _:
            assert_never(what)


def _failing(span: TrueSpan) -> str:
    host = str(span.attributes.get("server.address", "")).partition(".")[0]
    return host if span.kind is Kind.CLIENT and host else span.service


def _orders(spans: Sequence[TrueSpan]) -> Iterator[tuple[Hashable, int]]:
    """Give for each two calls of one span whether the one of the smaller name comes first."""
    below: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
    for span in spans:
        if span.parent >= 0:
            called = (span.name, str(span.attributes.get("server.address", "")))
            begun_ns = below[span.parent].setdefault(called, span.begun_ns)
            below[span.parent][called] = min(begun_ns, span.begun_ns)
    for parent, calls in below.items():
        for one, other in combinations(sorted(calls), 2):
            yield (spans[parent].name, one, other), int(calls[one] < calls[other])


def _chance(before: int, so_before: int, after: int, so_after: int) -> float:
    """Give how probable a difference as great is, either way, if the same requests are dealt to both sides."""
    so = so_before + so_after
    ways = [comb(before, so - number) * comb(after, number) for number in range(so + 1)]
    total = sum(ways)
    return min(2 * min(sum(ways[: so_after + 1]), sum(ways[so_after:])) / total, 1.0)
