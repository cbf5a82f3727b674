"""Finds where traces are in a document, so that documents larger than memory can be read, and by several at once.

In a long list, a trace is recognized by its first two keys (`{"traceID":"...","spans":`). Strings cannot contain them,
since their quotes are escaped; only a trace inside a trace could be mistaken for an item of the list. There are two
ways to find them. Guessing searches for these keys and nothing else, and leaps over spans with the trace's own id; a
wrong guess shows when the traces are decoded, because each has to be one complete JSON value. Proving goes window by
window, and whatever precedes a cut has to decode as a list of complete values; this takes twice as long, and if it
fails too, the document is taken as a whole. So a wrong guess costs time, but never changes an answer.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from traceq.catalog import ServiceCall
from traceq.codec import otlp_frames, wire
from traceq.codec.damage import CUT_OFF
from traceq.codec.documents import read_document, read_line
from traceq.codec.json_objects import Object, format_of, span_format_of
from traceq.codec.list_windows import Searchable, SpanList, last_window, next_window, placed, split_spans
from traceq.codec.otlp_frames import Message
from traceq.codec.parts import SpanFormat, is_mixed
from traceq.codec.runs import Form, Run, Runs, document_run, key_of
from traceq.codec.rust_stdout import is_printed_by_rust
from traceq.codec.wire import BROKEN, Body, collector_paused, left_out, names_no_trace
from traceq.errors import DecodeError
from traceq.untrusted import printable

WINDOW_BYTES = 32 * 2**20
"""How many bytes are examined at once; a bare scan of them takes 30 ms."""
_SMALL_BYTES = 2**20
"""Documents smaller than this are taken as a whole."""

Forget: TypeAlias = Callable[[int, int], None]
"""Called with ranges of bytes that are not needed any more."""


class Split(Struct, frozen=True):
    """Where the traces of a document are, and what else it holds."""

    runs: tuple[Run, ...]
    calls: tuple[ServiceCall, ...] = ()
    notes: tuple[str, ...] = ()
    is_guessed: bool = False
    """Whether this may turn out to be wrong: some trace is then not one complete JSON value, or lists spans of others.
    """


def forget_nothing(_start: int, _stop: int) -> None:
    """Keep everything."""


class SplitOptions(Struct, frozen=True):
    """How to split a document."""

    is_proven: bool = False
    """Whether cuts are proven at once, rather than by decoding the traces later."""
    window: int = WINDOW_BYTES
    """How many bytes to examine at once."""
    forget: Forget = forget_nothing
    """Called with ranges of the body that have been examined."""


_AS_USUAL = SplitOptions()


def split(body: Searchable, location: str, options: SplitOptions = _AS_USUAL) -> Split:
    """Find the traces in JSON: a single document, one per line, or several that follow each other.

    Args:
        body: The bytes, uncompressed.
        location: Where they come from, for messages.
        options: How to split them.

    Raises:
        DecodeError: If they are anything else, or broken. The spans themselves are not checked.
    """
    view = memoryview(body)
    window = options.window
    if len(view) < min(_SMALL_BYTES, window):
        return _whole(view, location, options)
    if is_printed_by_rust(view):
        return _whole(view, location, options)
    messages = otlp_frames.messages(view)
    if messages:
        return _split_messages(view, messages, location)
    try:
        start = wire.json_start(view, printable(location))
    except DecodeError:
        return _whole(view, location, options)
    head = _LIST_HEAD.match(view, start)
    with collector_paused():
        if _is_lines(view, start, start + window if head else len(view)):
            return _split_log(view, location, options)
        first = _TRACE_HEAD.match(view, head.end(), head.end() + _HEAD_BYTES) if head else None
        found = _split_list(_List(body, head.start(), first), location, options) if head and first else None
        spans = None if found else split_spans(body, start, printable(location), window, options.forget)
    return found or (_of_spans(spans) if spans else _whole(view, location, options))


def _of_spans(found: SpanList) -> Split:
    run = Run(found.starts, found.stops, array("q", map(key_of, found.trace_ids)), Form.ITEM, found.first)
    return Split((run,), notes=found.notes)


def line_of(location: str, number: int) -> str:
    """Name a line, for messages."""
    return f"{location} line {number}"


def _whole(view: memoryview, location: str, options: SplitOptions) -> Split:
    found = Runs()
    is_plain = _OTLP_HEAD.match(view) and not is_printed_by_rust(view)
    if is_plain and _add_plain(found, view, 0, len(view)):
        return Split(tuple(found.runs))
    document = read_document(view, location)
    run = document_run(document, 0, len(view), is_proven=options.is_proven)
    return Split((run,), document.calls, document.notes, is_guessed=not options.is_proven)


_LIST_HEAD = re.compile(rb'(?:\{\s*"data"\s*:\s*)?\[\s*')
_TRACE_HEAD = re.compile(rb'(\{\s*"traceID"\s*:\s*")([0-9a-fA-F]{1,32})("\s*,\s*"(?!spanID")\w+"\s*:)')
"""How a trace begins: what precedes its id, the id, and its second key, which distinguishes it from a span."""
_HEAD_BYTES = 1024
_OTLP_HEAD = re.compile(rb'\{\s*"resourceSpans"\s*:')
_SPAN_HEAD = re.compile(
    rb'\{\s*"traceID"\s*:\s*"([0-9a-fA-F]{1,32})"\s*,\s*"spanID"\s*:\s*"[0-9a-fA-F]*"\s*,\s*'
    rb'"(?:flags|operationName|parentSpanID|references)"'
)
"""How a span begins, with the id of its trace; the third key distinguishes it from a reference to another trace."""
_SPAN_BYTES = 4096
_SHORTEST_LEAP = 8192
_AFTER_BYTES = 2**20
_CONTENT_AGAIN = re.compile(rb'"(data|resourceSpans|batches)"')
_LINE_END = re.compile(rb"\n")
_TEXT = re.compile(rb"[^ \t\r\n]")
_ID = re.compile(rb"[0-9a-fA-F]{1,32}")
_LONGEST_ID = 32
_BLANKS = b" \t\r\n"
_SEPARATOR_BYTES = 64
_RAW = msgspec.json.Decoder(msgspec.Raw)


def _is_lines(view: memoryview, start: int, limit: int) -> bool:
    """Whether the first line is a complete document and others follow."""
    found = _LINE_END.search(view, start, limit)
    if found is None or _TEXT.search(view, found.end()) is None:
        return False
    try:
        _RAW.decode(view[start : found.start()])
    except BROKEN:
        return False  # part of a document that spans lines, or broken JSON, which is reported later
    return True


def _split_messages(view: memoryview, messages: Sequence[Message], location: str) -> Split:
    """Find the traces in each message of OTLP; those that begin with their lengths may be JSON, too."""
    # Late: few files are protobuf.
    from traceq.codec.protobuf_requests import Requests

    found = Runs()
    requests = Requests(printable(location))
    binary: list[Message] = []

    def read_json(message: Message, content: Body) -> None:
        found.add_document(read_document(content, location), message.start, message.stop)

    def contents() -> Iterator[Body]:
        for message, content in otlp_frames.contents(view, messages, requests.place, requests.refused, read_json):
            binary.append(message)
            yield content

    keys: Callable[[str], int] = lru_cache(None)(key_of)
    form = Form.FRAMES if messages[0].is_framed else Form.GROUPS
    for number, trace_ids in enumerate(requests.trace_ids(contents())):
        if trace_ids:
            found.add(binary[number].start, binary[number].stop, set(map(keys, trace_ids)), form)
    notes = requests.notes(messages, is_all=not (found.runs or requests.nameless))
    notes += names_no_trace([requests.where] * requests.nameless, found.runs)
    return Split(tuple(found.runs), notes=tuple(notes))


def _split_log(view: memoryview, location: str, options: SplitOptions) -> Split:
    try:
        return _split_lines(view, location, options)
    except DecodeError:
        return _whole(view, location, options)  # other lines may stand between, or the same error is raised again


def _split_lines(view: memoryview, location: str, options: SplitOptions) -> Split:
    """Treat every line that begins like a trace as one; read the other lines, and the first one in any case."""
    found = Runs()
    calls: list[ServiceCall] = []
    notes: dict[str, None] = {}
    refused: list[DecodeError] = []
    nameless: list[str] = []
    forgotten = 0
    is_log = True
    lone: tuple[SpanFormat, tuple[int, int]] | None = None
    whole = view[: wire.whole_lines(view)]
    if len(whole) < len(view):
        notes[wire.cut_off("the last line")] = None
    for number, start, stop in _lines(whole):
        head = _TRACE_HEAD.match(view, start, min(stop, start + _HEAD_BYTES))
        line = view[start:stop]
        if head and found.runs and not (options.is_proven and not _is_one_trace(line, head[2])):
            found.add(start, stop, (_key(head[2]),), Form.TRACE)
        elif _OTLP_HEAD.match(line) and _add_plain(found, line, start, stop):
            is_log = False
        elif lone and (key := _lone_key(line, lone[0])) is not None:
            found.add(start, stop, (key,), Form.ITEM, lone[1])
        else:
            place = line_of(location, number)
            try:
                document = read_line(line, place)
            except DecodeError as error:
                refused.append(error)
            else:
                is_log = is_log and (document.has_lone_spans or not document.parts)
                found.add_document(document, start, stop, is_proven=options.is_proven)
                nameless += document.nameless
                span_format = span_format_of([msgspec.Raw(line)], place) if document.has_lone_spans else None
                lone = (span_format, (start, stop)) if span_format else lone
                calls += document.calls
                notes.update(dict.fromkeys(document.notes))
        if stop - forgotten >= options.window:
            options.forget(forgotten, stop)
            forgotten = stop
    if refused and is_log:
        raise refused[0]
    told = (*notes, *left_out(refused, "line", printable(location)), *names_no_trace(nameless, found.runs))
    return Split(tuple(found.runs), tuple(calls), told, is_guessed=not options.is_proven)


def _add_plain(found: Runs, line: memoryview, start: int, stop: int) -> bool:
    """Add a line if it holds spans in OTLP and nothing else; return whether it does."""
    # Late, as where documents are read.
    from traceq.codec import otlp

    trace_ids = otlp.trace_ids(line)
    is_plain = len(line) <= _SMALL_BYTES and trace_ids == {otlp.first_trace_id(line)}
    if trace_ids:
        found.add(start, stop, set(map(key_of, trace_ids)), Form.PLAIN if is_plain else Form.DOCUMENT)
    return bool(trace_ids)


_TELLING = frozenset(Object.__struct_encode_fields__)


def _lone_key(line: memoryview, span_format: SpanFormat) -> int | None:
    """Return the key of the trace of a line that is a span of this format like one before it; None if it is not."""
    try:
        keys = wire.KEYS.decode(line)
        if format_of(keys) is not span_format or not _TELLING.isdisjoint(keys):
            return None
        (trace_id,) = span_format.trace_ids([msgspec.Raw(line)])
    except BROKEN:
        return None
    return None if trace_id in wire.VOID_IDS else key_of(trace_id)


def _key(trace_id: bytes) -> int:
    return key_of(trace_id.decode("ascii"))


def _is_one_trace(line: memoryview, trace_id: bytes) -> bool:
    """Whether a line is a whole trace, of which no span names another; it may be a span that has no id."""
    try:
        keys = wire.KEYS.decode(line)
    except BROKEN:
        return False
    return "spans" in keys and not _is_mixed(line, trace_id)


def _is_mixed(trace: memoryview | msgspec.Raw, trace_id: bytes) -> bool:
    return is_mixed(trace, trace_id.decode("ascii").lower())


def _lines(view: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield the number, start and end of each line that is not blank."""
    position, number = 0, 1
    while position < len(view):
        found = _LINE_END.search(view, position)
        end = found.start() if found else len(view)
        text = _TEXT.search(view, position, end)
        if text:
            yield number, text.start(), end
        position, number = end + 1, number + 1


