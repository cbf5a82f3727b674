"""The query that a source was given, and what there is to say about its answer."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from traceq.catalog import Window
from traceq.query import TraceQuery
from traceq.traces import TraceWarning, WarningCode, count_warnings
from traceq.units import format_count, format_lookback, format_time

WARNINGS_KEPT = 100
"""The maximum number of warnings of each kind that are listed; the others are counted."""


class Place(Protocol):
    """A source of traces, as far as an answer has to name it."""

    @property
    def location(self) -> str:
        """The source for people: its URL or path, without secrets."""

    @property
    def locations(self) -> tuple[str, ...]:
        """The arguments that open it again: one URL, or paths."""

    @property
    def trace_url(self) -> str:
        """The URL of a trace's page, with `{trace_id}` in it; empty where there are no pages."""

    @property
    def is_live(self) -> bool:
        """Whether it is a server that receives new traces."""


@dataclass(frozen=True, slots=True)
class OneTrace:
    """A trace selected by its id."""

    trace_id: str
    """The trace's id, or a prefix that only one trace has."""
    service: str | None = None
    """The service whose requests in the trace the question is about; None for the whole trace."""


Wanted: TypeAlias = TraceQuery | OneTrace
"""Which traces a question is about."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The query that a source was given, and what there is to say about its answer: the head of every document."""

    location: str = ""
    """The source for people: a URL or paths, without secrets."""
    query: Mapping[str, object] = field(default_factory=dict)
    """The conditions that were set, as in the JSON document."""
    window: str = ""
    """The time window in words (`last 1h`); empty for no limits."""
    locations: tuple[str, ...] = ()
    """The arguments that open the source again."""
    trace_url: str = ""
    """The URL of a trace's page, with `{trace_id}` in it; empty when the source has no pages."""
    is_live: bool = False
    """Whether the source is a server."""
    warnings: tuple[TraceWarning, ...] = ()
    """The first warnings of each kind."""
    warning_counts: Mapping[WarningCode, int] = field(default_factory=dict)
    """The number of warnings of each kind, listed or not."""
    notes: tuple[str, ...] = ()
    """Sentences without a full stop, for standard error and for JSON."""
    is_cut_off: bool = False
    """Whether the limit left traces out, or may have."""

    def command(self, *words: str) -> str:
        """Give a command about the same source, ready to be pasted into a shell."""
        return command_about(self.locations, *words)


def command_about(locations: Iterable[str], *words: str) -> str:
    """Give a command about a source, ready to be pasted into a shell."""
    return shlex.join(("traceq", *words, *(word for location in locations for word in ("--source", location))))


def asked_of(source: Place, wanted: Wanted) -> Asked:
    """Describe a query to a source, before there is an answer."""
    about = Asked(
        location=source.location,
        locations=source.locations,
        trace_url=source.trace_url,
        is_live=source.is_live,
    )
    if isinstance(wanted, OneTrace):
        service = {"service": wanted.service} if wanted.service else {}
        return replace(about, query={"trace_id": wanted.trace_id, **service})
    return replace(about, query=wanted.to_dict(), window=window_text(wanted.window))


def window_text(window: Window) -> str:
    """Give a time window in words (`last 1h`, `since 14:00:00.000`); empty for no limits."""
    if window.lookback_ns is not None:
        return f"last {format_lookback(window.lookback_ns)}"
    if window.start_ns is not None and window.end_ns is not None:
        return f"{format_time(window.start_ns)} to {format_time(window.end_ns)}"
    if window.start_ns is not None:
        return f"since {format_time(window.start_ns)}"
    return "" if window.end_ns is None else f"until {format_time(window.end_ns)}"


@dataclass(frozen=True, slots=True)
class WarningSums:
    """Warnings: the first ones of each kind, and the number of all; can be added to others."""

    listed: tuple[TraceWarning, ...] = ()
    counts: Mapping[WarningCode, int] = field(default_factory=dict)

    def __add__(self, other: WarningSums) -> WarningSums:
        if not other.counts:
            return self
        counts = dict(self.counts)
        for code, count in other.counts.items():
            counts[code] = counts.get(code, 0) + count
        return WarningSums(_first_of_each((*self.listed, *other.listed)), counts)


def _first_of_each(warnings: Iterable[TraceWarning]) -> tuple[TraceWarning, ...]:
    kept: list[TraceWarning] = []
    counts: dict[WarningCode, int] = {}
    for warning in warnings:
        counts[warning.code] = counts.get(warning.code, 0) + 1
        if counts[warning.code] <= WARNINGS_KEPT:
            kept.append(warning)
    return tuple(kept)


def sum_warnings(warnings: Sequence[TraceWarning]) -> WarningSums:
    """Sum up warnings."""
    return WarningSums(_first_of_each(warnings), dict(count_warnings(warnings)))


def with_warnings(asked: Asked, warnings: WarningSums) -> Asked:
    """Add the warnings about the traces that were found."""
    return replace(asked, warnings=warnings.listed, warning_counts=warnings.counts)


def together(parts: Sequence[Asked], query: Mapping[str, object]) -> Asked:
    """Say of several things that were asked what there is to say of all of them.

    Args:
        parts: At least one; links are those of the last.
        query: What they were asked for together.
    """
    return replace(
        parts[-1],
        location=" and ".join(dict.fromkeys(part.location for part in parts)),
        query=query,
        window="",
        warnings=tuple(warning for part in parts for warning in part.warnings),
        warning_counts=sum((Counter(part.warning_counts) for part in parts), Counter()),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        is_cut_off=any(part.is_cut_off for part in parts),
    )


def cut_off_line(limit: int | None, what: str = "traces") -> str:
    """Say that the limit left something out."""
    told = "the source's limit" if limit is None else f"the limit of {format_count(limit)}"
    return f"{told} left {what} out: there may be more, raise --limit or narrow the window"
