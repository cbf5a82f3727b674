"""Receives what exporters send on this machine (OTLP/HTTP and OTLP/gRPC), and writes it to a file as it comes."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import FileIO
from typing import Any, BinaryIO, ClassVar
from urllib.parse import urlsplit

from msgspec import Struct

from traceq.codec.otlp_requests import JSON, PROTOBUF, answer, exported
from traceq.errors import DecodeError, SourceError
from traceq.units import format_size

if sys.platform != "win32":
    import fcntl

LOOPBACK = "127.0.0.1"
_OWN_NAMES = frozenset((LOOPBACK, "localhost", "::1", "host.docker.internal"))
"""How this machine is called on itself, and by containers that run on it."""
_LARGEST_REQUEST = 64 * 2**20
"""More bytes than any exporter sends at once, compressed or not."""
_TRACES = "/v1/traces"
_NOT_KEPT = frozenset(("/v1/metrics", "/v1/logs"))
"""Accepted, so that programs that send them too do not complain, and counted."""
_TICK_S = 0.02


class Received(Struct):
    """What came in."""

    request_count: int = 0
    span_count: int = 0
    services: set[str] = set()
    byte_count: int = 0
    """Bytes of the file, before compression."""
    left_out_count: int = 0
    """Spans for which there was no room."""
    broken: list[str] = []
    """Why requests could not be read, one reason a request."""
    other_count: int = 0
    """Requests with metrics or logs."""


class Inbox:
    """Writes requests to a file, one line each, until it is as large as it may be. Used by many threads."""

    def __init__(self, out: BinaryIO, max_bytes: int) -> None:
        self._out = out
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._running = 0
        self._last_s = time.monotonic()
        self.received = Received()
        self.failure: OSError | None = None
        """Why the file cannot be written any more."""

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Count a request as under way, from its first byte to the answer."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._last_s = time.monotonic()

    def take(self, body: bytes, content_type: str) -> bytes:
        """Keep a request, and give the answer to it.

        Raises:
            DecodeError: If it is no such request.
            SourceError: If the file cannot be written.
        """
        try:
            request = exported(body, content_type)
        except DecodeError as error:
            self.refuse(str(error))
            raise
        with self._lock:
            told = self.received
            told.request_count += 1
            told.services |= request.services
            if told.byte_count + len(request.line) > self._max_bytes:
                told.left_out_count += request.span_count
                full = f"the file has reached {format_size(self._max_bytes)}"
                return answer(content_type, request.span_count, full)
            self._write(request.line)
            told.byte_count += len(request.line)
            told.span_count += request.span_count
        return answer(content_type, 0, "")

    def _write(self, line: bytes) -> None:
        if self.failure is None:
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[self._out.write(rest) :]
                # What was answered is in the file, whatever becomes of this process.
                self._out.flush()
            except OSError as error:
                self.failure = error
                self._cut_part_of_a_line()
        if self.failure is not None:
            raise SourceError(f"the file cannot be written: {self.failure.strerror}")

    def _cut_part_of_a_line(self) -> None:
        """Leave whole lines alone in the file: half of one would keep readers from all the others."""
        # Not every file can be cut (pipes, packed ones); readers tell then.
        with suppress(OSError, ValueError):
            self._out.truncate(self.received.byte_count)

    def refuse(self, why: str) -> None:
        """Count a request that cannot be read."""
        with self._lock:
            self.received.broken.append(why)

    def ignore(self) -> None:
        """Count a request with something else than spans."""
        with self._lock:
            self.received.other_count += 1

    def wait_until_quiet(self, quiet_s: float, longest_s: float) -> bool:
        """Wait until no request is under way, and none was for this long; tell whether it got quiet in time."""
        end_s = time.monotonic() + longest_s
        while True:
            with self._lock:
                now_s = time.monotonic()
                left_s = quiet_s - (now_s - self._last_s)
                if left_s <= 0 and not self._running:
                    return True
            if now_s >= end_s:
                return False
            time.sleep(max(_TICK_S, min(left_s, end_s - now_s)))

    def start_waiting(self) -> None:
        """Count the quiet from now on."""
        with self._lock:
            self._last_s = time.monotonic()


@contextmanager
def receiving_http(inbox: Inbox, port: int) -> Iterator[int]:
    """Receive OTLP/HTTP on loopback until the block ends, and give the port.

    Args:
        inbox: Where requests go.
        port: The port; 0 for any that is free.

    Raises:
        SourceError: If the port is taken.
    """
    handler = type("Handler", (_Handler,), {"inbox": inbox})
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), handler)
    except OSError as error:
        raise _busy(port, error) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(_TICK_S,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _busy(port: int, error: OSError) -> SourceError:
    return SourceError(
        f"cannot listen on {LOOPBACK}:{port}: {error.strerror or error}", hint="0 takes any port that is free"
    )


def _codes(error: DecodeError | SourceError) -> tuple[HTTPStatus, str]:
    """Say how a request that is not kept is answered over HTTP and over gRPC.

    With none of these codes exporters try again: it would not help.
    """
    if isinstance(error, DecodeError):
        return HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT"
    return HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL"


class _Refused(Exception):  # noqa: N818  an answer, not a failure of this program
    def __init__(self, status: HTTPStatus, told: str) -> None:
        super().__init__(told)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    inbox: ClassVar[Inbox]
    protocol_version = "HTTP/1.1"
    # A client that opens a connection and says nothing must not hold the end up.
    timeout = 60

    def do_POST(self) -> None:
        with self.inbox.receiving():
            try:
                self._refuse_strangers()
                body, content_type = self._body(), self.headers.get_content_type()
                written = self._taken(body, PROTOBUF if content_type == PROTOBUF else JSON)
            except _Refused as error:
                self.close_connection = True
                self.inbox.refuse(str(error))
                self._reply(error.status, str(error).encode(), "text/plain")
            except (DecodeError, SourceError) as error:
                self._reply(_codes(error)[0], str(error).encode(), "text/plain")
            else:
                self._reply(HTTPStatus.OK, written, content_type)

    def _refuse_strangers(self) -> None:
        """Refuse what a page from elsewhere has a browser on this machine send, under whatever name it found it.

        Browsers name the page (`Origin`) with every POST; exporters do not, and ask for this machine by its own name.
        """
        origin, host = self.headers.get("Origin"), self.headers.get("Host")
        if origin is not None and not _is_own(origin):
            raise _Refused(HTTPStatus.FORBIDDEN, f"sent by a page of {origin[:100]}")
        if host is not None and not _is_own(f"//{host}"):
            raise _Refused(HTTPStatus.MISDIRECTED_REQUEST, f"sent to {host[:100]}, which is not this machine")

    def _taken(self, body: bytes, content_type: str) -> bytes:
        path = self.path.partition("?")[0].rstrip("/")
        if path in _NOT_KEPT:
            self.inbox.ignore()
            return b"{}" if content_type == JSON else b""
        if path != _TRACES:
            raise _Refused(HTTPStatus.NOT_FOUND, f"there is no {path}: spans are sent to {_TRACES}")
        return self.inbox.take(body, content_type)

    def _body(self) -> bytes:
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        body = b"".join(self._chunks()) if chunked else self._exactly(self._length())
        match self.headers.get("Content-Encoding", "identity").lower():
            case "identity" | "":
                return body
            case "gzip":
                return _unpacked(body, zlib.MAX_WBITS | 16)
            case "deflate":
                return _unpacked(body, zlib.MAX_WBITS)
            case other:
                raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"cannot unpack {other}")

    def _length(self) -> int:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError as error:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "the request does not say how long it is") from error
        return length

    def _exactly(self, length: int) -> bytes:
        if not 0 <= length <= _LARGEST_REQUEST:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"larger than {format_size(_LARGEST_REQUEST)}")
        body = self.rfile.read(length)
        if len(body) < length:
            raise _Refused(HTTPStatus.BAD_REQUEST, "the request was cut off")
        return body

    def _chunks(self) -> Iterator[bytes]:
        total = 0
        while True:
            try:
                length = int(self.rfile.readline(100).partition(b";")[0], 16)
            except ValueError as error:
                raise _Refused(HTTPStatus.BAD_REQUEST, "the request was cut off") from error
            total += length
            if total > _LARGEST_REQUEST:
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"larger than {format_size(_LARGEST_REQUEST)}")
            chunk = self._exactly(length)
            self.rfile.readline(100)
            if not length:
                return
            yield chunk

    def _reply(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: standard error belongs to the program that is watched."""


