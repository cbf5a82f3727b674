from __future__ import annotations

import pytest
from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import assemble, record, span
from traceq.analysis.comparison import tags
from traceq.analysis.comparison.cohorts import collect
from traceq.analysis.comparison.tags import (
    Sample,
    TagCounts,
    TaggedSample,
    chance_of_so_many,
    choose,
    compare_tags,
    count_tags,
    values_of,
)
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Attributes
from traceq.traces import Traces


def tagged(prefix: str, *attributes: Attributes, pod: str = "p1") -> Traces:
    return assemble(
        [
            record(span("1", None, 0, 10, attributes=own, resource={"pod": pod}), trace_id=f"{prefix}{number:03x}")
            for number, own in enumerate(attributes)
        ]
    )


def borne_by_app(by_key: dict[str, dict[str, int]]) -> dict[tuple[str, str], frozenset[str]]:
    return {(key, value): frozenset({"app"}) for key, values in by_key.items() for value in values}


def sampled(traces: Traces) -> TaggedSample:
    sample = choose(collect(traces, RequestOptions()).traces)
    return TaggedSample(sample, count_tags(traces, sample))


def test_values_of_one_set_stand_out_with_what_says_the_same() -> None:
    before = sampled(tagged("a", *({"tenant": f"t{number % 10}"} for number in range(100))))
    after = sampled(tagged("b", *({"tenant": "t3"} for _ in range(40)), pod="p2"))

    found = compare_tags(before, after)

    first, second = found.changes
    assert (first.key, first.value, first.lift, first.after_ratio) == ("resource.pod", "p2", None, 1.0)
    assert (second.key, second.value, second.before_count, second.after_count) == ("tenant", "t3", 10, 40)
    assert second.lift == 10


def test_tags_of_the_very_same_traces_stand_together() -> None:
    before = sampled(tagged("a", *({} for _ in range(40))))
    after = sampled(tagged("b", *({"zone": "z", "rack": "r"} for _ in range(40))))

    assert [(change.key, change.alike) for change in compare_tags(before, after).changes] == [
        ("rack", (("zone", "z"),))
    ]


def test_what_few_traces_have_does_not_stand_out() -> None:
    before = sampled(tagged("a", *({} for _ in range(40))))
    after = sampled(tagged("b", *({"id": number} for number in range(5))))

    assert compare_tags(before, after).changes == ()


def test_the_tag_that_told_the_sets_apart_says_nothing_new() -> None:
    before, after = (sampled(tagged(prefix, *({"v": prefix} for _ in range(40)))) for prefix in "ab")

    assert compare_tags(before, after, frozenset({"v"})).changes == ()


def test_keys_with_too_many_values_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "VALUES_COUNTED", 10)
    before, after = (sampled(tagged(prefix, *({"id": n} for n in range(20)))) for prefix in "ab")

    assert compare_tags(before, after).left_out == ("id",)


def test_values_of_both_sets_together_can_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "VALUES_COUNTED", 10)
    before, after = (sampled(tagged(prefix, *({"id": prefix + str(n)} for n in range(8)))) for prefix in "ab")

    assert compare_tags(before, after).left_out == ("id",)


def test_tags_are_noted_by_trace_of_the_sample() -> None:
    traces = tagged("a", {"n": 1, "ok": True}, {"n": 2, "ok": 1}, {"n": 2}, {"n": 9})

    found = count_tags(traces, Sample(("a002", "0a000", "a001"), 4))

    by_key = {"n": {"1": 0b010, "2": 0b101}, "ok": {"true": 0b010, "1": 0b100}, "resource.pod": {"p1": 0b111}}
    assert found == TagCounts(by_key, frozenset(), borne_by_app(by_key), {"app": 0b111})
    assert found.counts() == {
        ("n", "1"): 1,
        ("n", "2"): 2,
        ("ok", "true"): 1,
        ("ok", "1"): 1,
        ("resource.pod", "p1"): 3,
    }