class _List(Struct, frozen=True):
    """A document that is, or holds, a list of traces."""

    body: Searchable
    start: int
    """Where the document begins."""
    head: re.Match[bytes]
    """How the first trace begins."""

    def next_cut(self, begun: int, trace_id: bytes, likely: int) -> int:
        """Find the beginning of the trace after the one with this id that begins here; -1 if there is none.

        Args:
            begun: Where the trace begins.
            trace_id: Its id.
            likely: The number of bytes that it has if it is as long as the one before; 0 for the first.
        """
        # The search begins inside the trace's own head, which it would find otherwise.
        at, cut = self._within(begun + len(self.head[1]) + len(trace_id), trace_id, likely), -1
        while at >= 0 and cut <= begun:
            at = self.body.find(self.head[3], at + 1)
            cut = at if at < 0 else self._beginning(at)
        return cut

    def _within(self, at: int, trace_id: bytes, likely: int) -> int:
        """Find a position far into the trace with this id that begins here, in leaps from span to span.

        Searching all of its bytes would take a tenth of the time of reading it. Leaping over a short one takes longer.
        """
        longest = likely * 3 // 4
        leap = longest or _SHORTEST_LEAP
        while leap >= _SHORTEST_LEAP:
            span = _SPAN_HEAD.search(self.body, at + leap, at + leap + _SPAN_BYTES)
            if span and span[1] == trace_id:
                at, leap = span.start(), longest or leap * 2
            else:
                leap //= 4
        return at

    def cuts_from_end(self, start: int, stop: int) -> Iterator[int]:
        """Find the beginnings of traces in this range, last one first."""
        at = self.body.rfind(self.head[3], start, stop)
        while at >= 0:
            cut = self._beginning(at)
            if cut > start:
                yield cut
            at = self.body.rfind(self.head[3], start, at)

    def _beginning(self, after_id: int) -> int:
        """Return where the trace begins whose id ends here; -1 if there is none."""
        before = self.head[1]
        text = self.body[max(0, after_id - len(before) - _LONGEST_ID) : after_id]
        at = text.rfind(before)
        is_id = at >= 0 and _ID.fullmatch(text, at + len(before)) is not None
        return after_id - len(text) + at if is_id else -1


