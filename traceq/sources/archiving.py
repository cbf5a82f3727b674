"""Orders a server to copy a trace to its archive storage, where it stays when others are deleted.

A route of v1 that the latest versions have, too. Searches do not look into the archive; by its id Jaeger finds a trace
there when its other storage does not have it, in v1 and v3 alike.
"""

from __future__ import annotations

from http import HTTPStatus

from traceq.codec.answers import error_message, tells_not_found
from traceq.errors import Hint, NextCommand, SourceError
from traceq.sources.http import Answer, HttpClient
from traceq.sources.refusals import asks_for_login, is_api_answer, lacks_route, refusal

_NO_TRACE = "trace not found"
_NO_ARCHIVE = "archive span storage was not configured"
_ID_DIGITS = 32
_HINT = (
    "its operator gives it one: `traces_archive` in the storage of jaeger_query (Jaeger 2), or a flag such as "
    "--es-archive.enabled (Jaeger 1)"
)


def order_archiving(client: HttpClient, trace_id: str) -> bool:
    """Have a trace archived, and tell whether the server has such a trace.

    Raises:
        SourceError: If the server has no archive storage, or fails over it.
    """
    answer = client.post(f"/api/archive/{trace_id.zfill(_ID_DIGITS)}")
    told = error_message(answer.body)
    if tells_not_found(answer.body) or (answer.status == HTTPStatus.NOT_FOUND and _NO_TRACE in told):
        return False
    if is_api_answer(answer) and not told:
        return True
    raise _failure(answer, told, client)


def _failure(answer: Answer, told: str, client: HttpClient) -> SourceError:
    url = client.address.url
    if _NO_ARCHIVE in told:
        return SourceError(f"Jaeger at {url} has no archive storage", hint=_HINT)
    if lacks_route(answer) and not asks_for_login(answer):
        return SourceError(
            f"the server at {url} does not archive traces: it has no route for that",
            hint=Hint((NextCommand(("fetch", "--output", "traces.json.gz"), (url,)), " keeps traces in a file")),
        )
    if is_api_answer(answer):
        return SourceError(f"Jaeger at {url} could not archive the trace: {told}")
    return refusal(answer, client.address)
