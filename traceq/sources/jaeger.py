"""A Jaeger query server, of any version since 1.51, as a source of traces.

A server's answer is a candidate set: storages differ in what they make of a query. Everything found as whole traces is
checked here again, by the one meaning that `query.matching` gives it for every source.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from msgspec import structs

from traceq.catalog import Operation, ServiceCall, TraceSummary, Window, summarize
from traceq.codec import PartsLeftOut, read_table
from traceq.codec.wire import collector_paused
from traceq.conditions import sent_as
from traceq.errors import Hint, NotFoundError, SourceError, is_refusal
from traceq.query import TraceQuery
from traceq.records import Codebook
from traceq.remarks import Remarks
from traceq.semantics import ID_MARK, operation
from traceq.sources.candidates import Check, Checked, Completer, fitting, lasts_as_asked, may_match, newest_summaries
from traceq.sources.dialects import (
    Answered,
    BoundedQuery,
    Dialect,
    NoSuchRouteError,
    Parts,
    ask_dependencies,
    ask_summaries,
    find_dialect,
    order_archiving,
    reading,
)
from traceq.sources.gathering import MOST_TRACES, Asking, Candidates, Gatherer, united
from traceq.sources.http import HttpClient
from traceq.sources.interface import (
    MOST_AT_ONCE,
    ConnectionOptions,
    Found,
    FoundSummaries,
    LeftOut,
    ProgressListener,
    nearest_names,
    no_progress,
)
from traceq.sources.narrowing import (
    LONGEST_INDEXED,
    LOOKED_FOR,
    NOT_LOOKED_FOR,
    narrowed,
    other_ways,
    unsent,
    without_patterns,
)
from traceq.traces import Traces, normal_id
from traceq.units import NS_PER_DAY, plural
from traceq.untrusted import printable

logger = logging.getLogger(__name__)

_DEPENDENCIES_LOOKBACK_NS = 7 * NS_PER_DAY  # Jaeger UI's choice
_MOST_NAMED = 5
_MOST_NAMES = 8  # of one operation, whose name holds ids: more of them cost more than to look at everything
_TRACE_ID = re.compile(r"[0-9a-f]{1,32}")


class JaegerSource:
    """A Jaeger query server.

    Nothing is sent before the first question, which also finds out which dialect the server speaks.

    Args:
        base_url: Where the server is, with its base path if it has one.
        options: Credentials, certificates, timeout.
        progress: Told how far questions that take several requests have come.
        clock: The time now, in nanoseconds since the epoch.

    Raises:
        ValueError: If the URL or a header cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        options: ConnectionOptions,
        progress: ProgressListener = no_progress,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client = HttpClient(base_url, options)
        self._progress = progress
        self._clock = clock
        self._known_dialect: Dialect | None = None
        # What the request that finds the dialect out tells besides: good for the first who wants to know, not for ever.
        self._first_services: tuple[str, ...] | None = None
        self._known_gatherer: Gatherer | None = None
        self._known_completer: Completer | None = None
        # Found out by asking, once.
        self._has_summaries = True

    @property
    def location(self) -> str:
        """The base URL, without user and password."""
        return self._client.address.url

    @property
    def locations(self) -> tuple[str, ...]:
        """The base URL."""
        return (self.location,)

    @property
    def trace_url(self) -> str:
        """The page of a trace in Jaeger UI, with `{trace_id}` in it."""
        return f"{self.location}/trace/{{trace_id}}"

    @property
    def is_live(self) -> bool:
        """Yes: new traces reach it."""
        return True

    def remarks(self) -> Remarks:
        """Nothing: its answers have their own."""
        return Remarks()

    def services(self) -> tuple[str, ...]:
        """List the services it knows, sorted; Elasticsearch knows those of the last 72 hours."""
        dialect = self._dialect
        services, self._first_services = self._first_services, None
        return dialect.services() if services is None else services

    def operations(self, service: str) -> tuple[Operation, ...]:
        """List the operations of a service, sorted.

        Raises:
            NotFoundError: If the server knows no such service.
        """
        operations = self._dialect.operations(service)
        if not operations:
            self._check_service(service)
        return operations

    def find(self, query: TraceQuery, *, with_attributes: bool = True, is_sample: bool = False) -> Found:
        """Find the traces that match, newest first; the limit keeps the newest.

        Without a service every service is asked, up to eight at a time, unless the server searches them all itself.
        In a sample, every service gets the limit for itself, so that a busy one does not hide the others.

        Raises:
            NotFoundError: If nothing is found and the server knows no such service, or no such operation of it.
        """
        found, _ = self._search(query, with_details=with_attributes, is_sample=is_sample and query.service is None)
        return found

    def read(self, query: TraceQuery) -> Iterator[Traces]:
        """Give the traces that match in one batch; what `find` would note is logged as a warning."""
        found = self.find(query)
        for note in found.notes:
            logger.warning("%s: %s", self.location, note)
        if found.is_cut_off:
            logger.warning("%s: there may be more traces than the %s read", self.location, len(found.traces))
        if len(found.traces):
            yield found.traces

    def summaries(self, query: TraceQuery) -> FoundSummaries:
        """Find the traces that match, in short, newest first.

        From the server's own summaries where it has them (2.19 and later); they are checked as far as they go, see
        `candidates.may_match`. Tags cannot be checked on them, so a query with tags moves whole traces.

        Raises:
            NotFoundError: If nothing is found and the server knows no such service, or no such operation of it.
        """
        is_enough = not (query.has_tags or query.needs_traces) and self._names_of(query) == (query.operation,)
        found = self._search_summaries(query) if self._has_summaries and is_enough else None
        if found is not None:
            return found
        whole, service_count = self._search(query, with_details=False)
        summaries = tuple(summarize(whole.traces))
        return FoundSummaries(
            summaries, whole.is_cut_off, whole.notes, service_count, whole.traces.warnings, whole.is_partial
        )

    def trace(self, trace_id: str) -> Traces:
        """Give one trace by its id; a prefix will not do, no version of Jaeger looks for one.

        Raises:
            NotFoundError: If there is none, or it cannot be an id.
        """
        wanted = self._id(trace_id)
        answered = self._dialect.trace(wanted)
        for note in answered.notes:
            logger.warning("%s: %s", self.location, note)
        if not answered.by_id:
            raise self._no_trace(wanted)
        with reading(self._client):
            return read_table(answered.by_id.values(), with_details=True)

    def archive(self, trace_id: str) -> None:
        """Have the server copy a trace to its archive storage, where it finds the trace by its id later.

        Raises:
            NotFoundError: If there is none, or it cannot be an id.
            SourceError: If the server does not archive traces, or fails over it.
        """
        wanted = self._id(trace_id)
        if not order_archiving(self._client, wanted):
            raise self._no_trace(wanted)

    def _id(self, trace_id: str) -> str:
        wanted = trace_id.strip().lower()
        if not _TRACE_ID.fullmatch(wanted):
            raise NotFoundError(
                f"no trace '{printable(trace_id)}' at {self.location}: that is not a trace id",
                hint="a trace id is written with up to 32 digits, 0 to 9 and a to f",
            )
        return wanted

    def _no_trace(self, trace_id: str) -> NotFoundError:
        return NotFoundError(
            f"no trace {trace_id} at {self.location}",
            hint="is the id complete? with Elasticsearch, traces older than 72 h are found by search only",
        )

    def dependencies(self, window: Window) -> tuple[ServiceCall, ...]:
        """Give the calls that Jaeger has on record; empty where no job computes them (Elasticsearch, Cassandra).

        A window open to the past begins seven days before its end.
        """
        end_ns = self._clock() if window.end_ns is None else window.end_ns
        start_ns = end_ns - _DEPENDENCIES_LOOKBACK_NS if window.start_ns is None else window.start_ns
        return ask_dependencies(self._client, min(start_ns, end_ns), end_ns)

    @property
    def _dialect(self) -> Dialect:
        if self._known_dialect is None:
            self._known_dialect, self._first_services = find_dialect(self._client)
            logger.debug("%s speaks %s", self.location, type(self._known_dialect).__name__)
        return self._known_dialect

    @property
    def _completer(self) -> Completer:
        if self._known_completer is None:
            self._known_completer = Completer(self._by_id, self._sizes, self._dialect.most_spans)
        return self._known_completer

    def _by_id(self, trace_id: str) -> Parts | None:
        return self._dialect.trace(trace_id).by_id.get(normal_id(trace_id))

    @property
    def _gatherer(self) -> Gatherer:
        if self._known_gatherer is None:
            can_search_all = self._dialect.searches_all_services
            self._known_gatherer = Gatherer(self.services, can_search_all, self._progress, self._clock)
        return self._known_gatherer

    def _search(self, query: TraceQuery, *, with_details: bool, is_sample: bool = False) -> tuple[Found, int]:
        """Find whole traces, and tell how many services were asked one by one."""
        has_details = with_details or query.has_tags
        read = partial(self._read, with_details=has_details)
        check = Check(query, self._dialect.resolution_ns, read)
        questions = narrowed(query)
        answers = [
            self._exact(structs.replace(check, query=each, names=self._names_of(each)), is_sample=is_sample)
            for each in questions
        ]
        checked = answers[0]
        if len(answers) > 1:
            checked = check(united([answer.candidates for answer in answers], self._span_count))
            checked = structs.replace(checked, dropped_count=sum(answer.dropped_count for answer in answers))
        if not checked.kept:
            self._check_names(query)
        chosen = checked.traces.select(checked.kept[: None if is_sample else query.limit])
        candidates = checked.candidates
        notes = _notes(query, candidates, checked.dropped_count)
        notes += tuple(_sample_notes(query, candidates)) if is_sample else ()
        completed = self._completer.complete(chosen, self._gatherer.ends(query.window)[1])
        if completed.by_id:
            by_id = {key: completed.by_id.get(key, candidates.by_id[key]) for key in map(normal_id, chosen.trace_ids)}
            candidates = structs.replace(candidates, by_id=by_id)
            again = check(candidates)
            chosen = again.traces.select(again.kept)
        found = Found(
            chosen,
            candidates.is_cut_off or len(checked.kept) > len(chosen),
            (*notes, *completed.notes),
            None if has_details else self._left_out(candidates, chosen),
            candidates.is_partial or completed.is_partial,
        )
        return found, candidates.service_count

    def _exact(self, check: Check, *, is_sample: bool) -> Checked:
        """Ask, and ask in other ways where the storage may not have compared tags as asked; keep the best answer."""
        prefixes = self._dialect.resource_prefixes
        answers: list[Checked | SourceError] = []
        for asked in without_patterns(check.query, has_imitators=bool(prefixes)):
            answers.append(self._attempt(check, asked, is_sample=is_sample))
            is_short = isinstance(answers[-1], Checked) and answers[-1].is_short_of_room
            for sent in other_ways(asked, is_short_of_room=is_short, resource_prefixes=prefixes):
                if _is_settled(answers[-1]):
                    break
                answers.append(self._attempt(check, sent, is_sample=is_sample))
            if _is_settled(answers[-1]):
                break
        checked = [answer for answer in answers if isinstance(answer, Checked)]
        for failure in answers:
            if not checked and isinstance(failure, SourceError):
                raise failure
        # Of answers alike, the last: where a pattern was not sent, more was looked at.
        return max(reversed(checked), key=lambda answer: len(answer.kept))

    def _attempt(self, check: Check, sent: TraceQuery, *, is_sample: bool) -> Checked | SourceError:
        """Ask with the conditions of a query, and keep what the check lets through; give a refusal, do not raise it."""
        asking = Asking(self._search_whole, self._span_count, check.fitting)
        left_out = unsent(check.query, sent)
        is_less = bool(left_out) or (check.query.operation is not None and check.names == (None,))
        try:
            names = check.names if sent.operation else (None,)
            answers = [
                self._gatherer.gather(
                    replace(sent, attributes=tags, operation=name), asking, is_sample=is_sample, is_loose=is_less
                )
                for tags, name in product(sent_as(sent.attributes), names)
            ]
        except SourceError as error:
            if not is_refusal(error):
                raise
            return error
        candidates = united(answers, self._span_count)
        candidates = structs.replace(candidates, notes=(*left_out, *candidates.notes))
        if sent.tag_patterns:
            candidates = structs.replace(candidates, notes=(*candidates.notes, LOOKED_FOR))
        elif check.query.tag_patterns and candidates.is_cut_off:
            candidates = structs.replace(candidates, notes=(*candidates.notes, NOT_LOOKED_FOR))
        checked = check(candidates)
        if checked.dropped_count and check.query.has_tags:
            completed = self._completer.with_hosts(checked.traces)
            candidates = structs.replace(
                candidates,
                by_id={**candidates.by_id, **completed.by_id},
                notes=(*candidates.notes, *completed.notes),
                is_partial=candidates.is_partial or completed.is_partial,
            )
            checked = check(candidates) if completed.by_id else structs.replace(checked, candidates=candidates)
        # What was not asked for is not the server's fault.
        is_less = is_less or (bool(check.query.tag_patterns) and not sent.tag_patterns)
        return structs.replace(checked, dropped_count=0) if is_less else checked

    def _names_of(self, query: TraceQuery) -> tuple[str | None, ...]:
        """Give the names by which the server knows an operation that may be written as answers show it, without ids.

        Where it has too many, it is not asked for any of them, and the operation is looked for here.
        """
        shown = query.operation
        if shown is None or ID_MARK not in shown:
            return (shown,)
        services = self.services() if query.service is None else (query.service,)
        try:
            with ThreadPoolExecutor(MOST_AT_ONCE) as executor:
                listed = list(executor.map(self._dialect.operations, services))
        except SourceError as error:
            if not is_refusal(error):
                raise
            return (None,)
        known = {each.name for operations in listed for each in operations}
        names = tuple(sorted(name for name in known if operation(name) == shown)) or (shown,)
        return names if len(names) <= _MOST_NAMES else (None,)

    def _left_out(self, candidates: Candidates[Parts], traces: Traces) -> LeftOut:
        read = partial(read_table, with_details=True)
        return PartsLeftOut.of(traces, candidates.by_id, read, partial(reading, self._client))

    def _read(self, traces: Iterable[Parts], *, with_details: bool) -> Traces:
        with reading(self._client):
            return read_table(traces, with_details=with_details)

    def _span_count(self, parts: Parts) -> int:
        return self._sizes(parts)[0]

    def _sizes(self, parts: Parts) -> tuple[int, int]:
        """Count the spans of a trace, and those whose host is known."""
        codes = Codebook()
        with reading(self._client), collector_paused():
            origins = [origin for part in parts for origin in part.coded(codes, with_details=False).origins]
        with_host = {code for (_, host), code in codes.origins.items() if host}
        return len(origins), sum(origin in with_host for origin in origins)

    def _search_whole(self, bounded: BoundedQuery) -> Answered[Parts]:
        return self._completer.whole(self._dialect.search(bounded))

    def _search_summaries(self, query: TraceQuery) -> FoundSummaries | None:
        """Find summaries; None where the server has none, or could not be asked for all that the query says."""
        asking = Asking(
            partial(ask_summaries, self._client), lambda summary: summary.span_count, partial(fitting, query=query)
        )
        try:
            candidates = self._gatherer.gather(query, asking)
        except NoSuchRouteError:
            self._has_summaries = False
            return None
        except SourceError as error:
            if not is_refusal(error):
                raise
            # Elasticsearch without scripts, for example; whole traces may be found all the same.
            self._has_summaries = False
            return None
        if candidates.is_relaxed or candidates.is_partial:
            return None
        if not candidates.by_id:
            self._check_names(query)
        anytime = replace(query, window=Window())
        possible = [summary for summary in candidates.by_id.values() if may_match(summary, query)]
        kept = newest_summaries(summary for summary in possible if lasts_as_asked(summary, query))
        return FoundSummaries(
            tuple(self._completer.with_roots(kept[: query.limit], self._summary)),
            candidates.is_cut_off or len(kept) > len(kept[: query.limit]),
            _notes(query, candidates, sum(not may_match(each, anytime) for each in candidates.by_id.values())),
            candidates.service_count,
        )

    def _summary(self, parts: Parts) -> TraceSummary:
        return summarize(self._read([parts], with_details=False))[0]

    def _check_names(self, query: TraceQuery) -> None:
        """Tell a name that does not exist from one that nothing was found for; asked only when nothing was found."""
        service, name = query.service, query.operation
        if service is None:
            return
        self._check_service(service)
        if name is None:
            return
        names = sorted({known.name for known in self._dialect.operations(service)})
        if name not in names and name not in map(operation, names):
            hint = nearest_names("operation", name, names, self, "operations", service)
            if len(name) > LONGEST_INDEXED:
                told = f"Elasticsearch and OpenSearch list no name of more than {LONGEST_INDEXED} characters; "
                hint = Hint((told, *hint.parts))
            raise NotFoundError(
                f"no operation named '{printable(name)}' in service '{printable(service)}' at {self.location}",
                hint=hint,
            )

    def _check_service(self, service: str) -> None:
        services = self.services()
        if service not in services:
            raise NotFoundError(
                f"no service named '{printable(service)}' at {self.location}",
                hint=nearest_names("service", service, services, self, "services"),
            )


