from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.reading import records, table
from tests.strategies import as_json
from traceq.codec.documents import read_document
from traceq.errors import DecodeError
from traceq.semantics import Kind, Peer, Status
from traceq.traces import Event, Span, Traces

CLIENT = {
    "traceId": "000000000000000a",
    "id": "2",
    "parentId": "1",
    "kind": "CLIENT",
    "name": "get /item",
    "timestamp": 1_600_000_000_000_100,
    "duration": 900,
    "localEndpoint": {"serviceName": "front", "ipv4": "10.0.0.1", "port": 8080},
    "remoteEndpoint": {"serviceName": "stock", "ipv4": "10.0.0.2", "port": 9000},
    "tags": {"http.method": "GET", "error": "500"},
    "annotations": [{"timestamp": 1_600_000_000_000_300, "value": "late"}, {"timestamp": 1, "value": "early"}],
}
SERVER = {
    "traceId": "000000000000000a",
    "id": "2",
    "parentId": "1",
    "kind": "SERVER",
    "name": "get",
    "timestamp": 1_600_000_000_000_200,
    "duration": 500,
    "localEndpoint": {"serviceName": "stock", "ipv6": "::2"},
    "shared": True,
    "tags": {"error": "false"},
}
ROOT = {
    "traceId": "000000000000000a",
    "id": "1",
    "name": "page",
    "timestamp": 1_600_000_000_000_000,
    "duration": 1000.5,
    "localEndpoint": {"serviceName": "front", "ipv4": "10.0.0.1", "port": 8080},
}
US = 1_600_000_000_000_000


def test_a_span_has_the_columns_and_details_that_it_tells() -> None:
    (record,) = records(as_json([CLIENT]))

    assert (record.trace_id, record.span_ids, record.parent_ids) == ("000000000000000a", ["2"], [("1",)])
    assert (record.start_ns, record.duration_ns) == ([(US + 100) * 1000], [900_000])
    assert (record.kinds, record.statuses) == ([Kind.CLIENT], [Status.ERROR])
    assert (record.services, record.names, record.hosts) == (["front"], ["get /item"], ["10.0.0.1"])
    assert record.peers == [Peer("service", "stock", "")]
    (details,) = record.details
    assert details.attributes() == {
        "peer.service": "stock",
        "net.peer.ip": "10.0.0.2",
        "net.peer.port": 9000,
        "http.method": "GET",
        "error": "500",
    }
    assert details.resource() == {"ip": "10.0.0.1", "port": 8080}
    assert details.events() == (Event(1000, "early", {}), Event((US + 300) * 1000, "late", {}))
    assert (details.links(), details.warnings()) == ((), ())


def test_a_client_and_a_server_with_one_id_are_two_spans() -> None:
    traces = table(as_json([ROOT, SERVER, CLIENT]))

    assert list(traces.parents) == [-1, 2, 0]
    assert [traces.services[code] for code in traces.service_codes] == ["front", "stock", "front"]
    assert list(traces.statuses) == [Status.UNSET, Status.UNSET, Status.ERROR]
    assert traces.duration_ns[0] == 1_000_500
    assert traces.warnings == ()


V1_ENDPOINTS = {name: {"serviceName": name, "ipv4": "10.0.0.1"} for name in ("front", "stock")}
V1 = {
    "traceId": "a",
    "id": "2",
    "parentId": "1",
    "name": "get",
    "timestamp": US + 100,
    "duration": 900,
    "annotations": [
        {"timestamp": US + 100, "value": "cs", "endpoint": V1_ENDPOINTS["front"]},
        {"timestamp": US + 200, "value": "sr", "endpoint": V1_ENDPOINTS["stock"]},
        {"timestamp": US + 300, "value": "cache miss", "endpoint": V1_ENDPOINTS["stock"]},
        {"timestamp": US + 700, "value": "ss", "endpoint": V1_ENDPOINTS["stock"]},
        {"timestamp": US + 1000, "value": "cr", "endpoint": V1_ENDPOINTS["front"]},
    ],
    "binaryAnnotations": [
        {"key": "http.path", "value": "/item", "endpoint": V1_ENDPOINTS["front"]},
        {"key": "error", "value": "no item", "endpoint": V1_ENDPOINTS["stock"]},
        {"key": "sa", "value": True, "endpoint": V1_ENDPOINTS["stock"]},
    ],
}


