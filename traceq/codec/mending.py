"""Makes spans readable whose fields are not as their format has them: one bad span costs one span, or less.

This is the slow way: the fast one decodes whole traces into typed values and fails as soon as anything is wrong. Then
each span is looked at by itself, by the same types, so that this works alike for every format of JSON: what can be
understood is put right, what cannot is left out, and what was done is told in warnings that name the span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from hashlib import blake2b
from itertools import chain
from math import inf
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from traceq.codec.damage import Remark, sound
from traceq.codec.fitting import Fitting, number_of
from traceq.codec.wire import BROKEN, VOID_IDS
from traceq.traces import TraceWarning
from traceq.units import NS_PER_DAY, NS_PER_MS, NS_PER_S, NS_PER_US, YEAR_2000_NS
from traceq.untrusted import quoted

_YEAR_2100_NS = 4_102_444_800 * NS_PER_S
_LONGEST_NS = 366 * NS_PER_DAY
"""No trace lasts longer, in the right unit."""
_NO_TIME = 2**63
"""From here on numbers are negative ones that were written without a sign, or stand for no end."""
_UNITS = {1: "nanoseconds", NS_PER_US: "microseconds", NS_PER_MS: "milliseconds", NS_PER_S: "seconds"}
_REMARKS_TOLD = 3
"""How many things that were wrong with a span its warning lists."""


def _fraction(written: str) -> Decimal:
    if abs(float(written)) == inf:
        raise ValueError(f"{written} is too large")
    return Decimal(written)


_ANYTHING = msgspec.json.Decoder(float_hook=_fraction)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Mended(NamedTuple):
    """A span that can be read, and what was done for that."""

    position: int
    """Its position among those that were given."""
    span: msgspec.Raw
    remarks: Sequence[Remark] = ()


class Mender(Struct, frozen=True):
    """Mends the spans of one format."""

    whole: msgspec.json.Decoder[Any]
    """Decodes a span down to the last attribute; fails if anything is wrong with it."""
    telling: frozenset[str] = frozenset()
    """Keys of which a span has at least one."""
    span_id: str = ""
    """The key of a span's id, where spans without one are given one."""
    start: str = ""
    """The key of a span's start, where its unit is looked into."""
    format_ns: int = 1
    """What the format's times count."""
    end: str = ""
    """The key of a span's end, where the format tells it."""

    def mend(self, spans: Sequence[msgspec.Raw], unit_ns: int | None = None) -> Iterator[Mended]:
        """Make the spans of a trace readable, and leave out what is none; those with nothing wrong stay as they are.

        Args:
            spans: The spans, complete JSON.
            unit_ns: The unit of their times, if it is not the format's.
        """
        for position, span in enumerate(spans):
            if unit_ns is None and self._is_whole(span):
                yield Mended(position, span)
                continue
            own_ns = unit_ns or self._shorter_unit(span)
            fitting = Fitting(own_ns or self.format_ns, self.format_ns)
            if own_ns and not unit_ns:
                fitting.remarks.append(unit_remark(own_ns, self.format_ns))
            written = self._fitted(span, fitting)
            if written is not None:
                yield Mended(position, msgspec.Raw(_ENCODER.encode(written)), fitting.remarks)

    def unit_of(self, spans: Iterable[msgspec.Raw]) -> int | None:
        """Find the unit of the spans' times, if it is not the format's."""
        found = (decoded(span) for span in spans)
        keys = tuple(key for key in (self.start, self.end) if key)
        times = (span.get(key) for span in found if isinstance(span, dict) for key in keys)
        return unit_of([_number(time) for time in times], self.format_ns)

    def _shorter_unit(self, span: msgspec.Raw) -> int | None:
        """Find the unit of a single span's times, if by the format's unit they would be of a later century.

        What would be of an earlier one fits the types; such spans are put right where those of the trace are together.
        """
        unit_ns = self.unit_of([span]) if self.start else None
        return unit_ns if unit_ns and unit_ns < self.format_ns else None

    def _is_whole(self, span: msgspec.Raw) -> bool:
        try:
            found = self.whole.decode(span)
        except BROKEN:
            return False
        return not self.span_id or found.span_id not in VOID_IDS

    def _fitted(self, span: msgspec.Raw, fitting: Fitting) -> dict[str, Any] | None:
        found = _ANYTHING.decode(fitting.sound(bytes(span)))
        if not isinstance(found, dict) or (self.telling and self.telling.isdisjoint(found)):
            return None
        if self.span_id and _is_void(found.get(self.span_id)):
            found[self.span_id] = id_of(bytes(span))
            fitting.remarks.append(Remark("id-missing", f"it has no id, and is given {found[self.span_id]}"))
        return fitting.object(found, self.whole.type)


def repairs(mended: Sequence[Mended], count: int, trace_id: str, span_ids: Sequence[str]) -> list[TraceWarning]:
    """Tell what was done to the spans of a trace.

    Args:
        mended: The spans that can be read.
        count: How many there were.
        trace_id: The trace's id.
        span_ids: The ids of those that can be read.
    """
    kept = {each.position for each in mended}
    lost = [left_out(trace_id, f"item {at} of its spans is no span") for at in range(count) if at not in kept]
    done = (warnings_of(each.remarks, trace_id, span_id) for each, span_id in zip(mended, span_ids, strict=True))
    return [*lost, *chain.from_iterable(done)]


