from __future__ import annotations

from tests.analysis.findings.requests import call, costs, entry, found, part, query, rest
from tests.builders import SpanSpec, traces
from traceq.analysis.findings import Finding, Thresholds
from traceq.library import findings
from traceq.semantics import Attributes, Kind
from traceq.units import NS_PER_MS


def parts(*turns: str, pause_ms: float = 1) -> dict[str, list[SpanSpec]]:
    """Give requests that call services in turn, for 20, 21, 22 ... ms: a letter for each call."""
    return {
        f"{number:x}": [
            entry(200),
            *(
                call(
                    letter, at * (30 + pause_ms), at * (30 + pause_ms) + 20 + ord(letter) - ord("a"), name=f"/{letter}"
                )
                for at, letter in enumerate(turn)
            ),
            rest(185, 200),
        ]
        for number, turn in enumerate(turns, start=1)
    }


def told_in_turn(
    *turns: str, pause_ms: float = 1, thresholds: Thresholds | None = None
) -> list[tuple[int, int, float]]:
    """Give requests, calls and cost of calls in turn."""
    answer = findings(traces(parts(*turns, pause_ms=pause_ms)), thresholds=thresholds)
    return [
        (one.totals.request_count, one.totals.most_spans, one.totals.cost_ns / NS_PER_MS)
        for one in answer.findings
        if one.key.kind == "sequential-calls"
    ]


WIDE = Thresholds(sequential_gap_ns=20 * NS_PER_MS)


def test_calls_whose_order_varies_could_run_side_by_side() -> None:
    assert told_in_turn("abc", "cba", "bac", "cab", thresholds=WIDE) == [(4, 3, 164)]


def test_calls_that_are_always_made_in_the_same_order_may_need_each_others_answers() -> None:
    assert told_in_turn(*["abc"] * 20, thresholds=WIDE) == []


def test_only_the_calls_whose_order_varies_are_told() -> None:
    turns = ["xabcd", "xcbad", "xbacd", "xcabd"] * 2
    table = traces(parts(*turns))

    answer = findings(table, thresholds=Thresholds(sequential_gap_ns=20 * NS_PER_MS, min_ratio=0))

    (finding,) = (one for one in answer.findings if one.key.kind == "sequential-calls")
    assert (finding.key.name, finding.totals.request_count, finding.totals.most_spans) == ("/a", 8, 3)


def test_calls_that_usually_run_side_by_side_are_not_in_turn() -> None:
    beside = {
        f"b{number}": [entry(200), *(call(letter, at, 150, name=f"/{letter}") for at, letter in enumerate("abc"))]
        for number in range(4)
    }

    answer = findings(traces(parts("abc", "cba", "bac", "cab") | beside), thresholds=WIDE)

    assert [one for one in answer.findings if one.key.kind == "sequential-calls"] == []


def test_calls_with_pauses_two_calls_and_queries_are_left_alone() -> None:
    assert told_in_turn("abc", "cba", "bac", "cab", pause_ms=30, thresholds=WIDE) == []
    assert told_in_turn("ab", "ba", "ab", "ba", thresholds=WIDE) == []


def test_one_request_does_not_show_whether_calls_need_each_other() -> None:
    assert costs(entry(100), call("a", 0, 30), call("b", 31, 51), call("c", 52, 72)) == {}


def test_calls_in_turn_that_are_a_small_part_of_the_request_are_left_alone() -> None:
    small = Thresholds(sequential_gap_ns=20 * NS_PER_MS, min_ratio=0.3)

    assert told_in_turn("abc", "cba", "bac", "cab", thresholds=small) == []


def queries_in_turn(*turns: str, statements: bool = True) -> list[Finding]:
    """Give what is found of requests with queries of one name in turn, for 20 of 31 ms: a letter for each table."""
    requests = {
        f"{number:x}": [
            entry(100),
            *(
                query(f"q{at}", 31 * at, 31 * at + 20, attributes=_asking(letter if statements else "", number))
                for at, letter in enumerate(turn)
            ),
        ]
        for number, turn in enumerate(turns, start=1)
    }
    return list(findings(traces(requests), thresholds=WIDE).findings)


