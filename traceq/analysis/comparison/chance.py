"""How sure a change is: the bootstrap over traces, without a random number generator.

Each replicate draws every trace 0, 1, 2, ... times (Poisson with mean 1, which drawing with replacement comes to for
many traces). How often is computed from the trace's id and the replicate's number: the same every run, whatever the
order of traces, and equal for a trace that both sides hold, so that a set against itself has no spread at all.

Source: Chamandy, Muralidharan, Najmi and Naidu, Estimating uncertainty for massive data streams, 2012.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from traceq.analysis.columns import Flags
from traceq.analysis.comparison.batches import Floats

REPLICATES = 200
_COVERAGE = 0.95
_ALONE = 1.96
"""Standard deviations that 95 of 100 single values lie within."""
_NOISE = 1e-9
"""Differences below this share of what differs come from rounding, at 1e-16 a step."""
_POISSON = np.cumsum(np.exp(-1) / np.array([1, 1, 2, 6, 24, 120, 720, 5040, 40320], dtype=np.float64))
"""How likely a trace is drawn at most 0, 1, 2, ... times."""

Hashes = npt.NDArray[np.uint64]


def drawn(hashes: Hashes, replicate: int) -> Floats:
    """Give how often a replicate draws each trace.

    Source of the mixing: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    mixed = hashes + np.uint64((replicate + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    uniform = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_POISSON, uniform, side="right").astype(np.float64)


def settled(differences: Floats, sizes: Floats) -> Floats:
    """Take differences that only rounding made for none: measured in their own deviations they would be great ones.

    Args:
        differences: Of amounts.
        sizes: How great the amounts are that were subtracted.
    """
    return np.where(np.abs(differences) > _NOISE * sizes, differences, 0.0)


def intervals(changes: Floats, replicates: Floats, sizes: Floats, counted: Flags) -> tuple[Floats, Floats, Flags]:
    """Give ends between which all changes lie at once, in 95 of 100 cases.

    At once, because the greatest of many changes is looked at: of hundreds of operations some seem to change by chance.
    The greatest deviation over all of them, each in its own standard deviations, is what bounds them; below and above
    have each their own.

    Args:
        changes: One a group, as measured.
        replicates: A row a replicate, a column a group.
        sizes: How great the amounts are that change.
        counted: Which groups to bound at once. The others have intervals as wide, in their own standard deviations.

    Returns:
        The lower ends, the upper ends, and which changes are beyond chance when looked at alone.
    """
    if not counted.any():
        return changes, changes, changes != 0
    deviations = settled(replicates - changes, sizes)
    below, above = (_half_deviation(deviations, sign) for sign in (-1, 1))
    scale = np.where(deviations < 0, below, above)
    greatest = np.abs(deviations / np.where(scale > 0, scale, 1))[:, counted].max(axis=1)
    reach = np.sort(greatest)[int(_COVERAGE * (greatest.size - 1))]
    likely = np.where(changes > 0, changes > _ALONE * below, -changes > _ALONE * above)
    low, high = (settled(end, sizes) for end in (changes - reach * below, changes + reach * above))
    return low, high, likely


def _half_deviation(deviations: Floats, sign: int) -> Floats:
    """Give the standard deviation as one side of the middle shows it: times have long tails on one side only.

    What does not deviate at all counts half on either side, as counts and errors of few requests often do not.
    """
    one_side = np.maximum(sign * deviations, 0)
    counts = np.count_nonzero(one_side, axis=0) + np.count_nonzero(deviations == 0, axis=0) / 2
    half: Floats = np.sqrt((one_side**2).sum(axis=0) / np.maximum(counts, 1))
    return half
