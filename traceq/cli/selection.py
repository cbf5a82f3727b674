"""The traces that a question is about: one by its id, or many by conditions."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.cli.messages import cut_off_line
from traceq.cli.options import FilterOptions
from traceq.cli.output import Asked
from traceq.cli.session import window_text
from traceq.sources import Source
from traceq.traces import Traces

_DEFAULT_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Selected:
    """Traces, and what there is to say about how they were got."""

    source: Source
    traces: Traces
    asked: Asked
    window: str
    """Which time was looked at; empty when all of it was."""

    def source_flag(self) -> str:
        """Give what has to be typed to ask the same files again; nothing for a server."""
        return "" if self.source.is_live else f" --source {self.source.location}"


def select_traces(source: Source, service: str | None, trace: str | None, filters: FilterOptions) -> Selected:
    """Get the trace that was asked for, or those that meet the conditions.

    Raises:
        typer.BadParameter: If conditions contradict each other.
        TraceqError: If the source fails, or has no such trace or service.
    """
    if trace is not None:
        traces = source.trace(trace)
        named = {"trace_id": traces.trace_ids[0]} | ({"service": service} if service else {})
        return Selected(source, traces, Asked(source.location, named, traces.warnings), "")
    query = filters.query(service, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
    found = source.find(query)
    notes = found.notes + ((cut_off_line(query.limit),) if found.is_cut_off else ())
    asked = Asked(source.location, query.to_dict(), found.traces.warnings, notes, found.is_cut_off)
    when = filters.when
    window = window_text(query.window, is_live=source.is_live, lookback_ns=when.effective_lookback)
    return Selected(source, found.traces, asked, window)


def nothing_found(selected: Selected, what: str) -> str:
    """Say what to try when there was nothing to look at."""
    if "trace_id" in selected.asked.query:
        return f"the trace holds no {what} of the service: leave the service out?"
    narrower = "a longer --lookback, or fewer conditions?" if selected.source.is_live else "fewer conditions?"
    return f"no {what} match: {narrower}"
