"""Files in motion: pipes, files that grow or are cut off while they are read, and commands that are told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run
from traceq.sources import open_source
from traceq.sources.bodies import map_file, read_body, unpacked_file
from traceq.sources.interface import ConnectionOptions, SlicedSource

CHAT = ROOT / "fixtures" / "chat.json"
TRACE = "5266ff355aab16a3257a28fb786cd0f9"
LINE = json.dumps({"data": json.loads(CHAT.read_bytes())["data"][:1]}).encode() + b"\n"


@contextmanager
def fed(path: Path, content: bytes) -> Iterator[None]:
    """Make a pipe that gives its content to whoever opens it first; any other reads that it was read before."""
    os.mkfifo(path)
    is_over = threading.Event()

    def write() -> None:
        with path.open("wb") as pipe:  # once there is a reader
            path.unlink()
            os.mkfifo(path)
            pipe.write(content)
        with path.open("wb") as pipe:
            if not is_over.is_set():
                pipe.write(b"this was read before")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        thread.join()
        os.close(end)


@pytest.mark.parametrize(
    "command",
    [
        ("services",),
        ("operations", "chat-service"),
        ("search",),
        ("search", "--tag", "no.such.key=1"),
        ("search", "--where", "duration > 500ms"),
        ("show", TRACE),
        ("bottlenecks", "chat-service", "--findings", "--tags"),
        ("findings", "chat-service"),
        ("errors", "--limit", "5"),
        ("errors", "--limit", "5", "--tag", "no.such.key=1"),
        ("stats", "--by", "tag:db.system"),
        ("flame", "chat-service"),
        ("report", "chat-service"),
        ("deps", "--critical"),
        ("check", "p95(chat-service) < 1h"),
        ("compare", "chat-service", "--slow", "10%"),
        ("fetch",),
    ],
    ids=" ".join,
)
def test_a_pipe_is_read_exactly_once(command: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    expected = json.loads(run(*command, "-s", str(CHAT), "-f", "json").out)

    with fed(tmp_path / "pipe", CHAT.read_bytes()):
        outcome = run(*command, "-s", str(tmp_path / "pipe"), "-f", "json")

    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert {key for key in expected if expected[key] != told[key]} <= {"source", "query", "notes", "bottlenecks"}


def test_a_pipe_is_converted(run: Run, tmp_path: Path) -> None:
    with fed(tmp_path / "pipe", CHAT.read_bytes()):
        outcome = run("convert", str(tmp_path / "pipe"), "-o", str(tmp_path / "all.jsonl"))

    assert outcome.code == 0, outcome.err
    assert json.loads(run("search", "-s", str(tmp_path / "all.jsonl"), "-f", "json").out)["total_count"] > 100


def test_what_comes_while_a_file_is_read_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "growing.jsonl"
    path.write_bytes(LINE + LINE.replace(b"0", b"1")[: len(LINE) // 2])
    source = open_source((str(path),), ConnectionOptions())
    assert isinstance(source, SlicedSource)

    with source.slices() as cut:
        with path.open("ab") as file:
            file.write(LINE.replace(b"0", b"1")[len(LINE) // 2 :] + LINE.replace(b"0", b"2"))
        traces = [table for piece in cut.found.slices for table in piece.tables(with_details=True)]

    assert sum(len(table) for table in traces) == 1
    assert "1 incomplete" in " ".join(cut.found.notes) or "ends in the middle" in " ".join(cut.found.notes)


@pytest.mark.parametrize("by_slices", [False, True])
def test_a_file_that_is_cut_off_while_it_is_read_is_read_as_it_was(by_slices: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """It would end the process if it were mapped: the system has no bytes to give."""
    path = tmp_path / "written.jsonl"
    content = LINE * (2**21 // len(LINE))
    path.write_bytes(content)

    body = map_file(unpacked_file(str(path), tmp_path)) if by_slices else read_body(str(path))
    os.truncate(path, 0)

    assert bytes(body) == content


def test_a_file_that_nobody_writes_to_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "written.jsonl"
    path.write_bytes(LINE * (2**21 // len(LINE)))
    os.utime(path, (1_700_000_000, 1_700_000_000))

    assert unpacked_file(str(path), tmp_path) == str(path)
    assert not isinstance(read_body(str(path)), bytes)


@pytest.mark.parametrize("command", ["search", "bottlenecks"])
def test_a_command_that_is_told_to_end_leaves_nothing(command: str, tmp_path: Path) -> None:
    pipe, temporary = tmp_path / "pipe", tmp_path / "temporary"
    os.mkfifo(pipe)
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "traceq", command, "-s", str(pipe)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    with pipe.open("wb") as file:  # once the command has opened it, too
        file.write(CHAT.read_bytes()[:1000])
        file.flush()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, list(temporary.iterdir())) == (143, b"", [])
    assert err == b"traceq: error: interrupted\n"


@pytest.mark.parametrize(
    "question",
    [
        ("services",),
        ("operations", "chat-service"),
        ("show", TRACE),
        ("bottlenecks", "--trace", TRACE),
        ("search", "--limit", "200"),
        ("stats",),
        ("deps",),
    ],
    ids=lambda question: question[0],
)
def test_every_command_names_the_files_that_it_leaves_out(question: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.touch()

    outcome = run(*question, "--source", str(CHAT), "--source", str(empty), "--format", "json")

    assert outcome.code == 0
    assert f"traceq: note: {empty}: left out, since it is empty\n" in outcome.err
    assert f"{empty}: left out, since it is empty" in json.loads(outcome.out)["notes"]
