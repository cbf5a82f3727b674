"""Which spans of one trace are looked for: by text, by place in the tree, or as holders of the critical path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from msgspec import Struct

from traceq.analysis.culprits import Examined
from traceq.analysis.grouping import fold_ancestors
from traceq.semantics import Attributes, value_text
from traceq.traces import Span


class Wanted(Struct, frozen=True):
    """What spans have to be; by default every span is."""

    text: str | None = None
    """What a name, an attribute or an event has to contain, in upper or lower case; None for anything."""
    on_path: bool = False
    """Whether the span has to hold the critical path."""
    root: int | None = None
    """The row below which it has to lie, or be; None for anywhere."""

    @property
    def is_all(self) -> bool:
        """Whether every span is wanted."""
        return self == Wanted()


class Selection(Struct, frozen=True):
    """The spans of a trace that are wanted."""

    wanted: Wanted
    rows: frozenset[int]
    matches: Mapping[int, tuple[str, ...]] = {}
    """For each row where the text was found: `operation`, `attribute db.statement`, `event message_saved`, ..."""


def select_spans(examined: Examined, wanted: Wanted) -> Selection:
    """Find the spans of a table that are wanted.

    Raises:
        ValueError: If a text is wanted and the traces were read without attributes.
    """
    parents = examined.spans.parents
    kept = np.ones(parents.size, dtype=np.bool_)
    if wanted.on_path:
        kept &= examined.paths.own_ns > 0
    if wanted.root is not None:
        is_root = np.arange(parents.size) == wanted.root
        kept &= fold_ancestors(parents, is_root, np.logical_or)
    rows = np.flatnonzero(kept).tolist()
    if wanted.text is None:
        return Selection(wanted, frozenset(rows))
    sought = wanted.text.casefold()
    found = {row: tuple(dict.fromkeys(_places(examined.spans.traces.span(row), sought))) for row in rows}
    matches = {row: places for row, places in found.items() if places}
    return Selection(wanted, frozenset(matches), matches)


def _places(span: Span, sought: str) -> Iterator[str]:
    """Name the parts of a span that contain a text; of attributes the key, an equals sign and the value count."""
    own = (("operation", span.name), ("service", span.service), ("span", span.span_id), ("host", span.host))
    yield from (place for place, text in own if sought in text.casefold())
    if span.peer is not None and sought in span.peer.label.casefold():
        yield "peer"
    details = span.details
    yield from (f"attribute {key}" for key in _keys(details.attributes(), sought))
    yield from (f"resource {key}" for key in _keys(details.resource(), sought))
    for event in details.events():
        if sought in event.name.casefold() or any(_keys(event.attributes, sought)):
            yield f"event {event.name}"


def _keys(attributes: Attributes, sought: str) -> Iterator[str]:
    return (key for key, value in attributes.items() if sought in f"{key}={value_text(value)}".casefold())
