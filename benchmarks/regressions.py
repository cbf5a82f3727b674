"""`python -m benchmarks.regressions`: how often `check --baseline` fails for nothing, and what it finds.

Pairs of runs are drawn: from one distribution, to see how often a build fails for nothing, and with a regression of a
known size in one operation, to see how small a one is found. With `--docs`, on seeds that nobody tuned with, the tables
are written into docs/analyses/check.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.truth.comparing import recorded
from benchmarks.truth.execution import execute
from benchmarks.truth.programs import draw_system
from traceq.analysis.checks.chance import Sample
from traceq.analysis.checks.expressions import Allowance
from traceq.analysis.checks.regressions import (
    Entries,
    EntryKey,
    EntrySums,
    Worst,
    collect_entries,
    entries_compared,
    settle,
)
from traceq.analysis.requests import RequestOptions

DOCS = Path(__file__).parent.parent / "docs" / "analyses" / "check.md"
_MARKED = re.compile(r"(<!-- tables of benchmarks.regressions -->\n).*?(<!-- end of tables -->)", re.DOTALL)
_TUNING, _REPORTING = 0, 800_000
"""The first seed while rules were made, and the first one of what is reported."""
_ALLOWANCE = Allowance(ratio=0.1)
_OPERATIONS = 5
_SIZES = (50, 200, 1000)
_SYSTEMS_IN = 4
"""Systems are simulated, recorded and read: one for so many pairs of runs that are only drawn."""
_FOUND = 0.8
"""The share of pairs in which a regression has to be found for it to count as found."""
_GROWTHS = (1.15, 1.2, 1.3, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10)

Floats: TypeAlias = npt.NDArray[np.float64]
Random: TypeAlias = np.random.Generator
Shape: TypeAlias = Callable[[Random, int], Floats]


def _lognormal(random: Random, size: int) -> Floats:
    return np.exp(random.normal(0, 0.5, size))


def _bimodal(random: Random, size: int) -> Floats:
    """Nine of ten are answered by a cache."""
    misses = random.random(size) < 0.1
    return np.where(misses, 12 * np.exp(random.normal(0, 0.3, size)), np.exp(random.normal(0, 0.2, size)))


def _heavy(random: Random, size: int) -> Floats:
    return 1 + random.pareto(1.5, size)


def _rounded(random: Random, size: int) -> Floats:
    """Few different values: a coarse clock."""
    return np.ceil(4 * _lognormal(random, size)) / 4


def _in_stretches(random: Random, size: int) -> Floats:
    """Every now and then a stretch of requests is slow together: a pause, a busy neighbour."""
    state = np.empty(size)
    state[0] = random.random() < _SLOW
    for at in range(1, size):
        state[at] = (random.random() < _SLOW) if random.random() < 1 / _STRETCH else state[at - 1]
    return _lognormal(random, size) * np.where(state > 0, 3, 1)


_SLOW = 0.08
_STRETCH = 8
"""The average number of requests in such a stretch."""

SHAPES: Mapping[str, Shape] = {
    "lognormal": _lognormal,
    "bimodal": _bimodal,
    "heavy tail": _heavy,
    "coarse clock": _rounded,
    "slow stretches": _in_stretches,
}


class Change(NamedTuple):
    """A regression of one operation."""

    growth: float = 1.0
    share: float = 1.0
    """The share of the requests that take longer."""
    failing: float = 0.0
    calls: float = 0.0
    """The share of the requests that make ten calls more."""


_NONE = Change()


def run(shape: str, sizes: Sequence[int], seed: int, change: Change = _NONE) -> EntrySums:
    """Draw a run: an operation for each size, of which the first one is changed."""
    random = np.random.default_rng(seed)
    runs = {
        EntryKey("service", f"operation {number}"): _entries(shape, size, random, _NONE if number else change)
        for number, size in enumerate(sizes)
    }
    return EntrySums(runs)


def _entries(shape: str, size: int, random: Random, change: Change) -> Entries:
    latency = 1e8 * SHAPES[shape](random, size)
    latency = np.where(random.random(size) < change.share, change.growth, 1) * latency
    failed = random.random(size) < 0.01 + change.failing
    calls = 3 + random.binomial(4, 0.3, size) + 10 * (random.random(size) < change.calls)
    hashes = random.integers(0, 2**63, size).astype(np.uint64)

    def sample(values: npt.NDArray[np.generic]) -> tuple[Sample, ...]:
        return (Sample(values.astype(np.int64), np.ones(size, np.int64), np.arange(size), hashes),)

    return Entries(sample(latency), sample(failed), sample(calls), Worst(), Worst(), Worst())


def failing(before: EntrySums, after: EntrySums) -> list[str]:
    """Give the measures of operations that fail."""
    return [result.text for result in settle(entries_compared(before, after, _ALLOWANCE)) if result.outcome == "failed"]


def fails_for_nothing(seed: int, shape: str, size: int) -> bool:
    """Tell whether a build fails although nothing differs."""
    sizes = [size] * _OPERATIONS
    return bool(failing(run(shape, sizes, 2 * seed), run(shape, sizes, 2 * seed + 1)))


def system_fails_for_nothing(seed: int, size: int) -> bool:
    """Tell the same of a simulated system, recorded and read as traces."""
    system = draw_system(seed)
    sides = [recorded(system, execute(system, size, each), each) for each in (2 * seed, 2 * seed + 1)]
    before, after = (collect_entries(traces, RequestOptions()) for traces in sides)
    return bool(failing(before, after))


def finds(seed: int, shape: str, size: int, change: Change) -> bool:
    """Tell whether a regression of one operation of several is found, and nothing else."""
    sizes = [size] * _OPERATIONS
    found = failing(run(shape, sizes, 2 * seed), run(shape, sizes, 2 * seed + 1, change))
    return any("operation 0" in text for text in found)


def smallest(changes: Sequence[tuple[str, Change]], shape: str, size: int, seeds: range) -> str:
    """Give the smallest change that is found in four of five pairs."""
    for text, change in changes:
        if sum(finds(seed, shape, size, change) for seed in seeds) >= _FOUND * len(seeds):
            return text
    return "-"


CHANGES: Mapping[str, Sequence[tuple[str, Change]]] = {
    "all requests take longer": [(f"x {growth:g}", Change(growth)) for growth in _GROWTHS],
    "a tenth takes longer": [(f"x {growth:g}", Change(growth, 0.1)) for growth in _GROWTHS],
    "more fail": [(f"+{share:.0%}", Change(failing=share)) for share in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)],
    "ten calls more": [
        (f"in {share:.0%}", Change(calls=share)) for share in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)
    ],
}


def tables(first_seed: int, pairs: int, tries: int, jobs: int) -> Iterator[str]:
    """Measure, and write the tables."""
    with ProcessPoolExecutor(jobs) as pool:
        seeds = range(first_seed, first_seed + pairs)
        heads = [f"{size:,} requests" for size in _SIZES]
        yield f"Builds that fail for nothing, of {pairs} pairs of runs with {_OPERATIONS} operations each:"
        yield ""
        yield from _head(["latencies", *heads])
        for shape in SHAPES:
            counts = [sum(pool.map(partial(fails_for_nothing, shape=shape, size=size), seeds)) for size in _SIZES]
            yield _line([shape, *(f"{count} ({count / pairs:.1%})" for count in counts)])
        systems = seeds[: pairs // _SYSTEMS_IN]
        counts = [sum(pool.map(partial(system_fails_for_nothing, size=size), systems)) for size in _SIZES[:2]]
        told = [f"{count} of {len(systems)} ({count / len(systems):.1%})" for count in counts]
        yield _line(["simulated systems", *told, ""])
        yield ""
        yield f"The smallest regression of one operation of {_OPERATIONS} that fails 4 of 5 builds, of {tries} tried:"
        yield ""
        yield from _head(["latencies", "regression", *heads])
        for shape in SHAPES:
            for name, changes in CHANGES.items():
                if "longer" in name or shape == "lognormal":
                    asked = partial(smallest, changes, shape, seeds=range(first_seed, first_seed + tries))
                    yield _line([shape if "longer" in name else "any", name, *pool.map(asked, _SIZES)])


def _head(cells: Sequence[str]) -> Iterator[str]:
    yield _line(cells)
    yield "|".join(("", *("---" for _ in cells), ""))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> None:
    """Measure, and print the tables or write them into the documentation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regressions", description=__doc__)
    parser.add_argument("--pairs", type=int, default=500, help="of runs that nothing distinguishes (default: 500)")
    parser.add_argument("--tries", type=int, default=100, help="of each regression (default: 100)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/analyses/check.md")
    options = parser.parse_args(arguments)
    found = tables(_REPORTING if options.docs else _TUNING, options.pairs, options.tries, options.jobs)
    if options.docs:
        written = "\n".join(found)
        text = DOCS.read_text(encoding="utf-8")
        DOCS.write_text(_MARKED.sub(lambda mark: f"{mark[1]}\n{written}\n\n{mark[2]}", text), encoding="utf-8")
        return
    for line in found:
        print(line, flush=True)  # noqa: T201  the answer


if __name__ == "__main__":
    main(sys.argv[1:])
