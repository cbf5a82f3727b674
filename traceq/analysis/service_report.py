"""Everything about the requests of a service: several questions put at once, with one reading of the traces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.bottlenecks import BottleneckQuestion, Bottlenecks, LookUp, with_tag
from traceq.analysis.comparison.batches import Batch
from traceq.analysis.comparison.cohorts import Cohort, CohortQuestion, split_slowest
from traceq.analysis.comparison.compare import Comparison
from traceq.analysis.comparison.tags import TagChanges, TagQuestion, choose, compare_tags, tag_specs
from traceq.analysis.dependencies import Dependencies, DependencyQuestion
from traceq.analysis.errors import ErrorOrigins, ErrorQuestion
from traceq.analysis.findings import FindingQuestion, Findings
from traceq.analysis.flame import CallPaths, FlameQuestion
from traceq.analysis.one_trace import ExaminedTrace, examine_trace
from traceq.analysis.over_time import OverTime, over_time
from traceq.analysis.requests import RequestOptions
from traceq.answer import Answer, Verdict
from traceq.learned import Lesson
from traceq.report import Column, Rows, Table, Unit, json_key
from traceq.traces import Traces, normal_id


class SumsTogether(Struct, frozen=True):
    """The sums of several questions, in their order; can be added to those of the same questions."""

    parts: tuple[Any, ...]

    def __add__(self, other: SumsTogether) -> SumsTogether:
        return SumsTogether(tuple(one + more for one, more in zip(self.parts, other.parts, strict=True)))


class QuestionsTogether(Struct, frozen=True):
    """Several questions as one; `rank` gives their answers in the same order.

    Raises:
        ValueError: If two of them need different things to be learned.
    """

    questions: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self._lessons) > 1:
            raise ValueError(f"one reading teaches one thing, not {' and '.join(sorted(self._lessons))}")

    @property
    def _lessons(self) -> set[Lesson]:
        return {question.lesson for question in self.questions if getattr(question, "lesson", None) is not None}

    @property
    def needs_details(self) -> bool:
        """Whether any of them needs attributes."""
        return any(question.needs_details for question in self.questions)

    @property
    def learns(self) -> bool:
        """Whether any of them needs knowledge from other traces."""
        return any(getattr(question, "learns", False) for question in self.questions)

    @property
    def lesson(self) -> Lesson | None:
        """What one of them needs to be learned besides."""
        return next(iter(self._lessons), None)

    def nothing(self) -> SumsTogether:
        """Give the sums of no traces."""
        return SumsTogether(tuple(question.nothing() for question in self.questions))

    def collect(self, traces: Traces) -> SumsTogether:
        """Sum up a table for each of them."""
        return SumsTogether(tuple(question.collect(traces) for question in self.questions))

    def complete(self, sums: SumsTogether, look_up: LookUp) -> SumsTogether:
        """Look up what those need that know only now which spans they show."""
        pairs = zip(self.questions, sums.parts, strict=True)
        return SumsTogether(tuple(_completed(question, part, look_up) for question, part in pairs))

    def rank(self, sums: SumsTogether) -> tuple[Any, ...]:
        """Turn the sums into the answers."""
        return tuple(question.rank(part) for question, part in zip(self.questions, sums.parts, strict=True))


def _completed(question: Any, sums: Any, look_up: LookUp) -> Any:
    complete: Callable[[Any, LookUp], Any] | None = getattr(question, "complete", None)
    return sums if complete is None else complete(sums, look_up)


class QuestionsAboutTraces(QuestionsTogether, frozen=True):
    """Several questions about a few traces with known ids; no other is decoded."""

    @property
    def trace_ids(self) -> frozenset[str]:
        """The traces of all of them."""
        return frozenset[str]().union(*(question.trace_ids for question in self.questions))


class TracesQuestion(Struct, frozen=True):
    """A few traces themselves, with everything that is known about them."""

    wanted: tuple[str, ...]
    needs_details: bool = True

    @property
    def trace_ids(self) -> frozenset[str]:
        """Give the ids as they are compared."""
        return frozenset(map(normal_id, self.wanted))

    def nothing(self) -> tuple[Traces, ...]:
        """Give no traces."""
        return ()

    def collect(self, traces: Traces) -> tuple[Traces, ...]:
        """Take those of a table that are wanted, each as a table of its own."""
        wanted = self.trace_ids
        found = [at for at, trace_id in enumerate(traces.trace_ids) if normal_id(trace_id) in wanted]
        return tuple(traces.select([at]) for at in found)

    def rank(self, sums: Sequence[Traces]) -> tuple[Traces, ...]:
        """Give them in the order in which they were wanted."""
        by_id = {normal_id(table.trace_ids[0]): table for table in sums}
        return tuple(by_id[each] for each in map(normal_id, self.wanted) if each in by_id)


def _whole(key: str, kind: type[Answer], about: str, *, is_known: bool = True) -> Column[Any]:
    """Define an answer that is part of the document as it is; null where it may be missing and is."""

    def document(answer: ServiceReport) -> dict[str, Any] | None:
        part: Answer | None = getattr(answer, key)
        return None if part is None else part.to_dict()

    return json_key(key, document, about, Unit.OBJECT, holds=kind, is_known=is_known)


def _trace_specs() -> Iterator[Column[Any] | Rows[Any]]:
    """Describe a trace as its own document does, which counts the spans before it lists them."""
    for spec in ExaminedTrace.SPECS:
        if spec.key == ExaminedTrace.MAIN:
            yield json_key("total_count", lambda trace: trace.total_count, "number of its spans", holds="count")
            yield json_key("truncated", lambda _: False, "whether spans are left out", holds="boolean")
        yield spec


class ServiceReport(Answer, Struct, frozen=True, eq=False):
    """What is slow, why, since when, and who is hit."""

    verdict: Verdict | None
    bottlenecks: Bottlenecks
    over_time: OverTime
    tags: TagChanges | None
    """Tag values that traces of slow requests have more often; None where there are too few requests to tell."""
    findings: Findings
    errors: ErrorOrigins
    traces: tuple[ExaminedTrace, ...]
    """The traces of the slowest requests, the slowest first."""
    paths: CallPaths
    """By critical time."""
    work: CallPaths
    """The same by self time."""
    dependencies: Dependencies
    comparison: Comparison | None = None

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        # That of `bottlenecks`, and the tag value that its slow traces have, where one stands out.
        *(spec for spec in Bottlenecks.SPECS if spec.within == "verdict"),
        _whole("bottlenecks", Bottlenecks, "as `bottlenecks` has them"),
        _whole("over_time", OverTime, "when requests were slow"),
        *tag_specs(lambda answer: answer.tags),
        _whole("findings", Findings, "as `findings` has them"),
        _whole("errors", ErrorOrigins, "as `errors` has them"),
        Rows(
            "traces",
            tuple(_trace_specs()),
            about="the slowest traces, each whole and as `show` has it",
        ),
        _whole("paths", CallPaths, "call paths by critical time"),
        _whole("work", CallPaths, "call paths by self time"),
        _whole("dependencies", Dependencies, "as `deps` has them"),
        _whole("comparison", Comparison, "as `compare` has it; null where nothing is compared", is_known=False),
    )

    def records(self) -> Table:
        """Give the ranking of `bottlenecks`, one record an operation."""
        return self.bottlenecks.records()


def about_all(options: RequestOptions) -> QuestionsTogether:
    """Give what is asked of all traces: bottlenecks, findings, errors, call paths, dependencies, and the cohort."""
    return QuestionsTogether(
        (
            BottleneckQuestion(options),
            FindingQuestion(options),
            ErrorQuestion(options),
            FlameQuestion(replace(options, measure="critical-time")),
            DependencyQuestion(),
            CohortQuestion(options),
        )
    )


def combined(options: RequestOptions, of_all: tuple[Any, ...], of_some: tuple[Any, ...]) -> ServiceReport:
    """Put the answers to all questions together.

    Args:
        options: Which requests, and how they are looked at.
        of_all: The answers that `about_all` asks for.
        of_some: Those that `about_some` asks for.
    """
    bottlenecks, findings, errors, paths, dependencies, cohort = of_all
    (others, slow, _), tables = of_some
    count = bottlenecks.slow_count
    tags = None if count is None else compare_tags(others, slow)
    return ServiceReport(
        verdict=with_tag(bottlenecks.verdict, tags),
        bottlenecks=bottlenecks,
        over_time=over_time(cohort.batches[0], count),
        tags=tags,
        findings=findings,
        errors=errors,
        traces=tuple(examine_trace(table, replace(options, service=None)) for table in tables),
        paths=paths,
        work=FlameQuestion(replace(options, measure="self-time")).rank(paths.sums),
        dependencies=dependencies,
    )


def about_some(bottlenecks: Bottlenecks, cohort: Cohort, trace_count: int) -> QuestionsAboutTraces:
    """Give what is asked of a few traces: the tags of slow requests, of the others and of all, and the slowest traces.

    Args:
        bottlenecks: What tells which requests are slow.
        cohort: All requests.
        trace_count: The number of slowest traces.
    """
    split = split_slowest(cohort, bottlenecks.slow_count or 0)
    # Of the traces alone: everything else in a cohort is much larger.
    whole = Cohort((Batch(traces=cohort.traces),))
    parts = (whole.of(split.before), whole.of(split.after), whole)
    slowest = tuple(dict.fromkeys(request.trace_id for request in bottlenecks.sums.slowest))
    tags = TagQuestion(tuple(choose(part.traces) for part in parts))
    return QuestionsAboutTraces((tags, TracesQuestion(slowest[:trace_count])))
