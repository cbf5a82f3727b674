"""`python -m benchmarks.truth`: simulate programs whose waiting is known, and print how often traceq is right."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks.truth.measuring import Score, run
from benchmarks.truth.recording import CONDITIONS, Condition

TUNING_SEEDS = (0, 1, 2, 3, 4, 5)
"""Rules are made while looking at these (0 to 99) ..."""
REPORTING_SEEDS = (1000, 1001, 1002, 1003, 1004, 1005)
"""... and reported on these (from 1000 on)."""


def main(arguments: Sequence[str]) -> None:
    """Measure, and print a line for each condition."""
    names = [condition.name for condition in CONDITIONS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=TUNING_SEEDS, help="systems to draw (default: 0 to 5)")
    parser.add_argument("--requests", type=int, default=100, help="of each system (default: 100)")
    parser.add_argument("--condition", action="append", choices=names, help="default: all", metavar="NAME")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)
    chosen = [condition for condition in CONDITIONS if condition.name in (options.condition or names)]
    if options.format == "text":
        print(_HEAD)  # noqa: T201  the table is the answer
    for condition in chosen:
        score = sum((run(seed, options.requests, condition) for seed in options.seed), Score())
        line = json.dumps(_document(condition, score)) if options.format == "json" else _line(condition, score)
        print(line, flush=True)  # noqa: T201


_HEAD = f"{'condition':28}{'roots':>7}{'wrong':>9}{'lost':>9}{'requests counted':>19}"


def _line(condition: Condition, score: Score) -> str:
    at = score.attribution
    roots = at.root_count or 1
    counted = score.counted_count / (score.made_count or 1)
    return f"{condition.name:28}{at.root_count:7}{at.wrong / roots:9.2%}{at.lost / roots:9.2%}{counted:19.1%}"


def _document(condition: Condition, score: Score) -> dict[str, object]:
    at = score.attribution
    return {
        "condition": condition.name,
        "root_count": at.root_count,
        "wrong_ratio": at.wrong / (at.root_count or 1),
        "lost_ratio": at.lost / (at.root_count or 1),
        "requests_made": score.made_count,
        "requests_counted": score.counted_count,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
