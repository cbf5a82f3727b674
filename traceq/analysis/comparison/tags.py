"""Which tag values stand out: much more frequent in the traces of one set than in those of another.

Attributes take longest to read, so each set is read twice: first without them, for all its traces, of which `choose`
takes some, then with the tags of these alone (`count_tags`).
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from traceq.analysis.comparison.batches import TraceColumns
from traceq.report import Column, Rows, Unit, json_key
from traceq.semantics import Attributes, value_text
from traceq.traces import Traces, normal_id

TRACES_COUNTED = 2_000
"""Number of traces of each set that are examined, chosen by their ids alone; shares of these are off by at most 2 %."""
VALUES_COUNTED = 2_000
"""A key with more values than this identifies single requests rather than groups, and is left out."""
_MOST_CHANCE = 0.01
"""The maximum probability that any value at all stands out by chance."""
_LEAST_GROWTH = 0.1
"""The minimum growth of a value's share of traces for it to stand out."""

Tag = tuple[str, str]
"""Key and value; keys of resources begin with `resource.`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The traces of a set that are examined."""

    trace_ids: tuple[str, ...] = ()
    trace_count: int = 0
    """The number of all traces, chosen or not."""

    def __len__(self) -> int:
        return len(self.trace_ids)


def choose(traces: TraceColumns) -> Sample:
    """Choose the traces with the smallest hashes, which do not depend on their content."""
    keys = zip(traces.hashes.tolist(), traces.ids.tolist(), strict=True)
    return Sample(tuple(trace_id for _, trace_id in heapq.nsmallest(TRACES_COUNTED, keys)), len(traces))


@dataclass(frozen=True, slots=True)
class TagCounts:
    """The traces of a sample in which each value of each key occurs; can be added to others of the same sample."""

    by_key: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """For each value the set of its traces: bit `n` stands for the trace at position `n` of the sample."""
    crowded: frozenset[str] = frozenset()
    """Keys with more than `VALUES_COUNTED` values, which are not in `by_key`."""

    def __add__(self, other: TagCounts) -> TagCounts:
        tally = _Tally(crowded=set(self.crowded | other.crowded))
        for part in (self, other):
            for key, values in part.by_key.items():
                for value, traces in values.items():
                    tally.add(key, value, traces)
        return tally.counts()

    def counts(self) -> Counter[Tag]:
        """Count the traces that have each tag."""
        return Counter(
            {
                (key, value): traces.bit_count()
                for key, values in self.by_key.items()
                for value, traces in values.items()
            }
        )


@dataclass(slots=True)
class _Tally:
    """Counts that are being collected."""

    by_key: dict[str, dict[str, int]] = field(default_factory=dict)
    crowded: set[str] = field(default_factory=set)

    def add(self, key: str, value: str, traces: int) -> None:
        """Record that traces have a tag; a key with too many values is dropped, which bounds the memory."""
        if key in self.crowded:
            return
        values = self.by_key.setdefault(key, {})
        values[value] = values.get(value, 0) | traces
        if len(values) > VALUES_COUNTED:
            self.crowded.add(key)
            del self.by_key[key]

    def counts(self) -> TagCounts:
        """Give the collected counts."""
        return TagCounts(self.by_key, frozenset(self.crowded))


def count_tags(traces: Traces, sample: Sample) -> TagCounts:
    """Read the tags of those traces of a table that are in a sample.

    Raises:
        ValueError: If the traces were read without attributes.
    """
    numbers = {normal_id(trace_id): number for number, trace_id in enumerate(sample.trace_ids)}
    tally = _Tally()
    for position, trace_id in enumerate(traces.trace_ids):
        number = numbers.get(normal_id(trace_id))
        if number is not None:
            for key, value in _tags(traces, position):
                tally.add(key, value, 1 << number)
    return tally.counts()


def _tags(traces: Traces, position: int) -> set[Tag]:
    """List the tags of a trace. The spans of a trace repeat each other, so their attributes are combined first."""
    own: set[Tag] = set()
    # Most spans share the object of their resource with others; by its identity each one is read once.
    resources: dict[int, Attributes] = {}
    for row in traces.rows(position):
        details = traces.span(row).details
        own.update(_texts(details.attributes()))
        resource = details.resource()
        resources[id(resource)] = resource
    return own | {("resource." + key, value) for shared in resources.values() for key, value in _texts(shared)}