def _is_own(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _OWN_NAMES
    except ValueError:
        return False


def _unpacked(body: bytes, window: int) -> bytes:
    unpacker = zlib.decompressobj(window)
    try:
        whole = unpacker.decompress(body, _LARGEST_REQUEST)
    except zlib.error as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"cannot be unpacked: {error}") from error
    if unpacker.unconsumed_tail:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"larger than {format_size(_LARGEST_REQUEST)} unpacked")
    if not unpacker.eof:
        raise _Refused(HTTPStatus.BAD_REQUEST, "the request was cut off")
    return whole


@contextmanager
def receiving_grpc(inbox: Inbox, port: int) -> Iterator[int]:
    """Receive OTLP/gRPC on loopback until the block ends, and give the port.

    Args:
        inbox: Where requests go.
        port: The port; 0 for any that is free.

    Raises:
        SourceError: If the port is taken, or grpcio is not installed.
    """
    from concurrent.futures import ThreadPoolExecutor

    try:
        import grpc
    except ModuleNotFoundError as error:
        raise SourceError("OTLP/gRPC needs grpcio, which is not installed", hint="pip install grpcio") from error

    def export(body: bytes, context: Any) -> bytes:
        with inbox.receiving():
            try:
                return inbox.take(body, PROTOBUF)
            except (DecodeError, SourceError) as error:
                context.abort(grpc.StatusCode[_codes(error)[1]], str(error))
        raise AssertionError("abort does not return")

    def ignore(_: bytes, __: Any) -> bytes:
        inbox.ignore()
        return b""

    methods = {"trace.v1.TraceService": export, "metrics.v1.MetricsService": ignore, "logs.v1.LogsService": ignore}
    services = [
        grpc.method_handlers_generic_handler(
            f"opentelemetry.proto.collector.{name}", {"Export": grpc.unary_unary_rpc_method_handler(method)}
        )
        for name, method in methods.items()
    ]
    limits = [("grpc.max_receive_message_length", _LARGEST_REQUEST), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(8), handlers=services, options=limits)
    try:
        bound = server.add_insecure_port(f"{LOOPBACK}:{port}")
    except RuntimeError as error:
        raise SourceError(f"cannot listen on {LOOPBACK}:{port}", hint="0 takes any port that is free") from error
    server.start()
    try:
        yield bound
    finally:
        server.stop(grace=1).wait()


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a file of this name for writing, for this process alone, packed where the name ends in .gz.

    Raises:
        OSError: If it cannot be opened, or another capture writes to it.
    """
    # Without a buffer, so that a line that does not fit leaves nothing to be written later.
    with open(path, "ab", buffering=0) as file:  # noqa: PTH123
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            _claim(file)
            file.truncate(0)
        if path.endswith(".gz"):
            with gzip.open(file, "wb", compresslevel=1) as packed:
                yield packed  # type: ignore[misc]  # it has all that is used
        else:
            yield file


def _claim(file: FileIO) -> None:
    """Keep other captures from writing to a file: two would write over each other's lines, and neither would notice."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(error.errno, "another capture is writing to it") from error