def test_a_v1_object_with_both_sides_is_two_spans() -> None:
    (record,) = records(as_json([V1]))

    assert (record.span_ids, record.parent_ids) == (["2", "2"], [("1",), ("1",)])
    assert record.kinds == [Kind.CLIENT, Kind.SERVER]
    assert record.services == ["front", "stock"]
    assert record.start_ns == [(US + 100) * 1000, (US + 200) * 1000]
    assert record.duration_ns == [900_000, 500_000]
    assert record.statuses == [Status.UNSET, Status.ERROR]
    assert record.peers == [Peer("service", "stock", ""), None]
    client, server = record.details
    assert (client.attributes()["http.path"], server.attributes()) == ("/item", {"error": "no item"})
    assert (client.events(), server.events()) == ((), (Event((US + 300) * 1000, "cache miss", {}),))


LOCAL = {"key": "lc", "value": "", "endpoint": V1_ENDPOINTS["stock"]}
"""Names where a span ran, and no more."""
MESSAGING = {"ms": 400, "ws": 410, "wr": 500, "mr": 520}


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param(["cs", "cr"], (Kind.CLIENT, 100_000, 900_000), id="client"),
        pytest.param(["sr", "ss"], (Kind.SERVER, 200_000, 500_000), id="server"),
        pytest.param(["sr"], (Kind.SERVER, 200_000, 0), id="server-that-has-not-answered"),
        pytest.param(["ss"], (Kind.SERVER, 700_000, 0), id="server-known-by-its-end"),
        pytest.param(["cache miss"], (Kind.UNSPECIFIED, 300_000, 0), id="neither"),
        pytest.param(["ms", "ws"], (Kind.PRODUCER, 400_000, 10_000), id="producer"),
        pytest.param(["wr", "mr"], (Kind.CONSUMER, 500_000, 20_000), id="consumer"),
        pytest.param(["mr"], (Kind.CONSUMER, 520_000, 0), id="consumer-at-an-instant"),
    ],
)
def test_a_v1_object_without_times_has_those_of_its_annotations(
    annotations: list[str], expected: tuple[Kind, int, int]
) -> None:
    messaging = [{"timestamp": US + at, "value": word} for word, at in MESSAGING.items()]
    told = [each for each in (*V1["annotations"], *messaging) if each["value"] in annotations]  # type: ignore[misc]
    (record,) = records(as_json([{"traceId": "a", "id": "2", "annotations": told, "binaryAnnotations": [LOCAL]}]))

    found = (record.kinds[0], record.start_ns[0] - US * 1000, record.duration_ns[0])
    assert (len(record.span_ids), found, record.details[0].attributes()) == (1, expected, {})
    assert len(record.details[0].events()) == ("cache miss" in annotations)


def test_a_span_that_tells_of_instants_alone_starts_with_the_first_of_them() -> None:
    told = [{"timestamp": US + at, "value": "seen", "endpoint": V1_ENDPOINTS["stock"]} for at in (300, 200, 400)]

    (record,) = records(as_json([{"traceId": "a", "id": "2", "annotations": told}]))

    assert record.start_ns[0] == (US + 200) * 1000


def test_messages_have_their_broker_as_peer() -> None:
    sent = {**ROOT, "kind": "PRODUCER", "remoteEndpoint": {"serviceName": "kafka"}, "tags": {"kafka.topic": "orders"}}
    received = {**ROOT, "id": "3", "parentId": "1", "kind": "CONSUMER", "tags": {"rabbit.queue": "mail"}}

    (record,) = records(as_json([sent, received]))

    assert record.kinds == [Kind.PRODUCER, Kind.CONSUMER]
    assert record.peers == [Peer("messaging", "kafka", "orders"), Peer("messaging", "rabbitmq", "mail")]


NEXT_JS = [
    {"name": "make", "duration": 300, "timestamp": 5_000_500, "id": 2, "parentId": 1, "tags": {}},
    {
        "name": "build",
        "duration": 4000,
        "timestamp": 5_000_000,
        "id": 1,
        "tags": {"version": "14", "isTurbopack": False},
    },
]


def test_the_trace_of_next_js_is_put_into_the_calendar() -> None:
    started = [1_700_000_000_001, 1_700_000_000_000]
    lines = [
        json.dumps([{**span, "startTime": at, "traceId": "0c"}]) for span, at in zip(NEXT_JS, started, strict=True)
    ]

    traces = table("\n".join(lines).encode())

    assert (len(traces), list(traces.parents)) == (1, [1, -1])
    assert list(traces.start_ns) == [1_700_000_000_000_500_000, 1_700_000_000_000_000_000]
    assert (traces.services, traces.span_ids) == (("nextjs",), ("2", "1"))
    assert traces.span(1).details.attributes() == {"version": "14", "isTurbopack": False}


