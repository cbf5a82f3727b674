"""Formats whose spans stand alone, anywhere in the files, are divided into slices of whole traces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import columns
from tests.strategies import as_json
from traceq.assembly import joined
from traceq.codec.runs import Form
from traceq.codec.splitting import SplitOptions, split
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


ODD = list(SPANS)
ODD[3] = as_json({**zipkin(3, 0), "duration": "long", "tags": {"a": 1}})
ODD[20] = SPANS[20].replace(b"100}", b"NaN}")
ODD[21] = SPANS[21].replace(b"100}", b'100,"errors":null}')
ODD[22] = SPANS[22].replace(b"s0", b"\\ud800").replace(b"s1", b"\xff")


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param([b"\n".join(SPANS)], id="a span a line"),
        pytest.param([b"\n".join(SPANS[:20]), b"\n".join(SPANS[20:])], id="in two files"),
        pytest.param(
            [b"\n".join(b"[%b]" % b",".join(SPANS[at : at + 4]) for at in range(0, 54, 4))], id="lists a line"
        ),
        pytest.param([b"\n".join(ODD)], id="odd spans a line"),
        pytest.param([b"\n\n".join(SPANS[:30]), b"[%b]" % b",".join(SPANS[30:])], id="a line, and a list"),
    ],
)
def test_slices_hold_what_the_files_hold(bodies: list[bytes], tmp_path: Path) -> None:
    for number, body in enumerate(bodies):
        (tmp_path / f"{number}.json").write_bytes(body)
    whole = joined(list(JsonFiles((str(tmp_path),), no_progress).tables(with_details=True)), with_details=True)

    with sliced((str(tmp_path),), slice_bytes=500) as cut:
        tables = [table for each in cut.found.slices for table in each.tables(with_details=True)]

    together = joined(tables, with_details=True)
    order = sorted(range(len(together)), key=lambda position: whole.trace_ids.index(together.trace_ids[position]))
    assert columns(together.select(order)) == columns(whole)
    assert sum(each.trace_count for each in cut.found.slices) == len(whole) == 9
    assert whole.span_count == len(SPANS)


def otlp(trace: int, span: int, **fields: object) -> dict[str, object]:
    start = 1_600_000_000_000_000_000 + span
    times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 9)}
    return {"traceId": f"{trace:032x}", "spanId": f"{span:016x}", "name": "work", **times, **fields}


def line(*spans: object, resource: object = None, **others: object) -> dict[str, object]:
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}], **others}


LINK = {"traceId": f"{9:032x}", "spanId": "ab" * 8, "attributes": [{"key": "k", "value": {"intValue": "x"}}]}
BROKEN = {"attributes": [{"key": "k", "value": {"intValue": "x"}}]}
EVENT = {"events": [{"timeUnixNano": 1, "attributes": [{"key": "k", "value": {"intValue": 1.5}}]}]}
SERVICE = {"attributes": [{"key": "service.name", "value": {"stringValue": '"traceId": "9"'}}]}
PLAIN = line(otlp(1, 1), otlp(1, 2, parentSpanId=f"{1:016x}"), resource=SERVICE)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([PLAIN, line(otlp(2, 3)), line(otlp(1, 4))], id="a trace a line"),
        pytest.param([PLAIN, line(otlp(2, 3), otlp(3, 4)), line(otlp(3, 5))], id="two traces in a line"),
        pytest.param([line({"links": [LINK], **otlp(1, 1)}), line(otlp(9, 2))], id="another trace first"),
        pytest.param([PLAIN, line(otlp(1, 3, **BROKEN)), line(otlp(1, 4, **EVENT))], id="broken values"),
        pytest.param([PLAIN, line(otlp(1, 3, links=[LINK])), line(otlp(2, 4, spanId=""))], id="broken links and ids"),
        pytest.param([PLAIN, line(otlp(1, 3), otlp(0, 4)), line(otlp(0, 5)), line(otlp(0, 6))], id="no trace"),
        pytest.param([line(otlp(0, 4)), line(otlp(1, 3), otlp(0, 5)), PLAIN], id="no trace first"),
        pytest.param(
            [zipkin(1, 1), {**zipkin(1, 2), "traceId": ""}, {**zipkin(1, 3), "traceId": ""}], id="no trace, lone"
        ),
        pytest.param([PLAIN, line(otlp(2, 3, startTimeUnixNano=1_600_000_000_000))], id="milliseconds"),
        pytest.param([line(otlp(1, 1), error="lost"), line(otlp(1, 2), resource={"attributes": 1})], id="more to tell"),
        pytest.param([PLAIN, {"resourceSpans": []}, {"resourceSpans": [None]}, line(None, otlp(1, 3))], id="nothing"),
        pytest.param([PLAIN, line({**otlp(1, 3), "traceId": "AAAAAAAAAAAAAAAAAAAAAQ=="})], id="base64"),
    ],
)
@pytest.mark.parametrize("with_details", [False, True])
def test_lines_of_otlp_are_read_alike_one_by_one_and_in_slices(
    lines: list[object], tmp_path: Path, *, with_details: bool
) -> None:
    (tmp_path / "lines.json").write_bytes(b"\n".join(map(as_json, lines)))
    files = JsonFiles((str(tmp_path),), no_progress)
    whole = joined(list(files.tables(with_details=with_details)), with_details=with_details)

    # Files that are smaller than a slice are not split.
    with sliced((str(tmp_path),), slice_bytes=len(as_json(lines[0]))) as cut:
        tables = [table for each in cut.found.slices for table in each.tables(with_details=with_details)]

    together = joined(tables, with_details=with_details)
    order = sorted(range(len(together)), key=lambda position: whole.trace_ids.index(together.trace_ids[position]))
    assert columns(together.select(order)) == columns(whole)
    assert set(cut.found.notes) == set(files.notes)


def test_only_lines_with_one_trace_are_read_in_one_go() -> None:
    bodies = [as_json(each) for each in (PLAIN, line(otlp(2, 3)), line(otlp(2, 4), otlp(3, 5)), line(otlp(4, 6), a=1))]

    found = split(b"\n".join(bodies), "lines.json", SplitOptions(window=500))

    assert [(run.form is Form.PLAIN, len(run.starts)) for run in found.runs] == [(True, 2), (False, 1), (False, 1)]
