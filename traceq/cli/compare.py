"""`traceq compare`: what changed between two sets of traces, or what tells slow traces from the others.

A side is a window of time, files or a server, or one trace, told apart by how it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct, field, structs

from traceq.catalog import Window
from traceq.cli.messages import progress_line
from traceq.cli.options import RequestsOptions, ServiceOption, ServiceOptions, parser, share
from traceq.cli.outputs import AskingOptions, TopOption
from traceq.cli.references import Reference, following, parse_reference
from traceq.cli.session import emit, found_trace, opened
from traceq.cli.typed import is_path
from traceq.engine import Ask, Reply, asking
from traceq.errors import Hint, Meant
from traceq.query import Asked, together
from traceq.report import Report
from traceq.sources import is_url
from traceq.sources.interface import Progress, Source
from traceq.units import TIME_OF_DAY, at_time_of_day, format_time, local_date, parse_time

if TYPE_CHECKING:
    from traceq.analysis.comparison.cohorts import Cohort, CohortSums, Split
    from traceq.analysis.comparison.compare import Comparison
    from traceq.analysis.comparison.tags import TaggedSample
    from traceq.analysis.requests import RequestOptions
    from traceq.views.comparison import Shown


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


class CompareOptions(Struct, frozen=True):
    """The options of `compare`."""

    what: SidesOptions = field(default_factory=SidesOptions)
    top: TopOption = None
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    service: ServiceOption = None
    asking: AskingOptions = field(default_factory=AskingOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at, and how."""
        return self.requests.of(self.service_name, without=self.asking.filters.not_operation)

    @property
    def service_name(self) -> str | None:
        """Whose requests; of one set that is split the argument tells it too.

        Raises:
            typer.BadParameter: If two different services were given.
        """
        return ServiceOptions(self.what.first if self.what.split_count else None, self.service).name


class Fetched(Struct, frozen=True):
    """One side, summed up to what is compared."""

    title: str
    """What the side is, for people."""
    cohort: Cohort
    tagged: TaggedSample
    asked: Asked
    """How it was got; the query is the command's."""


def compare(options: CompareOptions) -> None:
    """Say what changed: two windows of time, two files, two traces, or two parts of one set.

    Services, operations and calls between services are ranked by how much longer they hold a request. Only requests of
    the same kind are compared, and each change has a 95 % interval. Tag values that stand out afterwards are listed.

    Examples:
      traceq compare --before 'yesterday 14:00..15:00' --after '-1h..now'

      traceq compare before.json after.json

      traceq compare chat-service --slow 5% --lookback 6h --limit 2000

      traceq compare --split-by resource.service.version --lookback 1d

      traceq compare 5b8aa5a2 0af76519 --source traces.json
    """
    report, asked = reported(options)
    emit(report, asked, options.asking.output)


def reported(options: CompareOptions) -> tuple[Report, Asked]:
    """Compare what the options name, with what there is to say about the answers of the sources."""
    sides = options.what.sides()
    traces = [side for side in sides if isinstance(side, TraceSide)]
    if traces:
        return _compare_traces(options, traces)
    if sides:
        return _compare_sets([fetch(side, options) for side in sides], options)
    return _compare_parts(options)


def fetch(side: Side, options: CompareOptions) -> Fetched:
    """Get one side, summed up."""
    from traceq.analysis.comparison.cohorts import CohortQuestion

    filters, source = options.asking.filters, options.asking.source
    if isinstance(side, PlaceSide):
        source = structs.replace(source, source=[side.location])
    elif (filters.when.lookback, filters.when.start, filters.when.end) != (None, None, None):
        raise typer.BadParameter("give windows with --before and --after, or --lookback and the like, not both")
    with opened(source, options.asking.output) as place:
        query = filters.query(options.service_name, is_live=place.is_live, requests=options.requests)
        if isinstance(side, WindowSide):
            query = replace(query, window=side.window)
        with asking(place, query, options.asking.workers.workers) as ask:
            answered = ask(CohortQuestion(options.request_options()))
            (tagged,) = _tagged_samples(ask, [answered.sums.cohort])
    return Fetched(side_title(side, place), answered.sums.cohort.joined(), tagged, answered.asked)


def _tagged_samples(ask: Ask, cohorts: Sequence[Cohort]) -> list[TaggedSample]:
    """Choose traces of each of several sets from one place, and read their tags."""
    from traceq.analysis.comparison.tags import TagQuestion, choose

    question = TagQuestion(tuple(choose(cohort.traces) for cohort in cohorts))
    # Asking about no trace at all would be taken for a name that does not exist.
    return question.rank(ask(question).sums if any(question.samples) else question.nothing())


