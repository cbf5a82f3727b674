"""Since when requests are slow: the stretch of time in which more of them were slow than chance explains.

A request is slow here if it is among the slowest of its operation, by a share that is tried out from 2 % to 50 %: so it
is nothing that other operations are called at other times. If nothing had changed, slow ones would be spread over time
at random, and how many are in a stretch would follow the hypergeometric distribution. The stretch that is least likely
is the answer if it would come about by chance in less than one in a hundred cases, all stretches and shares that were
tried taken into account (Bonferroni), and if requests really took longer then, not just in another order.

Source: scan statistics, J. Naus, JASA 60(310), 1965; the tail of the distribution is bounded by a geometric series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.group_sums import GroupKey
from traceq.report import Column, Unit, json_key

_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
_MORE_SHARES = 46
"""So many are tried around the best of these, since the slow ones may be more or fewer."""
_MOST_OPERATIONS = 8
"""So many are also looked at for themselves, those with most requests first: others may have nothing to do with it."""
_MOST_CUTS = 128
"""So many times are tried as ends of the stretch; those around the best are then tried more closely."""
_MOST_CHANCE = 0.01
_LEAST_GROWTH = 1.2
"""What p50 or p95 must have grown by to call it slower."""

_Floats = npt.NDArray[np.float64]


class Typical(NamedTuple):
    """How long requests took: a percentile of each."""

    p50_ns: int
    p95_ns: int


@dataclass(frozen=True, slots=True)
class SlowTime:
    """A stretch of time in which requests were slower than at other times."""

    start_ns: int | None
    """When its first request was made; None where it was so from the first one on that was looked at."""
    end_ns: int | None
    """When its last request was made; None where it lasts to the last one that was looked at."""
    service: str
    name: str
    """The operation that is hit most: how its requests fared then, and at other times."""
    slow_from_ns: int
    """How long a request takes that counts as slow here."""
    request_count: int
    slow_count: int
    other_count: int
    """The number of its requests at other times."""
    other_slow_count: int
    then: Typical
    otherwise: Typical

    @property
    def is_median_longer(self) -> bool:
        """Whether most of its requests took longer, and not a few."""
        return self.then.p50_ns >= _LEAST_GROWTH * self.otherwise.p50_ns


def slow_time_specs(of: str) -> Iterator[Column[Any]]:
    """Describe the keys of a slow time; the whole of it is null where no time stands out.

    Args:
        of: What holder has it.
    """
    facts = (
        ("start_ns", "when its first request was made; null where it was so from the first one on", Unit.TIME),
        ("end_ns", "when its last request was made; null where it lasts to the last one", Unit.TIME),
        ("service", "service of the operation that is hit most", Unit.SERVICE),
        ("operation", "operation that is hit most", Unit.TEXT),
        ("slow_from_ns", "how long a request of it takes that counts as slow here", Unit.DURATION),
        ("request_count", "its requests in this time", Unit.COUNT),
        ("slow_count", "of these the slow ones", Unit.COUNT),
        ("other_count", "its requests at other times", Unit.COUNT),
        ("other_slow_count", "of these the slow ones", Unit.COUNT),
        ("p50_ns", "median latency in this time", Unit.DURATION),
        ("p95_ns", "95th percentile of the latency in this time", Unit.DURATION),
        ("other_p50_ns", "median latency at other times", Unit.DURATION),
        ("other_p95_ns", "95th percentile of the latency at other times", Unit.DURATION),
    )
    for key, about, unit in facts:
        yield json_key(key, _taken(of, key), about, unit, within=of, is_known=False)


def _taken(of: str, key: str) -> Any:
    paths = {
        "operation": "name",
        **{f"{name}_ns": f"then.{name}_ns" for name in ("p50", "p95")},
        **{f"other_{name}_ns": f"otherwise.{name}_ns" for name in ("p50", "p95")},
    }

    def value(row: object) -> object:
        found: Any = getattr(row, of)
        for name in paths.get(key, key).split(".") if found is not None else ():
            found = getattr(found, name)
        return found

    return value


class Made(NamedTuple):
    """Requests, in the order in which they were made."""

    starts_ns: Ints
    latencies_ns: Ints
    operations: Codes
    """At which operation each entered, by its number."""


class _Stretch(NamedTuple):
    first: int
    """The position of its first request, in order of time."""
    after: int
    """The position after its last one."""
    share: float
    chance_log: float
    """The logarithm of how likely so many slow ones are, at most."""


def find_slow_time(made: Made, keys: Sequence[GroupKey]) -> SlowTime | None:
    """Find the stretch of time in which requests were slow; None where no time stands out.

    Args:
        made: The requests.
        keys: The operations at which they entered, by their numbers.
    """
    scans = list(_scans(made))
    best = min(
        ((least.chance_log, number, least) for number, scan in enumerate(scans) if (least := scan.least(_SHARES))),
        default=None,
    )
    ways = sum(len(_SHARES) * scan.ends.size * (scan.ends.size - 1) / 2 for scan in scans)
    if best is None or best[0] + np.log(ways) > np.log(_MOST_CHANCE):
        return None
    scan, found = scans[best[1]], best[2]
    found = scan.least(np.linspace(found.share / 2, 2 * found.share, _MORE_SHARES).tolist()) or found
    return _described(scan.refined(found), scan, keys)


def _scans(made: Made) -> Iterator[_Scan]:
    """Look at all requests together, and at those of each operation for themselves."""
    shares, count = _slower_than(made), made.starts_ns.size
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    yield _Scan(made, shares, _cuts(made.starts_ns), logs)
    numbers, counts = np.unique(made.operations, return_counts=True)
    if numbers.size > 1:
        for number in numbers[np.argsort(-counts, kind="stable")][:_MOST_OPERATIONS]:
            rows = np.flatnonzero(made.operations == number)
            part = Made(made.starts_ns[rows], made.latencies_ns[rows], made.operations[rows])
            yield _Scan(part, shares[rows], _cuts(part.starts_ns), logs)


def _cuts(starts_ns: Ints) -> Ints:
    """Give where stretches can begin and end: requests that were made at the same time are in one together."""
    return np.concatenate([[0], np.flatnonzero(np.diff(starts_ns)) + 1, [starts_ns.size]]).astype(np.int64)


def _slower_than(made: Made) -> _Floats:
    """Give for each request the share of its operation's requests that take as long or longer."""
    order = np.lexsort((-made.latencies_ns, made.operations))
    groups, lengths = made.operations[order], made.latencies_ns[order]
    begins = np.searchsorted(groups, groups)
    sizes = np.searchsorted(groups, groups, side="right") - begins
    ends = np.concatenate([(groups[1:] != groups[:-1]) | (lengths[1:] != lengths[:-1]), [True]])
    # Those that take equally long count alike, by the last of them.
    last = np.flatnonzero(ends)
    shares = np.empty(order.size)
    shares[order] = (last[np.searchsorted(last, np.arange(order.size))] - begins + 1) / sizes
    return shares


