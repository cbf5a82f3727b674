"""What there is to say besides an answer: notes, and warnings about traces, summed up, with a line for each kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from traceq.traces import TraceWarning, WarningCode, count_warnings
from traceq.units import plural

WARNINGS_KEPT = 100
"""The maximum number of warnings of each kind that are listed; the others are counted."""


class WarningSums(Struct, frozen=True):
    """Warnings: the first ones of each kind, and the number of all; can be added to those about other traces."""

    listed: tuple[TraceWarning, ...] = ()
    counts: Mapping[WarningCode, int] = {}
    """How many there are of each kind, listed or not."""
    trace_counts: Mapping[WarningCode, int] = {}
    """How many traces they are about."""

    def __add__(self, other: WarningSums) -> WarningSums:
        if not other.counts:
            return self
        return WarningSums(
            _first_of_each((*self.listed, *other.listed)),
            _added(self.counts, other.counts),
            _added(self.trace_counts, other.trace_counts),
        )


class Remarks(Struct, frozen=True):
    """What there is to say about what was read."""

    notes: tuple[str, ...] = ()
    """What is missing, one sentence each without a final stop."""
    warnings: WarningSums = WarningSums()
    """What is strange about the traces."""


def _added(some: Mapping[WarningCode, int], others: Mapping[WarningCode, int]) -> Mapping[WarningCode, int]:
    return {code: some.get(code, 0) + others.get(code, 0) for code in (*some, *others)}


def _first_of_each(warnings: Iterable[TraceWarning]) -> tuple[TraceWarning, ...]:
    kept: list[TraceWarning] = []
    counts: dict[WarningCode, int] = {}
    for warning in warnings:
        counts[warning.code] = counts.get(warning.code, 0) + 1
        if counts[warning.code] <= WARNINGS_KEPT:
            kept.append(warning)
    return tuple(kept)


def sum_warnings(warnings: Sequence[TraceWarning]) -> WarningSums:
    """Sum up warnings."""
    trace_counts = Counter(code for code, _ in {(warning.code, warning.trace_id) for warning in warnings})
    return WarningSums(_first_of_each(warnings), dict(count_warnings(warnings)), dict(trace_counts))


_TEXTS: dict[WarningCode, str] = {
    "orphan": "parent missing: {spans} in {traces}, [a root|roots] unless other traces show [its|their] place",
    "duplicate-dropped": "exact copies ignored: {spans} in {traces}",
    "duplicate-id": "id used for several spans: {spans} in {traces}, children are attached to the first",
    "self-parent": "span is its own parent: {spans} in {traces}, shown as [a root|roots]",
    "cycle": "parents form a cycle: {spans} in {traces}, shown as [a root|roots]",
    "start-missing": "start time missing: {spans} in {traces}, assumed to start with [its parent|their parents]",
    "negative-duration": "end before start: {spans} in {traces}, counted as taking no time",
    "end-missing": "end time missing: {spans} in {traces}, counted as taking no time",
    "time-repaired": "times not written as the format has them: {spans} in {traces}, read as they were meant",
    "unit-recognised": "times in another unit: {traces}, {example}",
    "value-repaired": "fields not written as the format has them: {spans} in {traces}, read as they were meant",
    "value-left-out": "fields that make no sense: {spans} in {traces}, shown without them",
    "id-missing": "span [id|ids] missing: {spans} in {traces}, given [an id of its own|ids of their own]",
    "span-left-out": "not readable as spans, left out: {spans} in {traces}",
    "other-trace": "another trace named than the one that lists them: {spans} in {traces}",
    "halves-joined": "stored by 64 and by 128 bits of one id: {traces}, joined",
    "service-missing": "service missing: {spans} in {traces}",
    "from-source": "the source warns about {traces}: {example}",
}


_ONE_OR_MORE = re.compile(r"\[([^|]*)\|([^]]*)\]")
"""Words for one span, and for several."""


def warning_lines(sums: WarningSums) -> Iterator[str]:
    """Give a line for each kind of warning, with how many spans and traces and one of them by name."""
    by_code: dict[WarningCode, list[TraceWarning]] = {}
    for warning in sums.listed:
        by_code.setdefault(warning.code, []).append(warning)
    for code, found in by_code.items():
        # Two sides of a comparison may have traces in common, which their sum counts twice.
        listed = len({warning.trace_id for warning in found})
        is_all = len(found) == sums.counts[code]
        yield _line(found[0], sums.counts[code], listed if is_all else sums.trace_counts[code])


def _line(first: TraceWarning, count: int, trace_count: int) -> str:
    text = _ONE_OR_MORE.sub(r"\1" if count == 1 else r"\2", _TEXTS[first.code]).format(
        spans=plural(count, "span"), traces=plural(trace_count, "trace"), example=first.message
    )
    where = f"span {first.span_id} of trace {first.trace_id}" if first.span_id else f"trace {first.trace_id}"
    return text + (f" ({where})" if count == 1 else f" (first: {where})")