def _compare_sets(
    sides: Sequence[Fetched], options: CompareOptions, ignored_keys: frozenset[str] = frozenset()
) -> tuple[Report, Asked]:
    from traceq.views.comparison import report

    before, after = sides
    comparison = compared(before, after, options, ignored_keys)
    asked = _asked(sides, options)
    return report(comparison, asked, shown_sides(before, after, options.top)), asked


def compared(
    before: Fetched, after: Fetched, options: CompareOptions, ignored_keys: frozenset[str] = frozenset()
) -> Comparison:
    """Say what changed from one side to the other.

    Args:
        before: One side.
        after: The other.
        options: Whether progress is shown.
        ignored_keys: Tags by which the sides were told apart.
    """
    from traceq.analysis.comparison.compare import compare
    from traceq.analysis.comparison.tags import compare_tags

    with progress_line(is_wanted=not options.asking.output.quiet) as tell:
        tell(Progress("comparing", 0, 0))
        comparison = compare(before.cohort, after.cohort)
        return structs.replace(comparison, tags=compare_tags(before.tagged, after.tagged, ignored_keys))


def shown_sides(before: Fetched, after: Fetched, top: int | None) -> Shown:
    """Name both sides for people."""
    from traceq.views.comparison import NamedSide, Shown

    return Shown(NamedSide(before.title, before.asked), NamedSide(after.title, after.asked), top)


def _asked(sides: Sequence[Fetched], options: CompareOptions) -> Asked:
    before, after = sides
    query: dict[str, object] = {"before": before.title, "after": after.title}
    query |= options.asking.filters.query(options.service_name, is_live=False).to_dict()
    if options.asking.filters.when.effective_lookback is not None:
        query.pop("start_ns", None)
    # Two parts of one set were asked for once.
    return together(list({id(side.asked): side.asked for side in sides}.values()), query)


def _compare_parts(options: CompareOptions) -> tuple[Report, Asked]:
    from traceq.analysis.comparison.cohorts import CohortQuestion

    key = None if options.what.split_by is None else options.what.split_by.partition("=")[0]
    place = options.asking
    with opened(place.source, place.output) as source:
        query = place.filters.query(options.service_name, is_live=source.is_live, requests=options.requests)
        with asking(source, query, place.workers.workers) as ask:
            answered = ask(CohortQuestion(options.request_options(), key))
            split = _split(answered, options.what)
            cohorts = [answered.sums.cohort.of(positions) for positions in (split.before, split.after)]
            tagged = _tagged_samples(ask, cohorts)
    asked = structs.replace(answered.asked, notes=answered.asked.notes + split.notes)
    sides = [
        Fetched(title, cohort, sample, asked)
        for title, cohort, sample in zip((split.before_title, split.after_title), cohorts, tagged, strict=True)
    ]
    return _compare_sets(sides, options, frozenset((split.key, f"resource.{split.key}")) if split.key else frozenset())


def _split(reply: Reply[CohortSums], options: SidesOptions) -> Split:
    from traceq.analysis.comparison.cohorts import split_by_failure, split_by_latency, split_by_tag

    cohort = reply.sums.cohort
    if options.slow is not None:
        return split_by_latency(cohort, options.slow)
    if options.split_by is None:
        return split_by_failure(cohort)
    first = cohort.traces.ids.tolist()[:1]
    names = tuple(name for _, name in reply.sums.near.found[:1])
    meant = (Meant("tag", names), " ") if names else ()
    listing = (reply.asked.command("show", *first, "--attributes"), " lists tags") if first else ()
    hint = Hint((*meant, *listing))
    return split_by_tag(reply.sums.values, cohort.traces.start_ns.tolist(), options.split_by, hint)


def _compare_traces(options: CompareOptions, traces: Sequence[TraceSide]) -> tuple[Report, Asked]:
    from traceq.analysis.comparison.alignment import align
    from traceq.views.comparison import traces_report

    found = []
    for side in traces:
        place = following(side.location, options.asking.source, options.asking.output)
        with opened(place, options.asking.output) as source:
            found.append(found_trace(source, side.trace_id))
    (before, _), (after, _) = found
    alignment = align(before, after, options.request_options())
    query = {"before": alignment.before_id, "after": alignment.after_id}
    asked = together([asked for _, asked in found], query)
    return traces_report(alignment, asked), asked