def _thinned(cuts: Ints, most: int) -> Ints:
    return cuts if cuts.size <= most else cuts[np.unique(np.linspace(0, cuts.size - 1, most).astype(np.int64))]


@dataclass(frozen=True, slots=True)
class _Scan:
    """Requests among which a stretch is looked for."""

    made: Made
    shares: _Floats
    """For each request the share of its operation's that take as long or longer."""
    cuts: Ints
    logs: _Floats
    """Logarithms of factorials."""

    @property
    def ends(self) -> Ints:
        """The cuts that are tried first."""
        return _thinned(self.cuts, _MOST_CUTS)

    def least(self, shares: Iterable[float]) -> _Stretch | None:
        """Find the least likely stretch, whatever share of requests is slow."""
        found = (self._least_of(share, self.ends, self.ends) for share in shares)
        return min((each for each in found if each is not None), key=lambda each: each.chance_log, default=None)

    def refined(self, best: _Stretch) -> _Stretch:
        """Move the ends of a stretch to where they fit best, between those that were tried."""
        room = -(-self.cuts.size // _MOST_CUTS)
        while room > 1:
            at = np.searchsorted(self.cuts, best[:2]).tolist()
            near = [self.cuts[max(place - room, 0) : place + room + 1] for place in at]
            firsts, afters = (
                np.append(_thinned(each, _MOST_CUTS), end) for each, end in zip(near, best[:2], strict=True)
            )
            best = self._least_of(best.share, firsts, afters) or best
            room = -(-2 * room // _MOST_CUTS)
        return best

    def _least_of(self, share: float, firsts: Ints, afters: Ints) -> _Stretch | None:
        slow_before = np.concatenate([[0], np.cumsum(self.shares <= share)])
        count, all_slow = self.shares.size, int(slow_before[-1])
        first, after = (each.ravel() for each in np.meshgrid(firsts, afters, indexing="ij"))
        lengths, slow = after - first, slow_before[after] - slow_before[first]
        # Only more slow ones than chance would put there; a stretch that is everything has nothing to compare it with.
        which = np.flatnonzero((lengths > 0) & (lengths < count) & (slow * count > all_slow * lengths))
        if not which.size:
            return None
        first, after, lengths, slow = first[which], after[which], lengths[which], slow[which]
        ways = self._choices(all_slow, slow) + self._choices(count - all_slow, lengths - slow)
        growth = (all_slow - slow) * (lengths - slow) / ((slow + 1) * (count - all_slow - lengths + slow + 1))
        chances = ways - self._choices(count, lengths) - np.log1p(-growth)
        at = int(np.lexsort((after, first, chances))[0])
        return _Stretch(int(first[at]), int(after[at]), share, float(chances[at]))

    def _choices(self, of: int, some: Ints) -> _Floats:
        """Give the logarithms of in how many ways some can be chosen."""
        ways: _Floats = self.logs[of] - self.logs[some] - self.logs[of - some]
        return ways


def _described(stretch: _Stretch, scan: _Scan, keys: Sequence[GroupKey]) -> SlowTime | None:
    """Say how requests of the operation fared that is hit most: with most slow ones beyond those to be expected."""
    made, slow = scan.made, scan.shares <= stretch.share

    def counted(which: Flags) -> _Floats:
        return np.bincount(made.operations[which], minlength=len(keys)).astype(np.float64)

    places = np.arange(slow.size)
    inside = (places >= stretch.first) & (places < stretch.after)
    everywhere = np.maximum(counted(np.ones_like(slow)), 1)
    hit = int(np.argmax(counted(inside & slow) - counted(slow) * counted(inside) / everywhere))
    of_it = made.operations == hit
    # What was not hit says nothing about when it began.
    ends = np.flatnonzero(inside & slow & of_it)
    then = of_it & (places >= ends[0]) & (places <= ends[-1])
    otherwise = of_it & ~then
    if not otherwise.any():
        return None
    found = SlowTime(
        start_ns=int(made.starts_ns[ends[0]]) if otherwise[: ends[0]].any() else None,
        end_ns=int(made.starts_ns[ends[-1]]) if otherwise[ends[-1] :].any() else None,
        service=keys[hit].service,
        name=keys[hit].name,
        slow_from_ns=int(made.latencies_ns[slow & of_it].min()),
        request_count=int(then.sum()),
        slow_count=int((then & slow).sum()),
        other_count=int(otherwise.sum()),
        other_slow_count=int((otherwise & slow).sum()),
        then=_typical(made.latencies_ns[then]),
        otherwise=_typical(made.latencies_ns[otherwise]),
    )
    has_grown = found.is_median_longer or found.then.p95_ns >= _LEAST_GROWTH * found.otherwise.p95_ns
    return found if has_grown else None


def _typical(latencies_ns: Ints) -> Typical:
    """Give percentiles, each a latency that was measured."""
    median, high = ((latencies_ns.size - 1) * percent // 100 for percent in (50, 95))
    partitioned = np.partition(latencies_ns, (median, high))
    return Typical(int(partitioned[median]), int(partitioned[high]))
