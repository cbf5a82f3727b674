"""`traceq services` and `traceq operations`: what there is to ask about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from traceq.cli.options import OutputOptions, SourceOptions, complete_service
from traceq.cli.output import emit
from traceq.cli.session import opened
from traceq.engine import asked_of
from traceq.query import TraceQuery
from traceq.report import Column, Line, Part, Report, Table, Unit
from traceq.units import plural


@dataclass(frozen=True, slots=True)
class ServicesOptions:
    """Of `services`."""

    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def services(options: ServicesOptions) -> None:
    """List the services that the source knows.

    Examples:
      traceq services

      traceq services --source traces.json --format json
    """
    with opened(options.source, options.output) as source:
        names = source.services()
    table = Table((Column("service", "service", Unit.SERVICE),), tuple((name,) for name in names))
    footer = Line((Part(f"{plural(len(names), 'service')} ({source.location})", "dim"),))
    report = Report("services", {"services": list(names)}, table, (table,), (footer,))
    emit(report, asked_of(source, TraceQuery()), options.output)


@dataclass(frozen=True, slots=True)
class OperationsOptions:
    """Of `operations`."""

    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Whose.", autocompletion=complete_service)]
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def operations(options: OperationsOptions) -> None:
    """List the operations of a service, with their span kinds where the source tells.

    Examples:
      traceq operations chat-service

      traceq operations chat-service --format csv
    """
    with opened(options.source, options.output) as source:
        found = source.operations(options.service)
    table = Table(
        (Column("operation", "operation", can_shrink=True), Column("kind", "kind")),
        tuple((operation.name, operation.kind or None) for operation in found),
    )
    listed = [{"operation": operation.name, "kind": operation.kind or None} for operation in found]
    told = f"{plural(len(found), 'operation')} of {options.service} ({source.location})"
    report = Report(
        "operations",
        {"service": options.service, "operations": listed},
        table,
        (table,),
        (Line((Part(told, "dim"),)),),
    )
    emit(report, asked_of(source, TraceQuery(service=options.service)), options.output)
