"""Everything about the requests of a service: the answers to several questions, of which none is worked out twice."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.bottlenecks import BottleneckQuestion, Bottlenecks
from traceq.analysis.comparison.batches import Batch
from traceq.analysis.comparison.cohorts import Cohort, CohortQuestion, split_slowest
from traceq.analysis.comparison.compare import Comparison
from traceq.analysis.comparison.tags import TagChanges, TagQuestion, choose, tag_specs
from traceq.analysis.dependencies import Dependencies, DependencyQuestion
from traceq.analysis.errors import ErrorOrigins, ErrorQuestion
from traceq.analysis.findings import FindingQuestion, Findings
from traceq.analysis.flame import CallPaths, FlameQuestion
from traceq.analysis.one_trace import ExaminedTrace
from traceq.analysis.over_time import OverTime
from traceq.analysis.requests import RequestOptions
from traceq.analysis.together import QuestionsAboutTraces, QuestionsTogether, TracesQuestion
from traceq.answer import Answer, Verdict
from traceq.report import Column, Rows, Table, Unit, json_key


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
        json_key(
            "bottlenecks",
            lambda answer: answer.bottlenecks.to_dict(),
            "as `bottlenecks` has them",
            Unit.OBJECT,
            holds=Bottlenecks,
            is_known=True,
        ),
        json_key(
            "over_time",
            lambda answer: answer.over_time.to_dict(),
            "when requests were slow",
            Unit.OBJECT,
            holds=OverTime,
            is_known=True,
        ),
        *tag_specs(lambda answer: answer.tags),
        json_key(
            "findings",
            lambda answer: answer.findings.to_dict(),
            "as `findings` has them",
            Unit.OBJECT,
            holds=Findings,
            is_known=True,
        ),
        json_key(
            "errors",
            lambda answer: answer.errors.to_dict(),
            "as `errors` has them",
            Unit.OBJECT,
            holds=ErrorOrigins,
            is_known=True,
        ),
        Rows(
            "traces",
            ExaminedTrace.SPECS,
            about="the slowest traces, each whole and as `show` has it, but for counts of its spans",
        ),
        json_key(
            "paths",
            lambda answer: answer.paths.to_dict(),
            "call paths by critical time",
            Unit.OBJECT,
            holds=CallPaths,
            is_known=True,
        ),
        json_key(
            "work",
            lambda answer: answer.work.to_dict(),
            "call paths by self time",
            Unit.OBJECT,
            holds=CallPaths,
            is_known=True,
        ),
        json_key(
            "dependencies",
            lambda answer: answer.dependencies.to_dict(),
            "as `deps` has them",
            Unit.OBJECT,
            holds=Dependencies,
            is_known=True,
        ),
        json_key(
            "comparison",
            lambda answer: None if answer.comparison is None else answer.comparison.to_dict(),
            "as `compare` has it; null where nothing is compared",
            Unit.OBJECT,
            holds=Comparison,
        ),
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
