"""`traceq errors`: where errors begin, how far they spread, and what they fail."""

from __future__ import annotations

from msgspec import Struct, field

from traceq.cli.options import RequestServiceOptions, RequestsOptions, TraceOption
from traceq.cli.outputs import AskingOptions, TopOption
from traceq.cli.session import answered, emit


class ErrorsOptions(Struct, frozen=True):
    """The options of `errors`."""

    service: RequestServiceOptions = field(default_factory=RequestServiceOptions)
    trace: TraceOption = None
    top: TopOption = None
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    asking: AskingOptions = field(default_factory=AskingOptions)


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
    from traceq.views.errors import MOST_LINES, report

    question = ErrorQuestion(options.requests.of(options.service.name, without=options.asking.filters.not_operation))
    answer, asked = answered(question, options.asking, options.service.name, options.trace, requests=options.requests)
    emit(report(answer, asked, options.top or MOST_LINES), asked, options.asking.output, top=options.top)
