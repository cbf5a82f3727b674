"""`traceq capture`: real children, real sockets on loopback, and files that other commands read."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any

import pytest

import traceq
from tests.cli.conftest import ROOT
from traceq.codec.otlp_requests import JSON, PROTOBUF, require_protobuf
from traceq.sources.receiver import LOOPBACK, Inbox, opened, receiving_grpc, receiving_http

SPAN = {
    "traceId": "5b8aa5a2d2c872e8321cf37308d69df2",
    "spanId": "b7ad6b7169203331",
    "name": "GET /",
    "kind": 2,
    "startTimeUnixNano": "1700000000000000000",
    "endTimeUnixNano": "1700000000050000000",
    "attributes": [{"key": "n", "value": {"intValue": "9007199254740993"}}],
    "events": [{"timeUnixNano": "1700000000010000000", "name": "cache miss"}],
    "links": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00f067aa0ba902b7"}],
    "status": {"code": 2, "message": "no"},
    "droppedAttributesCount": 4,
}
REQUEST = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [{"scope": {"name": "tests"}, "spans": [SPAN]}],
        }
    ]
}
BODY = json.dumps(REQUEST, indent=2).encode()

SENDING = """
import json, os, sys, urllib.request
body = {body!r}
for _ in range({times}):
    url = os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    request = urllib.request.Request(url, body, {{"Content-Type": {kind!r}}})
    urllib.request.urlopen(request).read()
{then}
"""


def sending(times: int = 1, then: str = "", body: bytes = BODY, kind: str = JSON) -> tuple[str, ...]:
    """Give a command that sends a request some times, and then does something."""
    return sys.executable, "-c", SENDING.format(body=body, times=times, then=then, kind=kind)


def captured(path: Path, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command under `traceq capture`."""
    return subprocess.run(
        [sys.executable, "-m", "traceq", "capture", "-o", str(path), "--grace", "50ms", *options, "--", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
    )


def message() -> bytes:
    """Give the request as protobuf."""
    trace_service, json_format, _ = require_protobuf()
    request = trace_service.ExportTraceServiceRequest()
    shared = json.loads(BODY)
    span = shared["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    for holder in (span, *span["links"]):
        for key in ("traceId", "spanId"):
            # Protobuf's own JSON has bytes in base64.
            holder[key] = b64encode(bytes.fromhex(holder[key])).decode()
    json_format.ParseDict(shared, request)
    written: bytes = request.SerializeToString()
    return written


def kept(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_commands_spans_output_and_exit_code_pass_through(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    done = captured(path, *sending(times=2, then="print('out'); print('err', file=sys.stderr); sys.exit(3)"))

    assert (done.returncode, done.stdout) == (3, "out\n")
    receiving, *rest = done.stderr.splitlines()
    assert receiving.startswith("traceq: note: receiving OTLP/HTTP at http://127.0.0.1:")
    assert rest == [
        "err",
        f"traceq: note: wrote 2 spans of shop to {path}",
        f"traceq: note: next: traceq bottlenecks --source {path}",
    ]
    assert kept(path) == [REQUEST, REQUEST]
    assert traceq.load(path).span_count >= 1


def test_an_instrumented_program_needs_no_settings(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from opentelemetry import trace\n"
        "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter\n"
        "from opentelemetry.sdk.resources import Resource\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import BatchSpanProcessor\n"
        "provider = TracerProvider(resource=Resource({'service.name': 'program'}))\n"
        "provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))\n"
        "tracer = provider.get_tracer('tests')\n"
        "with tracer.start_as_current_span('outer'), tracer.start_as_current_span('inner'):\n"
        "    pass\n"
    )
    path = tmp_path / "run.jsonl"

    done = captured(path, sys.executable, str(program))

    assert done.returncode == 0, done.stderr
    traces = traceq.load(path)
    assert (len(traces), sorted(traces.span(row).name for row in traces.rows(0))) == (1, ["inner", "outer"])
    assert traces.services == ("program",)
    assert not traces.warnings


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_protobuf_is_kept_whole(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "run.jsonl"
    with path.open("wb") as out:
        inbox = Inbox(out, 10**6)
        if protocol == "grpc":
            grpc = pytest.importorskip("grpc")
            with receiving_grpc(inbox, 0) as port, grpc.insecure_channel(f"{LOOPBACK}:{port}") as channel:
                method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
                assert channel.unary_unary(method)(message(), timeout=10) == b""
        else:
            with receiving_http(inbox, 0) as port:
                assert post(port, message(), PROTOBUF) == (200, b"")

    assert kept(path) == [REQUEST]


def post(port: int, body: bytes | Iterator[bytes], kind: str = JSON, path: str = "/v1/traces", **headers: str) -> Any:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    sent = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request("POST", path, body, sent, encode_chunked=not isinstance(body, bytes))
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(BODY), {"Content_Encoding": "gzip"}),
        (zlib.compress(BODY), {"Content_Encoding": "deflate"}),
        (iter([BODY[:100], BODY[100:]]), {"Transfer_Encoding": "chunked"}),
    ],
    ids=["gzip", "deflate", "chunked"],
)
def test_bodies_are_read_however_they_are_sent(body: Any, headers: dict[str, str]) -> None:
    out = BytesIO()
    with receiving_http(inbox := Inbox(out, 10**6), 0) as port:
        assert post(port, body, **headers) == (200, b"{}")

    assert json.loads(out.getvalue()) == REQUEST
    assert inbox.received.span_count == 1


@pytest.mark.parametrize(
    ("body", "path", "headers", "status"),
    [
        (b"{", "/v1/traces", {}, 400),
        (b'{"resourceSpans": 3}', "/v1/traces", {}, 400),
        (b"\xff\xff", "/v1/traces", {"kind": PROTOBUF}, 400),
        (b"not gzip", "/v1/traces", {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(BODY)[:-20], "/v1/traces", {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(bytes(80 * 2**20)), "/v1/traces", {"Content_Encoding": "gzip"}, 413),
        (BODY, "/v1/traces", {"Content_Encoding": "br"}, 415),
        (BODY, "/api/v2/spans", {}, 404),
    ],
    ids=["cut off", "other JSON", "no protobuf", "no gzip", "gzip cut off", "a bomb", "brotli", "another route"],
)
def test_what_cannot_be_kept_is_refused_and_counted(body: bytes, path: str, headers: Any, status: int) -> None:
    out = BytesIO()
    with receiving_http(inbox := Inbox(out, 10**6), 0) as port:
        assert post(port, body, path=path, **headers)[0] == status

    assert out.getvalue() == b""
    assert len(inbox.received.broken) == 1


@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        ({"Origin": "https://evil.example"}, 403, "sent by a page of https://evil.example"),
        ({"Origin": "null"}, 403, "sent by a page of null"),
        ({"Origin": "http://localhost.evil.example:4318"}, 403, "sent by a page of http://localhost.evil.example:4318"),
        ({"Origin": "http://[::1"}, 403, "sent by a page of http://[::1"),
        ({"Host": "evil.example:4318"}, 421, "sent to evil.example:4318, which is not this machine"),
        ({"Host": "127.0.0.1@evil.example"}, 421, "sent to 127.0.0.1@evil.example, which is not this machine"),
    ],
    ids=["a site", "a sandbox", "a name that begins like ours", "broken", "a name made to lead here", "a user"],
)
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/metrics"])
def test_pages_of_other_sites_cannot_send_spans(headers: dict[str, str], status: int, told: str, path: str) -> None:
    """A browser on this machine may be told by any page to send what the page made up."""
    out = BytesIO()
    with receiving_http(inbox := Inbox(out, 10**6), 0) as port:
        assert post(port, BODY, "text/plain", path, **headers) == (status, told.encode())

    assert (out.getvalue(), inbox.received.broken, inbox.received.other_count) == (b"", [told], 0)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:4318"},
        {"Host": "[::1]:4318"},
        {"Host": "LOCALHOST"},
        {"Host": "host.docker.internal:4318"},
        {"Origin": "http://localhost:3000"},
    ],
    ids=["localhost", "IPv6", "capitals", "a container", "a page from this machine"],
)
def test_programs_of_this_machine_may_call_it_by_its_names(headers: dict[str, str]) -> None:
    with receiving_http(inbox := Inbox(BytesIO(), 10**6), 0) as port:
        assert post(port, BODY, **headers) == (200, b"{}")

    assert inbox.received.span_count == 1