def _is_settled(answer: Checked | SourceError) -> bool:
    """Tell whether asking in another way would find nothing more."""
    return isinstance(answer, Checked) and bool(answer.kept) and not answer.is_short_of_room


def _notes(query: TraceQuery, candidates: Candidates[Any], dropped_count: int) -> tuple[str, ...]:
    notes = list(candidates.notes)
    if query.window.start_ns is None:
        notes.append("no start was given, so the search went back 48 hours")
    if candidates.is_relaxed:
        notes.append(
            "the server's storage cannot look for tags and durations at once: durations were checked afterwards, "
            "among the traces it found by tags"
        )
    elif dropped_count:
        left_out = f"left out {plural(dropped_count, 'trace')} that the server found but that did not match exactly"
        why = "some storages take tags of different spans together, or read values as patterns"
        notes.append(f"{left_out}: {why}" if query.has_tags or query.has_error else left_out)
    return tuple(notes)


def _sample_notes(query: TraceQuery, candidates: Candidates[Any]) -> Iterator[str]:
    """Say what a sample of every service does not hold."""
    if candidates.full:
        limit = plural(query.limit or MOST_TRACES, "trace")
        yield f"of every service the newest {limit} were looked at; there may be more of {_named(candidates.full)}"
    if candidates.empty and query == TraceQuery(window=query.window, limit=query.limit):
        yield f"nothing was found of {_named(candidates.empty)}"


def _named(services: Sequence[str]) -> str:
    shown = ", ".join(printable(service) for service in services[:_MOST_NAMED])
    others = len(services) - _MOST_NAMED
    return shown if others <= 0 else f"{shown} and {plural(others, 'other service')}"
