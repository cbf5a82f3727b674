"""What each span is in a conversation, decided span by span, straight from docs/analyses/roles.md."""

from __future__ import annotations

from traceq.semantics import Activity, Kind, activity_from_name
from traceq.traces import Span, Traces

_CONSUMED = (Activity.RECEIVES, Activity.PROCESSES)


def activity(span: Span) -> Activity:
    """Say what a span does towards others, by its attributes, else by its name."""
    if span.activity is not Activity.MESSAGES or span.kind in (Kind.PRODUCER, Kind.CONSUMER):
        return span.activity
    return activity_from_name(span.name, span.peer.name if span.peer else "")


def told_role(span: Span) -> Kind:
    """Give the role of a span by itself."""
    does = activity(span)
    if span.kind in (Kind.PRODUCER, Kind.CONSUMER):
        return span.kind
    if span.kind is Kind.SERVER:
        return Kind.CONSUMER if does in (*_CONSUMED, Activity.MESSAGES) else Kind.SERVER
    if does in (Activity.PUBLISHES, Activity.CREATES):
        return Kind.PRODUCER
    if does in _CONSUMED:
        return Kind.CONSUMER
    if does in (Activity.QUERIES, Activity.SETTLES) or span.kind is Kind.CLIENT:
        return Kind.CLIENT
    if span.kind is Kind.UNSPECIFIED and does in (Activity.SERVES, Activity.CALLS):
        # `http.url` stood on both sides, and names no peer of a span without a kind.
        is_client = does is Activity.CALLS and span.peer is not None
        return Kind.SERVER if does is Activity.SERVES else Kind.CLIENT if is_client else Kind.INTERNAL
    return Kind.INTERNAL


def role(traces: Traces, row: int) -> Kind:
    """Give the role of a span, by itself and by the spans around it."""
    span, told = traces.span(row), told_role(traces.span(row))
    if any(_is_part(traces, span, other) for other in range(traces.span_count)) or _is_driver(traces, span):
        return Kind.INTERNAL
    if _sends_created(traces, span):
        return Kind.INTERNAL
    parent = _parent(traces, span)
    below = [other for other in map(traces.span, range(traces.span_count)) if traces.parents[other.row] == row]
    if told is not Kind.INTERNAL:
        return told
    if span.kind is Kind.UNSPECIFIED and activity(span) is Activity.CALLS:
        if parent is None:
            return Kind.SERVER
        if parent.service == span.service:
            return Kind.CLIENT
    is_vague = activity(span) is Activity.MESSAGES
    if parent is not None and _asks_silently(traces, span, parent, below) and not is_vague:
        return Kind.CLIENT
    if parent is not None and parent.service != span.service:
        return Kind.CONSUMER if is_vague or told_role(parent) is Kind.PRODUCER else Kind.SERVER
    if is_vague:
        return Kind.CONSUMER if parent is None and below else Kind.PRODUCER
    return Kind.INTERNAL


def is_handed_over(traces: Traces, row: int) -> bool:
    """Say whether a span consumes what its parent published, or what came from another service."""
    span = traces.span(row)
    parent = _parent(traces, span)
    if parent is None or role(traces, row) is not Kind.CONSUMER:
        return False
    return told_role(parent) is Kind.PRODUCER or parent.service != span.service


def _parent(traces: Traces, span: Span) -> Span | None:
    parent = traces.parents[span.row]
    return traces.span(parent) if parent >= 0 else None


def _asks_silently(traces: Traces, span: Span, parent: Span, below: list[Span]) -> bool:
    rows = traces.rows(traces.trace_of(span.row))
    is_silent = all(traces.span(row).kind in (Kind.UNSPECIFIED, Kind.INTERNAL) for row in rows)
    return (
        (span.kind is Kind.UNSPECIFIED or is_silent)
        and parent.service == span.service
        and len(below) == 1
        and below[0].service != span.service
    )


def _is_part(traces: Traces, span: Span, other: int) -> bool:
    """Say whether a span is only around another of the same call, or part of the processing of a message above it."""
    second = traces.span(other)
    if _outer(traces, second) == span.row:
        return _which_is_part(span, second) == "outer"
    if _outer(traces, span) == other:
        return _which_is_part(second, span) == "inner"
    return False


def _which_is_part(outer: Span, inner: Span) -> str:
    around, within = told_role(outer), told_role(inner)
    if around is Kind.CONSUMER:
        is_poll = activity(outer) is Activity.RECEIVES and within is Kind.CONSUMER
        apart = within is Kind.PRODUCER or is_poll or activity(inner) is Activity.SETTLES
        return "none" if apart else "inner"
    if within is Kind.CONSUMER:
        return "none"
    is_vague = activity(inner) is Activity.MESSAGES and activity(outer) is not Activity.MESSAGES
    return "inner" if is_vague else "outer"


def _outer(traces: Traces, span: Span) -> int | None:
    """Give the nearest span above, in the same service, that names a system, if it names the same one."""
    if span.peer is None:
        return None
    above = _parent(traces, span)
    while above is not None and above.service == span.service and above.peer is None:
        above = _parent(traces, above)
    if above is None or above.service != span.service or above.peer is None:
        return None
    return above.row if above.peer[:2] == span.peer[:2] else None


def _sends_created(traces: Traces, span: Span) -> bool:
    """Say whether a span only sends what siblings created before."""
    if told_role(span) is not Kind.PRODUCER or activity(span) is Activity.CREATES or traces.parents[span.row] < 0:
        return False
    return any(
        activity(other) is Activity.CREATES
        and told_role(other) is Kind.PRODUCER
        and traces.parents[other.row] == traces.parents[span.row]
        and (other.service, other.peer and other.peer[:2]) == (span.service, span.peer and span.peer[:2])
        and other.start_ns <= span.start_ns
        for other in map(traces.span, range(traces.span_count))
    )


def _is_driver(traces: Traces, span: Span) -> bool:
    """Say whether a driver's span lies within one of the library over it, as its sibling."""
    if not _asks_database(traces, span) or " " in span.name:
        return False
    over = [
        other
        for other in map(traces.span, range(traces.span_count))
        if _asks_database(traces, other)
        and traces.parents[other.row] == traces.parents[span.row]
        and (other.service, other.peer) == (span.service, span.peer)
        and other.name.startswith(f"{span.name} ")
        and other.start_ns <= span.start_ns
    ]
    last = max(over, key=lambda other: (other.start_ns, other.end_ns), default=None)
    return last is not None and span.end_ns <= last.end_ns


def _asks_database(traces: Traces, span: Span) -> bool:
    asks = activity(span) is Activity.QUERIES and told_role(span) is Kind.CLIENT
    return asks and traces.parents[span.row] >= 0
