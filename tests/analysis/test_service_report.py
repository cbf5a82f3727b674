from __future__ import annotations

import pytest

from tests.builders import span, trace, traces
from traceq.analysis.bottlenecks import BottleneckQuestion
from traceq.analysis.errors import ErrorQuestion
from traceq.analysis.findings import FindingQuestion
from traceq.analysis.requests import RequestOptions
from traceq.analysis.service_report import QuestionsAboutTraces, QuestionsTogether, TracesQuestion
from traceq.analysis.what_if import WhatIfQuestion

OPTIONS = RequestOptions()
BOTH = QuestionsTogether((BottleneckQuestion(OPTIONS), ErrorQuestion(OPTIONS)))
TABLE = traces({"a1": [span("root", None, 0, 100), span("call", "root", 10, 90)], "b2": [span("one", None, 0, 50)]})


def test_together_they_answer_as_each_does_alone() -> None:
    answers = BOTH.rank(BOTH.nothing() + BOTH.collect(TABLE.select([0])) + BOTH.collect(TABLE.select([1])))

    alone = [question.rank(question.collect(TABLE)) for question in BOTH.questions]
    assert [answer.to_dict() for answer in answers] == [answer.to_dict() for answer in alone]


def test_they_need_what_any_of_them_needs() -> None:
    bottlenecks, findings = BottleneckQuestion(OPTIONS), FindingQuestion(OPTIONS)

    def needs(*questions: object) -> tuple[bool, bool, str | None]:
        together = QuestionsTogether(questions)
        return together.needs_details, together.learns, together.lesson

    assert needs(bottlenecks) == (False, True, None)
    assert needs(bottlenecks, findings) == (True, True, "habits")
    assert needs(TracesQuestion(("a1",))) == (True, False, None)


def test_two_lessons_are_refused() -> None:
    with pytest.raises(ValueError, match="one reading teaches one thing, not habits and orders"):
        QuestionsTogether((FindingQuestion(OPTIONS), WhatIfQuestion(OPTIONS, ())))


def test_statements_are_looked_up_for_those_that_show_them() -> None:
    wanted: list[object] = []

    def look_up(ids: object) -> list[tuple[str, str, str, dict[str, str]]]:
        wanted.append(ids)
        return []

    BOTH.complete(BOTH.collect(trace(("root", None, 0, 100), ("call", "root", 10, 90))), look_up)

    assert len(wanted) == 1


def test_traces_come_in_the_order_in_which_they_were_wanted() -> None:
    question = QuestionsAboutTraces((TracesQuestion(("00b2", "a1", "c3")),))
    (found,) = question.rank(question.collect(TABLE.select([0])) + question.collect(TABLE.select([1])))

    assert {"00b2", "a1", "c3"} != question.trace_ids
    assert [table.trace_ids for table in found] == [("b2",), ("a1",)]
