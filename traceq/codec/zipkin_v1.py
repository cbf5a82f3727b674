"""Zipkin's v1 spans as v2: `cs`, `sr`, `ss` and `cr` tell the sides, and one object may be both client and server.

Source: zipkin 3, `V1SpanConverter`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from traceq.codec.wire import decode, is_empty
from traceq.codec.zipkin_span import ANNOTATIONS, Annotation, BinaryAnnotation, Endpoint, Span


class _Side(NamedTuple):
    """A side of a conversation, with the annotations that tell when it began and ended, and the other's address."""

    kind: str
    begin: str
    end: str
    address: str


_SIDES = (
    _Side("CLIENT", "cs", "cr", "sa"),
    _Side("SERVER", "sr", "ss", "ca"),
    _Side("PRODUCER", "ms", "", "ma"),
    _Side("CONSUMER", "mr", "", "ma"),
)
_CORE = frozenset(word for side in _SIDES for word in (side.begin, side.end) if word)
_ADDRESSES = frozenset(side.address for side in _SIDES)
_LOCAL = "lc"


def is_v1(span: Span) -> bool:
    """Whether a span is in v1's form: with tags as annotations, or without an endpoint of its own."""
    if span.binary_annotations is not None:
        return True
    return span.local is None and span.kind is None and not is_empty(span.annotations)


def converted(spans: Iterable[Span]) -> list[Span]:
    """Convert those that are in v1's form, each to one span or two with the same id.

    Where a side is told by its end only, or has no duration, its times are left to `settle`.
    """
    return [found for span in spans for found in (_converted(span) if is_v1(span) else (span,))]


def settle(spans: Iterable[Span]) -> None:
    """Take times from the ends of spans, now that their pieces are together."""
    for span in spans:
        if span.ended and not span.timestamp:
            span.timestamp = span.ended - (span.duration or 0)
        elif span.ended and span.timestamp and span.duration is None:
            span.duration = span.ended - span.timestamp


class _Told(NamedTuple):
    """What a v1 span holds."""

    span: Span
    core: dict[str, Annotation]
    """The annotations that tell when a side began or ended."""
    others: list[Annotation]
    tags: list[BinaryAnnotation]
    addresses: dict[str, Endpoint | None]
    """Those of the other sides, by key."""


def _converted(span: Span) -> Iterator[Span]:
    told = _told(span)
    sides = [side for side in _SIDES if side.begin in told.core or side.end in told.core]
    if not sides:
        yield _made(told, None, _only_endpoint(told), (span.timestamp or _earliest(told), span.duration, None), told)
        return
    homes = [_home(told, side) for side in sides]
    services = [home.service if home else None for home in homes]
    for number, (side, home) in enumerate(zip(sides, homes, strict=True)):
        # What happened in the service of another side is that side's; everything else is the first side's.
        mine = told._replace(
            others=[each for each in told.others if _owner(each.endpoint, services) == number],
            tags=[each for each in told.tags if _owner(each.endpoint, services) == number],
        )
        yield _made(told, side, home, _times(told, side, is_alone=len(sides) == 1), mine)


def _told(span: Span) -> _Told:
    annotations = decode(ANNOTATIONS, span.annotations, f"cannot read the annotations of span {span.id}") or []
    binary = span.binary_annotations or []
    return _Told(
        span,
        core={each.value: each for each in reversed(annotations) if each.value in _CORE},
        others=[each for each in annotations if each.value not in _CORE],
        tags=[each for each in binary if not _is_address(each)],
        addresses={each.key: each.endpoint for each in binary if _is_address(each)},
    )


def _is_address(tag: BinaryAnnotation) -> bool:
    return tag.key in _ADDRESSES and tag.endpoint is not None


def _home(told: _Told, side: _Side) -> Endpoint | None:
    core = told.core.get(side.begin) or told.core.get(side.end)
    return core.endpoint if core else None


def _only_endpoint(told: _Told) -> Endpoint | None:
    """Find where a span that is no side of a conversation ran: a local component, or wherever anything is told of."""
    tags = sorted(told.tags, key=lambda tag: tag.key != _LOCAL)
    endpoints = [*(tag.endpoint for tag in tags), *(each.endpoint for each in told.others)]
    return next((endpoint for endpoint in endpoints if endpoint is not None), told.span.local)


def _owner(endpoint: Endpoint | None, services: list[str | None]) -> int:
    service = endpoint.service if endpoint else None
    return services.index(service) if service in services else 0


def _earliest(told: _Told) -> float | None:
    return min((each.timestamp for each in told.others if each.timestamp), default=None)


def _times(told: _Told, side: _Side, *, is_alone: bool) -> tuple[float | None, float | None, float | None]:
    """Return start, duration and end; those of the object are the client's where it is both client and server."""
    span, begin, end = told.span, told.core.get(side.begin), told.core.get(side.end)
    began, ended = begin.timestamp if begin else None, end.timestamp if end else None
    taken = ended - began if began and ended else None
    is_own = is_alone or side is _SIDES[0]
    start = (span.timestamp if is_own else None) or began
    duration = taken if span.duration is None or not is_own else span.duration
    return start or None, duration, ended or None


def _made(
    told: _Told,
    side: _Side | None,
    home: Endpoint | None,
    times: tuple[float | None, float | None, float | None],
    mine: _Told,
) -> Span:
    span = told.span
    return Span(
        id=span.id,
        name=span.name,
        parent_id=span.parent_id,
        kind=side.kind if side else None,
        timestamp=times[0],
        duration=times[1],
        ended=times[2],
        local=home,
        remote=told.addresses.get(side.address) if side else None,
        tags={tag.key: tag.value for tag in mine.tags} | (span.tags or {}),
        annotations=msgspec.Raw(msgspec.json.encode(mine.others)),
    )
