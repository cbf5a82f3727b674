from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from tests.builders import Record, assemble, record, span, trace
from tests.codec.reading import table
from tests.laws import examples
from tests.strategies import as_json, otlp_documents, v1_traces
from traceq.catalog import ServiceCall
from traceq.codec.parquet import SpanWriter
from traceq.codec.parquet_file import Selection, SpanFile
from traceq.codec.parquet_reader import read_traces
from traceq.errors import DecodeError
from traceq.semantics import Activity, Attributes, Kind, Peer
from traceq.traces import Event, Link, Traces

COLUMNS = [name for name in Traces.__struct_fields__ if name != "details"]


def write(path: Path, *batches: Traces, with_details: bool = True) -> SpanFile:
    writer = SpanWriter(path, with_details=with_details)
    for batch in batches:
        writer.add(batch)
    writer.close()
    return SpanFile(path)


def read(file: SpanFile, *, with_details: bool = True) -> Traces:
    selections = [Selection(file, group) for group in range(len(file.trace_counts))]
    return read_traces(selections, with_details=with_details)


def round_trip(traces: Traces) -> Traces:
    with TemporaryDirectory() as folder:
        return read(write(Path(folder) / "x.parquet", traces))


def assert_same(found: Traces, expected: Traces) -> None:
    assert {name: getattr(found, name) for name in COLUMNS} == {name: getattr(expected, name) for name in COLUMNS}
    assert found.details is not None
    assert expected.details is not None
    for ours, theirs in zip(found.details, expected.details, strict=True):
        # Not a number is not equal to itself, its text is.
        assert repr(dict(ours.attributes())) == repr(dict(theirs.attributes()))
        assert repr(dict(ours.resource())) == repr(dict(theirs.resource()))
        assert repr(ours.events()) == repr(theirs.events())
        assert repr(ours.links()) == repr(theirs.links())
        assert ours.warnings() == theirs.warnings()


@examples(0.5)
@given(tables())
def test_a_table_comes_back_as_it_was(traces: Traces) -> None:
    assert_same(round_trip(traces), traces)


@examples(0.5)
@given(st.lists(v1_traces(), max_size=3, unique_by=lambda trace: trace["traceID"]), otlp_documents())
def test_whatever_can_be_read_comes_back(v1: list[dict[str, object]], otlp: dict[str, object]) -> None:
    traces = table(as_json({"data": v1}), as_json(otlp))

    assert_same(round_trip(traces), traces)


def test_files_from_before_a_column_was_added_are_read(tmp_path: Path) -> None:
    traces = assemble([record(("a", None, 0, 9), span("b", "a", 1, 2, follows_from=True))])
    new = write(tmp_path / "new.parquet", traces)
    metadata = {key: value for key, value in pq.read_metadata(new.path).metadata.items() if key.startswith(b"traceq.")}
    without = pq.read_table(new.path).drop_columns("follows_from").replace_schema_metadata(metadata)
    pq.write_table(without, tmp_path / "old.parquet")

    old = SpanFile(tmp_path / "old.parquet")

    for with_details in (False, True):
        assert read(old, with_details=with_details).follows_from == frozenset()
        both = read_traces([Selection(old, 0), Selection(new, 0)], with_details=with_details)
        assert both.follows_from == {3}


def test_attributes_of_every_type_come_back() -> None:
    attributes: Attributes = {
        "text": "é\x00",
        "yes": True,
        "whole": 1,
        "far": 2**80,
        "fraction": 1.0,
        "no number": float("nan"),
        "endless": float("-inf"),
        "bytes": b"\x00\xff",
        "list": [1, b"x", {"a": None}],
        "map": {"$bytes": "not really"},
        "nothing": None,
    }
    details = record(
        span(
            "a",
            None,
            0,
            9,
            attributes=attributes,
            events=[Event(5, "e", attributes)],
            links=[Link("b1", "b2", attributes)],
        )
    )

    found = round_trip(assemble([details])).span(0).details

    assert repr(dict(found.attributes())) == repr(attributes)
    assert repr(found.events()) == repr((Event(5, "e", attributes),))
    assert repr(found.links()) == repr((Link("b1", "b2", attributes),))


def test_orphans_warnings_and_peers_come_back() -> None:
    traces = assemble(
        [
            record(
                span("a", None, 0, 9, peer=Peer("database", "mysql", "")),
                span("b", "gone", 1, 2, kind=Kind.CLIENT, peer=Peer("rpc", "grpc", "users")),
                span("c", "c", 3, 4),
                trace_id="a1",
                warnings=["slow"],
            )
        ]
    )

    found = round_trip(traces)

    assert dict(found.missing_parents) == {1: "gone"}
    assert found.peers == (None, Peer("database", "mysql", ""), Peer("rpc", "grpc", "users"))
    assert [warning.code for warning in found.warnings] == ["from-source", "orphan", "self-parent"]
    assert found.warnings == traces.warnings


