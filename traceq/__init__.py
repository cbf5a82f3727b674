"""Ask a Jaeger server, or files of traces, which requests are slow, why, and who calls whom.

import traceq

source = traceq.connect("http://localhost:16686")
found = source.find(traceq.TraceQuery(service="chat-service", limit=200))
print(traceq.bottlenecks(found.traces, "chat-service").to_frame())

traces = traceq.load("traces.json")
print(traceq.critical_path(traces).segments)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traceq.analysis.bottlenecks import Bottlenecks
    from traceq.analysis.comparison.compare import Comparison
    from traceq.analysis.critical_path import CriticalPath, critical_path
    from traceq.analysis.dependencies import Dependencies
    from traceq.analysis.errors import ErrorOrigins
    from traceq.analysis.findings import Finding, Findings, Thresholds
    from traceq.analysis.flame import CallPaths
    from traceq.analysis.one_trace import SelfTime, self_time
    from traceq.analysis.service_report import ServiceReport
    from traceq.analysis.statistics import Statistics
    from traceq.analysis.what_if import WhatIf
    from traceq.catalog import Operation, Window
    from traceq.errors import (
        DecodeError,
        InputError,
        LoginRequired,
        NotFoundError,
        ReadWarning,
        SourceError,
        TraceqError,
    )
    from traceq.library import (
        bottlenecks,
        compare,
        connect,
        dependencies,
        errors_by_origin,
        findings,
        flame,
        load,
        page,
        service_report,
        statistics,
        what_if,
    )
    from traceq.query import TraceQuery
    from traceq.schemas import schema
    from traceq.semantics import Kind, Peer, Status
    from traceq.sources.interface import ConnectionOptions, Found, Source
    from traceq.traces import Span, Traces, TraceWarning

__all__ = [
    "Bottlenecks",
    "CallPaths",
    "Comparison",
    "ConnectionOptions",
    "CriticalPath",
    "DecodeError",
    "Dependencies",
    "ErrorOrigins",
    "Finding",
    "Findings",
    "Found",
    "InputError",
    "Kind",
    "LoginRequired",
    "NotFoundError",
    "Operation",
    "Peer",
    "ReadWarning",
    "SelfTime",
    "ServiceReport",
    "Source",
    "SourceError",
    "Span",
    "Statistics",
    "Status",
    "Thresholds",
    "TraceQuery",
    "TraceWarning",
    "TraceqError",
    "Traces",
    "WhatIf",
    "Window",
    "bottlenecks",
    "compare",
    "connect",
    "critical_path",
    "dependencies",
    "errors_by_origin",
    "findings",
    "flame",
    "load",
    "page",
    "schema",
    "self_time",
    "service_report",
    "statistics",
    "what_if",
]

_LIGHT = ("errors", "semantics", "catalog", "traces", "query", "sources.interface", "schemas")
"""Modules without numpy, so that a query costs no import of the analyses."""
_HEAVY = ("library", "analysis.findings", "analysis.critical_path", "analysis.one_trace")
"""The library comes first: with it every kind of answer learns how it is shown."""


def __getattr__(name: str) -> object:
    # Late, so that `traceq search` does not pay for numpy because the library's front door mentions analyses.
    for module in (*_LIGHT, *_HEAVY) if name in __all__ else ():
        found = import_module(f"traceq.{module}")
        if hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(f"module 'traceq' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
