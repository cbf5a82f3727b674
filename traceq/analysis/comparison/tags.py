"""Which tag values stand out: much more frequent in the traces of one set than in those of another."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from traceq.analysis.comparison.cohorts import stable_hash
from traceq.semantics import Attributes, value_text
from traceq.traces import Traces, normal_id

TRACES_COUNTED = 2_000
"""So many traces of each set are looked at, chosen by their ids alone; shares of so many are off by 2 % at most."""
VALUES_COUNTED = 2_000
"""A key with more values than this tells requests apart rather than groups of them, and is left out."""
_MOST_CHANCE = 0.01
"""How likely it may be that any value at all stands out by chance."""
_LEAST_GROWTH = 0.1
"""A value stands out when its share of traces is greater by so much."""

Tag = tuple[str, str]
"""Key and value; keys of resources begin with `resource.`."""


@dataclass(frozen=True, slots=True)
class TagCounts:
    """In how many traces each value of each key occurs, for a sample of traces; adds to others."""

    by_trace: Mapping[tuple[int, str], frozenset[Tag]] = field(default_factory=dict)
    """By hash and id of the trace, the least hashes only."""
    trace_count: int = 0
    """Of all traces, sampled or not."""

    def __add__(self, other: TagCounts) -> TagCounts:
        both = dict(self.by_trace)
        for key, tags in other.by_trace.items():
            both[key] = both.get(key, frozenset()) | tags
        kept = heapq.nsmallest(TRACES_COUNTED, both)
        return TagCounts({key: both[key] for key in kept}, self.trace_count + other.trace_count)

    @property
    def sampled_count(self) -> int:
        """How many traces were looked at."""
        return len(self.by_trace)

    def counts(self) -> Counter[Tag]:
        """Count the sampled traces that have each tag."""
        return Counter(tag for tags in self.by_trace.values() for tag in tags)


def count_tags(traces: Traces) -> TagCounts:
    """Read which tags traces carry.

    Raises:
        ValueError: If the traces were read without attributes.
    """
    keys = {(stable_hash(normal_id(traces.trace_ids[at])), traces.trace_ids[at]): at for at in range(len(traces))}
    # Equal texts are one object: two thousand traces say the same things.
    texts: dict[str, str] = {}
    chosen = heapq.nsmallest(TRACES_COUNTED, keys)
    return TagCounts({key: _tags(traces, keys[key], texts) for key in chosen}, len(keys))


def _tags(traces: Traces, position: int, texts: dict[str, str]) -> frozenset[Tag]:
    found: set[Tag] = set()
    for row in traces.rows(position):
        details = traces.span(row).details
        found |= _texts(details.attributes(), "", texts)
        found |= _texts(details.resource(), "resource.", texts)
    return frozenset(found)


def _texts(attributes: Attributes, prefix: str, texts: dict[str, str]) -> set[Tag]:
    pairs = ((prefix + key, value_text(value)) for key, value in attributes.items())
    return {(texts.setdefault(key, key), texts.setdefault(value, value)) for key, value in pairs}


@dataclass(frozen=True, slots=True)
class TagChange:
    """A tag value that stands out."""

    key: str
    value: str
    before_count: int
    """Traces that have it."""
    after_count: int
    before_ratio: float
    """Of the traces looked at."""
    after_ratio: float
    alike: tuple[Tag, ...]
    """Further tags of exactly the same traces."""

    @property
    def lift(self) -> float | None:
        """How many times as frequent it is; None where it did not occur before."""
        return self.after_ratio / self.before_ratio if self.before_ratio else None

    def to_dict(self) -> dict[str, object]:
        """Give the tag as it stands in JSON."""
        return {
            "key": self.key,
            "value": self.value,
            "before_trace_count": self.before_count,
            "after_trace_count": self.after_count,
            "before_ratio": self.before_ratio,
            "after_ratio": self.after_ratio,
            "lift": self.lift,
            "alike": [{"key": key, "value": value} for key, value in self.alike],
        }


@dataclass(frozen=True, slots=True)
class TagChanges:
    """The tag values that are over-represented after, and what was looked at to find them."""

    changes: tuple[TagChange, ...]
    """The greatest growth of share first."""
    before_sampled: int
    after_sampled: int
    before_traces: int
    after_traces: int
    left_out: tuple[str, ...]
    """Keys with too many values."""

    def to_dict(self) -> dict[str, object]:
        """Give the answer as it stands in JSON."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "before_sampled_trace_count": self.before_sampled,
            "after_sampled_trace_count": self.after_sampled,
            "before_trace_count": self.before_traces,
            "after_trace_count": self.after_traces,
            "keys_left_out": list(self.left_out),
        }