def test_traces_without_spans_keep_their_place(tmp_path: Path) -> None:
    traces = assemble([Record("a1", warnings=("lost",)), record(span("s", None, 0, 1), trace_id="b1"), Record("c1")])

    file = write(tmp_path / "x.parquet", traces)

    assert file.trace_ids(0) == ["a1", "b1", "c1"]
    assert_same(read(file), traces)
    last_two = read_traces([Selection(file, 0, (1, 2))], with_details=True)
    assert last_two.trace_ids == ("b1", "c1")
    assert list(last_two.offsets) == [0, 1, 1]


def test_no_traces_at_all_are_a_file_too(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet")

    assert file.trace_counts == ()
    assert len(read(file)) == 0


def test_row_groups_hold_whole_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceq.codec.parquet._GROUP_SPANS", 3)
    batches = [assemble([record(span("s", None, 0, 1), span("t", "s", 0, 1), trace_id=name)]) for name in "abcde"]

    file = write(tmp_path / "x.parquet", *batches)

    assert file.trace_counts == (2, 2, 1)
    assert [file.trace_ids(group) for group in range(3)] == [["a", "b"], ["c", "d"], ["e"]]
    assert read(file).trace_ids == tuple("abcde")
    assert list(read(file).parents) == [-1, 0, -1, 2, -1, 4, -1, 6, -1, 8]
    assert read_traces([Selection(file, 1, (1,)), Selection(file, 2)], with_details=False).trace_ids == ("d", "e")


def test_details_may_be_left_out(tmp_path: Path) -> None:
    traces = assemble([record(span("s", None, 0, 1, attributes={"a": "b"}))])

    file = write(tmp_path / "x.parquet", traces, with_details=False)

    assert not file.has_details
    assert read(file).span(0).details.attributes() == {}
    assert read(file, with_details=False).details is None


def test_the_columns_are_those_that_the_documentation_lists(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", assemble([record(span("s", None, 0, 1))]))

    text = (Path(__file__).parents[2] / "docs" / "parquet.md").read_text(encoding="utf-8")
    documented = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert pq.read_schema(tmp_path / "x.parquet").names == documented


def test_of_files_without_activities_the_peers_tell(tmp_path: Path) -> None:
    """As 0.1.0 wrote them; beside a newer one they are read as well."""
    traces = trace(
        span("a", None, 0, 9, kind=Kind.SERVER),
        span("b", "a", 1, 2, attributes={"db.system": "mysql"}),
        span("c", "a", 3, 4, attributes={"messaging.system": "kafka", "messaging.operation": "publish"}),
    )
    new = write(tmp_path / "new.parquet", traces)
    rows = pq.read_table(tmp_path / "new.parquet")
    metadata = pq.read_metadata(tmp_path / "new.parquet").metadata
    pq.write_table(rows.drop_columns(["activity"]).replace_schema_metadata(metadata), tmp_path / "old.parquet")
    old = SpanFile(tmp_path / "old.parquet")

    told = [Activity.UNTOLD, Activity.QUERIES, Activity.PUBLISHES]
    least = [Activity.UNTOLD, Activity.QUERIES, Activity.MESSAGES]
    together = read_traces([Selection(old, 0), Selection(new, 0)], with_details=False)
    assert [list(read(file).activities) for file in (new, old)] == [told, least]
    assert list(together.activities) == least + told


def test_other_readers_see_texts_and_nulls(tmp_path: Path) -> None:
    traces = assemble([record(span("a", None, 0, 9, kind=Kind.SERVER), span("b", "gone", 1, 2), trace_id="a1")])
    write(tmp_path / "x.parquet", traces)

    rows = pq.read_table(tmp_path / "x.parquet").select(["trace_id", "parent_id", "kind", "host", "parent_row"])

    assert rows.to_pylist() == [
        {"trace_id": "a1", "parent_id": None, "kind": "server", "host": None, "parent_row": None},
        {"trace_id": "a1", "parent_id": "gone", "kind": "unspecified", "host": None, "parent_row": None},
    ]


def test_a_dependency_table_comes_along(tmp_path: Path) -> None:
    writer = SpanWriter(tmp_path / "x.parquet", with_details=True)
    writer.close([ServiceCall("a", "b", 3)])

    assert SpanFile(tmp_path / "x.parquet").calls == (ServiceCall("a", "b", 3),)


def test_other_parquet_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")

    with pytest.raises(DecodeError, match="its columns are not traceq's"):
        SpanFile(tmp_path / "other.parquet")
    with pytest.raises(DecodeError, match=r"cannot read .*broken\.parquet"):
        SpanFile(tmp_path / "broken.parquet")
