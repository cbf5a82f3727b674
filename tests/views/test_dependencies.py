from __future__ import annotations

import traceq
from tests.sources.replay import FIXTURES
from traceq.analysis.graph_questions import critical_calls, cycles, find_ways
from traceq.analysis.impact import impact
from traceq.query import Asked
from traceq.views.dependencies import critical_report, cycles_report, impact_report, ways_report

URL = "http://jaeger/trace/{trace_id}"


def test_answers_about_the_graph_know_where_traces_are_shown() -> None:
    graph, asked = traceq.dependencies(traceq.load(FIXTURES / "chat.json")), Asked(trace_url=URL)

    reports = (
        cycles_report(cycles(graph), asked),
        ways_report(find_ways(graph, "chat-service", "user-service"), asked),
        impact_report(impact(graph, "user-service", None), asked),
        critical_report(critical_calls(graph), asked),
    )

    assert {report.trace_url for report in reports} == {URL}
