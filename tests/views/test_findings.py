from __future__ import annotations

from tests.analysis.findings.requests import entry, found, query
from tests.builders import traces
from traceq.answer import report_of
from traceq.library import findings
from traceq.report import Line
from traceq.views.findings import finding_lines


def texts(lines: list[Line]) -> list[str]:
    return ["".join(part.text for part in line.parts) for line in lines]


def test_a_finding_says_what_it_costs_how_often_what_ran_what_to_try_and_where_to_look() -> None:
    (finding,) = found(entry(1000), query("q", 10, 910))

    lines = texts(finding_lines([finding], 40))

    assert lines == [
        "",
        "  900 ms   90 %  slow query  SELECT users  app → mysql",
        "     900 ms, in GET /; 1 of 40 requests",
        "     SELECT * FROM users WHERE id = 7",
        f"     {finding.advice}",
        "     e.g. trace a1 span q",
    ]


def test_in_brief_what_ran_and_where_to_look_are_left_out() -> None:
    lines = texts(finding_lines(found(entry(1000), query("q", 10, 910)), 1, is_brief=True))

    assert lines[1:3] == ["  900 ms   90 %  slow query  SELECT users  app → mysql", "     900 ms, in GET /"]
    assert len(lines) == 4


def test_long_statements_are_shortened() -> None:
    asked = {"db.system": "mysql", "db.statement": "SELECT " + "a, " * 1000}

    lines = texts(finding_lines(found(entry(1000), query("q", 10, 910, attributes=asked)), 1))

    assert max(map(len, lines)) < 320
    assert lines[3].endswith("…")


def test_no_findings_are_no_lines() -> None:
    assert finding_lines([], 40) == []


def test_the_titles_for_builds_say_what_was_called_where_the_name_does_not() -> None:
    report = report_of(findings(traces({"a1": [entry(1000), query("q", 10, 910)]})))

    assert report.issues is not None
    assert [issue.title for issue in report.issues] == ["slow query: SELECT users (→ mysql)"]
