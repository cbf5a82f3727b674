"""Finds OTLP's protobuf messages in bytes: a single request, or a file of the collector.

Protobuf names no type, so a request is told by its shape: its fields, and those of what it holds, follow each other
without a gap, and have the numbers that OTLP gives them. The collector's file exporter writes the length of each
message, four bytes, big-endian, before it; messages are protobuf, or with `compression: zstd` packed, one by one,
protobuf or JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from traceq.codec.wire import Body, refusal, zstd

_BINARY = frozenset(bytes((byte,)) for byte in (*range(8), ord("\n")))
"""How protobuf begins, and the lengths that the collector writes before it; JSON may begin with a line end, too."""
_LENGTH_BYTES = 4
_RESOURCE_SPANS = frozenset((b"\x0a", b"\x12", b"\x1a", b"\xc2\x3e"))
"""The tags in `ResourceSpans`: resource, scope_spans, schema_url, and what scopes were called before 2022."""
_RESOURCE = frozenset((b"\x0a", b"\x10", b"\x1a"))
_ZSTD = b"\x28\xb5\x2f\xfd"
_LONGEST_LENGTH = 10
_LOOKED_AT = 100
"""How many fields of a resource are looked at; that they are OTLP's is beyond doubt by then."""


class Message(NamedTuple):
    """Where a message is in bytes."""

    start: int
    stop: int
    is_framed: bool
    """Whether it begins with its length."""
    is_whole: bool = True
    """Whether the bytes go on to its end; in a file that is still being written the last one may not."""


class _Field(NamedTuple):
    """Where a field is in bytes: from the beginning of its tag to the end of its content."""

    begin: int
    tag: bytes
    start: int
    stop: int
    body: memoryview

    @property
    def content(self) -> memoryview:
        """What the field holds; of a number in seven bits a byte, nothing."""
        return self.body[self.start : self.stop]


def messages(body: memoryview) -> Sequence[Message]:
    """Find messages of OTLP, each of which is a file by itself; none if the bytes are something else."""
    return (_request_fields(body) or _frames(body)) if body[:1] in _BINARY else ()


def _request_fields(body: memoryview) -> list[Message]:
    """Find the fields of a request, each of which is a request by itself; none if the bytes are no request."""
    found: list[Message] = []
    for field in _fields(body, 0, len(body)):
        if field.tag != b"\x0a" or not (found or _is_resource_spans(body, field)):
            return []
        found.append(Message(field.begin, field.stop, is_framed=False))
    return found if found and found[-1].stop == len(body) else []


def _is_resource_spans(body: memoryview, at: _Field) -> bool:
    end = at.start
    for field in _fields(body, at.start, at.stop):
        if field.tag not in _RESOURCE_SPANS or (field.tag == b"\x0a" and not _is_resource(body, field)):
            return False
        end = field.stop
    return end == at.stop


def _is_resource(body: memoryview, at: _Field) -> bool:
    tags = [field.tag for field in islice(_fields(body, at.start, at.stop), _LOOKED_AT)]
    return bool(tags) == (at.stop > at.start) and _RESOURCE.issuperset(tags)


def _fields(body: memoryview, position: int, stop: int) -> Iterator[_Field]:
    """Find the fields of a message, up to the first that is broken."""
    while position < stop:
        begin = position
        position += 2 if body[position] & 0x80 else 1
        tag = bytes(body[begin:position])
        wire = tag[0] & 7
        number, position = (_FIXED[wire], position) if wire in _FIXED else _number(body, position, stop)
        end = position if wire == _NUMBER else position + number
        if number < 0 or end > stop or wire not in (_NUMBER, _BYTES, *_FIXED):
            return
        yield _Field(begin, tag, position, end, body)
        position = end


_NUMBER, _BYTES = 0, 2
"""How the content of a field is written: the lowest three bits of its tag."""
_FIXED = {1: 8, 5: 4}
"""The same, for fields of always as many bytes."""


def _number(body: memoryview, position: int, stop: int) -> tuple[int, int]:
    """Read a number, seven bits a byte, lowest first; return it and where it ends, and -1 if it does not end."""
    number = shift = 0
    for at in range(position, min(stop, position + _LONGEST_LENGTH)):
        number |= (body[at] & 0x7F) << shift
        if body[at] < 0x80:
            return number, at + 1
        shift += 7
    return -1, stop


def _frames(body: memoryview) -> list[Message]:
    found: list[Message] = []
    position = 0
    while position < len(body):
        begin = position + _LENGTH_BYTES
        stop = begin + int.from_bytes(body[position:begin], "big")
        is_whole = begin < stop <= len(body)
        if not found and not (is_whole and _is_message(body[begin:stop])):
            return []
        found.append(Message(position, min(stop, len(body)), is_framed=True, is_whole=is_whole))
        position = found[-1].stop if is_whole else len(body)
    return found


def _is_message(content: memoryview) -> bool:
    return bytes(content[:4]) == _ZSTD or content[0] == ord("{") or bool(_request_fields(content))


def other_signal(item: bytes) -> str | None:
    """Name what an item of a scope is, if it is no span: requests with logs and metrics are built as those with spans.

    Where spans have ids and times, metrics have names, units and data, and log records times and numbers.
    """
    fields = {field.tag: bytes(field.content) for field in _fields(memoryview(item), 0, len(item))}
    if not _SPAN_TIMES.isdisjoint(fields):
        return None
    if not _LOG_TAGS.isdisjoint(fields):
        return "OTLP logs"
    trace_id, span_id = fields.get(_TRACE_ID, b""), fields.get(_SPAN_ID, b"")
    is_named = len(trace_id) not in (0, 16) or len(span_id) not in (0, 8)
    is_named |= bool(trace_id) and not span_id and trace_id.isascii() and trace_id.decode("ascii").isprintable()
    return "OTLP metrics" if is_named and not _METRIC_DATA.isdisjoint(fields) else None


_TRACE_ID, _SPAN_ID = b"\x0a", b"\x12"
_SPAN_TIMES = frozenset((b"\x39", b"\x41"))
"""Tags of spans: start and end."""
_LOG_TAGS = frozenset((b"\x09", b"\x10", b"\x59"))
"""Tags of log records: time, severity, time of observation; a span has no such fields."""
_METRIC_DATA = frozenset((b"\x22", b"\x2a", b"\x32", b"\x3a", b"\x42", b"\x4a", b"\x52", b"\x5a"))
"""Tags of metrics: gauges, sums, histograms and summaries; of whole numbers, before 2021, too."""


def unframed(frame: memoryview, place: str) -> Body:
    """Return the message in a frame, unpacked.

    Raises:
        DecodeError: If it cannot be unpacked.
    """
    content = frame[_LENGTH_BYTES:]
    if bytes(content[:4]) != _ZSTD:
        return content
    packing = zstd()
    try:
        unpacked: bytes = packing.decompress(content)
    except (packing.ZstdError, EOFError) as error:
        raise refusal(place, "a message that is packed with zstd is broken") from error
    return unpacked
