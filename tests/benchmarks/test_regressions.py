from __future__ import annotations

from benchmarks.regressions import SHAPES, Change, failing, fails_for_nothing, finds, run


def test_a_run_is_the_same_every_time() -> None:
    one, again = (run("bimodal", [20, 30], 7) for _ in range(2))

    assert [entries.latency.values.tolist() for entries in one.runs.values()] == [
        entries.latency.values.tolist() for entries in again.runs.values()
    ]
    assert [len(entries) for entries in one.runs.values()] == [20, 30]


def test_a_build_does_not_fail_for_nothing() -> None:
    shapes = set(SHAPES) - {"slow stretches"}
    assert not [(shape, seed) for shape in shapes for seed in (1, 2) if fails_for_nothing(seed, shape, 50)]


def test_a_build_seldom_fails_because_slow_requests_came_together() -> None:
    assert sum(fails_for_nothing(seed, "slow stretches", 200) for seed in range(20)) <= 1


def test_what_doubles_is_found_and_nothing_else_fails() -> None:
    assert finds(3, "lognormal", 200, Change(growth=2))
    assert {
        text.partition(" of ")[2]
        for text in failing(run("lognormal", [200, 200], 1), run("lognormal", [200, 200], 2, Change(2)))
    } == {"service operation 0"}
