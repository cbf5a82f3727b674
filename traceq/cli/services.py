"""`traceq services` and `traceq operations`: what there is to ask about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from traceq.cli.options import OutputOptions, SourceOptions, complete_service
from traceq.cli.output import emit
from traceq.cli.session import opened
from traceq.engine import asked_of
from traceq.listings import OperationList, ServiceList
from traceq.query import TraceQuery
from traceq.views.services import operations_report, services_report


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
        answer = ServiceList(source.services())
    asked = asked_of(source, TraceQuery())
    emit(services_report(answer, asked), asked, options.output)


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
        answer = OperationList(options.service, source.operations(options.service))
    asked = asked_of(source, TraceQuery(service=options.service))
    emit(operations_report(answer, asked), asked, options.output)
