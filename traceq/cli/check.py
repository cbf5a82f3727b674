"""`traceq check`: whether traces keep what is asked of them, for builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from traceq.cli.options import (
    FilterOptions,
    OutputOptions,
    RequestsOptions,
    ServiceOption,
    SourceOptions,
    WorkersOptions,
    share,
)
from traceq.cli.output import check_output, destination, emit
from traceq.cli.session import opened
from traceq.engine import Reply, ask
from traceq.errors import CheckFailed
from traceq.report import Block, Column, Line, Part, Report, Table, Unit
from traceq.units import plural

if TYPE_CHECKING:
    from traceq.analysis.checks import CheckResult, ChecksQuestion, ChecksSums
    from traceq.analysis.comparison.cohorts import Cohort
    from traceq.analysis.expressions import Expression
    from traceq.analysis.findings import Finding


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Of `check`."""

    checks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHECK]...", help="'p95(chat-service) < 500ms', 'calls(mysql) <= 5', 'no(n+1)'."),
    ] = None
    max: Annotated[list[str] | None, typer.Option("--max", metavar="CHECK", help="The same as an option.")] = None
    baseline: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="No regression from these traces.", show_default=False)
    ] = None
    tolerance: Annotated[
        float,
        typer.Option(parser=share, metavar="SHARE", help="With --baseline: largest slowdown that passes."),
    ] = "10%"  # type: ignore[assignment]  # defaults go through the parser as if typed
    junit: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML too.", show_default=False)
    ] = None
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    service: ServiceOption = None
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def check(options: CheckOptions) -> None:
    """Hold traces against bounds, and end with exit code 6 when one is broken.

    Measures: p50 to p99.9, mean, min and max of durations; error_rate; calls, in each trace; no(KIND), for findings.
    Names: an operation, service:operation, a service (where it was entered), or what is called: mysql, kafka.

    Examples:
      traceq check 'p95(chat-service:POST /rooms/{room_id}/messages) < 500ms' --source after.json

      traceq check 'error_rate(chat-service) < 1%' 'calls(mysql) <= 5' 'no(n+1)' --junit traceq.xml

      traceq check --baseline before.json --tolerance 10% --source after.json
    """
    expressions = _expressions(options)
    if options.junit is not None:
        check_output(replace(options.output, output=options.junit))
    answered = _sum_up(options.source, _question(expressions, options), options)
    sums, asked = answered.sums, answered.asked
    results = _results(expressions, sums, options)
    if options.baseline is not None:
        results += _regressions(sums.cohort, options.baseline, options)
    if options.junit is not None:
        _write_junit(results, asked.location, options.junit)
    emit(_report(results, sums, asked.location), asked, options.output)
    failed = sum(not result.passed for result in results)
    if failed:
        raise CheckFailed(f"{failed} of {plural(len(results), 'check')} failed")


def _expressions(options: CheckOptions) -> list[Expression]:
    from traceq.analysis.expressions import parse_expression
    from traceq.analysis.findings import KINDS

    texts = [*(options.checks or ()), *(options.max or ())]
    if not texts and options.baseline is None:
        raise typer.BadParameter("nothing to check: give a check, or --baseline")
    try:
        expressions = [parse_expression(text) for text in texts]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    for expression in expressions:
        if expression.measure == "no" and expression.target not in KINDS:
            raise typer.BadParameter(f"'{expression.target}' is no kind of finding, there are {', '.join(KINDS)}")
    return expressions


def _question(expressions: Sequence[Expression], options: CheckOptions) -> ChecksQuestion:
    from traceq.analysis.checks import ChecksQuestion

    bounds = tuple(expression for expression in expressions if expression.measure != "no")
    with_findings = len(bounds) < len(expressions)
    return ChecksQuestion(
        options.requests.of(options.service), bounds, with_findings, with_cohort=options.baseline is not None
    )


