"""What every source keeps to that is a server, whatever its version; no particular traces are expected."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from msgspec import structs

from tests.builders import columns
from traceq.catalog import summarize
from traceq.errors import NotFoundError
from traceq.query import TraceQuery, matching
from traceq.semantics import Attributes
from traceq.sources.interface import Source
from traceq.sources.slowest import find_slowest
from traceq.traces import FoundAttributes, Traces

ABSENT = "0123456789abcdef0123456789abcdef"
UNKNOWN = "no-such-service"


@dataclass(frozen=True, slots=True)
class Question:
    """What a contract is checked with."""

    source: Source
    everything: TraceQuery
    """Any service, in a window that does not move, without a limit that is reached."""
    service: str
    """One that has traces in the window."""
    trace_id: str
    """One of these."""

    @property
    def of_service(self) -> TraceQuery:
        return replace(self.everything, service=self.service)


def check_names(question: Question) -> None:
    """Services and operations are sorted, without copies, and an unknown service is an error."""
    services = question.source.services()
    operations = question.source.operations(question.service)

    assert question.service in services
    assert list(services) == sorted(set(services))
    assert list(operations) == sorted(set(operations))
    assert operations
    with pytest.raises(NotFoundError, match="no service named 'no-such-service'"):
        question.source.operations(UNKNOWN)


def check_search(question: Question) -> None:
    """What is found matches, newest first, each trace once; an unknown service is an error and not emptiness."""
    found = question.source.find(question.of_service)

    traces = found.traces
    assert not found.is_cut_off
    assert len(traces) > 0
    assert matching(traces, question.of_service) == list(range(len(traces)))
    assert len(set(traces.trace_ids)) == len(traces)
    assert starts(traces) == sorted(starts(traces), reverse=True)
    with pytest.raises(NotFoundError, match="no service named 'no-such-service'"):
        question.source.find(replace(question.everything, service=UNKNOWN))


def check_all_services(question: Question) -> None:
    """A search of all services finds what the services' own searches find together."""
    found = question.source.find(question.everything)

    each = [
        question.source.find(replace(question.everything, service=service)).traces
        for service in question.source.services()
    ]
    assert set(found.traces.trace_ids) == {trace_id for traces in each for trace_id in traces.trace_ids}
    assert len(set(found.traces.trace_ids)) == len(found.traces)


def check_summaries(question: Question) -> None:
    """Summaries say what whole traces say."""
    found = question.source.summaries(question.everything)

    whole = summarize(question.source.find(question.everything).traces)
    assert not found.is_cut_off
    assert len(found.summaries) == len(whole)
    for summary, expected in zip(found.summaries, whole, strict=True):
        # v1 cuts starts and durations to microseconds.
        assert summary == structs.replace(expected, start_ns=summary.start_ns, duration_ns=summary.duration_ns)
        assert abs(summary.start_ns - expected.start_ns) < 1_000
        assert abs(summary.duration_ns - expected.duration_ns) < 2_000


def check_slowest(question: Question) -> None:
    """The slowest are the slowest."""
    found = find_slowest(question.source.summaries, question.of_service, 3)

    durations = sorted(each.duration_ns for each in question.source.summaries(question.of_service).summaries)
    assert [each.duration_ns for each in found.summaries] == durations[::-1][:3]
    assert found.notes == ("exact: every trace of the window was seen",)


def check_trace(question: Question) -> None:
    """A trace is found by its id in either case, is the one that the search found, and an absent one is an error."""
    trace = question.source.trace(question.trace_id)

    [position] = (found := question.source.find(question.of_service).traces).find(question.trace_id)
    assert set(trace.span_ids) == set(found.select([position]).span_ids)
    assert trace.trace_ids == (question.trace_id,)
    with pytest.raises(NotFoundError, match=f"no trace {ABSENT} at "):
        question.source.trace(ABSENT)


def check_dependencies(question: Question) -> None:
    """Recorded calls are between services that are known."""
    calls = question.source.dependencies(question.everything.window)

    assert list(calls) == sorted(calls)
    assert {name for call in calls for name in (call.parent, call.child)} <= set(question.source.services())


def check_left_out(question: Question) -> None:
    """Without attributes a search finds the same traces, and what it leaves out can be read later."""
    check_attributes_later(question.source, question.of_service)


def check_attributes_later(source: Source, query: TraceQuery) -> None:
    """See `check_left_out`; for files too."""
    whole = source.find(query)

    found = source.find(query, with_attributes=False)

    assert columns(found.traces) == columns(whole.traces)
    assert (found.is_cut_off, found.notes) == (whole.is_cut_off, whole.notes)
    assert found.left_out is not None
    last = whole.traces.span(whole.traces.span_count - 1)
    found_later = found.left_out.attributes({last.trace_id: {last.span_id}})
    looked_up = {each.name: each._replace(attributes=_comparable(each.attributes)) for each in found_later}
    expected = FoundAttributes(last.trace_id, last.span_id, last.name, _comparable(last.details.attributes()))
    assert looked_up[last.name] == expected
    completed = found.with_attributes()
    assert columns(completed.traces) == columns(whole.traces)
    assert attributes(completed.traces) == attributes(whole.traces)
    assert completed.with_attributes() is completed


CHECKS = (
    check_names,
    check_search,
    check_left_out,
    check_all_services,
    check_summaries,
    check_slowest,
    check_trace,
    check_dependencies,
)


def starts(traces: Traces) -> list[int]:
    """Give when each trace starts."""
    return [summary.start_ns for summary in summarize(traces)]


def attributes(traces: Traces) -> list[Attributes]:
    """Give every span's attributes, as text that can be compared."""
    return [_comparable(traces.span(row).details.attributes()) for row in range(traces.span_count)]


def _comparable(found: Attributes) -> Attributes:
    """Write out values, since NaN does not equal NaN, without what Jaeger 2.20 in memory adds whenever it reads."""
    return {key: repr(value) for key, value in found.items() if key != "@jaeger@warnings"}
