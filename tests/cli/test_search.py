"""`traceq search`: what its golden texts do not show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import builders
from tests.cli.conftest import Run
from traceq.codec.json_writers import encode_trace

MS = 1_000_000
QUICK, SLOW, LATE = "a" * 32, "b" * 32, "c" * 32
BY_LENGTH = [(LATE, None), (SLOW, None), (QUICK, None)]


@pytest.fixture
def orders(tmp_path: Path) -> str:
    """Write three orders: one is answered slowly, and the message of another waits for two hours."""

    def order(response_ms: int, *more: builders.SpanSpec) -> list[builders.SpanSpec]:
        return [builders.span("01", None, 0, response_ms * MS, service="shop", name="POST /order"), *more]

    mail = builders.span("02", "01", 7_200_000 * MS, 7_200_030 * MS, service="mail", name="orders process")
    traces = builders.traces({QUICK: order(90), SLOW: order(2_000), LATE: order(100, mail)})
    path = tmp_path / "orders.ndjson"
    path.write_bytes(b"\n".join(encode_trace(traces, position) for position in range(3)))
    return str(path)


@pytest.mark.parametrize(
    ("words", "order", "listed"),
    [
        pytest.param(("shop",), "slowest", [(SLOW, 2_000), (LATE, 100), (QUICK, 90)], id="service"),
        pytest.param(("mail",), "slowest", [(LATE, 30)], id="consumer"),
        pytest.param(
            ("shop", "--sort", "longest"), "longest", [(LATE, None), (SLOW, None), (QUICK, None)], id="length"
        ),
        pytest.param((), "longest", [(LATE, None), (SLOW, None), (QUICK, None)], id="all-services"),
        pytest.param(("shop", "--sort", "name"), "name", [(QUICK, 90), (SLOW, 2_000), (LATE, 100)], id="by-name"),
    ],
)
def test_the_slowest_of_a_service_are_those_that_it_was_slow_to_answer(
    words: tuple[str, ...], order: str, listed: list[tuple[str, int | None]], run: Run, orders: str
) -> None:
    document = json.loads(run("search", *words, "--slowest", "5", "--source", orders, "--format", "json").out)

    found = [(trace["trace_id"], trace["response_ns"]) for trace in document["traces"]]
    assert (document["order"], found) == (order, [(name, ms and ms * MS) for name, ms in listed])


def test_the_response_time_is_shown_beside_the_length_of_the_trace(run: Run, orders: str) -> None:
    outcome = run("search", "shop", "--slowest", "5", "--source", orders, width=150)

    told = [re.split(r"  +", line.strip()) for line in outcome.out.splitlines()[1:5]]
    assert [line[3:5] for line in told] == [
        ["RESPONSE", "IN ALL"],
        ["2.00 s", "2.00 s"],
        ["100 ms", "2 h 00 m"],
        ["90.0 ms", "90.0 ms"],
    ]
    assert outcome.out.startswith("3 traces, slowest response of shop first: the longest took 2 h 00 m\n")
    assert "ordered by response time" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--lookback", "2h", "--start", "yesterday"), "give --lookback or --start, not both"),
        (
            ("--start", "2026-10-26", "--end", "2026-10-25"),
            "ends, at 2026-10-25 00:00:00.000, before it starts, at 2026",
        ),
        (("--lookback", "2026-10-26", "--end", "2026-10-25"), "before it starts, at 2026-10-26 00:00:00.000"),
        (("--start", "monday 25:00"), "'25:00' is not a time of day, write for example 14:00"),
    ],
)
def test_windows_without_sense_are_refused(arguments: tuple[str, ...], told: str, run: Run) -> None:
    outcome = run("search", *arguments, "-s", "fixtures/chat.json")

    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--where", "a = b c = d"),
            (
                "traceq: error: Invalid value for --where: cannot read the condition at column 7 ('c = d'): "
                "'and' or 'or' belongs between conditions\n"
                "traceq: error:   a = b c = d\n"
                "traceq: error:         ^\n"
                "traceq: hint: `traceq search --help` shows how\n"
            ),
        ),
        (("--where", "日本 = 1 2"), "\ntraceq: error:   日本 = 1 2\ntraceq: error:            ^\n"),
        (("--where", "a\tin ("), "\ntraceq: error:   a\\tin (\ntraceq: error:          ^\n"),
        (("--where", "a ~ '" + "(" * 3000 + ")" * 3000 + "'"), "the pattern cannot be read (maximum recursion depth"),
        (("--tag", "a~" + "(" * 3000 + ")" * 3000), "cannot read the pattern '((("),
        (("--tag", "a=b", "--tag", "a > x"), "for --tag: cannot read the condition at column 5 ('x'): '>' compares"),
        (("--where", "not " * 99 + "a exists"), f"\ntraceq: error:   {' not' * 8} {'not ' * 8}n"),
    ],
)
def test_a_mistake_in_a_condition_is_pointed_at(arguments: tuple[str, ...], told: str, run: Run) -> None:
    outcome = run("search", *arguments, "-s", "fixtures/chat.json")

    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err


def test_patterns_are_read_without_a_word_from_python(run: Run) -> None:
    for condition in (("--where", "name ~ '[[]a'"), ("--tag", "db.system~[[]b")):
        outcome = run("search", *condition, "-s", "fixtures/chat.json", "-f", "json")

        assert (outcome.code, outcome.err) == (0, "")
