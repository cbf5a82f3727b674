"""One set of traces in two parts: by a tag, by latency, or by whether something failed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from traceq.analysis.comparison.cohorts import Cohort
from traceq.errors import NotFoundError
from traceq.units import format_duration, plural

_LEAST_SLOW = 5
"""So many traces are slow at least, where there are twice as many."""
_VALUES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the traces of both parts, in the set that is split."""

    before: list[int]
    after: list[int]
    before_title: str
    after_title: str
    key: str = ""
    """The tag by which they were told apart."""
    notes: tuple[str, ...] = ()


def split_by_latency(cohort: Cohort, ratio: float) -> Split:
    """Tell the traces with the slowest requests from the rest.

    A trace without any request of the kind asked for is in neither part.
    """
    latency = slowest_requests(cohort)
    ids = cohort.traces.ids.tolist()
    order = sorted(latency, key=lambda position: (-latency[position], ids[position]))
    wanted = max(math.ceil(ratio * len(order)), min(_LEAST_SLOW, len(order) // 2))
    slow, rest = sorted(order[:wanted]), sorted(order[wanted:])
    bound = f", from {format_duration(latency[order[wanted - 1]])} on" if wanted else ""
    return Split(rest, slow, "the others", f"the slowest {100 * ratio:g} %{bound}")


def slowest_requests(cohort: Cohort) -> dict[int, int]:
    """Give the latency of the slowest request of each trace, by its position in the cohort's traces, in ns.

    A trace without any request is left out.
    """
    slowest: dict[int, int] = {}
    first = 0
    for batch in cohort.batches:
        latency_ns = np.full(len(batch.traces), -1, dtype=np.int64)
        np.maximum.at(latency_ns, batch.requests.traces, batch.requests.latency_ns)
        slowest |= {first + at: longest for at, longest in enumerate(latency_ns.tolist()) if longest >= 0}
        first += len(batch.traces)
    return slowest


def split_by_failure(cohort: Cohort) -> Split:
    """Tell the traces with failed spans from the rest."""
    parts: tuple[list[int], list[int]] = ([], [])
    for position, has_failed in enumerate(cohort.traces.failed.tolist()):
        parts[has_failed].append(position)
    return Split(*parts, "without failed spans", "with failed spans")


def split_by_tag(values: Sequence[tuple[str, ...]], starts_ns: Sequence[int], text: str) -> Split:
    """Tell the traces that carry one value of a tag from those that carry only others.

    Without a value it is the one whose first trace started last: the version that was rolled out. Traces that do not
    carry the tag at all are in neither part, and counted in a note.

    Args:
        values: Of the tag, for each trace.
        starts_ns: When each trace started.
        text: The tag, alone or with a value.

    Raises:
        NotFoundError: If no trace carries the tag or the value, or all carry the same.
    """
    key, equals, wanted = text.partition("=")
    counts = Counter(value for found in values for value in found)
    chosen = wanted if equals else _newest(values, starts_ns)
    if chosen not in counts or len(counts) < 2:
        raise _cannot_split(key, chosen if equals else None, counts)
    after = [position for position, found in enumerate(values) if chosen in found]
    before = [position for position, found in enumerate(values) if found and chosen not in found]
    without = sum(not found for found in values)
    others = [value for value in sorted(counts) if value != chosen]
    title = f"{key}={others[0]}" if len(others) == 1 else f"{plural(len(others), 'other value')} of {key}"
    notes = (f"left out: {plural(without, 'trace')} without {key}",) if without else ()
    return Split(before, after, title, f"{key}={chosen}", key.removeprefix("resource."), notes)


def _newest(values: Sequence[tuple[str, ...]], starts_ns: Sequence[int]) -> str:
    first: dict[str, int] = {}
    for found, start_ns in zip(values, starts_ns, strict=True):
        for value in found:
            first[value] = min(first.get(value, start_ns), start_ns)
    return max(first, key=lambda value: (first[value], value), default="")


def _cannot_split(key: str, value: str | None, counts: Counter[str]) -> NotFoundError:
    if not counts:
        return NotFoundError(f"no span carries the tag '{key}'", hint="`traceq show TRACE --attributes` lists tags")
    most = sorted(counts, key=lambda found: (-counts[found], found))
    known = ", ".join(f"'{found}'" for found in most[:_VALUES_SHOWN])
    if value is not None and value not in counts:
        return NotFoundError(f"no span carries {key}={value}", hint=f"there is {known}")
    return NotFoundError(f"every span that carries '{key}' says {known}: nothing to split by", hint="another tag?")
