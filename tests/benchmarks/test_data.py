import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.data import SERVICE, Shape, traces, write
from traceq.query import TraceQuery
from traceq.semantics import Kind
from traceq.sources.files import FileSource


def test_data_is_the_same_every_time_and_another_with_another_seed() -> None:
    one, again, other = (b"\n".join(traces(Shape(3, 10), seed)) for seed in (1, 1, 2))

    assert one == again
    assert one != other
    assert hashlib.sha256(one).hexdigest()[:16] == "972396b98b75e905"


@pytest.mark.parametrize("shape", [Shape(20, 10), Shape(20, 10, "lines"), Shape(2, 500), Shape(3, 1)], ids=str)
def test_data_is_valid_and_has_the_shape_asked_for(tmp_path: Path, shape: Shape) -> None:
    write(tmp_path / "x.json", shape)

    found = FileSource((str(tmp_path / "x.json"),)).find(TraceQuery()).traces

    assert [len(found.rows(position)) for position in range(len(found))] == [shape.spans_each] * shape.trace_count
    assert found.warnings == ()
    roots = [row for row, parent in enumerate(found.parents) if parent < 0]
    assert [found.span(row).service for row in roots] == [SERVICE] * shape.trace_count


def test_data_holds_what_real_traces_hold(tmp_path: Path) -> None:
    write(tmp_path / "x.json", Shape(50, 40))

    found = FileSource((str(tmp_path / "x.json"),)).find(TraceQuery()).traces

    kinds = {Kind.INTERNAL, Kind.SERVER, Kind.CLIENT, Kind.PRODUCER, Kind.CONSUMER}
    assert {Kind(kind) for kind in found.kinds} == kinds
    assert {peer.system for peer in found.peers if peer} >= {"postgresql", "redis", "kafka"}
    assert 0.01 < sum(found.span(row).has_error for row in range(found.span_count)) / found.span_count < 0.04
    assert 800 < (tmp_path / "x.json").stat().st_size / found.span_count < 1200
    assert json.loads((tmp_path / "x.json").read_bytes()).keys() == {"data", "total", "limit", "offset", "errors"}
