"""Takes lists in JSON apart window by window, so that lists larger than memory can be read; every item is checked.

Of long lists of spans that stand alone, such as Zipkin's, a range is where the spans of one trace follow each other.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from mmap import mmap
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from traceq.codec import damage, wire
from traceq.codec.damage import CUT_OFF
from traceq.codec.json_objects import span_format_of
from traceq.codec.parts import SpanFormat
from traceq.codec.wire import BROKEN, VOID_IDS, names_no_trace
from traceq.errors import DecodeError

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


_HEAD = re.compile(rb'\[\s*((?:\[\s*)?\{\s*"[\w.]+"\s*:)')
"""How a list of spans begins, or a list of such lists; with how its first item does."""


class SpanList(Struct, frozen=True):
    """Where spans are in a list."""

    starts: array[int]
    stops: array[int]
    trace_ids: Sequence[str]
    """Of each range of items."""
    first: tuple[int, int]
    """Where the first item is, which tells the format of all."""
    notes: tuple[str, ...]


def split_spans(
    body: Searchable, start: int, place: str, window: int, forget: Callable[[int, int], None]
) -> SpanList | None:
    """Find the spans in a document that is nothing but a list of spans, or of lists of spans.

    Args:
        body: The bytes.
        start: Where the document begins.
        place: Where it comes from, for messages, safe to show.
        window: How many bytes to examine at once.
        forget: Called with ranges of bytes that have been examined.

    Returns:
        None if it is something else, or cannot be taken apart.
    """
    head = _HEAD.match(body, start, start + _HEAD_BYTES)
    if head is None:
        return None
    found = _Found()
    position, end = head.start(1), None
    while end is None:
        read = next_window(body, lambda begin, stop: _cuts(body, head[1], begin, stop), position, window)
        if (not read.items and read.end is None) or not found.add(memoryview(body), position, read, place):
            return None
        forget(position, read.after)
        position, end = read.after, read.end
    rest = memoryview(body)[end + 1 :]
    # A list of lists that ends in the middle has a last one that is closed nowhere.
    if wire.next_text(rest, 0) < len(rest) or not found.trace_ids or (found.is_nested and end == len(body)):
        return None
    left_out = names_no_trace([place] * found.nameless, found.trace_ids)
    notes = (*left_out, *((CUT_OFF,) if end == len(body) else ()))
    return SpanList(found.starts, found.stops, found.trace_ids, found.first, notes)


def _cuts(body: Searchable, head: bytes, start: int, stop: int) -> Iterator[int]:
    at = body.rfind(head, start, stop)
    while at > start:
        yield at
        at = body.rfind(head, start, at)


class _Found:
    """Collects ranges of spans of one trace."""

    def __init__(self) -> None:
        self.starts, self.stops = array("q"), array("q")
        self.trace_ids: list[str] = []
        self.first = (0, 0)
        self.nameless = 0
        self._format: SpanFormat | None = None
        self.is_nested = False
        """Whether items are lists of spans."""
        self._last = ""

    def add(self, view: memoryview, position: int, window: Window, place: str) -> bool:
        """Add the items of a window; return whether they are spans."""
        if self._format is None and window.items:
            self.is_nested = memoryview(window.items[0])[0] == ord("[")
            try:
                first = wire.ITEMS.decode(window.items[0]) if self.is_nested else window.items
                self._format = span_format_of(first, place)
            except (*BROKEN, DecodeError):
                return False  # its text is broken, perhaps
            start = next(at for at, _ in placed(view, position, window.items))
            self.first = (start, start + len(window.items[0]))
        named = self._trace_ids(window.items)
        if named is None:
            return False
        for (start, item), trace_id in zip(placed(view, position, window.items), named, strict=True):
            if trace_id in VOID_IDS:
                self.nameless += 1
            elif self._last == trace_id:
                self.stops[-1] = start + len(item)
            else:
                self.starts.append(start)
                self.stops.append(start + len(item))
                self.trace_ids.append(trace_id)
            self._last = trace_id
        return True

    def _trace_ids(self, items: Sequence[msgspec.Raw]) -> Sequence[str] | None:
        """Read the ids of items that are spans, or lists with the spans of one trace; None if they are neither."""
        span_format = self._format
        if span_format is None:
            return None
        try:
            if not self.is_nested:
                return span_format.trace_ids(items)
            named = [set(span_format.trace_ids(wire.ITEMS.decode(item))) for item in items]
        except BROKEN:
            return None
        return [next(iter(ids)) for ids in named] if all(len(ids) == 1 for ids in named) else None
