"""Any small table of traces, strange ones included: several roots, orphans, rings, overlaps, skewed clocks."""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import Record, SpanSpec, assemble, record, span
from traceq.analysis.learning import learn_from
from traceq.semantics import Kind, Status
from traceq.traces import Traces

_MOST_SPANS = 10
_Shape: TypeAlias = tuple[str, str, Kind, Status, str, bool]
# Choices cost hypothesis more than all that is made of them: what a span is like is one choice and not six.
_SHAPES: tuple[_Shape, ...] = tuple(
    product("abc", ("get", "put"), Kind, Status, ("", "h1", "h2"), (False, False, False, True))
)
_shapes = st.integers(0, len(_SHAPES) - 1)
_latest_ns = st.sampled_from((6, 30, 10**9, 2**55))


@st.composite
def _records(draw: st.DrawFn) -> list[Record]:
    # Small numbers make ends meet, great ones make keys go by rank.
    latest_ns = draw(_latest_ns)
    times = _times(latest_ns)
    sizes = draw(st.lists(st.integers(1, _MOST_SPANS), max_size=3))
    return [record(*_spans(draw, size, times), trace_id=f"{number:x}") for number, size in enumerate(sizes, 1)]


def _times(latest_ns: int) -> st.SearchStrategy[tuple[int, int]]:
    """Give starts and durations: as one number where all numbers are equally likely."""
    most = latest_ns + 1
    if most**2 < 2**20:
        return st.integers(0, most**2 - 1).map(lambda both: divmod(both, most))
    return st.tuples(st.integers(0, latest_ns), st.integers(0, latest_ns))


def _spans(draw: st.DrawFn, size: int, times: st.SearchStrategy[tuple[int, int]]) -> list[SpanSpec]:
    ids = [f"{number:x}" for number in range(1, size + 1)]
    parents = st.sampled_from((*[None] * (size + 1), *ids, "dead"))
    return [_span(span_id, draw(parents), draw(times), _SHAPES[draw(_shapes)]) for span_id in ids]


def _span(span_id: str, parent_id: str | None, times: tuple[int, int], shape: _Shape) -> SpanSpec:
    start_ns, duration_ns = times
    service, name, kind, status, host, follows_from = shape
    return span(
        span_id,
        parent_id,
        start_ns,
        start_ns + duration_ns,
        service=service,
        name=name,
        kind=kind,
        status=status,
        host=host,
        follows_from=follows_from,
    )


def tables() -> st.SearchStrategy[Traces]:
    """Give tables of up to three traces of up to ten spans."""
    return _records().map(assemble)


def knowing(table: Traces) -> Traces:
    """Give a table that knows what its traces tell about each other, so that parts of it know the same."""
    return replace(table, learned=learn_from([table]))
