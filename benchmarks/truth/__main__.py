"""`python -m benchmarks.truth`: simulate programs whose waiting is known, and print how often traceq is right."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from benchmarks.truth.asking import ask, nothing_told
from benchmarks.truth.comparing import Compared, compare_system
from benchmarks.truth.examples import smallest
from benchmarks.truth.measuring import Score, run
from benchmarks.truth.queues import queue
from benchmarks.truth.recording import CONDITIONS
from benchmarks.truth.report import Figures, document, markdown, text
from benchmarks.truth.saving import save
from benchmarks.truth.tagging import Tagged, tag_system
from traceq.analysis.grouping import merged

TUNING_SEEDS = tuple(range(6))
"""Rules were made while looking at these, and at some of 1000 to 6018 and of 20000 to 20407 ..."""
REPORTING_SEEDS = tuple(range(8000, 8008))
"""... and are reported on these."""
_PARTS = ("conditions", "faults", "tags", "findings", "messages", "savings")
_NAMES = [condition.name for condition in CONDITIONS]


def main(arguments: Sequence[str]) -> None:
    """Measure, and print tables."""
    options = _parser().parse_args(arguments)
    seeds = tuple(options.seed or (REPORTING_SEEDS if options.docs else TUNING_SEEDS))
    chosen = [condition for condition in CONDITIONS if condition.name in (options.condition or _NAMES)]
    if options.worst:
        for condition in chosen:
            for seed in seeds:
                for line in smallest(seed, options.requests, condition, options.worst):
                    print(line)  # noqa: T201  the answer
        return
    parts = options.only or (("conditions",) if options.condition else _PARTS)
    with ProcessPoolExecutor(options.jobs) as pool:
        scores = tuple(
            (c, sum(pool.map(partial(run, request_count=options.requests, condition=c), seeds), Score()))
            for c in (chosen if "conditions" in parts else ())
        )
        compared = sum(pool.map(compare_system, seeds), Compared()) if "faults" in parts else None
        tagged = sum(pool.map(tag_system, seeds), Tagged()) if "tags" in parts else None
        asked = pool.map(partial(ask, request_count=options.requests), seeds if "findings" in parts else ())
        told = sum(asked, nothing_told()) if "findings" in parts else None
        queued = pool.map(partial(queue, message_count=options.requests), seeds if "messages" in parts else ())
        saved = pool.map(partial(save, request_count=options.requests), seeds if "savings" in parts else ())
        by_style = merged(item for each in queued for item in each.items())
        by_shape = merged(item for each in saved for item in each.items())
    figures = Figures(seeds, options.requests, scores, compared, tagged, told, by_style, by_shape)
    if options.docs:
        sys.stdout.write(markdown(figures))
    elif options.format == "json":
        print(json.dumps(document(figures), indent=2))  # noqa: T201
    else:
        print("\n".join(text(figures)))  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", help="systems to draw (default: 0 to 5)")
    parser.add_argument(
        "--requests", type=int, default=60, help="of each system, except for faults and tags (default: 60)"
    )
    parser.add_argument(
        "--condition",
        action="append",
        choices=_NAMES,
        metavar="NAME",
        help=f"only this one, and no faults; may be repeated: {', '.join(_NAMES).replace('%', '%%')}",
    )
    parser.add_argument("--only", action="append", choices=_PARTS, help="only this; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--worst", type=int, metavar="N", help="draw the N smallest wrong traces of each seed instead")
    parser.add_argument("--docs", action="store_true", help="write docs/truth.md, by default of those reported on")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