def test_a_span_of_next_js_without_a_time_starts_with_its_parent() -> None:
    spans = [{**span, "startTime": 1_700_000_000_000, "traceId": "0c"} for span in NEXT_JS]
    spans[0]["timestamp"] = 0

    traces = table(as_json(spans))

    assert list(traces.start_ns) == [1_700_000_000_000_000_000] * 2
    assert [(each.code, each.span_id) for each in traces.warnings] == [("start-missing", "2")]


def test_fractions_of_microseconds_are_exact() -> None:
    traces = table(as_json([{**ROOT, "timestamp": 1_780_000_021_974_512.5, "duration": 1234.567}]))

    assert (traces.start_ns[0], traces.duration_ns[0]) == (1_780_000_021_974_512_500, 1_234_567)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(as_json([ROOT]), id="list"),
        pytest.param(as_json([[ROOT]]), id="lists-by-trace"),
        pytest.param(as_json(ROOT), id="one"),
        pytest.param(as_json(ROOT) + b"\n" + as_json({**ROOT, "id": "2", "parentId": "1"}), id="lines"),
        pytest.param(json.dumps(ROOT, indent=1).encode() * 1, id="pretty"),
        pytest.param(as_json([{**ROOT, "traceId": ROOT["traceId"].upper()}]), id="upper-case"),  # type: ignore[attr-defined]
    ],
)
def test_spans_are_found_however_they_are_wrapped(body: bytes) -> None:
    parts = read_document(body, "x.json").parts

    assert [part.trace_id for part in parts] == ["000000000000000a"]


def test_spans_that_name_no_trace_are_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        records(as_json([{**ROOT, "traceId": None}]))

    assert caught.value.message == "cannot read traces from x.json: its spans name no trace"


ids = st.one_of(st.text("123456789abcdef", min_size=1, max_size=16), st.integers(1, 99))
endpoints = st.none() | st.fixed_dictionaries(
    {}, optional={"serviceName": st.sampled_from(["a", "b", None]), "ipv4": st.just("10.0.0.1"), "port": st.just(80)}
)
spans = st.fixed_dictionaries(
    {"traceId": st.sampled_from(["0a", "0b"]), "id": ids, "localEndpoint": endpoints},
    optional={
        "parentId": st.none() | ids,
        "name": st.none() | st.text(max_size=3),
        "kind": st.sampled_from(["CLIENT", "SERVER", "PRODUCER", "CONSUMER", None, "other"]),
        "timestamp": st.integers(0, 2**50) | st.floats(0, 2**50),
        "duration": st.integers(-5, 2**40),
        "remoteEndpoint": endpoints,
        "tags": st.dictionaries(st.sampled_from(["error", "http.url", "kafka.topic", "x"]), st.text(max_size=3)),
        "annotations": st.lists(
            st.fixed_dictionaries(
                {
                    "value": st.sampled_from(["cs", "cr", "sr", "ss", "ms", "ws", "wr", "mr", "x"]),
                    "timestamp": st.integers(1, 2**50),
                },
                optional={"endpoint": endpoints},
            ),
            max_size=3,
        ),
        "binaryAnnotations": st.lists(
            st.fixed_dictionaries(
                {"key": st.sampled_from(["sa", "lc", "error"]), "value": st.booleans() | st.text(max_size=2)},
                optional={"endpoint": endpoints},
            ),
            max_size=2,
        ),
    },
)


