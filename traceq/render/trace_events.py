"""A flame graph as trace events, for Perfetto (https://ui.perfetto.dev) and chrome://tracing.

Of one trace every span is a pair of asynchronous events, in the process of its service, on tracks on which spans lie in
their callers or follow each other: Perfetto puts events with one id on one track, on which they have to be nested, and
takes an end for that of the innermost event. Ids are unique among processes, since Perfetto looks at those of all.
Of many traces there are complete events nested in each other, along summed time; what takes none has no event, since
programs cannot tell what such an event is nested in.

Times are relative to the first span: in microseconds since 1970, with which the format counts, nanoseconds are lost.
No unit is named in which they are to be shown: Perfetto once took it for the unit in which they are written.

Source: Trace Event Format; Perfetto, docs/getting-started/other-formats.md and
src/trace_processor/importers/json.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, nextafter

from traceq.render.json import encode
from traceq.render.lanes import find_lanes
from traceq.report import Flame, FlameRow, Timeline, TimelineRow
from traceq.units import NS_PER_US

_NO_NAME = "(no name)"


def render_trace_events(flame: Flame, spans: Timeline | None, name: str) -> str:
    """Write the object form of the format, one event a line.

    Args:
        flame: The call paths.
        spans: The spans of the trace that they are of; None for more than one trace.
        name: What the file is about.
    """
    events = _of_spans(spans) if spans is not None and spans.rows else _of_frames(flame, name)
    lines = ",\n".join(encode(event) for event in events)
    return f'{{"traceEvents": [\n{lines}\n], "otherData": {encode({"about": name})}}}\n'


def _us(time_ns: int) -> float:
    """Write a time so that it is exact for those who multiply it with 1000 and cut off what is behind the point.

    Perfetto does, and drops events that end a nanosecond after those that they are nested in.
    """
    nearest = time_ns / NS_PER_US
    return nearest if int(nearest * NS_PER_US) == time_ns else nextafter(nearest, inf)


def _named(pid: int, tid: int, what: str, name: str) -> dict[str, object]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name or _NO_NAME}}


def _of_spans(spans: Timeline) -> Iterator[dict[str, object]]:
    rows = spans.rows
    processes = {service: pid for pid, service in enumerate(dict.fromkeys(row.service for row in rows), 1)}
    for service, pid in processes.items():
        yield _named(pid, pid, "process_name", service)
    # Sorting is stable: events of one time stay in the order of their lane.
    edges = [
        (edge, number)
        for number, lane in enumerate(find_lanes(rows, lambda row: row.service), 1)
        for edge in lane.edges
    ]
    for edge, number in sorted(edges, key=lambda pair: pair[0].at_ns):
        row = rows[edge.row]
        event: dict[str, object] = {
            "ph": "b" if edge.is_start else "e",
            "cat": "span",
            "name": row.label or _NO_NAME,
            "id": f"{number:#x}",
            "pid": processes[row.service],
            "tid": processes[row.service],
            "ts": _us(edge.at_ns),
        }
        yield {**event, "args": _args(row)} if edge.is_start else event


def _args(row: TimelineRow) -> dict[str, object]:
    return {"span_id": row.span_id, "error": row.has_error, **dict(row.details)}


def _of_frames(flame: Flame, name: str) -> Iterator[dict[str, object]]:
    yield _named(1, 1, "process_name", name)
    yield _named(1, 1, "thread_name", f"{flame.measure}, merged")
    for start_ns, row in _starts(flame.rows):
        if not row.value_ns:
            continue
        yield {
            "ph": "X",
            "cat": row.service or "frame",
            "name": row.label or _NO_NAME,
            "pid": 1,
            "tid": 1,
            "ts": _us(start_ns),
            "dur": _us(row.value_ns),
            "args": dict(row.facts),
        }


def _starts(rows: Sequence[FlameRow]) -> Iterator[tuple[int, FlameRow]]:
    """Give where each frame begins: callees begin where their caller does, one after the other."""
    ahead_ns = [0]
    for row in rows:
        del ahead_ns[row.depth + 1 :]
        start_ns = ahead_ns[row.depth]
        ahead_ns[row.depth] += row.value_ns
        ahead_ns.append(start_ns)
        yield start_ns, row
