"""Write the answers shown in README.md anew, and its pictures: `python -m tools.readme`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RECORDED_NS = 1_795_358_300_000_000_000
"""When the traces of the fixtures were, 2026-11-22 14:38:20 UTC: the examples ask for the last hours."""
WIDTH = 110
LEFT_OUT = "..."
"""A line that stands for one or more lines of the answer that are not shown."""

_CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_PROGRAM = f"""
import sys, time
time.time_ns = lambda: {RECORDED_NS}
from traceq.cli import main
sys.exit(main(sys.argv[1:]))
"""


def examples(text: str) -> list[str]:
    """List the commands that a document shows in its console blocks."""
    return [command for block in _CONSOLE.findall(text) for command, _ in _commands(block)]


def rewritten(text: str, answer: Callable[[str], Sequence[str]]) -> str:
    """Give a document with what its commands answer now where it shows an answer, as much of it as it showed."""

    def block_now(block: re.Match[str]) -> str:
        lines = []
        for command, shown in _commands(block[0]):
            lines += [f"$ {command}", *(_cut_alike(answer(command), shown) if shown else ())]
        return "".join(f"{line}\n" for line in lines)

    return _CONSOLE.sub(block_now, text)


def _commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Give the commands of a block, each with the lines shown of its answer."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


def _cut_alike(answer: Sequence[str], shown: Sequence[str]) -> list[str]:
    """Leave out of an answer what was left out of it before.

    A part that follows on left-out lines begins where a line begins with the same word. Parts keep their lengths,
    but the last one goes on to the end of the answer.

    Raises:
        ValueError: If a part begins with a word that no line of the answer begins with.
    """
    first, *others = _parts(shown)
    cut = list(answer[: len(first)] if others else answer)
    end = len(first)
    for number, part in enumerate(others, 1):
        cut.append(LEFT_OUT)
        if part:
            start = _line_that_begins_like(part[0], answer, end + 1)
            end = start + len(part) if number < len(others) else len(answer)
            cut += answer[start:end]
    return cut


def _parts(shown: Sequence[str]) -> list[list[str]]:
    """Take apart what is shown at the lines that stand for others."""
    parts: list[list[str]] = [[]]
    for line in shown:
        if line == LEFT_OUT:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _line_that_begins_like(line: str, answer: Sequence[str], start: int) -> int:
    words = line.split()[:1]
    for number in range(start, len(answer)):
        if words and answer[number].split()[:1] == words:
            return number
    raise ValueError(f"no line of the answer begins like {line!r}: edit README.md by hand")


def answer_now(command: str) -> list[str]:
    """Give the lines that a command (`traceq ...`) answers about the fixtures, as if it were the day they are of."""
    settings = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TZ")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRACEQ_", *settings))}
    fixed = {"COLUMNS": str(WIDTH), "TZ": "UTC", "PYTHONUTF8": "1", "TRACEQ_SOURCE": "fixtures/chat.json"}
    words = [sys.executable, "-c", _PROGRAM, *shlex.split(command)[1:]]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, encoding="utf-8", env=kept | fixed, cwd=ROOT)  # noqa: S603
    return [line.rstrip() for line in done.stdout.splitlines()]


if __name__ == "__main__":
    from tools.pictures import write_pictures

    README.write_text(rewritten(README.read_text(encoding="utf-8"), answer_now), encoding="utf-8")
    write_pictures()
