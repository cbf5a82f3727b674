"""Texts shortened together, so that those that differ still differ: the cells of a column, the pods of a service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from traceq.render.terminal.canvas import cut, cut_front, shorten, width_of

_TAILS = (0.5, 0.75, 1.0)
"""Shares of the room that the end of a text gets, where its beginning is what it shares with others."""
_BEFORE = 2
"""Characters kept before the first one by which texts differ."""


def shorten_all(texts: Sequence[str], width: int, ellipsis: str) -> list[str]:
    """Shorten texts to a width, all in the same way: the first one that keeps most of them apart.

    At the end, or in the middle of a path, unless that makes different texts equal; then ever more of their ends is
    kept. Texts that are still equal are cut to where they differ.
    """
    different = list(dict.fromkeys(texts))
    longer = [text for text in different if width_of(text) > width]
    if not longer:
        return list(texts)
    room = width - len(ellipsis)
    kept = {text: text for text in different if width_of(text) <= width}
    best = kept | {text: shorten(text, width, ellipsis) for text in longer}
    for tail in _TAILS if room > 0 else ():
        if len(set(best.values())) == len(different):
            break
        other = kept | {text: _around(text, room, round(room * tail), ellipsis) for text in longer}
        best = max(best, other, key=lambda shown: len(set(shown.values())))
    if room > 0:
        best = max(best, best | _told_apart(best, longer, room, ellipsis), key=lambda shown: len(set(shown.values())))
    return [best[text] for text in texts]


def _around(text: str, room: int, tail: int, ellipsis: str) -> str:
    """Keep so many cells of the end, and of the beginning what is left."""
    end = cut_front(text, tail) if tail else ""
    return cut(text, room - width_of(end)) + ellipsis + end


def _told_apart(shown: dict[str, str], longer: Sequence[str], room: int, ellipsis: str) -> dict[str, str]:
    """Shorten those that look alike to the part by which they differ."""
    counts = Counter(shown.values())
    alike: dict[str, list[str]] = {}
    for text in longer:
        if counts[shown[text]] > 1:
            alike.setdefault(shown[text], []).append(text)
    apart: dict[str, str] = {}
    for group in alike.values():
        start = max(_shared(group) - _BEFORE, 0)
        apart |= {text: ellipsis + _part(text, start, room) for text in group}
    return apart


def _shared(texts: Sequence[str]) -> int:
    """Count the characters with which all begin."""
    first, last = min(texts), max(texts)
    differing = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return next(differing, min(len(first), len(last)))


def _part(text: str, start: int, room: int) -> str:
    """Cut out the part from a position on, or the end of the text where that has room for more."""
    return cut(text[start:], room) if width_of(text[start:]) >= room else cut_front(text, room)
