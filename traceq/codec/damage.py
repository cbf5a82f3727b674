"""Makes documents readable that are damaged as a whole: text that no JSON may hold, an end in the middle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from traceq.codec import unsound

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


def marked(body: memoryview, error: BaseException | None) -> Iterator[Variant]:
    """Mark values that decoders refuse; spans tell of them themselves.

    Args:
        body: The document.
        error: Why it could not be decoded.
    """
    text = unsound.marked(body, error)
    if text is not None:
        yield Variant(text, ())


def variants(body: memoryview, error: BaseException | None) -> Iterator[Variant]:
    """Make a damaged document readable, in several ways, the one first that changes least; see `marked`."""
    end = len(bytes(body[-_MOST_ZEROS:]).rstrip(b"\0")) + max(0, len(body) - _MOST_ZEROS)
    notes = () if end == len(body) else (_ZEROS,)
    whole = body[:end]
    texts = [(unsound.marked(whole, error) or whole, notes)]
    replaced = memoryview(unsound.whole_text(bytes(whole)))
    if replaced != whole:
        texts.append((replaced, (*notes, _REPLACED)))
    for text, told in texts:
        # Even as it is it may be read now that less is expected of it.
        yield Variant(text, told)
        for note, in_trace in ((CUT_OFF, False), (CUT_TRACE, True)):
            closed = closed_document(text, in_trace=in_trace)
            if closed is not None:
                yield Variant(memoryview(closed), (*told, note))


_MOST_ZEROS = 2**20
"""What a file system reserves for a file, and leaves empty when the machine fails."""


class _Open(NamedTuple):
    """An object or list that is not closed yet."""

    closer: bytes
    list_key: bytes | None
    """Of a list of traces or spans, or in one such, the key of the innermost; None elsewhere."""


_STRING = rb'"(?:[^"\\]|\\.)*+"'
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
