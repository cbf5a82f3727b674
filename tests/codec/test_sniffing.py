import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.reading import record_of
from tests.strategies import as_json, otlp_documents, v1_traces
from traceq.catalog import ServiceCall
from traceq.codec.documents import Document, read_document
from traceq.errors import DecodeError

V1_SPAN = {"traceID": "0a", "spanID": "1", "operationName": "get", "startTime": 5, "duration": 7, "processID": "p1"}
V1_TRACE = {"traceID": "0a", "spans": [V1_SPAN], "processes": {"p1": {"serviceName": "app", "tags": []}}}
OTLP_SPAN = {"traceId": "0" * 30 + "0a", "spanId": "0" * 15 + "1", "name": "get"}
SCOPES = [{"scope": {}, "spans": [OTLP_SPAN]}]
OTLP = {"resourceSpans": [{"resource": {}, "scopeSpans": SCOPES}]}


def lines(*documents: object) -> bytes:
    return b"\n".join(as_json(document) for document in documents)


def found(document: Document) -> list[tuple[str, list[str]]]:
    return [(part.trace_id, record_of(part).span_ids) for part in document.parts]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(as_json({"data": [V1_TRACE], "total": 0, "errors": None}), id="envelope"),
        pytest.param(as_json({"total": 0, "errors": [], "data": [V1_TRACE]}), id="data-last"),
        pytest.param(as_json({"data": V1_TRACE, "id": "0a", "state": "FETCH_DONE"}), id="data-is-a-trace"),
        pytest.param(as_json([V1_TRACE]), id="list"),
        pytest.param(as_json([{"data": [V1_TRACE]}]), id="list-of-envelopes"),
        pytest.param(as_json(V1_TRACE), id="trace"),
        pytest.param(as_json({key: V1_TRACE[key] for key in ("spans", "processes")}), id="id-in-spans-only"),
        pytest.param(as_json(dict(reversed(V1_TRACE.items()))), id="id-last"),
        pytest.param(json.dumps({"data": [V1_TRACE]}, indent=4).encode(), id="pretty"),
        pytest.param(b"\xef\xbb\xbf\r\n " + as_json([V1_TRACE]), id="byte-order-mark"),
        pytest.param(as_json([V1_TRACE]) + b"\r\n\r\n", id="blank-lines-at-the-end"),
    ],
)
def test_jaeger_json_is_read_however_it_is_wrapped(body: bytes) -> None:
    document = read_document(body, "x.json")

    assert found(document) == [("0a", ["1"])]
    assert document.calls == ()
    assert document.notes == ()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(as_json(OTLP), id="collector"),
        pytest.param(as_json({"result": OTLP}), id="v3"),
        pytest.param(as_json({"batches": OTLP["resourceSpans"]}), id="tempo-batches"),
        pytest.param(as_json({"trace": OTLP, "metrics": {}}), id="tempo-trace"),
        pytest.param(as_json([OTLP]), id="list"),
        pytest.param(as_json({"resourceSpans": [{"instrumentationLibrarySpans": SCOPES}]}), id="before-scopes"),
        pytest.param(as_json({"resourceSpans": [None, *OTLP["resourceSpans"]]}), id="null-group"),
        pytest.param(json.dumps(OTLP, indent=2).encode(), id="pretty"),
    ],
)
def test_otlp_json_is_read_however_it_is_wrapped(body: bytes) -> None:
    document = read_document(body, "x.json")

    assert found(document) == [("0" * 30 + "0a", ["0" * 15 + "1"])]


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        pytest.param(lines(V1_TRACE, V1_TRACE), ["0a", "0a"], id="traces"),
        pytest.param(as_json({"traces": [V1_TRACE], "count": 1}), ["0a"], id="list of traces by name"),
        pytest.param(lines({"data": [V1_TRACE]}, {"data": []}, {"data": [V1_TRACE]}), ["0a", "0a"], id="envelopes"),
        pytest.param(lines({"result": OTLP}, {"result": OTLP}) + b"\n", ["0" * 30 + "0a"] * 2, id="v3-stream"),
        pytest.param(
            b"\n" + lines(V1_TRACE).replace(b"}", b"}\r") + b"\n\r\n" + lines(OTLP), ["0a", "0" * 30 + "0a"], id="mixed"
        ),
    ],
)
def test_json_lines_are_read_line_by_line(body: bytes, ids: list[str]) -> None:
    document = read_document(body, "x.jsonl")

    assert [part.trace_id for part in document.parts] == ids


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(as_json(V1_TRACE) + as_json(OTLP), id="side by side"),
        pytest.param(
            json.dumps(V1_TRACE, indent=2).encode() + b"\n" + json.dumps(OTLP, indent=2).encode(), id="pretty"
        ),
        pytest.param(as_json(V1_TRACE) + b"\n{}" + as_json(OTLP), id="two in a line"),
        pytest.param(b"\xef\xbb\xbf" + as_json(V1_TRACE) + b" " + as_json(OTLP) + b"\r\n", id="byte order mark"),
    ],
)
def test_documents_that_follow_each_other_are_read_one_by_one(body: bytes) -> None:
    assert [trace_id for trace_id, _ in found(read_document(body, "x.json"))] == ["0a", "0" * 30 + "0a"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b"{}\n{}",
        b'{"data":[]}',
        b'{"data":null}',
        b'{"data":null,"errors":[]}',
        b'{"traceID":"","spans":[]}',
        b'{"resourceSpans":[]}',
        b'{"resourceSpans":null}',
        b'{"resourceSpans":[{}]}',
        b'{"result":{}}',
        b'{"result":{"resourceSpans":[]}}',
        b'{"batches":[]}',
    ],
    ids=bytes.decode,
)
def test_no_traces_are_an_answer(body: bytes) -> None:
    assert read_document(body, "x.json") == Document()


