"""What exporters and collectors wrote, counted by readers of a few lines that know nothing of traceq's codecs."""

from __future__ import annotations

import gzip
import json
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.codec.reading import table
from traceq.semantics import Status

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
_Row = tuple[str, str, str, bool]
"""Of a span: its trace, its own id, its service, and whether it is an error."""


def otlp(document: dict[str, Any]) -> Iterator[_Row]:
    for group in document["resourceSpans"]:
        told = {each["key"]: each["value"].get("stringValue") for each in group["resource"]["attributes"]}
        for span in (span for scope in group["scopeSpans"] for span in scope["spans"]):
            is_error = span.get("status", {}).get("code") in (2, "STATUS_CODE_ERROR")
            yield span["traceId"], span["spanId"], told["service.name"], is_error


def otlp_lines(body: bytes) -> Iterator[_Row]:
    for line in body.splitlines():
        yield from otlp(json.loads(line))


def protobuf(body: bytes) -> Iterator[_Row]:
    messages = pytest.importorskip("opentelemetry.proto.trace.v1.trace_pb2")
    to_dict = pytest.importorskip("google.protobuf.json_format").MessageToDict
    yield from otlp(to_dict(messages.TracesData.FromString(body)))


def framed(read: Callable[[bytes], Iterator[_Row]], unpack: Callable[[bytes], bytes]) -> Callable[..., Iterator[_Row]]:
    def frames(body: bytes) -> Iterator[_Row]:
        while body:
            (size,) = struct.unpack(">I", body[:4])
            yield from read(unpack(body[4 : 4 + size]))
            body = body[4 + size :]

    return frames


def zipkin_v2(body: bytes) -> Iterator[_Row]:
    for span in json.loads(body):
        tags = span["tags"]
        yield span["traceId"], span["id"], span["localEndpoint"]["serviceName"], tags.get("otel.status_code") == "ERROR"


def zipkin_v1(body: bytes) -> Iterator[_Row]:
    for span in json.loads(body):
        tags = {each["key"]: each["value"] for each in span["binaryAnnotations"]}
        (service,) = {each["endpoint"]["serviceName"] for each in span["binaryAnnotations"]}
        yield span["traceId"], span["id"], service, tags.get("otel.status_code") == "ERROR"


def stubs(body: bytes) -> Iterator[_Row]:
    text, at = re.sub(rb"(?m)^[^{}\s].*$", b"", body).decode().strip(), 0
    while at < len(text):
        span, at = json.JSONDecoder().raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        (service,) = (each["Value"]["Value"] for each in span["Resource"] if each["Key"] == "service.name")
        yield span["SpanContext"]["TraceID"], span["SpanContext"]["SpanID"], service, span["Status"]["Code"] == "Error"


def printed(trace_id: str, span_id: str, service: str, error: str) -> Callable[[bytes], Iterator[_Row]]:
    """Read blocks that begin and end with a brace at the beginning of a line."""

    def read(body: bytes) -> Iterator[_Row]:
        for block in re.findall(r"(?ms)^\{$.*?^\}$", body.decode()):
            first = [re.search(pattern, block, re.MULTILINE) for pattern in (trace_id, span_id, service)]
            found = [each[1] for each in first if each is not None]
            yield found[0], found[1], found[2], re.search(error, block) is not None

    return read


python_console = printed(r'"trace_id": "0x(\w+)"', r'"span_id": "0x(\w+)"', r'"service.name": "(.*?)"', '"ERROR"')
js_console = printed(
    r"^  traceId: '(\w+)'", r"^  id: '(\w+)'", r"'service.name': '(.*?)'", r"(?m)^  status: \{ code: 2"
)


def rust(body: bytes) -> Iterator[_Row]:
    for line in body.splitlines()[1:]:
        for trace_id, span_id, service, _ in otlp(json.loads(line)):
            yield trace_id, span_id, service, b'"status":{"message":"boom","code":1}' in line


