"""The traces that a question is about, one by its id or many by conditions, and the sums of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from traceq.cli.archive import WorkersOptions, asking_any
from traceq.cli.options import FilterOptions
from traceq.cli.output import Asked
from traceq.cli.session import window_text
from traceq.sources.interface import Source

if TYPE_CHECKING:
    from traceq.analysis.grouping import Sums
    from traceq.engine import Question

_Sums = TypeVar("_Sums", bound="Sums")

_DEFAULT_LIMIT = 200


class Wanted(Protocol):
    """Options that say which traces a question is about, and who reads them."""

    @property
    def service(self) -> str | None:
        """Whose; None for all."""

    @property
    def trace(self) -> str | None:
        """The id of one trace; None for those that meet the conditions."""

    @property
    def filters(self) -> FilterOptions:
        """The conditions."""

    @property
    def workers(self) -> WorkersOptions:
        """Who reads files."""


@dataclass(frozen=True, slots=True)
class Selected(Generic[_Sums]):
    """Traces summed up, and what there is to say about how they were got."""

    source: Source
    sums: _Sums
    asked: Asked
    window: str
    """Which time was looked at; empty when all of it was."""

    def source_flag(self) -> str:
        """Give what has to be typed to ask the same files again; nothing for a server."""
        return "" if self.source.is_live else f" --source {self.source.location}"


def sum_up(source: Source, wanted: Wanted, question: Question[_Sums]) -> Selected[_Sums]:
    """Sum up the trace that was asked for, or those that meet the conditions.

    Raises:
        typer.BadParameter: If conditions contradict each other.
        TraceqError: If the source fails, or has no such trace or service.
    """
    if wanted.trace is not None:
        traces = source.trace(wanted.trace)
        named = {"trace_id": traces.trace_ids[0]} | ({"service": wanted.service} if wanted.service else {})
        return Selected(source, question.collect(traces), Asked(source.location, named, traces.warnings), "")
    filters = wanted.filters
    query = filters.query(wanted.service, is_live=source.is_live, default_limit=_DEFAULT_LIMIT)
    with asking_any(source, query, wanted.workers) as ask:
        answered = ask(question)
    when = filters.when
    window = window_text(query.window, is_live=source.is_live, lookback_ns=when.effective_lookback)
    return Selected(source, answered.sums, answered.asked, window)


def nothing_found(selected: Selected[_Sums], what: str) -> str:
    """Say what to try when there was nothing to look at."""
    if "trace_id" in selected.asked.query:
        return f"the trace holds no {what} of the service: leave the service out?"
    narrower = "a longer --lookback, or fewer conditions?" if selected.source.is_live else "fewer conditions?"
    return f"no {what} match: {narrower}"