def _split_list(traces: _List, location: str, options: SplitOptions) -> Split | None:
    """Find the items of a list of traces; None if it is something else, or cannot be taken apart."""
    for find in (_prove,) if options.is_proven else (_guess, _prove):
        found, end = find(traces, location, options)
        closed = None if end is None or not found.runs else _closed(traces, found, end, location)
        if closed is not None:
            return replace(closed, is_guessed=find is _guess)
    return None


def _guess(traces: _List, _location: str, options: SplitOptions) -> tuple[Runs, int | None]:
    """Cut the list where traces seem to begin; only the last one is decoded, to find the end of the list."""
    body, found = traces.body, Runs()
    begun, trace_id = traces.head.start(), traces.head[2]
    forgotten, likely = begun, 0
    while (cut := traces.next_cut(begun, trace_id, likely)) >= 0:
        before = body[max(begun, cut - _SEPARATOR_BYTES) : cut]
        item = before.rstrip(_BLANKS)
        if not item.endswith(b","):
            return found, None
        stop = cut - len(before) + len(item[:-1].rstrip(_BLANKS))
        found.add(begun, stop, (_key(trace_id),), Form.TRACE)
        likely = cut - begun
        begun, trace_id = cut, body[cut + len(traces.head[1]) : cut + _HEAD_BYTES].partition(b'"')[0]
        if begun - forgotten >= options.window:
            options.forget(forgotten, begun)
            forgotten = begun
    items, _, end = last_window(body, begun)
    if len(items) > 1 or end is None:
        return found, None
    if items:
        found.add(begun, begun + len(items[0]), (_key(trace_id),), Form.TRACE)
    return found, end


