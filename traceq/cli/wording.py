"""How culprits are put into words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traceq.analysis.culprits import Culprit

_FIRST_STEPS = 2
_LAST_STEPS = 3


def call_text(culprit: Culprit) -> str:
    """Name the call, and how often it was made if more than once (`SELECT users x 47`)."""
    return f"{culprit.name} x {len(culprit.rows)}" if len(culprit.rows) > 1 else culprit.name


def chain_text(chain: Sequence[tuple[str, str]]) -> str:
    """Write the operations of a chain of (service, operation); of long ones the first and the last."""
    names = [name for _, name in chain]
    left_out = len(names) - _FIRST_STEPS - _LAST_STEPS
    if left_out > 1:
        names[_FIRST_STEPS:-_LAST_STEPS] = [f"... {left_out:,} more ..."]
    return " > ".join(names)
