"""Flame graphs for other tools: what these tools demand of a file, and that nothing of the graph is lost."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.render.reports import HOSTILE
from traceq.render.flame_files import find_lanes, render_folded, render_speedscope, render_trace_events
from traceq.report import Flame, FlameRow, Timeline, TimelineRow


def flame() -> Flame:
    rows = (
        FlameRow(0, "POST /rooms", "chat", 600, 100),
        FlameRow(1, "save", "chat", 400, 0),
        FlameRow(2, "insert", "chat", 400, 400),
        FlameRow(1, "GET", "user", 100, 100),
    )
    return Flame(rows, 600, "critical time")


def compared() -> Flame:
    rows = (
        FlameRow(0, "POST", "chat", 70, 30, 20, (10, 30)),
        FlameRow(1, "GET", "user", 40, 40, -40, (40, 0)),
    )
    return Flame(rows, 70, "time", ("yesterday", "today"))


def span(depth: int, label: str, start_ns: int, end_ns: int, service: str = "chat") -> TimelineRow:
    return TimelineRow(
        depth, is_last=False, label=label, service=service, start_ns=start_ns, duration_ns=end_ns - start_ns
    )


def side_by_side() -> Timeline:
    rows = (
        span(0, "POST", 0, 100),
        span(1, "GET", 10, 60, "user"),
        span(1, "GET", 20, 80, "user"),
        span(2, "find", 30, 40, "user"),
        span(1, "save", 80, 95),
    )
    return Timeline(rows, 100)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    rows: list[TimelineRow] = []
    for number in range(draw(st.integers(1, 10))):
        depth = draw(st.integers(0, rows[-1].depth + 1 if rows else 0))
        start_ns, length_ns = draw(st.integers(0, 20)), draw(st.integers(0, 20))
        rows.append(span(depth, f"s{number}", start_ns, start_ns + length_ns, draw(st.sampled_from("ab"))))
    return Timeline(tuple(rows), max(row.start_ns + row.duration_ns for row in rows))


def callers_of(rows: Sequence[TimelineRow], row: int) -> int:
    return next((above for above in range(row - 1, -1, -1) if rows[above].depth < rows[row].depth), -1)


def test_folded_stacks_are_paths_with_their_own_parts() -> None:
    assert render_folded(flame()) == (
        "chat: POST /rooms 100\nchat: POST /rooms;chat: save;chat: insert 400\nchat: POST /rooms;user: GET 100\n"
    )


def test_folded_stacks_of_a_comparison_have_both_sides() -> None:
    assert render_folded(compared()) == "chat: POST 10 30\nchat: POST;user: GET 40 0\n"


@pytest.mark.parametrize(("name", "written"), [("SELECT 1", "SELECT_1"), ("wait 0.5", "wait_0.5"), ("v 2 x", "v 2 x")])
def test_a_number_at_the_end_of_a_name_is_not_taken_for_that_of_another_side(name: str, written: str) -> None:
    assert render_folded(Flame((FlameRow(0, name, "db", 400, 400),), 400, "time")) == f"db: {written} 400\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_folded_stack_is_one_line_whatever_its_names(text: str) -> None:
    hostile = Flame((FlameRow(0, text, text, 7, 3), FlameRow(1, f"{text};{text}", text, 4, 4)), 7, "time")

    lines = render_folded(hostile).split("\n")

    assert [line.rpartition(" ")[2] for line in lines] == ["3", "4", ""]
    assert [line.count(";") for line in lines] == [0, 1, 0]
    assert not any(re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", line) for line in lines)


def assert_speedscope(document: Mapping[str, Any]) -> None:
    """Check a file against speedscope's src/lib/file-format-spec.ts, and what its importer throws on."""
    assert document.keys() <= {"$schema", "shared", "profiles", "name", "activeProfileIndex", "exporter"}
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = document["shared"]["frames"]
    assert all(isinstance(frame["name"], str) and frame["name"] for frame in frames)
    assert all(frame.keys() <= {"name", "file", "line", "col"} for frame in frames)
    assert 0 <= document["activeProfileIndex"] < len(document["profiles"])
    for profile in document["profiles"]:
        assert isinstance(profile["name"], str)
        assert profile["unit"] in {"none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"}
        assert profile["startValue"] <= profile["endValue"]
        if profile["type"] == "sampled":
            assert profile.keys() == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
            assert len(profile["samples"]) == len(profile["weights"])
            assert all(0 <= frame < len(frames) for stack in profile["samples"] for frame in stack)
            continue
        assert profile["type"] == "evented"
        assert profile.keys() == {"type", "name", "unit", "startValue", "endValue", "events"}
        assert_balanced(profile["events"], profile["startValue"], profile["endValue"], len(frames))


