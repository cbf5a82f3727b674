"""When requests were made, how long they took then, and since when they are slow: of the requests of a cohort.

Requests are slow in the stretch of time in which more of them were slow than chance explains. A request is slow here if
it is among the slowest of its operation, by a share that is tried out from 2 % to 50 %: so it is nothing that other
operations are called at other times. If nothing had changed, slow ones would be spread over time at random, and how
many are in a stretch would follow the hypergeometric distribution. The stretch that is least likely is the answer if it
would come about by chance in less than one in a hundred cases, all stretches and shares that were tried taken into
account (Bonferroni), and if requests really took longer then, not just in another order.

Source: scan statistics, J. Naus, JASA 60(310), 1965; the tail of the distribution is bounded by a geometric series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import Batch
from traceq.analysis.group_sums import GroupKey
from traceq.answer import Answer
from traceq.report import Column, Rows, Unit, json_key
from traceq.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_S

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


class SlowTime(Struct, frozen=True):
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


def _slow_time_specs(of: str) -> Iterator[Column[Any]]:
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


class _Scan(Struct, frozen=True, eq=False):
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


_MOST_STRETCHES = 60

_WIDTHS = tuple(
    step * unit
    for unit, steps in (
        (NS_PER_MS, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (NS_PER_S, (1, 2, 5, 10, 15, 30)),
        (NS_PER_MINUTE, (1, 2, 5, 10, 15, 30)),
        (NS_PER_HOUR, (1, 2, 3, 6, 12)),
        (NS_PER_DAY, (1, 2, 7, 14, 28)),
    )
    for step in steps
)
"""How long a stretch of time may be: lengths that people count in."""


class Stretch(Struct, frozen=True):
    """The requests that began in a stretch of time."""

    start_ns: int
    request_count: int
    slow_count: int
    failed_count: int
    p50_ns: int | None
    """None where there are none."""
    max_ns: int | None


STRETCH_COLUMNS: tuple[Column[Stretch], ...] = (
    Column("start_ns", "from", Unit.TIME, about="start of the stretch, since the epoch"),
    Column("request_count", "requests", Unit.COUNT, about="requests whose traces began in it"),
    Column("slow_count", "slow", Unit.COUNT, about="of these the slow ones"),
    Column("failed_count", "failed", Unit.ERRORS, about="of these the failed ones"),
    Column("p50_ns", "p50", Unit.DURATION, about="median latency; null where there are no requests"),
    Column("max_ns", "max", Unit.DURATION, about="longest latency"),
)


class Entry(Struct, frozen=True):
    """The requests that enter at one operation."""

    service: str
    name: str
    request_count: int
    slow_count: int
    failed_count: int
    p50_ns: int
    max_ns: int


ENTRY_COLUMNS: tuple[Column[Entry], ...] = (
    Column("service", "service", Unit.SERVICE),
    Column("operation", "request", value=lambda entry: entry.name, about="operation at which they enter"),
    Column("request_count", "requests", Unit.COUNT),
    Column("slow_count", "slow", Unit.COUNT, about="of these the slow ones"),
    Column("failed_count", "failed", Unit.ERRORS, about="of these the failed ones"),
    Column("p50_ns", "p50", Unit.DURATION, about="median latency"),
    Column("max_ns", "max", Unit.DURATION, about="longest latency"),
)


class OverTime(Answer, Struct, frozen=True, eq=False):
    """When requests were made, and when and at which operation those entered that were slow."""

    slow_from_ns: int | None
    """The latency from which requests are slow; None where there are too few requests."""
    width_ns: int
    """The length of a stretch."""
    stretches: tuple[Stretch, ...]
    """In order of time, without gaps."""
    entries: tuple[Entry, ...]
    """Those with most slow requests first."""
    starts_ns: Ints
    """When the trace of each request began, in order of time."""
    latencies_ns: Ints
    is_failed: Flags
    slow_time: SlowTime | None
    """When requests were slower than at other times; None where no time stands out."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Column("slow_from_ns", about="latency from which requests are slow; null where there are too few"),
        Column("width_ns", about="length of a stretch"),
        Column("first_slow_ns", about="when the first slow request was made, since the epoch; null for none"),
        Column("last_slow_ns", about="when the last slow request was made"),
        *_slow_time_specs("slow_time"),
        Rows("stretches", STRETCH_COLUMNS, about="stretches of time, in order and without gaps"),
        Rows("entries", ENTRY_COLUMNS, about="operations at which requests enter, those with most slow ones first"),
    )
    MAIN: ClassVar[str] = "stretches"

    @property
    def slow_starts_ns(self) -> Ints:
        """When slow requests were made, in order of time."""
        return self.starts_ns[_is_slow(self.latencies_ns, self.slow_from_ns)]

    @property
    def first_slow_ns(self) -> int | None:
        """When the first slow request was made."""
        return int(self.slow_starts_ns[0]) if self.slow_starts_ns.size else None

    @property
    def last_slow_ns(self) -> int | None:
        """When the last slow request was made."""
        return int(self.slow_starts_ns[-1]) if self.slow_starts_ns.size else None

    def cells(self, rows: int) -> tuple[tuple[int, ...], ...]:
        """Count for each stretch the requests in so many buckets of equal ratio, from the shortest to the longest."""
        latencies = np.maximum(self.latencies_ns, 1)
        low, high = latencies.min(initial=np.iinfo(np.int64).max), latencies.max(initial=1)
        scale = np.log(latencies / low) / max(np.log(high / low), np.finfo(np.float64).eps)
        bucket = np.minimum((scale * rows).astype(np.int64), rows - 1)
        counts = np.zeros((len(self.stretches), rows), dtype=np.int64)
        if self.stretches:
            np.add.at(counts, ((self.starts_ns - self.stretches[0].start_ns) // self.width_ns, bucket), 1)
        return tuple(tuple(column) for column in counts.tolist())


def _is_slow(latencies_ns: Ints, slow_from_ns: int | None) -> Flags:
    slow: Flags = latencies_ns >= (np.iinfo(np.int64).max if slow_from_ns is None else slow_from_ns)
    return slow


def over_time(batch: Batch, slow_count: int | None) -> OverTime:
    """Count requests by when they were made.

    Args:
        batch: The requests; a request is made when its trace begins.
        slow_count: The number of requests that count as slow, as `bottlenecks` has it; None for too few to tell.
    """
    starts_ns = batch.traces.start_ns[batch.requests.traces]
    order = np.lexsort((batch.requests.latency_ns, starts_ns))
    starts_ns, latencies_ns = starts_ns[order], batch.requests.latency_ns[order]
    failed, operations = batch.requests.failed[order], batch.requests.operations[order]
    # Exact, and so that those as slow as the last of them count, too.
    slow_from_ns = None if slow_count is None else int(np.partition(latencies_ns, -slow_count)[-slow_count])
    slow = _is_slow(latencies_ns, slow_from_ns)
    width_ns = _width_ns(starts_ns)
    stretches = tuple(_stretches(starts_ns, latencies_ns, slow, failed, width_ns)) if starts_ns.size else ()
    entries = tuple(
        Entry(key.service, key.name, *_counted(operations == number, latencies_ns, slow, failed))
        for number, key in enumerate(batch.operations)
        if np.any(operations == number)
    )
    ranked = sorted(entries, key=lambda entry: (-entry.slow_count, -entry.request_count, entry.service, entry.name))
    found = find_slow_time(Made(starts_ns, latencies_ns, operations), batch.operations)
    return OverTime(slow_from_ns, width_ns, stretches, tuple(ranked), starts_ns, latencies_ns, failed, found)


def _width_ns(starts_ns: Ints) -> int:
    if not starts_ns.size:
        return _WIDTHS[0]
    first, last = int(starts_ns[0]), int(starts_ns[-1])
    return next(
        (width for width in _WIDTHS if last // width - first // width < _MOST_STRETCHES),
        # Clocks that are years apart: whatever fits.
        -(-(last - first + 1) // (_MOST_STRETCHES - 1)),
    )


def _stretches(starts_ns: Ints, latencies_ns: Ints, slow: Flags, failed: Flags, width_ns: int) -> Iterator[Stretch]:
    first, last = int(starts_ns[0]) // width_ns, int(starts_ns[-1]) // width_ns
    numbers = starts_ns // width_ns
    for number in range(first, last + 1):
        inside = slice(*np.searchsorted(numbers, (number, number + 1)).tolist())
        latencies = latencies_ns[inside]
        yield Stretch(
            number * width_ns,
            latencies.size,
            int(np.count_nonzero(slow[inside])),
            int(np.count_nonzero(failed[inside])),
            _median(latencies) if latencies.size else None,
            int(latencies.max()) if latencies.size else None,
        )


def _counted(chosen: Flags, latencies_ns: Ints, slow: Flags, failed: Flags) -> tuple[int, int, int, int, int]:
    latencies = latencies_ns[chosen]
    return (
        latencies.size,
        int(np.count_nonzero(slow[chosen])),
        int(np.count_nonzero(failed[chosen])),
        _median(latencies),
        int(latencies.max()),
    )


def _median(latencies_ns: Ints) -> int:
    """Give the middle one, the lower of two: a duration that was measured."""
    middle = (latencies_ns.size - 1) // 2
    return int(np.partition(latencies_ns, middle)[middle])
