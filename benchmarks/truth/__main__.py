"""`python -m benchmarks.truth`: simulate programs whose waiting is known, and print how often traceq is right."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks.truth.asking import ask, nothing_told
from benchmarks.truth.comparing import Verdicts, examine
from benchmarks.truth.examples import smallest
from benchmarks.truth.measuring import Score, run
from benchmarks.truth.recording import CONDITIONS
from benchmarks.truth.report import Figures, document, markdown, text

TUNING_SEEDS = tuple(range(6))
"""Rules were made while looking at these, and at some of 1000 to 2010 ..."""
REPORTING_SEEDS = tuple(range(3000, 3020))
"""... and are reported on these."""
_NAMES = [condition.name for condition in CONDITIONS]


def main(arguments: Sequence[str]) -> None:
    """Measure, and print tables."""
    options = _parser().parse_args(arguments)
    seeds = tuple(options.seed or (REPORTING_SEEDS if options.docs else TUNING_SEEDS))
    chosen = [condition for condition in CONDITIONS if condition.name in (options.condition or _NAMES)]
    if options.findings:
        chosen = []
    if options.worst:
        for condition in chosen:
            for seed in seeds:
                for line in smallest(seed, options.requests, condition, options.worst):
                    print(line)  # noqa: T201  the answer
        return
    scores = tuple((c, sum((run(seed, options.requests, c) for seed in seeds), Score())) for c in chosen)
    told = None if options.condition else sum((ask(seed, options.requests) for seed in seeds), nothing_told())
    is_partial = options.condition or options.findings
    verdicts = None if is_partial else sum((examine(seed, options.requests) for seed in seeds), Verdicts())
    figures = Figures(seeds, options.requests, scores, verdicts, told)
    if options.docs:
        sys.stdout.write(markdown(figures))
    elif options.format == "json":
        print(json.dumps(document(figures), indent=2))  # noqa: T201
    else:
        print("\n".join(text(figures)))  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.truth", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", help="systems to draw (default: 0 to 5)")
    parser.add_argument("--requests", type=int, default=60, help="of each system (default: 60)")
    parser.add_argument(
        "--condition",
        action="append",
        choices=_NAMES,
        metavar="NAME",
        help=f"only this one, and no faults; may be repeated: {', '.join(_NAMES).replace('%', '%%')}",
    )
    parser.add_argument(
        "--findings", action="store_true", help="only what findings tell, of problems and healthy requests"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--worst", type=int, metavar="N", help="draw the N smallest wrong traces of each seed instead")
    parser.add_argument("--docs", action="store_true", help="write docs/truth.md, by default of seeds 3000 to 3019")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
