"""`traceq findings`: what is worth a change, what it costs and what to try."""

from __future__ import annotations

import inspect
from dataclasses import Field
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

import typer
from msgspec import Struct, field, structs
from msgspec.structs import replace

from traceq.analysis.thresholds import About, Thresholds
from traceq.cli.options import DURATION, RequestServiceOptions, RequestsOptions, TraceOption, parser, share
from traceq.cli.outputs import AnswerOutputOptions, AskingOptions, TopOption, format_option
from traceq.cli.review import ReviewOptions
from traceq.cli.session import answered, emit
from traceq.render import AnswerFormat, Format, IssueFormat
from traceq.report import Unit
from traceq.units import format_lookback


def _kind(text: str) -> str:
    from traceq.analysis.findings import KINDS, no_kind

    if text not in KINDS:
        raise ValueError(no_kind(text, KINDS))
    return text


def threshold_option(threshold: Field[Any]) -> inspect.Parameter:
    """Make an option of a threshold: its name, help, unit and default are those of `Thresholds`."""
    about: About = threshold.metadata["about"]
    default: Any = threshold.default
    typed: dict[str, Any] = {"metavar": "X" if about.unit is Unit.TEXT else "N", "min": about.least}
    if about.unit is Unit.DURATION:
        typed = DURATION
        default = format_lookback(default)  # defaults go through the parser as if typed
    elif about.unit is Unit.RATIO:
        typed = {"metavar": "SHARE", "parser": share}
        default = f"{100 * default:g}%"
    option = typer.Option(f"--{about.name}", help=about.help, rich_help_panel="Thresholds", **typed)
    return inspect.Parameter(
        threshold.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[type(threshold.default), option],
    )


_Formats: TypeAlias = Literal[AnswerFormat, IssueFormat]


class FindingsOutputOptions(AnswerOutputOptions, frozen=True):
    """The same for findings, which code hosts read."""

    drawings: ClassVar[frozenset[Format]] = frozenset(get_args(IssueFormat))

    format: Annotated[_Formats | None, format_option(_Formats)] = None  # type: ignore[assignment]  # more than above


class FindingsAskingOptions(AskingOptions, frozen=True):
    """What is asked, and where the findings go."""

    output: FindingsOutputOptions = field(default_factory=FindingsOutputOptions)


class FindingsOptions(Struct, frozen=True):
    """The options of `findings`."""

    service: RequestServiceOptions = field(default_factory=RequestServiceOptions)
    trace: TraceOption = None
    kind: Annotated[
        list[str] | None,
        typer.Option(parser=parser(_kind), metavar="KIND", help="Only findings of this kind; repeatable."),
    ] = None
    top: TopOption = None
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    thresholds: Annotated[Thresholds, threshold_option] = field(default_factory=Thresholds)
    review: ReviewOptions = field(default_factory=ReviewOptions)
    asking: FindingsAskingOptions = field(default_factory=FindingsAskingOptions)


def findings(options: FindingsOptions) -> None:
    """Find what is worth changing: N+1 queries, slow queries, retries, errors, stragglers, gaps and more.

    Each finding has a cost: its time on the critical path, which is the most that fixing it can save.

    Examples:
      traceq findings chat-service

      traceq findings --trace 5b8aa5a2d2c872e8321cf37308d69df2

      traceq findings chat-service --kind n+1 --kind slow-query --lookback 6h

      traceq findings --source traces.json --slow-query 50ms --format json

      traceq findings -s after.json --new-since before.findings.json

      traceq findings -s run.json --acknowledged accepted.toml -o run.sarif
    """
    from traceq.analysis.findings import FindingQuestion
    from traceq.views.findings import MOST_LINES, report

    question = FindingQuestion(
        options.requests.of(options.service.name, without=options.asking.filters.not_operation), options.thresholds
    )
    kinds = tuple(options.kind or ())
    about = replace(question.rank(question.nothing()), kinds=kinds).to_dict()
    review = options.review.of(about, options.asking.filters, options.trace)
    answer, asked = answered(question, options.asking, options.service.name, options.trace, requests=options.requests)
    notes = review.notes(finding.signature for finding in answer.findings)
    answer, asked = answer.reviewed(review), structs.replace(asked, notes=(*asked.notes, *notes))
    if kinds:
        found = tuple(each for each in answer.findings if each.key.kind in kinds)
        answer = replace(answer, findings=found, kinds=kinds)
    emit(report(answer, asked, options.top or MOST_LINES), asked, options.asking.output, top=options.top)
