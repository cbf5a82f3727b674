"""Long lists of spans are read in slices, with what reading them as a whole gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.reading import described
from tests.laws import examples
from traceq.codec import by_trace, read_table
from traceq.codec.damage import CUT_OFF
from traceq.codec.documents import read_document, read_spans
from traceq.codec.runs import Form, Run
from traceq.codec.splitting import SplitOptions, split
from traceq.sources.slices import Piece, sliced

_Json = dict[str, Any]


def span(trace: int, number: int) -> _Json:
    told = [{"timestamp": 1_700_000_000_000_000 + each, "value": '},{"traceId":'} for each in range(number % 4)]
    return {
        "traceId": f"{trace + 1:016x}",
        "id": f"{number + 1:016x}",
        "name": "get",
        "timestamp": 1_700_000_000_000_000 + number,
        "duration": 5,
        "localEndpoint": {"serviceName": f"s{trace}"},
        "annotations": told,
    }


def flat(spans: list[_Json]) -> str:
    return json.dumps(spans)


def pretty(spans: list[_Json]) -> str:
    return json.dumps(spans, indent=2)


def by_traces(spans: list[_Json]) -> str:
    ids = dict.fromkeys(each["traceId"] for each in spans)
    return json.dumps([[each for each in spans if each["traceId"] == trace_id] for trace_id in ids])


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=30),
    st.sampled_from([flat, pretty, by_traces]),
    st.sampled_from([40, 500, 3000]),
)
@examples(0.5)
def test_slices_give_what_the_whole_list_gives(
    traces: list[int], write: Callable[[list[_Json]], str], window: int
) -> None:
    body = write([span(trace, number) for number, trace in enumerate(traces)]).encode()

    found = split(body, "x.json", SplitOptions(window=window))

    whole = read_table(by_trace(read_document(body, "x.json").parts).values(), with_details=True)
    parts = [
        part
        for run in found.runs
        for start, stop, key in zip(run.starts, run.stops, run.keys, strict=False)
        for part in _parts(body, run, start, stop, is_one=key is not None)
    ]
    again = read_table(by_trace(parts).values(), with_details=True)
    assert sorted(described(again)) == sorted(described(whole))


def _parts(body: bytes, run: Run, start: int, stop: int, *, is_one: bool) -> list[Any]:
    view = memoryview(body)
    if run.form is not Form.ITEM:
        return list(read_document(body[start:stop], "x.json").parts)
    found = list(read_spans([view[start:stop]], view[slice(*run.first)], "x.json").parts)
    assert len(found) == is_one
    return found


@pytest.mark.parametrize("write", [flat, pretty, by_traces])
def test_a_long_list_is_more_than_one_slice(write: Callable[[list[_Json]], str], tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(write([span(number // 7, number) for number in range(70)]), encoding="utf-8")

    with sliced((str(file),), slice_bytes=3000) as cut:
        tables = [table for piece in cut.found.slices for table in piece.tables(with_details=False)]

    assert len(cut.found.slices) > 2
    assert sorted(trace_id for table in tables for trace_id in table.trace_ids) == [f"{n:016x}" for n in range(1, 11)]
    assert sum(table.span_count for table in tables) == 70


def test_what_is_wrong_with_a_list_is_told_as_of_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    body = flat([span(1, 1), {**span(1, 2), "traceId": ""}, span(2, 3), span(3, 4)])
    file.write_text(body[:-30], encoding="utf-8")

    with sliced((str(file),), slice_bytes=300) as cut:
        count = sum(table.span_count for piece in cut.found.slices for table in piece.tables(with_details=False))

    nameless = f"left out because they name no trace: 1 span (first: {file})"
    assert (count, set(cut.found.notes)) == (2, {f"{file}: {nameless}", f"{file}: {CUT_OFF}"})
    assert set(read_document(body[:-30].encode(), str(file)).notes) == {nameless, CUT_OFF}


def test_pieces_of_different_lists_are_not_mixed() -> None:
    assert Piece("a", "a", first=(0, 5)).kind != Piece("a", "a", first=(1, 5)).kind


def test_text_that_is_broken_in_the_first_item_is_read_in_slices_too(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(flat([span(at, at) for at in range(30)]).encode().replace(b'"s0"', b'"s\xff"'))

    with sliced((str(file),), slice_bytes=500) as cut:
        ids = [
            trace_id for piece in cut.found.slices for table in piece.tables(with_details=False) for trace_id in table
        ]

    assert len(ids) == 30


@pytest.mark.parametrize("write", [flat, by_traces])
def test_broken_text_costs_no_span(write: Callable[[list[_Json]], str]) -> None:
    body = write([span(at // 3, at) for at in range(9)]).encode().replace(b'"s0"', b'"s\xff"')

    document = read_document(body, "x.json")

    assert read_table(by_trace(document.parts).values(), with_details=True).span_count == 9
    assert not document.notes
