from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.builders import SpanSpec, span, traces
from traceq.analysis.checks import Allowance, Checks, ChecksQuestion, parse_expression
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Kind, Status
from traceq.traces import Traces

MS = 1_000_000


def served(
    lengths_ms: Sequence[float],
    *,
    name: str = "GET",
    failing: int = 0,
    calls: int = 1,
) -> dict[str, list[SpanSpec]]:
    """Give a trace for each request of one operation, of which one in `failing` fails."""
    made = {}
    for number, length_ms in enumerate(lengths_ms):
        start, status = number * 1000 * MS, Status.ERROR if failing and number % failing == 1 else Status.UNSET
        entry = span("1", None, start, start + round(length_ms * MS), service="web", name=name, status=status)
        below = [
            span(f"{2 + call}", "1", start, start + MS, service="web", name="SELECT", kind=Kind.CLIENT)
            for call in range(calls)
        ]
        made[f"{number:x}{name.encode().hex()}"] = [entry, *below]
    return made


def drawn(seed: int, count: int, slow: float = 0.0, factor: float = 1.0) -> list[float]:
    rng = np.random.default_rng(seed)
    lengths = 100 * np.exp(rng.normal(0, 0.3, count))
    return [float(length) for length in np.where(rng.random(count) < slow, factor, 1.0) * lengths]


def compared(before: Traces, after: Traces, *checks: str, tolerance: float = 0.1) -> Checks:
    question = ChecksQuestion(RequestOptions(), tuple(map(parse_expression, checks)), with_entries=not checks)
    sides = (question.of_baseline.collect(before), question.collect(after))
    return question.against(*sides, Allowance(ratio=tolerance)).allowing(chance=True, nothing=False)


def outcomes(checks: Checks) -> dict[str, str]:
    return {result.text: result.outcome for result in checks.results}


def test_a_percentile_that_doubles_while_the_mean_hardly_moves_fails() -> None:
    before, after = drawn(1, 400), drawn(2, 400, slow=0.08, factor=2.6)
    assert np.mean(after) < 1.16 * np.mean(before)

    checks = compared(traces(served(before)), traces(served(after)))

    assert outcomes(checks) == {
        "p50 of web GET": "passed",
        "p95 of web GET": "failed",
        "p99 of web GET": "failed",
        "error rate of web GET": "passed",
        "calls per request of web GET": "passed",
    }
    p95 = checks.results[1]
    assert p95.before == pytest.approx(np.sort(before)[379] * MS, abs=1)
    assert p95.value == pytest.approx(np.sort(after)[379] * MS, abs=1)
    assert p95.low is not None
    assert p95.change is not None
    assert 1.1 < p95.low < 1 + p95.change
    assert p95.chance is not None
    assert p95.chance < 0.005
    assert p95.remark.startswith("400 requests and 400, at least +")
    assert p95.example


def test_two_runs_of_the_same_have_not_regressed() -> None:
    checks = compared(traces(served(drawn(1, 200))), traces(served(drawn(2, 200))), tolerance=0)

    assert not checks.failed
    assert "within-chance" in outcomes(checks).values()
    assert checks.allowing(chance=False, nothing=False).failed == [], "what was allowed stays allowed"


def test_what_chance_may_have_done_fails_where_that_is_asked_for() -> None:
    question = ChecksQuestion(RequestOptions(), with_entries=True)
    before, after = (question.collect(traces(served(drawn(seed, 200)))) for seed in (1, 2))

    checks = question.against(before, after)

    assert {result.outcome for result in checks.failed} == {"within-chance"}


def test_failures_and_calls_regress_too() -> None:
    before = traces(served(drawn(1, 100)))
    after = traces(served(drawn(1, 100), failing=4, calls=2))

    checks = compared(before, after)

    assert [result.text for result in checks.failed] == ["error rate of web GET", "calls per request of web GET"]
    assert [result.measured for result in checks.failed] == ["0 % → 25 %", "1 → 2 (+100 %)"]