def _is_void(span_id: object) -> bool:
    return not isinstance(span_id, (str, int)) or str(span_id) in VOID_IDS


def decoded(value: msgspec.Raw) -> Any:
    """Decode any JSON, with its fractions as they are written; what is unsound is put right.

    Raises:
        msgspec.DecodeError: If it is not JSON.
    """
    try:
        return _ANYTHING.decode(value)
    except BROKEN:
        return _ANYTHING.decode(sound(bytes(value)).text)


def encoded(value: object) -> bytes:
    """Encode what was decoded and mended."""
    return _ENCODER.encode(value)


def _number(value: object) -> int:
    number = number_of(value)
    return 0 if number is None else int(number)


def unit_of(times: Iterable[int], unit_ns: int) -> int | None:
    """Recognise the unit in which the times of a trace's spans are written, if it is not the one that it should be.

    It is another one only if all spans of the trace that have a start began in the years 2000 to 2099 by it, and so no
    span did by the format's own unit: the ranges of units do not overlap. Small numbers that count from some beginning
    may fall into these years, too; then the trace would last for years.

    Args:
        times: Starts, and ends where the format tells them, as they are written; 0 where there is none.
        unit_ns: The unit that the format has.
    """
    known = [time for time in times if 0 < time < _NO_TIME]
    if not known:
        return None
    first, last = min(known), max(known)
    fitting = (
        unit
        for unit in _UNITS
        if first * unit >= YEAR_2000_NS and last * unit < _YEAR_2100_NS and (last - first) * unit < _LONGEST_NS
    )
    unit = next(fitting, unit_ns)
    return None if unit == unit_ns else unit


def is_odd(starts_ns: Sequence[int]) -> bool:
    """Whether the unit of a trace's times has to be looked into: its first span began before 2000, or after 2099."""
    return bool(starts_ns) and not YEAR_2000_NS <= starts_ns[0] < _YEAR_2100_NS


def unit_told(trace_id: str, unit_ns: int, format_ns: int) -> TraceWarning:
    """Say that times were written in another unit."""
    return TraceWarning("unit-recognised", trace_id, unit_remark(unit_ns, format_ns).text)


def unit_remark(unit_ns: int, format_ns: int) -> Remark:
    """Say that the times of a single span were written in another unit."""
    told = f"its times are in {_UNITS[unit_ns]}, where {_UNITS[format_ns]} belong, as the year tells"
    return Remark("unit-recognised", told)


def left_out(trace_id: str, message: str, span_id: str = "") -> TraceWarning:
    """Say that something was left out that is no span, or cannot be read."""
    return TraceWarning("span-left-out", trace_id, message, span_id)


def warnings_of(remarks: Iterable[Remark], trace_id: str, span_id: str) -> list[TraceWarning]:
    """Make one warning of each kind of what was done to a span."""
    by_code: dict[Any, list[str]] = {}
    for remark in dict.fromkeys(remarks):
        by_code.setdefault(remark.code, []).append(remark.text)
    return [TraceWarning(code, trace_id, quoted(_listed(texts), 300), span_id) for code, texts in by_code.items()]


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _REMARKS_TOLD
    return "; ".join(texts[:_REMARKS_TOLD]) + (f"; and {more} more" if more > 0 else "")


def id_of(span: bytes) -> str:
    """Make an id for a span that has none: the same for the same bytes."""
    return blake2b(span, digest_size=8).hexdigest()


_Span = TypeVar("_Span")


class Spans(NamedTuple, Generic[_Span]):
    """Spans that were decoded."""

    decoded: list[_Span]
    mended: Sequence[Mended] | None = None
    """What was done to each of them; None where nothing was."""
    given: int = 0
    """How many there were to be decoded, where something was done to them."""
    unit_ns: int | None = None
    """The unit of their times, where it was another one than the format's."""

    def positions(self) -> Iterable[int]:
        """Give the position of each span among those that were to be decoded."""
        return range(len(self.decoded)) if self.mended is None else [each.position for each in self.mended]


class SpanDecoder(Struct, Generic[_Span], frozen=True):
    """Decodes the spans of one format."""

    one: msgspec.json.Decoder[_Span]
    many: msgspec.json.Decoder[list[_Span]]
    mender: Mender | None = None
    """Mends spans; None where all that there is to know is how one is decoded."""

    def decode(self, spans: Sequence[msgspec.Raw]) -> Spans[_Span]:
        """Decode spans; what is wrong with them is put right, and what is no span is left out."""
        try:
            return Spans(self.many.decode(b"[%b]" % b",".join(spans)))
        except BROKEN:
            return self.mended(spans)

    def mended(self, spans: Sequence[msgspec.Raw]) -> Spans[_Span]:
        """Decode spans one by one, the slow way."""
        mender = self.mender or Mender(self.one)
        unit_ns = mender.unit_of(spans) if mender.start else None
        mended = list(mender.mend(spans, unit_ns))
        return Spans([self.one.decode(each.span) for each in mended], mended, len(spans), unit_ns)
