"""Asks a server over HTTP, and reads its address; the only module that imports httpx.

Requests are never redirected to another scheme, host or port, so credentials are not either. Anything that is not an
answer (no connection, a truncated body, a demand for a login) is raised here; other answers are returned, whatever
their status.
"""

from __future__ import annotations

import base64
import gzip
import logging
import re
import ssl
import time
import weakref
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from ipaddress import ip_address
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from msgspec import Struct

from traceq.codec.answers import error_message
from traceq.errors import AskedToWait, InputError, LoginRequired, SourceError
from traceq.sources.interface import ConnectionOptions
from traceq.units import NS_PER_MS, NS_PER_S, format_duration, format_lookback
from traceq.untrusted import printable

logger = logging.getLogger(__name__)

_MAX_REDIRECTS = 5
_RETRIED = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Answer(Struct, frozen=True):
    """The complete answer of a server, uncompressed."""

    status: int
    content_type: str
    """Lower case, without parameters; empty if there is none."""
    body: bytes
    url: str
    """The URL that was asked for, without user and password."""


class HttpClient:
    """Asks one server; after its first answer several threads may use it at once.

    Args:
        base_url: Where the API is, with its base path; user and password in it are sent as basic authentication.
        options: Credentials, certificates, timeout. Headers in the options take precedence over everything else, then
            the token, then basic authentication, then the credentials in the URL.

    Raises:
        ValueError: If the URL or a header cannot be sent.
    """

    def __init__(self, base_url: str, options: ConnectionOptions) -> None:
        self.address = parse_address(base_url)
        self._options = options
        self._headers = _headers(self.address, options)
        self._proxy = _environment_proxy(self.address)

    def get(self, path: str, params: tuple[tuple[str, str], ...] = (), *, base_path: str | None = None) -> Answer:
        """Ask for a path below the base URL, or below another base path of the same server.

        Raises:
            SourceError: If there is no whole answer.
            LoginRequired: If credentials are missing, or the way leads to another host.
            InputError: If a certificate file cannot be read.
        """
        base_url = self.address.url if base_path is None else self.address.origin + base_path
        return self._send("GET", base_url + path, params)

    def post(self, path: str) -> Answer:
        """Send an order without a body to a path below the base URL, once: a repeated one may be carried out twice.

        Raises:
            SourceError: If there is no whole answer; the order may have been carried out.
            LoginRequired: If credentials are missing, or the way leads to another host.
            InputError: If a certificate file cannot be read.
        """
        return self._send("POST", self.address.url + path)

    def _send(self, method: str, target: str, params: tuple[tuple[str, str], ...] = ()) -> Answer:
        asked = url = self._url(target, params)
        for _ in range(_MAX_REDIRECTS + 1):
            response, body = self._exchange(method, url)
            if response.next_request is None:
                return self._accept(asked, response, body)
            # After most redirects, a POST has to be sent on as a GET.
            method, url = response.next_request.method, self._follow(response.next_request.url)
        raise SourceError(
            f"{self._server} redirects in circles ({_MAX_REDIRECTS} times for {asked.path})",
            hint=f"is {self.address.url} the right base URL? a login in front of it can do this too",
        )

    def _url(self, url: str, params: tuple[tuple[str, str], ...]) -> httpx.URL:
        try:
            return httpx.URL(url, params=params or None)
        except httpx.InvalidURL as error:
            raise SourceError(f"cannot ask {self._server} ({error})", hint="is a filter's value very long?") from error

    @property
    def _server(self) -> str:
        proxy = f" through the proxy {_shown(self._proxy)}" if self._proxy else ""
        return f"Jaeger at {self.address.url}{proxy}"

    @property
    def _patience(self) -> str:
        return format_lookback(self._options.timeout_ns)

    @cached_property
    def _client(self) -> httpx.Client:
        seconds = self._options.timeout_ns / NS_PER_S
        transport = httpx.HTTPTransport(verify=_tls_context(self.address, self._options), proxy=self._proxy)
        # trust_env is off because the proxy is chosen above, and nothing else from the environment should apply.
        client = httpx.Client(
            transport=_Asking(transport, seconds), headers=self._headers, timeout=seconds, trust_env=False
        )
        # Sources are never closed explicitly; connections are closed when the client is collected.
        weakref.finalize(self, client.close)
        return client

    def _exchange(self, method: str, url: httpx.URL) -> tuple[httpx.Response, bytes]:
        started_ns = time.perf_counter_ns()
        request = self._client.build_request(method, url)
        try:
            response = self._client.send(request, stream=True)
        except (httpx.HTTPError, AskedToWait) as error:
            self._raise_no_answer(error)
        with closing(response):
            try:
                raw = b"".join(response.iter_raw())
            except httpx.HTTPError as error:
                self._raise_cut_off(error)
        took_ms = (time.perf_counter_ns() - started_ns) / NS_PER_MS
        logger.debug("%s %s: %s, %s bytes, %.0f ms", method, url, response.status_code, len(raw), took_ms)
        return response, self._uncompressed(response, raw)

    def _uncompressed(self, response: httpx.Response, raw: bytes) -> bytes:
        """Decompress gzip here, because httpx 0.28 accepts a gzip stream that ends early."""
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding == "identity" or not raw:
            return raw
        if encoding != "gzip":
            raise SourceError(f"{self._server} answered in an encoding that was not asked for ({printable(encoding)})")
        try:
            return gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise SourceError(
                f"the answer of {self._server} is damaged: its gzip stream is broken ({error})", hint=_BROKEN_HINT
            ) from error

    def _follow(self, target: httpx.URL) -> httpx.URL:
        """Follow a redirect if it stays where credentials may be sent."""
        host, port = target.host, target.port or (443 if target.scheme == "https" else 80)
        if (target.scheme, host, port) == (self.address.scheme, self.address.host, self.address.port):
            return target
        if host == self.address.host and self.address.scheme == "http" and target.scheme == "https":
            secure = f"https://{target.netloc.decode('ascii')}{self.address.base_path}"
            raise SourceError(f"{self._server} answers over https only", hint=f"set --source {secure}")
        place = printable(f"{target.scheme}://{target.netloc.decode('ascii')}")
        raise LoginRequired(
            f"{self._server} redirects to {place}: a login page, or the server has moved",
            hint="give credentials with --token, --basic or --header, or set --source to its new URL",
        )

    def _accept(self, asked: httpx.URL, response: httpx.Response, body: bytes) -> Answer:
        status = response.status_code
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        # Not response.url, which is where redirects led; its query may hold a session.
        answer = Answer(status, content_type, body, str(asked))
        if status in _REFUSALS:
            self._raise_refused(answer, response.headers.get("www-authenticate", ""))
        return answer

    def _raise_refused(self, answer: Answer, challenge: str) -> NoReturn:
        text = "" if answer.content_type == "text/html" else error_message(answer.body)
        scheme = printable(challenge.partition(" ")[0].rstrip(","))
        told = ", ".join(part for part in (str(answer.status), scheme and f"it asks for {scheme}", text) if part)
        if "tenant" in text:
            raise LoginRequired(f"{self._server} refuses access ({told})", hint="name the tenant with --tenant")
        if "cannot get resource" in text:
            raise LoginRequired(
                f"{self._server} refuses access ({told})",
                hint="Kubernetes refuses its proxy to this account: give a --token, or use kubectl port-forward",
            )
        what = "wants credentials" if answer.status == HTTPStatus.UNAUTHORIZED else "refuses access"
        hint = "give credentials with --token, --basic or --header, or the --tenant"
        if answer.content_type == "text/html":
            told += ", with a web page"
            hint = (
                "is that a login? give a --token, or the cookie of a browser that has signed in: --header 'Cookie: ...'"
            )
        raise LoginRequired(f"{self._server} {what} ({told})", hint=hint)

    def _raise_cut_off(self, error: httpx.HTTPError) -> NoReturn:
        if isinstance(error, httpx.TimeoutException):
            raise SourceError(
                f"{self._server} stopped for {self._patience} in the middle of its answer", hint=_TIMEOUT_HINT
            ) from error
        reason = f" ({error})" if str(error) else ""
        raise SourceError(f"the answer of {self._server} was cut off{reason}", hint=_BROKEN_HINT) from error

    def _raise_no_answer(self, error: httpx.HTTPError | AskedToWait) -> NoReturn:
        """Say why there is no answer, by the innermost cause reported by the operating system or TLS."""
        cause = _operating_system_error(error)
        if isinstance(error, AskedToWait):
            message = f"{self._server} is busy and asks to wait {format_duration(error.wait_ns)}"
            hint = f"that is beyond the timeout of {self._patience}: try again later, or raise --timeout"
        elif isinstance(error, httpx.ConnectTimeout):
            message, hint = f"cannot reach {self._server} (no connection within {self._patience})", _UNREACHABLE_HINT
        elif isinstance(error, httpx.TimeoutException):
            message, hint = f"{self._server} did not answer within {self._patience}", _TIMEOUT_HINT
        elif isinstance(cause, ssl.SSLError):
            message, hint = self._tls_failure(cause)
        elif isinstance(error, httpx.ConnectError):
            message, hint = f"cannot reach {self._server} ({_reason(cause, error)})", _UNREACHABLE_HINT
        elif isinstance(error, httpx.ProxyError):
            message, hint = f"cannot reach {self._server} ({error})", "see HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
        else:
            message, hint = f"{self._server} gave no HTTP answer ({_reason(cause, error)})", _PROTOCOL_HINT
        raise SourceError(message, hint=hint) from error

    def _tls_failure(self, cause: ssl.SSLError) -> tuple[str, str]:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"cannot trust the certificate of {self._server} ({cause.verify_message.rstrip('.')})",
                "name its certificate authority with --ca-cert, or accept any certificate with --insecure",
            )
        reason = (cause.reason or "unknown reason").replace("_", " ").lower()
        message = f"no TLS connection to {self._server} ({reason})"
        if "certificate" in reason or "handshake" in reason:
            return message, "does the server want a client certificate? give --cert and --key"
        return message, f"does the server speak plain http? try http://{self.address.url.partition('://')[2]}"


