"""Where errors begin, how far they spread, and how many requests they fail."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from msgspec import Struct, field

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.group_sums import example_rows
from traceq.analysis.grouping import added, depths, distinct, find_roots, flags_at, merged
from traceq.analysis.naming import whose
from traceq.analysis.requests import ASKED_SERVICE, RequestOptions, Requests, SetApart, requests_of, set_apart_specs
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.report import Column, Part, Rows, Unit, Value
from traceq.semantics import HTTP_STATUS, Peer, Status, first_text, operation
from traceq.traces import Span, Traces
from traceq.units import format_count, format_ratio, plural

_EXAMPLES = 3
_LONGEST_MESSAGE = 300
"""Number of characters by which messages are grouped: some hold a whole document, different each time."""


def find_origins(spans: Columns) -> Flags:
    """Tell where errors begin: failed spans without a failed child."""
    failed: Flags = spans.statuses == Status.ERROR
    has_failed_child = flags_at(spans.parents[failed & (spans.parents >= 0)], spans.parents.size)
    return failed & ~has_failed_child


class Failure(NamedTuple):
    """What a failed span says about its failure; empty where it says nothing."""

    error_type: str
    message: str
    """The first line of the message, unchanged."""

    @property
    def text(self) -> str:
        """Type and message as they are usually written."""
        return ": ".join(part for part in self if part)


_TYPES = ("exception.type", "error.type", "error.kind")
_MESSAGES = ("exception.message", "otel.status_description", "error.message", "message", "error.object")
_CODES = ((HTTP_STATUS, "HTTP"), (("rpc.grpc.status_code", "grpc.status_code"), "gRPC"))


def failure_of(span: Span) -> Failure:
    """Read why a span failed: its last exception event, else its attributes, else the status it was answered with."""
    if span.traces.details is None:
        return Failure("", "")
    attributes = span.details.attributes()
    exceptions = [event.attributes for event in span.details.events() if event.name in ("exception", "error")]
    for source in (*reversed(exceptions), attributes):
        found = Failure(first_text(source, _TYPES), _first_line(first_text(source, _MESSAGES)))
        if found.text:
            return found
    codes = (f"{name} {code}" for keys, name in _CODES if (code := first_text(attributes, keys)))
    return Failure("", next(codes, ""))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip()


_MASKS = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    # An apostrophe within a word is not a quote.
    (re.compile(r"\"[^\"]*\"|`[^`]*`|(?<!\w)'[^']*'(?!\w)"), "<value>"),
    (re.compile(r"\b(?:0x[0-9a-fA-F]+|(?=[0-9a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{8,})\b"), "<id>"),
    (re.compile(r"(?<![A-Za-z])\d+(?:[.,:]\d+)*"), "<n>"),
)


def masked(message: str) -> str:
    """Replace what differs between occurrences of an error by placeholders: UUIDs, quoted values, hex ids, numbers.

    Digits at the end of a word stay (`utf8`, `s3`): they are part of a name.
    """
    for pattern, placeholder in _MASKS:
        message = pattern.sub(placeholder, message)
    return message[:_LONGEST_MESSAGE]


class ErrorKey(NamedTuple):
    """Origins that count as the same error."""

    service: str
    name: str
    """The name of the span in which the error began, without ids."""
    error_type: str
    message: str
    """The message, with numbers, ids and quoted values masked."""
    peer: Peer | None = None
    """What the span called."""


class ErrorExample(NamedTuple):
    """One origin of an error; newer ones are greater."""

    start_ns: int
    trace_id: str
    span_id: str
    message: str
    """The message, unchanged."""


class ErrorTotals(Struct, frozen=True):
    """An error, summed up; can be added to others."""

    origin_count: int
    request_count: int
    """The number of requests in which the error began."""
    failed_request_count: int
    """The number of these that failed with it: every span from the origin up to the entry failed."""
    most_spans: int
    """The number of spans in the longest chain of failed spans from an origin upwards, the origin included."""
    first_ns: int
    last_ns: int
    services: frozenset[str]
    """The services that failed with it, including the one in which it began."""
    http_statuses: Counter[str]
    """The number of requests by the HTTP status of their answer; requests without one are not counted."""
    examples: tuple[ErrorExample, ...]
    """The newest origins, each from a different trace."""

    def __add__(self, other: ErrorTotals) -> ErrorTotals:
        return added(
            self,
            other,
            most_spans=max(self.most_spans, other.most_spans),
            first_ns=min(self.first_ns, other.first_ns),
            last_ns=max(self.last_ns, other.last_ns),
            services=self.services | other.services,
            examples=_newest((*self.examples, *other.examples)),
        )


def _newest(examples: tuple[ErrorExample, ...]) -> tuple[ErrorExample, ...]:
    by_trace: dict[str, ErrorExample] = {}
    for example in sorted(examples):
        by_trace[example.trace_id] = example
    return tuple(heapq.nlargest(_EXAMPLES, by_trace.values()))


class ErrorSums(Struct, frozen=True):
    """The errors of any number of requests, summed up; can be added to others."""

    request_count: int = 0
    failed_request_count: int = 0
    trace_count: int = 0
    span_count: int = 0
    failed_span_count: int = 0
    errors: Mapping[ErrorKey, ErrorTotals] = {}
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: ErrorSums) -> ErrorSums:
        return added(self, other, errors=merged((*self.errors.items(), *other.errors.items())))


def _sum_errors(requests: Requests, origins: Ints) -> dict[ErrorKey, ErrorTotals]:
    if not origins.size:
        return {}
    traces = requests.spans.traces
    chains = _Chains(requests.spans)
    by_key: dict[ErrorKey, list[int]] = {}
    messages = {}
    # Errors are few, and each has to be read: a loop over the origins, not over the spans.
    for row in origins.tolist():
        span = traces.span(row)
        failure = failure_of(span)
        messages[row] = failure.message
        key = ErrorKey(span.service, operation(span.name), failure.error_type, masked(failure.message), span.peer)
        by_key.setdefault(key, []).append(row)
    return {key: _totals(requests, chains, np.array(rows, dtype=np.int64), messages) for key, rows in by_key.items()}


class _Chains:
    """How far failures spread upwards from each span, through failed parents without a gap."""

    def __init__(self, spans: Columns) -> None:
        failed = spans.statuses == Status.ERROR
        parents = np.where(failed & failed[spans.parents], spans.parents, -1)
        self.spans = spans
        self.parents = parents
        self.tops = find_roots(parents)
        self.lengths = depths(parents) + 1
        same = spans.services == spans.services[parents]
        self._service_tops = find_roots(np.where(same, parents, -1))

    def services(self, origins: Ints) -> frozenset[str]:
        """Name the services on the chains; each step of the loop moves every chain to its next service."""
        codes: set[int] = set()
        rows = origins
        while rows.size:
            codes.update(distinct(self.spans.services[rows]).tolist())
            rows = distinct(self.parents[self._service_tops[rows]])
            rows = rows[rows >= 0]
        return frozenset(self.spans.traces.services[code] for code in codes)


def _totals(requests: Requests, chains: _Chains, rows: Ints, messages: Mapping[int, str]) -> ErrorTotals:
    spans = requests.spans
    entries = requests.entry[rows]
    start_ns = np.asarray(spans.traces.start_ns)[rows]  # as their own hosts told it
    return ErrorTotals(
        origin_count=int(rows.size),
        request_count=int(distinct(entries).size),
        failed_request_count=int(distinct(entries[chains.tops[rows] == entries]).size),
        most_spans=int(chains.lengths[rows].max()),
        first_ns=int(start_ns.min()),
        last_ns=int(start_ns.max()),
        services=chains.services(rows),
        http_statuses=_http_statuses(spans.traces, distinct(entries)),
        examples=_newest(
            tuple(
                ErrorExample(span.start_ns, span.trace_id, span.span_id, messages[span.row])
                for span in map(spans.traces.span, rows.tolist())
            )
        ),
    )


def _http_statuses(traces: Traces, entries: Ints) -> Counter[str]:
    if traces.details is None:
        return Counter()
    told = (first_text(traces.span(row).details.attributes(), HTTP_STATUS) for row in entries.tolist())
    return Counter(status for status in told if status)


class ErrorOrigin(Struct, frozen=True):
    """A line of the answer: all occurrences of one error."""

    key: ErrorKey
    totals: ErrorTotals


_EXAMPLE_COLUMNS: tuple[Column[ErrorExample], ...] = (
    Column("start_ns", "start", Unit.TIME, about="start of the span"),
    Column("trace_id", "trace", Unit.TRACE_ID),
    Column("span_id", "span"),
    Column("message", "message", about="message, unchanged"),
)

ERROR_COLUMNS: tuple[Column[ErrorOrigin] | Rows[ErrorOrigin], ...] = (
    Column("service", "service", Unit.SERVICE, of="key", about="service where the error begins"),
    Column("operation", "operation", value=lambda origin: origin.key.name),
    Column(
        "peer",
        "peer",
        value=lambda origin: origin.key.peer and origin.key.peer.label,
        about="what it called: system and name; null where it called nothing, or a service that sends spans",
    ),
    Column(
        "error_type",
        "type",
        value=lambda origin: origin.key.error_type or None,
        about="type of the error; null where not given",
    ),
    Column(
        "message",
        "message",
        value=lambda origin: origin.key.message or None,
        about="message, with numbers, ids and quoted values masked; null where there is none",
    ),
    Column("origin_count", "origins", Unit.COUNT, of="totals", about="spans where it begins"),
    Column("request_count", "requests", Unit.COUNT, of="totals", about="requests that it is in"),
    Column("failed_request_count", "failed", Unit.ERRORS, of="totals", about="requests that failed with it"),
    Column(
        "longest_chain_span_count",
        "longest chain",
        Unit.COUNT,
        lambda origin: origin.totals.most_spans,
        "failed spans from where it begins upwards",
    ),
    Column(
        "services",
        "services",
        value=lambda origin: sorted(origin.totals.services),
        about="services that failed with it",
        holds="texts",
    ),
    Column(
        "http_statuses",
        "answered with",
        Unit.OBJECT,
        lambda origin: dict(sorted(origin.totals.http_statuses.items())),
        "HTTP statuses of the requests, with their number; `500 x 3` in CSV",
        text=lambda origin: tuple(
            f"{status} x {count}" for status, count in sorted(origin.totals.http_statuses.items())
        ),
        holds="count by name",
        is_known=True,
    ),
    Column("first_ns", "first", Unit.TIME, of="totals", about="start of the first span"),
    Column("last_ns", "last", Unit.TIME, of="totals", about="start of the last span"),
    example_rows(_EXAMPLE_COLUMNS, "newest"),
)


class ErrorOrigins(Answer, Struct, frozen=True):
    """Where errors began; the error that failed most requests comes first."""

    options: RequestOptions
    sums: ErrorSums
    origins: tuple[ErrorOrigin, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            request_count="requests that were looked at",
            failed_request_count="requests that failed",
            failed_ratio="their share",
            service="service where the error begins that fails most requests; null for no error",
            operation="its operation",
            peer="what that called; null for nothing",
            error_type="its type; null where not given",
        ),
        ASKED_SERVICE,
        Column("request_count", of="sums", about="requests that were looked at"),
        Column("failed_request_count", of="sums", about="requests whose entry span failed"),
        Column("trace_count", of="sums", about="traces with these requests"),
        Column("span_count", of="sums", about="spans of these requests"),
        Column("failed_span_count", of="sums", about="those of them that failed"),
        *set_apart_specs(lambda answer: answer.sums.set_apart),
        Rows(
            "errors", ERROR_COLUMNS, lambda answer: answer.origins, "errors, those first that failed the most requests"
        ),
    )
    MAIN: ClassVar[str] = "errors"

    @property
    def verdict(self) -> Verdict | None:
        """How many requests failed, and where the error begins that fails most of them; None without requests."""
        count, failed = self.sums.request_count, self.sums.failed_request_count
        if not count:
            return None
        requests = f"{plural(count, 'request')}{f' of {self.options.service}' if self.options.service else ''}"
        ratio = failed / count
        numbers: dict[str, Value] = {"request_count": count, "failed_request_count": failed, "failed_ratio": ratio}
        if not self.origins:
            return Verdict((Part(f"No errors in {requests}."),), numbers)
        key, totals = self.origins[0].key, self.origins[0].totals
        numbers |= {"service": key.service, "operation": key.name, "error_type": key.error_type or None}
        numbers["peer"] = key.peer and key.peer.label
        told = f"{format_count(failed)} of {requests} failed ({format_ratio(ratio)})"
        with_it = totals.failed_request_count
        of_them = f"{told}, {'all' if with_it == failed else f'{format_count(with_it)} of them'} with "
        if not failed:
            of_them = f"None of {requests} failed, but {format_count(totals.request_count)} met "
        elif count == 1:
            of_them = "The request failed with "
        what = key.error_type or key.message or "an error without a message"
        where = whose(key.service, key.name, key.peer, self.options.service)
        parts = (Part(f"{of_them}{what} in "), Part(key.name, "strong"), Part(f"{where}."))
        return Verdict(parts, numbers)


class ErrorQuestion(Struct, frozen=True):
    """Where errors begin, how far they spread, and which requests they fail."""

    options: RequestOptions
    learns: bool = True
    needs_details: bool = True
    """Whether attributes and events are needed: messages are in these."""

    def nothing(self) -> ErrorSums:
        """Give the sums of no traces."""
        return ErrorSums()

    def collect(self, traces: Traces) -> ErrorSums:
        """Sum up where the errors in requests began."""
        requests = requests_of(traces, self.options)
        spans, entries = requests.spans, requests.entries
        asked, failed = requests.entry >= 0, spans.statuses == Status.ERROR
        return ErrorSums(
            request_count=int(entries.size) + requests.set_apart.incomplete_count,
            failed_request_count=int(np.count_nonzero(failed[entries])),
            trace_count=int(distinct(spans.trace[entries]).size),
            span_count=int(np.count_nonzero(asked)),
            failed_span_count=int(np.count_nonzero(asked & failed)),
            errors=_sum_errors(requests, np.flatnonzero(find_origins(spans) & asked)),
            set_apart=requests.set_apart,
        )

    def rank(self, sums: ErrorSums) -> ErrorOrigins:
        """Turn sums into the answer: by failed requests, then by requests, then by origins."""
        origins = [ErrorOrigin(key, totals) for key, totals in sums.errors.items()]
        return ErrorOrigins(self.options, sums, tuple(sorted(origins, key=_rank)))


def _rank(origin: ErrorOrigin) -> tuple[object, ...]:
    totals, (*key, peer) = origin.totals, origin.key
    return (-totals.failed_request_count, -totals.request_count, -totals.origin_count, *key, peer or ())
