"""What is known of operations and clocks from many traces: small values that any process can be handed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Call(NamedTuple):
    """Who calls what: spans of one operation under spans of another."""

    caller_service: str
    caller: str
    service: str
    name: str
    callee_service: str
    """Whose span stands below it, where there is one alone; old HTTP instrumentation calls every call `GET`."""
    callee: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What many traces told."""

    asynchronous: frozenset[Call] = field(default_factory=frozenset)
    """Calls that nobody waits for: they outlive their callers again and again."""
