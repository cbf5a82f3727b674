from __future__ import annotations

import pytest
from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import record, span
from traceq.analysis.comparison import tags
from traceq.analysis.comparison.tags import TagCounts, compare_tags, count_tags
from traceq.assembly import assemble
from traceq.semantics import Attributes
from traceq.traces import Traces


def tagged(prefix: str, *attributes: Attributes, pod: str = "p1") -> Traces:
    return assemble(
        [
            record(span("1", None, 0, 10, attributes=own, resource={"pod": pod}), trace_id=f"{prefix}{number:03x}")
            for number, own in enumerate(attributes)
        ]
    )


def test_values_of_one_set_stand_out_with_what_says_the_same() -> None:
    before = count_tags(tagged("a", *({"tenant": f"t{number % 10}"} for number in range(100))))
    after = count_tags(tagged("b", *({"tenant": "t3"} for _ in range(40)), pod="p2"))

    found = compare_tags(before, after)

    first, second = found.changes
    assert (first.key, first.value, first.lift, first.after_ratio) == ("resource.pod", "p2", None, 1.0)
    assert (second.key, second.value, second.before_count, second.after_count) == ("tenant", "t3", 10, 40)
    assert second.lift == 10


def test_tags_of_the_very_same_traces_stand_together() -> None:
    before = count_tags(tagged("a", *({} for _ in range(40))))
    after = count_tags(tagged("b", *({"zone": "z", "rack": "r"} for _ in range(40))))

    assert [(change.key, change.alike) for change in compare_tags(before, after).changes] == [
        ("rack", (("zone", "z"),))
    ]


def test_what_few_traces_have_does_not_stand_out() -> None:
    before = count_tags(tagged("a", *({} for _ in range(40))))
    after = count_tags(tagged("b", *({"id": number} for number in range(5))))

    assert compare_tags(before, after).changes == ()


def test_the_tag_that_told_the_sets_apart_says_nothing_new() -> None:
    before, after = (count_tags(tagged(prefix, *({"v": prefix} for _ in range(40)))) for prefix in "ab")

    assert compare_tags(before, after, frozenset({"v"})).changes == ()


def test_keys_with_too_many_values_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "VALUES_COUNTED", 10)
    before, after = (count_tags(tagged(prefix, *({"id": n} for n in range(20)))) for prefix in "ab")

    assert compare_tags(before, after).left_out == ("id",)


def test_of_many_traces_some_are_looked_at_whatever_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "TRACES_COUNTED", 5)
    traces = tagged("a", *({"n": number} for number in range(20)))

    forward = count_tags(traces)
    parts = sum((count_tags(part) for part in reversed(list(traces))), TagCounts())

    assert (forward.sampled_count, forward.trace_count) == (5, 20)
    assert (parts.by_trace, parts.trace_count) == (forward.by_trace, 20)


@given(tables())
def test_nothing_stands_out_of_a_set_against_itself(traces: Traces) -> None:
    counted = count_tags(traces)

    assert compare_tags(counted, counted).changes == ()
