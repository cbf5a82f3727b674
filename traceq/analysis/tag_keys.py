"""Keys of tags that come near to one that no span has."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from traceq.conditions import names_of
from traceq.nearest import Near, near
from traceq.query import TraceQuery
from traceq.traces import Traces

_MADE_UP = frozenset(("error", "event", "otel.status_code", "span.kind"))
"""Keys that conditions know although no span may have them."""


def near_keys(traces: Traces, key: str, rows: Iterable[int] | None = None) -> Near:
    """Find keys of attributes and resources like a key that no span has; each span has to be read.

    Raises:
        ValueError: If the traces were read without attributes.
    """
    return near(key, _keys(traces, rows, "resource." if key.startswith("resource.") else ""))


def _keys(traces: Traces, rows: Iterable[int] | None, prefix: str) -> set[str]:
    """Give all keys, those of resources with a prefix: they count with `resource.` and without."""
    known: set[str] = set()
    resources: set[str] = set()
    for row in range(traces.span_count) if rows is None else rows:
        details = traces.span(row).details
        known.update(details.attributes())
        resources.update(details.resource())
    return known.union(f"{prefix}{key}" for key in resources)


class KeySums(Struct, frozen=True):
    """Which of some keys there are, and what comes near to the others; can be added to others for the same keys."""

    there: frozenset[str] = frozenset()
    near: tuple[Near, ...] = ()

    def __add__(self, other: KeySums) -> KeySums:
        if not (self.near and other.near):
            return self if self.near else other
        near = tuple(one + more for one, more in zip(self.near, other.near, strict=True))
        return KeySums(self.there | other.there, near)


class KeyQuestion(Struct, frozen=True):
    """Which keys that were asked for no span has."""

    keys: tuple[str, ...]
    learns: bool = False
    needs_details: bool = True

    def nothing(self) -> KeySums:
        """Give the sums of no traces."""
        return KeySums()

    def collect(self, traces: Traces) -> KeySums:
        """Look through a table."""
        plain, of_resources = (_keys(traces, None, prefix) for prefix in ("", "resource."))
        known = plain | of_resources
        # Events have keys as well, which are looked for too.
        for row in range(traces.span_count):
            known.update(*(event.attributes for event in traces.span(row).details.events()))
        there = frozenset(key for key in self.keys if key in _MADE_UP or known.intersection(names_of(key)))
        return KeySums(there, tuple(near(key, known) for key in self.keys))

    def notes(self, sums: KeySums) -> tuple[str, ...]:
        """Say which keys no span has, and what may be meant; nothing about keys that come near to none."""
        return tuple(
            f"no span has the tag '{key}': {found.question}"
            for key, found in zip(self.keys, sums.near or (Near(),) * len(self.keys), strict=True)
            if key not in sums.there and found.question
        )


def unknown_keys(query: TraceQuery, put: Callable[[TraceQuery, KeyQuestion], KeySums]) -> tuple[str, ...]:
    """Say, after nothing has matched, which tags that were asked for no span has, and what may be meant.

    Args:
        query: What nothing matched.
        put: Puts a question to all traces of the service.
    """
    question = KeyQuestion(query.tag_keys)
    return question.notes(put(TraceQuery(service=query.service), question)) if query.tag_keys else ()
