"""What is strange about the traces of an answer: warnings summed up, and a line for each kind of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from traceq.traces import TraceWarning, WarningCode, count_warnings
from traceq.units import plural

WARNINGS_KEPT = 100
"""The maximum number of warnings of each kind that are listed; the others are counted."""


class WarningSums(Struct, frozen=True):
    """Warnings: the first ones of each kind, and the number of all; can be added to others."""

    listed: tuple[TraceWarning, ...] = ()
    counts: Mapping[WarningCode, int] = {}

    def __add__(self, other: WarningSums) -> WarningSums:
        if not other.counts:
            return self
        counts = dict(self.counts)
        for code, count in other.counts.items():
            counts[code] = counts.get(code, 0) + count
        return WarningSums(_first_of_each((*self.listed, *other.listed)), counts)


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
    return WarningSums(_first_of_each(warnings), dict(count_warnings(warnings)))


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


def warning_lines(warnings: Iterable[TraceWarning], counts: Mapping[WarningCode, int] | None = None) -> Iterator[str]:
    """Give a line for each kind of warning, with how many spans and traces and one of them by name.

    Args:
        warnings: The first of each kind, or all.
        counts: How many there are of each kind, listed or not; None where all are listed.
    """
    by_code: dict[WarningCode, list[TraceWarning]] = {}
    for warning in warnings:
        by_code.setdefault(warning.code, []).append(warning)
    for code, found in by_code.items():
        yield _line(found, (counts or {}).get(code, len(found)))


def _line(found: list[TraceWarning], count: int) -> str:
    first = found[0]
    traces = plural(len({warning.trace_id for warning in found}), "trace")
    # Of many only the first are listed, and which traces the others are in is not known.
    text = _ONE_OR_MORE.sub(r"\1" if count == 1 else r"\2", _TEXTS[first.code]).format(
        spans=plural(count, "span"),
        traces=traces if count == len(found) else f"at least {traces}",
        example=first.message,
    )
    where = f"span {first.span_id} of trace {first.trace_id}" if first.span_id else f"trace {first.trace_id}"
    return text + (f" ({where})" if count == 1 else f" (first: {where})")
