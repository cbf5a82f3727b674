"""Takes long lists of spans apart, such as Zipkin's: where the spans of one trace follow each other is a range."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import Struct

from traceq.codec import wire
from traceq.codec.damage import CUT_OFF
from traceq.codec.documents import names_no_trace
from traceq.codec.json_objects import span_format_of
from traceq.codec.list_windows import Searchable, Window, next_window, placed
from traceq.codec.parts import SpanFormat
from traceq.codec.wire import BROKEN, VOID_IDS

_HEAD = re.compile(rb'\[\s*((?:\[\s*)?\{\s*"[\w.]+"\s*:)')
"""How a list of spans begins, or a list of such lists; with how its first item does."""
_HEAD_BYTES = 1024


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
    if wire.next_text(rest, 0) < len(rest) or not found.trace_ids:
        return None
    left_out = (names_no_trace(found.nameless, place),) if found.nameless else ()
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
        self._is_nested = False
        self._last = ""

    def add(self, view: memoryview, position: int, window: Window, place: str) -> bool:
        """Add the items of a window; return whether they are spans."""
        if self._format is None and window.items:
            self._is_nested = memoryview(window.items[0])[0] == ord("[")
            self._format = span_format_of(
                wire.ITEMS.decode(window.items[0]) if self._is_nested else window.items, place
            )
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
            if not self._is_nested:
                return span_format.trace_ids(items)
            named = [set(span_format.trace_ids(wire.ITEMS.decode(item))) for item in items]
        except BROKEN:
            return None
        return [next(iter(ids)) for ids in named] if all(len(ids) == 1 for ids in named) else None
