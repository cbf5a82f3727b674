"""What build servers and code hosts read, parsed by their rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from traceq.render.builds import render_annotations, render_junit
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
