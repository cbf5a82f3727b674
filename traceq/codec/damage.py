"""Makes damaged JSON readable: values that decoders refuse, and documents that end in the middle.

Values are broken text, numbers that JSON lacks, and what is nested too deep. A document that holds such a value cannot
be taken apart, so that there they are replaced by text that carries a mark: bytes that are no UTF-8. Decoders of spans
refuse it, and whoever mends the span finds out, puts it right, and tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from traceq.codec.wire import HALF_OF_PAIR, is_truncation
from traceq.traces import WarningCode

MOST_LEVELS = 120
"""Values with more levels of lists and objects are text, since whoever looks into them recurses."""
_LEVELS_KEPT = 32
"""Where that text begins: no format has a value of its own further down."""
_BYTES_SHOWN = 200
_BROKEN_TEXT = b"\xff"
_NO_NUMBER = b'"\xfen'
_TOO_DEEP = b'"\xfed'
_STRING = rb'"(?:[^"\\]|\\.)*+"'
_PLAIN = rb'(?:[^"NI]++|"(?:[^"\\\x00-\x1f]++|\\[^u]|\\u(?![dD][89a-fA-F]))*+")*+'
_ODD = re.compile(rb"(%b)(%b|NaN|Infinity|[NI])" % (_PLAIN, _STRING), re.DOTALL)
"""What is as it should be, all of it at once, and the next that may not be."""
_NUMBER = re.compile(rb"%b|-?\d[\d.]*(?:[eE][+-]?\d+)?" % _STRING, re.DOTALL)
_MAY_BE_TOO_LARGE = re.compile(rb"\d[eE]\+?\d{3}|\d{309}")
_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:%b[^"\[\]{}]*+)*+([\[\]{}])' % _STRING, re.DOTALL)
_NO_TEXT = re.compile(rb"[\x00-\x1f]")
_RAW = msgspec.json.Decoder(msgspec.Raw)


class Remark(NamedTuple):
    """Something that was done to a span."""

    code: WarningCode
    text: str


_REMARKS = {
    _NO_NUMBER: Remark("value-repaired", "a number is none that JSON has, and is kept as text"),
    _TOO_DEEP: Remark("value-left-out", "a value is nested too deep, and only its beginning is kept, as text"),
}


class Sound(NamedTuple):
    """JSON that can be decoded."""

    text: bytes
    remarks: tuple[Remark, ...]
    """What was done for that."""


def sound(text: bytes) -> Sound:
    """Put right what makes a value unreadable, marked or not; text that is broken has a mark in place of it."""
    remarks = []
    for mark, remark in _REMARKS.items():
        if mark in text:
            text = text.replace(mark, b'"')
            remarks.append(remark)
    whole = whole_text(text)
    if whole != text:
        remarks.append(Remark("value-repaired", "some of its text is broken"))
    if _MAY_BE_TOO_LARGE.search(whole) and (small := _NUMBER.sub(_quoted, whole)) != whole:
        whole = small
        remarks.append(Remark("value-repaired", "a number is too large, and is kept as text"))
    if whole.count(b"[") + whole.count(b"{") > MOST_LEVELS and (flat := _flattened(whole, b'"')) != whole:
        whole = flat
        remarks.append(_REMARKS[_TOO_DEEP])
    return Sound(whole, tuple(remarks))


def _quoted(found: re.Match[bytes]) -> bytes:
    is_number = found[0][:1] != b'"' and _is_too_large(found[0])
    return b'"%b"' % found[0] if is_number else found[0]


def _is_too_large(number: bytes) -> bool:
    try:
        return abs(float(number)) == float("inf")
    except ValueError:
        return False


def whole_text(text: bytes) -> bytes:
    """Put a mark in place of whatever makes JSON unreadable in text: bytes that are not UTF-8, halves of pairs."""
    return HALF_OF_PAIR.sub(rb"\\ufffd", text.decode("utf-8", "replace").encode())


def marked(body: memoryview, error: BaseException | None) -> memoryview | None:
    """Mark what decoders refuse, so that the document can be taken apart.

    Args:
        body: The document.
        error: Why it could not be decoded.

    Returns:
        The document; None if there is no such thing in it.
    """
    # Looking at every string takes much longer than reading.
    if is_truncation(error, body):
        return None
    text = b"".join(_marked(body))
    if isinstance(error, RecursionError) or _is_too_deep(text):
        text = _flattened(text, _TOO_DEEP)
    return None if text == body else memoryview(text)


def _marked(body: memoryview) -> Iterator[bytes | memoryview]:
    position = 0
    while found := _ODD.match(body, position):
        position = found.end()
        plain, odd = found.groups()
        if odd in (b"NaN", b"Infinity"):
            sign = b"-" if plain.endswith(b"-") else b""
            yield plain.removesuffix(sign)
            yield b'%b%b%b"' % (_NO_NUMBER, sign, odd)
        else:
            yield plain
            yield _NO_TEXT.sub(_BROKEN_TEXT, HALF_OF_PAIR.sub(_BROKEN_TEXT, odd))
    yield body[position:]


def _is_too_deep(text: bytes) -> bool:
    try:
        _RAW.decode(text)
    except RecursionError:
        return True
    except msgspec.DecodeError:
        pass  # told by whoever reads it
    return False


def _flattened(text: bytes, mark: bytes) -> bytes:
    """Make text of the beginning of what is nested too deep."""
    return b"".join(_flat_pieces(text, mark))


def _flat_pieces(text: bytes, mark: bytes) -> Iterator[bytes]:
    level = deepest = begun = done = 0
    for found in _BRACKET.finditer(text):
        at = found.end() - 1
        if text[at] in b"[{":
            level += 1
            begun, deepest = (at, level) if level == _LEVELS_KEPT else (begun, max(deepest, level))
            continue
        if level == _LEVELS_KEPT and deepest > MOST_LEVELS:
            shown = text[begun : min(at + 1, begun + _BYTES_SHOWN)].decode("utf-8", "ignore")
            yield text[done:begun]
            yield mark + msgspec.json.encode(f"{shown}...")[1:]
            done = at + 1
        level -= 1
    yield text[done:]


CUT_OFF = (
    "the document ends in the middle, and is read up to its last whole item: "
    "the file is still being written, or was cut off"
)
CUT_TRACE = (
    "the document ends in the middle of a trace, of which the whole spans are kept; what they ran in would come after "
    "them, so that their services may be unknown: the file is still being written, or was cut off"
)
_REPLACED = "text that is broken is shown with a mark in its place"
_ZEROS = "the file ends with zeros, which are left out: it was not written whole"


class Variant(NamedTuple):
    """A document that was made readable."""

    body: memoryview
    notes: tuple[str, ...]
    """What was done, where spans do not tell it themselves."""
    other_lines: int = 0
    """How many lines of a log it leaves out."""


def variants(body: memoryview, error: BaseException | None) -> Iterator[Variant]:
    """Make a damaged document readable, in several ways, the one first that changes least; see `marked`."""
    end = len(bytes(body[-_MOST_ZEROS:]).rstrip(b"\0")) + max(0, len(body) - _MOST_ZEROS)
    notes = () if end == len(body) else (_ZEROS,)
    whole = body[:end]
    texts = [(marked(whole, error) or whole, notes)]
    replaced = memoryview(whole_text(bytes(whole)))
    if replaced != whole:
        texts.append((replaced, (*notes, _REPLACED)))
    for text, told in texts:
        # Even as it is it may be read now that less is expected of it.
        yield Variant(text, told)
        for note, in_trace in ((CUT_OFF, False), (CUT_TRACE, True)):
            closed = closed_document(text, in_trace=in_trace)
            if closed is not None:
                yield Variant(memoryview(closed), (*told, note))
    logged = _LOGGED.findall(whole)
    if logged:
        others = sum(1 for line in bytes(whole).splitlines() if line.strip()) - len(logged)
        yield Variant(memoryview(b"\n".join(logged)), notes, others)
    # Late: hardly any document needs it.
    from traceq.codec.salvage import whole_documents

    found = whole_documents(whole)
    if found:
        yield Variant(memoryview(found.lines), (*notes, *found.notes), found.other_lines)


_LOGGED = re.compile(rb'^[^{\n]*(\{"resource(?:Spans)?"\s*:.*)$', re.MULTILINE)
"""OTLP in a line of a log, with what a logger puts before it."""


_MOST_ZEROS = 2**20
"""What a file system reserves for a file, and leaves empty when the machine fails."""


class _Open(NamedTuple):
    """An object or list that is not closed yet."""

    closer: bytes
    list_key: bytes | None
    """Of a list of traces or spans, or in one such, the key of the innermost; None elsewhere."""


_FLAT = rb'[^"\[\]{}]*+(?:%b[^"\[\]{}]*+)*+' % _STRING
_TOKEN = re.compile(rb"(%b)(?:(\{%b\}|\[%b\])|([\[{])|([\]}]))" % (_FLAT, _FLAT, _FLAT), re.DOTALL)
"""What precedes a bracket, and the bracket, or what is between two of them if that holds no others."""
_KEY = re.compile(rb'"(\w+)"\s*:\s*\Z')
_OUTER = frozenset((b"data", b"hits", b"responses", b"resourceSpans", b"resource_spans", b"batches"))
_SCOPES = frozenset((b"scopeSpans", b"scope_spans", b"instrumentationLibrarySpans"))
_HOLD_TRACES = frozenset((b"", b"data"))
_RESOURCES = frozenset((b"resourceSpans", b"resource_spans", b"batches"))


def closed_document(body: memoryview, *, in_trace: bool = False) -> bytes | None:
    """Close a document that ends in the middle after the last whole item of its innermost list of traces or spans.

    Args:
        body: The document.
        in_trace: Whether to keep the whole spans of a trace in Jaeger's JSON that is not whole, though what they ran
            in comes at its end.

    Returns:
        A whole document; None if this one does not end in the middle of a list of traces or spans.
    """
    opened: list[_Open] = []
    end, closers = 0, b""
    position = 0
    while found := _TOKEN.match(body, position):
        position = found.end()
        if found[3]:
            opened.append(_begun(opened, found[1], found[3], in_trace=in_trace))
            continue
        if found[4] and (len(opened) < 2 or opened.pop().closer != found[4]):
            return None
        if opened and opened[-1].closer == b"]" and opened[-1].list_key is not None:
            end, closers = position, b"".join([each.closer for each in reversed(opened)])
    return bytes(body[:end]) + closers if end and opened else None


def _begun(opened: list[_Open], before: bytes, bracket: bytes, *, in_trace: bool) -> _Open:
    outer = opened[-1] if opened else _Open(b"]", b"")
    if bracket == b"{" or outer.list_key is None:
        return _Open(b"}" if bracket == b"{" else b"]", outer.list_key)
    key = _KEY.search(before[-_LONGEST_KEY:]) if outer.closer == b"}" else None
    is_other = outer.closer == b"}" and key is None
    if in_trace and key and key[1] == b"spans" and outer.list_key in _HOLD_TRACES:
        return _Open(b"]", key[1])
    return _Open(b"]", None if is_other else _list_key(outer.list_key, key[1] if key else b""))


_LONGEST_KEY = 64


def _list_key(outer: bytes, key: bytes) -> bytes | None:
    """Give the key of a list if what it holds are traces or spans, or holds such."""
    if outer in _SCOPES:
        return key if key == b"spans" else None
    if outer in _RESOURCES:
        return key if key in _SCOPES else None
    return key if not key or key in _OUTER else None
