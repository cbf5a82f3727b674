from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from traceq.render.records import render_csv
from traceq.report import Column, Table, Value


def _cell(value: Value) -> str:
    """What a spreadsheet reads in the only cell."""
    rows = list(csv.reader(io.StringIO(render_csv(Table((Column("a", "a"), Column("b", "b")), ((value, 1),))))))
    assert rows[0] == ["a", "b"]
    return rows[1][0]


def test_header_and_records() -> None:
    keys = ("trace_id", "services", "duration_ns")
    columns: tuple[Column[Any], ...] = tuple(Column(key) for key in keys)
    records = Table(columns, (("00ff", ("chat", "user"), -5), ('say "hi", you', (), None)))

    assert render_csv(records) == 'trace_id,services,duration_ns\n00ff,chat user,-5\n"say ""hi"", you",,\n'


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@SUM(A1)", "\uff1d1+1"])
def test_formulas_become_text(text: str) -> None:
    assert _cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (("=cmd()", "b"), "'=cmd() b"),
        ("\t=1", "'\\t=1"),
        ("\r=1", "'\\r=1"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_text_is_neutralised_and_stays_on_its_line(value: Value, expected: str) -> None:
    assert _cell(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-5, "-5"), (-0.5, "-0.5"), (True, "true"), (False, "false"), (None, ""), (float("nan"), "")],
)
def test_numbers_stay_numbers(value: Value, expected: str) -> None:
    assert _cell(value) == expected