_UNREACHABLE_HINT = "is the query service running? is a port-forward in place? set --source or TRACEQ_SOURCE"
_TIMEOUT_HINT = "raise --timeout, or ask for less: a shorter --lookback, a smaller --limit"
_BROKEN_HINT = "try again; if it stays so, ask for less: a shorter --lookback, a smaller --limit"
_PROTOCOL_HINT = "Jaeger's HTTP API is on port 16686 as a rule (16685 is gRPC); does the server speak https?"


class _Asking(httpx.BaseTransport):
    """Sends requests, and asks again where that may help: httpx-retries takes 9 ms to import, so it comes only then."""

    def __init__(self, transport: httpx.BaseTransport, patience_s: float) -> None:
        self._transport = transport
        self._patience_s = patience_s

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        first: httpx.Response | httpx.TransportError
        try:
            first = self._transport.handle_request(request)
            if first.status_code not in _RETRIED:
                return first
        # Timeouts are not retried, since the server may still be busy with the first request.
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            first = error
        from traceq.sources.patience import asking_again

        again = asking_again(self._transport, first, statuses=_RETRIED, patience_s=self._patience_s)
        return again.handle_request(request)

    def close(self) -> None:
        self._transport.close()


def _operating_system_error(error: BaseException) -> OSError | None:
    """Find the innermost error of sockets or TLS below httpx's and httpcore's own."""
    found = None
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            found = cause
        cause = cause.__cause__ or cause.__context__
    return found


