"""A real server on 127.0.0.1, for what a mocked transport cannot show: broken bodies, silence, TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVER_PEM = Path(__file__).parent / "certificates" / "server.pem"
"""A self-signed certificate for localhost and 127.0.0.1 with its key, valid until 2126; made for these tests alone."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server sends; a content-length that lies makes a body that is cut off."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """The requests that the server received."""

    url: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Targets and headers, in order."""
    release: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over: a server that stays silent waits for it."""


NO_TRACE = Reply(b'{"errors":[{"code":404,"msg":"trace not found"}]}', 404)
"""To a trace's id, by a server that knows the route."""

Answer = Callable[[str, Seen], Reply | None]
"""Gives the reply for a target; None for no reply at all."""


@contextmanager
def serving(answer: Answer, *, tls: ssl.SSLContext | None = None, keeps_open: bool = False) -> Iterator[Seen]:
    """Serve until the block ends; `keeps_open` leaves connections open after the reply, as if more were to come."""
    seen = Seen()
    server = _Server(("127.0.0.1", 0), _handler(answer, seen, keeps_open=keeps_open))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    seen.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield seen
    finally:
        seen.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: clients that go away are what some tests are about."""


def _handler(answer: Answer, seen: Seen, *, keeps_open: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            reply = answer(self.path, seen)
            if reply is None:
                seen.release.wait()
                return
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json"} | reply.headers
            if "Transfer-Encoding" not in headers:
                headers.setdefault("Content-Length", str(len(reply.body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            if keeps_open:
                seen.release.wait()

        def do_POST(self) -> None:
            """Answer orders, which have no body, like questions."""
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Keep stderr clean."""

    return Handler


def tls_context() -> ssl.SSLContext:
    """Make the server side of TLS with the test certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SERVER_PEM)
    return context
