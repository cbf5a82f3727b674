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


def _whole(key: str, kind: type[Answer], about: str, *, is_known: bool = True) -> Column[Any]:
    """Define an answer that is part of the document as it is; null where it may be missing and is."""

    def document(answer: ServiceReport) -> dict[str, Any] | None:
        part: Answer | None = getattr(answer, key)
        return None if part is None else part.to_dict()

    return json_key(key, document, about, Unit.OBJECT, holds=kind, is_known=is_known)


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
            ExaminedTrace.SPECS,
            about="the slowest traces, each whole and as `show` has it, but for counts of its spans",
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
