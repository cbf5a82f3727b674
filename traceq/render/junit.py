"""The results of checks as JUnit XML, which build servers read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from traceq.report import Table
from traceq.untrusted import printable


def render_junit(records: Table, location: str) -> bytes:
    """Write one suite with a case for each check.

    Args:
        records: One a check: `check`, `passed`, `measured`, `remark`, `example_trace_id`.
        location: Where the traces are that were checked.
    """
    keys = [column.key for column in records.columns]
    checks = [dict(zip(keys, row, strict=True)) for row in records.rows]
    failed = sum(not check["passed"] for check in checks)
    counts = {"tests": str(len(checks)), "failures": str(failed), "errors": "0"}
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": "traceq check", **counts})
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", {"name": "source", "value": printable(location)})
    for check in checks:
        case = ET.SubElement(suite, "testcase", {"classname": "traceq.check", "name": printable(str(check["check"]))})
        told = f"measured {check['measured']}" + (f", {check['remark']}" if check["remark"] else "")
        if check["passed"]:
            ET.SubElement(case, "system-out").text = printable(told)
        else:
            example = check["example_trace_id"]
            failure = ET.SubElement(case, "failure", {"message": printable(told)})
            failure.text = f"trace {printable(str(example))}" if example else None
    ET.indent(suites)
    written: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
