"""Finds OTLP's protobuf messages in bytes: a single request, or a file of the collector.

Protobuf names no type, so a request is told by its shape: its fields, and those of what it holds, follow each other
without a gap, and have the numbers that OTLP gives them. The collector's file exporter writes the length of each
message, four bytes, big-endian, before it; messages are protobuf, or with `compression: zstd` packed, one by one,
protobuf or JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from traceq.codec.wire import Body, refusal, zstd
from traceq.errors import DecodeError

_BINARY = frozenset(bytes((byte,)) for byte in (*range(8), ord("\n")))
"""How protobuf begins, and the lengths that the collector writes before it; JSON may begin with a line end, too."""
_LENGTH_BYTES = 4
_GROUP = _RESOURCE = b"\x0a"
"""The tags of the groups in a request, and of what the spans of a group ran in."""
OLD_SCOPES = b"\xc2\x3e"
"""The tag of what scopes were called before 2022."""
_SCOPES = frozenset((b"\x12", OLD_SCOPES))
_ITEM = b"\x12"
"""The tag of a span, or of another signal's item, in a scope."""
_RESOURCE_SPANS = frozenset((_RESOURCE, *_SCOPES, b"\x1a"))
"""The tags in a group: the last one is of its schema_url."""
_OF_RESOURCE = frozenset((b"\x0a", b"\x10", b"\x1a"))
_OF_SPAN = frozenset(
    bytes.fromhex(tag)
    for tag in ["0a", "12", "1a", "22", "2a", "30", "39", "41", "4a", "50", "5a", "60", "6a", "70", "7a", "8501"]
)
_TELLING_FIELDS = 3
"""How many fields with tags of a span make a span of bytes."""
_ZSTD = b"\x28\xb5\x2f\xfd"
_LONGEST_NUMBER = 10
_LOOKED_AT = 100
"""How many groups, and fields of a resource, are looked at; that they are OTLP's is beyond doubt by then."""


class Message(NamedTuple):
    """Where a message is in bytes."""

    start: int
    stop: int
    is_framed: bool
    """Whether it begins with its length."""
    is_whole: bool = True
    """Whether the bytes go on to its end; in a file that is still being written the last one may not."""


class _Field(NamedTuple):
    """A field of a message."""

    begin: int
    """Where its tag begins."""
    tag: bytes
    content: memoryview
    """What it holds; of a number in seven bits a byte, nothing."""
    stop: int
    is_whole: bool = True
    """Whether the message goes on to its end."""


def messages(body: memoryview) -> Sequence[Message]:
    """Find messages of OTLP, each of which is a file by itself; none if the bytes are something else."""
    return (_groups(body) or _frames(body)) if body[:1] in _BINARY else ()


def _groups(body: memoryview) -> list[Message]:
    """Find the groups of spans in a request, each of which is a request by itself; none if the bytes are no request.

    What is cut off, or follows a length that cannot be right, is the last one; then a whole span has to show that these
    are groups of spans, or the first of them has to begin as they do.
    """
    found: list[Message] = []
    position, is_whole = 0, body[:1] == _GROUP
    while is_whole and position < len(body):
        length, start = _number(body, position + 1, len(body))
        is_whole = body[position] == _GROUP[0] and 0 <= length <= len(body) - start
        stop = start + length if is_whole else len(body)
        found.append(Message(position, stop, is_framed=False, is_whole=is_whole))
        position = stop
    first = [field for each in found[:_LOOKED_AT] for field in _fields(body[each.start : each.stop])]
    is_request = is_whole and all(_is_resource_spans(group.content) for group in first)
    is_cut = not is_whole and (any(_has_span(each.content) for each in first) or _begins_group(first))
    return found if is_request or is_cut else []


def _is_resource_spans(group: memoryview) -> bool:
    fields = _fields(group)
    return all(
        each.is_whole and each.tag in _RESOURCE_SPANS and (each.tag != _RESOURCE or _is_resource(each.content))
        for each in fields
    )


def _is_resource(resource: memoryview) -> bool:
    fields = islice(_fields(resource), _LOOKED_AT)
    return all(each.is_whole and each.tag in _OF_RESOURCE for each in fields)


def _has_span(group: memoryview) -> bool:
    scopes = (each.content for each in _fields(group) if each.tag in _SCOPES)
    items = (each for scope in scopes for each in _fields(scope) if each.tag == _ITEM and each.is_whole)
    return any(is_plain_span(each.content) for each in items)


def _begins_group(first: Sequence[_Field]) -> bool:
    """Whether bytes are the beginning of one group, which runs up to the first attribute of its resource, or in a span.

    Collectors write the fields of messages backwards.
    """
    fields = [field for group in first for field in _fields(group.content)]
    if len(first) > 1 or not fields or not _RESOURCE_SPANS.issuperset(each.tag for each in fields):
        return False
    attributes = [each for field in fields[:1] if field.tag == _RESOURCE for each in _fields(field.content)]
    scoped = [each for field in fields if field.tag in _SCOPES for each in _fields(field.content)]
    of_spans = [each for item in scoped if item.tag == _ITEM for each in _fields(item.content) if each.is_whole]
    is_resource = bool(attributes) and attributes[0].is_whole and bytes(attributes[0].content[:1]) in (b"\x0a", b"\x12")
    return (
        _OF_RESOURCE.issuperset(each.tag for each in attributes)
        and _OF_SPAN.issuperset(each.tag for each in of_spans)
        and (is_resource or len(of_spans) >= _TELLING_FIELDS)
    )


