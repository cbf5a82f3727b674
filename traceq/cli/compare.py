"""`traceq compare`: what changed between two sets of traces, or what tells slow traces from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer
from msgspec import Struct, field, structs

from traceq.cli.options import RequestsOptions, ServiceOption, ServiceOptions
from traceq.cli.outputs import AskingOptions, TopOption
from traceq.cli.references import following
from traceq.cli.session import emit, found_trace, opened, progress_line
from traceq.cli.sides import PlaceSide, Side, SidesOptions, TraceSide, WindowSide, side_title
from traceq.engine import Ask, Reply, asking
from traceq.errors import Hint, Meant
from traceq.query import Asked, together
from traceq.report import Report
from traceq.sources.interface import Progress

if TYPE_CHECKING:
    from traceq.analysis.comparison.cohorts import Cohort, CohortSums, Split
    from traceq.analysis.comparison.compare import Comparison
    from traceq.analysis.comparison.tags import TaggedSample
    from traceq.analysis.requests import RequestOptions
    from traceq.views.comparison import Shown


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
