"""What SDKs of OpenTelemetry print, in fixtures that they printed, and in the other forms that people have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.reading import described, record_of, records, table
from tests.strategies import as_json
from traceq.codec import console_log
from traceq.codec.console_log import as_json as from_inspect
from traceq.codec.documents import read_document
from traceq.codec.fitting import read_time
from traceq.codec.wire import cut_off
from traceq.errors import DecodeError
from traceq.semantics import Kind, Status
from traceq.sources.slices import sliced
from traceq.traces import Event, Link

PRINTED = Path(__file__).parent.parent.parent / "fixtures" / "printed"


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("python-console.txt", "py-shop"),
        ("js-console.txt", "js-shop"),
        ("go-stdouttrace.json", "go-shop"),
        ("go-stdouttrace-pretty.json", "go-shop"),
    ],
)
def test_what_sdks_print_is_read(name: str, service: str) -> None:
    body = (PRINTED / name).read_bytes()

    traces = table(body)

    # The independent reader: every span has one line with its kind.
    assert len(re.findall(rb'"?\b(?:kind|SpanKind)"?: ?', body)) == traces.span_count == 2
    assert (traces.names, traces.services, traces.warnings) == (("charge", "checkout"), (service,), ())
    assert list(traces.parents) == [1, -1]
    assert list(traces.kinds) == [Kind.CLIENT, Kind.SERVER]
    assert traces.statuses[0] == Status.ERROR
    charge, checkout = (traces.span(row) for row in range(2))
    assert charge.details.attributes()["otel.status_description"] == "card declined"
    assert [link.attributes for link in charge.details.links()] == [{"why": "retry"}]
    assert checkout.details.attributes()["http.request.method"] == "POST"
    assert checkout.details.attributes()["list"] == [1, 2]
    assert [event.name for event in checkout.details.events()] == ["saved"]
    start_ns, end_ns = checkout.start_ns, checkout.start_ns + checkout.duration_ns
    assert start_ns <= charge.start_ns <= charge.start_ns + charge.duration_ns <= end_ns


def test_a_byte_order_mark_before_a_span_is_none_of_it() -> None:
    body = (PRINTED / "js-console.txt").read_bytes()

    document = read_document(b"\xef\xbb\xbf" + body, "x.txt")

    assert described(table(b"\xef\xbb\xbf" + body)) == described(table(body))
    assert document.notes == read_document(body, "x.txt").notes


@pytest.mark.parametrize("first", [0, 1], ids=["with other lines", "lines of spans"])
@pytest.mark.parametrize("slice_bytes", [10, 2**20])
def test_rusts_statuses_are_those_of_otlp_in_slices_too(first: int, slice_bytes: int, tmp_path: Path) -> None:
    lines = (PRINTED / "rust-stdout-json.txt").read_bytes().splitlines(keepends=True)[first:]
    ok = lines[-1].replace(b'"status":{}', b'"status":{"code":2}')
    (tmp_path / "x.json").write_bytes(b"".join([*lines[:-1], ok]))

    with sliced((str(tmp_path),), slice_bytes=slice_bytes) as cut:
        found = [each for one in cut.found.slices for each in one.tables(with_details=True)]

    assert [(each.names, list(each.statuses)) for each in found] == [
        (("charge", "checkout"), [Status.ERROR, Status.OK])
    ]
    assert found[0].span(0).details.attributes()["otel.status_description"] == "boom"


PYTHON: dict[str, Any] = {
    "name": "get",
    "context": {
        "trace_id": "0x" + "0a" * 16,
        "span_id": "0x" + "0b" * 8,
        "trace_state": "['{key=a, value=1}', '{key=b, value=2}']",
    },
    "kind": "SpanKind.CONSUMER",
    "parent_id": "0x" + "0c" * 8,
    "start_time": "2020-09-13T12:26:40.000001Z",
    "end_time": "2020-09-13T12:26:40.000003Z",
    "status": {"status_code": "OK"},
    "attributes": {"a": [1, {"b": None}]},
    "events": [{"name": "e", "timestamp": "2020-09-13T12:26:40.000002Z", "attributes": None}],
    "links": [{"context": {"trace_id": "0x" + "0d" * 16, "span_id": "0x" + "0e" * 8}, "attributes": {"l": 1}}],
    "resource": {"attributes": {"service.name": "app", "host.name": "h"}, "schema_url": ""},
}
NS = 1_600_000_000_000_000_000


def test_a_span_has_the_columns_and_details_that_it_tells() -> None:
    (record,) = records(as_json(PYTHON))

    assert (record.trace_id, record.span_ids, record.parent_ids) == ("0a" * 16, ["0b" * 8], [("0c" * 8,)])
    assert (record.start_ns, record.duration_ns) == ([NS + 1000], [2000])
    assert (record.kinds, record.statuses) == ([Kind.CONSUMER], [Status.OK])
    assert (record.services, record.names, record.hosts) == (["app"], ["get"], ["h"])
    (details,) = record.details
    assert details.attributes() == {"w3c.tracestate": "a=1,b=2", "a": [1, {"b": None}]}
    assert details.resource() == {"host.name": "h"}
    assert details.events() == (Event(NS + 2000, "e", {}),)
    assert details.links() == (Link("0d" * 16, "0e" * 8, {"l": 1}),)


FLAT = {key: value for key, value in PYTHON.items() if key not in ("context", "attributes")}


@pytest.mark.parametrize(
    ("span", "attributes"),
    [
        pytest.param(
            {**FLAT, "trace_id": "0a" * 16, "span_id": "0b" * 8, "kind": "CONSUMER", "start_time": NS},
            {},
            id="own exporter",
        ),
        pytest.param(
            {**PYTHON, "span_kind": "LLM", "status": None, "status_code": "OK", "status_message": ""},
            {"w3c.tracestate": "a=1,b=2", "a": [1, {"b": None}], "openinference.span.kind": "LLM"},
            id="phoenix",
        ),
        pytest.param(
            {
                **FLAT,
                "context.trace_id": "0a" * 16,
                "context.span_id": "0b" * 8,
                "attributes.llm.name": "m",
                "attributes.x": None,
            },
            {"llm.name": "m"},
            id="phoenix dataframe",
        ),
        pytest.param(
            {**PYTHON, "resource": {"service.name": "app"}, "attributes": None},
            {"w3c.tracestate": "a=1,b=2"},
            id="early resource",
        ),
    ],
)
def test_relatives_of_the_console_exporter_are_read(span: dict[str, Any], attributes: dict[str, Any]) -> None:
    (record,) = records(as_json({"data": [span], "next_cursor": None}))

    assert (record.trace_id, record.span_ids, record.services) == ("0a" * 16, ["0b" * 8], ["app"])
    assert (record.statuses, record.details[0].attributes()) == ([Status.OK], attributes)


STUB: dict[str, Any] = {
    "Name": "get",
    "SpanContext": {"TraceID": "0a" * 16, "SpanID": "0b" * 8, "TraceState": "k=v"},
    "Parent": {"TraceID": "00" * 16, "SpanID": "00" * 8},
    "SpanKind": 2,
    "StartTime": "2020-09-13T14:26:40.000000001+02:00",
    "EndTime": "0001-01-01T00:00:00Z",
    "Attributes": [{"Key": "f", "Value": {"Type": "FLOAT64", "Value": 2}}],
    "Status": {"Code": "Unset", "Description": ""},
    "Resource": [{"Key": "service.name", "Value": {"Type": "STRING", "Value": "app"}}],
    "InstrumentationLibrary": {
        "Name": "lib",
        "Version": "1",
        "Attributes": [{"Key": "team", "Value": {"Type": "STRING", "Value": "t"}}],
    },
}


def test_stubs_of_early_versions_of_go_are_read() -> None:
    named = {key: value for key, value in STUB.items() if key not in ("Parent", "Status", "EndTime")}
    early = named | {
        "ParentSpanID": "0c" * 8,
        "EndTime": "2020-09-13T12:26:40.000000003Z",
        "MessageEvents": [{"Name": "e", "Time": "2020-09-13T12:26:40.000000002Z", "Attributes": None}],
        "StatusCode": "Error",
        "StatusMessage": "broke",
    }

    (record,) = records(as_json([early]))

    assert (record.parent_ids, record.start_ns, record.duration_ns) == ([("0c" * 8,)], [NS + 1], [2])
    assert record.statuses == [Status.ERROR]
    assert record.details[0].attributes()["otel.status_description"] == "broke"
    assert record.details[0].events() == (Event(NS + 2, "e", {}),)


def test_a_stub_that_has_not_ended_is_told() -> None:
    traces = table(as_json([STUB]))

    assert (list(traces.parents), list(traces.start_ns), list(traces.duration_ns)) == ([-1], [NS + 1], [0])
    assert [warning.code for warning in traces.warnings] == ["end-missing"]
    assert dict(traces.span(0).details.attributes()) == {
        "otel.scope.team": "t",
        "otel.scope.name": "lib",
        "otel.scope.version": "1",
        "w3c.tracestate": "k=v",
        "f": 2.0,
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, 0),
        ("", 0),
        (NS, NS),
        (str(NS), NS),
        (NS // 1000, NS),
        (NS // 10**6, NS),
        (NS // 10**9, NS),
        (NS / 10**9 + 0.5, NS + 500_000_000),
        (1_600_000_000_123_456.8, NS + 123_456_800),
        ("2020-09-13T12:26:40Z", NS),
        ("2020-09-13 12:26:40.5", NS + 500_000_000),
        ("2020-09-13T12:26:40.1234567891Z", NS + 123_456_789),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_read_however_they_are_written(written: float | str | None, expected: int) -> None:
    assert read_time(written) == expected


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("{ a: undefined, 'b.c': NaN }", {"a": None, "b.c": "NaN"}),
        ("{ d: -1.5e+3, e: 12n, f: [ 'x', ] }", {"d": -1500, "e": 12, "f": ["x"]}),
        (r"""{ a: 'it\'s "\x1B" \u{1F600}' }""", {"a": 'it\'s "\x1b" \U0001f600'}),
        (r"""{ "it's": `both ' and "` }""", {"it's": "both ' and \""}),
        ("{ a: 'one\\n' +\n    'two' +\n    'three', b: true }", {"a": "one\ntwothree", "b": True}),
        ("{\n  a: [\n    0, 1,\n    ... 20 more items\n  ],\n  d: null }", {"a": [0, 1], "d": None}),
        ("{ b: [Object], c: [Function: f] }", {"b": "[Object]", "c": "[Function: f]"}),
        ("Span { r: Resource { a: {} }, m: Map(0) {} }", {"r": {"a": {}}, "m": {}}),
        ("{ n: [Object: null prototype] { x: 1 } }", {"n": {"x": 1}}),
        ("{ t: 2020-01-01T00:00:00.000Z }", {"t": "2020-01-01T00:00:00.000Z"}),
        (r'{ "n": NaN, "t": "\ud83d\ude80 \ud83d" }', {"n": "NaN", "t": "\U0001f680 \\ud83d"}),
    ],
)
def test_what_node_prints_becomes_json(printed: str, expected: dict[str, Any]) -> None:
    converted = from_inspect(printed.encode())

    assert converted is not None
    assert json.loads(converted) == expected


LOG = b"listening on 8000\n" + json.dumps(PYTHON, indent=4).encode() + b"\n{ level: 'info' }\nbye\n"


def test_what_node_cut_is_counted() -> None:
    cut = (
        "  attributes: { many: [ 1, ... 20 more items ], deep: [Object], list: [Array], said: '[Object] ... 2 more ' },"
    )
    printed = (PRINTED / "js-console.txt").read_text(encoding="utf-8")
    span = re.sub(r"^  attributes: \{\n.*?^  \},$", lambda _: cut, printed, count=1, flags=re.MULTILINE | re.DOTALL)

    notes = [read_document(text.encode(), "x.log").notes for text in (span, span.replace("... 20 more items", "2"))]

    told = "values that Node.js cut short (`[Object]`, `... 20 more items`): {}"
    assert [[note for note in each if "Node.js" in note] for each in notes] == [[told.format(3)], [told.format(2)]]


def test_spans_are_found_among_the_lines_of_a_log() -> None:
    document = read_document(LOG, "x.log")

    assert [record_of(part).span_ids for part in document.parts] == [["0b" * 8]]
    assert document.notes == ("lines without spans, left out: 3",)


@pytest.mark.parametrize("name", ["python-console.txt", "js-console.txt"])
def test_a_log_that_is_still_being_written_is_read_up_to_its_last_whole_span(name: str) -> None:
    body = (PRINTED / name).read_bytes()
    whole = described(table(body))
    begun = body.rindex(b"\n{", 0, -3) + 1

    document = read_document(body[: (begun + len(body)) // 2], "x.log")

    assert [record_of(part).span_ids for part in document.parts] == [[table(body).span_ids[0]]]
    assert len(whole) == 2
    assert document.notes[1:] == (cut_off(f"the span at byte {begun}"),)


def test_a_span_that_other_lines_interrupt_costs_itself() -> None:
    body = (PRINTED / "python-console.txt").read_bytes()
    at = body.index(b'    "kind"')

    document = read_document(body[:at] + b"GET / 200\n" + body[at:], "x.log")

    assert [record_of(part).span_ids for part in document.parts] == [[table(body).span_ids[1]]]
    assert document.notes == (
        "lines without spans, left out: 1",
        f"left out because they are broken: 1 span (first: at byte {body.index(b'{')})",
    )


@pytest.mark.parametrize(
    ("name", "others"), [("python-console.txt", 3), ("js-console.txt", 3), ("go-stdouttrace.json", 2)]
)
def test_objects_that_a_program_logs_are_no_documents_of_traces(name: str, others: int) -> None:
    body = (PRINTED / name).read_bytes()
    logged = as_json({"level": "info", "trace_id": "0a" * 16, "data": {"rows": 3}, "result": [1], "spans": 2})

    document = read_document(logged + b"\n" + body + logged + b"\n", "x.log")

    assert described(table(logged + b"\n" + body)) == described(table(body))
    assert document.notes[0] == f"lines without spans, left out: {others}"


def test_a_long_broken_document_is_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_log, "_LONGEST_BYTES", 1000)

    with pytest.raises(DecodeError, match="it begins with 'listening on 8000"):
        read_document(LOG, "x.log")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(
            b'ready\n{\n  "name": "get", "context": {"trace_id": "0x1"\n', "it begins with 'ready", id="nothing whole"
        ),
        pytest.param(
            LOG + b'{"spans": [{"traceID": "a"}]}\n', "it begins with 'listening on 8000", id="another format"
        ),
        pytest.param(b"listening on 8000\n", "it begins with 'listening on 8000'", id="no spans"),
        pytest.param(as_json({**PYTHON, "context": {}}), "its spans name no trace", id="no trace"),
    ],
)
def test_what_is_broken_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        [record_of(part) for part in read_document(body, "x").parts]

    assert message in caught.value.message


KINDS_OF_BODY = [
    as_json(PYTHON),
    as_json([STUB]),
    LOG,
    *((PRINTED / name).read_bytes() for name in ("js-console.txt", "go-stdouttrace.json", "python-console.txt")),
]


@given(st.sampled_from(KINDS_OF_BODY), st.data())
def test_damaged_text_gives_traces_or_a_decode_error(body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    put = data.draw(st.sampled_from([b"", b"{", b"}", b"'", b'"', b"\n", b"null", b"-1", b"\xff", b"[", b"1e999"]))
    damaged = body[:start] + put + body[start + data.draw(st.integers(0, 20)) :]
    try:
        for part in read_document(damaged, "x").parts:
            for details in record_of(part).details:
                details.attributes(), details.resource(), details.events(), details.links()
    except DecodeError as error:
        assert "\n" not in error.message  # noqa: PT017  the error is not expected, only allowed
