"""Answers for programs: documents and records."""

from __future__ import annotations

import csv
import io
import json
from types import MappingProxyType
from typing import Any

import pytest

from traceq.render.records import render_csv, render_json, render_ndjson
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


def test_head_comes_first_and_order_is_kept() -> None:
    shown = render_json({"schema": "traceq.search/1", "warnings": [], "traces": [{"duration_ns": 5}], "a": None})

    assert shown == (
        '{\n  "schema": "traceq.search/1",\n  "warnings": [],\n  "traces": [\n    {\n      "duration_ns": 5\n    }\n'
        '  ],\n  "a": null\n}\n'
    )


def test_text_beyond_ascii_stays_readable() -> None:
    assert render_json({"name": "crème 部屋 👩‍👧"}) == '{\n  "name": "crème 部屋 👩‍👧"\n}\n'


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "\x7f", "\x9b31m", "\u202eevil", "\u2028", "\ud800", "\U000e0041", "\n\r\t"]
)
def test_what_a_terminal_would_obey_is_escaped_and_read_back(text: str) -> None:
    shown = render_json({"name": text})

    assert all(character.isprintable() or character == "\n" for character in shown)
    shown.encode("utf-8")
    assert json.loads(shown) == {"name": text}


def test_read_only_mappings_and_sequences_are_written() -> None:
    shown = render_json(MappingProxyType({"a": MappingProxyType({"b": (1, range(2))})}))

    assert json.loads(shown) == {"a": {"b": [1, [0, 1]]}}


def test_other_objects_are_a_mistake() -> None:
    with pytest.raises(TypeError, match="object is no JSON value"):
        render_json({"a": object()})


def test_numbers_json_does_not_know_are_null() -> None:
    document = {"ratio": float("nan"), "many": [1.5, float("inf")], "deep": {"text": "NaN", "low": float("-inf")}}

    read = json.loads(render_json(document))

    assert read == {"ratio": None, "many": [1.5, None], "deep": {"text": "NaN", "low": None}}


def test_each_record_is_an_object_on_a_line_of_its_own() -> None:
    columns: tuple[Column[Any], ...] = (Column("trace_id", "trace"), Column("names", "names"), Column("ratio", "share"))
    records = Table(columns, (("00ff", ("a\nb", "é"), 0.5), (None, (), float("nan"))))

    assert render_ndjson(records) == (
        '{"trace_id":"00ff","names":["a\\nb","é"],"ratio":0.5}\n{"trace_id":null,"names":[],"ratio":null}\n'
    )


def test_no_records_make_no_output() -> None:
    assert render_ndjson(Table((Column("a", "a"),), ())) == ""
