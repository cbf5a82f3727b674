"""One bad span costs one span, or less: what is wrong with it is put right or left out, and told."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import as_json
from traceq.codec import by_trace, read_table
from traceq.codec.documents import read_document
from traceq.codec.parts import parted
from traceq.traces import Traces

US = 1_700_000_000_000_000
NS = US * 1000
TRACE_ID = "0a" * 16
SPAN_ID = "0b" * 8
WHOLE = "where a whole number belongs"


def v1(**span: object) -> bytes:
    good = {"traceID": TRACE_ID, "spanID": "0c" * 8, "operationName": "good", "startTime": US, "duration": 9}
    bad = {"traceID": TRACE_ID, "spanID": SPAN_ID, "operationName": "bad", "startTime": US, "duration": 7, **span}
    processes = {"p1": {"serviceName": "s", "tags": []}}
    spans = [{**each, "processID": "p1"} for each in (good, bad)]
    return as_json({"data": [{"traceID": TRACE_ID, "spans": spans, "processes": processes}]})


def otlp(**span: object) -> bytes:
    good = {"traceId": TRACE_ID, "spanId": "0c" * 8, "startTimeUnixNano": str(NS), "endTimeUnixNano": str(NS + 9)}
    bad = {**good, "spanId": SPAN_ID, "endTimeUnixNano": str(NS + 7), "name": "bad", **span}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]}
    return as_json({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [good, bad]}]}]})


def zipkin(**span: object) -> bytes:
    good = {"traceId": TRACE_ID, "id": "0c" * 8, "timestamp": US, "duration": 9, "localEndpoint": {"serviceName": "s"}}
    return as_json([good, {**good, "id": SPAN_ID, "duration": 7, "name": "bad", **span}])


def both_ways(body: bytes) -> Traces:
    """Read with and without details, which have to agree about everything else."""
    groups = by_trace(parted(read_document(body, "x.json").parts))
    lean = read_table(groups.values(), with_details=False)
    whole = read_table(groups.values(), with_details=True)
    assert (lean.warnings, lean.start_ns, lean.duration_ns) == (whole.warnings, whole.start_ns, whole.duration_ns)
    for row in range(whole.span_count):
        details = whole.span(row).details
        details.attributes(), details.resource(), details.events(), details.links(), details.warnings()
    return whole


def told(traces: Traces) -> list[tuple[str, str, str]]:
    return [(warning.code, warning.span_id, warning.message) for warning in traces.warnings]


@pytest.mark.parametrize(
    ("body", "span", "warnings"),
    [
        pytest.param(
            v1(duration=2**64 - 5000),
            (NS, 0),
            [("negative-duration", SPAN_ID, "ended 5000000 ns before it started, taken as 0")],
            id="a negative duration as Jaeger 1.51 writes it",
        ),
        pytest.param(
            v1(duration=(2**64 - 50_000_000) // 1000),
            (NS, 0),
            [("negative-duration", SPAN_ID, "ended 50000616 ns before it started, taken as 0")],
            id="a negative duration in nanoseconds",
        ),
        pytest.param(
            v1(startTime=float(US), duration=30.5),
            (NS, 30_500),
            [
                (
                    "time-repaired",
                    SPAN_ID,
                    f"startTime is {US}.0, {WHOLE}; duration is 30.5, {WHOLE}",
                )
            ],
            id="fractions of microseconds",
        ),
        pytest.param(
            v1(startTime="2023-11-14T22:13:20.5Z"),
            (NS + 500_000_000, 7_000),
            [("time-repaired", SPAN_ID, "startTime is '2023-11-14T22:13:20.5Z', where a whole number belongs")],
            id="a time of the calendar",
        ),
        pytest.param(
            v1(duration=[1]),
            (NS, 0),
            [("value-left-out", SPAN_ID, "duration is a list, which makes no sense there")],
            id="no duration at all",
        ),
        pytest.param(
            v1(tags={"a": 1}),
            (NS, 7_000),
            [("value-repaired", SPAN_ID, "tags is an object, an object, where a list belongs")],
            id="tags as an object",
        ),
        pytest.param(
            v1(logs=[{"timestamp": US, "fields": [5]}, 7]),
            (NS, 7_000),
            [
                (
                    "value-left-out",
                    SPAN_ID,
                    "logs[0].fields[0] is 5, which makes no sense there; logs[1] is 7, which makes no sense there",
                )
            ],
            id="logs that are none",
        ),
        pytest.param(
            v1(operationName="\xff").replace(b"\xc3\xbf", b"\xff"),
            (NS, 7_000),
            [("value-repaired", SPAN_ID, "some of its text is broken")],
            id="text that is not UTF-8",
        ),
        pytest.param(
            otlp(endTimeUnixNano=str(2**64 - 1)),
            (NS, 0),
            [("end-missing", SPAN_ID, "no end time, taken to end as it started")],
            id="an end of all ones",
        ),
        pytest.param(
            otlp(attributes=[{"key": "user", "value": "bob"}]),
            (NS, 7),
            [("value-repaired", SPAN_ID, "attributes[0].value is 'bob', its type is not told")],
            id="a plain value in OTLP",
        ),
        pytest.param(
            otlp(events=[{"timeUnixNano": "1", "attributes": [{"key": "k", "value": 1}]}]),
            (NS, 7),
            [("value-repaired", SPAN_ID, "events[0].attributes[0].value is 1, its type is not told")],
            id="a plain value in an event",
        ),
        pytest.param(
            otlp(startTimeUnixNano=1.7e18),
            (NS, 7),
            [("time-repaired", SPAN_ID, "startTimeUnixNano is 1.7E+18, where a whole number belongs")],
            id="floating-point nanoseconds",
        ),
        pytest.param(
            zipkin(duration=2**64 - 5000),
            (NS, 0),
            [("negative-duration", SPAN_ID, "ended 5000000 ns before it started, taken as 0")],
            id="a negative duration in Zipkin",
        ),
        pytest.param(
            zipkin(timestamp="2023-11-14T22:13:20.5Z"),
            (NS + 500_000_000, 7_000),
            [("time-repaired", SPAN_ID, "timestamp is '2023-11-14T22:13:20.5Z', where a whole number belongs")],
            id="a time of the calendar in Zipkin",
        ),
    ],
)
def test_a_bad_span_is_put_right_and_told(
    body: bytes, span: tuple[int, int], warnings: list[tuple[str, str, str]]
) -> None:
    traces = both_ways(body)

    assert (traces.start_ns[1], traces.duration_ns[1]) == span
    assert [each for each in told(traces) if each[0] != "service-missing"] == warnings


def test_values_that_are_put_right_are_shown() -> None:
    as_object = both_ways(v1(tags={"a": 1, "b": "x", "c": True}))
    plain = both_ways(otlp(attributes={"a": 1, "b": "x", "c": {"boolValue": True}}))

    assert as_object.span(1).details.attributes() == {"a": 1, "b": "x", "c": True}
    assert plain.span(1).details.attributes() == {"a": 1, "b": "x", "c": True}


@pytest.mark.parametrize("body", [v1(spanID=""), v1(spanID=None), otlp(spanId=""), zipkin(id="")])
def test_a_span_without_an_id_is_given_one(body: bytes) -> None:
    traces = both_ways(body)
    given_id = traces.span_ids[1]

    assert len(given_id) == 16
    assert told(traces) == [("id-missing", given_id, f"it has no id, and is given {given_id}")]


@pytest.mark.parametrize("rest", ["5", "null", "{}", '{"foo":1}'])
def test_what_is_no_span_is_left_out_and_counted(rest: str) -> None:
    body = as_json({"traceID": TRACE_ID, "spans": [{"spanID": SPAN_ID, "operationName": "x", "startTime": US}, 0]})

    traces = both_ways(body.replace(b",0]", f",{rest}]".encode()).replace(b", 0]", f", {rest}]".encode()))

    assert traces.span_ids == (SPAN_ID,)
    assert ("span-left-out", "", "item 1 of its spans is no span") in told(traces)


@pytest.mark.parametrize(
    ("unit_ns", "name"), [(1, "nanoseconds"), (1_000_000, "milliseconds"), (1_000_000_000, "seconds")]
)
def test_another_unit_is_recognised_by_the_year(unit_ns: int, name: str) -> None:
    second_ns = 10**9
    start, duration = NS // second_ns * (second_ns // unit_ns), 2 * second_ns // unit_ns
    spans = [{"spanID": "1", "operationName": "x", "startTime": start, "duration": duration}] * 1
    logs = [{"timestamp": start, "fields": []}]
    body = as_json({"traceID": TRACE_ID, "spans": [{**span, "logs": logs} for span in spans]})

    traces = both_ways(body)

    assert (traces.start_ns[0], traces.duration_ns[0]) == (NS, 2 * second_ns)
    assert traces.span(0).details.events()[0].time_ns == NS
    message = f"its times are in {name}, where microseconds belong, as the year tells"
    assert ("unit-recognised", "", message) in told(traces)


def test_times_are_read_as_mongodb_exports_them() -> None:
    ids = {"trace_id": TRACE_ID, "span_id": "0000000000000001", "name": "x"}
    times = {"start_time": {"$date": "2020-09-13T12:26:40Z"}, "end_time": {"$date": {"$numberLong": "1600000001000"}}}

    traces = both_ways(as_json([{**ids, **times}]))

    assert (traces.start_ns[0], traces.duration_ns[0]) == (1_600_000_000 * 10**9, 10**9)


def test_small_numbers_that_count_from_a_beginning_are_no_other_unit() -> None:
    """As seconds they would be of 2001 and 2033."""
    ids = {"traceId": TRACE_ID, "spanId": "0000000000000001", "name": "x"}
    span = {**ids, "startTimeUnixNano": str(10**9), "endTimeUnixNano": str(2 * 10**9)}
    body = as_json({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})

    traces = both_ways(body)

    assert (traces.start_ns[0], traces.duration_ns[0]) == (10**9, 10**9)
    assert "unit-recognised" not in {code for code, *_ in told(traces)}


@pytest.mark.parametrize(("unit_ns", "told_as"), [(1, "in nanoseconds, where"), (10**6, "1,000 times as long")])
def test_a_single_span_may_be_in_another_unit(unit_ns: int, told_as: str) -> None:
    odd = {"spanID": "2", "operationName": "x", "startTime": NS // unit_ns, "duration": 5 * 10**6 // unit_ns}
    spans = [{"spanID": "1", "operationName": "x", "startTime": US, "duration": 5000}, odd]

    traces = both_ways(as_json({"traceID": TRACE_ID, "spans": spans}))

    assert (list(traces.start_ns), list(traces.duration_ns)) == ([NS, NS], [5 * 10**6] * 2)
    (warning,) = [each for each in traces.warnings if each.code == "unit-recognised"]
    assert warning.span_id == "2"
    assert told_as in warning.message


def test_a_span_printed_by_node_may_be_in_nanoseconds() -> None:
    span = {"traceId": TRACE_ID, "name": "x", "kind": 0, "attributes": {}, "status": {"code": 0}}
    times = [("1", US, 5000), ("2", NS, 5 * 10**6)]

    traces = both_ways(as_json([{**span, "id": i, "timestamp": at, "duration": length} for i, at, length in times]))

    assert (list(traces.start_ns), list(traces.duration_ns)) == ([NS, NS], [5 * 10**6] * 2)
    assert "unit-recognised" in {each.code for each in traces.warnings if each.span_id == "2"}


def test_a_span_that_names_no_trace_is_noted() -> None:
    body = json.loads(otlp())
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["traceId"] = 5

    document = read_document(as_json(body), "x.json")

    assert document.notes == ("left out because they name no trace: 1 span (first: resourceSpans[0] of x.json)",)
    assert read_table([document.parts], with_details=True).span_count == 1


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["key", "value", "x"]), inner),
    max_leaves=4,
)
V1_KEYS = (
    "spanID",
    "operationName",
    "references",
    "startTime",
    "duration",
    "tags",
    "logs",
    "processID",
    "process",
    "warnings",
    "parentSpanID",
)
OTLP_KEYS = (
    "spanId",
    "parentSpanId",
    "name",
    "kind",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "attributes",
    "events",
    "links",
    "status",
)
ZIPKIN_KEYS = (
    "id",
    "parentId",
    "name",
    "kind",
    "timestamp",
    "duration",
    "localEndpoint",
    "remoteEndpoint",
    "tags",
    "annotations",
)


@given(
    st.one_of(
        st.tuples(st.just(v1), st.dictionaries(st.sampled_from(V1_KEYS), anything, min_size=1, max_size=3)),
        st.tuples(st.just(otlp), st.dictionaries(st.sampled_from(OTLP_KEYS), anything, min_size=1, max_size=3)),
        st.tuples(st.just(zipkin), st.dictionaries(st.sampled_from(ZIPKIN_KEYS), anything, min_size=1, max_size=3)),
    )
)
def test_whatever_a_span_holds_it_is_shown_or_told(drawn: tuple[Any, Mapping[str, object]]) -> None:
    write, fields = drawn

    traces = both_ways(write(**fields))

    left_out = [warning for warning in traces.warnings if warning.code in ("span-left-out", "duplicate-dropped")]
    assert traces.span_count + len(left_out) == 2


@pytest.mark.parametrize(("named", "is_told"), [("0A" * 16, False), ("0b" * 16, True)])
def test_a_span_that_names_another_trace_is_told(named: str, is_told: bool) -> None:  # noqa: FBT001  a parameter
    table = both_ways(v1(traceID=named))

    assert table.span_count == 2
    assert [(each.code, each.span_id) for each in table.warnings] == [("other-trace", SPAN_ID)] * is_told


def test_a_half_id_that_two_traces_share_stays_apart() -> None:
    wholes = [f"{high:016x}{7:016x}" for high in (1, 2)]
    spans = [{"traceID": each, "spanID": "1", "startTime": US, "duration": 1} for each in (*wholes, "7")]
    body = as_json({"data": [{"traceID": span["traceID"], "spans": [span]} for span in spans]})

    read = read_table(by_trace(read_document(body, "x").parts).values(), with_details=False)

    assert sorted(read.trace_ids) == sorted((*wholes, "7"))
    assert "halves-joined" not in {warning.code for warning in read.warnings}
