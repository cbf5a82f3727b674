"""The two APIs of Jaeger servers: v1 JSON, up to 2.20, and v3, the only one that can search after that.

A dialect turns questions into requests, and passes answers to codecs. What to ask, and how far to trust the answers,
is decided in `jaeger`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from msgspec import Struct

from traceq.catalog import Operation, ServiceCall, TraceSummary
from traceq.codec import by_trace
from traceq.codec.answers import (
    error_message,
    read_dependencies,
    read_operations,
    read_services,
    read_summaries,
    read_v3_operations,
    read_v3_services,
    tells_not_found,
)
from traceq.codec.documents import read_document
from traceq.codec.parts import Part
from traceq.errors import DecodeError, Hint, NextCommand, SourceError
from traceq.query import TraceQuery
from traceq.sources.http import Answer, HttpClient
from traceq.sources.refusals import asks_for_login, is_api_answer, lacks_route, refusal, says_no_such_route
from traceq.traces import normal_id
from traceq.units import NS_PER_MS, NS_PER_S, NS_PER_US, format_rfc3339

Params = tuple[tuple[str, str], ...]
Parts: TypeAlias = Sequence[Part]
"""A trace in an answer, not decoded yet; v3 may spread a trace over several places."""

_GO_UNITS = ((NS_PER_S, "s"), (NS_PER_MS, "ms"), (NS_PER_US, "us"), (1, "ns"))
_WHOLE_ID = 32

_Read = TypeVar("_Read")
_Trace = TypeVar("_Trace", Parts, TraceSummary)


class BoundedQuery(Struct, frozen=True):
    """A query as servers expect it: with both ends of the window, and a limit."""

    query: TraceQuery
    start_ns: int
    end_ns: int
    limit: int

    def fits(self, widest_ns: int | None, most_traces: int | None) -> bool:
        """Whether a server takes such a window and limit; None where it takes any."""
        is_narrow = widest_ns is None or self.end_ns - self.start_ns <= widest_ns
        return is_narrow and (most_traces is None or self.limit <= most_traces)

    @property
    def attributes(self) -> dict[str, str]:
        """The tags to send; in every storage, `error` stands for a failed span."""
        return (
            dict(self.query.tag_patterns)
            | dict(self.query.attributes)
            | ({"error": "true"} if self.query.has_error else {})
        )


class Answered(Struct, Generic[_Trace], frozen=True):
    """The traces of one answer."""

    by_id: dict[str, _Trace] = {}
    """By `normal_id`, each whole."""
    notes: tuple[str, ...] = ()
    """Failures that the server reported besides them."""
    is_partial: bool = False
    """Whether some of them may lack spans."""


class Dialect(Protocol):
    """How to ask one kind of server."""

    @property
    def searches_all_services(self) -> bool:
        """Whether a search without a service may be tried."""

    @property
    def resolution_ns(self) -> int:
        """The resolution of the times in its answers."""

    @property
    def resource_prefixes(self) -> tuple[str, ...]:
        """What servers of this kind may want before the key of a resource's attribute: VictoriaTraces does."""

    @property
    def most_spans(self) -> int | None:
        """The number of spans at which it may cut a trace off; None if it does not."""

    def services(self) -> tuple[str, ...]:
        """Ask for the services."""

    def operations(self, service: str) -> tuple[Operation, ...]:
        """Ask for the operations of a service; none for one that is unknown."""

    def search(self, bounded: BoundedQuery) -> Answered[Parts]:
        """Ask for traces: candidates."""

    def trace(self, trace_id: str) -> Answered[Parts]:
        """Ask for one trace; empty if there is none."""


def find_dialect(client: HttpClient) -> tuple[Dialect, tuple[str, ...]]:
    """Ask for services in v1, then in v3, to find out what the server supports; return dialect and services.

    Raises:
        SourceError: If it supports neither; describes the first answer.
    """
    first = client.get("/api/services")
    if not lacks_route(first):
        services = _read(client, _accepted(client, first), read_services)
        return V1Dialect(client), services
    second = client.get("/api/v3/services")
    if not lacks_route(second):
        services = _read(client, _accepted(client, second), read_v3_services)
        return V3Dialect(client), services
    raise refusal(first, client.address, "" if asks_for_login(first) else _what_is_there(client))


