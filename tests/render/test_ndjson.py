from __future__ import annotations

from typing import Any

from traceq.render.ndjson import render_ndjson
from traceq.report import Column, Table


def test_each_record_is_an_object_on_a_line_of_its_own() -> None:
    columns: tuple[Column[Any], ...] = (Column("trace_id", "trace"), Column("names", "names"), Column("ratio", "share"))
    records = Table(columns, (("00ff", ("a\nb", "é"), 0.5), (None, (), float("nan"))))

    assert render_ndjson(records) == (
        '{"trace_id": "00ff", "names": ["a\\nb", "é"], "ratio": 0.5}\n{"trace_id": null, "names": [], "ratio": null}\n'
    )


def test_no_records_make_no_output() -> None:
    assert render_ndjson(Table((Column("a", "a"),), ())) == ""
