"""Which tag values stand out: much more frequent in the traces of one set than in those of another.

Attributes take longest to read, so each set is read twice: first without them, for all its traces, of which `choose`
takes some, then with the tags of these alone (`count_tags`).
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Ints
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


class Sample(Struct, frozen=True):
    """The traces of a set that are examined."""

    trace_ids: tuple[str, ...] = ()
    trace_count: int = 0
    """The number of all traces, chosen or not."""
    entries: tuple[int, ...] = ()
    """What the requests of each of `trace_ids` entered at ..."""
    shapes: tuple[int, ...] = ()
    """... and of what kind they are."""

    def __len__(self) -> int:
        return len(self.trace_ids)


def choose(traces: TraceColumns) -> Sample:
    """Choose the traces with the smallest hashes, which do not depend on their content."""
    columns = (traces.hashes, traces.ids, traces.entries, traces.shapes)
    chosen = heapq.nsmallest(TRACES_COUNTED, zip(*(column.tolist() for column in columns), strict=True))
    _, ids, entries, kinds = zip(*chosen, strict=True) if chosen else ((), (), (), ())
    return Sample(ids, len(traces), entries, kinds)


class TagCounts(Struct, frozen=True):
    """The traces of a sample in which each value of each key occurs; can be added to others of the same sample."""

    by_key: Mapping[str, Mapping[str, int]] = {}
    """For each value the set of its traces: bit `n` stands for the trace at position `n` of the sample."""
    crowded: frozenset[str] = frozenset()
    """Keys with more than `VALUES_COUNTED` values, which are not in `by_key`."""
    bearers: Mapping[Tag, frozenset[str]] = {}
    """The services whose spans bear each tag."""
    services: Mapping[str, int] = {}
    """For each service the set of the traces that it has a part in."""

    def __add__(self, other: TagCounts) -> TagCounts:
        tally = _Tally(crowded=set(self.crowded | other.crowded))
        for part in (self, other):
            for service, traces in part.services.items():
                tally.enter(service, traces)
            for key, values in part.by_key.items():
                for value, traces in values.items():
                    tally.add(key, value, traces, part.bearers[key, value])
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


class _Tally(Struct):
    """Counts that are being collected."""

    by_key: dict[str, dict[str, int]] = {}
    crowded: set[str] = set()
    bearers: dict[Tag, set[str]] = {}
    services: dict[str, int] = {}

    def enter(self, service: str, traces: int) -> None:
        """Record that a service has a part in traces."""
        self.services[service] = self.services.get(service, 0) | traces

    def meet(self, service: str, tags: Iterable[Tag], traces: int) -> None:
        """Record that traces have tags in the part of a service."""
        self.enter(service, traces)
        for tag in tags:
            key, value = tag
            values = self.by_key.get(key)
            known = None if values is None else values.get(value)
            if values is None or known is None:
                self.add(key, value, traces, (service,))
            else:
                # Most of them; nothing is made for these.
                values[value] = known | traces
                self.bearers[tag].add(service)

    def add(self, key: str, value: str, traces: int, bearers: Iterable[str]) -> None:
        """Record that traces have a tag; a key with too many values is dropped, which bounds the memory."""
        if key in self.crowded:
            return
        values = self.by_key.get(key)
        if values is None:
            values = self.by_key[key] = {}
        known = values.get(value)
        if known is not None:
            values[value] = known | traces
            self.bearers[key, value].update(bearers)
            return
        values[value] = traces
        self.bearers[key, value] = set(bearers)
        if len(values) > VALUES_COUNTED:
            self.crowded.add(key)
            for dropped in self.by_key.pop(key):
                del self.bearers[key, dropped]

    def counts(self) -> TagCounts:
        """Give the collected counts."""
        bearers = {tag: frozenset(services) for tag, services in self.bearers.items()}
        return TagCounts(self.by_key, frozenset(self.crowded), bearers, self.services)


def count_tags(traces: Traces, sample: Sample) -> TagCounts:
    """Read the tags of those traces of a table that are in a sample.

    Raises:
        ValueError: If the traces were read without attributes.
    """
    numbers = {normal_id(trace_id): number for number, trace_id in enumerate(sample.trace_ids)}
    tally = _Tally()
    resources: _Resources = {}
    for position, trace_id in enumerate(traces.trace_ids):
        number = numbers.get(normal_id(trace_id))
        if number is not None:
            for service, found in _tags(traces, position, resources).items():
                tally.meet(service, found, 1 << number)
    return tally.counts()


_Resources: TypeAlias = dict[int, tuple[Attributes, list[Tag]]]
"""The tags of resources, by the identity of their attributes, which are kept so that no others can have it."""


def _tags(traces: Traces, position: int, known: _Resources) -> dict[str, set[Tag]]:
    """List the tags of a trace by the services that bear them. Spans repeat each other: attributes are combined."""
    own: dict[str, set[Tag]] = {}
    # Most spans share the object of their resource with others; by its identity each one is read once.
    resources: dict[tuple[str, int], Attributes] = {}
    for row in traces.rows(position):
        span = traces.span(row)
        details = span.details
        own.setdefault(span.service, set()).update(_texts(details.attributes()))
        resource = details.resource()
        resources[span.service, id(resource)] = resource
    for (service, number), shared in resources.items():
        if number not in known:
            known[number] = shared, [("resource." + key, value) for key, value in _texts(shared)]
        own[service].update(known[number][1])
    return own


def _texts(attributes: Attributes) -> list[Tag]:
    # Written out for plain text and whole numbers, since one call per attribute would double the time.
    return [
        (key, value if type(value) is str else str(value) if type(value) is int else value_text(value))
        for key, value in attributes.items()
    ]


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


class TaggedSample(Struct, frozen=True):
    """A sample with its tags."""

    sample: Sample
    tags: TagCounts


class TagSums(Struct, frozen=True):
    """Tags of several samples; can be added to others of the same samples."""

    counts: tuple[TagCounts, ...]

    def __add__(self, other: TagSums) -> TagSums:
        return TagSums(tuple(one + more for one, more in zip(self.counts, other.counts, strict=True)))


class TagQuestion(Struct, frozen=True):
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


class TagChange(Struct, frozen=True):
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
    Column("lift", "times", about="how many times as frequent; null when new", holds="number"),
    Rows(
        "alike",
        (Column[Tag]("key", value=lambda tag: tag[0]), Column[Tag]("value", value=lambda tag: tag[1])),
        about="further tags of exactly the same traces",
    ),
)


class TagChanges(Struct, frozen=True):
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
        json_key("keys_left_out", left_out, "keys with thousands of values", within="tags", holds="texts"),
    )


def compare_tags(before: TaggedSample, after: TaggedSample, ignored_keys: frozenset[str] = frozenset()) -> TagChanges:
    """Find the values that are over-represented in the second set.

    A value stands out when its share of traces grew among alike traces, by at least a tenth of all traces together, and
    by more than chance explains for any of the values that were counted (Fisher's exact test within each kind of
    traces, Bonferroni). Only traces count in which a service that bears the value has a part.

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
    groups = _Groups(before, after)
    growth = {tag: groups.standing_out(tag, limit) for tag in tested}
    standing = [tag for tag in tested if growth[tag] > 0]
    changes = [
        (growth[tags[0]], _change(tags, (counts[0][tags[0]], counts[1][tags[0]]), sizes))
        for tags in _alike(standing, before.tags, after.tags)
    ]
    changes.sort(key=lambda found: (-found[0], found[1].key, found[1].value))
    totals = (before.sample.trace_count, after.sample.trace_count)
    return TagChanges(tuple(change for _, change in changes), *sizes, *totals, tuple(sorted(left_out)))


