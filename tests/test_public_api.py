from __future__ import annotations

import inspect

import pytest

import traceq

PUBLIC = [
    "Bottlenecks",
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
    "SelfTime",
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
    "load",
    "self_time",
    "statistics",
    "what_if",
]


def test_the_public_names_are_these() -> None:
    assert sorted(traceq.__all__) == PUBLIC
    assert dir(traceq) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(traceq, name))


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'traceq' has no attribute 'nothing'"):
        traceq.nothing  # noqa: B018 - the access is the test
