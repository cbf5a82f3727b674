"""How deeply attributes may be nested where they are written: writers recurse, and Python does so only so far."""

from __future__ import annotations

from traceq.semantics import AttributeValue

MOST_LEVELS = 100
"""Attributes that are nested deeper are written as JSON text."""


def is_too_deep(value: AttributeValue) -> bool:
    """Whether lists and maps are nested deeper than `MOST_LEVELS`."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        if not any(isinstance(each, (list, dict)) for each in level):
            return False
        level = [
            inner
            for each in level
            if isinstance(each, (list, dict))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return True
