"""Finds spans among the other lines of a program's log, where the console exporters of SDKs print them.

JSON is taken as it is; what Node.js prints (`util.inspect`) is no JSON, and is converted to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from traceq.codec import wire
from traceq.codec.json_objects import format_of
from traceq.codec.parts import SpanFormat
from traceq.codec.wire import BROKEN, ITEMS
from traceq.units import format_count, plural


class Log(NamedTuple):
    """What the lines of a log hold."""

    spans: list[tuple[SpanFormat, int, msgspec.Raw]]
    """Each span with its format, and the byte at which its lines begin."""
    other_lines: int = 0
    """How many lines are no spans."""
    notes: tuple[str, ...] = ()
    """What is missing of spans."""


NO_LOG = Log([])


def read(body: memoryview) -> Log:
    """Find the spans in a log; none if there are other documents in it, or nothing but spans that cannot be read."""
    body = body[wire.mark_bytes(body) :]
    spans: list[tuple[SpanFormat, int, msgspec.Raw]] = []
    unread: list[tuple[int, int]] = []
    other_lines = position = cut = stop = 0
    while block := _block(body, stop):
        start, stop = block
        if stop - start > _LONGEST_BYTES:
            return NO_LOG
        text = bytes(body[start:stop])
        objects = _objects(text)
        formats = [format_of(keys) for keys, _ in objects or ()]
        found = [
            (each, start, span) for each, (_, span) in zip(formats, objects or (), strict=True) if each is not None
        ]
        is_unread = objects is None and _TRACE_ID.search(body, start, stop)
        if is_unread:
            stop = _end_of_unread(body, start, stop)
        if is_unread or (found and len(found) == len(formats)):
            spans += found
            unread += [(start, stop)] if is_unread else []
            cut += _cuts(text)
            other_lines += _lines_of_text(body, position, start)
            position = stop
        elif found or any(_holds_traces(keys) for keys, _ in objects or ()):
            return NO_LOG
    notes = tuple(_notes(unread, cut, len(body)))
    return Log(spans, other_lines + _lines_of_text(body, position, len(body)), notes) if spans else NO_LOG


def _holds_traces(keys: Mapping[str, msgspec.Raw]) -> bool:
    """Whether an object is a document of traces; programs log objects with such keys, and ids of traces beside them."""
    return any(_TRACE_ID.search(keys[key]) for key in _CONTAINERS & keys.keys())


def _notes(unread: list[tuple[int, int]], cut: int, size: int) -> Iterator[str]:
    if cut:
        yield f"values that Node.js cut short (`[Object]`, `... 20 more items`): {format_count(cut)}"
    if unread and unread[-1][1] == size:
        start, _ = unread.pop()
        yield wire.cut_off(f"the span at byte {start}")
    if unread:
        yield f"left out because they are broken: {plural(len(unread), 'span')} (first: at byte {unread[0][0]})"


_LONGEST_BYTES = 4 * 2**20
"""Longer than anything that an exporter prints at once: what begins like this is a document that is broken."""
_KEYS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TRACE_ID = re.compile(rb"trace_?id", re.IGNORECASE)
_CONTAINERS = frozenset(("data", "spans", "resourceSpans", "resource_spans", "scopeSpans", "batches", "result"))
_LINE_OF_TEXT = re.compile(rb"^[ \t]*[^ \t\r\n]", re.MULTILINE)


def _lines_of_text(body: memoryview, start: int, stop: int) -> int:
    return sum(1 for _ in _LINE_OF_TEXT.finditer(body, start, stop))


def _objects(text: bytes) -> list[tuple[Mapping[str, msgspec.Raw], msgspec.Raw]] | None:
    """Read a block as JSON objects, with their keys; None if it is no JSON, nor what Node.js prints of objects."""
    for convert in (bytes, as_json):  # one after the other: the second takes long
        written = convert(text)
        if written is None:
            continue
        listed = written if written.startswith(b"[") else b"[%b]" % written
        try:
            return list(zip(_KEYS.decode(listed), ITEMS.decode(listed), strict=True))
        except BROKEN:
            continue
    return None


def _cuts(text: bytes) -> int:
    """Count what Node.js left out of a block that can be read; what only says so, in quotes, does not count."""
    return sum(found[1] is not None for found in _CUT.finditer(text)) if _MAY_BE_CUT.search(text) else 0


_MAY_BE_CUT = re.compile(rb"\.\.\. \d+ more |\[(?:Object|Array)\]")


def _block(body: memoryview, position: int) -> tuple[int, int] | None:
    """Find what begins with a bracket at the beginning of a line and ends with its counterpart at that of another."""
    found = _OPENED.search(body, position)
    if found is None:
        return None
    start = found.start(1)
    ends = _LINE_END if found[2] is None else _CLOSED_OBJECT if found[1] == b"{" else _CLOSED_LIST
    closed = ends.search(body, start + 1)
    return start, closed.end() if closed else len(body)


def _end_of_unread(body: memoryview, start: int, stop: int) -> int:
    """Find where a block ends that cannot be read: where the last one in it begins, which it may have been cut by."""
    others = [found.start(1) for found in _OPENED.finditer(body, start + 1, stop)]
    return others[-1] if others else stop


_OPENED = re.compile(rb"^([{\[])([ \t\r]*$)?", re.MULTILINE)
_CLOSED_OBJECT = re.compile(rb"^\}", re.MULTILINE)
_CLOSED_LIST = re.compile(rb"^\]", re.MULTILINE)
_LINE_END = re.compile(rb"$", re.MULTILINE)


def as_json(text: bytes) -> bytes | None:
    """Convert what Node.js prints of an object or list; None if it is something else.

    What is left out of long lists (`... 20 more items`) is left out here, too.
    """
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError:
        return None
    written: list[str] = []
    position = 0
    while position < len(decoded):
        found = _TOKEN.match(decoded, position)
        if found is None or not found.lastgroup:
            return None
        _write(written, found.lastgroup, found[0])
        position = found.end()
    return "".join(written).encode("utf-8", "backslashreplace")


_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`"
_CUT = re.compile(rb"%b|(%b)" % (_STRING.encode(), _MAY_BE_CUT.pattern), re.DOTALL)
_TOKEN = re.compile(
    rf"""
    (?P<blank> \s+ | \+ | <ref\ \*\d+>\s* | \[Object:\ null\ prototype\]\s*(?=\{{) | \.\.\.\ \d+\ more\ \w+ )
    | (?P<key> [A-Za-z_$][\w$]*(?=:) )
    | (?P<text> {_STRING} | \[(?:Object|Array|Getter|Setter|Function|Symbol|Circular|class)[^\]\n]*\] )
    | (?P<time> \d{{4}}-\d\d-\d\dT[\d:.]+Z )
    | (?P<number> -?\d+(?:\.\d+)?(?:e[+-]?\d+)?n? )
    | (?P<nothing> (?:undefined|null)\b )
    | (?P<truth> (?:true|false)\b )
    | (?P<fraction> -?(?:NaN|Infinity)\b )
    | (?P<class> [A-Za-z_$][\w$]*(?:\(\d+\))?(?:\ \[[^\]\n]*\])?\s*(?=[{{\[]) )
    | (?P<mark> [{{}}\[\],:] )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9A-Fa-f]{2})\\u([dD][c-fC-F][0-9A-Fa-f]{2})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|(.))",
    re.DOTALL,
)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}


