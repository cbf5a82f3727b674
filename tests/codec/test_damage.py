"""Documents that are damaged as a whole: what is whole is read, everything else is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.reading import table
from tests.laws import examples
from tests.strategies import as_json
from traceq.codec.damage import CUT_OFF, CUT_TRACE, closed_document
from traceq.codec.documents import read_document
from traceq.errors import DecodeError, NothingWholeError
from traceq.query import TraceQuery
from traceq.sources.files import FileSource
from traceq.sources.slices import sliced

NS = 1_700_000_000_000_000_000


def v1(number: int, name: str = "get") -> dict[str, Any]:
    span = {"traceID": f"a{number}", "spanID": "1", "operationName": name, "startTime": NS // 1000, "processID": "p1"}
    return {"traceID": f"a{number}", "spans": [span], "processes": {"p1": {"serviceName": "app", "tags": []}}}


def otlp(number: int, name: str = "get") -> dict[str, Any]:
    span = {"traceId": f"{number:032x}", "spanId": "0b" * 8, "name": name, "startTimeUnixNano": str(NS)}
    span["endTimeUnixNano"] = str(NS + 5)
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]}
    return {"resource": resource, "scopeSpans": [{"spans": [span]}]}


def zipkin(number: int, name: str = "get") -> dict[str, Any]:
    endpoint = {"serviceName": "app"}
    return {
        "traceId": f"{number:032x}",
        "id": "0b" * 8,
        "name": name,
        "timestamp": NS // 1000,
        "localEndpoint": endpoint,
    }


JAEGER, OTLP, ZIPKIN = (
    as_json({"data": [v1(1), v1(2), v1(3)], "total": 3}),
    as_json({"resourceSpans": [otlp(1), otlp(2), otlp(3)]}),
    as_json([zipkin(1), zipkin(2), zipkin(3)]),
)


@pytest.mark.parametrize("body", [JAEGER, OTLP, ZIPKIN], ids=["Jaeger", "OTLP", "Zipkin"])
def test_a_document_that_ends_anywhere_is_read_up_to_its_last_whole_item(body: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    counts = []
    for end in range(1, len(body)):
        file.write_bytes(body[:end])
        try:
            document = read_document(body[:end], "x.json")
        except DecodeError as error:
            assert "middle" in error.message  # noqa: PT017  the error is not expected, only allowed
            continue
        (note,) = document.notes
        assert note == CUT_OFF or (note == CUT_TRACE and body is JAEGER and len(document.parts) == 1)
        counts.append(len(document.parts))
        with sliced((str(file),), slice_bytes=60) as cut:
            assert cut.found.notes == (f"{file}: {note}",)
            assert sum(piece.trace_count for piece in cut.found.slices) == counts[-1]

    assert counts == sorted(counts)
    assert set(counts) == {1, 2, 3}


def test_what_is_whole_of_a_list_has_all_that_it_had() -> None:
    cut = table(OTLP[: OTLP.rindex(b"scopeSpans")])

    assert [(span.service, span.name) for span in map(cut.span, range(cut.span_count))] == [("app", "get")] * 2


def test_a_trace_that_ends_before_its_processes_is_none() -> None:
    two = as_json({"data": [v1(1), {"traceID": "a2", "spans": v1(2)["spans"] * 2}]})

    document = read_document(two[: two.rindex(b"operationName")], "x.json")

    assert [part.trace_id for part in document.parts] == ["a1"]


@pytest.mark.parametrize("before", ['{"data":[', "[", ""], ids=["answer", "list", "trace"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_of_the_only_trace_the_whole_spans_are_kept(
    before: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    spans = [{**v1(1)["spans"][0], "spanID": str(number)} for number in range(1, 4)]
    written = before.encode() + as_json({"traceID": "a1", "spans": spans})
    file = tmp_path / "x.json"
    file.write_bytes(pack(written[: written.rindex(b"operationName")]))

    found = FileSource((str(file),)).find(TraceQuery(limit=None))

    assert (found.traces.span_ids, found.traces.trace_ids) == (("1", "2"), ("a1",))
    assert found.notes == (f"{file}: {CUT_TRACE}",)
    assert [each.code for each in found.traces.warnings] == ["service-missing"] * 2


NOTHING_WHOLE = {
    "empty": b"",
    "blanks": b"\n \n",
    "zeros": bytes(5000),
    "begun": b'{"data":[{"traceID":"a',
    "empty gzip": gzip.compress(b""),
}


@pytest.mark.parametrize("content", NOTHING_WHOLE.values(), ids=NOTHING_WHOLE.keys())
def test_a_file_with_nothing_whole_is_left_out_where_others_hold_traces(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(JAEGER)
    bad = tmp_path / "b.json"
    bad.write_bytes(content)

    found = FileSource((str(tmp_path),)).find(TraceQuery(limit=None))
    with sliced((str(tmp_path),)) as cut:
        notes = cut.found.notes

    assert (len(found.traces), found.notes) == (3, notes)
    assert notes[0].startswith(f"{bad}: left out, since ")
    for refuse in (lambda: FileSource((str(bad),)).services(), lambda: sliced((str(bad),)).__enter__()):
        with pytest.raises(NothingWholeError):
            refuse()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), json_values, max_size=3), min_size=1, max_size=4), st.data())
def test_closing_keeps_whole_items_and_all_of_them(items: list[Any], data: st.DataObject) -> None:
    written = json.dumps({"x": [1, {"data": []}], "data": items}).encode()
    end = data.draw(st.integers(0, len(written) - 1))

    closed = closed_document(memoryview(written[:end]))

    ends = [len(json.dumps({"x": [1, {"data": []}], "data": items[:count]})) - 2 for count in range(1, len(items) + 1)]
    whole = sum(each <= end for each in ends)
    assert (json.loads(closed)["data"] if closed else []) == items[:whole]


BROKEN = {"half": rb"\ud800", "other half": rb"\udc00 x", "zero": b"\0", "tab": b"\t", "no UTF-8": b"\xff"}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize(
    "body",
    [
        as_json({"data": [v1(1), v1(2, "g@t")]}),
        as_json(v1(1)) + b"\n" + as_json(v1(2, "g@t")),
        as_json({"resourceSpans": [otlp(1), otlp(2, "g@t")]}),
        as_json([zipkin(1), zipkin(2, "g@t")]),
    ],
    ids=["Jaeger", "lines", "OTLP", "Zipkin"],
)
def test_broken_text_costs_one_string(body: bytes, broken: bytes) -> None:
    read = table(body.replace(b"@", broken))

    first, second = map(read.span, range(2))
    assert first.name == "get"
    assert second.name.startswith("g\ufffd")
    assert [(each.code, each.span_id) for each in read.warnings] == [("value-repaired", second.span_id)]


@pytest.mark.parametrize("body", [JAEGER, JAEGER[:-20], as_json(v1(1)) + b"\n" + as_json(v1(2))[:-3]])
def test_zeros_at_the_end_are_told(body: bytes) -> None:
    document = read_document(body + bytes(5000), "x.json")

    assert document.parts == read_document(body, "x.json").parts
    assert document.notes


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_broken_text_of_a_scope_costs_one_string(broken: bytes) -> None:
    group = otlp(2)
    group["scopeSpans"][0]["scope"] = {"name": "l@b", "version": "1"}

    document = read_document(as_json({"resourceSpans": [otlp(1), group]}).replace(b"@", broken), "x.json")

    assert [part.trace_id for part in document.parts] == [f"{number:032x}" for number in (1, 2)]
    assert document.notes == ("not as OTLP has it: some of its text is broken",)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([otlp(1), {**otlp(2), "scopeSpans": otlp(2)["scopeSpans"][0]}], "an object, where a list belongs"),
        ([otlp(1), {**otlp(2), "resource": 5}], "resourceSpans[1].resource is 5, which makes no sense there"),
        ([otlp(1), "text", otlp(2)], "resourceSpans[1] is 'text', which makes no sense there"),
        ([otlp(1), {"scopeSpans": [7]}, otlp(2)], "resourceSpans[1].scopeSpans[0] is 7, which makes no sense there"),
    ],
)
def test_a_broken_structure_of_otlp_costs_what_is_broken(groups: list[Any], told: str) -> None:
    document = read_document(as_json({"resourceSpans": groups}), "x.json")

    assert len(document.parts) == 2
    (note,) = document.notes
    assert note.startswith("not as OTLP has it: ")
    assert note.endswith(told)


def test_items_of_a_list_that_are_no_spans_are_told(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(as_json([{"odd": 1}, zipkin(1), zipkin(2)]))

    found = FileSource((str(file),)).find(TraceQuery(limit=None))

    assert found.traces.span_count == 2
    told = "left out because no traces can be read from them: 1 item (first: it looks like JSON with the keys odd)"
    assert found.notes == (f"{file}: {told}",)


def test_half_of_a_pair_at_the_end_is_not_taken_for_the_end(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(as_json([zipkin(1), zipkin(2, "g@")]).replace(b"@", rb"\ud800"))

    with sliced((str(file),), slice_bytes=50) as cut:
        count = sum(table.span_count for piece in cut.found.slices for table in piece.tables(with_details=False))

    assert (count, cut.found.notes) == (2, ())
    assert read_document(as_json(v1(1)) + b"\n" + as_json(v1(2, "g@")).replace(b"@", rb"\ud800"), "x").notes == ()


ODD = st.sampled_from([None, True, -1, 2**64 - 5, 1.5, "", "NaN", "0" * 16, "é", [], {}, [None], {"a": 1}])


@given(
    st.sampled_from([{"data": [v1(1), v1(2)]}, {"resourceSpans": [otlp(1), otlp(2)]}, [zipkin(1), zipkin(2)]]),
    st.data(),
)
@examples(0.5)
def test_with_anything_anywhere_slices_give_what_the_whole_gives(written: Any, data: st.DataObject) -> None:
    document = json.loads(json.dumps(written))
    holder, key = data.draw(st.sampled_from(list(_places(document))))
    holder[key] = data.draw(ODD)
    found: list[int | str] = []
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.json"
        file.write_bytes(as_json(document))
        for count in (_whole_count, _sliced_count):
            try:
                found.append(count(str(file)))
            except DecodeError:
                found.append("refused")

    assert found[0] == found[1]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _whole_count(file: str) -> int:
    return FileSource((file,)).find(TraceQuery(limit=None)).traces.span_count


def _sliced_count(file: str) -> int:
    with sliced((file,), slice_bytes=60) as cut:
        for attempt in cut.attempts():
            with attempt as trusted:
                return sum(table.span_count for piece in trusted.slices for table in piece.tables(with_details=False))
    raise AssertionError
