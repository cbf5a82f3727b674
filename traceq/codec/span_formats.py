"""Which formats there are besides Jaeger's and OTLP's whose spans are JSON objects of their own, and how to tell them.

A format is a `SpanFormat` in a module of its own, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from traceq.codec.parts import SpanFormat


def format_of(keys: Collection[str]) -> SpanFormat | None:
    """Recognise a span by the keys of its JSON object; None if it is none of these formats."""
    found = set(keys)
    return next((load() for telling, load in _TOLD_BY if telling <= found), None)


# Each module is imported when it is needed: nearly all files are in one format.
def _stubs() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.GO


def _python_console() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.PYTHON


def _phoenix() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.PHOENIX


def _js_console() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.JS


def _stored_by_jaeger() -> SpanFormat:
    from traceq.codec import jaeger_relatives

    return jaeger_relatives.DOCUMENTS


def _sent_by_jaeger() -> SpanFormat:
    from traceq.codec import jaeger_relatives

    return jaeger_relatives.MESSAGES


def _data_prepper() -> SpanFormat:
    from traceq.codec import data_prepper

    return data_prepper.FORMAT


def _zipkin() -> SpanFormat:
    from traceq.codec import zipkin

    return zipkin.FORMAT


# The first entry whose keys are all present is taken, so specific ones precede vague ones.
_TOLD_BY: tuple[tuple[frozenset[str], Callable[[], SpanFormat]], ...] = (
    (frozenset(("traceID", "spanID", "operationName")), _stored_by_jaeger),
    (frozenset(("traceId", "spanId", "operationName")), _sent_by_jaeger),
    (frozenset(("traceId", "spanId", "startTime", "endTime")), _data_prepper),
    (frozenset(("Name", "SpanContext")), _stubs),
    (frozenset(("name", "context", "start_time")), _python_console),
    (frozenset(("name", "trace_id", "span_id", "start_time")), _python_console),
    (frozenset(("name", "context.trace_id", "context.span_id", "start_time")), _phoenix),
    (frozenset(("traceId", "id", "attributes", "status")), _js_console),
    (frozenset(("traceId", "id", "localEndpoint")), _zipkin),
    (frozenset(("traceId", "id", "binaryAnnotations")), _zipkin),
    (frozenset(("traceId", "id", "annotations")), _zipkin),
    (frozenset(("traceId", "id", "name", "timestamp")), _zipkin),
)
