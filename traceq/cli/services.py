"""`traceq services` and `traceq operations`: what there is to ask about."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.catalog import OperationList, ServiceList
from traceq.cli.options import ServiceOptions, SourceOptions, service_argument
from traceq.cli.outputs import AnswerOutputOptions
from traceq.cli.session import emit, opened
from traceq.query import Asked, TraceQuery, asked_of
from traceq.sources.interface import Source
from traceq.views.listings import operations_report, services_report


class ServicesOptions(Struct, frozen=True):
    """The options of `services`."""

    source: SourceOptions = field(default_factory=SourceOptions)
    output: AnswerOutputOptions = field(default_factory=AnswerOutputOptions)


def services(options: ServicesOptions) -> None:
    """List the services of the source.

    These are the names that --service takes.

    Examples:
      traceq services

      traceq services --source traces.json --format json
    """
    with opened(options.source, options.output) as source:
        answer = ServiceList(source.services())
    asked = _asked(source, TraceQuery())
    emit(services_report(answer, asked), asked, options.output)


class OwnerOptions(ServiceOptions, frozen=True):
    """The service whose operations are listed."""

    service: Annotated[str | None, service_argument(metavar="SERVICE", help="Service whose operations to list.")] = None


class OperationsOptions(Struct, frozen=True):
    """The options of `operations`."""

    service: OwnerOptions = field(default_factory=OwnerOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: AnswerOutputOptions = field(default_factory=AnswerOutputOptions)


def operations(options: OperationsOptions) -> None:
    """List the operations of a service, with their span kinds if the source knows them.

    These are the names that --operation takes.

    Examples:
      traceq operations chat-service

      traceq operations chat-service --format csv
    """
    service = options.service.name
    if service is None:
        raise typer.BadParameter("name the service whose operations to list", param_hint="SERVICE")
    with opened(options.source, options.output) as source:
        answer = OperationList(service, source.operations(service))
    asked = _asked(source, TraceQuery(service=service))
    emit(operations_report(answer, asked), asked, options.output)


def _asked(source: Source, query: TraceQuery) -> Asked:
    about = source.remarks()
    return replace(asked_of(source, query, about.warnings), notes=about.notes)
