"""Where secrets of the environment go: to the server that it names, and to no other that a link leads to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.conftest import Run
from tests.sources.replay import recorded_by_path, recorded_trace_id
from tests.sources.servers import NO_TRACE, Seen, serving
from traceq.cli.options import SourceOptions
from traceq.cli.outputs import OutputOptions
from traceq.cli.references import following

FOLDER = "jaeger-1.51"
TRACE = recorded_trace_id(FOLDER)
SECRETS = {"TRACEQ_TOKEN": "tok-en", "TRACEQ_BASIC": "user:pass-word", "TRACEQ_TENANT": "ten-ant"}
COMMANDS = {
    "show": ("show", "{}"),
    "bottlenecks": ("bottlenecks", "--trace", "{}"),
    "findings": ("findings", "--trace", "{}"),
    "flame": ("flame", "--trace", "{}"),
    "flame of two": ("flame", "--before", "{}", "--after", "{}"),
    "compare": ("compare", "{}", "{}"),
    "fetch": ("fetch", "--trace", "{}"),
    "archive": ("archive", "{}"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[Seen]:
    """A server, and an environment with secrets that are not for it; `run` has emptied the environment before."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    recorded = recorded_by_path(FOLDER)
    with serving(lambda path, seen: NO_TRACE if "archive" in path else recorded(path, seen)) as seen:
        yield seen


def sent(seen: Seen) -> set[str]:
    """Name the headers with secrets that a server got."""
    assert seen.requests or not seen.url
    return {name for _, headers in seen.requests for name in headers if name in ("authorization", "x-tenant")}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_secrets_are_not_sent_where_a_link_leads(words: tuple[str, ...], run: Run, server: Seen) -> None:
    outcome = run(*(word.format(f"{server.url}/trace/{TRACE}") for word in words), width=200)

    assert sent(server) == set()
    told = f"traceq: note: TRACEQ_TOKEN and TRACEQ_BASIC and TRACEQ_TENANT are not sent to {server.url}, where the"
    assert told in outcome.err


@pytest.mark.parametrize("place", ["source", "environment"])
def test_secrets_are_sent_to_the_server_that_is_meant(
    place: str, run: Run, server: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed, or named by the environment, with whatever path."""
    link = f"{server.url}/trace/{TRACE}"
    if place == "source":
        outcome = run("show", link, "--source", server.url)
    else:
        monkeypatch.setenv("TRACEQ_SOURCE", server.url.upper().replace("HTTP", "http") + "/")
        outcome = run("show", link)

    assert outcome.code == 0, outcome.err
    assert sent(server) == {"authorization", "x-tenant"}
    assert "not sent" not in outcome.err


def test_what_is_typed_is_sent(run: Run, server: Seen) -> None:
    """Also where it is what the environment has: `--token "$TRACEQ_TOKEN"`."""
    outcome = run("show", f"{server.url}/trace/{TRACE}", "--token", SECRETS["TRACEQ_TOKEN"], width=200)

    assert outcome.code == 0, outcome.err
    assert {headers.get("authorization") for _, headers in server.requests} == {"Bearer tok-en"}
    assert sent(server) == {"authorization"}
    assert "note: TRACEQ_BASIC and TRACEQ_TENANT are not sent" in outcome.err


def test_an_empty_token_is_none(run: Run, server: Seen) -> None:
    run("show", TRACE, "--source", server.url, "--token", "", "--basic", "", "--tenant", "")

    assert sent(server) == set()


def test_nothing_is_said_where_there_is_no_secret(run: Run, server: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)

    assert "not sent" not in run("show", f"{server.url}/trace/{TRACE}").err


@pytest.mark.parametrize(
    ("own", "link", "is_own"),
    [
        ("https://jaeger.example", "https://jaeger.example:443/ui", True),
        ("https://JAEGER.example/base", "https://jaeger.example", True),
        ("https://jaeger.example", "http://jaeger.example", False),
        ("https://jaeger.example", "https://jaeger.example:8443", False),
        ("https://jaeger.example", "https://jaeger.example.evil", False),
        ("https://jaeger.example", "https://jaeger.example@evil", False),
        ("https://jaeger.example", "https://evil#@jaeger.example", False),
        ("https://jaeger.example", "https://evil\\@jaeger.example", True),
        ("traces.json", "http://localhost:16686", False),
        ("http://[", "http://jaeger.example", False),
        (None, "http://localhost:16686", True),
        (None, "http://127.0.0.1:16686", False),
    ],
)
def test_a_server_is_known_by_scheme_host_and_port(
    own: str | None, link: str, *, is_own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before the last `@` is a user, for `urlsplit` as for the client that sends the request."""
    monkeypatch.setenv("TRACEQ_TOKEN", "tok-en")
    if own is None:
        monkeypatch.delenv("TRACEQ_SOURCE", raising=False)
    else:
        monkeypatch.setenv("TRACEQ_SOURCE", own)
    source = SourceOptions(timeout=10**9)

    assert following(link, source, OutputOptions(quiet=True)).connection.token == ("tok-en" if is_own else None)


def test_secrets_are_in_no_message(run: Run, server: Seen) -> None:
    outcome = run("show", f"{server.url.replace('://', '://me:hid-den@')}/trace/{TRACE}", width=200)

    assert outcome.code == 0, outcome.err
    assert f"not sent to {server.url}," in outcome.err
    for secret in ("hid-den", *SECRETS.values()):
        assert secret not in outcome.err + outcome.out
