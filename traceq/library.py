"""The public functions of the library: get traces, ask questions. Re-exported by `traceq`.

Functions that read give a `ReadWarning` for each thing that the command line would write on standard error.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

from msgspec.structs import replace

from traceq.analysis.bottlenecks import BottleneckQuestion, Bottlenecks
from traceq.analysis.call_sums import DependencyOptions
from traceq.analysis.calls import PeerGrouping
from traceq.analysis.comparison.cohorts import CohortQuestion
from traceq.analysis.comparison.compare import Comparison
from traceq.analysis.comparison.compare import compare as compare_cohorts
from traceq.analysis.dependencies import Dependencies, DependencyQuestion
from traceq.analysis.errors import ErrorOrigins, ErrorQuestion
from traceq.analysis.findings import FindingQuestion, Findings, Thresholds
from traceq.analysis.flame import CallPaths, FlameQuestion
from traceq.analysis.grouping import Sums
from traceq.analysis.requests import Measure, RequestOptions
from traceq.analysis.service_report import (
    QuestionsTogether,
    ServiceReport,
    SumsTogether,
    about_all,
    about_some,
    combined,
)
from traceq.analysis.statistics import Statistics, StatisticsOptions, StatisticsQuestion
from traceq.analysis.what_if import WhatIf, WhatIfQuestion, parse_shortening
from traceq.answer import Answer
from traceq.engine import Informed, RankedQuestion, Reply, Workers, asked_for, asking, learned_from
from traceq.engine import ask as put
from traceq.errors import ReadWarning
from traceq.query import DEFAULT_LIMIT, NOT_ASKED, Asked, TraceQuery
from traceq.remarks import warning_lines
from traceq.sources import is_url, open_source
from traceq.sources.interface import ConnectionOptions, Source
from traceq.traces import Traces
from traceq.untrusted import printable
from traceq.views import bottlenecks as _bottlenecks_view  # noqa: F401 - registers how the answer is shown
from traceq.views import comparison as _comparison_view  # noqa: F401 - as above
from traceq.views import dependencies as _dependencies_view  # noqa: F401 - as above
from traceq.views import errors as _errors_view  # noqa: F401 - as above
from traceq.views import findings as _findings_view  # noqa: F401 - as above
from traceq.views import flame as _flame_view  # noqa: F401 - as above
from traceq.views import listings as _listings_view  # noqa: F401 - as above
from traceq.views import report as _report_view  # noqa: F401 - as above
from traceq.views import show as _show_view  # noqa: F401 - as above
from traceq.views import stats as _stats_view  # noqa: F401 - as above
from traceq.views import what_if as _what_if_view  # noqa: F401 - as above

_Sums = TypeVar("_Sums", bound=Sums)
_Answer_co = TypeVar("_Answer_co", covariant=True)

Data: TypeAlias = Traces | Iterable[Traces] | Source | str | Path
"""Everything to which a question can be put.

A table; batches of tables, with each trace whole in one of them (`source.read(query)`); a source; a URL; or the path of
a file, a directory or an archive. Files are read in slices, so memory does not depend on their size.
"""


def connect(url: str, options: ConnectionOptions | None = None) -> Source:
    """Make a source of a Jaeger server; nothing is sent before the first question.

    Args:
        url: The address of its query service, `http://localhost:16686`, with the base path if it has one.
        options: Credentials, certificates and timeout.

    Raises:
        ValueError: If it is not an http or https URL.
    """
    if not is_url(url):
        raise ValueError(f"'{url}' is not an http or https URL; files are read with load()")
    return open_source((url,), options)


def load(path: str | Path, *more: str | Path, query: TraceQuery | None = None, attributes: bool = True) -> Traces:
    """Read traces of files or directories, newest first.

    Args:
        path: Jaeger or OTLP JSON, plain, gzip or zstd; Parquet; a directory of such files; `-` for standard input.
        more: More paths; parts of one trace in several files are combined.
        query: Which traces; all of them by default.
        attributes: Whether attributes, events and links are read too. Without them, reading takes half the time, and
        functions that need them (for statements, messages, tags) raise ValueError.

    Warns:
        ReadWarning: If something is missing or strange; what is strange about traces is in `Traces.warnings`, too.

    Raises:
        InputError: If a file cannot be read, or does not contain traces.
        NotFoundError: If no span is of the service or operation asked for.
        ValueError: If it is a URL.
    """
    locations = tuple(str(location) for location in (path, *more))
    if any(is_url(location) for location in locations):
        raise ValueError("load() reads files; servers are asked through connect()")
    source, wanted = open_source(locations), query or TraceQuery()
    found = source.find(wanted, with_attributes=attributes)
    _warn(asked_for(source, wanted, found))
    return found.traces


def ask(
    data: Data,
    question: RankedQuestion[_Sums, _Answer_co],
    *,
    query: TraceQuery | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
) -> _Answer_co:
    """Put a question to traces, wherever they are; every function below is this one with its question filled in.

    Args:
        data: What to ask.
        question: What to ask of it, with its options.
        query: Which traces of a source or a path; by default all of files, and of a server the newest 200 of the
            question's service. Tables are taken as they are.
        jobs: How many processes read files; None for as many as there are cores, or one where the input is small.
        cluster: The address of a Dask cluster that reads files instead.

    Warns:
        ReadWarning: If something is missing from what was read, or strange about it; about tables it was said before.

    Raises:
        InputError: If a file cannot be read, or holds something else than traces.
        NotFoundError: If no span is of the service or operation asked for.
        SourceError: If a server does not answer.
        ValueError: If there is a query for tables.
    """
    if isinstance(data, (str, Path)):
        data = open_source((str(data),))
    if isinstance(data, Source):
        wanted = query or _default_query(data, getattr(getattr(question, "options", None), "service", None))
        reply = put(data, wanted, question, Workers(jobs, cluster))
        _warn(reply.asked)
        return question.rank(reply.sums)
    batches = _batches(data, question, query)
    return question.rank(sum(map(question.collect, batches), question.nothing()))


def _warn(asked: Asked) -> None:
    """Say what there is to say besides the answer, at the line outside of traceq that asked."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(f"{__package__}."):
        level, frame = level + 1, frame.f_back
    for text in (*asked.notes, *warning_lines(asked.warnings)):
        warnings.warn(printable(text), ReadWarning, stacklevel=level)


