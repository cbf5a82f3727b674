"""Like with like: how much each request counts, so that another mix of requests is not taken for a change."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traceq.analysis.columns import Ints
from traceq.analysis.comparison.batches import Batch
from traceq.analysis.grouping import distinct

Floats = npt.NDArray[np.float64]

MIN_REQUESTS = 5
"""A kind of request is compared by itself when both sides have so many of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Which requests are compared with which."""

    before_kinds: Ints
    """One a request of the first batch: its kind."""
    after_kinds: Ints
    before_strata: Floats
    """A row a stratum, a column a kind: 1 where requests of the kind before belong to the stratum."""
    after_strata: Floats
    shares: Floats
    """One a stratum: how much of all requests it stands for; they add up to 1."""
    unmatched: Ints
    """Kinds whose entry operation the other side does not have at all."""

    def weights(self, kinds: Ints, strata: Floats, multiplicity: Floats | None = None) -> Floats:
        """Give how much each request of one side counts: sums over both sides then differ by what changed.

        Args:
            kinds: `before_kinds` or `after_kinds`.
            strata: The strata of the same side.
            multiplicity: How often each request was drawn; once each when left out.
        """
        drawn = np.ones(kinds.size) if multiplicity is None else multiplicity
        counts = strata @ np.bincount(kinds, weights=drawn, minlength=strata.shape[1])
        by_kind = (self.shares / np.where(counts > 0, counts, 1)) @ strata
        weights: Floats = drawn * by_kind[kinds]
        return weights


def match(before: Batch, after: Batch) -> Matching:
    """Pair up the kinds of requests of two batches that number their operations alike.

    Requests are of one kind when they have the same entry operation and entered the same operations of the same
    services. A kind of which both sides have at least `MIN_REQUESTS` is compared by itself. The others are compared
    together, per entry operation; where only one side has enough of them, with all requests of that operation. Each
    comparison counts by its requests of both sides, so swapping the sides changes signs alone.
    """
    before_kinds, after_kinds, entry_of = _kinds(before, after)
    counts = [np.bincount(kinds, minlength=entry_of.size) for kinds in (before_kinds, after_kinds)]
    alike = np.flatnonzero(np.minimum(*counts) >= MIN_REQUESTS)
    strata = [(np.array([kind]), np.array([kind]), int(counts[0][kind] + counts[1][kind])) for kind in alike.tolist()]
    unmatched: list[int] = []
    for entry in distinct(entry_of).tolist():
        kinds = np.flatnonzero(entry_of == entry)
        left = np.setdiff1d(kinds, alike)
        if min(count[kinds].sum() for count in counts) == 0:
            unmatched += kinds.tolist()
        elif left.size:
            strata += _leftovers(kinds, left, counts[0], counts[1])
    return _matching(before_kinds, after_kinds, strata, entry_of.size, np.array(unmatched, dtype=np.int64))


_Stratum = tuple[Ints, Ints, int]


def _leftovers(kinds: Ints, left: Ints, before: Ints, after: Ints) -> list[_Stratum]:
    """Compare the requests of rare kinds together, or with everything where the other side has too few of them."""
    rare = (int(before[left].sum()), int(after[left].sum()))
    if min(rare) >= MIN_REQUESTS:
        return [(left, left, sum(rare))]
    pairs = [(left, kinds, rare[0]), (kinds, left, rare[1])]
    return [pair for pair in pairs if pair[2]]


def _kinds(before: Batch, after: Batch) -> tuple[Ints, Ints, Ints]:
    """Number the kinds of requests of both batches: of each request, and the entry operation of each kind."""
    entries = np.concatenate((before.requests.operations, after.requests.operations))
    reached = np.concatenate((before.requests.reached, after.requests.reached))
    order = np.lexsort((reached, entries))
    heads = np.ones(order.size, dtype=np.bool_)
    heads[1:] = (np.diff(entries[order]) != 0) | (reached[order][1:] != reached[order][:-1])
    kinds = np.zeros(order.size, dtype=np.int64)
    kinds[order] = np.cumsum(heads) - 1
    size = len(before.requests)
    return kinds[:size], kinds[size:], entries[order][heads].astype(np.int64)


def _matching(
    before_kinds: Ints, after_kinds: Ints, strata: list[_Stratum], kind_count: int, unmatched: Ints
) -> Matching:
    sides = np.zeros((2, len(strata), kind_count))
    for number, (kinds_before, kinds_after, _) in enumerate(strata):
        sides[0, number, kinds_before] = 1
        sides[1, number, kinds_after] = 1
    sizes = np.array([size for *_, size in strata], dtype=np.float64)
    return Matching(before_kinds, after_kinds, sides[0], sides[1], sizes / max(sizes.sum(), 1), unmatched)


def unmatched_operations(batch: Batch, kinds: Ints, matching: Matching) -> dict[str, int]:
    """Count the requests of one side that have no counterpart, by service and operation of their entry."""
    alone = np.isin(kinds, matching.unmatched)
    keys = (batch.operations[number] for number in batch.requests.operations[alone].tolist())
    return dict(sorted(Counter(f"{key.service} {key.name}".strip() for key in keys).items()))
