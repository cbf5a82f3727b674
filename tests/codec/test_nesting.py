"""Attributes that are nested deeply are written by every writer, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.codec.reading import table
from tests.strategies import as_json
from traceq.codec.json_writers import MOST_LEVELS, encode_otlp_trace, is_too_deep, lost
from traceq.codec.parquet import attributes_from_json, write_attributes
from traceq.traces import Traces


def nested(levels: int) -> Any:
    value: Any = 7
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def traces(levels: int) -> Traces:
    tag = {"key": "x", "type": "string", "value": nested(levels)}
    span = {"spanID": "1", "operationName": "get", "startTime": 1_700_000_000_000_000, "duration": 1, "tags": [tag]}
    return table(as_json({"traceID": "0a", "spans": [span]}))


@pytest.mark.parametrize(("levels", "is_deep"), [(0, False), (1, False), (MOST_LEVELS, False), (MOST_LEVELS + 1, True)])
def test_what_is_nested_too_deep(levels: int, *, is_deep: bool) -> None:
    assert is_too_deep(nested(levels)) is is_deep


@pytest.mark.parametrize(("levels", "count"), [(MOST_LEVELS, 0), (500, 1)])
def test_deep_attributes_become_text_and_are_told(levels: int, count: int, tmp_path: Path) -> None:
    read = traces(levels)
    attributes = read.span(0).details.attributes()

    as_otlp = table(encode_otlp_trace(read, 0)).span(0).details.attributes()["x"]
    as_parquet = attributes_from_json(write_attributes(attributes))["x"]

    assert [isinstance(each, str) for each in (as_otlp, as_parquet)] == [count > 0] * 2
    assert [sum(lost(read, target).values()) for target in ("parquet", "otap", "otlp")] == [count] * 3
