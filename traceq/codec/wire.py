"""Foreign bytes: decoded into typed values, recognized or refused in one sentence; ids in one spelling."""

from __future__ import annotations

import base64
import gc
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from mmap import mmap
from types import ModuleType
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from traceq.errors import DecodeError, NothingWholeError
from traceq.units import plural
from traceq.untrusted import quoted

Body: TypeAlias = bytes | bytearray | memoryview | mmap
"""Bytes that were read or mapped; never copied as a whole."""

_Value = TypeVar("_Value")

READABLE = (
    "traceq reads Jaeger JSON (what the API answers, the UI downloads, or Elasticsearch keeps), OTLP as JSON or "
    "protobuf, Zipkin JSON, Data Prepper's documents, what console exporters of OpenTelemetry's SDKs print, and "
    "Parquet; one document, one a line, or one after the other (docs/formats.md)"
)
"""The hint of every refusal."""

MAX_NS = 2**62 - 1  # the year 2116: sums and differences of two then fit the 64 bits of a column

Nanoseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-MAX_NS, le=MAX_NS)] | None
"""A time or duration that fits the span table; null is 0."""

Microseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-(MAX_NS // 1000), le=MAX_NS // 1000)] | None
"""A time or duration as Jaeger v1 has it."""


def decode(decoder: msgspec.json.Decoder[_Value], body: Body | msgspec.Raw, what: str) -> _Value:
    """Decode, and report a failure as `<what>: <why>`.

    Raises:
        DecodeError: If the bytes are not JSON, or not JSON of this shape.
    """
    try:  # not `failures_told`: what is small is decoded in less time than a context manager takes
        return decoder.decode(body)
    except BROKEN as error:
        raise failure(what, error) from error


def is_empty(value: msgspec.Raw | bytes) -> bool:
    """Whether a JSON list is empty or null, as most lists in spans are."""
    return bytes(value) in _EMPTY


_EMPTY = frozenset((b"[]", b"null", b""))


BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Everything that decoding foreign bytes can raise."""


@contextmanager
def failures_told(what: str) -> Iterator[None]:
    """Turn what decoding foreign bytes can raise into a `DecodeError` of the form `<what>: <why>`."""
    try:
        yield
    except BROKEN as error:
        raise failure(what, error) from error


def failure(what: str, error: Exception) -> DecodeError:
    """Make a `DecodeError` of what a decoder raised, of the form `<what>: <why>`."""
    return DecodeError(f"{what}: {reason(error)}", hint=READABLE)


def reason(error: Exception) -> str:
    """Say in a few words why bytes could not be decoded."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "text that is not UTF-8"
    return quoted(str(error).replace("`", ""), 200)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Switch the garbage collector off: it slows decoding two to five times, and decoding makes no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_BASE64_SIZES = {24: 16, 12: 8}
"""The number of bytes in an id by its length in base64; in hex, ids have 32 or 16 digits."""
_BASE64_LENGTHS = frozenset(_BASE64_SIZES)


def hex_id(text: str) -> str:
    """Convert an id to lower-case hex from hex or base64, which differ in length."""
    size = _BASE64_SIZES.get(len(text))
    if size is None:
        return text.lower()
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return text.lower()
    return decoded.hex() if len(decoded) == size else text.lower()


def is_plain_hex(ids: Sequence[str]) -> bool:
    """Whether `hex_id` would leave all of them unchanged."""
    joined = "".join(ids)
    return joined == joined.lower() and _BASE64_LENGTHS.isdisjoint(map(len, ids))


def zstd() -> ModuleType:
    """Import what packs and unpacks zstd."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


VOID_IDS = frozenset("0" * length for length in range(33))
"""Ids that name nothing: empty, or zeros only."""


_MAGIC = (
    ("gzip data", rb"\x1f\x8b"),
    ("zstd data", rb"\x28\xb5\x2f\xfd"),
    ("bzip2 data", rb"BZh"),
    ("xz data", rb"\xfd7zXZ"),
    ("a zip archive", rb"PK\x03\x04"),
    ("a 7z archive", rb"7z\xbc\xaf"),
    ("a tar archive", rb"(?s).{257}ustar"),
    ("a Parquet file", rb"PAR1"),
    ("an Arrow file", rb"ARROW1"),
    ("an Avro file", rb"Obj\x01"),
    ("a SQLite database", rb"SQLite format 3"),
    ("UTF-16 text", rb"\xff\xfe|\xfe\xff"),
    (
        "a list of Zipkin's spans in protobuf",
        rb"(?s)\n[\x80-\xff]*[\0-\x7f]\n(?:\x10.{16}|\x08.{8})(?:\x12\x08.{8})?\x1a\x08",
    ),
    ("a list of Zipkin's spans in Thrift", rb"(?s)\x0c.{4}\n\0\x01"),
    ("a batch of Jaeger's spans in Thrift", rb"\x0c\0\x01\x0b\0\x01"),
)
"""How binary data begins that is met where traces are looked for."""
_PRINTED = (
    ("what the debug exporter of a collector prints; its file exporter writes OTLP", rb"ResourceSpans #\d"),
    ("what the console exporter of .NET prints", rb"\bActivity\.TraceId:"),
    ("what the logging exporter of Java prints", rb"\bLoggingSpanExporter\b"),
    ("what the stdout exporter of Rust prints", rb"^Spans\r?\n\s*Resource\b"),
    ("YAML", rb"\A(?:---\r?\n|(?:#.*\n)*[\w.-]+:(?: .*)?\r?\n(?:[ \t]*(?:- |[\w.\"-]+:(?: |\r?\n))))"),
    ("Markdown", rb"\A(?:#{1,6} \S|(?:.*\n){0,20}```)"),
)
"""Text that is met where traces are looked for, and how it is told."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD_BYTES = 1024
_LOG_BYTES = 2**18
"""How much of a log is looked at for what it prints: programs have much to say before they print their first span."""
_KEYS_SHOWN = 4

# The first shape whose keys are all present is taken, so specific shapes precede vague ones.
_SHAPES = (
    ({"flamebearer"}, "a flame graph of Pyroscope"),
    ({"traceEvents"}, "a Chrome trace"),
    ({"ph", "ts"}, "a Chrome trace"),
    ({"$schema", "profiles"}, "a speedscope profile"),
    ({"observations"}, "a trace of Langfuse"),
    ({"parentObservationId"}, "observations of Langfuse"),
    ({"dotted_order"}, "runs of LangSmith"),
    ({"traceIdLow"}, "spans of Jaeger's Thrift"),
    ({"segmentId", "spanId"}, "a trace of SkyWalking"),
    ({"traceSegmentId", "spans"}, "a trace of SkyWalking"),
    ({"serviceInstance"}, "a trace of SkyWalking"),
    ({"serviceInstanceName"}, "a trace of SkyWalking"),
    ({"processor", "@timestamp"}, "documents of Elastic APM"),
    ({"processor.event", "@timestamp"}, "documents of Elastic APM"),
    ({"transaction", "@timestamp"}, "documents of Elastic APM"),
    ({"projectId", "traceId", "spans"}, "a trace of Google Cloud"),
    ({"Traces"}, "traces of AWS X-Ray"),
    ({"Segments"}, "traces of AWS X-Ray"),
    ({"trace_id", "id", "name", "start_time"}, "segments of AWS X-Ray"),
    ({"event_id", "contexts", "spans"}, "events of Sentry"),
    ({"trace.trace_id"}, "events of Honeycomb"),
    ({"common", "spans"}, "spans of New Relic"),
    ({"results"}, "an answer of one of Grafana's data sources"),
    ({"panels", "title"}, "a dashboard of Grafana"),
    ({"log", "stream", "time"}, "the log of a container, and no traces are found in what it printed"),
    ({"MESSAGE", "_BOOT_ID"}, "what journalctl prints, and no traces are found in the messages"),
    ({"resourceLogs"}, "OTLP logs"),
    ({"resource_logs"}, "OTLP logs"),
    ({"scopeLogs"}, "OTLP logs"),
    ({"severityText"}, "OTLP logs"),
    ({"resourceMetrics"}, "OTLP metrics"),
    ({"resource_metrics"}, "OTLP metrics"),
    ({"scopeMetrics"}, "OTLP metrics"),
    ({"trace_id", "span_id", "meta"}, "Datadog spans"),
    ({"services"}, "services as Jaeger's API answers them"),
    ({"operations"}, "operations as Jaeger's API answers them"),
    ({"name", "spanKind"}, "operations as Jaeger's API answers them"),
    ({"summaries"}, "trace summaries as Jaeger's API answers them"),
    ({"_index", "_id", "fields"}, "hits of Elasticsearch that hold fields in place of documents: ask for `_source`"),
    ({"resource", "scopes"}, "what the console exporter of PHP prints"),
    ({"mappings"}, "a mapping of Elasticsearch"),
    ({"index_patterns"}, "a mapping of Elasticsearch"),
)
_WHOLE_SHAPES = {
    frozenset(("metadata",)): "what agents of Elastic APM send",
    frozenset(("transaction",)): "what agents of Elastic APM send",
    frozenset(("traces",)): "a search answer of Tempo, which holds no spans",
    frozenset(("traces", "metrics")): "a search answer of Tempo, which holds no spans",
}
"""The same, by all keys of an object: beside others these would tell nothing."""

KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Reads the keys of a JSON object."""
ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
"""Takes a JSON list apart."""

_LINE_END = re.compile(rb"\n")
_TEXT = re.compile(rb"[^ \t\r\n]")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_BROKEN_AT = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")


def refusal(place: str, why: str) -> DecodeError:
    """Return the error that says why bytes are not traces that traceq reads."""
    return DecodeError(f"cannot read traces from {place}: {why}", hint=READABLE)


def mark_bytes(body: memoryview) -> int:
    """Return how many bytes a byte order mark takes at the beginning."""
    return len(_BYTE_ORDER_MARK) if body[: len(_BYTE_ORDER_MARK)] == _BYTE_ORDER_MARK else 0


def json_start(body: memoryview, place: str) -> int:
    """Find where an object or list begins, after blanks and a byte order mark.

    Raises:
        DecodeError: If the bytes begin like something else; says what.
    """
    head = bytes(body[:_HEAD_BYTES])
    found = _TEXT.search(body, mark_bytes(body))
    if found is None:
        raise NothingWholeError(place, "it is empty" if not len(body) else "it holds nothing but blanks", READABLE)
    if found.group() == b"\0" and not bytes(body).strip(b"\0 \t\r\n"):
        raise NothingWholeError(place, "it holds nothing but zeros", READABLE)
    if found.group() not in (b"{", b"["):
        raise refusal(place, _not_json(head, bytes(body[found.start() : found.start() + _LOG_BYTES])))
    return found.start()


def _not_json(head: bytes, text: bytes) -> str:
    for what, beginning in _MAGIC:
        if re.match(beginning, head):
            return f"it is {what}"
    if text.startswith(b"<"):
        return "it is an HTML page" if b"<html" in text.lower() or b"<!doctype html" in text.lower() else "it is XML"
    printed = next((what for what, telling in _PRINTED if re.search(telling, text, re.MULTILINE)), None)
    if printed:
        return f"it looks like {printed}"
    # The head counts as text even if it is cut in the middle of a character.
    decoded = text[:_HEAD_BYTES].decode("utf-8", "replace").rstrip("\ufffd")
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
    return NothingWholeError(place, f"broken JSON: it ends in the middle, after {len(body)} bytes", READABLE)


HALF_OF_PAIR = re.compile(
    rb"%b|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}" % _LONE_SURROGATE.pattern
)
"""Half of a pair of surrogates, which means no character by itself."""


def is_line(body: memoryview, start: int, end: int) -> bool:
    """Whether a document that begins here is alone on its line; `end` is where something follows it."""
    line_end = _LINE_END.search(body, start, end)
    return line_end is not None and next_text(body, line_end.end()) >= end


def next_text(body: memoryview, position: int) -> int:
    """Find the next byte from here on that is not blank; the end if there is none."""
    found = _TEXT.search(body, position)
    return found.start() if found else len(body)


def lines(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the lines that are not blank, with their numbers."""
    position = mark_bytes(body)
    number = 1
    while position < len(body):
        found = _LINE_END.search(body, position)
        end = found.start() if found else len(body)
        if _TEXT.search(body, position, end):
            yield number, body[position:end]
        position, number = end + 1, number + 1


def whole_lines(body: memoryview) -> int:
    """Return how many bytes there are up to a last line that is JSON, but not to its end; all if there is none."""
    start = 1 + next((at for at in _line_ends_from_end(body)), -1)
    text = _TEXT.search(body, start)
    if not start or text is None or text.group() not in (b"{", b"["):
        return len(body)
    return len(body) if is_whole(body[start:]) else start


def is_whole(body: memoryview) -> bool:
    """Whether bytes do not end in the middle of a JSON document."""
    try:
        _RAW.decode(body)
    except msgspec.DecodeError as error:
        return not is_truncation(error, body)
    except RecursionError:
        pass  # told by whoever reads it
    return True


_RAW = msgspec.json.Decoder(msgspec.Raw)
_STEP_BYTES = 2**16


def _line_ends_from_end(body: memoryview) -> Iterator[int]:
    for stop in range(len(body), 0, -_STEP_BYTES):
        first = max(0, stop - _STEP_BYTES)
        at = bytes(body[first:stop]).rfind(b"\n")
        if at >= 0:
            yield first + at


def is_truncation(error: BaseException | None, body: bytes | memoryview) -> bool:
    """Whether decoding failed because the bytes end in the middle of JSON.

    The decoder says the same of half of a surrogate pair near their end.
    """
    is_told = isinstance(error, msgspec.DecodeError) and "truncated" in str(error)
    return is_told and HALF_OF_PAIR.search(body) is None


def left_out(refused: Sequence[DecodeError], what: str, place: str) -> list[str]:
    """Say that lines, messages, or items of a list were left out because they hold something else, or are broken."""
    if not refused:
        return []
    first = refused[0].message.removeprefix(f"cannot read traces from {place}").lstrip(":, ")
    return [f"left out because no traces can be read from them: {plural(len(refused), what)} (first: {first})"]


def names_no_trace(places: Sequence[str], named: Collection[object]) -> tuple[str, ...]:
    """Say that spans are left out that name no trace.

    Args:
        places: Where each of them is.
        named: What was found besides.

    Raises:
        DecodeError: If nothing was found besides.
    """
    if not places:
        return ()
    if not named:
        raise refusal(places[0], "its spans name no trace")
    return (f"left out because they name no trace: {plural(len(places), 'span')} (first: {places[0]})",)


def cut_off(what: str) -> str:
    """Say that the last thing in a file ends in the middle, and what that means."""
    return f"{what} ends in the middle and was left out: the file is still being written, or was cut off"


def shape_of(keys: Collection[str]) -> str | None:
    """Name what a JSON object with these keys is; None if it is not known."""
    found = set(keys)
    shape = next((what for telling, what in _SHAPES if telling <= found), None)
    return shape or _WHOLE_SHAPES.get(frozenset(found))


def looks_like(keys: Collection[str]) -> str:
    """Say what a JSON object with these keys looks like."""
    shape = shape_of(keys)
    if shape:
        return shape
    shown = [quoted(key, 20) for key in list(keys)[:_KEYS_SHOWN]]
    return f"JSON with the keys {', '.join(shown)}{', ...' if len(keys) > _KEYS_SHOWN else ''}"
