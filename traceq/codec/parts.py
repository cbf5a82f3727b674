"""Parts of traces: what documents hold, not decoded yet.

A trace object of Jaeger's v1 JSON may list spans of several traces, as files put together by hand do. Looking for them
costs a fifth of the time of reading, so it is done at once only where there is little to read. Else whoever decodes the
spans finds out, and the files are looked through again, with care (`MixedTracesError`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from traceq.codec import jaeger
from traceq.codec.fitting import as_text
from traceq.codec.jaeger_fields import Mixable, is_other
from traceq.codec.mending import decoded, encoded
from traceq.codec.wire import BROKEN, collector_paused, refusal
from traceq.errors import MixedTracesError
from traceq.records import Codebook, CodedTrace
from traceq.semantics import Attributes
from traceq.traces import TraceWarning, normal_id
from traceq.untrusted import printable, quoted

_Located = TypeVar("_Located")
_Located_contra = TypeVar("_Located_contra", contravariant=True)


class Part(Protocol):
    """A trace, or the part of it that one document holds, not decoded yet."""

    @property
    def trace_id(self) -> str:
        """Lower-case hex, as long as the source gave it."""

    def coded(self, codes: Codebook, *, with_details: bool) -> CodedTrace:
        """Decode the spans, now, with codes from this codebook.

        Callers that decode many parts should pause the garbage collector meanwhile.

        Args:
            codes: Gains the names, origins and meanings that it lacks.
            with_details: Whether to keep attributes, events and links.

        Raises:
            DecodeError: If they cannot be read.
        """

    def line(self) -> bytes | None:
        """Return the trace as it was written, without line ends, if that is Jaeger's v1 JSON; otherwise None."""

    def attributes(self, span_ids: Collection[str]) -> Iterator[tuple[str, str, Attributes]]:
        """Find the spans with these ids, and yield the id, name and attributes of each.

        Raises:
            DecodeError: If the spans cannot be read.
        """


class JaegerPart(Struct, frozen=True):
    """A trace object in Jaeger's v1 JSON."""

    trace_id: str
    trace: msgspec.Raw | memoryview
    place: str
    """Where it is, for messages."""
    listed_in: str = ""
    """The id of the trace that lists the spans, where it is another one."""
    keeps_others: bool = False
    """Whether spans that name other traces stay in the one that lists them."""

    def coded(self, codes: Codebook, *, with_details: bool) -> CodedTrace:
        """See `Part`.

        Raises:
            MixedTracesError: If there are spans of other traces, and the part does not keep them.
        """
        coded = jaeger.read_coded(self.trace, self.trace_id, self.place, codes, with_details=with_details)
        if not self.keeps_others and any(repair.code == "other-trace" for repair in coded.repairs):
            raise MixedTracesError(self.trace_id, self.place)
        if self.listed_in:
            told = f"it is listed in the trace {quoted(self.listed_in, 40)}, and shown in the one that it names"
            coded.repairs += [TraceWarning("other-trace", self.trace_id, told, span_id) for span_id in coded.span_ids]
        return coded

    def lists_others(self, mentioning: re.Pattern[bytes]) -> bool:
        """Whether it lists spans of several traces, and has this text somewhere; finding the text is much faster."""
        may = not self.keeps_others and mentioning.search(self.trace) is not None
        return may and is_mixed(self.trace, self.trace_id)

    def parted(self) -> Iterator[JaegerPart]:
        """Give a part for each of the traces whose spans it lists, each of which keeps its spans then."""
        if self.keeps_others or not is_mixed(self.trace, self.trace_id):
            yield replace(self, keeps_others=True)
            return
        for trace_id, trace in _parted(self.trace, self.trace_id):
            listed_in = "" if trace_id == self.trace_id else self.trace_id
            yield JaegerPart(trace_id, trace, self.place, listed_in, keeps_others=True)

    def line(self) -> bytes | None:
        """See `Part`."""
        return jaeger.as_line(self.trace)

    def attributes(self, span_ids: Collection[str]) -> Iterator[tuple[str, str, Attributes]]:
        """See `Part`."""
        return jaeger.find_attributes(self.trace, self.trace_id, self.place, span_ids)


def read_trace(trace: memoryview, location: str) -> Part:
    """Treat bytes as one trace in Jaeger's v1 JSON.

    Raises:
        DecodeError: If they hold no trace id.
    """
    place = printable(location)
    trace_id = jaeger.read_trace_id(trace, place)
    if trace_id is None:
        raise refusal(place, "a trace has neither id nor spans")
    return JaegerPart(trace_id, trace, place)


def are_mixed(parts: Iterable[Part], digits: str) -> bool:
    """Whether a trace object lists spans of several traces, one of which may have an id with these digits."""
    mentioning = re.compile(re.escape(digits).encode(), re.IGNORECASE)
    return any(isinstance(part, JaegerPart) and part.lists_others(mentioning) for part in parts)


