"""SARIF as its schema wants it: what OASIS's schema requires of the parts that are written, and GitHub of results."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.render.builds import render_sarif
from traceq.report import Issue, Line, Part, Report, Table
from traceq.untrusted import printable

N_PLUS_ONE = Issue(
    "n+1",
    "N+1: SELECT users",
    "N+1",
    "491 ms, up to 47 alike calls",
    level="warning",
    advice="Ask once.",
    signature="n+1:friend-service:SELECT users:8507462de8",
    file="app/friends.py",
    line=47,
    name="friend-service SELECT users",
    trace_ids=("a1", "b2"),
)
ERROR = Issue("error", "error: GET /", "error", "2 of 9 requests", signature="error:web:GET /:1", accepted="ok (ann)")


def sarif(*issues: Issue) -> dict[str, Any]:
    report = Report("findings", {}, Table((), ()), (Line((Part("N+1 costs most."),)),), issues=issues)
    written: dict[str, Any] = json.loads(render_sarif(report, "run.json"))
    return written


def test_a_result_says_what_where_and_which() -> None:
    document = sarif(N_PLUS_ONE, ERROR)

    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert run["tool"]["driver"] == {
        "name": "traceq",
        "rules": [
            {"id": "error", "shortDescription": {"text": "error"}},
            {"id": "n+1", "shortDescription": {"text": "N+1"}},
        ],
    }
    assert run["invocations"] == [{"executionSuccessful": True}]
    assert run["properties"] == {"source": "run.json", "verdict": "N+1 costs most."}
    assert run["results"] == [
        {
            "ruleId": "n+1",
            "ruleIndex": 1,
            "level": "warning",
            "message": {"text": "N+1: SELECT users: 491 ms, up to 47 alike calls. Ask once."},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "app/friends.py"},
                        "region": {"startLine": 47},
                    },
                    "logicalLocations": [{"fullyQualifiedName": "friend-service SELECT users"}],
                }
            ],
            "partialFingerprints": {"traceqSignature/v1": "n+1:friend-service:SELECT users:8507462de8"},
            "suppressions": [],
            "properties": {"traces": ["a1", "b2"]},
        },
        {
            "ruleId": "error",
            "ruleIndex": 0,
            "level": "error",
            "message": {"text": "error: GET /: 2 of 9 requests."},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": ""}]}],
            "partialFingerprints": {"traceqSignature/v1": "error:web:GET /:1"},
            "suppressions": [{"kind": "external", "justification": "ok (ann)"}],
            "properties": {"traces": []},
        },
    ]


def test_without_findings_there_is_a_run_without_results() -> None:
    (run,) = sarif()["runs"]

    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("app/a b.py", "app/a%20b.py"),
        ("/srv/app/x.py", "file:///srv/app/x.py"),
        ("C:\\app\\x.py", "file:///C%3A/app/x.py"),
        ("app/ü#?.py", "app/%C3%BC%23%3F.py"),
    ],
)
def test_paths_are_uris(path: str, uri: str) -> None:
    (result,) = sarif(Issue("n+1", "t", "t", "x", file=path))["runs"][0]["results"]

    assert result["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": uri}}


@given(st.text(max_size=40), st.text(min_size=1, max_size=20))
def test_hostile_text_is_text(text: str, path: str) -> None:
    issue = Issue("n+1", text, text, text, signature=text, file=path, line=1, name=text)
    (result,) = sarif(issue)["runs"][0]["results"]

    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9\-._~/%:]+", uri)
    assert unquote(urlsplit(uri).path).lstrip("/") == printable(path).replace("\\", "/").lstrip("/")
    assert result["message"]["text"].startswith(f"{printable(text)}: ")
    assert result["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": printable(text)}]
