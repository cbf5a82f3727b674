"""Measure what each command costs in CPU time and write it as Markdown: `python -m tools.cost > docs/cost.md`."""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

CHAT = str(Path(__file__).parent.parent / "fixtures" / "chat.json")
SLOW = "e0eecb5348b9eba372d8056ec85eca9c"
_RUNS = 9

_TRACEQ = ("-m", "traceq")
COMMANDS = {
    "`python -c pass`": ("-c", "pass"),
    "`python -c 'import typer, rich, httpx'`": ("-c", "import typer, rich, httpx"),
    "`python -c 'import pandas'`": ("-c", "import pandas"),
    "`traceq --help`": (*_TRACEQ, "--help"),
    "`traceq services`": (*_TRACEQ, "services", "--source", CHAT),
    "`traceq operations chat-service`": (*_TRACEQ, "operations", "chat-service", "--source", CHAT),
    "`traceq search`": (*_TRACEQ, "search", "--source", CHAT),
    "`traceq search --format json`": (*_TRACEQ, "search", "--source", CHAT, "--format", "json"),
    "`traceq show ID`": (*_TRACEQ, "show", SLOW, "--source", CHAT),
    "`traceq bottlenecks chat-service`": (*_TRACEQ, "bottlenecks", "chat-service", "--source", CHAT),
    "`traceq findings`": (*_TRACEQ, "findings", "--source", CHAT),
    "`traceq errors`": (*_TRACEQ, "errors", "--source", CHAT),
    "`traceq stats`": (*_TRACEQ, "stats", "--source", CHAT),
    "`traceq compare --slow 10%`": (*_TRACEQ, "compare", "--slow", "10%", "--source", CHAT),
    "`traceq deps`": (*_TRACEQ, "deps", "--source", CHAT),
    "`traceq fetch`": (*_TRACEQ, "fetch", "--source", CHAT, "--output", os.devnull),
}

_HEAD = """# Cost

CPU time of whole processes (user and system), median of {runs} runs each, all from one run of `python -m tools.cost`.
The machine was shared: compare the numbers with each other, not with other machines.
Commands read `fixtures/chat.json`, 106 traces with 1,606 spans; imports are part of the cost.

| process | ms | times `import typer, rich, httpx` |
|---|---:|---:|
"""


def cpu_ms(arguments: tuple[str, ...]) -> float:
    """Run Python with these arguments, its output thrown away, and give its CPU time."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
    process = os.posix_spawn(sys.executable, [sys.executable, *arguments], dict(os.environ), file_actions=actions)
    _, status, usage = os.wait4(process, 0)
    os.close(null)
    if status:
        raise RuntimeError(f"{' '.join(arguments)} failed")
    return 1000 * (usage.ru_utime + usage.ru_stime)


def table() -> str:
    """Measure all commands, turn by turn, so that what else the machine does falls on all of them."""
    rounds = [{name: cpu_ms(arguments) for name, arguments in COMMANDS.items()} for _ in range(_RUNS)]
    medians = {name: statistics.median(measured[name] for measured in rounds) for name in COMMANDS}
    base = medians["`python -c 'import typer, rich, httpx'`"]
    rows = [f"| {name} | {cost:.0f} | {cost / base:.2f} |\n" for name, cost in medians.items()]
    return _HEAD.format(runs=_RUNS) + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table())
