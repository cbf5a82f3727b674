"""Which service: by position or as an option, with the names that the source knows offered on Tab."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import typer

from traceq.cli.options import DEFAULT_SOURCE, FILTER
from traceq.errors import TraceqError
from traceq.sources.interface import ConnectionOptions

_COMPLETION_PATIENCE_NS = 1_500_000_000
"""A shell that hangs on Tab is worse than one that offers nothing."""


def complete_service(incomplete: str) -> list[str]:
    """Offer the services of the source in the environment that begin like this; none when it cannot be asked."""
    # Late: completion alone needs it here.
    from traceq.sources import open_source

    location = os.environ.get("TRACEQ_SOURCE") or DEFAULT_SOURCE
    options = ConnectionOptions(token=os.environ.get("TRACEQ_TOKEN"), timeout_ns=_COMPLETION_PATIENCE_NS)
    try:
        names = open_source((location,), options).services()
    except TraceqError:
        return []  # nothing to offer; the command itself will say what is wrong
    return [name for name in names if name.startswith(incomplete)]


ServiceOption = Annotated[
    str | None,
    typer.Option(
        "--service",
        metavar="NAME",
        help="Name of the service, exact; all of them by default.",
        autocompletion=complete_service,
        rich_help_panel=FILTER,
    ),
]


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """A service, by position or as an option."""

    service: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVICE]",
            help="Name of the service, exact; all of them by default.",
            autocompletion=complete_service,
        ),
    ] = None
    service_option: Annotated[
        str | None,
        typer.Option(
            "--service",
            metavar="NAME",
            help="The same as the argument SERVICE.",
            autocompletion=complete_service,
            rich_help_panel=FILTER,
        ),
    ] = None

    @property
    def name(self) -> str | None:
        """The service; None where none was given.

        Raises:
            typer.BadParameter: If two different ones were given.
        """
        if None not in (self.service, self.service_option) and self.service != self.service_option:
            told = (
                f"'{self.service}' is given as the argument and '{self.service_option}' as the option: give one of them"
            )
            raise typer.BadParameter(told, param_hint="--service")
        return self.service if self.service_option is None else self.service_option


@dataclass(frozen=True, slots=True)
class RequestServiceOptions(ServiceOptions):
    """The service whose requests a command looks at."""

    service: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVICE]",
            help="Service whose requests to look at; by default every trace is one request.",
            autocompletion=complete_service,
        ),
    ] = None
