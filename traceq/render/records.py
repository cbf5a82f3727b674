"""Answers for programs: as one JSON document, and their records as a JSON object a line or as CSV.

CSV (RFC 4180) is safe to open in a spreadsheet.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence

from traceq.report import Table, Value
from traceq.untrusted import printable, shown_json


def render_json(document: Mapping[str, object], indent: int | None = 2) -> str:
    r"""Write one document, indented for people or on one line for programs, with a newline at the end.

    Text stays readable (`é`, not `\u00e9`), and control and direction characters are escapes, so that the same bytes
    can be shown in a terminal. A number that JSON does not know (NaN, infinity) is null.
    """
    return encode(document, indent) + "\n"


def encode(value: object, indent: int | None = None) -> str:
    """Write a value as JSON that is safe to show; mappings keep their order."""
    try:
        text = _written(value, indent)
    except ValueError:
        # Rare, so the copy without NaN is made only when the encoder met one.
        text = _written(_without_nan(value), indent)
    return shown_json(text)


def _written(value: object, indent: int | None) -> str:
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators, default=_plain)


def _plain(value: object) -> object:
    """Hand read-only mappings and sequences to the encoder, which knows dicts and lists alone."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _without_nan(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nan(item) for item in value]
    return value


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take both
"""What makes a spreadsheet take a text for a formula; the wide forms do in East Asian versions."""


def render_csv(records: Table) -> str:
    """Write a header of keys and one line a record.

    Lines end in a bare newline, not RFC 4180's CRLF: every spreadsheet reads it, while `cut`, `awk` and `diff` would
    carry the CR along in the last column. Text that a spreadsheet would run gets an apostrophe in front, as
    spreadsheets themselves write text; numbers never do. Control characters are shown as escapes, so a record is
    always one line and may be sent to a terminal. Nothing is an empty cell, and a sequence is joined with blanks.
    """
    # Late: JSON does without.
    import csv

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
