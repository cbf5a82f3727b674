"""Standard output in all its forms."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

from tests.cli.conftest import Run
from tests.cli.test_golden import first
from traceq.cli import main

CHAT = ("--source", "fixtures/chat.json", "-q")


class Notebook(io.TextIOBase):
    """Standard output as notebooks have it: text alone, shown where it was written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def isatty(self) -> bool:
        """Some say that they are terminals."""
        return True

    def getvalue(self) -> str:
        return self.text


@pytest.mark.parametrize("stream", [io.StringIO, Notebook])
@pytest.mark.parametrize(
    "arguments",
    [
        ("show", first("message-slow")),
        ("services", "--format", "json"),
        ("search", "--format", "csv"),
        ("deps", "--format", "svg"),
        ("flame", "--format", "folded"),
        ("fetch", "--limit", "1"),
        ("open", first("message-slow"), "--print", "--source", "http://ui/"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_stream_without_a_file_number_is_a_pipe(
    stream: type[io.StringIO | Notebook], arguments: tuple[str, ...], run: Run
) -> None:
    source = () if arguments[0] == "open" else CHAT
    piped = run(*arguments, *source)

    with redirect_stdout(stream()) as out:
        code = main((*arguments, *source))

    assert (code, out.getvalue()) == (piped.code, piped.out)
    assert code == 0
    assert piped.out
