"""Ids, links and files where a trace or a service is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_golden import first
from traceq.errors import ExitCode

CHAT = ("--source", "fixtures/chat.json", "-q")
SLOW = first("message-slow")
XRAY = f"Root=1-{SLOW[:8]}-{SLOW[8:]}"


@pytest.mark.parametrize(
    "command",
    [
        ("show", "{}"),
        ("bottlenecks", "--trace", "{}"),
        ("findings", "--trace", "{}"),
        ("errors", "--trace", "{}"),
        ("stats", "--trace", "{}"),
        ("flame", "--trace", "{}"),
        ("flame", "--before", "{}", "--after", "{}"),
        ("compare", "{}", "{}"),
        ("fetch", "--trace", "{}"),
    ],
    ids=" ".join,
)
def test_an_id_is_understood_wherever_one_is_taken(command: tuple[str, ...], run: Run) -> None:
    plain, other = (run(*(word.format(text) for word in command), *CHAT) for text in (SLOW, f'"{XRAY}"'))

    assert plain.code == 0, plain.err
    assert other.out == plain.out


def test_a_file_of_one_trace_is_that_trace(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "one.json")
    run("fetch", "--trace", SLOW, *CHAT, "-o", file)

    assert run("show", file).out.splitlines()[0] == run("show", SLOW, *CHAT).out.splitlines()[0]
    assert run("stats", "--trace", file).code == 0
    assert run("fetch", "--trace", file, "-q").out == run("fetch", "--trace", SLOW, *CHAT).out


def test_a_file_of_many_traces_asks_which(run: Run) -> None:
    outcome = run("show", "fixtures/chat.json")

    assert outcome.code == ExitCode.NOT_FOUND
    assert "there are 106 traces in fixtures/chat.json: which one?" in outcome.err
    assert "traceq search --source fixtures/chat.json" in outcome.err


@pytest.mark.parametrize("command", ["bottlenecks", "search", "flame", "operations", "deps"])
@pytest.mark.parametrize("place", ["fixtures/chat.json", "traces.parquet", "http://localhost:16686"])
def test_a_place_where_a_service_is_expected_is_told_with_the_option(command: str, place: str, run: Run) -> None:
    outcome = run(command, place, width=200)

    assert outcome.code == ExitCode.USAGE
    assert f"write --source {place}" in outcome.err


def test_nobody_is_told_that_a_file_exists_which_does_not(run: Run) -> None:
    told = "'nosuch.json' is no id of a trace, and no such file: with --source, write the id of a trace"

    assert told in run("show", "nosuch.json", "--source", "fixtures/chat.json").err
    assert "cannot read nosuch.json: no such file" in run("show", "nosuch.json").err
    assert "'nosuch.json' ends like a file: write --source nosuch.json" in run("search", "nosuch.json").err


def test_a_link_to_another_server_than_the_source_gives_the_id_and_a_hint(run: Run) -> None:
    outcome = run("show", f"http://jaeger.example/trace/{SLOW}", "--source", "fixtures/chat.json")

    assert outcome.code == 0
    assert "traceq: hint: the link leads to http://jaeger.example: without --source, it is asked" in outcome.err


def test_traces_are_fetched_from_one_place(run: Run) -> None:
    links = (f"http://{host}/trace/{SLOW}" for host in ("one", "two"))
    outcome = run("fetch", *(word for link in links for word in ("--trace", link)), width=200)

    assert outcome.code == ExitCode.USAGE
    assert "one server or file at a time: these lead to several" in outcome.err


def test_what_a_link_searches_for_is_found(run: Run) -> None:
    link = f"http://localhost:16686/trace/{SLOW}?uiFind=mongodb.insert"

    assert run("show", link, *CHAT).out.splitlines()[0] == "1 of 17 spans contains mongodb.insert"


def test_a_link_without_a_trace_is_a_usage_error(run: Run) -> None:
    outcome = run("show", "http://localhost:16686/search?service=chat", width=200)

    assert outcome.code == ExitCode.USAGE
    assert "a link to a trace ends in /trace/<id>, or has traceID=<id>" in outcome.err