def parted(parts: Iterable[Part]) -> Iterator[Part]:
    """Give every trace a part of its own, where trace objects list spans of several."""
    for part in parts:
        if isinstance(part, JaegerPart):
            yield from part.parted()
        else:
            yield part


class SpanReader(Protocol[_Located_contra]):
    """Reads the spans of one trace in one format."""

    def __call__(
        self, spans: Sequence[_Located_contra], trace_id: str, codes: Codebook, *, with_details: bool
    ) -> CodedTrace:
        """Decode the spans; see `Part.coded`."""


class SpansPart(Struct, Generic[_Located], frozen=True):
    """The spans of one trace in a format in which each span names its trace."""

    trace_id: str
    spans: Sequence[_Located]
    """Not decoded yet, each with what says where it is."""
    read: SpanReader[_Located]

    def coded(self, codes: Codebook, *, with_details: bool) -> CodedTrace:
        """See `Part`."""
        return self.read(self.spans, self.trace_id, codes, with_details=with_details)

    def line(self) -> bytes | None:
        """Return None."""
        return None

    def attributes(self, span_ids: Collection[str]) -> Iterator[tuple[str, str, Attributes]]:
        """See `Part`."""
        codes = Codebook()
        with collector_paused():
            coded = self.coded(codes, with_details=True)
        names = tuple(codes.names)
        for span_id, name, details in zip(coded.span_ids, coded.names, coded.details, strict=True):
            if span_id in span_ids:
                yield span_id, names[name], details.attributes()


def together(parts: Sequence[Part]) -> Sequence[Part]:
    """Put parts of one trace together that follow each other and are read alike.

    What is decided about a trace, such as the unit of its times, or which pieces are one span, is decided once then,
    and does not depend on how its spans are spread over lines and files.
    """
    if len(parts) == 1:
        return parts
    return [each for _, run in groupby(parts, _read_with) for each in _as_one(list(run))]


def _read_with(part: Part) -> object:
    return (part.trace_id, part.read) if isinstance(part, SpansPart) else None


def _as_one(run: list[Part]) -> list[Part]:
    first = run[0]
    if len(run) == 1 or not isinstance(first, SpansPart):
        return run
    return [replace(first, spans=[span for part in run if isinstance(part, SpansPart) for span in part.spans])]


LocatedSpan: TypeAlias = tuple[str, msgspec.Raw]
"""Where a span is, for messages, and its JSON."""


class SpanFormat(Struct, frozen=True):
    """A format in which each span is a JSON object of its own, in lists, one a line, or one after the other."""

    trace_ids: Callable[[Sequence[msgspec.Raw]], Sequence[str]]
    """Reads the id of each span's trace, lower-case hex, empty where there is none; raises what `wire.BROKEN` lists."""
    read: SpanReader[LocatedSpan]


class _Ids(msgspec.Struct, gc=False):
    spans: list[Mixable] | None = None


class _Spans(msgspec.Struct, gc=False):
    spans: list[msgspec.Raw] | None = None


_IDS = msgspec.json.Decoder(_Ids)
_SPANS = msgspec.json.Decoder(_Spans)
_ANYTHING_ELSE = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_mixed(trace: msgspec.Raw | memoryview, trace_id: str) -> bool:
    """Whether a trace object lists spans that name another trace."""
    try:
        named = {span.trace_id for span in _IDS.decode(trace).spans or ()}
    except BROKEN:
        named = {_named(span) for span in _listed(trace)}
    return any(is_other(each, trace_id) for each in named)


def _parted(trace: msgspec.Raw | memoryview, trace_id: str) -> Iterator[tuple[str, msgspec.Raw]]:
    """Make a trace object for each of the traces that spans name, the one that lists them first, if any stay there."""
    spans: dict[str, list[msgspec.Raw]] = {}
    ids: dict[str, str] = {}
    for span in _listed(trace):
        named = _named(span)
        owner = named.lower() if named is not None and is_other(named, trace_id) else trace_id
        spans.setdefault(normal_id(owner), []).append(span)
        ids.setdefault(normal_id(owner), owner)
    shell = {key: value for key, value in _ANYTHING_ELSE.decode(trace).items() if key not in ("traceID", "spans")}
    for key in sorted(spans, key=lambda key: key != normal_id(trace_id)):
        # What the source says of the trace is about the one that it lists.
        beside: dict[str, Any] = dict(shell) if ids[key] == trace_id else {**shell, "warnings": None}
        yield ids[key], msgspec.Raw(encoded({"traceID": ids[key], "spans": spans[key], **beside}))


def _listed(trace: msgspec.Raw | memoryview) -> list[msgspec.Raw]:
    try:
        return _SPANS.decode(trace).spans or []
    except BROKEN:
        return []  # told where the spans are read


def _named(span: msgspec.Raw) -> str | None:
    found = decoded(span)
    named = found.get("traceID") if isinstance(found, dict) else None
    return as_text(named) if isinstance(named, (str, int, Decimal)) else None
