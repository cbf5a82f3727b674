"""Looks through a window slice by slice, newest first, where a limit keeps one answer from holding all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from traceq.catalog import Window
from traceq.units import NS_PER_US

_Trace = TypeVar("_Trace")

_NARROWEST_NS = NS_PER_US


@dataclass(frozen=True, slots=True)
class Page(Generic[_Trace]):
    """The traces of a slice of a window."""

    by_id: Mapping[str, _Trace]
    is_cut_off: bool
    """Whether the limit left some of the slice out; with the narrowest slices nothing can be done about it."""
    since_ns: int
    """Where the slice begins: everything from here to the end of the window was asked for."""


Ask = Callable[[Window], tuple[Mapping[str, _Trace], bool]]
"""Gives the traces of a slice of time, and whether the limit cut the answer off."""


def pages(ask: Ask[_Trace], window: Window, limit: int) -> Iterator[Page[_Trace]]:
    """Give the traces of a window, newest slice first, in slices whose answers fit into the limit.

    A slice whose answer does not fit is halved and asked for again; after an answer of less than half the limit, the
    next slice is twice as wide. A trace with spans in several slices comes with each of them.

    Args:
        ask: Asks for a slice.
        window: With two ends; its answer as a whole did not fit.
        limit: The limit of one answer.

    Raises:
        ValueError: If an end is open.
    """
    start_ns, end_ns = window.start_ns, window.end_ns
    if start_ns is None or end_ns is None:
        raise ValueError("a window is looked through between two ends")
    width_ns = max(_NARROWEST_NS, (end_ns - start_ns) // 2)
    while end_ns >= start_ns:
        since_ns = max(start_ns, end_ns - width_ns + 1)
        by_id, is_cut_off = ask(Window(since_ns, end_ns))
        if is_cut_off and end_ns - since_ns + 1 > _NARROWEST_NS:
            width_ns = max(_NARROWEST_NS, (end_ns - since_ns + 1) // 2)
            continue
        yield Page(by_id, is_cut_off, since_ns)
        end_ns = since_ns - 1
        width_ns *= 2 if 2 * len(by_id) < limit else 1
