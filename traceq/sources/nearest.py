"""Suggests what may have been meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from traceq.codec.wire import quoted

_MOST_NEAR = 3


def nearest_names(name: str, known: Collection[str], command: str) -> str:
    """Write a hint: names that contain this one, or else the nearest, in any letter case, and how to list all of them.

    Args:
        name: What was asked for.
        known: The names there are.
        command: The command that lists them.
    """
    by_folded = {other.casefold(): other for other in sorted(known)}
    folded = name.casefold()
    holding = [other for other in by_folded if folded in other][:_MOST_NEAR]
    near = holding or get_close_matches(folded, by_folded, n=1)
    meant = " or ".join(f"'{quoted(by_folded[other])}'" for other in near)
    listed = "there are none" if not known else f"`{command}` lists {'it' if len(known) == 1 else f'all {len(known)}'}"
    return f"did you mean {meant}? {listed}" if meant else listed
