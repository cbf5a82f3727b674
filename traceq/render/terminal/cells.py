"""Text measured in terminal cells: padded, shortened and wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len

_WORD = re.compile(r"\S*\d (?:ns|µs|us|ms|s|m|h|d|%)(?!\w)\S*|\S+")
"""A word; a number and its unit are one, so that no line ends between `1.21` and `s`."""

_PHRASE = re.compile(r"\S+(?: \S+)*")

# What drawings are made of takes a cell a character; asking rich took half the time of a large trace.
_is_ours = re.compile(r"[ -~µ·⋯…─-▟]*").fullmatch

_JOINER = "\u200d"


def width_of(text: str) -> int:
    """Measure how many cells a text takes."""
    return len(text) if text.isascii() or _is_ours(text) else cell_len(text)


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """Fill a text with blanks up to a width, on the left of it where it is aligned right."""
    blanks = " " * (width - width_of(text))
    return blanks + text if is_right else text + blanks


def cut(text: str, width: int) -> str:
    """Keep the beginning that fits."""
    if text.isascii():
        return text[: max(width, 0)]
    used = 0
    for position, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            # A joiner without its second half would join the ellipsis.
            return text[:position].rstrip(_JOINER)
    return text


def _cut_front(text: str, width: int) -> str:
    used = 0
    for position in range(len(text) - 1, -1, -1):
        used += cell_len(text[position])
        if used > width:
            return text[position + 1 :].lstrip(_JOINER)
    return text


def shorten(text: str, width: int, ellipsis: str) -> str:
    """Shorten a text to a width: at the end, but in the middle of a path, whose last piece tells most."""
    if width_of(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 1:
        return cut(text, width)
    # Two halves of less than six cells tell nothing.
    if room < 12 or "/" not in text:
        return cut(text, room) + ellipsis
    tail = text[text.rindex("/") :]
    if width_of(tail) > room // 2:
        tail = _cut_front(text, room * 2 // 5)
    return cut(text, room - width_of(tail)) + ellipsis + tail


def _words(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Find what a line may not break: words, and short phrases that wide gaps set apart, like cells of a table."""
    for phrase in _PHRASE.finditer(text):
        if width_of(phrase.group()) <= width // 3:
            yield phrase.span()
        else:
            yield from (word.span() for word in _WORD.finditer(text, *phrase.span()))


def wrap(text: str, width: int, hang: int = 0) -> list[tuple[int, int]]:
    """Break a text into lines between words, as pairs of positions; a word longer than a line is broken anywhere.

    Args:
        text: What to break. Blanks at its start stay, blanks at a break go.
        width: Cells of a line.
        hang: Cells by which all lines but the first are shorter.
    """
    lines: list[tuple[int, int]] = []
    start = end = used = 0
    limit = width
    for word_start, word_end in _words(text, width):
        gap = width_of(text[end:word_start])
        if end == start and gap >= limit - 1:
            # An indentation that leaves no room, not even for a wide character, is none.
            start, gap = word_start, 0
        if end > start and used + gap + width_of(text[word_start:word_end]) > limit:
            lines.append((start, end))
            limit = max(width - hang, 1)
            start, used, gap = word_start, 0, 0
        rest = word_start
        while gap + width_of(text[rest:word_end]) > limit:
            rest += max(len(cut(text[rest:word_end], limit - gap)), 1)
            lines.append((start, rest))
            limit = max(width - hang, 1)
            start, used, gap = rest, 0, 0
        used += gap + width_of(text[rest:word_end])
        end = word_end
    return [*lines, (start, end)] if end > start or not lines else lines


def wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines."""
    return [text[start:end] for start, end in wrap(text, width)]