@pytest.mark.parametrize(
    "body", [b'[{"parent":"a","child":"b","callCount":2}]', b'{"data":[{"parent":"a","child":"b","callCount":"2"}]}']
)
def test_a_dependency_table_gives_calls(body: bytes) -> None:
    assert read_document(body, "x.json") == Document(calls=(ServiceCall("a", "b", 2),))


def test_what_a_server_tells_beside_traces_is_noted() -> None:
    body = as_json({"data": [V1_TRACE], "errors": [{"msg": "trace not \x1bfound", "traceID": "b"}]})

    document = read_document(body, "x.json")

    assert found(document) == [("0a", ["1"])]
    assert document.notes == ("trace not \\x1bfound",)


BEGINNING = "cannot read traces from x.json"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", ": it is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf \n", ": it holds nothing but blanks", id="blank"),
        pytest.param(b"<!DOCTYPE html><html>", ": it is an HTML page", id="html"),
        pytest.param(b"<?xml?>", ": it is XML", id="xml"),
        pytest.param(b"\x1f\x8b\x08", ": it is gzip data", id="gzip"),
        pytest.param(b"\x28\xb5\x2f\xfd", ": it is zstd data", id="zstd"),
        pytest.param(b"trace.json".ljust(257, b"\0") + b"ustar  \0", ": it is a tar archive", id="tar"),
        pytest.param(b"SQLite format 3\0", ": it is a SQLite database", id="sqlite"),
        pytest.param(
            b"\n\x88\x01\n\x10" + b"t" * 16 + b"\x12\x08pppppppp\x1a\x08ssssssss ",
            ": it is a list of Zipkin's spans in protobuf",
            id="zipkin-protobuf",
        ),
        pytest.param(
            b"\x0c\0\0\0\n\n\0\x01tttttttt\x0b\0\x03", ": it is a list of Zipkin's spans in Thrift", id="zipkin-thrift"
        ),
        pytest.param(
            b"\x0c\0\x01\x0b\0\x01\0\0\0\x04shop", ": it is a batch of Jaeger's spans in Thrift", id="jaeger-thrift"
        ),
        pytest.param(b"\n\xa4\x01\n\x1f\x00", ": it is binary data, perhaps protobuf", id="protobuf"),
        pytest.param(
            "Größe\x9b".encode(), ": it begins with 'Größe\\x9b', where JSON of traces begins with { or [", id="text"
        ),
        pytest.param(b"# Traces\n\n```json\n{}\n```\n", ": it looks like Markdown", id="markdown"),
        pytest.param(b"# a comment\nservice:\n  pipelines: {}\n", ": it looks like YAML", id="yaml"),
        pytest.param(
            b"2024-01-01T00:00:00Z\tinfo\n" * 1000 + b"ResourceSpans #0\nResource SchemaURL: \n",
            ": it looks like what the debug exporter of a collector prints; its file exporter writes OTLP",
            id="debug-exporter",
        ),
        pytest.param(
            b"Activity.TraceId:            0af7651916cd43dd8448eb211c80319c\n",
            ": it looks like what the console exporter of .NET prints",
            id="dotnet",
        ),
        pytest.param(
            b"INFO: i.o.e.l.LoggingSpanExporter - 'get' : 0af7651916cd43dd8448eb211c80319c\n",
            ": it looks like what the logging exporter of Java prints",
            id="java",
        ),
        pytest.param(
            b'Spans\nResource\n\t ->  service.name=String(Owned("a"))\n',
            ": it looks like what the stdout exporter of Rust prints",
            id="rust",
        ),
        pytest.param(as_json({"foo": 1, "b\nar": 2}), ": it looks like JSON with the keys foo, b\\nar", id="unknown"),
        pytest.param(
            as_json(dict.fromkeys("abcdef")), ": it looks like JSON with the keys a, b, c, d, ...", id="many-keys"
        ),
        pytest.param(
            as_json({"version": 1, "flamebearer": {}}), ": it looks like a flame graph of Pyroscope", id="pyroscope"
        ),
        pytest.param(
            as_json({"data": {"trace": {"spans": [{"traceId": "a", "segmentId": "b", "spanId": 0}]}}}),
            ": it looks like a trace of SkyWalking",
            id="skywalking",
        ),
        pytest.param(
            as_json({"hits": {"hits": [{"_source": {"processor": {}, "@timestamp": "", "trace": {"id": "a"}}}]}}),
            ": it looks like documents of Elastic APM",
            id="elastic-apm",
        ),
        pytest.param(
            as_json({"hits": {"hits": [{"_index": "i", "_id": "1", "fields": {"traceID": ["a"]}}]}}),
            ": it looks like hits of Elasticsearch that hold fields in place of documents: ask for `_source`",
            id="fields",
        ),
        pytest.param(
            lines({"metadata": {}}, {"transaction": {}}),
            " line 1: it looks like what agents of Elastic APM send",
            id="elastic-apm-agent",
        ),
        pytest.param(
            as_json({"traces": [{"traceID": "a"}]}),
            ": it looks like a search answer of Tempo, which holds no spans",
            id="tempo",
        ),
        pytest.param(as_json([None, V1_TRACE]), ": item 0 of a list is null, where a trace belongs", id="null"),
        pytest.param(
            as_json({"projectId": "p", "traceId": "a", "spans": [{"spanId": "1"}]}),
            ": it looks like a trace of Google Cloud",
            id="google",
        ),
        pytest.param(as_json([{"ph": "X", "ts": 1}]), ": it looks like a Chrome trace", id="chrome"),
        pytest.param(
            as_json({"metadata": {}, "traceEvents": []}), ": it looks like a Chrome trace", id="chrome-metadata"
        ),
        pytest.param(
            as_json({"metadata": {}, "kind": "a"}), ": it looks like JSON with the keys metadata, kind", id="k8s"
        ),
        pytest.param(
            as_json({"traces": "Spuren", "a": ""}), ": it looks like JSON with the keys traces, a", id="words"
        ),
        pytest.param(
            as_json({"trace": {"id": "1"}, "observations": []}), ": it looks like a trace of Langfuse", id="langfuse"
        ),
        pytest.param(
            as_json([{"traceId": "1", "serviceInstance": "a", "spans": [{"spanId": 0}]}]),
            ": it looks like a trace of SkyWalking",
            id="skywalking-instance",
        ),
        pytest.param(
            as_json([{"@timestamp": ["2020"], "processor.event": ["span"]}]),
            ": it looks like documents of Elastic APM",
            id="elastic-fields",
        ),
        pytest.param(as_json({"scopeLogs": []}), ": it looks like OTLP logs", id="scope-logs"),
        pytest.param(as_json({"resourceLogs": []}), ": it looks like OTLP logs", id="logs"),
        pytest.param(
            b'{"data":["a"]}',
            ": it looks like a list of names or numbers, as Jaeger's API answers for services",
            id="services",
        ),
        pytest.param(
            b'{"data":[{"name":"a","spanKind":""}]}',
            ": it looks like operations as Jaeger's API answers them",
            id="operations",
        ),
        pytest.param(b'{"data":"a"}', ": Expected object | array | null, got str - at $.data", id="data-is-text"),
        pytest.param(
            b'{"data":null,"errors":[{"code":500,"msg":"no\\nshards"}]}',
            ": it tells an error: no\\nshards",
            id="v1-error",
        ),
        pytest.param(b'{"error":{"message":"broke"}}', ": it tells an error: broke", id="v3-error"),
        pytest.param(b'{"data":[\n{"a":nul}]}', ": broken JSON at byte 16, line 2: invalid character", id="broken"),
        pytest.param(as_json([V1_TRACE])[:40], ": broken JSON: it ends in the middle, after 40 bytes", id="truncated"),
        pytest.param(as_json({"a": 1}) + b"\nreally", " line 1: it looks like JSON with the keys a", id="text-line"),
        pytest.param(
            as_json(OTLP) + b" really",
            ", after byte 162: it begins with 'really', where JSON of traces begins with { or [",
            id="text-behind",
        ),
        pytest.param(
            b'{"data":["\\ud800"]}', ": broken JSON at byte 10: half of a surrogate pair", id="lone-surrogate"
        ),
        pytest.param(b"[" * 100_000, ": nested too deep", id="deep"),
        pytest.param(b"[[[[[[[[]]]]]]]]", ": nested too deep for traces", id="lists-of-lists"),
        pytest.param(b'{"\xff":1}', ": text that is not UTF-8", id="not-utf-8"),
    ],
)
def test_everything_else_is_refused_in_one_line(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read_document(body, "x.json")

    assert caught.value.message == BEGINNING + message
    assert caught.value.hint.startswith("traceq reads Jaeger JSON")


@pytest.mark.parametrize(
    ("body", "note"),
    [
        pytest.param(
            lines(OTLP) + b"\nreally\n" + lines(OTLP),
            "left out because no traces can be read from them: 1 line "
            "(first: line 2: it begins with 'really', where JSON of traces begins with { or [)",
            id="between",
        ),
        pytest.param(
            b"2024-01-01 export\nINFO: " + lines(OTLP) + b"\n\n2024-01-01 stop",
            "lines without spans, left out: 2",
            id="behind what a logger writes",
        ),
    ],
)
def test_lines_of_text_beside_otlp_are_left_out(body: bytes, note: str) -> None:
    found = read_document(body, "x")

    assert {part.trace_id for part in found.parts} == {part.trace_id for part in read_document(lines(OTLP), "x").parts}
    assert found.notes == (note,)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (lines({"result": OTLP}, {"error": "broke"}), "line 2: it tells an error: broke"),
        (lines(OTLP) + b"\n{'a'", "line 2: broken JSON at byte 1: object keys must be strings"),
        (lines(OTLP, {"resourceLogs": []}), "line 2: it looks like OTLP logs"),
    ],
)
def test_lines_that_hold_something_else_are_told(body: bytes, told: str) -> None:
    document = read_document(body, "x.json")

    assert len(document.parts) == 1
    assert document.notes == (f"left out because no traces can be read from them: 1 line (first: {told})",)


