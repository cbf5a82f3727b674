"""`traceq findings`: what is worth a change, what it costs and what to try."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import typer

from traceq.cli.options import (
    FilterOptions,
    OutputOptions,
    RequestsArgument,
    RequestsOptions,
    SourceOptions,
    WorkersOptions,
    duration,
)
from traceq.cli.output import emit
from traceq.cli.session import opened, wanted_by
from traceq.engine import ask

if TYPE_CHECKING:
    from traceq.analysis.findings import Thresholds

_PANEL = "Thresholds"


def kind(text: str) -> str:
    """Read a kind of finding typed on the command line."""
    from traceq.analysis.findings import KINDS

    if text not in KINDS:
        raise typer.BadParameter(f"'{text}' is no kind of finding, there are {', '.join(KINDS)}")
    return text


def share(text: str) -> float:
    """Read a share typed on the command line, as a percentage or a part of one."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not a share, write for example 10% or 0.1") from error
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"'{text}' is not a share between 0% and 100%")
    return value


@dataclass(frozen=True, slots=True)
class ThresholdOptions:
    """From when on something is worth a finding; defaults are those of `Thresholds`, as they are typed."""

    min_cost: Annotated[
        int,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Time on the critical path that a finding about time costs a request at least.",
            rich_help_panel=_PANEL,
        ),
    ] = "5ms"  # type: ignore[assignment]  # defaults go through the parser as if typed
    min_share: Annotated[
        float,
        typer.Option(
            parser=share,
            metavar="SHARE",
            help="... and slow queries, network, gaps, stragglers and sequences this much of its latency.",
            rich_help_panel=_PANEL,
        ),
    ] = "10%"  # type: ignore[assignment]  # as above
    n_plus_one: Annotated[
        int, typer.Option(min=2, metavar="N", help="Alike calls in turn that are an N+1.", rich_help_panel=_PANEL)
    ] = 10
    repeats: Annotated[
        int, typer.Option(min=2, metavar="N", help="Times a request runs one statement.", rich_help_panel=_PANEL)
    ] = 5
    sequential: Annotated[
        int, typer.Option(min=2, metavar="N", help="Calls to services in turn.", rich_help_panel=_PANEL)
    ] = 3
    sequential_gap: Annotated[
        int,
        typer.Option(parser=duration, metavar="DURATION", help="Longest pause between them.", rich_help_panel=_PANEL),
    ] = "5ms"  # type: ignore[assignment]  # as above
    straggler_calls: Annotated[
        int, typer.Option(min=2, metavar="N", help="Calls side by side, one of them late.", rich_help_panel=_PANEL)
    ] = 3
    straggler_factor: Annotated[
        float,
        typer.Option(min=0, metavar="X", help="How many times the others' median it takes.", rich_help_panel=_PANEL),
    ] = 1.25
    fan_out: Annotated[
        int, typer.Option(min=2, metavar="N", help="Calls side by side that are too many.", rich_help_panel=_PANEL)
    ] = 30
    retries: Annotated[int, typer.Option(min=1, metavar="N", help="Further attempts.", rich_help_panel=_PANEL)] = 1
    network: Annotated[
        int,
        typer.Option(
            parser=duration, metavar="DURATION", help="Lost between client and server.", rich_help_panel=_PANEL
        ),
    ] = "25ms"  # type: ignore[assignment]  # as above
    gap: Annotated[
        int,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Nothing before the first child or between children.",
            rich_help_panel=_PANEL,
        ),
    ] = "50ms"  # type: ignore[assignment]  # as above
    slow_query: Annotated[
        int,
        typer.Option(parser=duration, metavar="DURATION", help="A single query takes.", rich_help_panel=_PANEL),
    ] = "200ms"  # type: ignore[assignment]  # as above
    queue_delay: Annotated[
        int,
        typer.Option(parser=duration, metavar="DURATION", help="From sending to processing.", rich_help_panel=_PANEL),
    ] = "500ms"  # type: ignore[assignment]  # as above
    skew: Annotated[
        int,
        typer.Option(
            parser=duration, metavar="DURATION", help="A call lies outside its caller.", rich_help_panel=_PANEL
        ),
    ] = "10ms"  # type: ignore[assignment]  # as above

    def thresholds(self) -> Thresholds:
        """Give them to the analysis."""
        from traceq.analysis.findings import Thresholds

        return Thresholds(
            min_cost_ns=self.min_cost,
            min_ratio=self.min_share,
            n_plus_one_calls=self.n_plus_one,
            repeated_queries=self.repeats,
            sequential_calls=self.sequential,
            sequential_gap_ns=self.sequential_gap,
            straggler_calls=self.straggler_calls,
            straggler_factor=self.straggler_factor,
            fan_out_calls=self.fan_out,
            retries=self.retries,
            network_ns=self.network,
            gap_ns=self.gap,
            slow_query_ns=self.slow_query,
            queue_delay_ns=self.queue_delay,
            skew_ns=self.skew,
        )


@dataclass(frozen=True, slots=True)
class FindingsOptions:
    """Of `findings`."""

    service: RequestsArgument = None
    trace: Annotated[str | None, typer.Option("--trace", metavar="ID", help="Only this trace.")] = None
    kind: Annotated[
        list[str] | None,
        typer.Option(parser=kind, metavar="KIND", help="Only findings of this kind; repeatable."),
    ] = None
    top: Annotated[int, typer.Option(min=1, metavar="N", help="So many findings.")] = 10
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def findings(options: FindingsOptions) -> None:
    """Find what is worth a change: N+1 queries, slow queries, retries, errors, stragglers, gaps and more.

    Each finding comes with what it costs: its time on the critical path, the most that fixing it saves.

    Examples:
      traceq findings chat-service

      traceq findings --trace 5b8aa5a2d2c872e8321cf37308d69df2

      traceq findings chat-service --kind n+1 --kind slow-query --lookback 6h --limit 1000

      traceq findings --source traces.json --slow-query 50ms --format json
    """
    from traceq.analysis.findings import FindingQuestion
    from traceq.views.findings import Shown, report

    thresholds, requests = options.thresholds.thresholds(), options.requests.of(options.service)
    with opened(options.source, options.output) as source:
        question = FindingQuestion(requests, thresholds)
        reply = ask(source, wanted_by(options, source), question, options.workers.workers)
    answer = question.rank(reply.sums)
    if options.kind:
        answer = replace(answer, findings=tuple(each for each in answer.findings if each.key.kind in options.kind))
    emit(report(answer, reply.asked, Shown(options.top)), reply.asked, options.output)