def _reason(cause: OSError | None, error: Exception) -> str:
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if cause is not None and cause.strerror:
        return cause.strerror.lower()
    return str(error) or type(error).__name__


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _headers(address: Address, options: ConnectionOptions) -> dict[str, str]:
    headers = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "traceq"}
    basic = options.basic or address.basic
    if basic is not None:
        headers["authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()
    if options.token is not None:
        headers["authorization"] = f"Bearer {options.token.strip()}"
    if options.tenant is not None:
        headers["x-tenant"] = options.tenant
    headers |= {name.strip().lower(): value.strip() for name, value in options.headers}
    for name, value in headers.items():
        # Checked here because the errors of httpx and h11 quote the value, which may be a secret.
        if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValueError(f"the header '{printable(name)}' holds characters that HTTP does not allow")
    return headers


def _tls_context(address: Address, options: ConnectionOptions) -> ssl.SSLContext:
    if address.scheme == "http":
        # httpx would load certificate authorities, which plain http does not need: 30-45 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = _authorities(options)
    if options.cert is not None:
        try:
            # With a password given, OpenSSL does not ask for one on the terminal.
            context.load_cert_chain(options.cert, options.key, password="")
        except OSError as error:
            files = options.cert if options.key is None else f"{options.cert} with {options.key}"
            raise InputError(
                f"cannot use the client certificate {printable(files)} ({_file_reason(error)})",
                hint="--cert and --key are PEM files; the key must not have a passphrase",
            ) from error
    return context


def _authorities(options: ConnectionOptions) -> ssl.SSLContext:
    if options.is_insecure:
        return httpx.create_ssl_context(verify=False)
    try:
        if options.ca_cert is not None:
            return ssl.create_default_context(cafile=options.ca_cert)
        return httpx.create_ssl_context()
    except OSError as error:
        name = options.ca_cert or "that SSL_CERT_FILE or SSL_CERT_DIR names"
        raise InputError(
            f"cannot use the certificate authorities {printable(name)} ({_file_reason(error)})",
            hint="--ca-cert is a PEM file that holds one certificate or several",
        ) from error


def _file_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "not a certificate or key in PEM form that fits"
    return (error.strerror or type(error).__name__).lower()


def _environment_proxy(address: Address) -> httpx.Proxy | None:
    """Choose the proxy by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; never one for this machine."""
    if address.is_loopback or proxy_bypass(address.host):
        return None
    proxies = getproxies()
    url = proxies.get(address.scheme) or proxies.get("all")
    if not url:
        return None
    url = url if "://" in url else f"http://{url}"
    try:
        proxy = httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise _unusable_proxy() from error
    if proxy.url.scheme not in ("http", "https"):
        # For SOCKS, httpx needs a package that traceq does not depend on.
        raise _unusable_proxy()
    return proxy


def _unusable_proxy() -> SourceError:
    return SourceError(
        "cannot use the proxy that the environment names: it is not an http or https URL",
        hint="see HTTP_PROXY, HTTPS_PROXY and ALL_PROXY; NO_PROXY names hosts that are asked directly",
    )


def _shown(proxy: httpx.Proxy) -> str:
    return f"{proxy.url.scheme}://{proxy.url.netloc.decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: scheme, host, port and base path."""

    url: str
    """For messages and requests: without user and password, and without a trailing slash."""
    scheme: str
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int
    base_path: str
    """Empty, or with a leading and without a trailing slash, such as `/jaeger`."""
    basic: str | None = field(default=None, repr=False)
    """`user:password` when the URL carried them."""

    @property
    def origin(self) -> str:
        """The URL without the base path; requests never go anywhere else."""
        return self.url.removesuffix(self.base_path) if self.base_path else self.url

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, by name or by address."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


_PORTS = {"http": 80, "https": 443}


def parse_address(url: str) -> Address:
    """Read the URL of a server as a user writes it.

    Raises:
        ValueError: If it is not an http or https URL with a host, or carries a query. The text shows no secrets.
    """
    parts = _split(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(
            f"'{_without_secrets(parts)}' is not the URL of a server, write for example http://localhost:16686"
        )
    if parts.query or parts.fragment:
        raise ValueError(f"a server's URL ends with its path, leave out what follows '{_without_secrets(parts)}'")
    base_path = parts.path.rstrip("/")
    return Address(
        url=f"{parts.scheme}://{_host_and_port(parts)}{base_path}",
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        base_path=base_path,
        basic=_credentials(parts),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port  # the port is checked only on access
    except ValueError as error:
        # The URL is not quoted: if it cannot be taken apart, its password cannot be removed either.
        raise ValueError(f"the server's URL cannot be read ({error})") from None
    return parts


def _without_secrets(parts: SplitResult) -> str:
    return f"{parts.scheme}://{_host_and_port(parts)}{parts.path}"


def _host_and_port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2].lower()


def _credentials(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"
