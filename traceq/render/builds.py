"""What build servers and code hosts read: checks as JUnit XML, issues as commands of GitHub Actions and as SARIF 2.1.0.

Sources: docs.github.com, Workflow commands for GitHub Actions, with the escapes of actions/toolkit, `command.ts`;
OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, Errata 01.
"""

from __future__ import annotations

from typing import Literal, assert_never
from urllib.parse import quote
from xml.etree import ElementTree as ET

from traceq.render import CaseFormat, IssueFormat
from traceq.render.records import encode
from traceq.report import Case, Issue, Level, Line, Report
from traceq.untrusted import printable


def render_for_builds(report: Report, chosen: Literal[IssueFormat, CaseFormat], location: str) -> str:
    """Write an answer in one of the formats.

    Args:
        report: The answer.
        chosen: The format.
        location: Where the traces are.
    """
    match chosen:
        case "junit":
            return render_junit(report, location)
        case "github":
            return render_annotations(report)
        case "sarif":
            return render_sarif(report, location)
    assert_never(chosen)


def _first_line(report: Report) -> str:
    """Give the answer in one sentence: the first line that people see."""
    first = next((block for block in report.blocks if isinstance(block, Line)), Line())
    return "".join(part.text for part in first.parts)


def render_junit(report: Report, location: str) -> str:
    """Write one suite with a case for each check; those that had too little to compare are skipped.

    Args:
        report: The answer of `check`.
        location: Where the traces are that were checked.
    """
    cases = report.cases or ()
    outcomes = [case.outcome for case in cases]
    counts = {
        "tests": len(cases),
        "failures": outcomes.count("failed"),
        "errors": 0,
        "skipped": outcomes.count("skipped"),
    }
    attributes = {**{name: str(count) for name, count in counts.items()}, "time": "0"}
    suites = ET.Element("testsuites", attributes)
    suite = ET.SubElement(suites, "testsuite", {"name": "traceq check", **attributes})
    properties = ET.SubElement(suite, "properties")
    for name, value in (("source", location), ("verdict", _first_line(report))):
        ET.SubElement(properties, "property", {"name": name, "value": printable(value)})
    for case in cases:
        _add(suite, case)
    ET.indent(suites)
    return f"{_DECLARATION}{ET.tostring(suites, encoding='unicode')}\n"


_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _add(suite: ET.Element, case: Case) -> None:
    told, detail = printable(case.text), printable(case.detail) or None
    added = ET.SubElement(suite, "testcase", {"classname": "traceq.check", "name": printable(case.name), "time": "0"})
    if case.outcome == "passed":
        ET.SubElement(added, "system-out").text = told
    elif case.outcome == "skipped":
        ET.SubElement(added, "skipped", {"message": told}).text = detail
    else:
        ET.SubElement(added, "failure", {"message": told, "type": "traceq.check"}).text = detail


_COMMANDS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


def render_annotations(report: Report) -> str:
    """Write a command for each issue that is not accepted, and a notice with the answer in one sentence at the end."""
    commands = [_command(issue) for issue in report.issues or () if not issue.accepted]
    commands.append(f"::notice title=traceq {report.command}::{_data(_first_line(report))}")
    return "".join(f"{command}\n" for command in commands)


def _command(issue: Issue) -> str:
    place = {"file": issue.file, "line": str(issue.line) if issue.line else ""} if issue.file else {}
    told = {key: _property(value) for key, value in {**place, "title": issue.title}.items()}
    properties = ",".join(f"{key}={value}" for key, value in told.items() if value)
    parts = (issue.text, issue.advice, f"e.g. trace {issue.trace_ids[0]}" if issue.trace_ids else "")
    return f"::{_COMMANDS[issue.level]} {properties}::{_data(chr(10).join(filter(None, parts)))}"


def _data(text: str) -> str:
    """Escape a message; only line breaks of ours are left, since text from traces has none after `printable`."""
    shown = "\n".join(printable(line) for line in text.split("\n"))
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    # Runners trim what ends the list of properties.
    return _data(printable(text).strip()).replace(":", "%3A").replace(",", "%2C")


_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINGERPRINT = "traceqSignature/v1"


def render_sarif(report: Report, location: str) -> str:
    """Write one run with a result for each issue; accepted ones are suppressed, and tell why.

    Args:
        report: The answer.
        location: Where the traces are.
    """
    issues = report.issues or ()
    rules = {issue.rule: issue for issue in reversed(issues)}
    numbers = {rule: number for number, rule in enumerate(sorted(rules))}
    run = {
        "tool": {"driver": {"name": "traceq", "rules": [_rule(rules[rule]) for rule in numbers]}},
        "invocations": [{"executionSuccessful": True}],
        "results": [_result(issue, numbers[issue.rule]) for issue in issues],
        "properties": {"source": printable(location), "verdict": printable(_first_line(report))},
    }
    return encode({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(issue: Issue) -> dict[str, object]:
    return {"id": issue.rule, "shortDescription": {"text": printable(issue.rule_title)}}


def _result(issue: Issue, number: int) -> dict[str, object]:
    text = " ".join(f"{part.rstrip('.')}." for part in (issue.text, issue.advice) if part)
    fingerprints = {"partialFingerprints": {_FINGERPRINT: printable(issue.signature)}} if issue.signature else {}
    suppressions = [{"kind": "external", "justification": printable(issue.accepted)}] if issue.accepted else []
    return {
        "ruleId": issue.rule,
        "ruleIndex": number,
        "level": issue.level,
        "message": {"text": printable(f"{issue.title}: {text}")},
        "locations": [_location(issue)],
        **fingerprints,
        "suppressions": suppressions,
        "properties": {"traces": [printable(trace_id) for trace_id in issue.trace_ids]},
    }


def _location(issue: Issue) -> dict[str, object]:
    """Name the operation, and the line of code where spans tell it."""
    logical: dict[str, object] = {"logicalLocations": [{"fullyQualifiedName": printable(issue.name)}]}
    if not issue.file:
        return logical
    region = {"region": {"startLine": issue.line}} if issue.line else {}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(issue.file)}, **region}, **logical}


def _uri(path: str) -> str:
    """Write a path as a URI: relative ones stay so, which code hosts look for in the repository."""
    written = quote(printable(path).replace("\\", "/"))
    return f"file://{'' if written.startswith('/') else '/'}{written}" if _is_absolute(path) else written


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or path[1:2] == ":"