def _write(written: list[str], kind: str, found: str) -> None:
    """Append a token to what is written as JSON."""
    match kind:
        case "blank" | "class":
            return
        case "key" | "time" | "fraction":
            written.append(_quoted(found))
        case "text" if found[0] == "[":
            written.append(_quoted(found))
        case "text":
            _write_text(written, _unescaped(found[1:-1]))
        case "number":
            written.append(found.removesuffix("n"))
        case "nothing":
            written.append("null")
        case "mark" if found in "}]" and written and written[-1] == ",":
            written[-1] = found
        case _:
            written.append(found)


def _write_text(written: list[str], text: str) -> None:
    # Node.js divides long text into several, with a plus between them.
    if written and written[-1].startswith('"'):
        text = msgspec.json.decode(written.pop(), type=str) + text
    written.append(_quoted(text))


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _unescaped(text: str) -> str:
    def put(found: re.Match[str]) -> str:
        if found[1]:  # JSON that came here for a number which is none, `NaN`
            return msgspec.json.decode(f'"{found[0]}"', type=str)
        code = found[3] or found[4] or found[5]
        if code is None:
            return _ESCAPED.get(found[6], found[6])
        number = int(code, 16)
        is_text = number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
        return chr(number) if is_text else found[0]

    return _ESCAPE.sub(put, text)