def _crowded(before: TagCounts, after: TagCounts) -> frozenset[str]:
    """Find the keys with too many values, counted over both sets."""
    shared = before.by_key.keys() & after.by_key.keys()
    together = {key for key in shared if len(before.by_key[key].keys() | after.by_key[key].keys()) > VALUES_COUNTED}
    return before.crowded | after.crowded | together


class _Groups:
    """The traces of both samples by their kind; rarer kinds, which only one of them has, by what they entered at."""

    def __init__(self, before: TaggedSample, after: TaggedSample) -> None:
        self._sides = (before, after)
        samples = (before.sample, after.sample)
        common = set(samples[0].shapes) & set(samples[1].shapes)
        names = [
            [(1, kind) if kind in common else (0, entry) for kind, entry in zip(side.shapes, side.entries, strict=True)]
            for side in samples
        ]
        numbers = {name: number for number, name in enumerate(sorted({*names[0], *names[1]}))}
        self._of = [np.array([numbers[name] for name in found], dtype=np.int64) for found in names]
        self._size = len(numbers)

    def standing_out(self, tag: Tag, limit: float) -> float:
        """Give by how much the share of a value's traces grew among alike ones; 0 where it does not stand out."""
        key, value = tag
        bearers = frozenset[str]().union(*(side.tags.bearers.get(tag, ()) for side in self._sides))
        counts: list[tuple[Ints, Ints]] = []
        for side, groups in zip(self._sides, self._of, strict=True):
            called = 0
            for service in bearers:
                called |= side.tags.services.get(service, 0)
            bearing = side.tags.by_key.get(key, {}).get(value, 0)
            counts.append((self._count(called, groups), self._count(bearing, groups)))
        (sizes_before, before), (sizes_after, after) = counts
        both = (sizes_before > 0) & (sizes_after > 0)
        expected = before[both] * sizes_after[both] / sizes_before[both]
        growth = float((after[both] - expected).sum()) / max(self._of[1].size, 1)
        if growth < _LEAST_GROWTH:
            return 0.0
        sizes = zip(*(column[both].tolist() for column in (sizes_before, sizes_after, before, after)), strict=True)
        return growth if chance_of_so_many(list(sizes)) < limit else 0.0

    def _count(self, traces: int, groups: Ints) -> Ints:
        octets = np.frombuffer(traces.to_bytes(groups.size // 8 + 1, "little"), dtype=np.uint8)
        there = np.unpackbits(octets, count=groups.size, bitorder="little").astype(np.bool_)
        return np.bincount(groups[there], minlength=self._size)


def chance_of_so_many(groups: list[tuple[int, int, int, int]]) -> float:
    """Give the probability that, by chance, at least as many of the traces with a tag are in the second set.

    Args:
        groups: For each kind of traces the sizes of both sets, and how many of each have the tag.

    Source: Fisher's exact test, one-sided: the upper tail of the hypergeometric distribution, added up over kinds.
    """
    chances = np.ones(1)
    least, found = 0, 0
    for size_before, size_after, before, after in groups:
        bearing = before + after
        first = max(0, bearing - size_before)
        all_ways = _log_choices(size_before + size_after, bearing)
        ways = [
            math.exp(_log_choices(size_after, number) + _log_choices(size_before, bearing - number) - all_ways)
            for number in range(first, min(bearing, size_after) + 1)
        ]
        chances = np.convolve(chances, np.array(ways))
        least, found = least + first, found + after
    return float(chances[found - least :].sum())


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