_BASE_PATHS = ("", "/jaeger", "/select/jaeger", "/v1/jaeger", "/api/v1/otel-traces-v0_9/jaeger")
"""Of Jaeger, Jaeger behind a proxy and mocha, VictoriaTraces, GreptimeDB, Quickwit."""
_OTHER_APIS = (
    ("/api/v2/services", "Zipkin's", re.compile(rb"\s*\[")),
    ("/api/echo", "Tempo's own", re.compile(rb"echo\s*$")),
)


def _what_is_there(client: HttpClient) -> str:
    """Give a hint for a server that has no Jaeger API at this path: where it has one, or what it has instead."""
    origin = client.address.origin
    for base_path in _BASE_PATHS:
        if base_path != client.address.base_path and _lists_services(client, base_path):
            return f"its API seems to be at {base_path or '/'}: set --source {origin}{base_path}"
    for path, whose, mark in _OTHER_APIS:
        answer = _answer_at(client, path, "")
        if answer is not None and answer.status == HTTPStatus.OK and mark.match(answer.body):
            return (
                f"this is {whose} API, which traceq does not speak: is there a Jaeger query server, or a bridge to one?"
            )
    return ""


def _lists_services(client: HttpClient, base_path: str) -> bool:
    answer = _answer_at(client, "/api/services", base_path)
    try:
        return answer is not None and is_api_answer(answer) and bool(read_services(answer.body))
    except DecodeError:
        return False


def _answer_at(client: HttpClient, path: str, base_path: str) -> Answer | None:
    try:
        return client.get(path, base_path=base_path)
    except SourceError:
        return None  # The server's first answer is what is told.


