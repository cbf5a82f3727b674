"""Formats whose spans stand alone, anywhere in the files, are divided into slices of whole traces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import columns
from tests.strategies import as_json
from traceq.assembly import joined
from traceq.sources.files import JsonFiles
from traceq.sources.interface import no_progress
from traceq.sources.slices import sliced


def zipkin(trace: int, span: int) -> dict[str, object]:
    """Make a span below the one before it."""
    start = 1_600_000_000_000_000 + 10 * span
    parent = {"parentId": f"{span:x}"} if span else {}
    local = {"serviceName": f"s{span % 2}"}
    times = {"timestamp": start, "duration": 100}
    return {"traceId": f"{trace + 1:016x}", "id": f"{span + 1:x}", "localEndpoint": local, **parent, **times}


SPANS = [as_json(zipkin(trace, span)) for span in range(6) for trace in range(9)]


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param([b"\n".join(SPANS)], id="a span a line"),
        pytest.param([b"\n".join(SPANS[:20]), b"\n".join(SPANS[20:])], id="in two files"),
        pytest.param(
            [b"\n".join(b"[%b]" % b",".join(SPANS[at : at + 4]) for at in range(0, 54, 4))], id="lists a line"
        ),
        pytest.param([b"\n\n".join(SPANS[:30]), b"[%b]" % b",".join(SPANS[30:])], id="a line, and a list"),
    ],
)
def test_slices_hold_what_the_files_hold(bodies: list[bytes], tmp_path: Path) -> None:
    for number, body in enumerate(bodies):
        (tmp_path / f"{number}.json").write_bytes(body)
    whole = joined(list(JsonFiles((str(tmp_path),), no_progress).tables(with_details=True)), with_details=True)

    with sliced((str(tmp_path),), slice_bytes=500) as found:
        tables = [table for each in found.slices for table in each.tables(with_details=True)]

    together = joined(tables, with_details=True)
    order = sorted(range(len(together)), key=lambda position: whole.trace_ids.index(together.trace_ids[position]))
    assert columns(together.select(order)) == columns(whole)
    assert sum(each.trace_count for each in found.slices) == len(whole) == 9
    assert whole.span_count == len(SPANS)
