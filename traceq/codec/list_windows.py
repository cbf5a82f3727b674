"""Takes lists in JSON apart window by window, so that lists larger than memory can be read; every item is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from mmap import mmap
from typing import NamedTuple, TypeAlias

import msgspec

from traceq.codec import damage, wire
from traceq.codec.wire import BROKEN

Searchable: TypeAlias = bytes | mmap
"""Bytes that can be searched from their end."""
Cuts: TypeAlias = Callable[[int, int], Iterator[int]]
"""Finds where items may begin in a range of bytes, last one first."""

_GUESSES = 16
"""How many cuts are tried in a window, from its end, before the window is doubled."""
_HEAD_BYTES = 1024
_SPACING = re.compile(rb"[ \t\r\n,]*")


class Window(NamedTuple):
    """Some items that follow each other."""

    items: list[msgspec.Raw]
    after: int
    """Where the next item begins."""
    end: int | None
    """Where the list ends, if these are its last items; the end of the bytes if it ends in the middle."""


def next_window(body: Searchable, cuts: Cuts, position: int, size: int) -> Window:
    """Return some items from here on, of about this size; none, and no end, if they cannot be taken apart."""
    searched = position
    while position + size < len(body):
        limit = position + size
        for cut in islice(cuts(searched, limit), _GUESSES):
            items = _proven(memoryview(body)[position:cut])
            if items:
                return Window(items, cut, None)
        size, searched = size * 2, max(position, limit - _HEAD_BYTES)
    return last_window(body, position)


def _proven(view: memoryview) -> list[msgspec.Raw]:
    """Decode bytes that are complete items, the last one with its comma; nothing if they are not."""
    try:
        return wire.ITEMS.decode(b"".join((b"[", view, b"null]")))[:-1]
    except BROKEN:
        return []


def last_window(body: Searchable, position: int) -> Window:
    """Return the items up to the end of the list; of one that ends in the middle those that are whole."""
    text = b"".join((b"[", memoryview(body)[position:]))
    try:
        return Window(wire.ITEMS.decode(text), len(body), body.rfind(b"]"))
    except msgspec.DecodeError as error:
        end = wire.document_end(error)
        if end is None and wire.is_truncation(error, text):
            return Window(_whole_items(text), len(body), len(body))
    except BROKEN:
        return Window([], position, None)
    if end is None:
        return Window([], position, None)
    items = wire.ITEMS.decode(memoryview(text)[:end])
    return Window(items, len(body), position + text.rfind(b"]", 0, end) - 1)


def _whole_items(text: bytes) -> list[msgspec.Raw]:
    """Return the whole items of a list that ends in the middle."""
    closed = damage.closed_document(memoryview(text))
    return [] if closed is None else wire.ITEMS.decode(closed)


def placed(view: memoryview, position: int, items: Iterable[msgspec.Raw]) -> Iterator[tuple[int, msgspec.Raw]]:
    """Find the positions of items that follow each other from here on."""
    for item in items:
        spacing = _SPACING.match(view, position)
        start = spacing.end() if spacing else position
        yield start, item
        position = start + len(item)
