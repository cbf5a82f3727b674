"""Any small table of traces, strange ones included: several roots, orphans, rings, overlaps, skewed clocks."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import Record, SpanSpec, assemble, record, span
from traceq.analysis.learning import learn_from
from traceq.semantics import Kind, Status
from traceq.traces import Traces

_MOST_SPANS = 10


@st.composite
def _spans(draw: st.DrawFn, latest_ns: int) -> list[SpanSpec]:
    size = draw(st.integers(1, _MOST_SPANS))
    ids = [f"{number:x}" for number in range(1, size + 1)]
    parents = st.one_of(st.none(), st.sampled_from([*ids, "dead"]))
    return [_span(draw, span_id, draw(parents), latest_ns) for span_id in ids]


def _span(draw: st.DrawFn, span_id: str, parent_id: str | None, latest_ns: int) -> SpanSpec:
    start_ns = draw(st.integers(0, latest_ns))
    return span(
        span_id,
        parent_id,
        start_ns,
        start_ns + draw(st.integers(0, latest_ns)),
        service=draw(st.sampled_from("abc")),
        name=draw(st.sampled_from(("get", "put"))),
        kind=draw(st.sampled_from(Kind)),
        status=draw(st.sampled_from(Status)),
        host=draw(st.sampled_from(("", "h1", "h2"))),
        follows_from=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def _records(draw: st.DrawFn) -> list[Record]:
    # Small numbers make ends meet, great ones make keys go by rank.
    latest_ns = draw(st.sampled_from((6, 30, 10**9, 2**55)))
    lists = draw(st.lists(_spans(latest_ns), max_size=3))
    return [record(*spans, trace_id=f"{number:x}") for number, spans in enumerate(lists, 1)]


def tables() -> st.SearchStrategy[Traces]:
    """Give tables of up to three traces of up to ten spans."""
    return _records().map(assemble)


def knowing(table: Traces) -> Traces:
    """Give a table that knows what its traces tell about each other, so that parts of it know the same."""
    return replace(table, learned=learn_from([table]))
