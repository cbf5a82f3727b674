"""`traceq check`: whether traces keep what is asked of them, for builds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import typer

from traceq.cli.options import AskingOptions, RequestsOptions, ServiceOption, share
from traceq.cli.session import answered, check_output, destination, emit
from traceq.errors import CheckFailed
from traceq.units import plural

if TYPE_CHECKING:
    from traceq.analysis.checks import ChecksQuestion


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The options of `check`."""

    checks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHECK]...", help="'p95(chat-service) < 500ms', 'calls(mysql) <= 5', 'no(n+1)'."),
    ] = None
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL", help="Compare with these traces, and fail on a regression.", show_default=False
        ),
    ] = None
    tolerance: Annotated[
        float,
        typer.Option(parser=share, metavar="SHARE", help="With --baseline: largest slowdown that passes."),
    ] = "10%"  # type: ignore[assignment]  # defaults go through the parser as if typed
    junit: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the results as JUnit XML.", show_default=False)
    ] = None
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    service: ServiceOption = None
    asking: AskingOptions = field(default_factory=AskingOptions)


def check(options: CheckOptions) -> None:
    """Check traces against limits, and exit with code 6 if one is exceeded.

    Measures: p50 to p99.9, mean, min and max of durations; error_rate; calls per trace; no(KIND) for findings.

    Names: an operation, service:operation, a service (its entry spans), or what is called: mysql, kafka.

    Examples:
      traceq check 'p95(chat-service:GET /rooms) < 500ms' --source after.json

      traceq check 'calls(mysql) <= 5' 'no(n+1)' --junit traceq.xml

      traceq check --baseline before.json --tolerance 10% --source after.json
    """
    from traceq.views.check import report

    question, asking = _question(options), options.asking
    if options.junit is not None:
        check_output(replace(asking.output, output=options.junit))
    answer, asked = answered(question, asking, options.service)
    if options.baseline is not None:
        baseline = replace(asking, source=replace(asking.source, source=[options.baseline]))
        before, _ = answered(replace(question, expressions=()), baseline, options.service)
        answer = answer.with_baseline(before.sums.cohort, options.tolerance)
    if asked.is_partial:
        answer = answer.on_parts()
    shown = report(answer, asked)
    if options.junit is not None:
        from traceq.render.records import render_junit

        with destination(options.junit) as out:
            out.write(render_junit(shown.records, asked.location))
    emit(shown, asked, asking.output)
    if answer.failed:
        raise CheckFailed(f"{len(answer.failed)} of {plural(len(answer.results), 'check')} failed")


def _question(options: CheckOptions) -> ChecksQuestion:
    """Read what is to be checked.

    Raises:
        typer.BadParameter: If that is nothing, or a check cannot be read.
    """
    from traceq.analysis.checks import ChecksQuestion, parse_expression

    if not options.checks and options.baseline is None:
        raise typer.BadParameter("nothing to check: give a check, or --baseline")
    try:
        expressions = tuple(parse_expression(text) for text in options.checks or ())
        return ChecksQuestion(
            options.requests.of(options.service), expressions, with_cohort=options.baseline is not None
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
