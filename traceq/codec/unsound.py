"""Values that decoders refuse in JSON that is whole: broken text, numbers that JSON lacks, what is nested too deep.

A document that holds such a value cannot be taken apart, so that there they are replaced by text that carries a mark:
bytes that are no UTF-8. Decoders of spans refuse it, and whoever mends the span finds out, puts it right, and tells.
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
_ODD = re.compile(rb"%b|-?\b(?:NaN|Infinity)\b" % _STRING, re.DOTALL)
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
    """Mark what decoders refuse, so that the document can be taken apart; see above.

    Args:
        body: The document.
        error: Why it could not be decoded.

    Returns:
        The document; None if there is no such thing in it.
    """
    # Looking at every string takes much longer than reading.
    if is_truncation(error, body):
        return None
    text = _ODD.sub(_marked, body)
    if isinstance(error, RecursionError) or _is_too_deep(text):
        text = _flattened(text, _TOO_DEEP)
    return None if text == body else memoryview(text)


def _marked(found: re.Match[bytes]) -> bytes:
    written = found[0]
    if not written.startswith(b'"'):
        return b'%b%b"' % (_NO_NUMBER, written)
    return _NO_TEXT.sub(_BROKEN_TEXT, HALF_OF_PAIR.sub(_BROKEN_TEXT, written))


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
