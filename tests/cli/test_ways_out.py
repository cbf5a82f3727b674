"""`open`, and `--link`: from an answer to a page about the trace."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_golden import first
from traceq.errors import ExitCode

CHAT = ("--source", "fixtures/chat.json", "-q")
SLOW = first("message-slow")
LINK = "https://logs/?q={trace_id}&from={start_ms}&to={end_ms}"
URL = f"https://logs/?q={SLOW}&from="


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ((SLOW,), f"http://localhost:16686/trace/{SLOW}"),
        ((f"00-{SLOW}-b7ad6b7169203331-01", "-s", "http://ui:1/base/"), f"http://ui:1/base/trace/{SLOW}"),
        ((f"http://ui/trace/{SLOW}?uiFind=a+b",), f"http://ui/trace/{SLOW}?uiFind=a%20b"),
        ((f"http://ui/api/traces/{SLOW}", "--print"), f"http://ui/trace/{SLOW}"),
    ],
)
def test_the_address_is_printed_where_there_is_no_terminal(
    arguments: tuple[str, ...], url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: pytest.fail("nobody looks at a browser here"))

    outcome = run("open", *arguments)

    assert (outcome.code, outcome.out) == (0, f"{url}\n")


@pytest.mark.parametrize(("has_browser", "told"), [(True, ""), (False, "no browser was found here")])
def test_a_terminal_opens_it(
    has_browser: bool,  # noqa: FBT001 - a case of the test
    told: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    def open_page(url: str) -> bool:
        opened.append(url)
        return has_browser

    monkeypatch.setattr(webbrowser, "open", open_page)

    outcome = run("open", SLOW)

    assert opened == [f"http://localhost:16686/trace/{SLOW}"]
    assert told in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((SLOW, "-s", "fixtures/chat.json"), "files have no pages: name a server"),
        (("chat-service",), "'chat-service' is not the id of a trace"),
    ],
)
def test_what_has_no_page_is_explained(arguments: tuple[str, ...], told: str, run: Run) -> None:
    outcome = run("open", *arguments)

    assert outcome.code == ExitCode.USAGE
    assert told in outcome.err


def test_links_stand_beside_traces_in_every_format(run: Run, tmp_path: Path) -> None:
    search = ("search", *CHAT, "--limit", "1000", "--min-duration", "900ms", "--link", LINK)
    document = json.loads(run(*search, "-f", "json").out)
    record = json.loads(run(*search, "-f", "ndjson").out.splitlines()[0])
    page, pasted = tmp_path / "x.html", tmp_path / "x.md"
    run(*search, "-o", str(page))
    run(*search, "-o", str(pasted))

    url = next(trace["link"] for trace in document["traces"] if trace["trace_id"] == SLOW)
    assert url.startswith(URL)
    assert record["link"] == document["traces"][0]["link"]
    assert f"{SLOW}: {url}" in run("show", SLOW, *CHAT, "--link", LINK).out
    assert f'href="{url.replace("&", "&amp;")}"' in page.read_text(encoding="utf-8")
    assert document["traces"][0]["link"] in pasted.read_text(encoding="utf-8")


def test_the_environment_may_hold_the_link(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEQ_LINK", "https://logs/{trace_id}/{span_id}")

    spans = json.loads(run("show", SLOW, *CHAT, "-f", "json").out)["spans"]

    assert spans[0]["link"] == f"https://logs/{SLOW}/{spans[0]['span_id']}"


def test_an_answer_that_lacks_what_the_link_names_says_so(run: Run) -> None:
    outcome = run("services", *CHAT, "--link", LINK)

    assert "no link: the answer does not say what --link names" in outcome.out


def test_unknown_names_are_told_with_those_there_are(run: Run) -> None:
    outcome = run("search", *CHAT, "--link", "https://logs/?q={trace}", width=300)

    assert outcome.code == ExitCode.USAGE
    assert "'{trace}' is not known, there are {trace_id}, {span_id}, {start_ns}" in outcome.err


@pytest.mark.parametrize(
    ("command", "name", "known"),
    [
        pytest.param("search", "answer.pdf", ".csv, .html, .json, .md, .ndjson, .svg, .txt", id="an answer"),
        pytest.param("search", "answer.json.gz", ".csv, .html, .json, .md, .ndjson, .svg, .txt", id="packed"),
        pytest.param("fetch", "traces.csv.xz", ".json, .ndjson", id="traces"),
    ],
)
def test_a_name_that_ends_like_no_format_is_refused(
    command: str, name: str, known: str, run: Run, tmp_path: Path
) -> None:
    outcome = run(command, "--source", "fixtures/chat.json", "-o", str(tmp_path / name))

    told = f"'{name}' ends like no format: end it in {known}, or write --format"
    assert (outcome.code, told in outcome.err, list(tmp_path.iterdir())) == (ExitCode.USAGE, True, [])


@pytest.mark.parametrize("name", ["answer", "answer.txt", "answer.2026-11-22"])
def test_a_name_that_promises_no_format_gets_text(name: str, run: Run, tmp_path: Path) -> None:
    outcome = run("search", "--source", "fixtures/chat.json", "--limit", "1", "-o", str(tmp_path / name), "-q")

    assert (outcome.code, outcome.err) == (ExitCode.ANSWERED, "")
    assert (tmp_path / name).read_text().startswith("Only the newest 1 trace")
