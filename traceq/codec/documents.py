"""Bytes to parts of traces: recognizes the format, splits documents into traces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from traceq.catalog import ServiceCall, sum_calls
from traceq.codec import jaeger, otlp_frames, wire
from traceq.codec.damage import Variant, marked, variants
from traceq.codec.json_objects import (
    DATA,
    MISSING,
    OBJECT,
    RAW,
    MoreFollowsError,
    Object,
    decode,
    end_of_first,
    failure_told,
    first_keys,
    format_of,
    is_action,
    is_empty,
    keys_of,
    refuse_known,
    span_format_of,
)
from traceq.codec.otlp_fields import ResourceSpans
from traceq.codec.parts import JaegerPart, LocatedSpan, Part, SpanFormat, SpansPart
from traceq.codec.rust_stdout import with_statuses_of_otlp
from traceq.codec.wire import Body, collector_paused, left_out, names_no_trace, refusal
from traceq.errors import DecodeError
from traceq.units import format_count
from traceq.untrusted import printable


class Document(Struct, frozen=True):
    """The contents of a document."""

    parts: Sequence[Part] = ()
    """In the order of the bytes; a trace may be spread over several."""
    calls: tuple[ServiceCall, ...] = ()
    """Empty unless the bytes are Jaeger's dependency table."""
    notes: tuple[str, ...] = ()
    """Failures that a server reported besides the traces that it did return, safe to show."""
    has_lone_spans: bool = False
    """Whether there are spans that stand alone, which may be lines of a log, rather than in documents."""
    nameless: tuple[str, ...] = ()
    """Where the spans are that name no trace, in a part of a file; what is read as a whole has a note about them."""


def read_document(body: Body, location: str, *, is_answer: bool = False) -> Document:
    """Find the traces in JSON: a single document, one per line, or several that follow each other.

    Args:
        body: The bytes, uncompressed. Parts refer to them until they are decoded, so they must not change.
        location: Where they come from, for messages.
        is_answer: Whether a server answered: nothing may be missing then, and it is believed about what is in a trace.

    Raises:
        DecodeError: If they are anything else, or broken. The spans themselves are checked by `Part.coded`.
    """
    return read_documents((memoryview(body),), location, is_answer=is_answer)


def read_documents(bodies: Iterable[memoryview], location: str, *, is_answer: bool = False) -> Document:
    """Find the traces in several ranges of bytes from one place, as `read_document` does in one."""
    place = printable(location)
    reader = _Reader(is_answer)
    with collector_paused():
        for view in bodies:
            reader.read_file(view, place)
        return reader.document()


def read_line(line: memoryview, location: str) -> Document:
    """Find the traces in a line of a file that has others: it is whole, or broken.

    Raises:
        DecodeError: If it is broken, or holds anything else.
    """
    place = printable(location)
    reader = _Reader(is_answer=False)
    reader.read_line(line, wire.json_start(line, place), place)
    return reader.part()


def read_spans(ranges: Iterable[memoryview], first: memoryview, location: str) -> Document:
    """Read items of a list of spans, or of a list of such lists; the first item of the list tells the format of all.

    Raises:
        DecodeError: If they are broken, or none of them names its trace.
    """
    place = printable(location)
    reader = _Reader(is_answer=False)
    with collector_paused():
        items = decode(wire.ITEMS, memoryview(b"[%b]" % b",".join(ranges)), place)
        first_items = [msgspec.Raw(first)]
        if first[0] == ord("["):
            items = [span for item in items for span in decode(wire.ITEMS, memoryview(item), place)]
            first_items = decode(wire.ITEMS, first, place)
        reader.add_spans(first_items, items, place)
        return reader.document()


_MAX_DEPTH = 6
"""How deeply documents may be nested: several answers of Elasticsearch in one are that deep, nothing else is."""


