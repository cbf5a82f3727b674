"""What programs print is the same through whatever containers, collectors of logs and terminals put around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.codec.reading import described, table
from traceq.codec.documents import read_document
from traceq.codec.log_envelopes import unwrapped
from traceq.errors import DecodeError

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
PRINTED = ("python-console.txt", "js-console.txt", "go-stdouttrace.json", "go-stdouttrace-pretty.json")
CHUNK = 100
"""Docker divides lines after 16 KiB, containerd too; shorter here."""
NEWLINE = "\n"
TIME = "2026-11-26T10:00:00.123456789Z"


def as_lines(entries: Iterable[object]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in entries)


def chunks(text: str) -> list[str]:
    return [line[at : at + CHUNK] for line in text.splitlines(keepends=True) for at in range(0, len(line), CHUNK)]


def docker(text: str) -> bytes:
    warned = {"log": "deprecated\n", "stream": "stderr", "time": TIME}
    entries = [{"log": each, "stream": "stdout", "time": TIME} for each in chunks(text)]
    return as_lines([entries[0], warned, *entries[1:]])


def containerd(text: str) -> bytes:
    lines = [f"{TIME} stdout {'PF'[each[-1:] == NEWLINE]} {each.rstrip(NEWLINE)}{NEWLINE}" for each in chunks(text)]
    return "".join([lines[0], f"{TIME} stderr F deprecated\n", *lines[1:]]).encode()


def journal(text: str) -> bytes:
    entries = [
        {"MESSAGE": list(each.encode()) if "é" in each else each.rstrip("\n"), "_PID": "7"}
        | ({} if each.endswith("\n") else {"_LINE_BREAK": "line-max"})
        for each in chunks(text)
    ]
    return as_lines([{"MESSAGE": "Started.", "_PID": "1"}, *entries])


def entries_with(key: str) -> Callable[[str], bytes]:
    return lambda text: as_lines({key: line, "stream": "stdout"} for line in text.splitlines())


def prefixed(prefix: str) -> Callable[[str], bytes]:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.splitlines()).encode()


WRAPPINGS: dict[str, Callable[[str], bytes]] = {
    "docker": docker,
    "containerd": containerd,
    "journald": journal,
    "fluent-bit": entries_with("log"),
    "loki": entries_with("line"),
    "filebeat": entries_with("message"),
    "google-cloud": entries_with("textPayload"),
    "compose": prefixed("app-1      | "),
    "compose-timestamps": prefixed(f"app-1  | {TIME} "),
    "kubectl-prefix": prefixed("[pod/app-5d/app] "),
    "kubectl-timestamps": prefixed(f"{TIME} "),
    "kubectl-both": prefixed(f"[pod/app-5d/app] {TIME} "),
    "stern": prefixed("app-5d8c7f9b4-x2k4j app "),
    "heroku": prefixed("2026-11-26T10:00:00.123456+00:00 app[web.1]: "),
    "journalctl": prefixed("Nov 26 10:00:00 host app[7]: "),
    "journalctl-iso": prefixed("2026-11-26T10:00:00+0000 host app[7]: "),
    "colours": lambda text: text.replace("'", "\x1b[32m'").replace("{", "\x1b[1;90m{\x1b[0m").encode(),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", PRINTED)
def test_what_is_around_the_lines_of_a_log_changes_nothing(name: str, wrapping: str) -> None:
    text = (FIXTURES / "printed" / name).read_text("utf-8")

    wrapped = WRAPPINGS[wrapping](text)

    assert described(table(wrapped)) == described(table(text.encode()))
    assert len(described(table(wrapped))) == 2


@pytest.mark.parametrize("wrapping", [each for each in WRAPPINGS if each != "colours"])
def test_lines_of_otlp_are_read_through_envelopes(wrapping: str) -> None:
    text = (FIXTURES / "exported" / "collector.json").read_text("utf-8")
    noisy = f"starting\n{text}stopped\n"

    document = read_document(WRAPPINGS[wrapping](noisy), "x.log")

    assert described(table(WRAPPINGS[wrapping](noisy))) == described(table(text.encode()))
    (note,) = document.notes
    others = {"docker": 3, "containerd": 3, "journald": 3}.get(wrapping, 2)
    assert note == f"lines without spans, left out: {others}"


def test_spans_that_two_containers_print_at_the_same_time_stay_apart() -> None:
    texts = [(FIXTURES / "printed" / name).read_text("utf-8") for name in PRINTED[:2]]
    each = [prefixed(f"app-{number}  | ")(text).splitlines() for number, text in enumerate(texts)]

    alternating = b"\n".join(line for lines in zip_longest(*each, fillvalue=b"") for line in lines)

    assert described(table(alternating)) == described(table(*(text.encode() for text in texts)))


def test_lines_that_journalctl_shortens_are_told() -> None:
    (text, entry) = (FIXTURES / "printed" / PRINTED[2]).read_text("utf-8"), {"MESSAGE": None, "_PID": "7"}

    document = read_document(journal(text) + as_lines([entry, entry]), "x.log")

    assert document.notes[1:] == ("left out because journalctl shows them only with --all: 2 lines",)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(docker("starting\nstopped\n"), id="docker"),
        pytest.param(containerd("starting\n{}\n"), id="containerd"),
        pytest.param(prefixed("app-1  | ")('{"resourceLogs": []}\n'), id="compose"),
        pytest.param(b'{"log": "\\ud800"}\n{"log": 1}\n', id="broken"),
    ],
)
def test_a_log_without_spans_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        read_document(body, "x.log")


def test_what_has_nothing_around_its_lines_is_left_alone() -> None:
    assert unwrapped(memoryview(b'starting\n{"name": "x"}\n| a | b |\n')).texts == []


def test_prefixes_without_end_are_given_up() -> None:
    line = b"a | " * 100_000 + b'{"name": "x"}\n'

    with pytest.raises(DecodeError):
        read_document(line * 2, "x.log")
