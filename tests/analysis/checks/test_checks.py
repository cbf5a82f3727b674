from __future__ import annotations

import re

import pytest
from hypothesis import given

from tests.analysis.arbitrary import knowing, tables
from tests.builders import span, trace, traces
from tests.laws import examples
from traceq.analysis.checks.expressions import MEASURES, Allowance, Expression, parse_expression
from traceq.analysis.checks.results import CheckResult, CheckSums, judge, tally
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Status
from traceq.traces import Traces

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "p95(chat:POST /rooms/{id} (v2)) < 500ms",
            ("p95", "chat:POST /rooms/{id} (v2)", "<", 500 * MS, 0.95),
        ),
        ("  p99.9 ( chat ) <= 1.5s ", ("p99.9", "chat", "<=", 1500 * MS, 0.999)),
        ("mean(a)>0", ("mean", "a", ">", 0, None)),
        ("error_rate(chat) < 1 %", ("error_rate", "chat", "<", 0.01, None)),
        ("calls(mysql) >= 5", ("calls", "mysql", ">=", 5, None)),
        ("errors(chat) <= 0", ("errors", "chat", "<=", 0, None)),
        ("critical_share(mysql) < 40%", ("critical_share", "mysql", "<", 0.4, None)),
        ("no(n+1)", ("no", "n+1", "<=", 0, None)),
    ],
)
def test_checks_are_read(text: str, expected: tuple[object, ...]) -> None:
    found = parse_expression(text)

    assert (found.measure, found.target, found.comparison, found.bound, found.quantile) == expected
    assert found.text == text.strip()


@pytest.mark.parametrize(
    ("text", "allowance"),
    [
        ("p95(chat) <= baseline", Allowance()),
        ("p95(chat) <= baseline + 10%", Allowance(ratio=0.1)),
        ("p95(chat) < baseline+5ms", Allowance(more=5 * MS)),
        ("error_rate(chat) <= baseline + 50 %", Allowance(ratio=0.5)),
        ("calls(mysql) <= baseline + 2", Allowance(more=2)),
        ("p95(chat) <= 5ms", None),
    ],
)
def test_checks_may_be_about_a_baseline(text: str, allowance: Allowance | None) -> None:
    assert parse_expression(text).allowance == allowance


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p95", "at its end: expected '('"),
        ("p95(a", "at its end: expected ')'"),
        (
            "fast(a) < 1s",
            f"at 'fast(a) < 1s' (column 1): expected {MEASURES}",
        ),
        (
            "p95(a) >= baseline",
            "at 'baseline' (column 11): expected <= before a baseline: what got worse is looked for",
        ),
        (
            "max(a) <= baseline",
            "at 'baseline' (column 11): expected a bound, since max depends on how much was measured: compare p99",
        ),
        (
            "p95(a) <= baseline + x",
            "at 'baseline + x' (column 11): expected a share of the baseline such as 10%, or a duration such as 500ms",
        ),
        ("p95(a) 5", "at '5' (column 8): expected <, <=, > or >="),
        ("p95(a) < 5", "at '5' (column 10): expected a duration such as 500ms"),
        ("error_rate(a) < 5", "at '5' (column 17): expected a share such as 1%"),
        ("calls(a) < 5ms", "at '5ms' (column 12): expected a number such as 5"),
        ("no(n+1) < 3", "at '< 3' (column 9): expected nothing: no(...) has no bound"),
    ],
)
def test_what_is_no_check_is_refused_where_reading_stopped(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f"cannot read the check '{text}' {told}") + "$"):
        parse_expression(text)


def measured(table: Traces, text: str) -> tuple[float | None, bool]:
    result: CheckResult = judge(tally(table, parse_expression(text), RequestOptions()), parse_expression(text))
    return result.value, result.passed


def test_durations_errors_and_calls_are_measured() -> None:
    table = traces(
        {
            "a1": [
                span("1", None, 0, 100 * MS, service="chat", name="POST", status=Status.ERROR),
                span("2", "1", 0, 10 * MS, service="chat", name="q"),
                span("3", "1", 10 * MS, 20 * MS, service="chat", name="q"),
            ],
            "a2": [span("1", None, 0, 50 * MS, service="chat", name="POST")],
        }
    )

    assert measured(table, "max(chat) < 100ms") == (100 * MS, False)
    assert measured(table, "mean(chat) <= 75ms") == (75 * MS, True)
    assert measured(table, "min(chat:q) >= 10ms") == (10 * MS, True)
    assert measured(table, "error_rate(chat) < 50%") == (0.5, False)
    assert measured(table, "calls(q) <= 1") == (2, False)
    assert measured(table, "calls(q) >= 1") == (0, False)
    assert measured(table, "calls(nothing) <= 1") == (0, True)
    assert measured(table, "errors(chat) < 1") == (1, False)
    assert measured(table, "count(chat:q) >= 2") == (2, True)
    assert measured(table, "critical_share(q) <= 20%") == (20 / 150, True)


def test_a_name_that_nothing_goes_by_fails() -> None:
    expression = parse_expression("p95(chta) < 1s")

    result = judge(tally(trace(("a", None, 0, 1)), expression, RequestOptions()), expression)

    assert (result.passed, result.measured, result.remark) == (False, "nothing", "no span goes by this name in 1 trace")


@examples(0.5)
@given(tables())
def test_sums_of_parts_add_up(table: Traces) -> None:
    table = knowing(table)
    expression: Expression = parse_expression("calls(get) <= 5")
    alone = [table.select([position]) for position in range(len(table))]

    for parts in (alone, alone[::-1]):
        assert sum((tally(part, expression, RequestOptions()) for part in parts), CheckSums()) == tally(
            table, expression, RequestOptions()
        )


def test_what_a_name_means_is_decided_when_all_traces_were_seen() -> None:
    """`cart` is a service in one trace and an operation in another: as one table has it, the operation is meant."""
    table = traces(
        {
            "a1": [span("1", None, 0, 100 * MS, service="cart", name="GET"), span("2", "1", 0, MS, service="cart")],
            "a2": [span("1", None, 0, 50 * MS, service="web", name="cart")],
        }
    )
    expression = parse_expression("max(cart) < 1s")

    parts = tally(table.select([0]), expression, RequestOptions()) + tally(
        table.select([1]), expression, RequestOptions()
    )

    assert judge(parts, expression) == judge(tally(table, expression, RequestOptions()), expression)
    assert judge(parts, expression).value == 50 * MS
