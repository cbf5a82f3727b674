"""Names that people may have meant: known ones that come nearest to the one they typed."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

_LEAST = 0.6
"""How alike names are that may be meant; 1 for the same."""
_MOST = 3


class Near(Struct, frozen=True):
    """The known names nearest to a sought one; can be added to others for the same name, in any order."""

    found: tuple[tuple[float, str], ...] = ()
    """How unlike each is, and the name; the nearest first."""

    def __add__(self, other: Near) -> Near:
        return Near(tuple(sorted({*self.found, *other.found})[:_MOST]))

    @property
    def question(self) -> str:
        """Ask whether the nearest is meant; empty where no name is near."""
        return f"did you mean '{self.found[0][1]}'?" if self.found else ""


def near(sought: str, known: Iterable[str]) -> Near:
    """Find the names that come nearest to a sought one, in any letter case."""
    # Late: only misspelt names are looked for.
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(b=sought.casefold(), autojunk=False)
    found = []
    for name in set(known) - {sought}:
        matcher.set_seq1(name.casefold())
        # The first two are upper bounds that cost less.
        if min(matcher.real_quick_ratio(), matcher.quick_ratio()) >= _LEAST and (ratio := matcher.ratio()) >= _LEAST:
            found.append((1 - ratio, name))
    return Near(tuple(sorted(found)[:_MOST]))
