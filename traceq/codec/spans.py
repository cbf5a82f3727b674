"""Decodes spans that each are a JSON object of their own: many at once, and one by one where some have to be mended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from traceq.codec.mending import Mended, Mender
from traceq.codec.wire import BROKEN

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
