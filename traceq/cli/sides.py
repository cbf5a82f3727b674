"""What is compared: a window of time, files or a server, or one trace, told apart by how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Annotated, Any

import typer
from msgspec import Struct

from traceq.catalog import Window
from traceq.cli.options import parser, share
from traceq.cli.places import is_path
from traceq.ids import Reference, parse_reference
from traceq.sources import is_url
from traceq.sources.interface import Source
from traceq.units import TIME_OF_DAY, at_time_of_day, format_time, local_date, parse_time

_LEAST_DIGITS = 4
"""Fewer hexadecimal digits are taken for a mistake."""


class Side:
    """One of the two things that are compared."""


@dataclass(frozen=True)
class WindowSide(Side):
    """The traces of a window of time, from the source that the command names."""

    window: Window


@dataclass(frozen=True)
class PlaceSide(Side):
    """The traces of files, a directory, standard input or a server."""

    location: str


@dataclass(frozen=True)
class TraceSide(Side):
    """One trace, from the source that the command names."""

    trace_id: str
    location: str = ""
    """The server that a link leads to; empty where it was no link."""


def parse_side(text: str, now_ns: int) -> Side:
    """Read one side of a comparison.

    An id of a trace in any form, or a link to one, is this trace; a URL, `-`, or a path else is where traces come from,
    and anything with `..` else a window of time.

    Raises:
        ValueError: If it is none of these.
    """
    reference = _reference(text)
    if reference is not None and len(reference.trace_id) >= _LEAST_DIGITS and not Path(text).exists():
        return TraceSide(reference.trace_id, reference.location)
    if is_url(text) or text == "-" or is_path(text):
        return PlaceSide(text)
    if ".." in text:
        return WindowSide(parse_window(text, now_ns))
    raise ValueError(f"'{text}' is no file, URL, window (-1h..now) or trace id")


def _reference(text: str) -> Reference | None:
    try:
        found = parse_reference(text)
    except ValueError:
        # The URL of a server names no trace.
        return None
    return found if found.is_known else None


def parse_window(text: str, now_ns: int) -> Window:
    """Read a window of time, `START..END`; without an end it reaches until now.

    Each is what `--start` takes (`-2h`, `2026-11-22T14:00:00Z`, an epoch), or `today` or `yesterday`, alone for
    midnight or with a time (`yesterday 14:00`), or a time alone: today's, and for the end the start's day.

    Raises:
        ValueError: If it is not, or the window ends before it starts.
    """
    first, dots, last = (part.strip() for part in text.partition(".."))
    if not dots or not first:
        raise ValueError(f"'{text}' is not a window, write START..END, for example 'yesterday 14:00..15:00'")
    start_ns = _moment(first, local_date(now_ns), now_ns)
    end_ns = _moment(last or "now", local_date(start_ns), now_ns)
    if end_ns <= start_ns:
        raise ValueError(f"the window '{text}' ends before it starts")
    return Window(start_ns, end_ns)


def _moment(text: str, bare_day: date, now_ns: int) -> int:
    """Read a point in time; a time of day alone is one of this day."""
    return at_time_of_day(bare_day, text) if TIME_OF_DAY.fullmatch(text) else parse_time(text, now_ns)


def side_title(side: Side, place: Source) -> str:
    """Say what a side is, for people."""
    if not isinstance(side, WindowSide) or side.window.start_ns is None or side.window.end_ns is None:
        return place.location if place.is_live else Path(place.location).name or place.location
    first, last = (format_time(end)[: len("2026-11-22 14:03:22")] for end in (side.window.start_ns, side.window.end_ns))
    return f"{first} to {last[len('2026-11-22 ') :] if last[:10] == first[:10] else last}"


@parser
def side(text: str) -> Side:
    """Read one side of a comparison typed on the command line."""
    return parse_side(text, time_ns())


SIDE: dict[str, Any] = {"parser": side, "metavar": "WINDOW"}
"""What options that take a side have in common."""
_what_option = partial(typer.Option, rich_help_panel="What to compare")


class SidesOptions(Struct, frozen=True):
    """What is compared: two sides, or two parts of one set."""

    first: Annotated[
        str | None,
        typer.Argument(
            metavar="[BEFORE|SERVICE]",
            help="File, directory, URL or trace id; with --split-by, --slow or --failed the service.",
            show_default=False,
        ),
    ] = None
    second: Annotated[
        Side | None,
        typer.Argument(parser=side, metavar="[AFTER]", help="What to compare it with.", show_default=False),
    ] = None
    before: Annotated[
        Side | None,
        _what_option(help="A window: 'yesterday 14:00..15:00', '-2h..-1h'; also a file, URL or trace id.", **SIDE),
    ] = None
    after: Annotated[Side | None, _what_option(help="The same for the other side: '-1h..now'.", **SIDE)] = None
    split_by: Annotated[
        str | None,
        _what_option(
            metavar="TAG[=VALUE]",
            help="Traces with this value against traces with others; without VALUE, the one that appeared last.",
        ),
    ] = None
    slow: Annotated[
        float | None, _what_option(parser=share, metavar="SHARE", help="The slowest traces (5%) against the rest.")
    ] = None
    failed: Annotated[bool, _what_option("--failed", help="Traces with failed spans against the rest.")] = False

    @property
    def split_count(self) -> int:
        """In how many ways one set is to be split in two."""
        return sum((self.split_by is not None, self.slow is not None, self.failed))

    def sides(self) -> list[Side]:
        """Give the two sides that were typed, in order; an empty list where one set is split.

        Raises:
            typer.BadParameter: If there is anything but two sides of one sort, or one set and one way to split it.
        """
        first = None if self.first is None or self.split_count else side(self.first)
        sides = [each for each in (self.before, first, self.second, self.after) if each is not None]
        if self.split_count > 1 or (self.split_count and sides):
            raise typer.BadParameter("give two sides, or one of --split-by, --slow and --failed")
        if self.slow in (0, 1):
            raise typer.BadParameter("of all traces or of none nothing is left to compare with", param_hint="--slow")
        if not sides and not self.split_count:
            raise typer.BadParameter("say what to compare: two sides, or --split-by, --slow or --failed")
        if sides and len(sides) != 2:
            raise typer.BadParameter(f"a comparison has two sides, not {len(sides)}")
        if len({isinstance(each, TraceSide) for each in sides}) == 2:
            raise typer.BadParameter("a trace is compared with another trace")
        return sides
