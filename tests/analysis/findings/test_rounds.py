from __future__ import annotations

from collections.abc import Iterator

from tests.analysis.findings.requests import costs, entry, found, part, query
from tests.builders import SpanSpec

TABLES = ("users", "carts", "prices")


def ask(number: int, table: str, begins_ms: int, parent_id: str = "0") -> SpanSpec:
    asked = {"db.system": "mysql", "db.statement": f"SELECT * FROM {table} WHERE id = {number}"}  # noqa: S608
    return query(f"{parent_id}q{number}", begins_ms, begins_ms + 9, parent_id, attributes=asked)


def loop(rounds: int, tables: tuple[str, ...] = TABLES, parent_id: str = "0", start_ms: int = 0) -> Iterator[SpanSpec]:
    """Give queries of 9 of every 10 ms, in rounds."""
    for number in range(rounds * len(tables)):
        yield ask(number, tables[number % len(tables)], start_ms + 10 * number, parent_id)


def test_the_parts_of_a_loop_are_one_finding_that_costs_all_but_the_longest_of_each() -> None:
    (finding,) = found(entry(300), *loop(10))

    assert (finding.key.kind, finding.key.name, finding.key.caller_name) == ("m*n+1", "SELECT users", "GET /")
    assert finding.totals.cost_ns == 3 * 9 * 9_000_000
    assert (finding.totals.sighting_count, finding.totals.span_count) == (1, 30)
    assert finding.totals.examples[0].span_ids == ("0q0", "0q1", "0q2", "0q3", "0q4")
    assert finding.evidence == "30 calls in a loop that makes the same few in each round, 270 ms together"


def test_loops_one_after_the_other_are_an_n_plus_one_each() -> None:
    spans = [ask(number, TABLES[number // 10], 10 * number) for number in range(20)]

    assert [(one.key.kind, one.totals.cost_ns) for one in found(entry(200), *spans)] == [("n+1", 18 * 9_000_000)]


def test_now_and_then_a_part_is_left_out() -> None:
    kept = [span for number, span in enumerate(loop(12)) if number not in (4, 13)]

    assert costs(entry(360), *kept) == {"m*n+1": (12 + 12 + 10 - 3) * 9}


def test_nine_rounds_are_no_loop() -> None:
    assert "m*n+1" not in costs(entry(270), *loop(9))


def test_functions_may_make_the_calls_of_a_round() -> None:
    functions = [part(f"f{number}", "0", 30 * number, 30 * number + 29, name="load") for number in range(10)]
    calls = [span for number in range(10) for span in loop(1, parent_id=f"f{number}", start_ms=30 * number)]

    assert costs(entry(300), *functions, *calls) == {"m*n+1": 3 * 9 * 9}


def test_a_round_that_sleeps_is_polling() -> None:
    calls = [ask(number, TABLES[number % 2], 200 * (number // 2) + 10 * (number % 2)) for number in range(20)]

    assert costs(entry(2000), *calls).keys() <= {"gap"}