def _texts(attributes: Attributes) -> list[Tag]:
    # Written out for plain text, since one call per attribute would double the time.
    return [(key, value if type(value) is str else value_text(value)) for key, value in attributes.items()]


def values_of(traces: Traces, key: str) -> tuple[tuple[str, ...], ...]:
    """Read the values of a tag in each trace, sorted; keys of resources count with or without `resource.`.

    Raises:
        ValueError: If the traces were read without attributes.
    """
    # Equal tuples share one object, since most traces have the same values.
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    found = (_values(traces, position, key) for position in range(len(traces)))
    return tuple(known.setdefault(values, values) for values in found)


def _values(traces: Traces, position: int, key: str) -> tuple[str, ...]:
    found = set()
    for row in traces.rows(position):
        details = traces.span(row).details
        for attributes, name in ((details.attributes(), key), (details.resource(), key.removeprefix("resource."))):
            if name in attributes:
                found.add(value_text(attributes[name]))
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class TaggedSample:
    """A sample with its tags."""

    sample: Sample
    tags: TagCounts


@dataclass(frozen=True, slots=True)
class TagSums:
    """Tags of several samples; can be added to others of the same samples."""

    counts: tuple[TagCounts, ...]

    def __add__(self, other: TagSums) -> TagSums:
        return TagSums(tuple(one + more for one, more in zip(self.counts, other.counts, strict=True)))


@dataclass(frozen=True, slots=True)
class TagQuestion:
    """The tags of the traces of samples: a question about these traces alone."""

    samples: tuple[Sample, ...]
    needs_details: bool = True

    @property
    def trace_ids(self) -> frozenset[str]:
        """Give the traces of all samples."""
        return frozenset(normal_id(trace_id) for sample in self.samples for trace_id in sample.trace_ids)

    def nothing(self) -> TagSums:
        """Give the sums of no traces."""
        return TagSums(tuple(TagCounts() for _ in self.samples))

    def collect(self, traces: Traces) -> TagSums:
        """Read the tags of those traces of a table that are in a sample."""
        return TagSums(tuple(count_tags(traces, sample) for sample in self.samples))

    def rank(self, sums: TagSums) -> list[TaggedSample]:
        """Combine each sample with its tags."""
        return [TaggedSample(*parts) for parts in zip(self.samples, sums.counts, strict=True)]


@dataclass(frozen=True, slots=True)
class TagChange:
    """A tag value that stands out."""

    key: str
    value: str
    before_count: int
    """The number of traces before that have the value."""
    after_count: int
    before_ratio: float
    """The share of the examined traces before that have the value."""
    after_ratio: float
    alike: tuple[Tag, ...]
    """Other tags of exactly the same traces."""

    @property
    def lift(self) -> float | None:
        """The ratio of its shares after and before; None where it did not occur before."""
        return self.after_ratio / self.before_ratio if self.before_ratio else None


TAG_COLUMNS: tuple[Column[TagChange] | Rows[TagChange], ...] = (
    Column("key", "tag"),
    Column("value", "value"),
    Column("before_trace_count", "before", Unit.COUNT, lambda change: change.before_count, "traces that have it"),
    Column("after_trace_count", "traces", Unit.COUNT, lambda change: change.after_count, priority=1),
    Column("before_ratio", "before", Unit.RATIO, about="share of the traces looked at"),
    Column("after_ratio", "after", Unit.RATIO),
    Column("lift", "times", about="how many times as frequent; null when new"),
    Rows(
        "alike",
        (Column[Tag]("key", value=lambda tag: tag[0]), Column[Tag]("value", value=lambda tag: tag[1])),
        about="further tags of exactly the same traces",
    ),
)


@dataclass(frozen=True, slots=True)
class TagChanges:
    """The tag values that are over-represented after, and the traces that were examined for them."""

    changes: tuple[TagChange, ...]
    """The values that stand out; the one with the greatest growth of its share first."""
    before_sampled: int
    after_sampled: int
    before_traces: int
    after_traces: int
    left_out: tuple[str, ...]
    """The keys that were left out because they have too many values."""


_Row = TypeVar("_Row")