class V1Dialect:
    """`/api/...`, Jaeger 1.x to 2.20, and the servers that imitate it."""

    searches_all_services = False
    resolution_ns = NS_PER_US
    resource_prefixes = ("resource_attr:",)
    most_spans = 10_000
    """The window of results in Elasticsearch, beyond which Jaeger up to 2.20 loses spans of one microsecond."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def services(self) -> tuple[str, ...]:
        """Ask for the services."""
        return _ask(self._client, "/api/services", (), read_services)

    def operations(self, service: str) -> tuple[Operation, ...]:
        """Ask for operations with their kinds, or for names alone where the server has no better route.

        The old route is not the first choice: Jaeger 2.16 to 2.20 decode a service's name twice there, so that `a%2Bb`
        is read as `a b`.
        """
        answer = self._client.get("/api/operations", (("service", service),))
        if lacks_route(answer):
            answer = self._client.get(f"/api/services/{quote(service, safe='')}/operations")
        return _read(self._client, _accepted(self._client, answer), read_operations)

    def search(self, bounded: BoundedQuery) -> Answered[Parts]:
        """Ask for traces: candidates."""
        answer = self._client.get("/api/traces", _v1_params(bounded))
        if answer.status == HTTPStatus.OK and tells_not_found(answer.body):
            return Answered()
        return self._traces(answer, lambda other: other.search(bounded))

    def trace(self, trace_id: str) -> Answered[Parts]:
        """Ask for one trace; empty if there is none."""
        found: Answered[Parts] = Answered()
        # Imitators compare ids as text, or fail over short ones.
        for written in dict.fromkeys((trace_id, trace_id.zfill(32))):
            answer = self._client.get(f"/api/traces/{written}")
            is_last = len(written) >= _WHOLE_ID
            if _says_not_found(answer) or (answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_last):
                continue
            found = self._traces(answer, lambda other: other.trace(trace_id))
            if found.by_id:
                break
        return found

    def _traces(self, answer: Answer, ask_again: Callable[[V3Dialect], Answered[Parts]]) -> Answered[Parts]:
        """Read traces, or ask for them in v3 where the server failed.

        v1 has no way to write a number that is not finite, so that a single attribute spoils all of an answer.
        """
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            try:
                again = ask_again(V3Dialect(self._client))
            except SourceError:
                again = Answered()
            if again.by_id:
                return again
        return _traces(self._client, _accepted(self._client, answer))


class V3Dialect:
    """`/api/v3/...`: the only search after Jaeger 2.20.

    Names are in snake case, with `num_traces`, because every version accepts these.
    """

    searches_all_services = True
    resolution_ns = 1
    resource_prefixes = ()
    most_spans = None

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def services(self) -> tuple[str, ...]:
        """Ask for the services."""
        return _ask(self._client, "/api/v3/services", (), read_v3_services)

    def operations(self, service: str) -> tuple[Operation, ...]:
        """Ask for operations with their kinds."""
        return _ask(self._client, "/api/v3/operations", (("service", service),), read_v3_operations)

    def search(self, bounded: BoundedQuery) -> Answered[Parts]:
        """Ask for traces: candidates. A search that finds nothing is answered with 404."""
        answer = self._client.get("/api/v3/traces", _v3_params(bounded))
        if _says_not_found(answer):
            return Answered()
        return _traces(self._client, _accepted(self._client, answer))

    def trace(self, trace_id: str) -> Answered[Parts]:
        """Ask for one trace; empty if there is none. Ids are padded, since 2.20 reads short ones as base64."""
        answer = self._client.get(f"/api/v3/traces/{trace_id.zfill(32)}")
        if _says_not_found(answer):
            return Answered()
        return _traces(self._client, _accepted(self._client, answer))


class NoSuchRouteError(Exception):
    """The server does not know this route, and has to be asked in another way."""


def ask_summaries(client: HttpClient, bounded: BoundedQuery) -> Answered[TraceSummary]:
    """Ask for summaries of traces: candidates.

    The route belongs to v3, but 2.19 and 2.20 have it besides all of v1.

    Raises:
        NoSuchRouteError: Before 2.19.
    """
    answer = client.get("/api/v3/trace-summaries", _v3_params(bounded))
    if lacks_route(answer):
        raise NoSuchRouteError
    summaries = _read(client, _accepted(client, answer), read_summaries)
    return Answered({normal_id(summary.trace_id): summary for summary in summaries})


def ask_dependencies(client: HttpClient, start_ns: int, end_ns: int) -> tuple[ServiceCall, ...]:
    """Ask for recorded calls, always in v1, since every version has this route.

    The window is in milliseconds, whereas traces are asked for in microseconds.
    """
    end_ms, start_ms = -(-end_ns // NS_PER_MS), start_ns // NS_PER_MS
    params = (("endTs", str(end_ms)), ("lookback", str(end_ms - start_ms)))
    return _ask(client, "/api/dependencies", params, read_dependencies)


_NO_TRACE = "trace not found"
_NO_ARCHIVE = "archive span storage was not configured"
_ID_DIGITS = 32
_ARCHIVE_HINT = (
    "its operator gives it one: `traces_archive` in the storage of jaeger_query (Jaeger 2), or a flag such as "
    "--es-archive.enabled (Jaeger 1)"
)


def order_archiving(client: HttpClient, trace_id: str) -> bool:
    """Have a trace copied to the archive storage, and tell whether the server has such a trace.

    A route of v1 that the latest versions have, too. Searches do not look into the archive; by its id Jaeger finds a
    trace there when its other storage does not have it, in v1 and v3 alike.

    Raises:
        SourceError: If the server has no archive storage, or fails over it.
    """
    answer = client.post(f"/api/archive/{trace_id.zfill(_ID_DIGITS)}")
    told = error_message(answer.body)
    if tells_not_found(answer.body) or (answer.status == HTTPStatus.NOT_FOUND and _NO_TRACE in told):
        return False
    if is_api_answer(answer) and not told:
        return True
    raise _not_archived(answer, told, client)


def _not_archived(answer: Answer, told: str, client: HttpClient) -> SourceError:
    url = client.address.url
    if _NO_ARCHIVE in told:
        return SourceError(f"Jaeger at {url} has no archive storage", hint=_ARCHIVE_HINT)
    if lacks_route(answer) and not asks_for_login(answer):
        return SourceError(
            f"the server at {url} does not archive traces: it has no route for that",
            hint=Hint((NextCommand(("fetch", "--output", "traces.json.gz"), (url,)), " keeps traces in a file")),
        )
    if is_api_answer(answer):
        return SourceError(f"Jaeger at {url} could not archive the trace: {told}")
    return refusal(answer, client.address)


def _v1_params(bounded: BoundedQuery) -> Params:
    query = bounded.query
    return _present(
        ("service", query.service),
        ("operation", query.operation),
        ("tags", _json_map(bounded.attributes)),
        ("minDuration", _go_duration(query.min_duration_ns)),
        ("maxDuration", _go_duration(query.max_duration_ns)),
        # Rounded outward to microseconds, so that nothing at the edges is lost.
        ("start", str(bounded.start_ns // NS_PER_US)),
        ("end", str(-(-bounded.end_ns // NS_PER_US))),
        ("limit", str(bounded.limit)),
    )


def _v3_params(bounded: BoundedQuery) -> Params:
    query = bounded.query
    return _present(
        ("query.service_name", query.service),
        ("query.operation_name", query.operation),
        ("query.attributes", _json_map(bounded.attributes)),
        ("query.duration_min", _go_duration(query.min_duration_ns)),
        ("query.duration_max", _go_duration(query.max_duration_ns)),
        ("query.start_time_min", format_rfc3339(bounded.start_ns)),
        ("query.start_time_max", format_rfc3339(bounded.end_ns)),
        ("query.num_traces", str(bounded.limit)),
    )


def _present(*pairs: tuple[str, str | None]) -> Params:
    return tuple((name, value) for name, value in pairs if value is not None)


def _json_map(values: dict[str, str]) -> str | None:
    """Write tags as a JSON object with strings for values, since Jaeger accepts nothing else."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False) if values else None