def assert_balanced(events: Sequence[Mapping[str, Any]], start: int, end: int, frame_count: int) -> None:
    stack: list[int] = []
    now = start
    for event in events:
        assert event.keys() == {"type", "frame", "at"}
        assert now <= event["at"] <= end
        assert 0 <= event["frame"] < frame_count
        now = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert event["type"] == "C"
            assert stack.pop() == event["frame"]
    assert not stack


def test_speedscope_has_the_stacks_of_many_traces_with_their_weights() -> None:
    document = json.loads(render_speedscope(flame(), None, "flame chat"))

    assert_speedscope(document)
    assert [frame["name"] for frame in document["shared"]["frames"]] == ["POST /rooms", "save", "insert", "GET"]
    (profile,) = document["profiles"]
    assert (profile["samples"], profile["weights"]) == ([[0], [0, 1, 2], [0, 3]], [100, 400, 100])
    assert (profile["name"], profile["endValue"]) == ("flame chat, critical time", 600)


def test_speedscope_has_a_profile_for_each_side_of_a_comparison() -> None:
    document = json.loads(render_speedscope(compared(), None, "flame"))

    assert_speedscope(document)
    assert [(one["name"], one["samples"], one["weights"]) for one in document["profiles"]] == [
        ("yesterday, time", [[0], [0, 1]], [10, 40]),
        ("today, time", [[0]], [30]),
    ]


def test_speedscope_has_calls_of_one_trace_that_run_side_by_side_on_lanes_of_their_own() -> None:
    document = json.loads(render_speedscope(flame(), side_by_side(), "flame"))

    assert_speedscope(document)
    first, second = document["profiles"]
    assert (first["name"], second["name"]) == ("chat: POST", "lane 2: user: GET")
    assert [(event["type"], event["frame"], event["at"]) for event in first["events"]] == [
        *[("O", 0, 0), ("O", 1, 10), ("C", 1, 60)],
        *[("O", 2, 80), ("C", 2, 95), ("C", 0, 100)],
    ]
    assert [(event["type"], event["frame"], event["at"]) for event in second["events"]] == [
        *[("O", 1, 20), ("O", 3, 30), ("C", 3, 40), ("C", 1, 80)],
    ]


@given(timelines())
def test_speedscope_takes_any_trace(spans: Timeline) -> None:
    document = json.loads(render_speedscope(flame(), spans, "flame"))

    assert_speedscope(document)
    assert sum(len(profile["events"]) for profile in document["profiles"]) == 2 * len(spans.rows)


@given(timelines())
def test_on_a_lane_spans_lie_in_what_calls_them_and_in_nothing_else(spans: Timeline) -> None:
    rows = spans.rows
    found = []
    for lane in find_lanes(rows, lambda row: row.service):
        stack: list[int] = []
        assert [edge.at_ns for edge in lane.edges] == sorted(edge.at_ns for edge in lane.edges)
        for edge in lane.edges:
            row = rows[edge.row]
            found.append((edge.row, edge.is_start))
            assert row.service == lane.key
            assert edge.at_ns == row.start_ns + (0 if edge.is_start else row.duration_ns)
            if not edge.is_start:
                assert stack.pop() == edge.row
                continue
            assert not stack or stack[-1] == callers_of(rows, edge.row)
            stack.append(edge.row)
        assert not stack

    assert sorted(found) == [(row, is_start) for row in range(len(rows)) for is_start in (False, True)]


