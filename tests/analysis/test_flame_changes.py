from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from tests.builders import assemble, record, span, trace
from tests.laws import examples
from traceq.analysis.flame import CallPaths
from traceq.analysis.flame_changes import CallPathChanges, compare_paths
from traceq.analysis.requests import Measure
from traceq.library import flame
from traceq.traces import Traces

MEASURES: tuple[Measure, ...] = ("critical-time", "self-time", "duration")


def requests(count: int, insert_ns: int, call: str = "find") -> Traces:
    spans = [
        span("1", None, 0, 100 + insert_ns, service="chat", name="POST"),
        span("2", "1", 10, 60, service="user", name=call),
        span("3", "1", 90, 90 + insert_ns, service="chat", name="insert"),
    ]
    return assemble([record(*spans, trace_id=f"{number:x}") for number in range(1, count + 1)])


def changes(before: Traces, after: Traces, by: Measure = "critical-time") -> CallPathChanges:
    return compare_paths(flame(before, by=by), flame(after, by=by))


def test_means_are_compared_whatever_the_numbers_of_requests() -> None:
    found = changes(requests(4, 100), requests(2, 300))

    assert [
        (frame.key.name, frame.before.each_ns, frame.after.each_ns, frame.delta_each_ns) for frame in found.frames
    ] == [
        ("POST", 200, 400, 200),
        ("insert", 100, 300, 200),
        ("find", 50, 50, 0),
    ]
    assert [(frame.before.value_ns, frame.after.value_ns, frame.delta_ns) for frame in found.frames] == [
        (800, 800, 0),
        (400, 600, 200),
        (200, 100, -100),
    ]
    assert found.verdict is not None
    assert found.verdict.text == "insert (chat), called by POST, takes 200 ns more of a request's critical time."


def test_what_only_one_side_has_is_a_frame_and_0_on_the_other() -> None:
    found = changes(requests(1, 100, "find"), requests(1, 100, "search"))

    assert [(frame.key.name, frame.own_ns, frame.own_delta_each_ns) for frame in found.frames] == [
        ("POST", 50, 0),
        ("insert", 100, 0),
        ("find", 50, -50),
        ("search", 50, 50),
    ]
    assert found.total_ns == 250


def test_nothing_is_said_to_have_changed_where_nothing_did() -> None:
    found = changes(requests(2, 100), requests(7, 100))

    assert found.verdict is not None
    assert found.verdict.text == "No call path changed by more than a hundredth of the critical time."


def test_a_side_without_requests_has_no_verdict() -> None:
    empty = flame(requests(1, 100), "nobody")

    assert compare_paths(empty, flame(requests(1, 100))).verdict is None


def sides_of(answer: CallPaths) -> dict[tuple[object, ...], tuple[int, int]]:
    paths: list[tuple[object, ...]] = []
    for frame in answer.frames:
        paths.append((*(() if frame.caller is None else paths[frame.caller]), frame.key))
    return {path: (frame.value_ns, frame.own_ns) for path, frame in zip(paths, answer.frames, strict=True)}


@examples(0.3)
@given(tables(), tables(), st.sampled_from(MEASURES))
def test_the_difference_is_what_is_after_minus_what_was_before(one: Traces, other: Traces, by: Measure) -> None:
    before, after = flame(one, by=by), flame(other, by=by)
    found = compare_paths(before, after)

    paths: list[tuple[object, ...]] = []
    for frame in found.frames:
        paths.append((*(() if frame.caller is None else paths[frame.caller]), frame.key))
        first, second = (sides_of(side).get(paths[-1], (0, 0)) for side in (before, after))
        assert (frame.before.value_ns, frame.before.own_ns) == first
        assert (frame.after.value_ns, frame.after.own_ns) == second
        assert frame.delta_ns == second[0] - first[0]
        assert frame.delta_each_ns == frame.after.each_ns - frame.before.each_ns
        assert frame.value_ns >= max(frame.before.each_ns, frame.after.each_ns)
    assert set(paths) == set(sides_of(before)) | set(sides_of(after))
    assert found.total_ns == sum(frame.value_ns for frame in found.frames if frame.caller is None)


def test_a_trace_compared_with_itself_did_not_change() -> None:
    same = trace(("root", None, 0, 100), span("call", "root", 10, 60))

    assert all(not frame.delta_ns and not frame.delta_each_ns for frame in changes(same, same).frames)
