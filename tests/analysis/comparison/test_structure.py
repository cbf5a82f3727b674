from __future__ import annotations

from tests.builders import SpanSpec, assemble, record, span
from traceq.analysis.comparison.cohorts import Cohort, collect
from traceq.analysis.comparison.compare import compare
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Kind, Status

MONGODB = {"db.system": "mongodb"}


def message(inserts: int, *, fails: bool) -> list[SpanSpec]:
    status = Status.ERROR if fails else Status.UNSET
    calls = [
        span(f"{n + 2}", "1", 10 * n, 10 * n + 5, service="chat", name="insert", kind=Kind.CLIENT, attributes=MONGODB)
        for n in range(inserts)
    ]
    return [span("1", None, 0, 100, service="chat", name="POST", kind=Kind.SERVER, status=status), *calls]


def cohort(prefix: str, requests: list[list[SpanSpec]]) -> Cohort:
    table = assemble([record(*spans, trace_id=f"{prefix}{number:x}") for number, spans in enumerate(requests, 1)])
    return collect(table, RequestOptions("chat"))


def sources(before: list[list[SpanSpec]], after: list[list[SpanSpec]]) -> list[tuple[str, str]]:
    found = compare(cohort("a", before), cohort("b", after))
    return [(change.kind, change.source) for change in found.call_changes]


def test_failures_explain_calls_that_are_not_made_because_of_them() -> None:
    healthy, refused = message(1, fails=False), message(0, fails=True)

    assert sources([healthy] * 20, [healthy] * 8 + [refused] * 12) == [("fewer", "chat")]


def test_failures_that_are_as_frequent_as_before_explain_nothing() -> None:
    once, often = ([message(calls, fails=fails) for fails in (True, True, False)] for calls in (1, 3))

    assert sources(once * 7, often * 7) == [("more", "")]
