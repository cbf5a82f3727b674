"""Issues as SARIF 2.1.0, which code hosts and editors read.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, Errata 01.
"""

from __future__ import annotations

from urllib.parse import quote

from traceq.render.json import encode
from traceq.render.junit import first_line
from traceq.report import Issue, Report
from traceq.untrusted import printable

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
        "properties": {"source": printable(location), "verdict": printable(first_line(report))},
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