def _default_query(source: Source, service: str | None) -> TraceQuery:
    return TraceQuery(service=service, limit=DEFAULT_LIMIT if source.is_live else None)


def _batches(data: Traces | Iterable[Traces], question: object, query: TraceQuery | None) -> Iterable[Traces]:
    """Give tables with what the question has to have learned from all of them."""
    if query is not None:
        raise ValueError("a query chooses traces of a source; of tables select them with Traces.select()")
    batches: Iterable[Traces] = (data,) if isinstance(data, Traces) else data
    if not (isinstance(question, Informed) and question.learns):
        return batches
    # Kept, because each batch is looked at with what all of them tell.
    kept = tuple(batches)
    learned = learned_from(kept, question)
    return (batch if batch.learned else replace(batch, learned=learned) for batch in kept)


def bottlenecks(  # noqa: PLR0913 - the front door: options by name, all with defaults
    data: Data,
    service: str | None = None,
    *,
    by: Measure = "critical-time",
    whole_trace: bool = False,
    correct_skew: bool = True,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> Bottlenecks:
    """Rank where the time of a service's requests goes.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        service: Whose requests; None takes every root span as a request.
        by: What to rank by.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.
    """
    options = RequestOptions(service, whole_trace, by, correct_skew)
    return ask(data, BottleneckQuestion(options), query=query, jobs=jobs)


def findings(  # noqa: PLR0913 - the front door: options by name, all with defaults
    data: Data,
    service: str | None = None,
    *,
    thresholds: Thresholds | None = None,
    whole_trace: bool = False,
    correct_skew: bool = True,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> Findings:
    """Find what is worth a change: N+1 queries, slow queries, retries, errors, stragglers, gaps and more.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        service: Whose requests; None takes every root span as a request.
        thresholds: From when on something counts; None for the defaults.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.
    """
    options = RequestOptions(service, whole_trace, correct_skew=correct_skew)
    return ask(data, FindingQuestion(options, thresholds or Thresholds()), query=query, jobs=jobs)


def errors_by_origin(
    data: Data,
    service: str | None = None,
    *,
    whole_trace: bool = False,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> ErrorOrigins:
    """Find where errors begin, how far they spread, and how many requests they fail.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        service: Whose requests; None takes every root span as a request.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.
    """
    return ask(data, ErrorQuestion(RequestOptions(service, whole_trace)), query=query, jobs=jobs)


def flame(  # noqa: PLR0913 - the front door: options by name, all with defaults
    data: Data,
    service: str | None = None,
    *,
    by: Measure = "critical-time",
    whole_trace: bool = False,
    correct_skew: bool = True,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> CallPaths:
    """Merge the call paths of a service's requests, as a flame graph shows them.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        service: Whose requests; None takes every root span as a request.
        by: What the widths of frames stand for.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.
    """
    options = RequestOptions(service, whole_trace, by, correct_skew)
    return ask(data, FlameQuestion(options), query=query, jobs=jobs)


def service_report(  # noqa: PLR0913 - the front door: options by name, all with defaults
    data: Data,
    service: str | None = None,
    *,
    before: Data | None = None,
    by: Measure = "critical-time",
    trace_count: int = 3,
    whole_trace: bool = False,
    correct_skew: bool = True,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> ServiceReport:
    """Answer everything about the requests of a service: what is slow, why, since when, and who is hit.

    `page(answer)` writes the page that `traceq report` writes.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        service: Whose requests; None takes every root span as a request.
        before: What to compare with, of the same kinds as `data`; None for no comparison.
        by: What to rank by.
        trace_count: How many of the slowest traces to keep whole.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.

    Raises:
        ValueError: If traces were read without attributes: tags, statements and messages are asked for.
    """
    options = RequestOptions(service, whole_trace, by, correct_skew)
    if not isinstance(data, (str, Path, Source, Traces)):
        # Asked twice, and an iterator would be gone.
        data = tuple(data)
    with _asking(data, about_all(options), query or service, jobs) as put_to:
        first = about_all(options)
        reply = put_to(first)
        _warn(reply.asked)
        of_all = first.rank(reply.sums)
        bottlenecks, *_, cohort = of_all
        second = about_some(bottlenecks, cohort, trace_count)
        of_some = second.rank(put_to(second).sums if second.trace_ids else second.nothing())
    answer = combined(options, of_all, of_some)
    if before is None:
        return answer
    question = CohortQuestion(options)
    return replace(answer, comparison=compare_cohorts(ask(before, question, query=query, jobs=jobs), cohort))


@contextmanager
def _asking(
    data: Data, question: QuestionsTogether, query: TraceQuery | str | None, jobs: int | None
) -> Iterator[Callable[[QuestionsTogether], Reply[SumsTogether]]]:
    """Give a way to put several questions to the same traces.

    Args:
        data: The traces.
        question: The one that needs most to be learned.
        query: Which traces of a source, or the service whose traces.
        jobs: How many processes read files.
    """
    if isinstance(data, (str, Path)):
        data = open_source((str(data),))
    if isinstance(data, Source):
        wanted = query if isinstance(query, TraceQuery) else _default_query(data, query)
        with asking(data, wanted, Workers(jobs)) as put_to:
            yield put_to
        return
    batches = tuple(_batches(data, question, query if isinstance(query, TraceQuery) else None))
    yield lambda asked: Reply(sum(map(asked.collect, batches), asked.nothing()), NOT_ASKED)


def page(answer: Answer, *, title: str = "", source: str = "") -> str:
    """Write an answer as a page, one file of HTML that loads nothing, as `-o FILE.html` does.

    Args:
        answer: Any answer of the functions above.
        title: Its heading; by default what the answer is.
        source: Where the traces came from, to be named below the heading.
    """
    # Late: who asks for numbers needs no styles and scripts.
    from traceq.render import Imprint
    from traceq.render.page import render_page

    shown = answer.report()
    return render_page(shown, Imprint(title or shown.title or shown.command, source, "", ""))


def statistics(
    data: Data,
    *by: str,
    service: str | None = None,
    correct_skew: bool = True,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> Statistics:
    """Count spans by sort: durations, self times, percentiles, errors, rates.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        by: `service`, `operation` or `tag:KEY`, one or two of them; by default the service.
        service: Only spans of this service; None for all.
        correct_skew: Whether to put wrong clocks right first, for the self times.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.

    Raises:
        ValueError: If nothing can be counted by one of `by`, or a tag is wanted of traces read without attributes.
    """
    options = StatisticsOptions(by or ("service",), service, correct_skew)
    return ask(data, StatisticsQuestion(options), query=query, jobs=jobs)


def compare(  # noqa: PLR0913 - the front door: options by name, all with defaults
    before: Data,
    after: Data,
    service: str | None = None,
    *,
    whole_trace: bool = False,
    correct_skew: bool = True,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> Comparison:
    """Find what changed between two sets of requests: which services, operations and calls hold them longer.

    Args:
        before: What to ask: a table, batches, a source, a URL or a path.
        after: The same of the other set.
        service: Whose requests; None takes every root span as a request.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
        query: Which traces of sources or paths; see `ask`.
        jobs: How many processes read files; see `ask`.
    """
    question = CohortQuestion(RequestOptions(service, whole_trace, correct_skew=correct_skew))
    return compare_cohorts(*(ask(side, question, query=query, jobs=jobs) for side in (before, after)))


def what_if(
    data: Data,
    *changes: str,
    service: str | None = None,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> WhatIf:
    """Find how much faster requests would be if some spans were shorter, another call taking over where it would.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        changes: What is shorter: `mongodb.insert=-50%`, `mysql=20ms`, `chat-service:POST /rooms=0`.
        service: Whose requests; None takes every root span as a request.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.

    Raises:
        ValueError: If a change cannot be read, or would make spans longer.
    """
    shortenings = tuple(parse_shortening(change) for change in changes)
    return ask(data, WhatIfQuestion(RequestOptions(service), shortenings), query=query, jobs=jobs)


def dependencies(
    data: Data,
    *,
    group_peers: PeerGrouping = "name",
    with_critical: bool = False,
    query: TraceQuery | None = None,
    jobs: int | None = None,
) -> Dependencies:
    """Find who calls whom, how often, how long and with which success; databases and brokers included.

    Args:
        data: What to ask: a table, batches, a source, a URL or a path.
        group_peers: What databases, brokers and hosts are one node.
        with_critical: Whether to measure how long calls hold the critical path.
        query: Which traces of a source or path; see `ask`.
        jobs: How many processes read files; see `ask`.
    """
    return ask(data, DependencyQuestion(DependencyOptions(group_peers, with_critical)), query=query, jobs=jobs)
