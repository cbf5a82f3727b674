"""What `compare` asks of the sets of traces that it compares, wherever these come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from traceq.analysis.comparison.cohorts import Cohort, collect
from traceq.analysis.comparison.tags import Sample, TagCounts, TaggedSample, choose, count_tags, values_of
from traceq.analysis.culprits import RequestOptions
from traceq.cli.archive import Ask
from traceq.traces import Traces, normal_id


@dataclass(frozen=True, slots=True)
class CohortSums:
    """Requests boiled down, and what their traces are told apart by; adds to others."""

    cohort: Cohort = field(default_factory=Cohort)
    values: tuple[tuple[str, ...], ...] = ()
    """Of the tag to split by: one tuple for each of the cohort's traces; empty where there is no such tag."""

    def __add__(self, other: CohortSums) -> CohortSums:
        return CohortSums(self.cohort + other.cohort, (*self.values, *other.values))


@dataclass(frozen=True, slots=True)
class CohortQuestion:
    """How requests spend their time."""

    options: RequestOptions
    key: str | None = None
    """Of the tag to split by."""

    @property
    def needs_details(self) -> bool:
        """Whether traces are told apart by a tag; everything else stands in columns."""
        return self.key is not None

    def nothing(self) -> CohortSums:
        """Give the sums of no traces."""
        return CohortSums()

    def collect(self, traces: Traces) -> CohortSums:
        """Boil down a table."""
        return CohortSums(collect(traces, self.options), () if self.key is None else values_of(traces, self.key))


@dataclass(frozen=True, slots=True)
class TagSums:
    """Tags of several samples; adds to others of the same samples."""

    counts: tuple[TagCounts, ...]

    def __add__(self, other: TagSums) -> TagSums:
        return TagSums(tuple(one + more for one, more in zip(self.counts, other.counts, strict=True)))


@dataclass(frozen=True, slots=True)
class TagQuestion:
    """Which tags the traces of samples carry: a question about these traces alone."""

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


def tagged_samples(ask: Ask, cohorts: Sequence[Cohort]) -> list[TaggedSample]:
    """Choose traces of each of several sets from one place, and read their tags."""
    samples = tuple(choose(cohort.traces) for cohort in cohorts)
    question = TagQuestion(samples)
    # Asking about no trace at all would be taken for a name that does not exist.
    counts = ask(question).sums.counts if any(samples) else question.nothing().counts
    return [TaggedSample(*parts) for parts in zip(samples, counts, strict=True)]