def test_counts_of_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "VALUES_COUNTED", 2)
    traces = tagged("a", {"n": 1, "m": 1}, {"n": 2, "m": 1}, {"n": 3, "m": 2})
    sample = Sample(("a000", "a001", "a002"), 3)

    parts = [count_tags(part, sample) for part in traces]

    by_key = {"m": {"1": 0b011, "2": 0b100}, "resource.pod": {"p1": 0b111}}
    expected = TagCounts(by_key, frozenset({"n"}), borne_by_app(by_key), {"app": 0b111})
    assert sum(parts, TagCounts()) == sum(parts[::-1], TagCounts()) == count_tags(traces, sample) == expected


def test_of_many_traces_the_same_are_looked_at_whatever_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "TRACES_COUNTED", 5)
    cohort = collect(tagged("a", *({"n": number} for number in range(20))), RequestOptions())

    whole, part = choose(cohort.traces), choose(cohort.of(range(10, 20)).traces)

    assert (len(whole), whole.trace_count) == (5, 20)
    assert (len(part), part.trace_count) == (5, 10)
    assert set(whole.trace_ids) - set(part.trace_ids) <= {f"a{number:03x}" for number in range(10)}


def test_values_of_a_tag_are_those_of_spans_and_resources() -> None:
    traces = tagged("a", {"pod": "x"}, {}, pod="p1")

    assert values_of(traces, "pod") == (("p1", "x"), ("p1",))
    assert values_of(traces, "resource.pod") == (("p1",), ("p1",))
    assert values_of(traces, "nothere") == ((), ())


@given(tables())
def test_nothing_stands_out_of_a_set_against_itself(traces: Traces) -> None:
    counted = sampled(traces)

    assert compare_tags(counted, counted).changes == ()


def requests_of(prefix: str, *traces: tuple[str, Attributes]) -> Traces:
    """Build requests of `web`, each with a call to a service whose span has the given attributes."""
    return assemble(
        [
            record(
                span("1", None, 0, 10, service="web", attributes=own if service == "web" else {}),
                *([span("2", "1", 1, 9, service=service, attributes=own)] if service != "web" else []),
                trace_id=f"{prefix}{number:03x}",
            )
            for number, (service, own) in enumerate(traces)
        ]
    )


def test_that_a_service_was_called_at_all_is_no_tag() -> None:
    alone: list[tuple[str, Attributes]] = [("web", {})] * 40
    calling: list[tuple[str, Attributes]] = [("search", {"index": f"i{number % 2}"}) for number in range(40)]
    before, after = sampled(requests_of("a", *alone, *calling[:4])), sampled(requests_of("b", *alone[:4], *calling))

    assert compare_tags(before, after).changes == ()


def test_a_value_stands_out_among_requests_of_its_kind_however_these_are_mixed() -> None:
    def mixed(alone: int, first: int, other: int) -> list[tuple[str, Attributes]]:
        index = ["i0"] * first + ["i1"] * other
        return [*[("web", {})] * alone, *(("search", {"index": value}) for value in index)]

    before, after = sampled(requests_of("a", *mixed(20, 10, 30))), sampled(requests_of("b", *mixed(40, 28, 4)))

    (found,) = compare_tags(before, after).changes
    assert (found.key, found.value, found.before_count, found.after_count) == ("index", "i0", 10, 28)


def test_chances_of_kinds_multiply() -> None:
    # One of two traces has the tag, and it is in the second set: 1 of 2 by chance; for two kinds 1 of 4.
    kind = (1, 1, 0, 1)

    assert chance_of_so_many([kind]) == pytest.approx(1 / 2)
    assert chance_of_so_many([kind, kind]) == pytest.approx(1 / 4)
    # Fisher's tea: of four cups with milk first, all four are recognised in 1 of 70 cases.
    assert chance_of_so_many([(4, 4, 0, 4)]) == pytest.approx(1 / 70)
