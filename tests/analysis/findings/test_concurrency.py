from __future__ import annotations

from tests.analysis.findings.requests import call, costs, entry, found, part, query, rest
from traceq.analysis.findings import Thresholds
from traceq.semantics import Kind


def test_calls_in_turn_with_hardly_a_pause_could_run_side_by_side() -> None:
    (finding,) = found(entry(100), call("a", 0, 30), call("b", 31, 51), call("c", 52, 72))

    assert (finding.key.kind, finding.totals.most_spans) == ("sequential-calls", 3)
    assert finding.totals.cost_ns == 40_000_000


def test_calls_with_work_between_them_may_need_each_others_answers() -> None:
    assert costs(entry(100), call("a", 0, 30), call("b", 36, 56), call("c", 62, 82)) == {}
    wide = Thresholds(sequential_gap_ns=6_000_000)
    assert costs(entry(100), call("a", 0, 30), call("b", 36, 56), call("c", 62, 82), thresholds=wide) == {
        "sequential-calls": 40
    }


def test_two_calls_queries_and_functions_in_turn_are_left_alone() -> None:
    assert costs(entry(100), call("a", 0, 30), call("b", 31, 51)) == {}
    assert costs(entry(100), query("a", 0, 30), query("b", 31, 51), query("c", 52, 72)) == {}
    assert costs(entry(100), part("a", "0", 0, 30), part("b", "0", 31, 51), part("c", "0", 52, 72)) == {}


def test_calls_in_turn_that_are_a_small_part_of_the_request_are_left_alone() -> None:
    assert costs(entry(1000), call("a", 0, 30), call("b", 31, 51), call("c", 52, 72), rest(72, 1000)) == {}


def test_a_fan_out_that_waits_for_one_is_held_up_by_it() -> None:
    (finding,) = found(entry(100), call("a", 0, 30), call("b", 1, 35), call("c", 2, 90))

    assert (finding.key.kind, finding.totals.cost_ns) == ("straggler", 55_000_000)
    assert finding.totals.examples[0].span_ids == ("a", "b", "c")
    assert finding.totals.examples[0].span_count == 3


def test_functions_side_by_side_count_as_what_they_call() -> None:
    assert costs(entry(100), part("a", "0", 0, 30), part("b", "0", 1, 35), part("c", "0", 2, 90)) == {"straggler": 55}


def test_a_fan_out_whose_calls_end_together_has_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 80), call("b", 1, 85), call("c", 2, 90)) == {}


def test_a_call_that_began_late_is_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 50), call("b", 1, 51), call("c", 40, 91)) == {}


def test_bookkeeping_beside_a_long_call_is_no_fan_out() -> None:
    assert costs(entry(100), part("a", "0", 1, 2), part("b", "0", 3, 4), call("c", 0, 90)) == {}


def test_two_calls_side_by_side_have_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 30), call("c", 2, 90)) == {}


def test_messages_nobody_waits_for_are_no_stragglers() -> None:
    sent = part("send", "0", 0, 90, kind=Kind.PRODUCER)
    received = [part(f"r{i}", "send", 1, 20 if i < 2 else 80, kind=Kind.CONSUMER) for i in range(3)]

    assert costs(entry(100), sent, *received) == {}


def test_thirty_calls_at_once_are_too_many() -> None:
    calls = [call(f"c{i}", i / 100, 50 + i / 100) for i in range(30)]

    assert found(entry(60), *calls)[0].key.kind == "fan-out"
    assert costs(entry(60), *calls[1:]) == {}
