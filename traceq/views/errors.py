"""What `errors` shows: each error with where it begins, how far it spreads, and what it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from traceq.analysis.errors import ErrorOrigin, ErrorOrigins
from traceq.analysis.naming import with_peer
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Line, Part, Report
from traceq.units import format_count, format_time, plural, zone_of
from traceq.views.wording import (
    count_parts,
    dim,
    looked_at,
    more,
    next_line,
    nothing_reported,
    reported,
    set_apart_lines,
    verdict_lines,
)

MOST_LINES = 10
"""The number of lines that text shows where nobody asks for another."""


@report_of.register
def report(answer: ErrorOrigins, asked: Asked = NOT_ASKED, top: int = MOST_LINES) -> Report:
    """Show where errors begin."""
    if not answer.sums.request_count:
        return nothing_reported("errors", answer, asked, answer.sums.set_apart)
    lines = error_lines(answer.origins[:top], answer.sums.request_count)
    blocks = (*verdict_lines(answer.verdict, asked), *_headline(answer, asked), *lines)
    return reported("errors", answer, asked, blocks, _footer(answer, asked, top))


def _headline(answer: ErrorOrigins, asked: Asked) -> list[Line]:
    """Say how many errors there are; where there is none, the verdict has said it."""
    if not answer.origins:
        return []
    count = len(answer.origins)
    noun = "error" if count == 1 else "different error"
    return [Line(tuple(count_parts(count, noun, answer.sums.request_count, answer.options.service, asked)))]


_INDENT = " " * 5
_SHOWN_STATUSES = 5


def error_lines(origins: Sequence[ErrorOrigin], request_count: int) -> list[Line]:
    """Draw errors, each after a blank line: what it is, where it begins, how far it spreads, when, where to look."""
    lines = []
    known = Counter((origin.key.service, origin.key.name, origin.key.peer) for origin in origins)
    names = Counter((service, name) for service, name, _ in known)
    for origin in origins:
        example = origin.totals.examples[0]
        place = _place(origin, is_one_of_several=names[origin.key.service, origin.key.name] > 1)
        lines += [Line(), _title(origin), place, *(_indented(text) for text in _facts(origin, request_count))]
        lines.append(_indented(f"e.g. trace {example.trace_id} span {example.span_id}", "dim"))
        if example.message not in ("", origin.key.message):
            lines.append(_indented(f"     {example.message}", "dim"))
    return lines


def _title(origin: ErrorOrigin) -> Line:
    key = origin.key
    described = ": ".join(part for part in (key.error_type, key.message) if part)
    return Line((Part(" "), Part(described or "failed without a message", "error")))


def _place(origin: ErrorOrigin, *, is_one_of_several: bool) -> Line:
    key = origin.key
    name = with_peer(key.name, key.service, key.peer, is_one_of_several=is_one_of_several)
    return Line((Part(f"{_INDENT}begins in "), Part(f"{name}  ", "strong"), Part(key.service, "service")))


def _indented(text: str, role: Literal["plain", "dim"] = "plain") -> Line:
    return Line((Part(f"{_INDENT}{text}", role),))


def _facts(origin: ErrorOrigin, request_count: int) -> list[str]:
    totals = origin.totals
    seen = f"in {format_count(totals.request_count)} of {plural(request_count, 'request')}"
    counted = f"{seen} ({plural(totals.origin_count, 'span')}), {_failed(origin)}"
    if totals.http_statuses:
        counted += f"; answered with HTTP {_statuses(origin)}"
    first, last = format_time(totals.first_ns), format_time(totals.last_ns)
    zones = [zone_of(totals.first_ns), zone_of(totals.last_ns)]
    first += "" if zones[0] == zones[1] else f" {zones[0]}"
    when = f"at {last} {zones[1]}" if totals.first_ns == totals.last_ns else f"first {first}, last {last} {zones[1]}"
    return [counted, _spread(origin), when]


def _failed(origin: ErrorOrigin) -> str:
    failed, seen = origin.totals.failed_request_count, origin.totals.request_count
    if failed == seen:
        return "which failed with it"
    return f"{format_count(failed)} of them failed with it" if failed else "none of them failed with it"


def _spread(origin: ErrorOrigin) -> str:
    """Say how far it went up: over how many spans, and into which other services."""
    totals = origin.totals
    if totals.most_spans == 1:
        return "stays there: nothing above failed"
    others = sorted(totals.services - {origin.key.service})
    into = f", up into {', '.join(others)}" if others else f", all in {origin.key.service}"
    return f"spreads over up to {plural(totals.most_spans, 'span')}{into}"


def _statuses(origin: ErrorOrigin) -> str:
    """List what requests were answered with, the most frequent first (`500 x 3, 403`)."""
    statuses = sorted(origin.totals.http_statuses.items(), key=lambda pair: (-pair[1], pair[0]))
    texts = [status if count == 1 else f"{status} x {count}" for status, count in statuses[:_SHOWN_STATUSES]]
    left = len(statuses) - _SHOWN_STATUSES
    return ", ".join(texts) + (f" and {left} more" if left > 0 else "")


def _footer(answer: ErrorOrigins, asked: Asked, top: int) -> tuple[Line, ...]:
    failed = f"{plural(answer.sums.failed_span_count, 'failed span')} among " if answer.origins else ""
    lines = [Line()] if answer.origins else []
    lines.append(dim(failed + looked_at(answer.sums, asked) + more(answer.origins, "error", top)))
    lines += set_apart_lines(answer.sums.set_apart)
    if answer.origins:
        example = answer.origins[0].totals.examples[0]
        lines.append(next_line(asked, "show", example.trace_id, "--errors", "--events"))
    return tuple(lines)
