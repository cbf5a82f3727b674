from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.catalog import Window
from traceq.sources.harvest import Met, Plan, TimeSlice, plan_window

MS = 1_000_000


def _next(plan: Plan) -> TimeSlice | None:
    return next(iter(plan.questions), None)


def run(plan: Plan, starts_us: Iterable[int], limit: int) -> tuple[set[int], list[TimeSlice], Plan]:
    """Answer every question from these spans, an arbitrary choice of them where the limit cuts off."""
    known, asked = sorted(starts_us), []
    found: set[int] = set()
    chance = random.Random(len(known))  # noqa: S311 - not a secret
    while (question := _next(plan)) is not None:
        there = [start for start in known if question.first_us <= start <= question.last_us]
        is_cut_off = len(there) >= limit
        found |= set(chance.sample(there, limit) if is_cut_off else there)
        asked.append(question)
        plan = plan.answered(question, is_cut_off=is_cut_off, is_sparse=2 * len(there) < limit)
    return found, asked, plan


@given(st.sets(st.integers(0, 10_000)), st.integers(2, 9), st.integers(1, 20_000))
def test_every_span_is_found_whatever_the_limit_leaves_out(starts_us: set[int], limit: int, widest_us: int) -> None:
    plan = plan_window(Window(0, 10_000_999), widest_us * 1000).with_services(["a"])

    found, asked, done = run(plan, starts_us, limit)

    assert found == starts_us
    assert done.overfull == ()
    assert done.done_ratio == 1.0
    assert all(question.last_us - question.first_us < widest_us for question in asked)


@given(st.lists(st.integers(0, 500), max_size=60), st.integers(1, 5))
def test_a_microsecond_that_holds_more_than_the_limit_is_told(starts_us: list[int], limit: int) -> None:
    plan = plan_window(Window(0, 500_999)).with_services([None])

    _, _, done = run(plan, starts_us, limit)

    crowded = {start for start in starts_us if starts_us.count(start) >= limit}
    assert {each.first_us for each in done.overfull} == crowded
    assert all(each.first_us == each.last_us for each in done.overfull)


def test_a_slice_that_is_cut_off_is_halved_and_grows_again_when_answers_are_sparse() -> None:
    plan = plan_window(Window(0, 7_999)).with_services(["a"])
    whole = TimeSlice("a", 0, 7)
    assert _next(plan) == whole

    halved = plan.answered(whole, is_cut_off=True, is_sparse=False)
    assert _next(halved) == TimeSlice("a", 0, 3)

    full = halved.answered(TimeSlice("a", 0, 3), is_cut_off=False, is_sparse=False)
    sparse = halved.answered(TimeSlice("a", 0, 3), is_cut_off=False, is_sparse=True)
    assert _next(full) == TimeSlice("a", 4, 7)
    assert [(lane.next_us, lane.width_us) for lane in sparse.lanes] == [(4, 8)]


def test_every_service_has_its_lane_and_new_services_get_one() -> None:
    plan = plan_window(Window(0, 999)).with_services(["a", "b"])
    after_a = plan.answered(TimeSlice("a", 0, 0), is_cut_off=False, is_sparse=True)

    again = after_a.with_services(["a", "b", "c"])

    assert after_a.done_ratio == 0.5
    assert [lane.service for lane in again.lanes] == ["a", "b", "c"]
    assert _next(again) == TimeSlice("b", 0, 0)


@given(st.lists(st.booleans(), max_size=30))
def test_a_plan_survives_being_written_down(answers: list[bool]) -> None:
    plan = plan_window(Window(5, 10**9), 10**7).with_services(["a", None])
    for is_cut_off in answers:
        if (question := _next(plan)) is not None:
            plan = plan.answered(question, is_cut_off=is_cut_off, is_sparse=not is_cut_off)

    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_a_question_reaches_a_little_further_than_its_slice() -> None:
    assert TimeSlice(None, 1, 2).window == Window(999, 2_999)


def test_a_window_without_an_end_cannot_be_planned() -> None:
    with pytest.raises(ValueError, match="two ends"):
        plan_window(Window(1, None))


def test_a_trace_is_news_once_and_again_when_it_has_more_spans() -> None:
    met = Met()

    news = [met.is_news("00A1", 3), met.is_news("a1", 3), met.is_news("a1", 2), met.is_news("a1", 4)]

    assert news == [True, False, False, True]
    assert met.span_counts == {"a1": 4}
    assert met.renewed == {"a1"}


def test_a_server_that_does_not_look_at_times_is_found_out() -> None:
    plan = plan_window(Window(0, 10**9)).with_services(["a"])
    while not plan.is_hopeless:
        question = _next(plan)
        assert question is not None
        plan = plan.answered(question, is_cut_off=True, is_sparse=False)

    assert len(plan.overfull) == 1000


def test_a_question_that_the_server_fails_over_is_halved_down_to_a_hole() -> None:
    plan = plan_window(Window(0, 7_999)).with_services(["a"])
    while (question := _next(plan)) is not None:
        fails = question.first_us <= 5 <= question.last_us
        after = plan.failed(question) if fails else plan.answered(question, is_cut_off=False, is_sparse=True)
        assert after is not None
        plan = after

    assert plan.holes == (TimeSlice("a", 5, 5),)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_a_server_that_fails_over_everything_is_no_hole() -> None:
    plan: Plan | None = plan_window(Window(0, 7_999)).with_services(["a"])
    for _ in range(20):
        assert plan is not None
        question = _next(plan)
        assert question is not None
        plan = plan.failed(question)
        if plan is None:
            break
    assert plan is None
