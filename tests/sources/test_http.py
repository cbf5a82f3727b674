from __future__ import annotations

import gzip
import logging
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import respx

from tests.sources.servers import SERVER_PEM, Reply, Seen, serving, tls_context
from traceq.errors import InputError, LoginRequired, SourceError, TraceqError
from traceq.sources.http import Answer, HttpClient
from traceq.sources.interface import ConnectionOptions

BASE = "http://jaeger.test:16686"
BODY = b'{"data":["chat-service"]}'
JSON = "application/json; charset=utf-8"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the waits between attempts instead of waiting; leave no proxy in the environment."""
    seconds: list[float] = []
    monkeypatch.setattr("httpx_retries.retry.time.sleep", seconds.append)
    monkeypatch.setattr("httpx_retries.retry.random.uniform", lambda _low, high: high)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return seconds


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=BASE, assert_all_called=False) as router:
        yield router


def ask(url: str = BASE, options: ConnectionOptions | None = None) -> Answer:
    return HttpClient(url, options or ConnectionOptions()).get("/api/services")


def failure(url: str = BASE, *, timeout_ms: int = 30_000) -> tuple[type[TraceqError], str, str]:
    with pytest.raises(TraceqError) as raised:
        ask(url, ConnectionOptions(timeout_ns=timeout_ms * 1_000_000))
    return type(raised.value), raised.value.message, raised.value.hint


UNREACHABLE = "is the query service running? is a port-forward in place? set --source or TRACEQ_SOURCE"
SHORTER = "raise --timeout, or ask for less: a shorter --lookback, a smaller --limit"
AGAIN = "try again; if it stays so, ask for less: a shorter --lookback, a smaller --limit"
CREDENTIALS = "give credentials with --token, --basic or --header, or the --tenant"


class TestAnswers:
    def test_an_answer_is_handed_on_whole(self, server: respx.MockRouter) -> None:
        server.get("/api/services").respond(content=BODY, content_type=JSON)

        answer = ask()

        assert answer == Answer(200, "application/json", BODY, f"{BASE}/api/services")

    @pytest.mark.parametrize("status", [400, 404, 405, 500, 501])
    def test_an_error_the_server_tells_is_handed_on_after_one_attempt(
        self, server: respx.MockRouter, status: int, waits: list[float]
    ) -> None:
        route = server.get("/api/services").respond(status, text="no")

        assert ask().status == status
        assert route.call_count == 1
        assert waits == []

    def test_the_base_path_and_the_parameters_are_kept(self, server: respx.MockRouter) -> None:
        route = server.get("/jaeger/api/traces").respond(content=BODY, content_type=JSON)

        HttpClient(f"{BASE}/jaeger/", ConnectionOptions()).get("/api/traces", (("tags", '{"a;b":"c d&e"}'),))

        assert str(route.calls.last.request.url) == f"{BASE}/jaeger/api/traces?tags=%7B%22a%3Bb%22%3A%22c+d%26e%22%7D"

    def test_gzip_is_asked_for_and_undone(self) -> None:
        reply = Reply(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
        with serving(lambda _target, _seen: reply) as seen:
            assert ask(seen.url).body == BODY
            assert seen.requests[0][1]["accept-encoding"] == "gzip"

    def test_a_plain_body_is_taken_as_it_is(self) -> None:
        with serving(lambda _target, _seen: Reply(BODY)) as seen:
            assert ask(seen.url).body == BODY

    def test_a_request_is_logged_without_the_password(
        self, server: respx.MockRouter, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.get("/api/services").respond(content=BODY, content_type=JSON)

        with caplog.at_level(logging.DEBUG):
            ask("http://ann:s3cret@jaeger.test:16686", ConnectionOptions(token="t0ken"))

        [line] = [record.getMessage() for record in caplog.records if record.name == "traceq.sources.http"]
        assert line.startswith(f"GET {BASE}/api/services: 200, 25 bytes, ")
        assert "s3cret" not in caplog.text
        assert "t0ken" not in caplog.text


class TestCredentials:
    @pytest.mark.parametrize(
        ("url", "options", "expected"),
        [
            pytest.param("http://jaeger.test:16686", ConnectionOptions(), None, id="none"),
            pytest.param(
                "http://ann:p%40w@jaeger.test:16686", ConnectionOptions(), "Basic YW5uOnBAdw==", id="in the url"
            ),
            pytest.param(
                "http://ann:pw@jaeger.test:16686",
                ConnectionOptions(basic="bob:x"),
                "Basic Ym9iOng=",
                id="basic over url",
            ),
            pytest.param(
                "http://ann:pw@jaeger.test:16686", ConnectionOptions(token="t\n"), "Bearer t", id="token over basic"
            ),
            pytest.param(
                "http://jaeger.test:16686",
                ConnectionOptions(token="t", headers=(("Authorization", "Negotiate x"),)),
                "Negotiate x",
                id="a header over all",
            ),
        ],
    )
    def test_one_authorization_is_sent(
        self, server: respx.MockRouter, url: str, options: ConnectionOptions, expected: str | None
    ) -> None:
        route = server.get("/api/services").respond(content=BODY, content_type=JSON)

        ask(url, options)

        assert route.calls.last.request.headers.get("authorization") == expected

    def test_tenant_and_headers_are_sent(self, server: respx.MockRouter) -> None:
        route = server.get("/api/services").respond(content=BODY, content_type=JSON)

        ask(BASE, ConnectionOptions(tenant="acme", headers=(("Cookie", "session=1"), ("X-Scope-OrgID", "2"))))

        sent = route.calls.last.request.headers
        assert (sent["x-tenant"], sent["cookie"], sent["x-scope-orgid"]) == ("acme", "session=1", "2")

    def test_a_header_that_cannot_be_sent_is_refused_without_its_value(self) -> None:
        with pytest.raises(ValueError, match="the header 'authorization' holds characters") as raised:
            HttpClient(BASE, ConnectionOptions(token="s3cr\net"))

        assert "s3cr" not in str(raised.value)

    @pytest.mark.parametrize(
        ("refusal", "message", "hint"),
        [
            pytest.param(httpx.Response(401), "wants credentials (401)", CREDENTIALS, id="bare 401"),
            pytest.param(
                httpx.Response(401, headers={"www-authenticate": 'Basic realm="x"'}, text="unauthorized"),
                "wants credentials (401, it asks for Basic, unauthorized)",
                CREDENTIALS,
                id="challenge",
            ),
            pytest.param(
                httpx.Response(403, html="<html>go"),
                "refuses access (403, with a web page)",
                "is that a login? give a --token, or the cookie of a browser that has signed in: "
                "--header 'Cookie: ...'",
                id="403 page",
            ),
            pytest.param(
                httpx.Response(401, text="missing tenant header"),
                "refuses access (401, missing tenant header)",
                "name the tenant with --tenant",
                id="tenant",
            ),
            pytest.param(
                httpx.Response(403, json={"error": "unknown tenant", "code": 7, "message": "unknown tenant"}),
                "refuses access (403, unknown tenant)",
                "name the tenant with --tenant",
                id="tenant in v3 of 1.51",
            ),
        ],
    )
    def test_a_server_that_wants_credentials_says_which(
        self, server: respx.MockRouter, refusal: httpx.Response, message: str, hint: str
    ) -> None:
        server.get("/api/services").mock(return_value=refusal)

        assert failure() == (LoginRequired, f"Jaeger at {BASE} {message}", hint)


class TestRetries:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_busy_server_is_asked_three_times(
        self, server: respx.MockRouter, status: int, waits: list[float]
    ) -> None:
        route = server.get("/api/services").mock(
            side_effect=[httpx.Response(status), httpx.Response(status), httpx.Response(200, content=BODY)]
        )

        assert ask().body == BODY
        assert route.call_count == 3
        assert waits == [0.2, 0.4]

    def test_the_last_answer_of_a_busy_server_is_handed_on(self, server: respx.MockRouter) -> None:
        route = server.get("/api/services").respond(503, text="still starting")

        assert ask() == Answer(503, "text/plain", b"still starting", f"{BASE}/api/services")
        assert route.call_count == 3

    def test_a_broken_connection_is_tried_again(self, server: respx.MockRouter) -> None:
        server.get("/api/services").mock(
            side_effect=[httpx.ReadError("reset"), httpx.RemoteProtocolError("gone"), httpx.Response(200, content=BODY)]
        )

        assert ask().body == BODY

    def test_a_timeout_is_not_tried_again(self, server: respx.MockRouter) -> None:
        route = server.get("/api/services").mock(side_effect=httpx.ReadTimeout("slow"))

        assert failure() == (SourceError, f"Jaeger at {BASE} did not answer within 30s", SHORTER)
        assert route.call_count == 1

    def test_the_wait_that_the_server_asks_for_is_kept(self, server: respx.MockRouter, waits: list[float]) -> None:
        server.get("/api/services").mock(
            side_effect=[httpx.Response(429, headers={"retry-after": "7"}), httpx.Response(200, content=BODY)]
        )

        assert ask().body == BODY
        assert waits == [7.0]

    @pytest.mark.parametrize("told", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
    def test_a_wait_that_is_over_or_cannot_be_read_is_chosen_here(
        self, server: respx.MockRouter, waits: list[float], told: str
    ) -> None:
        server.get("/api/services").mock(
            side_effect=[httpx.Response(503, headers={"retry-after": told}), httpx.Response(200, content=BODY)]
        )

        assert ask().body == BODY
        assert waits == [0.2]

    def test_a_wait_until_a_date_counts_from_now(self, server: respx.MockRouter, waits: list[float]) -> None:
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=9), usegmt=True)
        server.get("/api/services").mock(
            side_effect=[httpx.Response(503, headers={"retry-after": until}), httpx.Response(200, content=BODY)]
        )

        assert ask().body == BODY
        assert [7 < wait < 9.01 for wait in waits] == [True]

    def test_a_wait_beyond_the_timeout_is_not_begun(self, server: respx.MockRouter, waits: list[float]) -> None:
        route = server.get("/api/services").respond(503, headers={"retry-after": "120"})

        assert failure() == (
            SourceError,
            f"Jaeger at {BASE} is busy and asks to wait 2 m 00 s",
            "that is beyond the timeout of 30s: try again later, or raise --timeout",
        )
        assert (route.call_count, waits) == (1, [])

    def test_waits_together_stay_within_the_timeout(self, server: respx.MockRouter, waits: list[float]) -> None:
        server.get("/api/services").respond(503, headers={"retry-after": "20"})

        assert failure()[1] == f"Jaeger at {BASE} is busy and asks to wait 20.0 s"
        assert waits == [20.0]


class TestNoAnswer:
    def test_a_port_that_nobody_listens_on(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"

            assert failure(url) == (SourceError, f"cannot reach Jaeger at {url} (connection refused)", UNREACHABLE)

    def test_a_host_that_nobody_knows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)

        assert failure() == (
            SourceError,
            f"cannot reach Jaeger at {BASE} (name or service not known)",
            UNREACHABLE,
        )

    def test_a_connection_that_never_comes_about(self, server: respx.MockRouter) -> None:
        server.get("/api/services").mock(side_effect=httpx.ConnectTimeout("slow"))

        assert failure(timeout_ms=1500) == (
            SourceError,
            f"cannot reach Jaeger at {BASE} (no connection within 1500ms)",
            UNREACHABLE,
        )

    def test_a_server_that_stays_silent(self) -> None:
        with serving(lambda _target, _seen: None) as seen:
            assert failure(seen.url, timeout_ms=50) == (
                SourceError,
                f"Jaeger at {seen.url} did not answer within 50ms",
                SHORTER,
            )

    def test_a_server_that_is_not_one_of_http(self, server: respx.MockRouter) -> None:
        server.get("/api/services").mock(side_effect=httpx.RemoteProtocolError("illegal status line"))

        assert failure() == (
            SourceError,
            f"Jaeger at {BASE} gave no HTTP answer (illegal status line)",
            "Jaeger's HTTP API is on port 16686 as a rule (16685 is gRPC); does the server speak https?",
        )

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            pytest.param(
                Reply(b'{"data":[', headers={"Content-Length": "100"}),
                "peer closed connection without sending complete message body (received 9 bytes, expected 100)",
                id="shorter than promised",
            ),
            pytest.param(
                Reply(b'9\r\n{"data":[\r\n', headers={"Transfer-Encoding": "chunked"}),
                "peer closed connection without sending complete message body (incomplete chunked read)",
                id="no last chunk",
            ),
        ],
    )
    def test_a_body_that_is_cut_off(self, reply: Reply, reason: str) -> None:
        with serving(lambda _target, _seen: reply) as seen:
            assert failure(seen.url) == (
                SourceError,
                f"the answer of Jaeger at {seen.url} was cut off ({reason})",
                AGAIN,
            )

    def test_a_body_that_stops_and_waits(self) -> None:
        def stop(_target: str, _seen: Seen) -> Reply:
            return Reply(b"[", headers={"Content-Length": "2", "Connection": "keep-alive"})

        with serving(stop, keeps_open=True) as seen:
            assert failure(seen.url, timeout_ms=50) == (
                SourceError,
                f"Jaeger at {seen.url} stopped for 50ms in the middle of its answer",
                SHORTER,
            )

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param(gzip.compress(BODY)[:-12], "Compressed file ended before", id="ends early"),
            pytest.param(b"\x1f\x8b" + BODY, "Unknown compression method", id="is none"),
        ],
    )
    def test_a_broken_gzip_stream(self, body: bytes, reason: str) -> None:
        with serving(lambda _target, _seen: Reply(body, headers={"Content-Encoding": "gzip"})) as seen:
            kind, message, hint = failure(seen.url)

        assert (kind, hint) == (SourceError, AGAIN)
        assert message.startswith(f"the answer of Jaeger at {seen.url} is damaged: its gzip stream is broken ({reason}")

    def test_an_encoding_that_was_not_asked_for(self, server: respx.MockRouter) -> None:
        server.get("/api/services").respond(content=BODY, headers={"content-encoding": "br"})

        assert failure()[1] == f"Jaeger at {BASE} answered in an encoding that was not asked for (br)"

    def test_a_question_that_is_too_long_to_ask(self) -> None:
        client = HttpClient(BASE, ConnectionOptions())

        with pytest.raises(SourceError, match=f"^cannot ask Jaeger at {BASE} \\(") as raised:
            client.get("/api/traces/" + "0" * 70_000)

        assert raised.value.hint == "is a filter's value very long?"


class TestRedirects:
    def test_one_within_the_server_is_followed_with_credentials(self, server: respx.MockRouter) -> None:
        server.get("/jaeger//api/services").respond(307, headers={"location": "/jaeger/api/services"})
        target = server.get("/jaeger/api/services").respond(content=BODY, content_type=JSON)

        answer = HttpClient(f"{BASE}/jaeger", ConnectionOptions(token="t")).get("//api/services")

        assert answer.body == BODY
        assert target.calls.last.request.headers["authorization"] == "Bearer t"

    def test_one_to_another_host_is_not_followed(self) -> None:
        with serving(lambda _target, _seen: Reply(BODY)) as other:
            away = Reply(status=302, headers={"Location": f"{other.url}/oauth?state=s3cret"})
            with serving(lambda _target, _seen: away) as seen:
                assert failure(seen.url) == (
                    LoginRequired,
                    f"Jaeger at {seen.url} redirects to {other.url}: a login page, or the server has moved",
                    "give credentials with --token, --basic or --header, or set --source to its new URL",
                )
            assert other.requests == []

    def test_one_to_https_names_the_url_to_use(self, server: respx.MockRouter) -> None:
        server.get("/jaeger/api/services").respond(301, headers={"location": "https://jaeger.test/jaeger/api/services"})

        assert failure(f"{BASE}/jaeger") == (
            SourceError,
            f"Jaeger at {BASE}/jaeger answers over https only",
            "set --source https://jaeger.test/jaeger",
        )

    def test_a_circle_ends(self, server: respx.MockRouter) -> None:
        route = server.get("/api/services").respond(302, headers={"location": "/api/services"})

        kind, message, _ = failure()

        assert (kind, message) == (
            SourceError,
            f"Jaeger at {BASE} redirects in circles (5 times for /api/services)",
        )
        assert route.call_count == 6


class TestTls:
    def test_a_plain_http_client_loads_no_certificate_authorities(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def load(*_: object, **__: object) -> None:
            pytest.fail("loaded certificate authorities")

        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", load)

        with serving(lambda _target, _seen: Reply(BODY)) as seen:
            assert ask(seen.url).body == BODY

    def test_a_certificate_of_an_unknown_authority(self) -> None:
        with serving(lambda _target, _seen: Reply(BODY), tls=tls_context()) as seen:
            assert failure(seen.url) == (
                SourceError,
                f"cannot trust the certificate of Jaeger at {seen.url} (self-signed certificate)",
                "name its certificate authority with --ca-cert, or accept any certificate with --insecure",
            )

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param(ConnectionOptions(ca_cert=str(SERVER_PEM)), id="with its authority"),
            pytest.param(ConnectionOptions(is_insecure=True), id="insecure"),
        ],
    )
    def test_a_private_certificate_is_accepted(self, options: ConnectionOptions) -> None:
        with serving(lambda _target, _seen: Reply(BODY), tls=tls_context()) as seen:
            assert ask(seen.url, options).body == BODY

    def test_a_client_certificate_is_shown(self) -> None:
        context = tls_context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(SERVER_PEM)
        with serving(lambda _target, _seen: Reply(BODY), tls=context) as seen:
            assert ask(seen.url, ConnectionOptions(ca_cert=str(SERVER_PEM), cert=str(SERVER_PEM))).body == BODY

    def test_a_client_certificate_that_is_missing_is_asked_for(self) -> None:
        context = tls_context()
        context.verify_mode = ssl.CERT_REQUIRED
        # From TLS 1.3 on the refusal may be lost, as the client has sent its request before it reads it.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with serving(lambda _target, _seen: Reply(BODY), tls=context) as seen, pytest.raises(SourceError) as raised:
            ask(seen.url, ConnectionOptions(ca_cert=str(SERVER_PEM)))

        assert raised.value.message.startswith(f"no TLS connection to Jaeger at {seen.url} (")
        assert raised.value.hint == "does the server want a client certificate? give --cert and --key"

    def test_plain_http_on_the_port_of_https(self) -> None:
        with serving(lambda _target, _seen: Reply(BODY)) as seen:
            secure = seen.url.replace("http:", "https:")
            kind, message, hint = failure(secure)

        assert kind is SourceError
        assert message.startswith(f"no TLS connection to Jaeger at {secure} (")
        assert hint == f"does the server speak plain http? try {seen.url}"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            pytest.param(
                ConnectionOptions(ca_cert="/no/such.pem"),
                "cannot use the certificate authorities /no/such.pem (no such file or directory)",
                id="no authorities",
            ),
            pytest.param(
                ConnectionOptions(ca_cert=__file__),
                f"cannot use the certificate authorities {__file__} (not a certificate or key in PEM form that fits)",
                id="not pem",
            ),
            pytest.param(
                ConnectionOptions(cert=str(SERVER_PEM), key="/no/key.pem"),
                f"cannot use the client certificate {SERVER_PEM} with /no/key.pem (no such file or directory)",
                id="no key",
            ),
        ],
    )
    def test_a_certificate_file_that_cannot_be_used(self, options: ConnectionOptions, message: str) -> None:
        with pytest.raises(InputError) as raised:
            ask("https://jaeger.test", options)

        assert raised.value.message == message


class TestProxies:
    def test_the_proxy_of_the_environment_is_used_and_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with serving(lambda _target, _seen: Reply(BODY)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)

            assert ask(BASE).body == BODY
            assert proxy.requests[0][0] == f"{BASE}/api/services"

    def test_loopback_hosts_are_asked_directly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with serving(lambda _target, _seen: Reply(BODY)) as seen:
            assert ask(seen.url).body == BODY

    def test_hosts_in_no_proxy_are_asked_directly(
        self, server: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "jaeger.test")
        server.get("/api/services").respond(content=BODY, content_type=JSON)

        assert ask().body == BODY

    def test_a_proxy_out_of_reach_is_named_without_its_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = f"127.0.0.1:{free.getsockname()[1]}"
            monkeypatch.setenv("http_proxy", f"http://ann:s3cret@{place}")

            assert failure()[1] == (
                f"cannot reach Jaeger at {BASE} through the proxy http://{place} (connection refused)"
            )

    def test_a_proxy_that_refuses_is_named(self) -> None:
        with (
            serving(lambda _target, _seen: Reply(BODY)) as proxy,
            pytest.MonkeyPatch.context() as environment,
        ):
            environment.setenv("https_proxy", proxy.url)

            # The server below knows no CONNECT.
            kind, message, hint = failure("https://jaeger.test")

        assert (kind, hint) == (SourceError, "see HTTP_PROXY, HTTPS_PROXY and NO_PROXY")
        assert message.startswith(f"cannot reach Jaeger at https://jaeger.test through the proxy {proxy.url} (501 ")

    @pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "ftp://127.0.0.1", "http://[::1"])
    def test_a_proxy_that_is_not_http_is_refused(self, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
        monkeypatch.setenv("all_proxy", proxy)

        assert failure()[:2] == (
            SourceError,
            "cannot use the proxy that the environment names: it is not an http or https URL",
        )


def test_secrets_show_in_no_repr(tmp_path: Path) -> None:
    options = ConnectionOptions(headers=(("X", "s3cret"),), token="s3cret", basic="a:s3cret", key=str(tmp_path))
    client = HttpClient("http://ann:s3cret@jaeger.test", options)

    assert "s3cret" not in repr(options) + repr(client.address)
