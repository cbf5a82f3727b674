"""What was asked of a source, and what there is to say about how it was answered."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from traceq.catalog import Window
from traceq.query import TraceQuery
from traceq.traces import TraceWarning, WarningCode, count_warnings
from traceq.units import format_count, format_lookback, format_time

WARNINGS_KEPT = 100
"""Of each kind so many warnings are listed; the others are counted."""


class Place(Protocol):
    """Where traces come from, as far as an answer has to name it."""

    @property
    def location(self) -> str:
        """Where it is, for people: URL or path, without secrets."""

    @property
    def locations(self) -> tuple[str, ...]:
        """What has to be given to open it again: one URL, or paths."""

    @property
    def trace_url(self) -> str:
        """The page of a trace, with `{trace_id}` in it; empty where there are no pages."""

    @property
    def is_live(self) -> bool:
        """Whether it is a server that new traces reach."""


@dataclass(frozen=True, slots=True)
class OneTrace:
    """A trace that is asked for by its id."""

    trace_id: str
    """Or a prefix that only one trace has."""
    service: str | None = None
    """Whose requests in it the question is about; None for the whole trace."""


Wanted: TypeAlias = TraceQuery | OneTrace
"""Which traces a question is about."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a source, and what there is to say about how it was answered: what every answer begins with."""

    location: str = ""
    """Where the source is, for people: a URL or paths, without secrets."""
    query: Mapping[str, object] = field(default_factory=dict)
    """The conditions that were set, as they stand in JSON."""
    window: str = ""
    """Which time was looked at (`last 1h`); empty when all of it was."""
    locations: tuple[str, ...] = ()
    """What has to be given to open the source again."""
    trace_url: str = ""
    """Where the source shows a trace, with `{trace_id}` in it; empty when it has no pages."""
    is_live: bool = False
    """Whether the source is a server."""
    warnings: tuple[TraceWarning, ...] = ()
    """The first of each kind."""
    warning_counts: Mapping[WarningCode, int] = field(default_factory=dict)
    """Of each kind, listed or not."""
    notes: tuple[str, ...] = ()
    """Sentences without a final stop, for standard error and for JSON."""
    is_cut_off: bool = False
    """Whether the limit left traces out, or may have."""

    def command(self, *words: str) -> str:
        """Give a command about the same source, ready to be pasted into a shell."""
        return command_about(self.locations, *words)


def command_about(locations: Iterable[str], *words: str) -> str:
    """Give a command about a source, ready to be pasted into a shell."""
    return shlex.join(("traceq", *words, *(word for location in locations for word in ("--source", location))))


def asked_of(source: Place, wanted: Wanted) -> Asked:
    """Say what is asked of a source, before it is answered."""
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
    """Say which time was looked at (`last 1h`, `since 14:00:00.000`); nothing when all of it was."""
    if window.lookback_ns is not None:
        return f"last {format_lookback(window.lookback_ns)}"
    if window.start_ns is not None and window.end_ns is not None:
        return f"{format_time(window.start_ns)} to {format_time(window.end_ns)}"
    if window.start_ns is not None:
        return f"since {format_time(window.start_ns)}"
    return "" if window.end_ns is None else f"until {format_time(window.end_ns)}"


@dataclass(frozen=True, slots=True)
class WarningSums:
    """Warnings, the first of each kind by themselves and all of them by number; adds to others."""

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
    """Say what is strange about the traces that were found."""
    return replace(asked, warnings=warnings.listed, warning_counts=warnings.counts)


def cut_off_line(limit: int | None, what: str = "traces") -> str:
    """Say that the limit left something out."""
    told = "the source's limit" if limit is None else f"the limit of {format_count(limit)}"
    return f"{told} left {what} out: there may be more, raise --limit or narrow the window"