def test_an_operation_that_is_gone_was_measured_on_nothing() -> None:
    both = traces({**served(drawn(1, 100)), **served(drawn(2, 50), name="POST")})

    checks = compared(both, traces(served(drawn(3, 100))))

    (gone,) = [result for result in checks.results if result.subject.measure == "requests"]
    assert (gone.text, gone.outcome, gone.passed) == ("requests of web POST", "nothing", False)
    assert gone.remark.startswith("none of 100 requests, but 50 of 150 before")
    assert not checks.allowing(chance=True, nothing=True).failed


def test_an_operation_that_is_rare_may_be_missing_by_chance() -> None:
    both = traces({**served(drawn(1, 100)), **served(drawn(2, 2), name="POST")})

    checks = compared(both, traces(served(drawn(3, 100))))

    assert outcomes(checks)["requests of web POST"] == "too-few"
    assert not checks.failed


def test_new_operations_are_told() -> None:
    both = traces({**served(drawn(1, 100)), **served(drawn(2, 50), name="POST")})

    checks = compared(traces(served(drawn(3, 100))), both)

    assert checks.unheld == (("web", "POST"),)


def test_a_few_requests_hold_nothing() -> None:
    checks = compared(traces(served(drawn(1, 100))), traces(served(drawn(2, 4))))

    assert checks.results[-1].outcome == "nothing"
    assert checks.results[-1].remark == "too few requests of the same operations to tell: 100 before, 4 after"


def test_percentiles_need_values_beyond_them() -> None:
    found = outcomes(compared(traces(served(drawn(1, 60))), traces(served(drawn(2, 60)))))

    assert (found["p95 of web GET"] != "too-few", found["p99 of web GET"]) == (True, "too-few")


@pytest.mark.parametrize(
    ("check", "outcome", "measured"),
    [
        ("p50(web) <= baseline + 10%", "failed", "101 ms → 152 ms (+50 %)"),
        ("p50(web) <= baseline + 60%", "passed", "101 ms → 152 ms (+50 %)"),
        ("p50(web) <= baseline + 60ms", "passed", "101 ms → 152 ms (+50 %)"),
        ("mean(web:GET) <= baseline", "failed", "103 ms → 155 ms (+50 %)"),
        ("errors(web) <= baseline", "failed", "0 → 30"),
        ("error_rate(web) <= baseline", "failed", "0 % → 25 %"),
        ("calls(SELECT) <= baseline", "failed", "1 → 3 (+200 %)"),
        ("critical_share(SELECT) <= baseline", "passed", "0.97 % → 0.647 % (-33 %)"),
        ("p95(SELECT) <= baseline", "passed", "1.00 ms → 1.00 ms"),
        ("p95(nothing) <= baseline", "nothing", "nothing"),
    ],
)
def test_checks_are_compared_with_the_baseline(check: str, outcome: str, measured: str) -> None:
    lengths = drawn(6, 120)
    after = served([1.5 * each for each in lengths], failing=4, calls=3)

    (result,) = compared(traces(served(lengths)), traces(after), check).results

    assert (result.outcome, result.measured) == (outcome, measured)


def test_slices_add_up_to_the_same_answer() -> None:
    before = traces({**served(drawn(1, 60)), **served(drawn(2, 30), name="POST")})
    after = traces({**served(drawn(3, 60)), **served(drawn(4, 30), name="POST")})
    question = ChecksQuestion(RequestOptions(), with_entries=True)

    def parts(table: Traces) -> object:
        found = [question.collect(table.select([position])) for position in range(len(table))]
        return sum(found[::-1], question.nothing())

    whole = question.against(question.collect(before), question.collect(after))
    sliced = question.against(parts(before), parts(after))  # type: ignore[arg-type]

    assert sliced.to_dict() == whole.to_dict()
