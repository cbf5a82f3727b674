"""What is decided about a trace as a whole does not depend on how its spans are spread over lines, slices and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.strategies import as_json
from traceq.query import TraceQuery
from traceq.sources.files import FileSource
from traceq.sources.slices import sliced
from traceq.traces import Traces

US = 1_700_000_000_000_000
TRACE_ID = "0c" * 16
Json = dict[str, Any]
Columns = tuple[list[str], list[int], list[int], set[str]]


def otlp(number: int, start: int, end: int) -> Json:
    ids = {"traceId": TRACE_ID, "spanId": f"{number:016x}", "name": f"op{number}"}
    span = {**ids, "startTimeUnixNano": str(start), "endTimeUnixNano": str(end)}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def prepper(number: int, start: object, end: object) -> Json:
    ids = {"traceId": TRACE_ID, "spanId": f"{number:016x}", "name": f"op{number}", "serviceName": "app"}
    return {**ids, "startTime": start, "endTime": end}


def zipkin(number: int, **told: object) -> Json:
    return {"traceId": TRACE_ID, "id": f"{number:016x}", "localEndpoint": {"serviceName": "app"}, **told}


def columns(table: Traces) -> Columns:
    codes: set[str] = {each.code for each in table.warnings if each.code != "service-missing"}
    return sorted(table.span_ids), sorted(table.start_ns), sorted(table.duration_ns), codes


def read_in_every_way(lines: Sequence[Json], folder: Path) -> list[Columns]:
    """Read lines of one file, as a whole and in slices, and a file for each line."""
    file, files = folder / "x.json", [str(folder / f"{number}.json") for number in range(len(lines))]
    file.write_bytes(b"".join(as_json(line) + b"\n" for line in lines))
    for path, line in zip(files, lines, strict=True):
        Path(path).write_bytes(as_json(line))
    with sliced((str(file),), slice_bytes=100) as cut:
        (of_slices,) = [table for piece in cut.found.slices for table in piece.tables(with_details=False)]
    found = [FileSource(paths).find(TraceQuery()).traces for paths in ((str(file),), tuple(files))]
    return [columns(table) for table in (of_slices, *found)]


@pytest.mark.parametrize(
    ("lines", "starts", "durations", "codes"),
    [
        pytest.param(
            [otlp(1, US, US + 30), otlp(2, US + 10, US + 20)],
            [US * 1000, US * 1000 + 10_000],
            [10_000, 30_000],
            {"unit-recognised"},
            id="another unit",
        ),
        pytest.param(
            [otlp(1, 15 * 10**8, 15 * 10**8 + 10**6), otlp(2, 2 * 10**9, 2 * 10**9 + 5)],
            [15 * 10**8, 2 * 10**9],
            [5, 10**6],
            set(),
            id="times that count from the beginning of the trace, which as seconds would be years apart",
        ),
        pytest.param(
            [prepper(1, "1234", "2023-11-14T22:13:20Z"), prepper(2, "2023-11-14T22:13:19Z", "2023-11-14T22:13:20Z")],
            [US * 1000 - 10**9] * 2,
            [10**9] * 2,
            {"start-missing"},
            id="a start that makes no sense in this trace",
        ),
        pytest.param(
            [zipkin(1, timestamp=US), zipkin(1, duration=50), zipkin(2, timestamp=US, duration=5)],
            [US * 1000] * 2,
            [5_000, 50_000],
            set(),
            id="pieces of a span of Zipkin's",
        ),
    ],
)
def test_a_trace_is_read_alike_however_it_is_spread(
    lines: list[Json], starts: list[int], durations: list[int], codes: set[str], tmp_path: Path
) -> None:
    ids = ["0000000000000001", "0000000000000002"]

    assert read_in_every_way(lines, tmp_path) == [(ids, starts, durations, codes)] * 3


def test_two_spans_in_a_line_are_read_in_slices_too(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    lines = [as_json(prepper(number, 1, 2)) for number in range(1, 5)]
    file.write_bytes(b"\n".join([lines[0] + lines[1], *lines[2:]]))

    with sliced((str(file),), slice_bytes=100) as cut:
        (table,) = [table for piece in cut.found.slices for table in piece.tables(with_details=False)]

    assert table.span_count == 4
