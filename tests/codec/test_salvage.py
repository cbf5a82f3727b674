"""Where documents follow each other, a broken one costs itself, in every format in which they are printed like that."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from traceq.codec import by_trace, read_table
from traceq.codec.documents import Document, read_document

TRACE_ID = "0c" * 16
COUNT = 5
Json = dict[str, Any]


def python(number: int) -> bytes:
    context = {"trace_id": f"0x{TRACE_ID}", "span_id": f"0x{number:016x}"}
    span = {"name": f"op{number}", "context": context, "start_time": "2023-11-14T22:13:20Z", "attributes": {"a": "b"}}
    return json.dumps(span, indent=4).encode()


def node_js(number: int) -> bytes:
    ids = f"  traceId: '{TRACE_ID}',\n  id: '{number:016x}',\n  name: 'op{number}',\n"
    rest = (
        f"  timestamp: {1_700_000_000_000_000 + number},\n  attributes: {{ 'a.b': [ 'c' ] }},\n  status: {{ code: 0 }}"
    )
    return f"{{\n{ids}{rest}\n}}".encode()


def jaeger(number: int) -> bytes:
    span = {"spanID": f"{number:x}", "operationName": f"op{number}", "startTime": 1_700_000_000_000_000}
    return json.dumps({"traceID": f"{number:032x}", "spans": [span]}, indent=2).encode()


WRITERS = {"Python": python, "Node.js": node_js, "Jaeger": jaeger}


def names(document: Document) -> set[str]:
    table = read_table(by_trace(document.parts).values(), with_details=True)
    return {table.span(row).name for row in range(table.span_count)}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("between", [b"\n", b"\nstarting [1]\n"], ids=["one after the other", "between other lines"])
def test_a_document_that_ends_in_the_middle_costs_itself(write: Callable[[int], bytes], between: bytes) -> None:
    # What comes last may seem to belong to the one before it, if that ends where a value begins.
    @given(st.sampled_from((1, 2, COUNT - 1)), st.data())
    @examples(0.3)
    def law(at: int, data: st.DataObject) -> None:
        documents = [write(number) for number in range(1, COUNT + 1)]
        documents[at] = documents[at][: data.draw(st.integers(15, len(documents[at]) - 2))]

        document = read_document(between.join(documents), "x.log")

        assert names(document) == {f"op{number}" for number in range(1, COUNT + 1) if number != at + 1}
        assert document.notes

    law()


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_what_is_broken_is_counted_with_its_place(write: Callable[[int], bytes]) -> None:
    good, broken = write(1), write(2).replace(b":", b"", 1)

    document = read_document(b"%b\n%b\n%b\n" % (good, broken, write(3)), "x.log")

    assert names(document) == {"op1", "op3"}
    (told,) = [note for note in document.notes if "broken" in note]
    assert told.endswith(f" (first: at byte {len(good) + 1})")
