"""The two languages that Jaeger servers speak: v1 JSON, up to 2.20, and v3, the only one with a search after that.

A dialect turns questions into requests and answers into what codecs read. What is asked of whom, and what answers are
worth, is decided in `jaeger`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from traceq.catalog import Operation, ServiceCall
from traceq.codec import Part, read_document
from traceq.codec.answers import (
    read_dependencies,
    read_operations,
    read_services,
    read_summaries,
    read_v3_operations,
    read_v3_services,
)
from traceq.codec.batches import by_trace
from traceq.errors import DecodeError, SourceError
from traceq.query import TraceQuery
from traceq.sources.http import Answer, HttpClient
from traceq.sources.refusals import is_api_answer, lacks_route, refusal, says_no_such_route
from traceq.summary import TraceSummary
from traceq.traces import normal_id
from traceq.units import NS_PER_MS, NS_PER_US, format_rfc3339

Params = tuple[tuple[str, str], ...]
Parts: TypeAlias = Sequence[Part]
"""A trace as it was answered, not decoded yet: v3 may spread one over several places."""

_Read = TypeVar("_Read")
_Trace = TypeVar("_Trace", Parts, TraceSummary)


@dataclass(frozen=True, slots=True)
class BoundedQuery:
    """A query as servers take it: a window with both ends, and a limit."""

    query: TraceQuery
    start_ns: int
    end_ns: int
    limit: int

    @property
    def attributes(self) -> dict[str, str]:
        """What to send as tags: `error` stands for a failed span in every storage."""
        return dict(self.query.attributes) | ({"error": "true"} if self.query.has_error else {})


@dataclass(frozen=True, slots=True)
class Answered(Generic[_Trace]):
    """Traces as one answer holds them."""

    by_id: dict[str, _Trace] = field(default_factory=dict)
    """By `normal_id`, each whole."""
    notes: tuple[str, ...] = ()
    """What the server told of failures beside them."""


class Dialect(Protocol):
    """How to ask one kind of server."""

    @property
    def searches_all_services(self) -> bool:
        """Whether a search without a service may be tried."""

    @property
    def resolution_ns(self) -> int:
        """How exact the times in its answers are."""

    def services(self) -> tuple[str, ...]:
        """Ask which services there are."""

    def operations(self, service: str) -> tuple[Operation, ...]:
        """Ask for the operations of a service; none for one that is unknown."""

    def search(self, bounded: BoundedQuery) -> Answered[Parts]:
        """Ask for traces: candidates."""

    def trace(self, trace_id: str) -> Answered[Parts]:
        """Ask for one trace; nothing when there is none."""


def find_dialect(client: HttpClient) -> tuple[Dialect, tuple[str, ...]]:
    """Find out what the server speaks by asking for its services, in v1 and then in v3; give both.

    Raises:
        SourceError: If it speaks neither; with what the first answer looks like.
    """
    first = client.get("/api/services")
    if not says_no_such_route(first):
        services = _read(client, _accepted(client, first), read_services)
        return V1Dialect(client), services
    second = client.get("/api/v3/services")
    if not says_no_such_route(second):
        services = _read(client, _accepted(client, second), read_v3_services)
        return V3Dialect(client), services
    raise refusal(first, client.address)


class V1Dialect:
    """`/api/...`, Jaeger 1.x to 2.20, and the servers that imitate it."""

    searches_all_services = False
    resolution_ns = NS_PER_US

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def services(self) -> tuple[str, ...]:
        """Ask which services there are."""
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
        return _traces(self._client, _accepted(self._client, self._client.get("/api/traces", _v1_params(bounded))))

    def trace(self, trace_id: str) -> Answered[Parts]:
        """Ask for one trace; nothing when there is none."""
        answer = self._client.get(f"/api/traces/{trace_id}")
        if _says_not_found(answer):
            return Answered()
        return _traces(self._client, _accepted(self._client, answer))


class V3Dialect:
    """`/api/v3/...`: the only search after Jaeger 2.20.

    Names in snake case and `num_traces` because every version reads them.
    """

    searches_all_services = True
    resolution_ns = 1

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def services(self) -> tuple[str, ...]:
        """Ask which services there are."""
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
        """Ask for one trace; nothing when there is none. Ids are padded: 2.20 reads short ones as base64."""
        answer = self._client.get(f"/api/v3/traces/{trace_id.zfill(32)}")
        if _says_not_found(answer):
            return Answered()
        return _traces(self._client, _accepted(self._client, answer))


class NoSuchRouteError(Exception):
    """The server does not know this route; the question has to be put another way."""


def ask_summaries(client: HttpClient, bounded: BoundedQuery) -> Answered[TraceSummary]:
    """Ask for traces in short: candidates.

    The route belongs to v3 but is there beside a whole v1 in 2.19 and 2.20.

    Raises:
        NoSuchRouteError: Before 2.19.
    """
    answer = client.get("/api/v3/trace-summaries", _v3_params(bounded))
    if lacks_route(answer):
        raise NoSuchRouteError
    summaries = _read(client, _accepted(client, answer), read_summaries)
    return Answered({normal_id(summary.trace_id): summary for summary in summaries})


def ask_dependencies(client: HttpClient, start_ns: int, end_ns: int) -> tuple[ServiceCall, ...]:
    """Ask for recorded calls; in v1 only, the one route that every version has.

    In milliseconds here, where traces are asked for in microseconds.
    """
    end_ms, start_ms = -(-end_ns // NS_PER_MS), start_ns // NS_PER_MS
    params = (("endTs", str(end_ms)), ("lookback", str(end_ms - start_ms)))
    return _ask(client, "/api/dependencies", params, read_dependencies)


def _v1_params(bounded: BoundedQuery) -> Params:
    query = bounded.query
    return _present(
        ("service", query.service),
        ("operation", query.operation),
        ("tags", _json_map(bounded.attributes)),
        ("minDuration", _go_duration(query.min_duration_ns)),
        ("maxDuration", _go_duration(query.max_duration_ns)),
        # Outward to whole microseconds, so that nothing at the edge is lost.
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
    """Write tags as JSON with text for values: Jaeger refuses anything else there."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False) if values else None


def _go_duration(duration_ns: int | None) -> str | None:
    return None if duration_ns is None else f"{duration_ns}ns"


def _says_not_found(answer: Answer) -> bool:
    return answer.status == HTTPStatus.NOT_FOUND and not says_no_such_route(answer)


def _accepted(client: HttpClient, answer: Answer) -> Answer:
    if not is_api_answer(answer):
        raise refusal(answer, client.address)
    return answer


def _ask(client: HttpClient, path: str, params: Params, read: Callable[[bytes], _Read]) -> _Read:
    return _read(client, _accepted(client, client.get(path, params)), read)


@contextmanager
def reading(client: HttpClient) -> Iterator[None]:
    """Say of an answer that cannot be read whose it is.

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
    document = _read(client, answer, lambda body: read_document(body, client.address.url))
    return Answered(dict(by_trace(document.parts)), document.notes)