def _sum_up(place: SourceOptions, question: ChecksQuestion, options: CheckOptions) -> Reply[ChecksSums]:
    with opened(place, options.output) as source:
        query = options.filters.query(options.service, is_live=source.is_live)
        return ask(source, query, question, options.workers.workers)


def _results(expressions: Sequence[Expression], sums: ChecksSums, options: CheckOptions) -> list[CheckResult]:
    """Judge the checks in the order in which they were given."""
    from traceq.analysis.checks import judge
    from traceq.analysis.findings import FindingQuestion

    findings = FindingQuestion(options.requests.of(options.service)).rank(sums.findings).findings
    measured = iter(sums.measured)
    return [
        _without_finding(findings, expression, sums.trace_count)
        if expression.measure == "no"
        else judge(next(measured), expression)
        for expression in expressions
    ]


def _without_finding(findings: Sequence[Finding], expression: Expression, trace_count: int) -> CheckResult:
    from traceq.analysis.checks import CheckResult

    there = [finding for finding in findings if finding.key.kind == expression.target]
    remark = f"in {plural(trace_count, 'trace')}"
    example = ""
    if there:
        first = there[0]
        remark = f"{first.key.service} {first.key.name} {remark}"
        example = first.totals.examples[0].trace_id if first.totals.examples else ""
    measured = plural(len(there), "finding")
    return CheckResult(expression.text, measured, len(there), 0, not there, remark, example)


def _regressions(after: Cohort, baseline: str, options: CheckOptions) -> tuple[CheckResult, ...]:
    from traceq.analysis.checks import ChecksQuestion, against_baseline
    from traceq.analysis.comparison.compare import compare

    question = ChecksQuestion(options.requests.of(options.service), with_cohort=True)
    before = _sum_up(replace(options.source, source=[baseline]), question, options).sums.cohort
    return against_baseline(compare(before, after), options.tolerance)


def _write_junit(results: Sequence[CheckResult], location: str, path: str) -> None:
    from traceq.cli.junit import junit_xml

    with destination(path) as out:
        out.write(junit_xml(results, location))


def _report(results: Sequence[CheckResult], sums: ChecksSums, location: str) -> Report:
    columns: tuple[Column[Any], ...] = (
        Column("passed", ""),
        Column("check", "check", can_shrink=True),
        Column("measured", "measured"),
    )
    rows = [("ok" if result.passed else "FAILED", result.text, result.measured) for result in results]
    failed = [result for result in results if not result.passed]
    told = f"{len(failed)} of {plural(len(results), 'check')} failed" if failed else "all checks passed"
    blocks: list[Block] = [Line((Part(told, "error" if failed else "strong"),)), Line(), Table(columns, tuple(rows))]
    blocks += [Line(), *(_reason(result) for result in failed)] if failed else []
    looked_at = f"{plural(sums.span_count, 'span')} of {plural(sums.trace_count, 'trace')} ({location})"
    footer = [Line((Part(looked_at, "dim"),))]
    shown = next((result.example for result in failed if result.example), "")
    if shown:
        footer.append(Line((Part(f"next: traceq show {shown}", "hint"),)))
    document = {"passed": not failed, "checks": [result.to_dict() for result in results]}
    return Report("check", document, _records(results), tuple(blocks), tuple(footer))


def _reason(result: CheckResult) -> Line:
    told = f": measured {result.measured}{f', {result.remark}' if result.remark else ''}"
    return Line(
        (Part(result.text, "strong"), Part(told), Part(f" ({result.example})" if result.example else "", "dim"))
    )


def _records(results: Sequence[CheckResult]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("check", "check"),
        Column("passed", "passed"),
        Column("measured", "measured"),
        Column("value", "value"),
        Column("bound", "bound"),
        Column("remark", "remark"),
        Column("example_trace_id", "example", Unit.TRACE_ID),
    )
    rows = [
        (
            result.text,
            result.passed,
            result.measured,
            result.value,
            result.bound,
            result.remark or None,
            result.example or None,
        )
        for result in results
    ]
    return Table(columns, tuple(rows))
