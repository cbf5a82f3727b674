"""`traceq compare`: what changed, or what the slow ones have that the others have not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from traceq.cli.messages import cut_off_line
from traceq.cli.options import FilterOptions, OutputOptions, ServiceOption, SkewOption, SourceOptions
from traceq.cli.output import Asked, emit
from traceq.cli.session import opened
from traceq.cli.sides import PlaceSide, Side, TraceSide, WindowSide, parse_side
from traceq.cli.splits import Split, parse_share, split_by_failure, split_by_latency, split_by_tag
from traceq.sources import Found, Source
from traceq.traces import Traces
from traceq.units import format_time

if TYPE_CHECKING:
    from traceq.analysis.culprits import RequestOptions

_DEFAULT_LIMIT = 200
_WHAT = "What to compare"


def side(text: str) -> Side:
    """Read one side of a comparison typed on the command line."""
    try:
        return parse_side(text, time.time_ns())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def share(text: str) -> float:
    """Read a share typed on the command line."""
    try:
        return parse_share(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Of `compare`."""

    first: Annotated[
        Side | None,
        typer.Argument(
            parser=side, metavar="[BEFORE]", help="A file, directory, URL, or trace id.", show_default=False
        ),
    ] = None
    second: Annotated[
        Side | None, typer.Argument(parser=side, metavar="[AFTER]", help="Another one.", show_default=False)
    ] = None
    before: Annotated[
        Side | None,
        typer.Option(
            parser=side,
            metavar="WINDOW",
            help="'yesterday 14:00..15:00', '-2h..-1h'; also a file, URL or trace id.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    after: Annotated[
        Side | None,
        typer.Option(
            parser=side, metavar="WINDOW", help="The same for the other side: '-1h..now'.", rich_help_panel=_WHAT
        ),
    ] = None
    split_by: Annotated[
        str | None,
        typer.Option(
            metavar="TAG[=VALUE]",
            help="Traces with this value against those with others; without one, with the value seen last.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    slow: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", help="The slowest 5% against the rest.", rich_help_panel=_WHAT),
    ] = None
    failed: Annotated[
        bool, typer.Option("--failed", help="Traces with failed spans against the rest.", rich_help_panel=_WHAT)
    ] = False
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Lines of each table.")] = 8
    whole_trace: Annotated[
        bool, typer.Option("--whole-trace", help="With --service: from the traces' roots, not where it was entered.")
    ] = False
    no_skew_correction: SkewOption = False
    service: ServiceOption = None
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at, and how."""
        from traceq.analysis.culprits import RequestOptions

        return RequestOptions(self.service, self.whole_trace, correct_skew=not self.no_skew_correction)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The traces of one side."""

    title: str
    """What the side is, for people."""
    location: str
    traces: Traces
    is_cut_off: bool = False
    notes: tuple[str, ...] = ()
    trace_url: str = ""


def compare(options: CompareOptions) -> None:
    """Say what changed: two windows of time, two files, two traces, or two parts of one set.

    Services, operations and calls between services are ranked by the change in the time that they hold a request, like
    compared with like, with the interval in which the change lies. Tag values that stand out afterwards are listed.

    Examples:
      traceq compare --before 'yesterday 14:00..15:00' --after '-1h..now'

      traceq compare before.json after.json

      traceq compare --service chat-service --slow 5% --lookback 6h --limit 2000

      traceq compare --split-by resource.service.version --lookback 1d

      traceq compare 5b8aa5a2d2c872e8321cf37308d69df2 0af7651916cd43dd8448eb211c80319c
    """
    splits = [options.split_by is not None, options.slow is not None, options.failed]
    sides = _sides(options)
    if sum(splits) > 1 or (any(splits) and sides):
        raise typer.BadParameter("give two sides, or one of --split-by, --slow and --failed")
    if not sides and not any(splits):
        raise typer.BadParameter("say what to compare: two sides, or --split-by, --slow or --failed")
    if sides and all(isinstance(side, TraceSide) for side in sides):
        _compare_traces(options, [side.trace_id for side in sides if isinstance(side, TraceSide)])
    elif sides:
        _compare_sets([_fetch(side, options) for side in sides], options, frozenset())
    else:
        _compare_parts(options)


def _sides(options: CompareOptions) -> list[Side]:
    """Give the two sides that were typed, in order; none where none was.

    Raises:
        typer.BadParameter: If there is but one, there are more than two, or one is a trace and the other is not.
    """
    typed = [options.before, options.first, options.second, options.after]
    sides = [side for side in typed if side is not None]
    if not sides:
        return []
    if len(sides) != 2:
        raise typer.BadParameter(f"a comparison has two sides, not {len(sides)}")
    if len({isinstance(side, TraceSide) for side in sides}) == 2:
        raise typer.BadParameter("a trace is compared with another trace")
    return sides


def _fetch(side: Side, options: CompareOptions) -> Fetched:
    filters, source = options.filters, options.source
    if isinstance(side, PlaceSide):
        source = replace(source, source=[side.location])
    elif (filters.when.lookback, filters.when.start, filters.when.end) != (None, None, None):
        raise typer.BadParameter("give windows with --before and --after, or --lookback and the like, not both")
    with opened(source, options.output) as place:
        query = filters.query(options.service, is_live=place.is_live, default_limit=_DEFAULT_LIMIT)
        if isinstance(side, WindowSide):
            query = replace(query, window=side.window)
        found = place.find(query)
    notes = found.notes + ((cut_off_line(query.limit),) if found.is_cut_off else ())
    return Fetched(_title(side, place), place.location, found.traces, found.is_cut_off, notes, place.trace_url)


def _title(side: Side, place: Source) -> str:
    if not isinstance(side, WindowSide) or side.window.start_ns is None or side.window.end_ns is None:
        return place.location if place.is_live else Path(place.location).name or place.location
    first, last = (format_time(end)[: len("2026-11-22 14:03:22")] for end in (side.window.start_ns, side.window.end_ns))
    return f"{first} to {last[len('2026-11-22 ') :] if last[:10] == first[:10] else last}"


def _compare_sets(sides: Sequence[Fetched], options: CompareOptions, ignored_keys: frozenset[str]) -> None:
    from traceq.analysis.comparison.cohorts import collect
    from traceq.analysis.comparison.compare import compare
    from traceq.analysis.comparison.tags import compare_tags, count_tags
    from traceq.cli.compare_report import SetNames, comparison_report

    before, after = sides
    request_options = options.request_options()
    comparison = compare(collect(before.traces, request_options), collect(after.traces, request_options))
    counted = [count_tags(side.traces) for side in sides]
    tags = compare_tags(counted[0], counted[1], ignored_keys)
    names = SetNames(before.title, after.title, after.location, is_live=bool(after.trace_url))
    report = comparison_report(comparison, tags, names, options.top)
    emit(replace(report, trace_url=after.trace_url), _asked(sides, options), options.output)


def _asked(sides: Sequence[Fetched], options: CompareOptions) -> Asked:
    before, after = sides
    query: dict[str, object] = {"before": before.title, "after": after.title}
    when = options.filters.when
    query |= options.filters.query(options.service, is_live=False, default_limit=_DEFAULT_LIMIT).to_dict()
    if when.effective_lookback is not None:
        query.pop("start_ns", None)
    places = dict.fromkeys(side.location for side in sides)
    return Asked(
        location=" and ".join(places),
        query=query,
        warnings=tuple(dict.fromkeys(warning for side in sides for warning in side.traces.warnings)),
        notes=tuple(dict.fromkeys(note for side in sides for note in side.notes)),
        is_cut_off=any(side.is_cut_off for side in sides),
    )


def _compare_parts(options: CompareOptions) -> None:
    with opened(options.source, options.output) as source:
        query = options.filters.query(options.service, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
        found = source.find(query)
    split = _split(found, options)
    notes = found.notes + split.notes + ((cut_off_line(query.limit),) if found.is_cut_off else ())
    parts = [(split.before_title, split.before), (split.after_title, split.after)]
    sides = [
        Fetched(title, source.location, found.traces.select(positions), found.is_cut_off, notes, source.trace_url)
        for title, positions in parts
    ]
    _compare_sets(sides, options, frozenset((split.key, f"resource.{split.key}")) if split.key else frozenset())


def _split(found: Found, options: CompareOptions) -> Split:
    if options.split_by is not None:
        return split_by_tag(found.traces, options.split_by)
    if options.slow is not None:
        return split_by_latency(found.traces, options.slow, options.request_options())
    return split_by_failure(found.traces)


def _compare_traces(options: CompareOptions, trace_ids: Sequence[str]) -> None:
    from traceq.analysis.comparison.alignment import align
    from traceq.cli.compare_traces import alignment_report

    with opened(options.source, options.output) as source:
        before, after = (source.trace(trace_id) for trace_id in trace_ids)
    alignment = align(before, after, options.request_options())
    query = {"before": alignment.before_id, "after": alignment.after_id}
    report = replace(alignment_report(alignment), trace_url=source.trace_url)
    emit(report, Asked(source.location, query, before.warnings + after.warnings), options.output)