def compare_tags(before: TagCounts, after: TagCounts, ignored_keys: frozenset[str] = frozenset()) -> TagChanges:
    """Find the values that are over-represented in the second set.

    A value stands out when its share of traces grew by at least a tenth of all traces, and by more than chance would
    make any of all the values that were counted grow (Fisher's exact test, Bonferroni).

    Args:
        before: The set to compare with.
        after: The set in question.
        ignored_keys: Keys by which the sets were told apart, which say nothing new.
    """
    counts = before.counts(), after.counts()
    values = Counter(key for key, _ in {*counts[0], *counts[1]})
    left_out = {key for key, count in values.items() if count > VALUES_COUNTED}
    sizes = (before.sampled_count, after.sampled_count)
    tested = [tag for tag in counts[1] if tag[0] not in left_out | ignored_keys]
    limit = _MOST_CHANCE / max(len(tested), 1)
    standing = [tag for tag in tested if _stands_out((counts[0][tag], counts[1][tag]), sizes, limit)]
    changes = [
        _change(tags, (counts[0][tags[0]], counts[1][tags[0]]), sizes) for tags in _alike(standing, before, after)
    ]
    changes.sort(key=lambda change: (change.before_ratio - change.after_ratio, change.key, change.value))
    totals = (before.trace_count, after.trace_count)
    return TagChanges(tuple(changes), *sizes, *totals, tuple(sorted(left_out)))


def _stands_out(counts: tuple[int, int], sizes: tuple[int, int], limit: float) -> bool:
    if not min(sizes):
        return False
    growth = counts[1] / sizes[1] - counts[0] / sizes[0]
    if growth < _LEAST_GROWTH:
        return False
    return _chance_of_so_many(counts, sizes) < limit


def _chance_of_so_many(counts: tuple[int, int], sizes: tuple[int, int]) -> float:
    """Give how likely at least as many of all traces with a tag fall on the second set by chance.

    Source: Fisher's exact test, one-sided: the hypergeometric distribution's upper tail.
    """
    carriers, everyone = sum(counts), sum(sizes)
    all_ways = _log_choices(everyone, carriers)
    tail = (
        math.exp(_log_choices(sizes[1], number) + _log_choices(sizes[0], carriers - number) - all_ways)
        for number in range(counts[1], min(carriers, sizes[1]) + 1)
        if carriers - number <= sizes[0]
    )
    return math.fsum(tail)


def _log_choices(of: int, number: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(number + 1) - math.lgamma(of - number + 1)


def _alike(tags: list[Tag], before: TagCounts, after: TagCounts) -> list[list[Tag]]:
    """Put tags together that occur in the very same traces, a pod's name and its address for instance."""
    where: dict[Tag, list[tuple[int, int, str]]] = {tag: [] for tag in tags}
    for side, counts in enumerate((before, after)):
        for (number, trace_id), found in sorted(counts.by_trace.items()):
            for tag in found & where.keys():
                where[tag].append((side, number, trace_id))
    groups: dict[tuple[tuple[int, int, str], ...], list[Tag]] = {}
    for tag in sorted(tags):
        groups.setdefault(tuple(where[tag]), []).append(tag)
    return list(groups.values())


def _change(tags: list[Tag], counts: tuple[int, int], sizes: tuple[int, int]) -> TagChange:
    (key, value), *alike = tags
    return TagChange(key, value, *counts, counts[0] / sizes[0], counts[1] / sizes[1], tuple(alike))
