"""Everything about the requests of a service: the answers to several questions, of which none is worked out twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.bottlenecks import BottleneckQuestion, Bottlenecks, with_tag
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
from traceq.analysis.together import QuestionsAboutTraces, QuestionsTogether, TracesQuestion
from traceq.answer import Answer, Verdict
from traceq.report import Column, Rows, Table, Unit, json_key


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
