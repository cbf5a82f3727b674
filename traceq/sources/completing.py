"""Asks by id for traces of which a search may have found a part only.

Jaeger 1.51 on Elasticsearch gives spans from an hour before the window on, other servers clip traces to the window, or
give nothing but the roots. By id every one of them gives all it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from traceq.errors import ServerError
from traceq.sources.candidates import MOST_AT_ONCE
from traceq.sources.dialects import Parts
from traceq.traces import Traces, normal_id
from traceq.units import plural

MOST_ASKED = 200
"""The number of traces of one answer that are asked for by id."""
_PROBES = 3
"""If none of so many has more spans by id, the others are as complete as they can be."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Traces as whole as the server gives them."""

    by_id: Mapping[str, Parts]
    """Those that have more spans by id than in the answer to a search."""
    notes: tuple[str, ...] = ()
    is_partial: bool = False
    """Whether some may still be parts."""


@dataclass(slots=True)
class Completer:
    """Completes what searches of one server find.

    Args:
        ask: Gives a trace by its id; None if there is none.
        span_count: Counts the spans of a trace, undecoded.
        most_spans: The number of spans at which the server may cut a trace off; None if it does not.
    """

    ask: Callable[[str], Parts | None]
    span_count: Callable[[Parts], int]
    most_spans: int | None
    _failures: list[ServerError] = field(default_factory=list)
    _gives_roots_only: bool = True
    """Whether answers that hold nothing but single spans may be the roots of traces; found out once."""

    def complete(self, traces: Traces, end_ns: int) -> Completed:
        """Ask for the traces that may be parts.

        Args:
            traces: What a search found.
            end_ns: The end of its window.

        Raises:
            SourceError: If the server cannot be reached.
        """
        self._failures.clear()
        counts = {traces.trace_ids[at]: len(traces.rows(at)) for at in range(len(traces))}
        more: dict[str, Parts] = {}
        unasked_count = 0
        for doubtful in (_without_parents(traces), _beyond(traces, end_ns), self._single(counts)):
            gained = self._longer(doubtful[:_PROBES], counts)
            self._gives_roots_only &= bool(gained) or doubtful != list(counts)
            if gained:
                gained |= self._longer(doubtful[_PROBES:MOST_ASKED], counts)
                unasked_count += max(0, len(doubtful) - MOST_ASKED)
            more |= gained
        notes = []
        if self._failures:
            notes.append(f"traces may be parts, asking for them by id failed: {self._failures[0].message}")
        if more:
            notes.append(f"the search gave only a part of {plural(len(more), 'trace')}: asked for by id")
        if unasked_count:
            notes.append(f"of {plural(unasked_count, 'trace')} more it may have given a part only")
        cut = [trace_id for trace_id, count in counts.items() if count == self.most_spans]
        if cut:
            notes.append(
                f"the server may have cut off {plural(len(cut), 'trace')} at {self.most_spans} spans: {cut[0]}"
            )
        return Completed(more, tuple(notes), bool(unasked_count or cut or self._failures))

    def _single(self, counts: Mapping[str, int]) -> list[str]:
        """Give all traces where each is a single span and that may be all that searches give."""
        are_single = self._gives_roots_only and all(count == 1 for count in counts.values())
        return list(counts) if are_single else []

    def _asked(self, trace_id: str) -> Parts | None:
        try:
            return self.ask(trace_id)
        except ServerError as error:
            # The search was answered; what can be said is that its traces may be parts.
            self._failures.append(error)
            return None

    def _longer(self, trace_ids: list[str], counts: Mapping[str, int]) -> dict[str, Parts]:
        """Ask, several at a time, and keep the traces that have more spans."""
        if not trace_ids:
            return {}
        with ThreadPoolExecutor(MOST_AT_ONCE) as executor:
            answers = list(executor.map(self._asked, trace_ids))
        return {
            normal_id(trace_id): parts
            for trace_id, parts in zip(trace_ids, answers, strict=True)
            if parts is not None and self.span_count(parts) > counts[trace_id]
        }


def _without_parents(traces: Traces) -> list[str]:
    positions = sorted({traces.trace_of(row) for row in traces.missing_parents})
    return [traces.trace_ids[at] for at in positions]


def _beyond(traces: Traces, end_ns: int) -> list[str]:
    """Give the traces that last beyond the window: spans that begin after it may have been left out."""
    return [
        trace_id
        for at, trace_id in enumerate(traces.trace_ids)
        if any(traces.start_ns[row] + traces.duration_ns[row] > end_ns for row in traces.rows(at))
    ]
