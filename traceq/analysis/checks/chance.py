"""How likely chance alone makes the difference between two runs: exact where possible, without random numbers.

Every test here asks one question: if both runs were drawn from one distribution, how often would the second one look
at least this much worse? None assumes a shape of the distribution. Requests of one run may be alike for reasons of
their own (a pause of the garbage collector, a minute with a busy neighbour), and count for less then: see `crowding`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.comparison.batches import Floats, Hashes

_NO_INTS: Ints = np.zeros(0, dtype=np.int64)
_NO_HASHES: Hashes = np.zeros(0, dtype=np.uint64)


class Sample(Struct, frozen=True, eq=False):
    """Values of one measure and the traces that they are from; see `joined`."""

    values: Ints = field(default_factory=lambda: _NO_INTS)
    weights: Ints = field(default_factory=lambda: _NO_INTS)
    """What each value is a part of, for shares: the latency of its request; otherwise 1."""
    start_ns: Ints = field(default_factory=lambda: _NO_INTS)
    """The start of the value's trace."""
    hashes: Hashes = field(default_factory=lambda: _NO_HASHES)
    """A hash of the id of the value's trace."""

    def __len__(self) -> int:
        return int(self.values.size)

    def of(self, rows: Ints | Flags) -> Sample:
        """Give some of the values."""
        return Sample(self.values[rows], self.weights[rows], self.start_ns[rows], self.hashes[rows])

    @property
    def shares(self) -> Floats:
        """The values as shares of their weights."""
        shares: Floats = self.values / np.maximum(self.weights, 1)
        return shares


def joined(samples: Sequence[Sample]) -> Sample:
    """Put samples together, in order of time, the values of a trace together: whoever collected them, and when."""
    names = ("values", "weights", "start_ns", "hashes")
    found = Sample(*(np.concatenate([getattr(each, name) for each in samples or (Sample(),)]) for name in names))
    return found.of(np.lexsort((found.weights, found.values, found.hashes, found.start_ns)))


def tail(marked: int, others: int, drawn: int, least: int) -> float:
    """Give the probability that at least so many of those that are drawn at random are marked (hypergeometric).

    Args:
        marked: The number of marked ones ...
        others: ... and of the others.
        drawn: The number of all that are drawn, without putting them back.
        least: The number of marked ones among these.
    """
    most = min(marked, drawn)
    if least <= max(0, drawn - others):
        return 1.0
    if least > most:
        return 0.0
    first = math.exp(
        _log_choices(marked, least) + _log_choices(others, drawn - least) - _log_choices(marked + others, drawn)
    )
    found = np.arange(least, most, dtype=np.float64)
    with np.errstate(divide="ignore"):
        steps = np.log(marked - found) + np.log(drawn - found) - np.log(found + 1) - np.log(others - drawn + found + 1)
    return min(1.0, first * (1.0 + float(np.exp(np.cumsum(steps)).sum())))


def _log_choices(size: int, taken: int) -> float:
    return math.lgamma(size + 1) - math.lgamma(taken + 1) - math.lgamma(size - taken + 1)


def crowding(runs: Sequence[tuple[Floats, Hashes]]) -> float:
    """Say how many times more the averages of stretches of a run vary than those of independent values would.

    The values of each run, in order of time, are divided into stretches of one trace, of two, of four and so on. 1
    unless the averages of some of them vary more than chance explains: short stretches show that best, of which there
    are many. Else the greatest ratio, as only stretches longer than what made requests alike show all of it.

    Args:
        runs: Values, and the traces that these are from.

    Source: batch means at all lengths, Flyvbjerg and Petersen, 1989; the ratio is the design effect of surveys (Kish,
    1965).
    """
    marked = [
        (values, np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))) for values, hashes in runs if values.size
    ]
    length, ratios, is_clear = 1, [1.0], False
    while max((heads.size for _, heads in marked), default=0) // length >= _LEAST_STRETCHES:
        scatter, freedom = _scatter_of_stretches(marked, length)
        if freedom:
            is_clear = is_clear or scatter >= _scatter(freedom, _CLEAR)
            ratios.append(scatter / _scatter(freedom, 0))
        length *= 2
    return max(ratios) if is_clear else 1.0