@st.composite
def pieces_of_client(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Report each thing that is known of `CLIENT` in at least one piece, the lists and maps item by item."""
    pieces: list[dict[str, Any]] = [{"traceId": CLIENT["traceId"], "id": CLIENT["id"]} for _ in range(3)]
    some = st.lists(st.sampled_from(pieces), min_size=1, unique_by=id)
    for key, value in CLIENT.items():
        if key == "annotations":
            for each in value:  # type: ignore[attr-defined]
                for piece in draw(some):
                    piece.setdefault(key, []).append(each)
        elif isinstance(value, dict):
            for inner, text in value.items():
                for piece in draw(some):
                    piece.setdefault(key, {})[inner] = text
        else:
            for piece in draw(some):
                piece[key] = value
    kept = [piece for piece in pieces if len(piece) > 2]
    return draw(st.permutations(kept))


@given(pieces_of_client(), st.permutations([ROOT, SERVER]))
def test_pieces_of_a_span_are_the_span(pieces: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    told = [{**piece, "localEndpoint": piece.get("localEndpoint") or {}} for piece in pieces]
    traces, whole = table(as_json([*others, *told])), table(as_json([*others, CLIENT]))

    assert {read.details.attributes()["http.method"] for read in _spans(traces, "CLIENT")} == {"GET"}
    assert [_told(read) for read in _spans(traces)] == [_told(read) for read in _spans(whole)]
    assert {warning.code for warning in traces.warnings} <= {"duplicate-dropped"}


def _spans(traces: Traces, kind: str = "") -> list[Span]:
    found = (traces.span(row) for row in range(traces.span_count))
    return sorted((span for span in found if kind in ("", span.kind.name)), key=lambda span: span.start_ns)


def _told(span: Span) -> tuple[object, ...]:
    times = (span.start_ns, span.duration_ns, span.details.events())
    return span.span_id, span.kind, span.status, span.service, span.name, times, span.details.attributes()


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        pytest.param({}, [{"late": "1"}, {}], id="what-names-no-side-is-the-client's"),
        pytest.param({"localEndpoint": {"serviceName": "stock"}}, [{}, {"late": "1"}], id="endpoint-of-the-server"),
        pytest.param({"shared": True}, [{}, {"late": "1"}], id="shared"),
        pytest.param({"kind": "SERVER"}, [{}, {"late": "1"}], id="kind"),
        pytest.param({"duration": 7, "timestamp": US, "localEndpoint": {}}, None, id="other-times"),
        pytest.param({"localEndpoint": {"serviceName": "else"}}, None, id="a-third-service"),
    ],
)
def test_a_late_piece_belongs_to_the_side_that_it_fits(
    late: dict[str, Any], expected: list[dict[str, str]] | None
) -> None:
    piece = {"traceId": CLIENT["traceId"], "id": "2", "localEndpoint": None, "tags": {"late": "1"}, **late}
    traces = table(as_json([piece, SERVER, CLIENT, ROOT]))

    pair = [*_spans(traces, "CLIENT"), *_spans(traces, "SERVER")]
    found = [{key: value for key, value in span.details.attributes().items() if key == "late"} for span in pair]
    if expected is None:
        assert (traces.span_count, "duplicate-id" in {warning.code for warning in traces.warnings}) == (4, True)
    else:
        assert (traces.span_count, found, traces.warnings) == (3, expected, ())


def test_a_v1_client_that_was_reported_at_its_start_and_at_its_end_is_one_span() -> None:
    sent, ended = ([each for each in V1["annotations"] if each["value"] == value] for value in ("cs", "cr"))  # type: ignore[attr-defined]
    bare = {"traceId": "a", "id": "2", "name": "get", "binaryAnnotations": []}
    (record,) = records(as_json([{**bare, "annotations": ended}, {**bare, "annotations": sent}]))

    assert (record.kinds, record.start_ns, record.duration_ns) == ([Kind.CLIENT], [(US + 100) * 1000], [900_000])


def test_pieces_far_apart_in_a_long_trace_are_put_together() -> None:
    between = [{**ROOT, "id": f"{number:x}", "parentId": "1"} for number in range(16, 4016)]
    late = {"traceId": ROOT["traceId"], "id": "1", "localEndpoint": None, "tags": {"late": "1"}}
    (record,) = records(as_json([ROOT, *between, late]))

    assert (len(record.span_ids), len(set(record.span_ids))) == (4001, 4001)
    assert record.details[0].attributes() == {"late": "1"}


@given(st.lists(spans, min_size=1, max_size=5))
def test_every_object_is_at_least_one_span_of_its_trace(objects: list[dict[str, Any]]) -> None:
    found = {record.trace_id: record for record in records(as_json(objects))}

    for trace_id in {each["traceId"] for each in objects}:
        written = [str(each["id"]) for each in objects if each["traceId"] == trace_id]
        read = found[trace_id].span_ids
        assert list(dict.fromkeys(read)) == list(dict.fromkeys(written))
        assert len(read) <= 4 * len(written)
        assert len(found[trace_id].details) == len(read) == len(found[trace_id].start_ns)
