"""`traceq check`: whether traces keep what is asked of them, for builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import typer

from traceq.cli.messages import cut_off_line
from traceq.cli.options import FilterOptions, OutputOptions, ServiceOption, SkewOption, SourceOptions
from traceq.cli.output import Asked, check_output, destination, emit
from traceq.cli.session import opened
from traceq.cli.splits import parse_share
from traceq.errors import CheckFailed
from traceq.report import Block, Column, Line, Part, Report, Table, Unit
from traceq.sources import Found
from traceq.units import plural

if TYPE_CHECKING:
    from traceq.analysis.checks import CheckResult
    from traceq.analysis.culprits import RequestOptions
    from traceq.analysis.expressions import Expression
    from traceq.traces import Traces

_DEFAULT_LIMIT = 200


def tolerance(text: str) -> float:
    """Read how much slower is still well."""
    if text.strip().rstrip("% ") == "0":
        return 0.0
    try:
        return parse_share(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


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
        typer.Option(parser=tolerance, metavar="SHARE", help="With --baseline: how much slower is still well."),
    ] = "10%"  # type: ignore[assignment]  # defaults go through the parser as if typed
    junit: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML too.", show_default=False)
    ] = None
    whole_trace: Annotated[
        bool, typer.Option("--whole-trace", help="With --service: from the traces' roots, not where it was entered.")
    ] = False
    no_skew_correction: SkewOption = False
    service: ServiceOption = None
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at, and how."""
        from traceq.analysis.culprits import RequestOptions

        return RequestOptions(self.service, self.whole_trace, correct_skew=not self.no_skew_correction)


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
    with opened(options.source, options.output) as source:
        query = options.filters.query(options.service, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
        found = source.find(query)
    results = [_result(found.traces, expression, options) for expression in expressions]
    notes = found.notes + ((cut_off_line(query.limit),) if found.is_cut_off else ())
    if options.baseline is not None:
        results += _regressions(found.traces, options.baseline, options)
    asked = Asked(source.location, query.to_dict(), found.traces.warnings, notes, found.is_cut_off)
    if options.junit is not None:
        _write_junit(results, source.location, options.junit)
    emit(_report(results, found, source.location), asked, options.output)
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


def _result(traces: Traces, expression: Expression, options: CheckOptions) -> CheckResult:
    from traceq.analysis.checks import collect, judge

    if expression.measure == "no":
        return _without_finding(traces, expression, options)
    return judge(collect(traces, expression), expression)


def _without_finding(traces: Traces, expression: Expression, options: CheckOptions) -> CheckResult:
    from traceq.analysis.checks import CheckResult
    from traceq.analysis.findings import Thresholds, collect, rank

    request_options, thresholds = options.request_options(), Thresholds()
    found = rank(collect(traces, request_options, thresholds), request_options, thresholds).findings
    there = [finding for finding in found if finding.key.kind == expression.target]
    remark = f"in {plural(len(traces), 'trace')}"
    example = ""
    if there:
        first = there[0]
        remark = f"{first.key.service} {first.key.name} {remark}"
        example = first.totals.examples[0].trace_id if first.totals.examples else ""
    measured = plural(len(there), "finding")
    return CheckResult(expression.text, measured, len(there), 0, not there, remark, example)


def _regressions(traces: Traces, baseline: str, options: CheckOptions) -> tuple[CheckResult, ...]:
    from traceq.analysis.checks import against_baseline
    from traceq.analysis.comparison.cohorts import collect
    from traceq.analysis.comparison.compare import compare

    with opened(replace(options.source, source=[baseline]), options.output) as source:
        query = options.filters.query(options.service, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
        before = source.find(query).traces
    request_options = options.request_options()
    comparison = compare(collect(before, request_options), collect(traces, request_options))
    return against_baseline(comparison, options.tolerance)


def _write_junit(results: Sequence[CheckResult], location: str, path: str) -> None:
    from traceq.cli.junit import junit_xml

    with destination(path) as out:
        out.write(junit_xml(results, location))


def _report(results: Sequence[CheckResult], found: Found, location: str) -> Report:
    columns = (
        Column("passed", ""),
        Column("check", "check", can_shrink=True),
        Column("measured", "measured"),
    )
    rows = [("ok" if result.passed else "FAILED", result.text, result.measured) for result in results]
    failed = [result for result in results if not result.passed]
    told = f"{len(failed)} of {plural(len(results), 'check')} failed" if failed else "all checks passed"
    blocks: list[Block] = [Line((Part(told, "error" if failed else "strong"),)), Line(), Table(columns, tuple(rows))]
    blocks += [Line(), *(_reason(result) for result in failed)] if failed else []
    looked_at = f"{plural(found.traces.span_count, 'span')} of {plural(len(found.traces), 'trace')} ({location})"
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
    columns = (
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
