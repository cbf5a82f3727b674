from __future__ import annotations

import os
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit
from select import poll
from types import SimpleNamespace
from typing import IO

import pytest

from traceq.errors import InputError
from traceq.sources.bodies import expanded, read_body, unpacked_file


def test_patterns_are_replaced_by_what_matches_in_order(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "deep/c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = expanded((f"{tmp_path}/*.json", "-", f"{tmp_path}/**/c.json"))

    assert found == (f"{tmp_path}/a.json", f"{tmp_path}/b.json", "-", f"{tmp_path}/deep/c.json")


def test_a_file_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    strange = tmp_path / "[1].json"
    strange.touch()

    assert expanded((str(strange),)) == (str(strange),)


def test_a_pattern_without_a_match_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file matches"):
        expanded((f"{tmp_path}/*.json",))


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff"), ("utf-16-le", b""), ("utf-16-be", b"")],
)
@pytest.mark.parametrize("text", ['{"data": "\U0001f600"}', "INFO ready\n{}", "2026-01-01T00:00:00Z \u00e9"])
def test_text_in_utf_16_is_converted(encoding: str, mark: bytes, text: str, tmp_path: Path) -> None:
    file = tmp_path / "redirected.json"
    file.write_bytes(mark + text.encode(encoding))

    assert bytes(read_body(str(file))) == text.encode()
    assert Path(unpacked_file(str(file), tmp_path)).read_bytes() == text.encode()


@pytest.mark.parametrize("head", [b"PAR1\x15\0\x15\0", b"\0 \0A\n\x10ab", b"a\0b", b"\n\0\n\x02ab\0c"])
def test_bytes_that_are_no_text_stay_as_they_are(head: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.pb"
    file.write_bytes(head)

    assert bytes(read_body(str(file))) == head


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("missing", [0, 1])
def test_wide_text_is_read_up_to_its_last_whole_character(encoding: str, missing: int, tmp_path: Path) -> None:
    file = tmp_path / "redirected.json"
    content = '[{"é": "\ud800"}]'.encode(encoding, "surrogatepass")
    file.write_bytes(content[: len(content) - missing])

    whole = '[{"é": "\ud800"}]'.encode("utf-8", "surrogatepass")
    assert bytes(read_body(str(file))) == whole[: len(whole) - missing]


def test_broken_utf_32_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "redirected.json"
    file.write_bytes(b"{\0\0\0\0\0\xff\xff")

    with pytest.raises(InputError, match="the text in UTF-32 is broken"):
        read_body(str(file))


def test_whoever_waits_for_a_pipe_looks_up_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python runs what a signal is to do between two calls of the system, of which the first may miss it."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)  # so that a read without a wait fails
    waits: list[int] = []

    class Poll:
        def __init__(self) -> None:
            self._real = poll()

        def register(self, stream: IO[bytes], events: int) -> None:
            self._real.register(stream, events)

        def poll(self, wait_ms: int) -> list[tuple[int, int]]:
            waits.append(wait_ms)
            if len(waits) == 3:
                os.write(theirs, b"late")
                os.close(theirs)
            return self._real.poll(0)

    monkeypatch.setattr("traceq.sources.bodies.poll", Poll)
    with os.fdopen(ours, "rb") as piped:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=piped))
        body = read_body("-")

    assert bytes(body) == b"late"
    assert waits[:3] == [1000] * 3


def test_a_pipe_is_read_whatever_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has mapped a directory of files."""
    soft, hard = getrlimit(RLIMIT_NOFILE)
    if hard != RLIM_INFINITY and hard < 2048:
        pytest.skip("this system allows fewer open files")
    setrlimit(RLIMIT_NOFILE, (hard, hard))
    ours, theirs = os.pipe()
    os.write(theirs, b"read")
    os.close(theirs)
    os.dup2(ours, 2000)
    os.close(ours)

    with os.fdopen(2000, "rb") as piped:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=piped))
        body = read_body("-")

    setrlimit(RLIMIT_NOFILE, (soft, hard))
    assert bytes(body) == b"read"
