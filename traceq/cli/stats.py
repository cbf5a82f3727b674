"""`traceq stats`: how many spans of each sort, how long they took, how often they failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer
from msgspec import Struct, field

from traceq.cli.options import ServiceOptions, SkewOption, TraceOption
from traceq.cli.outputs import AskingOptions, TopOption
from traceq.cli.session import answered, emit

if TYPE_CHECKING:
    from traceq.analysis.statistics import StatisticsOptions

Order = Literal["self", "total", "count", "average", "p95", "max", "errors", "name"]
_SORT_HELP = f"Order of the rows, greatest first: {', '.join(get_args(Order))}."


class StatsOptions(Struct, frozen=True):
    """The options of `stats`."""

    service: ServiceOptions = field(default_factory=ServiceOptions)
    trace: TraceOption = None
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="What to count by: service, operation or tag:KEY; give it twice for two levels. "
            "By default the service, or the operation if one service or trace is given.",
        ),
    ] = None
    sort: Annotated[Order, typer.Option(metavar="ORDER", help=_SORT_HELP)] = "self"
    top: TopOption = None
    no_skew_correction: SkewOption = False
    asking: AskingOptions = field(default_factory=AskingOptions)

    def statistics_options(self) -> StatisticsOptions:
        """Give what to count by.

        Raises:
            typer.BadParameter: If nothing can be counted by what was typed.
        """
        from traceq.analysis.statistics import StatisticsOptions

        default = "operation" if self.service.name or self.trace else "service"
        try:
            return StatisticsOptions(tuple(self.by or [default]), self.service.name, not self.no_skew_correction)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--by") from error


def stats(options: StatsOptions) -> None:
    """Measure spans by service, operation or tag: durations, self times, percentiles, errors, rates.

    Self time is the part of a span that no child covers. Its share is relative to the durations of all traces, and
    exceeds 100 % where work was done in parallel. Spans without the tag have a row of their own.

    Examples:
      traceq stats

      traceq stats chat-service --by operation

      traceq stats --by service --by operation --sort p95 --lookback 6h

      traceq stats chat-service --by tag:http.status_code --by operation

      traceq stats --trace 5b8aa5a2d2c872e8321cf37308d69df2 --source traces.json
    """
    from traceq.analysis.statistics import StatisticsQuestion
    from traceq.views.stats import MOST_LINES, Shown, report

    question = StatisticsQuestion(options.statistics_options())
    answer, asked = answered(question, options.asking, options.service.name, options.trace)
    shown = Shown(options.top or MOST_LINES, options.sort, is_default=options.by is None)
    emit(report(answer, asked, shown), asked, options.asking.output, top=options.top)
