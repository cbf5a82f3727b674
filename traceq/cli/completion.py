"""Names that the shell offers on Tab."""

from __future__ import annotations

import os

from traceq.cli.options import DEFAULT_SOURCE
from traceq.errors import TraceqError
from traceq.sources import ConnectionOptions, open_source

_PATIENCE_NS = 1_500_000_000
"""A shell that hangs on Tab is worse than one that offers nothing."""


def services_for(incomplete: str) -> list[str]:
    """Give the services of the source in the environment that begin like this; none when it cannot be asked."""
    location = os.environ.get("TRACEQ_SOURCE") or DEFAULT_SOURCE
    options = ConnectionOptions(token=os.environ.get("TRACEQ_TOKEN"), timeout_ns=_PATIENCE_NS)
    try:
        names = open_source((location,), options).services()
    except TraceqError:
        return []  # nothing to offer; the command itself will say what is wrong
    return [name for name in names if name.startswith(incomplete)]