def coloured(body: bytes) -> Iterator[_Row]:
    return js_console(re.sub(rb"\x1b\[\d+m", b"", body))


def clickhouse(rows: Iterable[dict[str, Any]]) -> Iterator[_Row]:
    return ((row["TraceId"], row["SpanId"], row["ServiceName"], row["StatusCode"] == "Error") for row in rows)


def clickhouse_rows(body: bytes) -> Iterator[_Row]:
    return clickhouse(map(json.loads, body.splitlines()))


def clickhouse_bytes(body: bytes) -> Iterator[_Row]:
    columns = ["TraceId", "SpanId", "ServiceName", "StatusCode"]
    rows = pq.read_table(BytesIO(body), columns=columns).to_pylist()
    return clickhouse({key: value.decode() for key, value in row.items()} for row in rows)


def documents(body: bytes) -> Iterator[_Row]:
    for hit in json.loads(body)["hits"]["hits"]:
        span = hit["_source"]
        tags = {each["key"]: each["value"] for each in span["tags"]} | span.get("tag", {})
        yield span["traceID"], span["spanID"], span["process"]["serviceName"], tags.get("error") is True


@pytest.mark.parametrize(
    ("name", "read"),
    [
        pytest.param("printed/rust-stdout-json.txt", rust, id="rust-stdout-json"),
        pytest.param("printed/js-console-colours.txt", coloured, id="js-console-colours"),
        pytest.param("exported/clickhouse-rows.json", clickhouse_rows, id="clickhouse-rows"),
        pytest.param("exported/clickhouse-bytes.parquet", clickhouse_bytes, id="clickhouse-bytes"),
        pytest.param("exported/jaeger-opensearch.json", documents, id="jaeger-opensearch"),
        pytest.param("exported/jaeger-opensearch-fields.json", documents, id="jaeger-opensearch-fields"),
        pytest.param("printed/python-console.txt", python_console, id="python-console"),
        pytest.param("printed/js-console.txt", js_console, id="js-console"),
        pytest.param("printed/go-stdouttrace.json", stubs, id="go-stdouttrace"),
        pytest.param("printed/go-stdouttrace-pretty.json", stubs, id="go-stdouttrace-pretty"),
        pytest.param("exported/js-zipkin-v2.json", zipkin_v2, id="js-zipkin-v2"),
        pytest.param("exported/python-zipkin-v2.json", zipkin_v2, id="python-zipkin-v2"),
        pytest.param("exported/python-zipkin-v1.json", zipkin_v1, id="python-zipkin-v1"),
        pytest.param("exported/js-otlp.json", otlp_lines, id="js-otlp-json"),
        pytest.param("exported/js-otlp.pb", protobuf, id="js-otlp-protobuf"),
        pytest.param("exported/go-otlp.pb.gz", protobuf, id="go-otlp-protobuf"),
        pytest.param("exported/collector.json", otlp_lines, id="collector"),
        pytest.param("exported/collector.pb", framed(protobuf, bytes), id="collector-protobuf"),
        pytest.param("exported/collector-zstd.json", framed(otlp_lines, zstd.decompress), id="collector-zstd"),
        pytest.param("exported/collector-zstd.pb", framed(protobuf, zstd.decompress), id="collector-protobuf-zstd"),
    ],
)
def test_an_independent_reader_counts_the_same(name: str, read: Callable[[bytes], Iterator[_Row]]) -> None:
    body = (FIXTURES / name).read_bytes()
    body = gzip.decompress(body) if name.endswith(".gz") else body
    rows = list(read(body))

    traces = table(body)

    assert len(rows) == traces.span_count >= 2
    assert len({trace_id for trace_id, *_ in rows}) == len(traces)
    assert {service for _, _, service, _ in rows} == {traces.services[code] for code in traces.service_codes}
    assert sum(is_error for *_, is_error in rows) == sum(status == Status.ERROR for status in traces.statuses) >= 1
