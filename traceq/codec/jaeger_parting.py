"""Takes a trace object of Jaeger's v1 JSON apart that lists spans of several traces, as files put together by hand do.

Looking for them costs a fifth of the time of reading. So whoever decodes the spans finds out, and the files are looked
through again, with care (`MixedTracesError`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from traceq.codec.jaeger_fields import Mixable
from traceq.codec.mending import decoded, encoded
from traceq.codec.wire import BROKEN, VOID_IDS
from traceq.traces import is_same_trace, normal_id


class _Ids(msgspec.Struct, gc=False):
    spans: list[Mixable] | None = None


class _Spans(msgspec.Struct, gc=False):
    spans: list[msgspec.Raw] | None = None


_IDS = msgspec.json.Decoder(_Ids)
_SPANS = msgspec.json.Decoder(_Spans)
_ANYTHING_ELSE = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_other(named: str | None, trace_id: str) -> bool:
    """Whether the id that a span names is that of another trace than this one."""
    return named not in (None, trace_id) and named not in VOID_IDS and not is_same_trace(named or "", trace_id)


def is_mixed(trace: msgspec.Raw | memoryview, trace_id: str) -> bool:
    """Whether a trace object lists spans that name another trace."""
    try:
        named = {span.trace_id for span in _IDS.decode(trace).spans or ()}
    except BROKEN:
        named = {_named(span) for span in _listed(trace)}
    return any(is_other(each, trace_id) for each in named)


def parted(trace: msgspec.Raw | memoryview, trace_id: str) -> Iterator[tuple[str, msgspec.Raw]]:
    """Make a trace object for each of the traces that spans name, the one that lists them first, if any stay there."""
    spans: dict[str, list[msgspec.Raw]] = {}
    ids: dict[str, str] = {}
    for span in _listed(trace):
        named = _named(span)
        owner = named.lower() if named is not None and is_other(named, trace_id) else trace_id
        spans.setdefault(normal_id(owner), []).append(span)
        ids.setdefault(normal_id(owner), owner)
    shell = {key: value for key, value in _ANYTHING_ELSE.decode(trace).items() if key not in ("traceID", "spans")}
    for key in sorted(spans, key=lambda key: key != normal_id(trace_id)):
        # What the source says of the trace is about the one that it lists.
        beside: dict[str, Any] = dict(shell) if ids[key] == trace_id else {**shell, "warnings": None}
        yield ids[key], msgspec.Raw(encoded({"traceID": ids[key], "spans": spans[key], **beside}))


def _listed(trace: msgspec.Raw | memoryview) -> list[msgspec.Raw]:
    try:
        return _SPANS.decode(trace).spans or []
    except BROKEN:
        return []  # told where the spans are read


def _named(span: msgspec.Raw) -> str | None:
    found = decoded(span)
    named = found.get("traceID") if isinstance(found, dict) else None
    return str(named) if isinstance(named, (str, int)) and not isinstance(named, bool) else None