def _scatter_of_stretches(runs: Sequence[tuple[Floats, Ints]], length: int) -> tuple[float, int]:
    """Sum up how far averages of stretches lie from those of their runs, as chi-squared, and give its freedom.

    Args:
        runs: Values, and where those of each trace begin.
        length: The number of traces in a stretch.
    """
    found, freedom = 0.0, 0
    for values, heads in runs:
        count, variance = heads.size // length, float(values.var())
        if count < _LEAST_STRETCHES or variance == 0:
            continue
        starts = heads[(np.arange(count) * heads.size) // count]
        sizes = np.diff(starts, append=values.size)
        differences = np.add.reduceat(values, starts) / sizes - values.mean()
        found += float((sizes * differences**2).sum()) / variance
        freedom += count - 1
    return found, freedom


def _scatter(freedom: int, deviate: float) -> float:
    """Give a percentile of the chi-squared distribution. Source: Wilson and Hilferty, 1931."""
    part = 2 / (9 * freedom)
    return freedom * max(1 - part + deviate * math.sqrt(part), 0.05) ** 3


_CLEAR = 1.645
"""The normal deviate that chance exceeds in one of 20 cases: what varies more is no chance."""
_LEAST_STRETCHES = 3


class Growth(Struct, frozen=True):
    """How much a measure grew, and how likely chance alone makes it grow so much."""

    chance: float
    """The probability of this growth, or a greater one, if nothing changed."""
    low: float | None = None
    """In 95 of 100 cases, the factor by which it grew is at least this; None where that cannot be told."""


UNKNOWN = Growth(1.0)
_COVERAGE = 0.95


def percentile_growth(before: Sample, after: Sample, quantile: float) -> Growth:
    """Tell whether a percentile grew.

    It grew as far as the values after lie above those before on both sides of a cut. Two cuts are tried. At the
    percentile before, many values after lie above it if everything takes longer. At the percentile after, few values
    before lie above it if a few requests take much longer. How often chance puts so many above a cut is known exactly,
    whatever the distribution, since each way to deal out all values to both runs is equally likely.

    Source: exceedance (precedence) tests, Balakrishnan and Ng, 2006.
    """
    sizes = (len(before), len(after))
    first, second = (np.sort(run.values) for run in (before, after))
    fewer, more = sizes[0] - rank_of(quantile, sizes[0]), sizes[1] - rank_of(quantile, sizes[1]) + 1
    paths = [
        [(fewer, found) for found in range(more, sizes[1] + 1)],
        [*((found, more) for found in range(fewer, 0, -1)), *((0, found) for found in range(more, sizes[1] + 1))],
    ]

    def chance(cut: tuple[int, int], crowd: float) -> float:
        """Give how often chance leaves no more values before, and no fewer after, above a cut on either path."""
        return min(1.0, len(paths) * _table_chance(cut[0], sizes[0], cut[1], sizes[1], crowd))

    def ratio(cut: tuple[int, int]) -> float:
        """Give by how much the last value after that lies above a cut exceeds the last one before that lies below."""
        return float(second[sizes[1] - cut[1]]) / max(float(first[sizes[0] - cut[0] - 1]), 1.0)

    def crowd_of(cut: tuple[int, int]) -> float:
        """Say how far the values above a cut come together; those at another one may not, and prove nothing."""
        beyond = before.values > first[sizes[0] - cut[0] - 1], after.values >= second[sizes[1] - cut[1]]
        return crowding(
            [(flags.astype(np.float64), run.hashes) for flags, run in zip(beyond, (before, after), strict=True)]
        )

    surest, low = 1.0, None
    for path in paths:
        end = bisect_left(path, True, key=lambda cut: ratio(cut) <= 1)  # noqa: FBT003
        crowd = crowd_of(path[max(end - 1, 0)])
        surest = min(surest, chance(path[end - 1], crowd) if end else 1.0)
        sure = bisect_left(path, True, key=lambda cut: chance(cut, crowd) <= 1 - _COVERAGE)  # noqa: FBT003
        if sure < len(path):
            low = max(low or 0.0, ratio(path[sure]))
    return Growth(surest, low)


def rank_of(quantile: float, size: int) -> int:
    """Give the rank of a percentile among so many values, from 1 on: the least that reaches the share."""
    return max(1, math.ceil(round(quantile * size, 9)))


def _table_chance(before: int, before_size: int, after: int, after_size: int, crowd: float) -> float:
    """Give the probability of so many cases after, or more, by Fisher's exact test; crowded values count for less."""
    fewer, sizes = math.ceil(before / crowd), [math.floor(size / crowd) for size in (before_size, after_size)]
    found = math.floor(after / crowd)
    return tail(sizes[1], sizes[0], min(fewer, sizes[0]) + found, found)


def failure_growth(before: Sample, after: Sample) -> Growth:
    """Tell whether more of all failed: Fisher's exact test. Values are 1 for failures and 0 otherwise."""
    crowd = crowding([(run.values.astype(np.float64), run.hashes) for run in (before, after)])
    failed = [int(run.values.sum()) for run in (before, after)]
    return Growth(_table_chance(failed[0], len(before), failed[1], len(after), crowd))


def rank_growth(before: Sample, after: Sample) -> Growth:
    """Tell whether values are greater after: the rank-sum test of Wilcoxon, with ties, for counts and shares.

    Where there are only two different values, this is Fisher's exact test.
    """
    pooled = np.concatenate((before.shares, after.shares))
    different, numbers, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    if different.size < 2:
        return UNKNOWN
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[numbers]
    parts = ((ranks[: len(before)], before.hashes), (ranks[len(before) :], after.hashes))
    crowd = crowding(parts)
    if different.size == 2:
        high = [int(np.count_nonzero(part > ranks.min())) for part, _ in parts]
        return Growth(_table_chance(high[0], len(before), high[1], len(after), crowd))
    size = pooled.size
    variance = len(before) * len(after) / size * float(ranks.var(ddof=1)) * crowd
    beyond = float(parts[1][0].sum()) - len(after) * (size + 1) / 2
    return Growth(_normal_tail(beyond / math.sqrt(variance)))


def mean_growth(before: Sample, after: Sample) -> Growth:
    """Tell whether the mean is greater after: the test of Welch."""
    runs = [run.values.astype(np.float64) for run in (before, after)]
    if min(map(len, runs)) < 2:
        return UNKNOWN
    crowd = crowding([(values, run.hashes) for values, run in zip(runs, (before, after), strict=True)])
    errors = [crowd * float(values.var(ddof=1)) / values.size for values in runs]
    difference = float(runs[1].mean() - runs[0].mean())
    if sum(errors) == 0:
        return Growth(0.0 if difference > 0 else 1.0)
    freedom = sum(errors) ** 2 / sum(error**2 / (values.size - 1) for error, values in zip(errors, runs, strict=True))
    return Growth(_normal_tail(_as_normal(difference / math.sqrt(sum(errors)), freedom / crowd)))


def _as_normal(student: float, freedom: float) -> float:
    """Give the normal deviate that is as unlikely as one of Student's t. Source: Wallace, 1959."""
    size = math.sqrt(freedom * math.log1p(student**2 / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.copysign(size, student)


def _normal_tail(deviate: float) -> float:
    return math.erfc(deviate / math.sqrt(2)) / 2


def adjusted(chances: Sequence[float]) -> list[float]:
    """Give for each of several tests the probability that chance makes any of them look so bad (Holm, 1979)."""
    order = sorted(range(len(chances)), key=lambda at: chances[at])
    found, least = [1.0] * len(chances), 0.0
    for place, at in enumerate(order):
        least = max(least, min(1.0, (len(chances) - place) * chances[at]))
        found[at] = least
    return found