class _Reader(Struct):
    """Collects what a document holds."""

    is_answer: bool
    """Whether a server answered: nothing may be missing then, and it is believed about what belongs to a trace."""
    is_lenient: bool = False
    """Whether lines that hold no traces are left out even where spans stand alone, which a log may hold, too."""
    parts: list[Part] = []
    calls: list[ServiceCall] = []
    notes: list[str] = []
    nameless: list[str] = []
    """Where the spans are that name no trace."""
    other_lines: int = 0
    """How many lines of logs hold no spans."""
    envelopes: int = 3
    """How many things there may be around lines: a prefix, a time, colours; lines made for it could have thousands."""
    _spans: dict[SpanFormat, list[LocatedSpan]] = {}

    def document(self) -> Document:
        """Give what was found.

        Raises:
            DecodeError: If there are spans, and none names its trace.
        """
        part = self.part()
        return replace(part, notes=(*part.notes, *names_no_trace(part.nameless, part.parts)), nameless=())

    def part(self) -> Document:
        """Give what was found in a part of a file, without a word about spans that name no trace: others may follow."""
        parts = (*self.parts, *self.span_parts())
        others = [f"lines without spans, left out: {format_count(self.other_lines)}"] if self.other_lines else []
        notes = tuple(dict.fromkeys(others + self.notes))
        return Document(parts, sum_calls(self.calls), notes, self.has_lone_spans, tuple(self.nameless))

    @property
    def has_lone_spans(self) -> bool:
        """Whether there are spans that stand alone."""
        return bool(self._spans)

    def read_file(self, body: memoryview, place: str) -> None:
        """Read everything that a file holds, or a range of it; of a program's log the spans among its lines.

        Raises:
            DecodeError: If it is something else, or broken.
        """
        found = _Reader(self.is_answer)
        body = with_statuses_of_otlp(body)
        try:
            found.read_body(body, place)
        except DecodeError as error:
            rest = self._read_otherwise(body, place, error.__cause__)
            if rest is None:
                raise
            found = rest
        self._take(found)

    def _take(self, other: _Reader) -> None:
        self.parts += other.parts
        self.calls += other.calls
        self.notes += other.notes
        self.nameless += other.nameless
        self.other_lines += other.other_lines
        for span_format, located in other._spans.items():
            self._spans.setdefault(span_format, []).extend(located)

    def _read_otherwise(self, body: memoryview, place: str, why: BaseException | None) -> _Reader | None:
        """Read the spans in a log, or what is whole in a document that is damaged; None if there are none."""
        readable = marked(body, why)
        if readable is not None and (found := self._read_damaged([Variant(readable, ())], place)) is not None:
            return found
        found = _Reader(self.is_answer)
        if found.read_log(body, place):
            return found
        if self.is_answer:
            return None
        return self._read_unwrapped(body, place) or self._read_damaged(variants(body, why), place)

    def _read_unwrapped(self, body: memoryview, place: str) -> _Reader | None:
        """Read what programs printed in a log whose lines have something around them."""
        from traceq.codec.log_envelopes import Unwrapped, unwrapped

        printed = unwrapped(body) if self.envelopes else Unwrapped([])
        found = _Reader(is_answer=False, notes=[*printed.notes], envelopes=self.envelopes - 1)
        for text in printed.texts:
            try:
                found.read_file(memoryview(text), place)
            except DecodeError:
                found.other_lines += text.count(b"\n")
        return found if found.parts or found.has_lone_spans else None

    def _read_damaged(self, variants: Iterable[Variant], place: str) -> _Reader | None:
        for variant in variants:
            found = _Reader(self.is_answer, is_lenient=not self.is_answer)
            try:
                # Never as protobuf: with marks in place of broken text, its lengths mean something else.
                found._read_json(variant.body, place)
            except DecodeError:
                continue
            if found.parts or found.has_lone_spans:
                found.notes += variant.notes
                found.other_lines += variant.other_lines
                return found
        return None

    def read_log(self, body: memoryview, place: str) -> bool:
        """Read the spans that console exporters print; return whether there are any, and all can be read."""
        # Late: files are hardly ever logs.
        from traceq.codec import console_log

        log = console_log.read(body)
        for span_format, at, span in log.spans:
            self._spans.setdefault(span_format, []).append((f"{place}, at byte {at}", span))
        self.other_lines += log.other_lines
        self.notes += log.notes
        return bool(log.spans)

    def read_body(self, body: memoryview, place: str) -> None:
        """Read OTLP in protobuf, Parquet, a JSON document, or several."""
        if not self._read_binary(body, place):
            self._read_json(body, place)

    def _read_json(self, body: memoryview, place: str) -> None:
        start = wire.json_start(body, place)
        try:
            self.read(body[start:], place, start)
        except MoreFollowsError as more:
            self._read_all(body, start, start + more.end, place)
        except DecodeError:
            # What is wrong with the first document is found before what follows it.
            end = end_of_first(body[start:], place)
            if end is None:
                raise
            self._read_all(body, start, start + end, place)

    def _read_binary(self, body: memoryview, place: str) -> bool:
        """Read Parquet, OTLP in protobuf, and the messages that the collector framed; return whether it is such."""
        if body[: len(_PARQUET)] == _PARQUET:
            from traceq.codec.parquet_foreign import read_parquet

            parts, nameless = read_parquet(body, place)
            self.parts += parts
            self.nameless += nameless
            return True
        found = otlp_frames.messages(body)
        if found:
            self._read_messages(body, found, place)
        return bool(found)

    def _read_messages(self, body: memoryview, found: Sequence[otlp_frames.Message], place: str) -> None:
        """Read messages of OTLP; those that begin with their lengths may be JSON, too."""
        # Late: few files are protobuf.
        from traceq.codec.protobuf_requests import Requests

        requests = Requests(place)

        def read_json(message: otlp_frames.Message, content: Body) -> None:
            self.read_body(memoryview(content), f"{place}, message at byte {message.start}")

        binary = otlp_frames.contents(body, found, place, requests.refused, read_json)
        parts = requests.parts(content for _, content in binary)
        self.parts += parts
        self.nameless += [requests.where] * requests.nameless
        self.notes += requests.notes(found, is_all=not (self.parts or self.nameless))

    def _read_all(self, body: memoryview, start: int, end: int, place: str) -> None:
        """Read documents that follow each other; the first is from `start` to `end`."""
        if not wire.is_line(body, start, end):
            self._read_following(body, start, place)
            return
        whole = body[: wire.whole_lines(body)]
        if len(whole) < len(body):
            self.notes.append(wire.cut_off("the last line"))
        refused: list[DecodeError] = []
        for number, line in wire.lines(whole):
            line_place = f"{place} line {number}"
            try:
                self.read_line(line, wire.json_start(line, line_place), line_place)
            except DecodeError as error:
                refused.append(error)
        # Spans that stand alone may be lines of a log.
        if refused and (self.is_answer or not (self.parts or (self.is_lenient and self._spans))):
            raise refused[0]
        self.notes += left_out(refused, "line", place)

    def read_line(self, line: memoryview, first: int, place: str) -> None:
        """Read a line, whose JSON begins at `first`."""
        found = _Reader(self.is_answer)
        try:
            found._read_one_or_more(line, first, place)
        except DecodeError as error:
            readable = marked(line[first:], error.__cause__)
            if readable is None:
                raise
            found = _Reader(self.is_answer)
            found._read_one_or_more(readable, 0, place)
        self._take(found)

    def _read_one_or_more(self, line: memoryview, first: int, place: str) -> None:
        try:
            self.read(line[first:], place, first)
        except MoreFollowsError:
            self._read_following(line, first, place)

    def _read_following(self, body: memoryview, start: int, place: str) -> None:
        position = start
        while position < len(body):
            begun = position + wire.json_start(body[position:], f"{place}, after byte {position}")
            end = len(body)
            try:
                decode(RAW, body[begun:], place, begun)
            except MoreFollowsError as more:
                end = begun + more.end
            except DecodeError as error:
                if position == start or not wire.is_truncation(error.__cause__, body[begun:]):
                    raise
                self.notes.append(wire.cut_off(f"the document at byte {begun}"))
                return
            self.read(body[begun:end], f"{place}, document at byte {begun}")
            position = wire.next_text(body, end)

    def read(self, body: memoryview, place: str, start: int = 0, depth: int = 0) -> None:
        """Read an object or list.

        Raises:
            DecodeError: If it is broken, or not of traces.
            MoreFollowsError: If something follows it.
        """
        if depth > _MAX_DEPTH:
            raise refusal(place, "nested too deep for traces")
        if body[0] == ord("["):
            self._read_list(decode(wire.ITEMS, body, place, start), place, depth)
        else:
            self._read_object(*self._object(body, place, start), place, depth)

    def _object(self, body: memoryview, place: str, start: int = 0) -> tuple[Object, memoryview]:
        """Decode an object, with what is wrong with the structure of OTLP put right."""
        try:
            return decode(OBJECT, body, place, start), body
        except DecodeError as error:
            # Late: hardly any document needs it.
            from traceq.codec.otlp_shapes import mended

            made = mended(body) if isinstance(error.__cause__, (msgspec.ValidationError, UnicodeDecodeError)) else None
            if made is None:
                raise
            self.notes += [f"not as OTLP has it: {told}" for told in made.told]
            return decode(OBJECT, made.body, place), made.body

    def _read_list(self, items: list[msgspec.Raw], place: str, depth: int) -> None:
        # In a long list only the first item is examined closely, as long as the others begin in the same way.
        if self.add_spans(items, items, place):
            return
        refused: list[DecodeError] = []
        for position, item in enumerate(items):
            try:
                self._read_item(item, place, depth, position)
            except DecodeError as error:
                if not self.is_lenient or bytes(item) == b"null":
                    raise
                refused.append(error)
        self.notes += left_out(refused, "item", place)

    def add_spans(self, first: Sequence[msgspec.Raw], items: Sequence[msgspec.Raw], place: str) -> bool:
        """Add spans that stand alone; return whether they are that, as the first of some items tells."""
        span_format = span_format_of(first, place)
        if span_format is None:
            return False
        self._spans.setdefault(span_format, []).extend([(place, item) for item in items])
        return True

    def _read_item(self, item: msgspec.Raw, place: str, depth: int, position: int) -> None:
        if position and jaeger.begins_as_trace(item):
            self._add_trace(item, place)
        elif memoryview(item)[0] in b"{[":
            self.read(memoryview(item), place, depth=depth + 1)
        elif bytes(item) == b"null":
            raise refusal(place, f"item {position} of a list is null, where a trace belongs")
        else:
            raise refusal(place, "it looks like a list of names or numbers, as Jaeger's API answers for services")

    def _read_object(self, found: Object, body: memoryview, place: str, depth: int) -> None:
        message = failure_told(found)
        if self._read_content(found, body, place, depth):
            self.notes += [message] if message else []
        elif message:
            raise refusal(place, f"it tells an error: {message}")
        elif not is_empty(found):
            self._read_span(body, place, depth)

    def _read_span(self, body: memoryview, place: str, depth: int) -> None:
        keys = keys_of(body, place)
        span_format = format_of(keys)
        # Late: hardly any document needs it.
        from traceq.codec.otlp_shapes import as_document

        wrapped = None if span_format else as_document(body, keys)
        if wrapped is not None:
            self._read_object(*self._object(wrapped, place), place, depth)
        elif span_format is not None:
            self._spans.setdefault(span_format, []).append((place, decode(RAW, body, place)))
        elif keys and not is_action(keys):
            raise refusal(place, f"it looks like {wire.looks_like(keys)}")

    def span_parts(self) -> Iterator[Part]:
        """Group the spans that were found one by one, by trace."""
        for span_format, located in self._spans.items():
            traces: dict[str, list[LocatedSpan]] = {}
            trace_ids = span_format.trace_ids([raw for _, raw in located])
            for trace_id, span in zip(trace_ids, located, strict=True):
                if trace_id in wire.VOID_IDS:
                    self.nameless.append(span[0])
                    continue
                traces.setdefault(trace_id, []).append(span)
            yield from (SpansPart(trace_id, spans, span_format.read) for trace_id, spans in traces.items())

    def _read_content(self, found: Object, body: memoryview, place: str, depth: int) -> bool:
        """Read the traces that the object holds; return whether it is about traces at all: an empty list counts."""
        if isinstance(found.resource_spans, list) or isinstance(found.batches, list):
            self._add_spans([*(found.resource_spans or ()), *(found.batches or ())], place)
        elif isinstance(found.data, list):
            self._read_list(found.data, place, depth)
        elif isinstance(found.data, dict):
            self.read(memoryview(decode(DATA, body, place).data), place, depth=depth + 1)
        elif found.spans is not MISSING:
            self._read_spans(found.spans, body, place)
        elif found.traces is not MISSING and "spans" in first_keys(memoryview(found.traces), place):
            self.read(memoryview(found.traces), place, depth=depth + 1)
        elif found.child is not MISSING and found.call_count is not MISSING:
            from traceq.codec.answers import CALL

            call = decode(CALL, body, place)
            self.calls.append(ServiceCall(call.parent, call.child, call.call_count))
        else:
            return self._read_wrapped(found, body, place, depth)
        return True

    def _read_spans(self, spans: msgspec.Raw, body: memoryview, place: str) -> None:
        """Read a trace of Jaeger's, or spans that stand alone and have no more than this in common."""
        keys = () if jaeger.begins_as_trace(body) else first_keys(memoryview(spans), place)
        span_format = format_of(keys)
        if span_format is None or not _OF_JAEGER.isdisjoint(keys):
            if keys and "spanID" not in keys:
                refuse_known(keys_of(body, place), place)
                refuse_known(keys, place)
            self._add_trace(body, place)
            return
        # Late: few files hold anything but traces of Jaeger's.
        from traceq.codec.stored_spans import batch_spans

        with wire.failures_told(f"cannot read traces from {place}"):
            located = [(place, span) for span in batch_spans(body)]
        self._spans.setdefault(span_format, []).extend(located)

    def _read_wrapped(self, found: Object, body: memoryview, place: str, depth: int) -> bool:
        """Read what is in `result`, as in Jaeger's v3 answers, in `trace`, as in Tempo's, or in Elasticsearch's."""
        inner = (found.result, found.trace, found.hits, found.source, found.responses, found.raw_response)
        wrapped = [memoryview(each) for each in inner if each is not MISSING]
        objects = [each for each in wrapped if each[0] in b"{["]
        if objects:
            refuse_known(keys_of(body, place), place)
        for each in objects:
            self.read(each, place, depth=depth + 1)
        return bool(objects)

    def _add_trace(self, trace: msgspec.Raw | memoryview, place: str) -> None:
        trace_id = jaeger.read_trace_id(trace, place)
        if trace_id:
            self.parts.append(JaegerPart(trace_id, trace, place, keeps_others=self.is_answer))

    def _add_spans(self, groups: list[ResourceSpans[msgspec.Raw] | None], place: str) -> None:
        # Late: nothing else needs it, and servers of Jaeger's v1 API answer without.
        from traceq.codec import otlp

        traces = otlp.split(groups, place)
        self.nameless += (origin.place for origin, _ in traces.pop("", ()))
        self.parts += (SpansPart(trace_id, spans, otlp.read_coded) for trace_id, spans in traces.items())


_PARQUET = b"PAR1"
_OF_JAEGER = frozenset(("traceID", "spanID"))
"""Keys of spans in Jaeger's v1 JSON, whose services may be told beside the list."""
