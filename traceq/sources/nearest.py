"""What may have been meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from traceq.codec.wire import quoted

_MOST_NEAR = 3


def nearest_names(name: str, known: Collection[str], command: str) -> str:
    """Write the hint: names that hold this one, else the nearest, whatever the letter case; and what lists them all.

    Args:
        name: What was asked for.
        known: The names there are.
        command: What lists them, as it is typed.
    """
    by_folded = {other.casefold(): other for other in sorted(known)}
    folded = name.casefold()
    holding = [other for other in by_folded if folded in other][:_MOST_NEAR]
    near = holding or get_close_matches(folded, by_folded, n=1)
    meant = " or ".join(f"'{quoted(by_folded[other])}'" for other in near)
    listed = "there are none" if not known else f"`{command}` lists {'it' if len(known) == 1 else f'all {len(known)}'}"
    return f"did you mean {meant}? {listed}" if meant else listed
