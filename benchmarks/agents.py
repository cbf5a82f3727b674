"""`python -m benchmarks.agents`: scripted incidents, followed by nothing but what the tools for agents suggest.

No model takes part. Each incident begins with the tool that its alert suggests (slower than before: `compare`; requests
fail: `errors`; slow since ever: `bottlenecks`), and goes on with the first of the `next` calls of each answer, until
the culprit stands at the head of an answer, or four calls were made.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from benchmarks.truth.comparing import host_name, latency_ns
from benchmarks.truth.execution import execute
from benchmarks.truth.faults import OF_CALLEES, Fault, FaultKind, inject
from benchmarks.truth.planted import PROBLEMS, plant
from benchmarks.truth.programs import draw_system
from benchmarks.truth.recording import Condition, record
from traceq.answer import compact
from traceq.cli.mcp.tools import TOOLS
from traceq.cli.options import SourceOptions
from traceq.units import NS_PER_S

REPORTING_SEED = 6100
MOST_CALLS = 4
_REQUESTS = 100
_CLEAN = Condition("clean")
_HOUR_US = 3600 * 10**6
_STRENGTH = 0.6
"""The time that a fault adds to each call, as a share of the mean latency."""

_FAULTS: tuple[FaultKind, ...] = (
    *("latency", "latency", "latency", "latency", "network", "network", "multiplied"),
    *("errors", "errors", "down", "down", "aborting", "aborting", "unreachable"),
)
_SLOWER = frozenset(("latency", "network", "multiplied"))
_PROBLEMS = ("N+1", "N+1 side by side", "slow query", "straggler", "calls in turn", "retries")


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened, and how it was noticed."""

    name: str
    traces: bytes
    """Jaeger's v1 JSON."""
    tool: str
    """The tool that the alert suggests."""
    arguments: dict[str, Any]
    culprits: frozenset[str]
    """The service that causes it, or kinds of findings that tell it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an investigation went."""

    incident: str
    call_count: int
    byte_count: int
    """Of all answers."""
    is_found: bool


COUNT = len(_FAULTS) + len(_PROBLEMS)


def draw(number: int, seed: int) -> Incident:
    """Draw one of `COUNT` incidents: a fault that begins after an hour, or a problem that was always there."""
    if number < len(_FAULTS):
        return _fault(_FAULTS[number], seed + number)
    name = _PROBLEMS[number - len(_FAULTS)]
    with_it, _ = plant(name, 5.0, seed + number)
    traces = record(with_it, execute(with_it, _REQUESTS, seed + number), _CLEAN, seed + number).document
    return Incident(name, traces, "bottlenecks", {}, PROBLEMS[name].kinds)


def _fault(kind: FaultKind, seed: int) -> Incident:
    """Draw a system, and a fault of the service in which most requests notice it."""
    system, random = draw_system(seed), Random(f"incident {seed}")  # noqa: S311  the same every time is the point
    before = execute(system, _REQUESTS, seed)
    mean_us = fmean(map(latency_ns, before)) / 1000
    calls = Counter(service for request in before for service in {span.service for span in request.spans})
    if kind in OF_CALLEES:
        del calls[system.services[0].name]
    # An alert is about what most requests notice.
    names = sorted(name for name, count in calls.items() if count >= min(_REQUESTS // 2, max(calls.values())))
    fault = Fault(kind, random.choice(names), mean_us * _STRENGTH)
    changed = inject(system, fault)
    after = execute(changed, _REQUESTS, seed + 1_000_000)
    good = json.loads(record(system, before, _CLEAN, seed).document)["data"]
    bad = json.loads(record(changed, after, _CLEAN, seed + 1).document)["data"]
    for trace in bad:
        for span in trace["spans"]:
            span["startTime"] += _HOUR_US
    windows = [f"{_first_us(side) // 10**6 - 1}..{_last_us(side) // 10**6 + 1}" for side in (good, bad)]
    if kind in _SLOWER:
        tool, arguments = "compare", {"before": windows[0], "after": windows[1]}
    else:
        start, _, end = windows[1].partition("..")
        tool, arguments = "errors", {"start": start, "end": end}
    document = json.dumps({"data": good + bad}).encode()
    return Incident(f"{kind} of {fault.service}", document, tool, arguments, frozenset((fault.service,)))


def _first_us(traces: Sequence[dict[str, Any]]) -> int:
    return int(min(span["startTime"] for trace in traces for span in trace["spans"]))


def _last_us(traces: Sequence[dict[str, Any]]) -> int:
    return int(max(span["startTime"] + span["duration"] for trace in traces for span in trace["spans"]))


def investigate(incident: Incident) -> Outcome:
    """Follow the first suggestion of each answer until the culprit is at the head of one."""
    with tempfile.TemporaryDirectory(prefix="traceq-incident-") as folder:
        path = Path(folder) / "traces.json"
        path.write_bytes(incident.traces)
        source = SourceOptions(source=[str(path)], timeout=30 * NS_PER_S)
        tool, arguments, byte_count = incident.tool, incident.arguments, 0
        for call in range(1, MOST_CALLS + 1):
            answer = TOOLS[tool].answer(source, arguments)
            byte_count += len(compact(answer).encode())
            if incident.culprits & set(blamed(tool, answer)):
                return Outcome(incident.name, call, byte_count, is_found=True)
            if not answer["next"]:
                break
            tool, arguments = answer["next"][0]["tool"], answer["next"][0]["arguments"]
    return Outcome(incident.name, call, byte_count, is_found=False)


_HEADS = {
    "compare": ("services", ("service",)),
    "bottlenecks": ("operations", ("service", "peer")),
    "findings": ("findings", ("kind", "service", "peer")),
    "errors": ("errors", ("service",)),
    "trace_overview": ("bottlenecks", ("service", "peer")),
    "span_details": ("spans", ("service", "peer")),
}
"""The list of an answer whose first item is what the tool blames, and the keys that name it."""


def blamed(tool: str, answer: Any) -> Iterator[str]:
    """Name what the first item of an answer's list is about."""
    rows, keys = _HEADS.get(tool, ("", ()))
    for item in answer[rows]["items"][:1] if rows else ():
        for key in keys:
            value = item[key]["name"] if isinstance(item[key], dict) else item[key]
            if value:
                # A peer that sends no spans is called by its host, or by its system and name (`grpc orders.Orders`).
                yield host_name(str(value).rpartition(" ")[2])


def main(arguments: Sequence[str]) -> None:
    """Investigate, and print how it went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agents", description=__doc__)
    parser.add_argument("--seed", type=int, default=REPORTING_SEED, help="of the first incident")
    seed = parser.parse_args(arguments).seed
    outcomes = [investigate(draw(number, seed)) for number in range(COUNT)]
    for outcome in outcomes:
        found = "found" if outcome.is_found else "MISSED"
        print(f"{outcome.incident:32} {found:7} {outcome.call_count} calls {outcome.byte_count:6,} bytes")  # noqa: T201
    hits = sum(outcome.is_found for outcome in outcomes)
    calls, most = fmean(outcome.call_count for outcome in outcomes), max(outcome.byte_count for outcome in outcomes)
    print(f"{hits} of {len(outcomes)} found, {calls:.1f} calls on average, at most {most:,} bytes")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