def imported(written: str) -> list[tuple[str, str, int, int]]:
    """Import events by Perfetto's rules: src/trace_processor/importers/json, and its slice tracker.

    Events are sorted by time, and stay in the order of the file where it is the same. A track is an id and a category,
    whatever the process; an end is that of the innermost open event, which has to be of the same name. Complete events
    of a thread lie in each other: one that ends after the one that it begins in is dropped. Starts are read as decimal
    numbers; durations as binary ones, of which what is less than a nanosecond is cut off.

    Returns:
        Process, name, start and end in ns.
    """
    document = json.loads(written, parse_float=Decimal)
    # Older versions take it for the unit in which times are written.
    assert "displayTimeUnit" not in document
    names = {}
    tracks: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    pids: dict[tuple[str, str], int] = {}
    open_ends: list[int] = []
    found = []
    events = document["traceEvents"]
    for event in [event for event in events if event["ph"] == "M"]:
        if event["name"] == "process_name":
            names[event["pid"]] = event["args"]["name"]
    for event in sorted((event for event in events if event["ph"] != "M"), key=lambda event: event["ts"]):
        assert isinstance(event["pid"], int)
        assert event["name"]
        start_ns = int(event["ts"] * 1000)
        if event["ph"] == "X":
            end_ns = start_ns + int(float(event["dur"]) * 1000.0)
            assert start_ns < end_ns
            while open_ends and open_ends[-1] <= start_ns:
                open_ends.pop()
            assert not open_ends or end_ns <= open_ends[-1]
            open_ends.append(end_ns)
            found.append((names[event["pid"]], event["name"], start_ns, end_ns))
            continue
        track = (event["cat"], event["id"])
        assert pids.setdefault(track, event["pid"]) == event["pid"]
        if event["ph"] == "b":
            tracks[track].append((event["name"], start_ns))
        else:
            assert event["ph"] == "e"
            name, began_ns = tracks[track].pop()
            assert name == event["name"]
            found.append((names[event["pid"]], name, began_ns, start_ns))
    assert not any(tracks.values())
    return found


@given(timelines())
def test_perfetto_takes_every_span_of_a_trace_in_the_process_of_its_service(spans: Timeline) -> None:
    assert sorted(imported(render_trace_events(flame(), spans, "flame"))) == sorted(
        (row.service, row.label, row.start_ns, row.start_ns + row.duration_ns) for row in spans.rows
    )


def test_perfetto_takes_merged_paths_nested_in_each_other() -> None:
    assert imported(render_trace_events(flame(), None, "flame chat")) == [
        ("flame chat", "POST /rooms", 0, 600),
        ("flame chat", "save", 0, 400),
        ("flame chat", "insert", 0, 400),
        ("flame chat", "GET", 400, 500),
    ]


_OWN_NS = st.one_of(st.integers(0, 9), st.integers(0, 10**14))


@given(st.lists(_OWN_NS, min_size=1, max_size=8), st.lists(_OWN_NS, max_size=8))
def test_perfetto_takes_every_merged_path_that_takes_time_to_the_nanosecond(
    chain: list[int], leaves: list[int]
) -> None:
    """A chain of calls, of which the last calls several; those that take no time have no event."""
    sums = [sum(chain[depth:]) + sum(leaves) for depth in range(len(chain))]
    rows = [FlameRow(depth, f"call {depth}", "chat", sums[depth], own_ns) for depth, own_ns in enumerate(chain)]
    rows += [FlameRow(len(chain), f"leaf {number}", "chat", own_ns, own_ns) for number, own_ns in enumerate(leaves)]
    found = imported(render_trace_events(Flame(tuple(rows), sums[0], "time"), None, "flame"))

    starts = [sum(leaves[:number]) for number in range(len(leaves))]
    assert found == [
        *(("flame", f"call {depth}", 0, sums[depth]) for depth in range(len(chain)) if sums[depth]),
        *(("flame", f"leaf {at}", starts[at], starts[at] + own_ns) for at, own_ns in enumerate(leaves) if own_ns),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_files_in_json_keep_names_and_send_nothing_to_a_terminal(text: str) -> None:
    hostile = Flame((FlameRow(0, text, text, 7, 7),), 7, "time")
    spans = Timeline((span(0, text, 0, 10, text),), 10)

    for written in (
        render_speedscope(hostile, None, text),
        render_speedscope(hostile, spans, text),
        render_trace_events(hostile, None, text),
        render_trace_events(hostile, spans, text),
    ):
        document = json.loads(written)
        assert text in {frame["name"] for frame in document.get("shared", {"frames": []})["frames"]} | {
            event["name"] for event in document.get("traceEvents", ())
        }
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", written)
