"""`traceq errors`: where errors begin, how far they spread, and what they fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from traceq.cli.options import AnswerOutputOptions, FilterOptions, RequestsOptions, SourceOptions, WorkersOptions
from traceq.cli.output import emit
from traceq.cli.service_options import RequestServiceOptions
from traceq.cli.session import opened, wanted_by
from traceq.engine import ask


@dataclass(frozen=True, slots=True)
class ErrorsOptions:
    """The options of `errors`."""

    service: RequestServiceOptions = field(default_factory=RequestServiceOptions)
    trace: Annotated[str | None, typer.Option("--trace", metavar="ID", help="Only this trace.")] = None
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Number of errors to show.")] = 10
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: AnswerOutputOptions = field(default_factory=AnswerOutputOptions)


def errors(options: ErrorsOptions) -> None:
    """Find where errors begin: failed spans without a failed child, grouped by message.

    Numbers, ids and quoted values in messages are masked before messages are compared. An error fails a request if
    every span from the error's origin up to the request's entry span failed.

    Examples:
      traceq errors

      traceq errors chat-service --lookback 6h --limit 1000

      traceq errors --trace 5b8aa5a2d2c872e8321cf37308d69df2

      traceq errors --source traces.json --format csv
    """
    from traceq.analysis.errors import ErrorQuestion
    from traceq.views.errors import Shown, report

    question = ErrorQuestion(options.requests.of(options.service.name))
    with opened(options.source, options.output) as source:
        reply = ask(source, wanted_by(options, source), question, options.workers.workers)
    answer = question.rank(reply.sums)
    emit(report(answer, reply.asked, Shown(options.top)), reply.asked, options.output)
