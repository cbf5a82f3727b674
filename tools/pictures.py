"""Draw the pictures of README.md anew, from the fixtures: `python -m tools.pictures`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.readme import README, ROOT, answer_now

_PICTURE = re.compile(r"!\[(traceq [^\]:]+)[^\]]*\]\(([^)\s]+\.svg)\)")


def pictures(text: str) -> dict[str, str]:
    """Find the pictures that a document shows, by their paths, and what draws each.

    The text for those who do not see a picture begins with its command: `![traceq deps: who calls whom](deps.svg)`.
    """
    return {path: command.strip() for command, path in _PICTURE.findall(text)}


def drawn(text: str, answer: Callable[[str], Sequence[str]] = answer_now) -> Iterator[tuple[Path, str]]:
    """Draw each picture of a document, for the file that it belongs in."""
    for path, command in sorted(pictures(text).items()):
        yield ROOT / path, "".join(f"{line}\n" for line in answer(f"{command} --format svg"))


def write_pictures() -> None:
    """Draw every picture of the README."""
    for file, picture in drawn(README.read_text(encoding="utf-8")):
        file.parent.mkdir(exist_ok=True)
        file.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    write_pictures()
