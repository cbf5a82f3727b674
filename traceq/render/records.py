"""An answer's records: as CSV (RFC 4180) that is safe to open in a spreadsheet, and as JSON a line."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from traceq.render.json import encode
from traceq.report import Table, Value
from traceq.untrusted import printable

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take both
"""What makes a spreadsheet take a text for a formula; the wide forms do in East Asian versions."""


def render_csv(records: Table) -> str:
    """Write a header of keys and one line a record.

    Lines end in a bare newline, not RFC 4180's CRLF: every spreadsheet reads it, while `cut`, `awk` and `diff` would
    carry the CR along in the last column. Text that a spreadsheet would run gets an apostrophe in front, as
    spreadsheets themselves write text; numbers never do. Control characters are shown as escapes, so a record is
    always one line and may be sent to a terminal. Nothing is an empty cell, and a sequence is joined with blanks.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(column.flat_key for column in records.columns)
    writer.writerows([_cell(value) for value in row] for row in records.rows)
    return file.getvalue()


def _cell(value: Value) -> str | int | float:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, Mapping):
        raise TypeError("a mapping is for JSON alone")
    text = value if isinstance(value, str) else " ".join(value)
    return f"'{printable(text)}" if text.startswith(_FORMULA_STARTS) else printable(text)


def render_ndjson(records: Table) -> str:
    """Write one object a line, keyed by the columns' keys; no records make no output."""
    keys = [column.flat_key for column in records.columns]
    return "".join(encode(dict(zip(keys, row, strict=True))) + "\n" for row in records.rows)
