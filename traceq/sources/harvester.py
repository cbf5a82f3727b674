"""Asks a server slice by slice, and adds what is new to an archive."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from traceq.codec import read_table
from traceq.errors import LoginRequired, NotFoundError, SourceError
from traceq.query import TraceQuery
from traceq.sources.harvest import Plan, TimeSlice
from traceq.sources.harvest_archive import Archive
from traceq.sources.interface import Found, Progress, ProgressListener, Source, no_progress
from traceq.units import format_ratio
from traceq.untrusted import printable


@dataclass(slots=True)
class Harvester:
    """Harvests a window.

    Args:
        source: A server.
        query: Which traces, its window aside; its limit is the most that one answer may hold.
        archive: Where they go, and how far an earlier run came.
        progress: Told after every answer.
    """

    source: Source
    query: TraceQuery
    archive: Archive
    progress: ProgressListener = no_progress
    notes: dict[str, None] = field(default_factory=dict)
    """Remarks about the answers, without repetition."""

    def run(self) -> None:
        """Ask until the window is harvested; if this ends early, the archive can be continued.

        Nothing is asked when it was harvested before.

        Raises:
            SourceError: If the server fails, or does not look at the times that it is asked for.
            NotFoundError: If the query's service or operation does not exist.
            InputError: If the archive was changed by somebody else.
            OSError: If it cannot be written.
        """
        if self.archive.state.is_finished:
            return
        self.archive.go_on()
        plan = self.archive.state.plan.with_services(self._services())
        try:
            while (asked := plan.next) is not None:
                plan = self._after(plan, asked)
                if self.archive.is_due():
                    self.archive.commit(plan)
        except SourceError as error:
            kind = LoginRequired if isinstance(error, LoginRequired) else SourceError
            hint = "the same command again goes on from here"
            raise kind(error.message, hint=f"{error.hint}; {hint}" if error.hint else hint) from error
        finally:
            self.archive.commit(plan)
        self.archive.finish()

    def _services(self) -> tuple[str | None, ...]:
        """List the services to ask for: the given one, or all of them if the server cannot search without a service."""
        if self.query.service is not None:
            return (self.query.service,)
        # Servers do not say what they can do; a minimal search shows how it had to be made.
        plan = self.archive.state.plan
        window = TimeSlice(None, plan.start_us, plan.end_us).window
        found = self.source.summaries(TraceQuery(window=window, limit=1))
        return self.source.services() if found.service_count else (None,)

    def _after(self, plan: Plan, asked: TimeSlice) -> Plan:
        found = self._ask(asked)
        self.notes |= dict.fromkeys(found.notes)
        traces = found.traces
        for position, trace_id in enumerate(traces.trace_ids):
            span_count = len(traces.rows(position))
            if self.archive.met.is_news(trace_id, span_count):
                self.archive.add(trace_id, span_count, found.document(position))
        is_sparse = not found.is_cut_off and 2 * len(traces) < (self.query.limit or 0)
        plan = plan.answered(asked, is_cut_off=found.is_cut_off, is_sparse=is_sparse)
        self._tell(plan, asked)
        if plan.is_hopeless:
            raise SourceError(
                f"{self.source.location} answers with as many traces for a microsecond as for any other time",
                hint="does it look at the times it is asked for? a higher --limit may help",
            )
        return plan

    def _ask(self, asked: TimeSlice) -> Found:
        query = replace(self.query, service=asked.service, window=asked.window)
        try:
            return self.source.find(query, with_attributes=False)
        except NotFoundError as error:
            if self.query.service is not None:
                raise
            # The server listed the service and no longer does: its last traces expired during the harvest.
            self.notes[f"forgotten by the server since the harvest began: {error.message}"] = None
            return Found(read_table((), with_details=False))

    def _tell(self, plan: Plan, asked: TimeSlice) -> None:
        whom = "all services" if asked.service is None else printable(asked.service)
        what = f"harvesting {whom}, {format_ratio(plan.done_ratio)} of all"
        self.progress(Progress(what, trace_count=len(self.archive.met.span_counts)))
