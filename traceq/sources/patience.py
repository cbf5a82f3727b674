"""Asks a server again after a failure that passes, as httpx-retries does it."""

from __future__ import annotations

from collections.abc import Collection

import httpx
from httpx_retries import Retry, RetryTransport

from traceq.errors import AskedToWait
from traceq.units import NS_PER_S

_COUNT = 2
_BACKOFF_S = 0.1
"""Gives waits of at most 0.2 and 0.4 s, shortened at random, so that a mistyped port is reported within a second."""


def asking_again(
    transport: httpx.BaseTransport,
    first: httpx.Response | httpx.TransportError,
    *,
    statuses: Collection[int],
    patience_s: float,
) -> RetryTransport:
    """Give what a first request came to a second and a third chance, if it was a GET.

    Args:
        transport: What sends requests.
        first: What the first one came to: a response of one of the statuses, or an error.
        statuses: Those after which it helps to ask again.
        patience_s: How long all waits together may take.

    Raises:
        AskedToWait: If the server asks for a longer wait than is left.
    """
    retry = _BoundedRetry(
        total=_COUNT,
        allowed_methods=["GET"],
        status_forcelist=statuses,
        retry_on_exceptions=[httpx.NetworkError, httpx.RemoteProtocolError],
        backoff_factor=_BACKOFF_S,
        max_backoff_wait=patience_s,
        total_timeout=patience_s,
    )
    return RetryTransport(_Begun(transport, first), retry)


class _Begun(httpx.BaseTransport):
    """Answers the first request with what is known already."""

    def __init__(self, transport: httpx.BaseTransport, first: httpx.Response | httpx.TransportError) -> None:
        self._transport = transport
        self._first: httpx.Response | httpx.TransportError | None = first

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        first, self._first = self._first, None
        if first is None:
            return self._transport.handle_request(request)
        if isinstance(first, httpx.Response):
            return first
        raise first


class _BoundedRetry(Retry):
    """Gives up at once if the server asks for a longer wait than is left.

    httpx-retries would wait as long as it may and then retry, which is slow and not what the server asked for.
    """

    def parse_retry_after(self, retry_after: str) -> float:
        seconds = super().parse_retry_after(retry_after)
        if seconds > self.max_backoff_wait - self.elapsed_sleep:
            raise AskedToWait(round(seconds * NS_PER_S))
        return seconds
