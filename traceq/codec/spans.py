"""Decodes spans that each are a JSON object of their own: many at once, and one by one to say which is broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from traceq.codec.parts import LocatedSpan
from traceq.codec.wire import BROKEN, READABLE, VOID_IDS, decode, first_void
from traceq.errors import DecodeError
from traceq.records import CodedTrace

_Span = TypeVar("_Span")


@dataclass(frozen=True, slots=True)
class SpanDecoder(Generic[_Span]):
    """Decodes the spans of one format."""

    one: msgspec.json.Decoder[_Span]
    many: msgspec.json.Decoder[list[_Span]]

    def decode(self, spans: Sequence[LocatedSpan], trace_id: str) -> list[_Span]:
        """Decode the spans of a trace.

        Raises:
            DecodeError: If one of them cannot be read; says where it is.
        """
        try:
            return self.many.decode(b"[%b]" % b",".join([raw for _, raw in spans]))
        except BROKEN:
            for place, raw in spans:
                decode(self.one, raw, f"cannot read a span of trace {trace_id} in {place}")
            raise


def check_ids(coded: CodedTrace, place: str) -> None:
    """Check that every span has an id.

    Raises:
        DecodeError: If one has none.
    """
    if not VOID_IDS.isdisjoint(coded.span_ids):
        which = first_void(coded.span_ids)
        raise DecodeError(f"cannot read trace {coded.trace_id} of {place}: span {which} has no id", hint=READABLE)
