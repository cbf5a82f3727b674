from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import knowing, tables
from tests.builders import span, trace
from traceq.analysis.requests import RequestOptions
from traceq.analysis.what_if import Shortening, WhatIfQuestion, WhatIfSums, parse_shortening
from traceq.semantics import Kind
from traceq.traces import Traces


def shortened(traces: Traces, *texts: str) -> WhatIfSums:
    return WhatIfQuestion(RequestOptions(), tuple(map(parse_shortening, texts))).collect(traces)


def test_calls_one_after_the_other_move_up() -> None:
    found = shortened(trace(("root", None, 0, 100), ("a", "root", 10, 50), ("b", "root", 60, 90)), "a=-50%")

    assert (found.saved_ns, found.shortened_ns, found.after.total_ns) == (20, 20, 80)
    assert {key.name: held for key, held in found.held.items()} == {"root": (30, 30), "a": (40, 20), "b": (30, 30)}


def test_calls_at_the_same_time_still_wait_for_the_slowest() -> None:
    found = shortened(trace(("root", None, 0, 100), ("a", "root", 10, 90), ("b", "root", 10, 70)), "a=0")

    assert (found.saved_ns, found.shortened_ns) == (20, 80)
    assert {key.name: held for key, held in found.held.items()} == {"root": (20, 20), "a": (80, 0), "b": (0, 60)}


def test_a_call_after_two_that_ran_together_waits_for_both() -> None:
    spans = [("root", None, 0, 100), ("a", "root", 0, 40), ("b", "root", 0, 50), ("c", "root", 55, 100)]

    assert shortened(trace(*spans), "b=10ns").saved_ns == 10


def test_the_saving_lies_between_waiting_for_all_that_had_ended_and_waiting_only_for_what_ended_last() -> None:
    one, other = ("a", "root", 0, 40), ("b", "root", 0, 50)
    after = [("c", "root", 40, 70), ("d", "root", 50, 90), ("e", "root", 90, 99)]
    found = shortened(trace(("root", None, 0, 99), one, other, *after), "b=-50%")

    # d begins at 25, after b; at 40, after a as well; e begins after c at 70, or with d alone at 65.
    assert (found.least_saved_ns, found.saved_ns, found.most_saved_ns) == (10, 20, 25)
    in_turn = shortened(trace(("root", None, 0, 99), one, *after[1:]), "a=-50%")
    assert (in_turn.least_saved_ns, in_turn.saved_ns, in_turn.most_saved_ns) == (20, 20, 20)


def test_what_is_off_the_path_saves_nothing() -> None:
    found = shortened(trace(("root", None, 0, 100), ("a", "root", 10, 90), ("b", "root", 20, 40)), "b=0")

    assert (found.saved_ns, found.shortened_ns, found.on_path_count, found.matched_counts) == (0, 0, 0, (1,))


def test_what_is_inside_shrinks_along() -> None:
    found = shortened(trace(("root", None, 0, 100), ("a", "root", 0, 80), ("b", "a", 20, 60)), "a=-50%")

    assert {key.name: held for key, held in found.held.items()} == {"root": (20, 20), "a": (40, 20), "b": (40, 20)}


def test_of_shortened_spans_within_each_other_the_outermost_counts() -> None:
    found = shortened(trace(("root", None, 0, 100), ("a", "root", 0, 80), ("b", "a", 0, 80)), "a=-50%", "b=0")

    assert (found.saved_ns, found.matched_counts) == (40, (1, 1))


def test_callers_far_above_end_earlier_too() -> None:
    found = shortened(trace(("root", None, 0, 100), ("a", "root", 5, 95), ("b", "a", 10, 90)), "b=-25%")

    assert (found.saved_ns, found.after.max_ns) == (20, 80)


def test_what_outlives_its_caller_counts_up_to_the_callers_end() -> None:
    found = shortened(trace(("root", None, 0, 100), ("a", "root", 50, 250)), "a=-50%")

    assert (found.saved_ns, found.shortened_ns) == (25, 25)


