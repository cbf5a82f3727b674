"""An answer as newline-delimited JSON: one object a record."""

from __future__ import annotations

from traceq.render.json import encode
from traceq.report import Table


def render_ndjson(records: Table) -> str:
    """Write one object a line, keyed by the columns' keys; no records make no output."""
    keys = [column.flat_key for column in records.columns]
    return "".join(encode(dict(zip(keys, row, strict=True))) + "\n" for row in records.rows)
