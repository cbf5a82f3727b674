"""What `check` shows: which checks passed, and why the others did not."""

from __future__ import annotations

from dataclasses import replace

from traceq.analysis.checks import RESULT_COLUMNS, CheckResult, Checks
from traceq.analysis.requests import SetApart
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Line, Part, Report, picked, table
from traceq.views.wording import dim, looked_at, next_line, reported, set_apart_lines, verdict_lines


@report_of.register
def report(answer: Checks, asked: Asked = NOT_ASKED) -> Report:
    """Show the checks, and the reasons of those that failed."""
    count = len(answer.failed)
    passed, *columns = picked(RESULT_COLUMNS, "passed", "check", "measured")
    outcome = replace(passed, title="", value=lambda result: "ok" if result.passed else "FAILED")
    blocks: list[Block] = [*verdict_lines(answer.verdict, asked), Line()]
    blocks += [table((outcome, *columns), answer.results)]
    blocks += [Line(), *(_reason(result) for result in answer.failed)] if count else []
    footer = [dim(looked_at(answer.sums, asked))]
    checks: dict[SetApart, list[str]] = {}
    for result in answer.results:
        checks.setdefault(result.set_apart, []).append(result.text)
    for apart, texts in checks.items():
        footer += set_apart_lines(apart, f"for {', '.join(texts)}" if len(checks) > 1 else "")
    shown = next((result.example for result in answer.failed if result.example), "")
    footer += [next_line(asked, "show", shown)] if shown else []
    return reported("check", answer, asked, blocks, footer)


def _reason(result: CheckResult) -> Line:
    told = f": measured {result.measured}{f', {result.remark}' if result.remark else ''}"
    where = f" ({result.example})" if result.example else ""
    return Line((Part(result.text, "strong"), Part(told), Part(where, "dim")))