def test_nobody_waits_for_a_message() -> None:
    spans = [
        span("root", None, 0, 100, kind=Kind.PRODUCER),
        span("take", "root", 20, 90, kind=Kind.CONSUMER),
    ]

    assert shortened(trace(*spans), "take=0").saved_ns == 0


def test_a_time_that_is_longer_than_the_span_changes_nothing() -> None:
    assert shortened(trace(("root", None, 0, 100), ("a", "root", 10, 50)), "a=1s").saved_ns == 0


def test_spans_go_by_operation_peer_or_service() -> None:
    spans = [
        span("root", None, 0, 100, service="chat"),
        span("q", "root", 10, 50, service="chat", name="SELECT", kind=Kind.CLIENT, attributes={"db.system": "mysql"}),
        span("u", "root", 50, 90, service="user", name="GET: me"),
    ]

    saved = {
        text: shortened(trace(*spans), text).saved_ns
        for text in ("SELECT=0", "chat:SELECT=0", "mysql=0", "user=0", "user:GET: me=0", "chat:GET: me=0", "none=0")
    }

    assert saved == {
        "SELECT=0": 40,
        "chat:SELECT=0": 40,
        "mysql=0": 40,
        "user=0": 40,
        "user:GET: me=0": 40,
        "chat:GET: me=0": 0,
        "none=0": 0,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=-50%", Shortening("a", ratio=0.5, text="a=-50%")),
        ("a = b = - 12.5 %", Shortening("a = b", ratio=0.875, text="a = b = - 12.5 %")),
        ("chat:POST /x=20ms", Shortening("chat:POST /x", most_ns=20_000_000, text="chat:POST /x=20ms")),
        ("a=0", Shortening("a", most_ns=0, text="a=0")),
    ],
)
def test_changes_are_read(text: str, expected: Shortening) -> None:
    assert parse_shortening(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "'a' is not a change, write NAME=-50% or NAME=20ms"),
        ("=-50%", "'=-50%' is not a change, write NAME=-50% or NAME=20ms"),
        ("a=-150%", "'-150%' would take more than all of the time, write at most -100%"),
        ("a=+50%", "'+50%' is not a shortening, write for example -50%"),
        ("a=20", "'20' has no unit, write 20ms or 20s, or a share such as -50%"),
    ],
)
def test_what_is_no_change_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_shortening(text)


CHANGES = st.builds(
    Shortening,
    st.sampled_from(("get", "put", "a", "b:get")),
    st.sampled_from((0.0, 0.3, 0.5, 1.0)),
    st.sampled_from((None, 0, 1, 5, 10**6)),
)


@given(tables(), st.lists(CHANGES, min_size=1, max_size=2))
def test_what_is_saved_is_never_negative_nor_more_than_requests_take(traces: Traces, changes: list[Shortening]) -> None:
    found = WhatIfQuestion(RequestOptions(), tuple(changes)).collect(traces)

    assert 0 <= found.saved_ns <= (found.before.total_ns if any(found.matched_counts) else 0)
    assert sum(before for before, _ in found.held.values()) == found.before.total_ns
    assert sum(after for _, after in found.held.values()) == found.after.total_ns


@given(tables())
def test_no_change_changes_nothing(traces: Traces) -> None:
    found = WhatIfQuestion(RequestOptions(), (Shortening("get"),)).collect(traces)

    assert (found.saved_ns, found.shortened_ns) == (0, 0)
    assert all(before == after for before, after in found.held.values())


@given(tables())
def test_parts_add_up(traces: Traces) -> None:
    traces = knowing(traces)
    changes = (parse_shortening("get=-50%"),)
    whole = WhatIfQuestion(RequestOptions(), changes).collect(traces)
    parts = sum((WhatIfQuestion(RequestOptions(), changes).collect(part) for part in traces), WhatIfSums())

    assert parts.saved_ns == whole.saved_ns
    assert parts.before == whole.before
