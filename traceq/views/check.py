"""What `check` shows: which checks passed, and why the others did not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.checks import RESULT_COLUMNS, CheckResult, Checks
from traceq.analysis.checks.results import NO_SPAN
from traceq.analysis.requests import SetApart
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Case, Column, Issue, Line, Part, Report, Unit, picked, table
from traceq.units import format_growth
from traceq.views.wording import dim, looked_at, next_line, reported, set_apart_lines, verdict_lines

_MEASURES = {"p50": "p50", "p95": "p95", "p99": "p99", "error rate": "errors", "calls per request": "calls"}
"""The measures of entry operations, and their headings."""
_MARKS = {"failed": "!", "nothing": "!", "partial": "!", "within-chance": "?"}
_LEGEND = "! worse than allowed   ? worse, which chance alone may do   - too few requests to tell"
_REASONS = 20
"""The maximum number of reasons that are shown, of each sort."""


@report_of.register
def report(answer: Checks, asked: Asked = NOT_ASKED) -> Report:
    """Show the checks, and the reasons of those that failed."""
    written = [result for result in answer.results if not result.subject.measure]
    held = [result for result in answer.results if result.subject.measure]
    blocks: list[Block] = verdict_lines(answer.verdict, asked)
    if written:
        title, passed, *columns = picked(RESULT_COLUMNS, "check", "passed", "measured")
        outcome = replace(passed, title="", value=lambda result: "ok" if result.passed else "FAILED")
        named = replace(title, value=lambda result: result.title)
        blocks += [Line(), table((outcome, named, *columns), written)]
    if held:
        blocks += [Line(), table(_OPERATION_COLUMNS, _by_operation(held)), dim(_LEGEND)]
    blocks += _reasons(answer)
    shown = reported("check", answer, asked, blocks, _footer(answer, asked))
    issues = tuple(_issue(result) for result in answer.results if not result.passed or result.outcome in _DOUBTFUL)
    return replace(shown, issues=issues, cases=tuple(map(_case, answer.results)))


_DOUBTFUL = ("within-chance", "nothing")


def _issue(result: CheckResult) -> Issue:
    where = " ".join(filter(None, (result.subject.service, result.subject.operation)))
    return Issue(
        rule=result.subject.measure or "check",
        title=f"check failed: {result.title}" if not result.passed else result.title,
        rule_title="A check of traces failed",
        text=_told(result),
        level="warning" if result.passed else "error",
        advice=result.reason,
        name=where,
        trace_ids=(result.example,) if result.example and not result.passed else (),
    )


def _case(result: CheckResult) -> Case:
    outcome: Literal["passed", "failed", "skipped"] = "passed" if result.passed else "failed"
    if result.passed and result.outcome in {"too-few", "nothing"}:
        outcome = "skipped"
    example = f"trace {result.example}" if result.example else ""
    return Case(result.title, outcome, _told(result), "\n".join(filter(None, (result.reason, example))))


def _told(result: CheckResult) -> str:
    text = f"{result.text}: " if result.name else ""
    return f"{text}measured {result.measured}{f', {result.remark}' if result.remark else ''}"


class _Operation(Struct, frozen=True):
    """The results of one entry operation."""

    service: str
    name: str
    results: dict[str, CheckResult]
    """By measure."""

    def cell(self, measure: str) -> str:
        """Write how a measure changed, and whether that is allowed."""
        result = self.results.get(measure)
        if result is None or result.outcome == "too-few":
            return "-"
        mark = _MARKS.get(result.outcome, "")
        told = result.measured if result.change is None else format_growth(result.change)
        return "=" if result.value == result.before else f"{told}{mark and f' {mark}'}"


def _by_operation(results: Iterable[CheckResult]) -> list[_Operation]:
    found: dict[tuple[str, str], dict[str, CheckResult]] = {}
    for result in results:
        subject = result.subject
        found.setdefault((subject.service, subject.operation), {})[subject.measure] = result
    return [_Operation(*key, each) for key, each in found.items()]


_OPERATION_COLUMNS: tuple[Column[_Operation], ...] = (
    Column("operation", "operation", value=lambda row: row.name, can_shrink=True),
    Column("service", "service", Unit.SERVICE, can_shrink=True),
    *(
        Column[_Operation](key, title, Unit.TEXT, lambda row, key=key: row.cell(key))  # type: ignore[misc]  # key is bound
        for key, title in _MEASURES.items()
    ),
)


def _reasons(answer: Checks) -> list[Block]:
    """Say why checks failed, then what is worse and may be chance, and what nothing holds."""
    failed = answer.failed
    doubtful = [each for each in answer.results if each.passed and each.outcome == "within-chance"]
    # Nothing can be few calls, too: then the check passes whatever happens.
    empty = [each for each in answer.results if each.passed and (each.outcome == "nothing" or NO_SPAN in each.remark)]
    lines: list[Block] = _some([_reason(each) for each in failed], "failed")
    lines += _some([_reason(each) for each in doubtful], "may be chance")
    lines += _some([_reason(each) for each in empty], "measured nothing")
    new = [" ".join(filter(None, key)) for key in answer.unheld]
    lines += _some([dim(f"not in the baseline: {each}") for each in new], "not in the baseline")
    return [Line(), *lines] if lines else []


def _some(lines: Sequence[Line], what: str) -> list[Block]:
    left = len(lines) - _REASONS
    return [*lines[:_REASONS], *([dim(f"{left} more {what}: --format json")] if left > 0 else [])]


def _reason(result: CheckResult) -> Line:
    told = f": measured {result.measured}{f', {result.remark}' if result.remark else ''}"
    why = f". {result.reason}" if result.reason else ""
    where = f" ({result.example})" if result.example and not result.passed else ""
    return Line((Part(result.title, "plain" if result.passed else "strong"), Part(told), Part(why), Part(where, "dim")))


def _footer(answer: Checks, asked: Asked) -> list[Line]:
    footer = [dim(looked_at(answer.sums, asked))]
    checks: dict[SetApart, list[str]] = {}
    for result in answer.results:
        checks.setdefault(result.set_apart, []).append(result.title)
    for apart, titles in checks.items():
        footer += set_apart_lines(apart, f"for {_first(titles)}" if len(checks) > 1 else "")
    shown = next((result.example for result in answer.failed if result.example), "")
    return [*footer, next_line(asked, "show", shown)] if shown else footer


def _first(titles: Sequence[str]) -> str:
    """Name the first few checks."""
    left = len(titles) - _NAMED
    return ", ".join(titles) if left < 2 else f"{', '.join(titles[:_NAMED])} and {left} others"


_NAMED = 3
