"""Issues as workflow commands of GitHub Actions: annotations of the run, and of the code where spans tell it.

Source: docs.github.com, Workflow commands for GitHub Actions; the escapes are those of actions/toolkit, `command.ts`.
"""

from __future__ import annotations

from traceq.render.junit import first_line
from traceq.report import Issue, Level, Report
from traceq.untrusted import printable

_COMMANDS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


def render_annotations(report: Report) -> str:
    """Write a command for each issue that is not accepted, and a notice with the answer in one sentence at the end."""
    commands = [_command(issue) for issue in report.issues or () if not issue.accepted]
    commands.append(f"::notice title=traceq {report.command}::{_data(first_line(report))}")
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
