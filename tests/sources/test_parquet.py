from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from tests.builders import assemble, record, span
from tests.sources.contract import check_attributes_later
from traceq.codec.parquet import SpanWriter
from traceq.errors import InputError, NotFoundError
from traceq.query import TraceQuery
from traceq.sources import open_source
from traceq.sources.files import FileSource
from traceq.traces import Traces, normal_id

CHAT = Path(__file__).parents[2] / "fixtures" / "chat.json"


def write(path: Path, traces: Traces) -> Path:
    writer = SpanWriter(path, with_details=True)
    writer.add(traces)
    writer.close()
    return path


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    traces = next(iter(FileSource((str(CHAT),)).read(TraceQuery())))
    return write(tmp_path_factory.mktemp("chat") / "chat.parquet", traces)


QUERIES = [
    TraceQuery(),
    TraceQuery(limit=7),
    TraceQuery(service="chat-service", limit=3),
    TraceQuery(has_error=True),
    TraceQuery(attributes=(("user_id", "123"),)),
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_every_question_has_the_answer_that_json_gives(chat: Path, query: TraceQuery) -> None:
    ours, theirs = FileSource((str(chat),)), FileSource((str(CHAT),))

    found, expected = ours.find(query), theirs.find(query)

    assert found.traces.trace_ids == expected.traces.trace_ids
    assert found.traces.span_ids == expected.traces.span_ids
    assert found.traces.parents == expected.traces.parents
    assert found.is_cut_off == expected.is_cut_off
    assert ours.summaries(query) == theirs.summaries(query)
    assert ours.services() == theirs.services()
    assert ours.operations("chat-service") == theirs.operations("chat-service")


@pytest.mark.parametrize("query", [TraceQuery(), TraceQuery(limit=7)], ids=["all", "limited"])
def test_what_is_found_by_columns_can_be_completed(chat: Path, query: TraceQuery) -> None:
    check_attributes_later(FileSource((str(chat),)), query)


def test_a_trace_is_found_by_its_id_and_its_prefix(chat: Path) -> None:
    source = open_source((str(chat),))
    whole = source.find(TraceQuery(limit=1)).traces

    assert source.trace(whole.trace_ids[0]).span_ids == whole.span_ids
    assert source.trace(whole.trace_ids[0][:12]).span_ids == whole.span_ids
    with pytest.raises(NotFoundError, match="no trace 'ffff'"):
        source.trace("ffff")


def test_slices_can_be_sent_elsewhere_and_find_attributes(chat: Path) -> None:
    with FileSource((str(chat),)).slices() as cut:
        slices = pickle.loads(pickle.dumps(cut.found.slices))  # noqa: S301 - our own bytes

    (table,) = [table for piece in slices for table in piece.tables(with_details=False)]
    (attributes,) = slices[0].attributes({table.trace_ids[3]: {table.span_ids[table.offsets[3]]}})
    assert table.span_count == 1606
    assert attributes.span_id == table.span_ids[table.offsets[3]]
    assert attributes.attributes


def test_parts_of_a_trace_in_several_files_are_put_together(tmp_path: Path) -> None:
    parent, child = span("p", None, 0, 9), span("c", "p", 1, 2, attributes={"a": "b"})
    write(tmp_path / "1.parquet", assemble([record(child, trace_id="a1"), record(parent, trace_id="b1")]))
    write(tmp_path / "2.parquet", assemble([record(parent, trace_id="00a1"), record(parent, trace_id="c1")]))

    source = FileSource((str(tmp_path),))
    traces = source.trace("a1")
    with source.slices() as cut:
        slices = cut.found.slices

    assert traces.span_ids == ("c", "p")
    assert list(traces.parents) == [1, -1]
    assert traces.warnings == ()
    assert traces.span(0).details.attributes() == {"a": "b"}
    assert [piece.trace_count for piece in slices] == [1, 1, 2]
    tables = [table for piece in slices for table in piece.tables(with_details=False)]
    assert [table.trace_ids for table in tables] == [("b1",), ("c1",), ("a1",)]


def test_some_traces_are_read_alone_wherever_their_parts_are(chat: Path, tmp_path: Path) -> None:
    parent, child = span("p", None, 0, 9), span("c", "p", 1, 2, attributes={"a": "b"})
    write(tmp_path / "1.parquet", assemble([record(child, trace_id="a1"), record(parent, trace_id="b1")]))
    write(tmp_path / "2.parquet", assemble([record(parent, trace_id="00a1"), record(parent, trace_id="c1")]))

    with FileSource((str(tmp_path),)).slices() as cut:
        parts = [table for piece in cut.found.slices for table in piece.traces({"a1", "c1", "dead"}, with_details=True)]
    with FileSource((str(chat),)).slices() as cut:
        (every,) = [table for piece in cut.found.slices for table in piece.tables(with_details=True)]
        wanted = every.trace_ids[5:50:9]
        (some,) = [
            table
            for piece in cut.found.slices
            for table in piece.traces({normal_id(each) for each in wanted}, with_details=True)
        ]

    read = [(table.trace_ids, table.span_ids) for table in parts if len(table)]
    assert read == [(("c1",), ("p",)), (("a1",), ("c", "p"))]
    assert some.trace_ids == wanted
    assert some.span_ids == every.select(range(5, 50, 9)).span_ids
    assert some.span(3).details.attributes()


def test_parquet_and_json_are_not_read_together(chat: Path) -> None:
    with pytest.raises(InputError, match=r"chat\.json is not Parquet, and other files given are"):
        open_source((str(CHAT), str(chat))).services()


def test_without_pyarrow_the_hint_says_how_to_get_it(chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(InputError) as raised:
        open_source((str(chat),)).services()

    assert raised.value.hint == "pip install pyarrow"


def test_what_lies_beside_parquet_is_left_out_with_a_note(chat: Path, tmp_path: Path) -> None:
    for name, content in (("a.parquet", chat.read_bytes()), ("b.parquet", b""), ("c.json", CHAT.read_bytes())):
        (tmp_path / name).write_bytes(content)

    found = FileSource((str(tmp_path),)).find(TraceQuery())

    assert found.traces.trace_ids == FileSource((str(chat),)).find(TraceQuery()).traces.trace_ids
    assert found.notes == (
        f"{tmp_path}/b.parquet: left out, since it is empty",
        f"{tmp_path}/c.json: left out, since Parquet that traceq wrote is read alone",
    )


def test_an_empty_file_named_parquet_is_left_out_beside_others(chat: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.parquet"
    empty.touch()
    notes = (f"{empty}: left out, since it is empty",)

    beside_parquet = FileSource((str(chat), str(empty))).find(TraceQuery(limit=1))
    beside_json = FileSource((str(CHAT), str(empty))).find(TraceQuery(limit=1))

    assert (beside_parquet.notes, beside_json.notes) == (notes, notes)
    with pytest.raises(InputError, match="it is empty"):
        FileSource((str(empty),)).services()
