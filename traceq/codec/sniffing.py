"""Recognizes what bytes look like, mostly in order to say why they are refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from traceq.codec.wire import READABLE, quoted
from traceq.errors import DecodeError

_MAGIC = (
    (b"\x1f\x8b", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ", "xz data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PAR1", "a Parquet file"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD_BYTES = 1024
_KEYS_SHOWN = 4

# The first shape whose keys are all present is taken, so specific shapes precede vague ones.
_SHAPES = (
    ({"Name", "SpanContext"}, "span stubs of OpenTelemetry's Go SDK"),
    ({"flamebearer"}, "a flame graph of Pyroscope"),
    ({"resourceLogs"}, "OTLP logs"),
    ({"resourceMetrics"}, "OTLP metrics"),
    ({"traceID", "spanID", "operationName", "startTimeMillis"}, "Jaeger spans as Elasticsearch keeps them"),
    ({"traceID", "spanID", "operationName"}, "single Jaeger spans without their trace"),
    ({"traceId", "spanId", "operationName"}, "Jaeger's protobuf messages as JSON"),
    ({"traceId", "spanId", "startTimeUnixNano"}, "single OTLP spans without their resource"),
    ({"traceId", "id", "attributes", "status"}, "console span dumps of an OpenTelemetry SDK"),
    ({"trace_id", "span_id", "meta"}, "Datadog spans"),
    ({"trace_id", "span_id", "start_time"}, "console span dumps of an OpenTelemetry SDK"),
    ({"name", "context", "start_time"}, "console span dumps of an OpenTelemetry SDK"),
    ({"traceId", "id", "binaryAnnotations"}, "Zipkin JSON (v1)"),
    ({"traceId", "id", "localEndpoint"}, "Zipkin JSON (v2)"),
    ({"traceId", "id", "annotations"}, "Zipkin JSON (v1)"),
    ({"traceId", "id"}, "Zipkin JSON"),
    ({"index"}, "an Elasticsearch bulk file"),
    ({"create"}, "an Elasticsearch bulk file"),
    ({"hits"}, "an Elasticsearch answer"),
    ({"traceEvents"}, "a Chrome trace"),
    ({"$schema", "profiles"}, "a speedscope profile"),
    ({"traces"}, "a search answer of Tempo, which holds no spans"),
    ({"services"}, "services as Jaeger's API answers them"),
    ({"operations"}, "operations as Jaeger's API answers them"),
    ({"name", "spanKind"}, "operations as Jaeger's API answers them"),
    ({"summaries"}, "trace summaries as Jaeger's API answers them"),
)

KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Reads the keys of a JSON object."""

_LINE_END = re.compile(rb"\n")
_TEXT = re.compile(rb"[^ \t\r\n]")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_BROKEN_AT = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")


def refusal(place: str, why: str) -> DecodeError:
    """Return the error that says why bytes are not traces that traceq reads."""
    return DecodeError(f"cannot read traces from {place}: {why}", hint=READABLE)


def json_start(body: memoryview, place: str) -> int:
    """Find where an object or list begins, after blanks and a byte order mark.

    Raises:
        DecodeError: If the bytes begin like something else; says what.
    """
    head = bytes(body[:_HEAD_BYTES])
    skipped = len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0
    found = _TEXT.search(body, skipped)
    if found is None:
        raise refusal(place, "it is empty" if not len(body) else "it holds nothing but blanks")
    if found.group() not in (b"{", b"["):
        raise refusal(place, _not_json(head, bytes(body[found.start() : found.start() + _HEAD_BYTES])))
    return found.start()


def _not_json(head: bytes, text: bytes) -> str:
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return f"it is {what}"
    if text.startswith(b"<"):
        return "it is an HTML page" if b"<html" in text.lower() or b"<!doctype html" in text.lower() else "it is XML"
    # The head counts as text even if it is cut in the middle of a character.
    decoded = text.decode("utf-8", "replace").rstrip("\ufffd")
    if "\ufffd" in decoded or any(character < " " and character not in "\t\r\n" for character in decoded):
        return "it is binary data, perhaps protobuf"
    return f"it begins with '{quoted(decoded, 40)}', where JSON of traces begins with {{ or ["


def document_end(error: msgspec.DecodeError) -> int | None:
    """Return the byte at which something follows a complete JSON document; None if the error is a different one."""
    found = _TRAILING.search(str(error))
    return int(found.group(1)) - 1 if found else None  # msgspec counts this one from 1, others from 0


def broken(body: memoryview, error: msgspec.DecodeError, place: str, start: int = 0) -> DecodeError:
    """Return the error that says where bytes stop being JSON.

    Args:
        body: All bytes of the document or line.
        error: What decoding them raised.
        place: Where they come from, for messages.
        start: How many bytes of the body were skipped before decoding.
    """
    found = _BROKEN_AT.search(str(error))
    if found:
        offset = start + int(found.group(2))
        line = 1 + sum(1 for _ in _LINE_END.finditer(body, 0, offset))
        where = f"byte {offset}" if " line " in place else f"byte {offset}, line {line}"
        return refusal(place, f"broken JSON at {where}: {found.group(1)}")
    half = _LONE_SURROGATE.search(body)
    if half:
        return refusal(place, f"broken JSON at byte {half.start()}: half of a surrogate pair")
    return refusal(place, f"broken JSON: it ends in the middle, after {len(body)} bytes")


def check_lines(body: memoryview, start: int, end: int, place: str) -> None:
    """Check that documents which follow each other are on one line each.

    Args:
        body: All bytes.
        start: Where the first document begins.
        end: Where something follows it.
        place: Where the bytes come from, for messages.

    Raises:
        DecodeError: If the first document is not alone on its line; says what it looks like.
    """
    line_end = _LINE_END.search(body, start, end)
    if line_end is not None and _TEXT.search(body, line_end.end(), end) is None:
        return
    try:
        looks = looks_like(KEYS.decode(body[start:end]))
    except (msgspec.MsgspecError, UnicodeDecodeError):  # not an object; that they follow each other is told anyway
        looks = "lists"
    raise refusal(place, f"JSON documents follow each other, but not one a line; they look like {looks}")


def lines(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the lines that are not blank, with their numbers."""
    position = len(_BYTE_ORDER_MARK) if bytes(body[:3]) == _BYTE_ORDER_MARK else 0
    number = 1
    while position < len(body):
        found = _LINE_END.search(body, position)
        end = found.start() if found else len(body)
        if _TEXT.search(body, position, end):
            yield number, body[position:end]
        position, number = end + 1, number + 1


def looks_like(keys: Collection[str]) -> str:
    """Say what a JSON object with these keys looks like."""
    if set(keys) == {"delete"}:
        return "an Elasticsearch bulk file"
    shape = next((what for telling, what in _SHAPES if telling <= set(keys)), None)
    if shape:
        return shape
    shown = [quoted(key, 20) for key in list(keys)[:_KEYS_SHOWN]]
    return f"JSON with the keys {', '.join(shown)}{', ...' if len(keys) > _KEYS_SHOWN else ''}"
