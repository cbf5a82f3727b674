"""Why nothing matches: names that nothing has, and windows in which there are no traces."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from traceq.catalog import Window
from traceq.conditions import names_of
from traceq.errors import Near, SourceError, near
from traceq.query import TraceQuery, window_text
from traceq.semantics import operation
from traceq.traces import Traces
from traceq.units import NS_PER_MS, format_rfc3339, format_time, plural
from traceq.untrusted import quoted
from traceq.where import EITHER_NAME, All, Comparison, Member, Where, text_of
from traceq.where import Any as AnyOf

NamedThing: TypeAlias = Literal["tag", "service", "operation"]
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


class NameSums(Struct, frozen=True):
    """Which of some names there are, and what comes near to the others; can be added to others for the same names."""

    there: frozenset[str] = frozenset()
    near: tuple[Near, ...] = ()

    def __add__(self, other: NameSums) -> NameSums:
        if not (self.near and other.near):
            return self if self.near else other
        near = tuple(one + more for one, more in zip(self.near, other.near, strict=True))
        return NameSums(self.there | other.there, near)


class NameQuestion(Struct, frozen=True):
    """Which names that were asked for nothing has."""

    what: NamedThing
    names: tuple[str, ...]
    learns: bool = False

    @property
    def needs_details(self) -> bool:
        """Whether attributes are looked at."""
        return self.what == "tag"

    def nothing(self) -> NameSums:
        """Give the sums of no traces."""
        return NameSums()

    def collect(self, traces: Traces) -> NameSums:
        """Look through a table."""
        match self.what:
            case "tag":
                return self.among(_keys_anywhere(traces))
            case "service":
                return self.among(traces.services)
            case "operation":
                return self.among({*traces.names, *map(operation, traces.names)})

    def among(self, known: Collection[str]) -> NameSums:
        """Look for the names among those that there are."""
        made_up = _MADE_UP if self.what == "tag" else ()
        there = frozenset(name for name in self.names if name in made_up or not {*names_of(name)}.isdisjoint(known))
        return NameSums(there, tuple(near(name, known) for name in self.names))

    def notes(self, sums: NameSums, among: str = "") -> tuple[str, ...]:
        """Say which names nothing has, and what may be meant; of tags only those that come near to others.

        Args:
            sums: What was found.
            among: Where it was looked for tags, if that was not everywhere.
        """
        told = f"no span{among} has the tag '{{}}'" if self.what == "tag" else f"there is no {self.what} '{{}}'"
        return tuple(
            ": ".join(filter(None, (told.format(quoted(name)), found.question)))
            for name, found in zip(self.names, sums.near or (Near(),) * len(self.names), strict=True)
            if name not in sums.there and (found.question or self.what != "tag")
        )


def _keys_anywhere(traces: Traces) -> set[str]:
    """Give the keys of attributes, of resources with `resource.` and without, and of events."""
    known = _keys(traces, None, "") | _keys(traces, None, "resource.")
    for row in range(traces.span_count):
        known.update(*(event.attributes for event in traces.span(row).details.events()))
    return known


_ENDS = ("--start", "--end")


class TimesFound(Struct, frozen=True):
    """When spans began; can be added to others."""

    trace_count: int = 0
    first_ns: int | None = None
    last_ns: int | None = None

    def __add__(self, other: TimesFound) -> TimesFound:
        first = [each for each in (self.first_ns, other.first_ns) if each is not None]
        last = [each for each in (self.last_ns, other.last_ns) if each is not None]
        return TimesFound(self.trace_count + other.trace_count, min(first, default=None), max(last, default=None))


class TimesQuestion(Struct, frozen=True):
    """When the spans of traces began."""

    learns: bool = False
    needs_details: bool = False

    def nothing(self) -> TimesFound:
        """Give the sums of no traces."""
        return TimesFound()

    def collect(self, traces: Traces) -> TimesFound:
        """Look through a table; spans whose start nobody knows are at 0."""
        known = [start_ns for start_ns in traces.start_ns if start_ns > 0]
        return TimesFound(len(traces), min(known, default=None), max(known, default=None))


class Cataloged(Protocol):
    """A source that lists its services."""

    def services(self) -> tuple[str, ...]:
        """List them."""


Find: TypeAlias = Callable[[TraceQuery], Traces]
"""Finds traces, with attributes."""


Put: TypeAlias = Callable[[TraceQuery, Any], Any]
"""Puts a question to all traces that a query matches; what it gives has the `sums`."""


def reasons(query: TraceQuery, put: Put) -> tuple[str, ...]:
    """Say, after nothing in files has matched, what may be the reason, and what to try.

    Args:
        query: What nothing matched.
        put: Puts a question to the files.
    """
    questions = (NameQuestion("tag", query.tag_keys), *_named_in(query))
    asked = TraceQuery(service=query.service)
    unknown = (question.notes(put(asked, question).sums) for question in questions if question.names)
    return (*chain.from_iterable(unknown), *_other_times(query, put))


def unknown_services(query: TraceQuery, source: Cataloged) -> tuple[str, ...]:
    """Say which services that a condition names a server does not know; it is asked only if there are such names."""
    service, _ = _named_in(query)
    return service.notes(service.among(source.services())) if service.names else ()


_SAMPLED = 20


def missing_tags(query: TraceQuery, find: Find) -> tuple[str, ...]:
    """Say, after nothing on a server has matched, which tags that a condition names may be misspelt.

    A server does not list tags: a few traces that meet nothing but the service and the window are looked at. It is
    asked only if there are such names.

    Args:
        query: What nothing matched.
        find: Asks the server.
    """
    question = NameQuestion("tag", query.tag_keys)
    if not question.names:
        return ()
    try:
        sample = find(TraceQuery(service=query.service, window=query.window, limit=_SAMPLED))
    except SourceError:
        return ()  # that nothing matched is known, and true without a reason
    return question.notes(question.collect(sample), f" in a sample of {plural(len(sample), 'trace')}")


def _named_in(query: TraceQuery) -> tuple[NameQuestion, NameQuestion]:
    """Ask for the services and operations that a condition names; options that name them are errors if they are not."""
    where = query.where
    services, operations = ((), ()) if where is None else (_equals_in(where, "service"), _equals_in(where, "operation"))
    return NameQuestion("service", services), NameQuestion("operation", operations)


def _other_times(query: TraceQuery, put: Put) -> tuple[str, ...]:
    """Say when traces are that match but for the window, and how to see them; nothing where there are none."""
    if query.window == Window():
        return ()
    found: TimesFound = put(replace(query, window=Window(), limit=None), TimesQuestion()).sums
    if found.first_ns is None or found.last_ns is None:
        return ()
    ends = (found.first_ns // NS_PER_MS * NS_PER_MS, -(-found.last_ns // NS_PER_MS) * NS_PER_MS)
    when = f"{format_time(ends[0])} to {format_time(ends[1])}"
    options = " ".join(f"{option} {format_rfc3339(ns)[:23]}Z" for option, ns in zip(_ENDS, ends, strict=True))
    has_more = replace(query, window=Window(), limit=None) != TraceQuery()
    told = f"nothing{' that matches' if has_more else ''} is of the time {window_text(query.window)}"
    others = f"{plural(found.trace_count, 'trace')} outside of it, {when}"
    return (f"{told}; {others}: `{options}` in its place finds {'it' if found.trace_count == 1 else 'them'}",)


def _equals_in(where: Where, name: str) -> tuple[str, ...]:
    """Give every text that something under a name has to be equal to, in some part of a condition."""
    match where:
        case Comparison(named, "=", value) if EITHER_NAME.get(named, named) == name:
            return (text_of(value),)
        case Member(named, values, is_negated=False) if EITHER_NAME.get(named, named) == name:
            return tuple(map(text_of, values))
        case All(parts) | AnyOf(parts):
            return tuple(dict.fromkeys(text for part in parts for text in _equals_in(part, name)))
        case _:
            return ()