def tag_specs(taken: Callable[[_Row], TagChanges | None]) -> tuple[Column[_Row] | Rows[_Row], ...]:
    """Describe the columns of tags; all null where tags were not compared.

    Args:
        taken: Takes the tags from a row.
    """

    def count(key: str, fact: Callable[[TagChanges], int], about: str) -> Column[_Row]:
        def value(row: _Row) -> int | None:
            found = taken(row)
            return None if found is None else fact(found)

        return Column(key, key.replace("_", " "), Unit.COUNT, value, about, within="tags")

    def changes(row: _Row) -> tuple[TagChange, ...] | None:
        found = taken(row)
        return None if found is None else found.changes

    def left_out(row: _Row) -> tuple[str, ...] | None:
        found = taken(row)
        return None if found is None else found.left_out

    return (
        Rows("changes", TAG_COLUMNS, changes, "values that stand out after, the greatest growth first", within="tags"),
        count("before_sampled_trace_count", lambda tags: tags.before_sampled, "traces whose tags were counted"),
        count("after_sampled_trace_count", lambda tags: tags.after_sampled, "the same"),
        count("before_trace_count", lambda tags: tags.before_traces, "traces they were chosen from"),
        count("after_trace_count", lambda tags: tags.after_traces, "the same"),
        json_key("keys_left_out", left_out, "keys with thousands of values", within="tags"),
    )


def compare_tags(before: TaggedSample, after: TaggedSample, ignored_keys: frozenset[str] = frozenset()) -> TagChanges:
    """Find the values that are over-represented in the second set.

    A value stands out when its share of traces grew by at least a tenth of all traces, and by more than chance explains
    for any of the values that were counted (Fisher's exact test, Bonferroni).

    Args:
        before: The set to compare with.
        after: The set to examine.
        ignored_keys: Keys by which the sets were split, which show nothing new.
    """
    counts = before.tags.counts(), after.tags.counts()
    left_out = _crowded(before.tags, after.tags)
    sizes = (len(before.sample), len(after.sample))
    tested = [tag for tag in counts[1] if tag[0] not in left_out | ignored_keys]
    limit = _MOST_CHANCE / max(len(tested), 1)
    standing = [tag for tag in tested if _stands_out((counts[0][tag], counts[1][tag]), sizes, limit)]
    changes = [
        _change(tags, (counts[0][tags[0]], counts[1][tags[0]]), sizes)
        for tags in _alike(standing, before.tags, after.tags)
    ]
    changes.sort(key=lambda change: (change.before_ratio - change.after_ratio, change.key, change.value))
    totals = (before.sample.trace_count, after.sample.trace_count)
    return TagChanges(tuple(changes), *sizes, *totals, tuple(sorted(left_out)))


def _crowded(before: TagCounts, after: TagCounts) -> frozenset[str]:
    """Find the keys with too many values, counted over both sets."""
    shared = before.by_key.keys() & after.by_key.keys()
    together = {key for key in shared if len(before.by_key[key].keys() | after.by_key[key].keys()) > VALUES_COUNTED}
    return before.crowded | after.crowded | together


def _stands_out(counts: tuple[int, int], sizes: tuple[int, int], limit: float) -> bool:
    if not min(sizes):
        return False
    growth = counts[1] / sizes[1] - counts[0] / sizes[0]
    if growth < _LEAST_GROWTH:
        return False
    return _chance_of_so_many(counts, sizes) < limit


def _chance_of_so_many(counts: tuple[int, int], sizes: tuple[int, int]) -> float:
    """Give the probability that, by chance, at least as many of the traces with a tag are in the second set.

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
    """Group tags that occur in exactly the same traces, a pod's name and its address for instance."""
    groups: dict[tuple[int, int], list[Tag]] = {}
    for key, value in sorted(tags):
        traces = (before.by_key.get(key, {}).get(value, 0), after.by_key[key][value])
        groups.setdefault(traces, []).append((key, value))
    return list(groups.values())


def _change(tags: list[Tag], counts: tuple[int, int], sizes: tuple[int, int]) -> TagChange:
    (key, value), *alike = tags
    return TagChange(key, value, *counts, counts[0] / sizes[0], counts[1] / sizes[1], tuple(alike))