def _prove(traces: _List, location: str, options: SplitOptions) -> tuple[Runs, int | None]:
    """Cut the list window by window, and check every item."""
    found = Runs()
    position, end = traces.head.start(), None
    while end is None:
        items, after, end = next_window(traces.body, traces.cuts_from_end, position, options.window)
        for start, item in placed(memoryview(traces.body), position, items):
            head = _TRACE_HEAD.match(item)
            if head is None:
                return found, None
            if _is_mixed(item, head[2]):
                document = read_document(bytes(item), location)
                found.add_document(document, start, start + len(item), is_proven=True)
            else:
                found.add(start, start + len(item), (_key(head[2]),), Form.TRACE)
        if not items and end is None:
            return found, None
        options.forget(position, after)
        position = after
    return found, end


def _closed(traces: _List, found: Runs, end: int, location: str) -> Split | None:
    """Check what surrounds the list: with an empty list in its place, the document must hold no traces."""
    view = memoryview(traces.body)
    if len(view) - end > _AFTER_BYTES or _CONTENT_AGAIN.search(view, end):
        return None
    first = view[found.runs[0].starts[0] : found.runs[0].stops[0]]
    begin = bytes(view[traces.start : traces.head.start()])
    is_cut = end == len(view)
    closing = (b"]}" if begin.startswith(b"{") else b"]") if is_cut else view[end:]
    shell = b"".join((begin, closing))
    try:
        around = read_document(shell, location)
        is_trace = len(read_document(first, location, is_answer=True).parts) == 1
    except DecodeError:
        return None  # the error is reported when the document is read as a whole
    if around.parts or around.calls or not is_trace:
        return None
    return Split(tuple(found.runs), notes=(*around.notes, *((CUT_OFF,) if is_cut else ())))