def _frames(body: memoryview) -> list[Message]:
    frames = split_frames(body)
    first = next(frames)
    return [first, *frames] if _is_message(body[first.start + _LENGTH_BYTES : first.stop]) else []


def split_frames(body: memoryview) -> Iterator[Message]:
    """Find the messages in a range of them, each with its length before it, up to the first that is not whole."""
    position, is_whole = 0, True
    while is_whole and position < len(body):
        begin = position + _LENGTH_BYTES
        stop = begin + int.from_bytes(body[position:begin], "big")
        is_whole = begin < stop <= len(body)
        yield Message(position, min(stop, len(body)), is_framed=True, is_whole=is_whole)
        position = stop


def _is_message(content: memoryview) -> bool:
    return bytes(content[:4]) == _ZSTD or bytes(content[:1]) == b"{" or bool(_groups(content))


def is_plain_span(item: memoryview | bytes) -> bool:
    """Whether an item of a scope begins with ids that have the right lengths, as SDKs write spans, or ends with them.

    Collectors write the fields of messages backwards.
    """
    return _PLAIN_HEAD.match(item) is not None or _PLAIN_TAIL.match(item[-_TAIL_BYTES:]) is not None


_TRACE_ID_FIELD = rb"\x0a\x10(?=.{0,15}[^ -~]).{16}"
"""A metric may have a name and a description that are as long; ids that are text by chance are looked at closely."""
_PLAIN_HEAD = re.compile(_TRACE_ID_FIELD + rb"\x12\x08", re.DOTALL)
_PLAIN_TAIL = re.compile(rb"\x12\x08.{8}" + _TRACE_ID_FIELD + rb"\Z", re.DOTALL)
_TAIL_BYTES = 28


def whole_part(request: memoryview) -> bytes:
    """Write a request anew with the spans that are whole: of groups and scopes that are cut off, those before the cut.

    What follows a length that cannot be right is not found.
    """
    return b"".join(_whole_fields(request, (frozenset((_GROUP,)), _SCOPES)))


def _whole_fields(body: memoryview, nested: Sequence[frozenset[bytes]]) -> Iterator[bytes]:
    for field in _fields(body):
        if nested and field.tag in nested[0]:
            inner = b"".join(_whole_fields(field.content, nested[1:]))
            yield b"".join((field.tag, _varint(len(inner)), inner))
        elif field.is_whole:
            yield bytes(body[field.begin : field.stop])


def _fields(body: memoryview) -> Iterator[_Field]:
    """Find the fields of a message, up to the first that is broken."""
    begin, is_whole = 0, True
    while is_whole and begin < len(body):
        number, start = _number(body, begin, len(body))
        tag, wire = bytes(body[begin:start]), number & 7
        length, start = (_FIXED[wire], start) if wire in _FIXED else _number(body, start, len(body))
        stop = start if wire == _NUMBER else start + length
        is_whole = number > 7 and wire in (_NUMBER, _BYTES, *_FIXED) and length >= 0 and stop <= len(body)
        yield _Field(begin, tag, body[start : stop if is_whole else len(body)], stop, is_whole)
        begin = stop


_NUMBER, _BYTES = 0, 2
"""How the content of a field is written: the lowest three bits of its tag."""
_FIXED = {1: 8, 5: 4}
"""The same, for fields of always as many bytes."""


def _number(body: memoryview, position: int, stop: int) -> tuple[int, int]:
    """Read a number, seven bits a byte, lowest first; return it and where it ends, and -1 if it does not end."""
    number = shift = 0
    for at in range(position, min(stop, position + _LONGEST_NUMBER)):
        number |= (body[at] & 0x7F) << shift
        if body[at] < 0x80:
            return number, at + 1
        shift += 7
    return -1, stop


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*written, number))


def other_signal(item: bytes) -> str | None:
    """Name what an item of a scope is, if it is no span: requests with logs and metrics are built as those with spans.

    Where spans have ids and times, metrics have names, units and data, and log records times and numbers.
    """
    if is_plain_span(item):
        return None
    fields = {field.tag: bytes(field.content) for field in _fields(memoryview(item)) if field.is_whole}
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


def contents(
    body: memoryview,
    found: Iterable[Message],
    place: str,
    refused: list[DecodeError],
    read_json: Callable[[Message, Body], None],
) -> Iterator[tuple[Message, Body]]:
    """Give the messages in protobuf that are whole, or are part of a request, each with what it holds, unpacked.

    Args:
        body: The bytes.
        found: What `messages` found in them.
        place: Where they come from, safe to show.
        refused: Gains an error for each message that cannot be read here.
        read_json: Reads a message that is JSON; raises `DecodeError` if it cannot.
    """
    for message in found:
        if message.is_framed and not message.is_whole:
            continue
        frame = body[message.start : message.stop]
        try:
            content = unframed(frame, place) if message.is_framed else frame
            is_json = content[:1] == b"{"
            if is_json:
                read_json(message, content)
        except DecodeError as error:
            refused.append(error)
        else:
            if not is_json:
                yield message, content


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
