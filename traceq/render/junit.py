"""Checks as JUnit XML, which every build server reads."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from traceq.report import Case, Line, Report
from traceq.untrusted import printable


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
    for name, value in (("source", location), ("verdict", first_line(report))):
        ET.SubElement(properties, "property", {"name": name, "value": printable(value)})
    for case in cases:
        _add(suite, case)
    ET.indent(suites)
    return f"{_DECLARATION}{ET.tostring(suites, encoding='unicode')}\n"


_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def first_line(report: Report) -> str:
    """Give the answer in one sentence: the first line that people see."""
    first = next((block for block in report.blocks if isinstance(block, Line)), Line())
    return "".join(part.text for part in first.parts)


def _add(suite: ET.Element, case: Case) -> None:
    told, detail = printable(case.text), printable(case.detail) or None
    added = ET.SubElement(suite, "testcase", {"classname": "traceq.check", "name": printable(case.name), "time": "0"})
    if case.outcome == "passed":
        ET.SubElement(added, "system-out").text = told
    elif case.outcome == "skipped":
        ET.SubElement(added, "skipped", {"message": told}).text = detail
    else:
        ET.SubElement(added, "failure", {"message": told, "type": "traceq.check"}).text = detail
