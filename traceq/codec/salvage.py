"""Picks out what is whole of files in which documents are broken: each that begins a line stands for itself."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from traceq.codec import wire
from traceq.codec.wire import BROKEN
from traceq.units import plural

_OPENED = re.compile(rb"^[{\[]", re.MULTILINE)
_BEGUN = re.compile(rb"""\{\s*"|[{\[]\s*[{\[]""")
"""How an object begins, or a list of such, rather than the time in brackets before a line of a log."""
_TRACE_ID = re.compile(rb"trace_?id", re.IGNORECASE)
_RAW = msgspec.json.Decoder(msgspec.Raw)
_MOST_BROKEN = 1000
"""Where so many documents are broken, and ten times as many as are whole, it is something else."""


class Salvaged(NamedTuple):
    """What could be picked out."""

    lines: bytes
    """The documents, one a line."""
    notes: tuple[str, ...]
    other_lines: int
    """How many lines are not among them."""


def whole_documents(body: memoryview) -> Salvaged | None:
    """Find the documents with spans that can be decoded; None if all of them can, or none."""
    found: list[bytes] = []
    broken: list[int] = []
    at = others = 0
    while opened := _OPENED.search(body, at):
        start = opened.start()
        stop = _end(body, start)
        document = b"" if stop is None else bytes(body[start:stop])
        if stop is None or not _TRACE_ID.search(document):
            following = _OPENED.search(body, start + 1)
            broken += [start] if stop is None and _BEGUN.match(body, start) else []
            stop = following.start() if following else len(body)
            others += _line_count(body[at:stop])
        else:
            found.append(document.replace(b"\r", b" ").replace(b"\n", b" "))
            others += _line_count(body[at:start])
        if len(broken) > _MOST_BROKEN + 10 * len(found):
            return None
        at = stop
    if not found or not broken:
        return None
    told = f"left out because they are broken: {plural(len(broken), 'document')} (first: at byte {broken[0]})"
    return Salvaged(b"\n".join(found), (told,), others + _line_count(body[at:]))


def _end(body: memoryview, start: int) -> int | None:
    """Find where a document ends that begins here; None if it is broken."""
    try:
        _RAW.decode(body[start:])
    except msgspec.DecodeError as error:
        end = wire.document_end(error)
        return None if end is None else start + end
    except BROKEN:
        return None
    return len(body)


def _line_count(text: memoryview) -> int:
    return sum(1 for line in bytes(text).splitlines() if line.strip())
