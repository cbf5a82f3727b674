"""`traceq check`: whether traces keep what is asked of them, for builds."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

import typer
from msgspec import Struct, field, structs
from msgspec.structs import replace

from traceq.cli.options import RequestsOptions, ServiceOption, share
from traceq.cli.outputs import AnswerOutputOptions, AskingOptions, format_option
from traceq.cli.review import ReviewOptions
from traceq.cli.session import answered, check_output, destination, emit
from traceq.errors import CheckFailed, InputError
from traceq.render import AnswerFormat, Format
from traceq.units import plural

if TYPE_CHECKING:
    from traceq.analysis.checks import Checks, ChecksQuestion, Expression
    from traceq.analysis.findings import Review
    from traceq.analysis.requests import RequestOptions
    from traceq.query import Asked

_Formats: TypeAlias = Literal[AnswerFormat, "junit", "github"]


class CheckOutputOptions(AnswerOutputOptions, frozen=True):
    """The same for checks, which build servers read."""

    drawings: ClassVar[frozenset[Format]] = frozenset({"junit", "github"})

    format: Annotated[_Formats | None, format_option(_Formats)] = None  # type: ignore[assignment]  # more than above


class CheckAskingOptions(AskingOptions, frozen=True):
    """What is asked, and where the results go."""

    output: CheckOutputOptions = field(default_factory=CheckOutputOptions)


class CheckOptions(Struct, frozen=True):
    """The options of `check`."""

    checks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHECK]...", help="'p95(chat-service) < 500ms', 'calls(mysql) <= 5', 'no(n+1)'."),
    ] = None
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="Compare with these traces: checks that name the baseline, by default every entry operation.",
            show_default=False,
        ),
    ] = None
    tolerance: Annotated[
        float,
        typer.Option(parser=share, metavar="SHARE", help="With --baseline: how far entry operations may be above it."),
    ] = "10%"  # type: ignore[assignment]  # defaults go through the parser as if typed
    strict: Annotated[
        bool, typer.Option("--strict", help="With --baseline: fail on what chance alone may have done, too.")
    ] = False
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Pass checks that were measured on nothing.")] = (
        False
    )
    checks_file: Annotated[
        str | None,
        typer.Option("--checks", metavar="FILE", help="Checks in a file (TOML), with names and reasons."),
    ] = None
    junit: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write the results as JUnit XML.", show_default=False)
    ] = None
    review: ReviewOptions = field(default_factory=ReviewOptions)
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    service: ServiceOption = None
    asking: CheckAskingOptions = field(default_factory=CheckAskingOptions)


def check(options: CheckOptions) -> None:
    """Check traces against limits, and exit with code 6 if one is exceeded.

    Measures: p50 to p99.9, mean, min, max of durations; error_rate, errors, count; calls per trace; critical_share
    of the time that requests take; no(KIND) for findings. Bounds: '< 500ms', '<= baseline', '<= baseline + 10%'.

    Names: an operation, service:operation, a service (its entry spans), or what is called: mysql, kafka.

    Examples:
      traceq check 'p95(chat-service:GET /rooms) < 500ms' --source after.json

      traceq check 'calls(mysql) <= 5' 'no(n+1)' --junit traceq.xml

      traceq check --checks checks.toml --source run.jsonl --format github

      traceq check 'no(new-finding)' --new-since old.findings.json -s after.json

      traceq check --baseline before.json --tolerance 10% --source after.json

      traceq check 'calls(mysql) <= baseline' --baseline before.json -s after.json
    """
    from traceq.views.check import report

    question = _question(options)
    if options.junit is not None:
        check_output(structs.replace(options.asking.output, output=options.junit, format="junit"))
    answer, asked = _answered(question, options)
    shown = report(answer, asked)
    if options.junit is not None:
        from traceq.render.builds import render_junit

        with destination(options.junit) as out:
            out.write(render_junit(shown, asked.location).encode("utf-8", "backslashreplace"))
    try:
        emit(shown, asked, options.asking.output)
    except (BrokenPipeError, SystemExit):
        # rich makes the second of the first. A build of which only the first lines are read must not pass by that.
        _fail(answer)
        raise
    _fail(answer)


def _fail(answer: Checks) -> None:
    """End with the exit code of checks if one failed."""
    if answer.failed:
        raise CheckFailed(f"{len(answer.failed)} of {plural(len(answer.results), 'check')} failed")


def _answered(question: ChecksQuestion, options: CheckOptions) -> tuple[Checks, Asked]:
    """Measure, and compare with the baseline where there is one."""
    from traceq.analysis.checks import Allowance

    asking = options.asking
    answer, asked = answered(question, asking, options.service, requests=options.requests)
    if options.baseline is not None:
        there = structs.replace(asking, source=structs.replace(asking.source, source=[options.baseline]))
        before, asked_before = answered(question.of_baseline, there, options.service, requests=options.requests)
        answer = question.against(before.sums, answer.sums, Allowance(ratio=options.tolerance))
        asked = structs.replace(
            asked,
            is_partial=asked.is_partial or asked_before.is_partial,
            is_cut_off=asked.is_cut_off or asked_before.is_cut_off,
            notes=tuple(dict.fromkeys((*asked.notes, *asked_before.notes))),
        )
    if question.needs_details:
        notes = question.review.notes(finding.signature for finding in question.findings(answer.sums))
        asked = structs.replace(asked, notes=(*asked.notes, *notes))
    answer = answer.allowing(chance=not options.strict, nothing=options.allow_empty)
    return (answer.on_parts() if asked.is_partial else answer), asked


def _review(options: CheckOptions, requests: RequestOptions) -> Review:
    """Read what was decided about findings, and which were there before."""
    from traceq.analysis.findings import FindingQuestion

    question = FindingQuestion(requests)
    return options.review.of(question.rank(question.nothing()).to_dict(), options.asking.filters)


def _question(options: CheckOptions) -> ChecksQuestion:
    """Read what is to be checked.

    Raises:
        typer.BadParameter: If that is nothing, or a check cannot be read, or compares with a baseline that is missing.
    """
    from traceq.analysis.checks import ChecksQuestion, parse_expression

    if not options.checks and None is options.baseline is options.checks_file:
        raise typer.BadParameter("nothing to check: give a check, --checks or --baseline")
    try:
        in_file = () if options.checks_file is None else read_checks(options.checks_file)
        expressions = (*map(parse_expression, options.checks or ()), *in_file)
        requests = options.requests.of(options.service, without=options.asking.filters.not_operation)
        question = ChecksQuestion(requests, expressions, review=_review(options, requests))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    new = [each for each in expressions if (each.measure, each.target) == ("no", "new-finding")]
    if new and options.review.new_since is None:
        raise typer.BadParameter(f"the check '{new[0].text}' needs findings of before: give --new-since")
    compared = question.of_baseline.expressions
    if options.baseline is None and compared:
        raise typer.BadParameter(f"the check '{compared[0].text}' needs traces to compare with: give --baseline")
    return structs.replace(question, with_entries=options.baseline is not None and not compared)


_KEYS = {"check": str, "name": str, "reason": str, "allow_empty": bool}
_TYPES = {str: "a text", bool: "true or false"}
_EXAMPLE = "write [[check]] and below it check = 'p95(chat-service) < 500ms'"


def read_checks(path: str) -> tuple[Expression, ...]:
    """Read the checks of a file.

    Raises:
        InputError: If the file cannot be read.
        typer.BadParameter: If it is no TOML, or an entry is no check; the message names file and entry.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise InputError(f"cannot read the checks in '{path}': {reason}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise typer.BadParameter(f"'{path}' is no TOML: {error}", param_hint="--checks") from error
    entries = document.pop("check", [])
    if document or not isinstance(entries, list):
        unknown = f"unknown key '{next(iter(document))}'" if document else "'check' is no list of tables"
        raise typer.BadParameter(f"'{path}': {unknown}: {_EXAMPLE}", param_hint="--checks")
    if not entries:
        raise typer.BadParameter(f"'{path}' has no checks: {_EXAMPLE}", param_hint="--checks")
    return tuple(_read(path, number, entry) for number, entry in enumerate(entries, 1))


def _read(path: str, number: int, entry: object) -> Expression:
    from traceq.analysis.checks import parse_expression

    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"'{path}', check {number}" + (f" ({name})" if isinstance(name, str) else "")
    try:
        given = _checked(entry)
        expression = parse_expression(str(given["check"]))
    except ValueError as error:
        raise typer.BadParameter(f"{where}: {error}", param_hint="--checks") from error
    return replace(
        expression,
        name=str(given.get("name", "")),
        reason=str(given.get("reason", "")),
        may_be_empty=bool(given.get("allow_empty", False)),
    )


def _checked(entry: object) -> dict[str, object]:
    """Give an entry whose keys are known and have values of their types.

    Raises:
        ValueError: If it is none; the message says why.
    """
    if not isinstance(entry, dict):
        raise ValueError(_EXAMPLE)  # noqa: TRY004  what is wrong is the file
    for key, value in entry.items():
        if key not in _KEYS:
            raise ValueError(f"unknown key '{key}', there are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise ValueError(f"'{key}' has to be {_TYPES[_KEYS[key]]}")  # noqa: TRY004
    if "check" not in entry:
        raise ValueError(f"'check' is missing: {_EXAMPLE}")
    return entry
