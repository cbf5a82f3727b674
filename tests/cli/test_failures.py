"""What happens when something is wrong: one line, a hint, the right exit code, nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run
from tests.sources.servers import Reply, Seen, serving
from traceq import cli
from traceq.errors import ExitCode
from traceq.sources.files import FileSource

CHAT = ("--source", "fixtures/chat.json")
LOGIN = b"<html><head><title>Sign in</title></head><body><form><input type=password></form></body></html>"


def lines(err: str) -> list[str]:
    return err.splitlines()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        pytest.param(
            ("search", "--min-duration", "10"),
            "Invalid value for '--min-duration': '10' has no unit, write 10ms or 10s",
            "`traceq search --help` shows how",
            id="duration without unit",
        ),
        pytest.param(
            ("search", "--min-duration", "2s", "--max-duration", "1s", *CHAT),
            "Invalid value: the minimum duration is above the maximum",
            "`traceq search --help` shows how",
            id="minimum above maximum",
        ),
        pytest.param(
            ("search", "--start", "soon"),
            "Invalid value for '--start': 'soon' is not a time, write for example -2h, yesterday 14:00, now, "
            "2026-11-22T14:00:00Z or an epoch",
            "`traceq search --help` shows how",
            id="not a time",
        ),
        pytest.param(
            ("search", "--start", "2026-11-22T15:00:00Z", "--end", "2026-11-22T14:00:00Z", *CHAT),
            "Invalid value for --start: the window ends, at 2026-11-22 14:00:00.000, before it starts, at "
            "2026-11-22 15:00:00.000",
            "`traceq search --help` shows how",
            id="window upside down",
        ),
        pytest.param(
            ("search", "--start", "-1h", "--lookback", "1h", *CHAT),
            "Invalid value for --lookback: give --lookback or --start, not both",
            "`traceq search --help` shows how",
            id="two starts",
        ),
        pytest.param(
            ("search", "--tag", 'a="b', *CHAT),
            'Invalid value: cannot read the tag \'a="b\', write key=value, key="a value" or key~pattern',
            "`traceq search --help` shows how",
            id="open quote",
        ),
        pytest.param(
            ("search", "--header", "secret", *CHAT),
            "Invalid value for --header: a header is written 'Name: value'",
            "`traceq search --help` shows how",
            id="header without colon, not repeated",
        ),
        pytest.param(
            ("serch",),
            "No such command 'serch'. Did you mean 'search', 'services', 'fetch'?",
            "`traceq --help` lists the commands",
            id="unknown command",
        ),
        pytest.param(
            ("search", "--sort", "fastest"),
            "Invalid value for '--sort': 'fastest' is not one of 'recent', 'oldest', 'longest', 'shortest', "
            "'most-spans', 'least-spans', 'most-errors', 'least-errors', 'name', 'name-desc'.",
            "did you mean 'shortest'? `traceq search --help` shows how",
            id="unknown order",
        ),
        pytest.param(
            ("search", "--source", "http://a", "--source", "http://b"),
            "Invalid value for --source: one server at a time: give one URL, or any number of files",
            "`traceq search --help` shows how",
            id="two servers",
        ),
        pytest.param(
            ("search", *CHAT, "-o", "no/such/folder/x.json"),
            "Invalid value for --output: there is no directory 'no/such/folder'",
            "`traceq search --help` shows how",
            id="no folder to write to",
        ),
        pytest.param(
            ("deps", "--path", "chat-service", *CHAT),
            "Invalid value for --path: give two names: from where, and to where",
            "`traceq deps --help` shows how",
            id="half a path",
        ),
        pytest.param(
            ("bottlenecks", "--trace", "e0eecb53", "--what-if", "mongodb=-50%", *CHAT),
            "Invalid value for --what-if: it is estimated over many requests, not for one --trace",
            "`traceq bottlenecks --help` shows how",
            id="what if of one trace",
        ),
        pytest.param(
            ("bottlenecks", "--trace", "e0eecb53", "--findings", *CHAT),
            "Invalid value for --findings: `traceq show e0eecb53 --source fixtures/chat.json` lists those of one trace",
            "`traceq bottlenecks --help` shows how",
            id="findings of one trace",
        ),
        pytest.param(
            ("fetch", *CHAT, "-f", "csv"),
            "Invalid value for '--format' / '-f': 'csv' is not one of 'json', 'ndjson'.",
            "`traceq fetch --help` shows how",
            id="fetch as csv",
        ),
        pytest.param(
            ("fetch", *CHAT, "-o", "traces.csv"),
            "Invalid value for --format: traces are written as json or ndjson",
            "`traceq fetch --help` shows how",
            id="fetch into csv",
        ),
        pytest.param(
            ("fetch", *CHAT, "-o", "traces.svg"),
            "Invalid value for --format: traces are written as json or ndjson",
            "`traceq fetch --help` shows how",
            id="fetch into a picture",
        ),
    ],
)
def test_usage_ends_with_2(arguments: tuple[str, ...], error: str, hint: str, run: Run) -> None:
    outcome = run(*arguments)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert lines(outcome.err) == [f"traceq: error: {error}", f"traceq: hint: {hint}"]


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        pytest.param(
            ("bottlenecks", "chat-servce", *CHAT),
            "no service named 'chat-servce' in fixtures/chat.json",
            "did you mean 'chat-service'? `traceq services --source fixtures/chat.json` lists all 5",
            id="service",
        ),
        pytest.param(
            ("deps", "--service", "chat-servce", *CHAT),
            "no service named 'chat-servce' among the dependencies at fixtures/chat.json",
            "did you mean 'chat-service'? "
            "`traceq deps --view table --source fixtures/chat.json` lists 5 services and 5 peers",
            id="service of a graph",
        ),
        pytest.param(
            ("show", "e0eecb5348b9eba372d8056ec85eca9c", "--span", "ffff", *CHAT),
            "no span 'ffff' in trace e0eecb5348b9eba372d8056ec85eca9c",
            "`traceq show e0eecb5348b9eba372d8056ec85eca9c --format csv --source fixtures/chat.json` lists all 17",
            id="span",
        ),
    ],
)
def test_what_is_not_there_ends_with_3(arguments: tuple[str, ...], error: str, hint: str, run: Run) -> None:
    outcome = run(*arguments)

    assert (outcome.code, outcome.out) == (ExitCode.NOT_FOUND, "")
    assert lines(outcome.err) == [f"traceq: error: {error}", f"traceq: hint: {hint}"]


def test_a_trace_that_is_not_there_ends_with_3(run: Run) -> None:
    outcome = run("show", "ffffffff", *CHAT)

    assert (outcome.code, outcome.out, len(lines(outcome.err))) == (ExitCode.NOT_FOUND, "", 2)
    assert lines(outcome.err)[0].startswith("traceq: error: no trace")


ANSWERS: dict[str, Reply | None] = {
    "login page": Reply(LOGIN, headers={"Content-Type": "text/html"}),
    "redirect to another host": Reply(status=302, headers={"Location": "https://login.example/?next=secret"}),
    "401": Reply(b"missing token", 401, {"WWW-Authenticate": "Bearer"}),
    "403": Reply(b"no", 403),
    "500": Reply(b'{"data":null,"errors":[{"code":500,"msg":"elasticsearch is down"}]}', 500),
    "body cut off": Reply(b'{"data":["a"', headers={"Content-Length": "4000"}),
    "not json": Reply(b"hello"),
    "silence": None,
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    "command",
    [
        ("services",),
        ("search",),
        ("show", "e0eecb5348b9eba372d8056ec85eca9c"),
        ("bottlenecks", "chat-service"),
        ("deps",),
        ("fetch",),
    ],
    ids=lambda command: command[0],
)
def test_a_failing_server_ends_with_4_in_a_line_and_a_hint(
    name: str, command: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    target = tmp_path / "answer.json"

    def answer(path: str, seen: Seen) -> Reply | None:
        return ANSWERS[name]

    with serving(answer) as seen:
        outcome = run(*command, "--source", seen.url, "--timeout", "200ms", "--token", "s3cret", "-o", str(target))

    assert (outcome.code, outcome.out) == (ExitCode.SOURCE_FAILED, "")
    told = lines(outcome.err)
    assert [line.split(": ")[:2] for line in told] == [["traceq", "error"], ["traceq", "hint"]]
    assert "s3cret" not in outcome.err
    assert "next=secret" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_nobody_at_the_port_ends_with_4(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    outcome = run("services", "--source", url)

    assert outcome.code == ExitCode.SOURCE_FAILED
    assert lines(outcome.err)[0] == f"traceq: error: cannot reach Jaeger at {url} (connection refused)"
    assert lines(outcome.err)[1].startswith("traceq: hint: is the query service running?")


def unreadable(folder: Path) -> dict[str, Path]:
    """Write one of each kind of file that is no traces."""
    bodies = {
        "html.json": LOGIN,
        "broken.json": b'{"data": [{"traceID": "1", "spans": [}',
        "truncated.json": b'{"data": [{"traceID": "1", ',
        "empty.json": b"",
        "tempo.json": b'{"traces":[{"traceID":"1","rootServiceName":"a","startTimeUnixNano":"1"}],"metrics":{}}',
        "half.json.gz": gzip.compress(b'{"data": []}')[:14],
        "binary.json": bytes(range(256)),
    }
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    (folder / "folder").mkdir()
    (folder / "dangling.json").symlink_to(folder / "gone.json")
    names = (*bodies, "folder", "dangling.json", "vanished.json")
    return {name: folder / name for name in names}


NAMES = ("html.json", "broken.json", "truncated.json", "empty.json", "tempo.json", "half.json.gz", "binary.json")


@pytest.mark.parametrize("name", [*NAMES, "folder", "dangling.json", "vanished.json"])
@pytest.mark.parametrize("command", [("search",), ("show", "1"), ("bottlenecks",), ("deps",), ("services",)])
def test_what_cannot_be_read_ends_with_5_in_a_line_and_a_hint(
    name: str, command: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    path = unreadable(tmp_path)[name]

    outcome = run(*command, "--source", str(path))

    assert (outcome.code, outcome.out) == (ExitCode.INPUT_UNREADABLE, "")
    told = lines(outcome.err)
    assert [line.split(": ")[:2] for line in told] == [["traceq", "error"], ["traceq", "hint"]]
    assert str(path) in told[0]


def test_a_file_is_written_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "kept.json"
    target.write_text("before")

    failed = run("search", "--source", str(tmp_path / "gone.json"), "-o", str(target))
    assert (failed.code, target.read_text()) == (ExitCode.INPUT_UNREADABLE, "before")

    answered = run("search", *CHAT, "-o", str(target))
    assert (answered.code, answered.out) == (ExitCode.ANSWERED, "")
    assert json.loads(target.read_text())["schema"] == "traceq.search/1"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


def test_the_format_goes_by_the_suffix(run: Run, tmp_path: Path) -> None:
    for suffix, start in (
        (".json", '{"schema"'),
        (".ndjson", '{"trace_id"'),
        (".csv", "trace_id,"),
        (".txt", "106 traces, newest first"),
    ):
        target = tmp_path / f"answer{suffix}"
        assert run("search", *CHAT, "-o", str(target)).code == ExitCode.ANSWERED
        assert target.read_text(encoding="utf-8").startswith(start)


def test_quiet_says_nothing_besides_the_answer(run: Run) -> None:
    trace_id = "d2a0b255857d0219bc2ac670b5fa3f38"

    assert "parent missing" in run("show", trace_id, *CHAT).err
    assert run("show", trace_id, *CHAT, "--quiet").err == ""


def test_an_interruption_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_app_for", lambda _: interrupted)

    outcome = run("services")

    assert (outcome.code, outcome.err) == (ExitCode.INTERRUPTED, "traceq: error: interrupted\n")


def test_an_interrupted_command_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: FileSource) -> tuple[str, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(FileSource, "services", interrupted)

    outcome = run("services", *CHAT)

    assert (outcome.code, outcome.err) == (ExitCode.INTERRUPTED, "traceq: error: interrupted\n")


def test_a_bug_ends_with_1_and_a_line_and_debug_shows_where(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("half of nothing")

    monkeypatch.setattr(cli, "_app_for", lambda _: broken)

    outcome = run("services")

    assert outcome.code == ExitCode.BUG
    assert lines(outcome.err) == [
        "traceq: error: this is a bug in traceq: ZeroDivisionError: half of nothing",
        "traceq: hint: --debug shows where",
    ]
    with pytest.raises(ZeroDivisionError):
        run("services", "--debug")


def test_a_closed_pipe_ends_with_0(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(cli, "_app_for", lambda _: closed)
    monkeypatch.setattr(os, "dup2", lambda *_: None)

    assert run("services").code == ExitCode.ANSWERED


def test_text_from_outside_is_shown_and_never_sent_to_the_terminal(run: Run) -> None:
    outcome = run("search", "--source", "fixtures/chat.json", "--service", "\x1b]0;owned\x07")

    assert "\x1b" not in outcome.err
    assert "\\x1b]0;owned\\x07" in outcome.err


@pytest.mark.parametrize("command", ["fetch", "search", "demo"])
def test_a_reader_that_is_gone_ends_it_with_0(command: str) -> None:
    """Without a stub: typer, too, has its way with closed pipes."""
    reading, writing = os.pipe()
    os.close(reading)
    source = () if command == "demo" else ("--source", "fixtures/chat.json")

    done = subprocess.run(
        [sys.executable, "-m", "traceq", command, *source],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
    )
    os.close(writing)

    assert done.returncode == 0
    assert "error" not in done.stderr.lower()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="nothing here is full")
def test_standard_output_without_room_is_no_bug() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "traceq", "search", "--source", "fixtures/chat.json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
        )

    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        ["traceq: error: cannot write the answer: No space left on device", "traceq: hint: is the disk full?"],
    )