def test_metrics_and_logs_are_accepted_and_counted() -> None:
    with receiving_http(inbox := Inbox(BytesIO(), 10**6), 0) as port:
        assert post(port, b"{}", path="/v1/metrics") == (200, b"{}")
        assert post(port, b"{}", path="/v1/logs") == (200, b"{}")

    assert (inbox.received.other_count, inbox.received.request_count) == (2, 0)


def test_a_flood_is_told_and_what_was_kept_is_readable(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    done = captured(path, *sending(times=20), options=("--max-size", "4kB"))

    assert done.returncode == 4
    left_out = 20 - len(kept(path))
    assert 0 < left_out < 20
    assert f"traceq: warning: {left_out} spans more did not fit into 4 KB: raise --max-size" in done.stderr
    assert path.stat().st_size <= 4000


def test_exporters_are_told_what_was_left_out() -> None:
    with receiving_http(Inbox(BytesIO(), 10), 0) as port:
        status, answer = post(port, BODY)

    assert (status, json.loads(answer)) == (
        200,
        {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "the file has reached 10 B"}},
    )


def test_a_full_disk_is_an_error_but_not_the_commands() -> None:
    class Full(BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    with receiving_http(inbox := Inbox(Full(), 10**6), 0) as port:
        status, told = post(port, BODY)

    assert (status, told) == (500, b"the file cannot be written: No space left on device")
    assert inbox.failure is not None


def test_a_command_that_is_killed_leaves_what_it_sent(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    done = captured(path, *sending(then="os.kill(os.getpid(), 9)"))

    assert done.returncode == 128 + signal.SIGKILL
    assert "traceq: warning: the command was ended by SIGKILL" in done.stderr
    assert kept(path) == [REQUEST]


def test_a_command_that_sends_nothing_is_told(tmp_path: Path) -> None:
    done = captured(tmp_path / "run.jsonl", sys.executable, "-c", "")

    assert done.returncode == 0
    assert "traceq: warning: no span was received\ntraceq: hint: is the command instrumented" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [("/nonexistent/command", 127, "there is no command"), (str(ROOT), 126, "cannot run")],
)
def test_a_command_that_cannot_be_run_ends_as_in_a_shell(tmp_path: Path, command: str, code: int, told: str) -> None:
    done = captured(tmp_path / "run.jsonl", command)

    assert done.returncode == code
    assert f"traceq: error: {told} '{command}'" in done.stderr


def test_a_file_that_cannot_be_written_is_told_before_the_command_runs(tmp_path: Path) -> None:
    done = captured(tmp_path / "missing" / "run.jsonl", sys.executable, "-c", "print('ran')")

    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot write" in done.stderr


def test_a_port_that_is_taken_is_told_before_the_command_runs(tmp_path: Path) -> None:
    with receiving_http(Inbox(BytesIO(), 10), 0) as port:
        done = captured(tmp_path / "r.jsonl", sys.executable, "-c", "print('ran')", options=("--http-port", str(port)))

    assert (done.returncode, done.stdout) == (4, "")
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_a_command_a_signal_ends_it(tmp_path: Path, number: int) -> None:
    path = tmp_path / "run.jsonl.gz"
    command = [sys.executable, "-m", "traceq", "capture", "-o", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().partition("127.0.0.1:")[2].partition(";")[0])
        assert post(port, BODY) == (200, b"{}")
        process.send_signal(number)
        _, told = process.communicate(timeout=30)

    assert process.returncode == 0, told
    assert "wrote 1 span of shop" in told
    assert json.loads(gzip.decompress(path.read_bytes())) == REQUEST


def test_a_signal_reaches_the_command(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    child = sending(
        then="import signal; signal.signal(15, lambda *_: sys.exit(7)); print('ready', flush=True); signal.pause()"
    )
    command = [sys.executable, "-m", "traceq", "capture", "-o", str(path), "--grace", "50ms", "--", *child]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert process.returncode == 7
    assert kept(path) == [REQUEST]


def test_a_full_disk_leaves_whole_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = len(json.dumps(REQUEST, separators=(",", ":"))) + 1

    class Small(FileIO):
        def write(self, data: Any) -> int:
            room = whole + 100 - self.tell()
            if not room:
                raise OSError(28, "No space left on device")
            return super().write(memoryview(data)[:room])

    with Small(path, "w") as file, receiving_http(Inbox(file, 10**6), 0) as port:
        statuses = [post(port, BODY)[0] for _ in range(3)]

    assert statuses == [200, 500, 500]
    assert kept(path) == [REQUEST]


@pytest.mark.skipif(sys.platform == "win32", reason="files cannot be claimed there")
@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_two_captures_do_not_write_over_each_other(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    with opened(str(path)) as out:
        out.write(b"{}\n")
        done = captured(path, *sending())

    assert (done.returncode, done.stdout) == (2, "")
    assert "another capture is writing to it" in done.stderr
    assert (gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()) == b"{}\n"


def test_spans_are_not_written_among_what_the_command_prints() -> None:
    done = captured(Path("-"), *sending())

    assert (done.returncode, done.stdout) == (2, "")
    assert not (ROOT / "-").exists()


def test_whoever_goes_on_to_send_is_not_waited_for_without_end() -> None:
    inbox = Inbox(BytesIO(), 10**6)

    with inbox.receiving():
        is_quiet = inbox.wait_until_quiet(0, 0.05)

    assert not is_quiet
    assert inbox.wait_until_quiet(0, 0.05)
