from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import knowing, tables
from tests.builders import SpanSpec, assemble, record, span, trace
from tests.laws import examples
from traceq.analysis import group_sums
from traceq.analysis.bottlenecks import BottleneckQuestion
from traceq.analysis.flame import CallPaths, FlameQuestion, FlameSums
from traceq.analysis.group_sums import number_paths
from traceq.analysis.requests import Measure, RequestOptions
from traceq.library import flame
from traceq.semantics import Kind, Status
from traceq.traces import Traces

MEASURES: tuple[Measure, ...] = ("critical-time", "self-time", "duration")


def request(insert_ns: int) -> list[SpanSpec]:
    """One that calls two services side by side, one of them twice."""
    return [
        span("1", None, 0, 100 + insert_ns, service="chat", name="POST", kind=Kind.SERVER),
        span("2", "1", 10, 60, service="user", name="GET", kind=Kind.SERVER),
        span("3", "1", 20, 40, service="user", name="GET", kind=Kind.SERVER, status=Status.ERROR),
        span("4", "1", 90, 90 + insert_ns, service="chat", name="save", kind=Kind.INTERNAL),
        span("5", "4", 90, 90 + insert_ns, service="chat", name="insert", kind=Kind.INTERNAL),
    ]


@pytest.fixture
def requests() -> Traces:
    return assemble([record(*request(100), trace_id="a"), record(*request(300), trace_id="b")])


def drawn(answer: CallPaths) -> list[tuple[int, str, int, int]]:
    return [(frame.depth, frame.key.name, frame.value_ns, frame.own_ns) for frame in answer.frames]


def test_by_critical_time_widths_add_up_to_latencies(requests: Traces) -> None:
    found = flame(requests)

    assert drawn(found) == [
        (0, "POST", 600, 100),
        (1, "save", 400, 0),
        (2, "insert", 400, 400),
        (1, "GET", 100, 100),
    ]
    assert (found.total_ns, found.sums.latency_ns) == (600, 600)


def test_by_self_time_widths_add_up_to_the_work_that_was_done(requests: Traces) -> None:
    assert drawn(flame(requests, by="self-time")) == [
        (0, "POST", 640, 100),
        (1, "save", 400, 0),
        (2, "insert", 400, 400),
        (1, "GET", 140, 140),
    ]


def test_by_duration_a_frame_is_as_wide_as_its_spans_or_as_what_ran_side_by_side() -> None:
    spans = [
        span("POST", None, 0, 100, name="POST"),
        span("one", "POST", 10, 90, name="one"),
        span("two", "POST", 10, 90, name="two"),
        span("in", "two", 20, 30, name="in"),
    ]

    assert drawn(flame(trace(*spans), by="duration")) == [
        (0, "POST", 160, 0),
        (1, "one", 80, 80),
        (1, "two", 80, 70),
        (2, "in", 10, 10),
    ]


def test_a_frame_tells_every_sum_whatever_the_width_stands_for(requests: Traces) -> None:
    get = flame(requests).frames[3]

    assert (get.caller, get.key.service, get.ratio) == (0, "user", 100 / 600)
    assert get.sums == (4, 2, 140, 140, 100)


def test_requests_of_a_service_begin_at_its_entry_spans(requests: Traces) -> None:
    assert drawn(flame(requests, "user")) == [(0, "GET", 140, 140)]


def test_no_requests_have_no_frames(requests: Traces) -> None:
    found = flame(requests, "nobody")

    assert (found.frames, found.total_ns, found.sums.request_count) == ((), 0, 0)


def test_a_chain_of_any_depth_is_one_path_a_call() -> None:
    spans = [span(str(depth), str(depth - 1) if depth else None, 0, 10**6, name="call") for depth in range(3_000)]

    found = flame(trace(*spans))

    assert [frame.depth for frame in found.frames] == list(range(3_000))
    assert found.frames[-1].caller == 2_998


@given(st.lists(st.tuples(st.integers(-1, 7), st.integers(0, 2)), max_size=8))
def test_paths_are_numbered_as_the_callers_of_each_call_say(calls: list[tuple[int, int]]) -> None:
    parents = [parent if parent < row else -1 for row, (parent, _) in enumerate(calls)]
    chains: list[tuple[int, ...]] = []
    for row, (_, code) in enumerate(calls):
        chains.append((*chains[parents[row]], code) if parents[row] >= 0 else (code,))

    codes = np.array([code for _, code in calls], dtype=np.int64)
    places, numbers = number_paths(np.array(parents, dtype=np.int64), codes)

    by_number = [chains[place] for place in places.tolist()]
    assert [by_number[number] for number in numbers.tolist()] == chains
    assert len(set(by_number)) == len(by_number) == len(set(chains))


@examples(0.3)
@given(tables(), st.sampled_from(MEASURES))
def test_widths_add_up(table: Traces, by: Measure) -> None:
    found = flame(table, by=by)

    below = [0] * len(found.frames)
    for frame in found.frames:
        assert frame.own_ns >= 0
        if frame.caller is not None:
            below[frame.caller] += frame.value_ns
    assert [frame.value_ns - frame.own_ns for frame in found.frames] == below
    assert found.total_ns == sum(frame.value_ns for frame in found.frames if frame.caller is None)
    if by == "critical-time":
        assert found.total_ns == found.sums.latency_ns


@examples(0.3)
@given(tables(), st.sampled_from([None, "a"]))
def test_paths_of_one_call_add_up_to_its_line_in_the_ranking(table: Traces, service: str | None) -> None:
    options = RequestOptions(service)
    ranking = BottleneckQuestion(options).collect(table)

    sums: dict[object, list[int]] = {}
    for frame in flame(table, service).frames:
        found = sums.setdefault(frame.key, [0] * 5)
        found[:] = map(sum, zip(found, frame.sums, strict=True))

    assert sums == {
        key: [each.duration.count, each.error_count, each.duration.total_ns, each.self_time.total_ns, each.critical_ns]
        for key, each in ranking.groups.items()
    }


@pytest.mark.parametrize("most", [2, 50_000])
@examples(0.3)
@given(table=tables())
def test_sums_of_parts_are_the_sums_of_the_whole(table: Traces, most: int) -> None:
    known = knowing(table)
    question = FlameQuestion(RequestOptions())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_sums, "MOST_PATHS", most)
        parts = [question.collect(part) for part in known]
        forwards = sum(parts, FlameSums())
        backwards = sum(reversed(parts), FlameSums())
        whole = question.collect(known)

    answers = [question.rank(sums).to_dict() for sums in (forwards, backwards, whole)]
    assert answers[0] == answers[1] == answers[2]


def test_of_too_many_paths_the_deepest_are_merged_below_their_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_sums, "MOST_PATHS", 2)
    spans = [
        span("POST", None, 0, 100, name="POST"),
        span("save", "POST", 10, 90, name="save"),
        span("insert", "save", 20, 80, name="insert"),
        span("send", "insert", 30, 40, name="send"),
    ]

    found = flame(trace(*spans))

    assert drawn(found) == [(0, "POST", 100, 20), (1, "save", 80, 20), (2, "other paths", 60, 60)]
    assert (found.other_count, found.frames[2].sums) == (2, (2, 0, 60, 60, 60))