def test_the_answer_of_a_server_is_whole_or_refused() -> None:
    for body in (lines({"result": OTLP}, {"error": "broke"}), as_json({"data": [V1_TRACE, V1_TRACE]})[:-9]):
        with pytest.raises(DecodeError, match=r"it tells an error: broke|it ends in the middle"):
            read_document(body, "http://x", is_answer=True)


def test_a_hostile_location_is_shown_escaped() -> None:
    with pytest.raises(DecodeError) as caught:
        read_document(b"", "a\x1b[2Jb.json")

    assert caught.value.message == "cannot read traces from a\\x1b[2Jb.json: it is empty"


def swallow(body: bytes) -> None:
    """Read everything there is to read; `DecodeError` is an answer, anything else is a failure of the test."""
    try:
        for part in read_document(body, "x").parts:
            for details in record_of(part).details:
                details.attributes(), details.resource(), details.events(), details.links(), details.warnings()
    except DecodeError as error:
        assert "\n" not in error.message  # noqa: PT017  the error is not expected, only allowed


_bits = st.one_of(
    st.sampled_from([b"{", b"}", b"[", b"]", b",", b":", b'"', b"\n", b"\\ud800", b"\xff"]),
    st.sampled_from([b"null", b"true", b"-1", b"1e999", b"9" * 30]),
    st.sampled_from([b'"data"', b'"spans"', b'"traceID"', b'"resourceSpans"', b'"traceId"', b'"result"', b'"errors"']),
)


@given(st.one_of(st.binary(), st.lists(_bits, max_size=20).map(b"".join)))
def test_any_bytes_give_a_document_or_a_decode_error(body: bytes) -> None:
    swallow(body)


@given(st.one_of(v1_traces(), otlp_documents()).map(as_json), st.data())
def test_any_damaged_document_gives_traces_or_a_decode_error(body: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))

    swallow(body[:start] + data.draw(_bits) + body[end:])


@pytest.mark.parametrize("depth", [10, 300, 100_000])
@pytest.mark.parametrize("place", ["attribute", "logs"])
def test_deep_values_give_a_record_or_a_decode_error(depth: int, place: str) -> None:
    deep = b'{"arrayValue":{"values":[' * depth + b"]}}" * depth
    value = b'[{"key":"error","value":' + (deep if place == "attribute" else b"{}") + b"}]"
    logs = b"[" * depth + b"]" * depth if place == "logs" else b"[]"
    otlp = b'{"traceId":"%032d","spanId":"%016d","attributes":%b,"events":%b}' % (1, 1, value, logs)
    v1 = b'{"traceID":"1","spans":[{"spanID":"1","tags":%b,"logs":%b}]}' % (value, logs)

    swallow(v1)
    swallow(b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % otlp)
