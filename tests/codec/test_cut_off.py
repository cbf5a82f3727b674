"""Files that are still being written: what is whole is read, and what is not is told."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.strategies import as_json
from traceq.codec import by_trace, read_table
from traceq.codec.documents import read_document
from traceq.sources.bodies import read_body
from traceq.sources.slices import sliced


def v1(number: int) -> bytes:
    span = {"traceID": f"a{number}", "spanID": "1", "operationName": "x", "startTime": 1_700_000_000_000_000}
    return as_json({"traceID": f"a{number}", "spans": [span], "processes": {}})


def otlp(number: int) -> dict[str, object]:
    span = {"traceId": f"{number:032x}", "spanId": "0b" * 8, "startTimeUnixNano": "1700000000000000000"}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def framed(number: int) -> bytes:
    message = as_json(otlp(number))
    return len(message).to_bytes(4, "big") + message


LINES = b"\n".join(map(v1, (1, 2, 3)))
NOTE = "the last line ends in the middle and was left out: the file is still being written, or was cut off"


@pytest.mark.parametrize(
    "lines", [LINES, b"\n".join(as_json(otlp(number)) for number in (1, 2, 3))], ids=["Jaeger", "OTLP"]
)
@pytest.mark.parametrize("missing", [1, 2, 30, 60])
def test_a_last_line_that_ends_in_the_middle_is_left_out_and_told(lines: bytes, missing: int) -> None:
    document = read_document(lines[:-missing], "x.jsonl")

    assert (len(document.parts), document.notes) == (2, (NOTE,))


def test_a_whole_last_line_needs_no_line_end() -> None:
    document = read_document(LINES, "x.jsonl")

    assert (len(document.parts), document.notes) == (3, ())


def test_a_broken_line_in_between_is_left_out_and_told() -> None:
    document = read_document(b"\n".join((v1(1), v1(2)[:-3], v1(3))), "x.jsonl")

    assert [part.trace_id for part in document.parts] == ["a1", "a3"]
    (note,) = document.notes
    assert note.startswith("left out because no traces can be read from them: 1 line (first: line 2: broken JSON")


def test_a_last_document_or_message_that_ends_in_the_middle_is_left_out_and_told() -> None:
    pretty = b"".join(map(v1, (1, 2, 3)))[:-5]
    binary = b"".join(map(framed, (1, 2, 3)))[:-5]

    assert [len(read_document(body, "x").parts) for body in (pretty, binary)] == [2, 2]
    assert [len(read_document(body, "x").notes) for body in (pretty, binary)] == [1, 1]


@pytest.mark.parametrize("missing", [9, 12, 40])
def test_cut_off_gzip_is_read_as_far_as_it_goes(missing: int, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl.gz"
    file.write_bytes((gzip.compress(v1(1) + b"\n") + gzip.compress(LINES))[:-missing])

    document = read_document(read_body(str(file)), "x")

    assert document.parts[0].trace_id == "a1"
    assert document.notes == (NOTE,)


@pytest.mark.parametrize("missing", [1, 2, 9, 120])
def test_slices_of_lists_of_lists_tell_what_the_whole_tells(missing: int, tmp_path: Path) -> None:
    """As Zipkin answers: a list of spans for each trace."""
    spans = [{"traceId": f"a{at // 3}", "id": f"{at + 1:x}", "name": "x", "localEndpoint": {}} for at in range(30)]
    file = tmp_path / "x.json"
    file.write_bytes(as_json([spans[at : at + 3] for at in range(0, 30, 3)])[:-missing])

    with sliced((str(file),), slice_bytes=500) as cut:
        ids = [
            span for piece in cut.found.slices for table in piece.tables(with_details=False) for span in table.span_ids
        ]
    whole = read_document(read_body(str(file)), str(file))

    assert sorted(ids) == sorted(read_table(by_trace(whole.parts).values(), with_details=False).span_ids)
    assert cut.found.notes == tuple(f"{file}: {note}" for note in whole.notes)


def test_slices_tell_the_same(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes((LINES + b"\n") * 9 + v1(9)[:-7])

    with sliced((str(file),), slice_bytes=500) as cut:
        traces = sum(len(table) for piece in cut.found.slices for table in piece.tables(with_details=False))

    assert traces == 3
    assert cut.found.notes == (f"{file}: {NOTE}",)
