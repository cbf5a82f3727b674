"""Streams: connections that stay open, whose duration does not show how long anybody waited for an answer."""

from __future__ import annotations

import re

import numpy as np

from traceq.analysis.columns import Columns, Flags
from traceq.analysis.grouping import sum_by_group
from traceq.semantics import Activity, Kind

LIFETIME_NS = 30 * 10**9
"""The minimum duration of a stream that is recognised by its messages: longer than most servers and clients wait."""
MESSAGES = 5
"""The minimum number of messages of such a stream."""
PAUSE_NS = 10**9
"""The minimum average time between the starts of its messages: nobody works on an answer meanwhile."""
BUSY_RATIO = 0.1
"""The maximum share of its time that everything below it takes."""

_MESSAGE = re.compile(r"(?i)(^|[ ._])(send|sent|receive|received|recv|push|event|message|heartbeat|ping)$")
_WEBSOCKET = re.compile(r"(?i)\bwebsocket[ .](send|receive|accept|connect)\b")
_ANSWERED_ONCE = re.compile(r"(?i)^(HTTP )?(POST|PUT|PATCH|DELETE)\b")
"""These methods request one answer, although it may arrive in pieces, as answers of language models do."""


def find_streams(spans: Columns) -> Flags:
    """Tell the spans that are streams: event streams, websockets, conversations of messages.

    They are recognised by attributes (the content type, the upgrade to a websocket), or by the spans below:
    instrumentations of websockets create one for each message. Where messages are sent repeatedly, with long pauses and
    hardly anything else, for longer than a request may take, the span is a stream too. The duration alone decides
    nothing: requests may be slow.
    """
    told = np.asarray(spans.traces.activities, dtype=np.int8) == Activity.STREAMS
    if told.any():
        told &= ~_named(spans, _ANSWERED_ONCE)
    is_stream: Flags = told | _sends_on(spans)
    talks = np.flatnonzero(_named(spans, _WEBSOCKET) & (spans.parents >= 0))
    is_stream[spans.parents[talks]] = True
    return is_stream


def _named(spans: Columns, pattern: re.Pattern[str]) -> Flags:
    by_code = np.array([pattern.search(name) is not None for name in spans.traces.names], dtype=np.bool_)
    named: Flags = by_code[spans.names]
    return named


def _sends_on(spans: Columns) -> Flags:
    """Tell the long spans that do nothing but send or receive messages from time to time."""
    size = spans.parents.size
    is_long = (spans.duration_ns >= LIFETIME_NS) & np.isin(spans.roles, (Kind.SERVER, Kind.CLIENT, Kind.UNSPECIFIED))
    children = np.flatnonzero((spans.parents >= 0) & is_long[spans.parents])
    if not children.size:
        return np.zeros(size, dtype=np.bool_)
    # What is sent to somebody else (a broker, a mail server) is work, not the answer.
    inside = np.isin(spans.roles, (Kind.INTERNAL, Kind.UNSPECIFIED)) & (spans.peers == 0) & _named(spans, _MESSAGE)
    messages = children[inside[children]]
    parents = spans.parents[messages]
    counts = np.bincount(parents, minlength=size)
    first_ns, last_ns = np.full(size, np.iinfo(np.int64).max), np.full(size, np.iinfo(np.int64).min)
    np.minimum.at(first_ns, parents, spans.start_ns[messages])
    np.maximum.at(last_ns, parents, spans.start_ns[messages])
    busy_ns = sum_by_group(spans.parents[children], spans.duration_ns[children], size)
    sends_on = (counts >= MESSAGES) & (busy_ns <= BUSY_RATIO * spans.duration_ns)
    rows = np.flatnonzero(sends_on)
    sends_on[rows] = last_ns[rows] - first_ns[rows] >= PAUSE_NS * (counts[rows] - 1)
    return sends_on
