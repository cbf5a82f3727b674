"""Which spans their callers waited for, and until when."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.endings import find_superseded, is_told_free, outlives
from traceq.analysis.learning import learned_of
from traceq.analysis.outliving import are_any_of


@dataclass(frozen=True, slots=True, eq=False)
class Awaited:
    """Whether and until when callers waited for their calls; arrays have one entry a span."""

    flags: Flags
    """False for spans that nobody waited for; true for roots."""
    end_ns: Ints
    """The span's end, or, for an attempt of which another one took the place, when that was begun."""


def find_awaited(spans: Columns) -> Awaited:
    """Tell what callers waited for.

    Nobody waits for a CONSUMER that its PRODUCER handed a message, nor for what merely follows from its parent, nor for
    what ends clearly after its parent on the same clock, nor for a call that does so again and again in other traces.
    A SERVER under its CLIENT is awaited and merely ends late, and another clock tells nothing.

    Source: Chow et al., The Mystery Machine, OSDI '14, section 3: every order of two ends is supposed, and dropped once
    traces show the other one. Differs: two traces have to, and more than one in a hundred.
    """
    has_outlived = outlives(spans)
    end_ns, is_superseded = find_superseded(spans, has_outlived)
    is_asynchronous = are_any_of(spans, learned_of(spans).asynchronous) | (has_outlived & ~is_superseded)
    return Awaited(~(is_told_free(spans) | is_asynchronous), end_ns)
