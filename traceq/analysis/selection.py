"""Spans selected by the names that people use: an operation, a service, both, or what was called."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from traceq.analysis.columns import Columns, Flags
from traceq.semantics import Peer
from traceq.traces import Traces


def named(spans: Columns, text: str) -> Flags:
    """Tell the spans that a name means, one flag per span: its first meaning that fits any span of the table."""
    for flags in meanings(spans, text):
        if flags.any():
            return flags
    return np.zeros(spans.parents.size, dtype=np.bool_)


def meanings(spans: Columns, text: str) -> tuple[Flags, Flags, Flags, Flags]:
    """Tell the spans that a name may mean, one flag per span; the first meaning that fits any span counts.

    The meanings are the operation, `service:operation`, what was called (`mysql`, or with its name `mysql chat`), and
    the service. An empty name means no span. Sums of several tables have to keep the meanings separate: spans that are
    missing in one table may be in another.
    """
    traces = spans.traces
    return (
        _in(spans.names, _codes(traces.names, text)),
        _of_service(spans, text),
        _in(spans.peers, _peers(traces, text)),
        _in(spans.services, _codes(traces.services, text)),
    )


def meaning_among(calls: Iterable[tuple[str, str, Peer | None]], text: str) -> int | None:
    """Say which of `meanings` a name has, given all spans; None where it fits no span.

    Args:
        calls: Service, operation and peer of all spans, each combination once.
        text: The name.
    """
    parted = {(text[:at], text[at + 1 :]) for at, letter in enumerate(text) if letter == ":"}
    found = set()
    for service, name, peer in calls if text else ():
        names = [{name}, set(), set() if peer is None else {peer.system, peer.label}, {service}]
        found |= {number for number, known in enumerate(names) if text in known}
        found |= {1} if (service, name) in parted else set()
    return min(found, default=None)


def _in(column: np.ndarray, codes: list[int]) -> Flags:
    return np.isin(column, codes)


def _codes(values: tuple[str, ...], text: str) -> list[int]:
    return [code for code, value in enumerate(values) if value == text and value]


def _of_service(spans: Columns, text: str) -> Flags:
    """Try every colon as the separator, since names of services and of operations may contain colons."""
    found = np.zeros(spans.parents.size, dtype=np.bool_)
    for at, letter in enumerate(text):
        if letter == ":":
            services = _codes(spans.traces.services, text[:at])
            names = _codes(spans.traces.names, text[at + 1 :])
            found |= _in(spans.services, services) & _in(spans.names, names)
    return found


def _peers(traces: Traces, text: str) -> list[int]:
    return [code for code, peer in enumerate(traces.peers) if peer is not None and text in {peer.system, peer.label}]
