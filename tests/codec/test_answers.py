import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import as_json
from traceq.catalog import Operation, ServiceCall, ServiceSummary, TraceSummary
from traceq.codec.answers import (
    error_message,
    read_dependencies,
    read_operations,
    read_services,
    read_summaries,
    read_v3_operations,
    read_v3_services,
)
from traceq.errors import DecodeError

READERS = [
    read_services,
    read_operations,
    read_dependencies,
    read_summaries,
    read_v3_services,
    read_v3_operations,
]
NOT_FOUND = as_json({"data": None, "total": 0, "errors": [{"code": 404, "msg": "trace not found", "traceID": "00AB"}]})


@pytest.mark.parametrize(
    ("body", "services"),
    [
        pytest.param(b'{"data":["b","a","b"],"total":3,"errors":null}', ("a", "b"), id="sorted-once"),
        pytest.param(b'{"data":null,"total":0}', (), id="null-before-2.15"),
    ],
)
def test_services_are_read(body: bytes, services: tuple[str, ...]) -> None:
    assert read_services(body) == services


@pytest.mark.parametrize(
    ("body", "operations"),
    [
        pytest.param(
            b'{"data":[{"name":"get","spanKind":"server"},{"name":"get","spanKind":"client"},{"name":"a"}]}',
            (Operation("a"), Operation("get", "client"), Operation("get", "server")),
            id="objects",
        ),
        pytest.param(b'{"data":["b","a"]}', (Operation("a"), Operation("b")), id="names"),
        pytest.param(b'{"data":[{"name":"a","spanKind":"unspecified"}]}', (Operation("a"),), id="unspecified"),
        pytest.param(b'{"data":[{"name":"a","spanKind":null}]}', (Operation("a"),), id="null-kind"),
        pytest.param(b'{"data":null,"total":0}', (), id="unknown-service"),
    ],
)
def test_operations_are_read(body: bytes, operations: tuple[Operation, ...]) -> None:
    assert read_operations(body) == operations


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        pytest.param(
            b'{"data":[{"parent":"b","child":"a","callCount":2},{"parent":"a","child":"a","callCount":"3"},'
            b'{"parent":"b","child":"a","callCount":5}]}',
            (ServiceCall("a", "a", 3), ServiceCall("b", "a", 7)),
            id="summed",
        ),
        pytest.param(b'[{"parent":"a","child":"b","callCount":1.0}]', (ServiceCall("a", "b", 1),), id="bare-list"),
        pytest.param(b'{"data":null}', (), id="null"),
    ],
)
def test_dependencies_are_read(body: bytes, calls: tuple[ServiceCall, ...]) -> None:
    assert read_dependencies(body) == calls


def test_v3_services_and_operations_are_read() -> None:
    operations = b'{"operations":[{"name":"b","spanKind":"SPAN_KIND_SERVER"},{"name":"a","spanKind":"internal"}]}'

    assert read_v3_services(b'{"services":["b","a"]}') == ("a", "b")
    assert read_v3_operations(operations) == (Operation("a", "internal"), Operation("b", "server"))


@pytest.mark.parametrize("body", [b"{}", b" {\n}\n"], ids=["compact", "pretty"])
def test_v3_leaves_empty_lists_out(body: bytes) -> None:
    assert read_v3_services(body) == ()
    assert read_v3_operations(body) == ()
    assert read_summaries(body) == ()


def test_summaries_are_read() -> None:
    body = as_json(
        {
            "summaries": [
                {
                    "traceId": "00AB",
                    "rootServiceName": "web",
                    "rootOperationName": "GET /",
                    "minStartTimeUnixNano": "1700000000000000000",
                    "maxEndTimeUnixNano": "1700000000900000000",
                    "spanCount": 12,
                    "errorSpanCount": 1,
                    "orphanSpanCount": 2,
                    "services": [{"name": "db", "spanCount": 4}, {"name": "web", "spanCount": 8, "errorSpanCount": 1}],
                },
                {"traceID": "0c"},
            ]
        }
    )

    assert read_summaries(body) == (
        TraceSummary(
            "00ab",
            "web",
            "GET /",
            start_ns=1_700_000_000_000_000_000,
            duration_ns=900_000_000,
            span_count=12,
            error_count=1,
            orphan_count=2,
            services=(ServiceSummary("web", 8, 1), ServiceSummary("db", 4)),
        ),
        TraceSummary("0c", "", "", 0, 0, 0, 0, 0, ()),
    )


def test_a_summary_has_to_name_its_trace() -> None:
    with pytest.raises(DecodeError, match="one of them names no trace"):
        read_summaries(b'{"summaries":[{"spanCount":1}]}')


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(NOT_FOUND, "trace not found", id="v1"),
        pytest.param(b'{"error":{"httpCode":400,"message":"malformed"}}', "malformed", id="v3"),
        pytest.param(b"tenant missing\n", "tenant missing", id="text"),
    ],
)
def test_an_error_instead_of_an_answer_is_quoted(read: object, body: bytes, message: str) -> None:
    assert callable(read)
    with pytest.raises(DecodeError, match=f"^an error instead of .*: {message}$"):
        read(body)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"data":5}', b'{"total":0}', b"{}}", b"\xff"])
def test_anything_else_is_no_answer(read: object, body: bytes) -> None:
    assert callable(read)
    with pytest.raises(DecodeError, match=r"^(not an answer with|an error instead of) "):
        read(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(NOT_FOUND, "trace not found", id="v1"),
        pytest.param(b'{"data":[],"errors":[{"msg":"a"},{"msg":"b"},{"msg":"a"}]}', "a; b", id="several"),
        pytest.param(b'{"data":null,"errors":["plain"]}', "plain", id="text-in-list"),
        pytest.param(b'{"data":null,"errors":[{"code":500}]}', "no reason given", id="code-only"),
        pytest.param(b'{"error":{"grpcCode":2,"httpCode":500,"message":"m"}}', "m", id="v3-1.51"),
        pytest.param(
            b'{"error":"missing query","code":3,"message":"missing query"}', "missing query", id="v3-parameter"
        ),
        pytest.param(b'{"result":{}}\n{"error":{"message":"broke"}}\n', "broke", id="v3-stream"),
        pytest.param(b'{"message":"no Route matched"}', "no Route matched", id="gateway"),
        pytest.param(b"  tenant\x1b missing\nmore", "tenant\\x1b missing", id="text"),
        pytest.param(b"x" * 300, "x" * 197 + "...", id="long"),
        pytest.param(b"<html>404</html>", "", id="html"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b'{"data":[],"errors":null}', "", id="no-error"),
        pytest.param(b'{"resourceSpans":[]}', "", id="traces"),
    ],
)
def test_error_messages_are_found_in_every_shape(body: bytes, message: str) -> None:
    assert error_message(body) == message


@given(st.binary())
def test_any_bytes_are_an_answer_or_a_decode_error(body: bytes) -> None:
    for read in READERS:
        try:
            read(body)
        except DecodeError as error:
            assert "\n" not in error.message  # noqa: PT017  the error is not expected, only allowed
    error_message(body)