def _go_duration(duration_ns: int | None) -> str | None:
    """Write a duration in the largest unit that takes it whole: imitators know some of Go's units only."""
    if duration_ns is None:
        return None
    size, unit = next(each for each in _GO_UNITS if duration_ns % each[0] == 0)
    return f"{duration_ns // size}{unit}"


def _says_not_found(answer: Answer) -> bool:
    """Tell a trace that is not there from a route that is not; mocha says so with status 200."""
    if answer.status == HTTPStatus.OK:
        return tells_not_found(answer.body)
    return answer.status == HTTPStatus.NOT_FOUND and not says_no_such_route(answer)


def _accepted(client: HttpClient, answer: Answer) -> Answer:
    if not is_api_answer(answer):
        raise refusal(answer, client.address)
    return answer


def _ask(client: HttpClient, path: str, params: Params, read: Callable[[bytes], _Read]) -> _Read:
    return _read(client, _accepted(client, client.get(path, params)), read)


@contextmanager
def reading(client: HttpClient) -> Iterator[None]:
    """Say whose answer cannot be read.

    Raises:
        SourceError: If a codec refuses it.
    """
    try:
        yield
    except DecodeError as error:
        raise SourceError(
            f"the answer of Jaeger at {client.address.url} cannot be read: {error.message}",
            hint="is it a Jaeger query server, or one that speaks like it?",
        ) from error


def _read(client: HttpClient, answer: Answer, read: Callable[[bytes], _Read]) -> _Read:
    with reading(client):
        return read(answer.body)


def _traces(client: HttpClient, answer: Answer) -> Answered[Parts]:
    document = _read(client, answer, lambda body: read_document(body, client.address.url, is_answer=True))
    return Answered(dict(by_trace(document.parts)), document.notes)
