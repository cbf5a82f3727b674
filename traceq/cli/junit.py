"""Check results as JUnit XML, which build servers read."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from traceq.analysis.checks import CheckResult
from traceq.untrusted import printable


def junit_xml(results: Sequence[CheckResult], location: str) -> bytes:
    """Write one suite with a case for each check."""
    failed = [result for result in results if not result.passed]
    counts = {"tests": str(len(results)), "failures": str(len(failed)), "errors": "0"}
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": "traceq check", **counts})
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", {"name": "source", "value": printable(location)})
    for result in results:
        case = ET.SubElement(suite, "testcase", {"classname": "traceq.check", "name": printable(result.text)})
        told = printable(f"measured {result.measured}{f', {result.remark}' if result.remark else ''}")
        if result.passed:
            ET.SubElement(case, "system-out").text = told
        else:
            failure = ET.SubElement(case, "failure", {"message": told})
            failure.text = f"trace {printable(result.example)}" if result.example else None
    ET.indent(suites)
    written: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
