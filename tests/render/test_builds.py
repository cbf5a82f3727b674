"""What build servers and code hosts read, parsed by their rules."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traceq.render.builds import render_annotations, render_junit, render_sarif
from traceq.report import Case, Issue, Line, Part, Report, Table
from traceq.untrusted import printable


def reported(*issues: Issue, cases: tuple[Case, ...] = (), verdict: str = "1 of 2 checks failed.") -> Report:
    return Report("check", {}, Table((), ()), (Line((Part(verdict),)),), issues=issues, cases=cases)


@dataclass(frozen=True, slots=True)
class Command:
    """A workflow command as the runner understands it."""

    name: str
    properties: dict[str, str]
    data: str


def parsed(line: str) -> Command:
    """Read a command as `ActionCommand.TryParseV2` of actions/runner does: split first, then take escapes back."""
    assert line.startswith("::")
    end = line.index("::", 2)
    name, _, told = line[2:end].partition(" ")
    properties = {}
    for pair in told.strip().split(","):
        key, _, value = pair.partition("=")
        if key and value:
            properties[key] = _unescaped(value, {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"})
    return Command(name, properties, _unescaped(line[end + 2 :], {"%0D": "\r", "%0A": "\n", "%25": "%"}))


def _unescaped(text: str, escapes: dict[str, str]) -> str:
    for escape, meant in escapes.items():
        text = text.replace(escape, meant)
    return text


@given(st.text(max_size=30), st.text(max_size=30), st.text(min_size=1, max_size=20), st.integers(1, 9999))
@example(" ", "", " ", 1)
@example("a ", "", "b ", 1)
def test_annotations_are_read_as_they_were_meant(title: str, text: str, file: str, line: int) -> None:
    issue = Issue("check", title, "A check failed", text, file=file, line=line)

    first, last = render_annotations(reported(issue)).split("\n")[:-1]

    meant = {"file": printable(file).strip(), "line": str(line), "title": printable(title).strip()}
    assert parsed(first).name == "error"
    assert parsed(first).properties == {key: value for key, value in meant.items() if value}
    assert parsed(first).data == "\n".join(printable(part) for part in text.split("\n"))
    assert parsed(last) == Command("notice", {"title": "traceq check"}, "1 of 2 checks failed.")


def test_text_cannot_give_commands_of_its_own() -> None:
    issue = Issue("check", "a,file=b::set-env", "", "x\r\n::stop-commands::y\n::warning::z", level="warning")

    written = render_annotations(reported(issue))

    assert [line[: len("::warning")] for line in written.splitlines()] == ["::warning", "::notice "]
    assert parsed(written.splitlines()[0]).properties == {"title": "a,file=b::set-env"}


def test_what_is_accepted_is_no_annotation() -> None:
    assert render_annotations(reported(Issue("n+1", "N+1", "N+1", "seen", accepted="known"))).count("\n") == 1


CASES = (
    Case("p95(chat) < 1s", "passed", "measured 200 ms"),
    Case("no(n+1)", "failed", "measured 1 finding \x1b[31m<&>\x00", "trace a1"),
    Case("p99 of chat", "skipped", "too few to tell"),
)


def test_junit_counts_what_it_lists() -> None:
    written = render_junit(reported(cases=CASES), "http://localhost:16686")

    suites = ET.fromstring(written)  # noqa: S314  written a moment ago
    assert (suites.tag, [suite.tag for suite in suites]) == ("testsuites", ["testsuite"])
    for element in (suites, suites[0]):
        assert {key: element.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
            "tests": "3",
            "failures": "1",
            "errors": "0",
            "skipped": "1",
        }
    cases = suites[0].findall("testcase")
    assert [(case.get("classname"), case.get("name"), case.get("time")) for case in cases] == [
        ("traceq.check", name, "0") for name in ("p95(chat) < 1s", "no(n+1)", "p99 of chat")
    ]
    assert [[child.tag for child in case] for case in cases] == [["system-out"], ["failure"], ["skipped"]]
    failure = cases[1][0]
    assert (failure.get("message"), failure.text) == (printable(CASES[1].text), "trace a1")
    assert {each.get("name"): each.get("value") for each in suites.iter("property")} == {
        "source": "http://localhost:16686",
        "verdict": "1 of 2 checks failed.",
    }


@pytest.mark.parametrize("text", ["\x00\x08", "\ufffe", "\ud800", "]]>", "é 🚀"])
def test_junit_is_xml_whatever_the_text(text: str) -> None:
    written = render_junit(reported(cases=(Case(text, "failed", text, text),)), text)

    assert not re.search("[\x00-\x08]", written)
    assert ET.fromstring(written.encode("utf-8", "backslashreplace"))[0][1].get("name") == printable(text)  # noqa: S314


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