def _asking(table: str, number: int) -> Attributes:
    statement = {"db.statement": f"SELECT * FROM {table} WHERE id = {number}"} if table else {}  # noqa: S608
    return {"db.system": "mysql", **statement}


def test_queries_are_told_apart_by_what_they_ask_whatever_their_name() -> None:
    (finding,) = queries_in_turn("abc", "cba", "bac", "cab")

    assert (finding.key.kind, finding.key.name) == ("sequential-queries", "SELECT users")
    assert (finding.totals.request_count, finding.totals.most_spans) == (4, 3)
    assert finding.totals.cost_ns == 4 * 40 * NS_PER_MS


def test_queries_whose_order_never_varies_or_is_not_known_are_left_alone() -> None:
    assert queries_in_turn(*["abc"] * 20) == []
    assert queries_in_turn("aba", "bab", "aba", "bab") == []
    assert queries_in_turn("abc", "cba", "bac", "cab", statements=False) == []


def test_a_fan_out_that_waits_for_one_is_held_up_by_it() -> None:
    (finding,) = found(entry(400), call("a", 0, 20), call("b", 1, 22), call("c", 2, 390))

    assert (finding.key.kind, finding.totals.cost_ns) == ("straggler", 368_000_000)
    assert finding.totals.examples[0].span_ids == ("a", "b", "c")
    assert finding.totals.examples[0].span_count == 3


def test_one_request_of_calls_that_scatter_has_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 30), call("b", 1, 35), call("c", 2, 90)) == {}


def fans(*lasts_ms: float, usual: tuple[float, ...] = (20, 21, 22, 19)) -> list[float]:
    """Give the costs of stragglers in requests of four calls that usually take so long, and one more."""
    table = traces(
        {
            f"{number:x}": [
                entry(last_ms + 1),
                *(call(f"c{at}", 0, ms + (number % 3) / 10) for at, ms in enumerate(usual)),
                call("last", 0, last_ms),
            ]
            for number, last_ms in enumerate(lasts_ms, start=1)
        }
    )
    told = [one for one in findings(table).findings if one.key.kind == "straggler"]
    return [example.cost_ns / NS_PER_MS for one in told for example in one.totals.examples]


def test_a_straggler_is_told_by_how_much_such_calls_usually_scatter() -> None:
    assert fans(*[21.0] * 30, 50) == [27.9]
    assert fans(*[21.0] * 30, 50, usual=(5, 12, 45, 8)) == []


def test_a_straggler_of_a_name_of_its_own_has_to_be_clearer() -> None:
    usual = [call(f"c{at}", 0, ms) for at, ms in enumerate((20, 21, 22, 19, 20))]

    assert costs(entry(400), *usual, call("slow", 0, 100, name="/slow"), rest(0, 400)) == {}
    assert costs(entry(400), *usual, call("slow", 0, 390, name="/slow")) == {"straggler": 368}


def test_a_fan_out_whose_calls_end_together_has_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 80), call("b", 1, 85), call("c", 2, 90)) == {}


def test_a_call_that_began_late_is_no_straggler() -> None:
    assert costs(entry(100), call("a", 0, 50), call("b", 1, 51), call("c", 40, 91)) == {}


def test_bookkeeping_beside_a_long_call_is_no_fan_out() -> None:
    assert costs(entry(100), part("a", "0", 1, 2), part("b", "0", 3, 4), call("c", 0, 90)) == {}


def test_two_calls_side_by_side_have_no_straggler() -> None:
    assert costs(entry(400), call("a", 0, 20), call("c", 2, 390)) == {}


def test_messages_nobody_waits_for_are_no_stragglers() -> None:
    sent = part("send", "0", 0, 90, kind=Kind.PRODUCER)
    received = [part(f"r{i}", "send", 1, 20 if i < 2 else 80, kind=Kind.CONSUMER) for i in range(3)]

    assert costs(entry(100), sent, *received) == {}


def test_thirty_calls_at_once_are_too_many() -> None:
    calls = [call(f"c{i}", i / 100, 50 + i / 100) for i in range(30)]

    # One call instead of all would still take 50 ms.
    assert costs(entry(60), *calls) == {"fan-out": 0.29}
    assert costs(entry(60), *calls[1:]) == {}
