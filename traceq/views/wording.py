"""What answers share: words for calls and chains of calls, what to type next, how durations spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Protocol

from traceq.answer import Answer, Verdict
from traceq.query import Asked
from traceq.report import Block, Histogram, Line, Part, Report
from traceq.units import plural

if TYPE_CHECKING:
    # Lists are shown without numpy, which these need.
    from traceq.analysis.culprits import Culprit
    from traceq.analysis.requests import SetApart
    from traceq.analysis.spread import Spread

_FIRST_STEPS = 2
_LAST_STEPS = 3
_HISTOGRAM_CELLS = 60


class Counted(Protocol):
    """Sums that say how much was looked at."""

    @property
    def span_count(self) -> int:
        """Number of spans."""

    @property
    def trace_count(self) -> int:
        """Number of traces that these are in."""


def call_text(culprit: Culprit) -> str:
    """Name the call, and how often it was made if more than once (`SELECT users x 47`)."""
    return f"{culprit.name} x {len(culprit.rows)}" if len(culprit.rows) > 1 else culprit.name


def chain_text(chain: Sequence[tuple[str, str]]) -> str:
    """Write the operations of a chain of (service, operation); of long ones the first and the last."""
    names = [name for _, name in chain]
    left_out = len(names) - _FIRST_STEPS - _LAST_STEPS
    if left_out > 1:
        names[_FIRST_STEPS:-_LAST_STEPS] = [f"... {left_out:,} more ..."]
    return " > ".join(names)


def nothing_found(asked: Asked, what: str) -> str:
    """Say that there was nothing to look at, and what to try."""
    if "trace_id" in asked.query:
        service = asked.query.get("service")
        return f"The trace holds no {what} of {service}: leave the service out?" if service else f"No {what}."
    if not asked.query.keys() - _NOT_NARROWING:
        window = f", {asked.window}" if asked.window else ""
        return f"No {what}{window}: a longer --lookback?" if asked.is_live else f"No {what}{window}."
    narrower = "a longer --lookback, or " if asked.is_live else "another time, or " if asked.window else ""
    return f"No {what} match{f', {asked.window}' if asked.window else ''}: {narrower}fewer conditions?"


_NOT_NARROWING = frozenset(("trace_id", "span_id", "limit", "start_ns", "end_ns", "lookback_ns", "service"))
"""What a query says besides conditions that somebody could leave out."""


def nothing_reported(command: str, answer: Answer, asked: Asked, apart: SetApart) -> Report:
    """Say that no request matches, what to try, and what is not counted among the requests."""
    told = "No requests: what was found is set apart." if apart.span_count else nothing_found(asked, "requests")
    return reported(command, answer, asked, (hint(told),), set_apart_lines(apart))


def count_parts(count: int, noun: str, request_count: int, service: str | None, asked: Asked) -> list[Part]:
    """Say how many were found of something, in how many requests, whose, and of which time."""
    return [
        Part(plural(count, noun) if count else f"no {noun}s", "strong"),
        Part(f" in {plural(request_count, 'request')}{f' of {service}' if service else ''}"),
        Part(f", {asked.window}" if asked.window else ""),
    ]


def looked_at(sums: Counted, asked: Asked) -> str:
    """Say how much was looked at, and where it came from."""
    where = f" ({asked.location})" if asked.location else ""
    return f"{plural(sums.span_count, 'span')} of {plural(sums.trace_count, 'trace')}{where}"


def more(rows: Sized, noun: str, top: int) -> str:
    """Say how many rows are not shown, and how to see them; nothing where all are."""
    left = len(rows) - top
    return f", {plural(left, noun)} more: --top {len(rows)}" if left > 0 else ""


def next_line(asked: Asked, *words: str) -> Line:
    """Say which command to type next: on one line, however long, so that it can be copied."""
    return Line((Part(f"next: {asked.command(*words)}", "hint"),), wraps=False)


def verdict_lines(verdict: Verdict | None, asked: Asked) -> list[Block]:
    """Give the answer in one sentence as the first line; nothing where nothing can be said."""
    return [] if verdict is None else [answer_line(verdict.parts, asked)]


def answer_line(parts: Iterable[Part], asked: Asked) -> Line:
    """Give the first line of a report: what was looked at, where that is not everything, and then the answer."""
    return Line((*_scope(asked), *parts))


def _scope(asked: Asked) -> tuple[Part, ...]:
    """Say that the answer is about a part only: the newest traces, or what came of an answer that is not whole."""
    limit = asked.query.get("limit")
    told = [f"the newest {plural(limit, 'trace')} only" if isinstance(limit, int) else "the newest traces only"]
    told = [*(told if asked.is_cut_off else []), *(["incomplete data"] if asked.is_partial else [])]
    text = ", ".join(told)
    return (Part(f"{text[0].upper()}{text[1:]}: ", "hint"),) if text else ()


def dim(text: str) -> Line:
    """Say something beside the answer."""
    return Line((Part(text, "dim"),))


def strong(text: str) -> Line:
    """Give a heading, or what matters most."""
    return Line((Part(text, "strong"),))


def hint(text: str) -> Line:
    """Say what to try."""
    return Line((Part(text, "hint"),))


def reported(
    command: str, answer: Answer, asked: Asked, blocks: Iterable[Block], footer: Iterable[Line] = ()
) -> Report:
    """Put what people see of an answer beside its document and its records.

    Where blank lines set parts apart, one sets the footer apart, too.
    """
    document, shown, below = answer.to_dict(), tuple(blocks), tuple(footer)
    main = answer.MAIN if "total_count" in document else ""
    if below and Line() in shown and Line() not in (shown[-1], below[0]):
        shown += (Line(),)
    return Report(command, document, answer.records(), shown, below, asked.trace_url, main=main)


def set_apart_lines(apart: SetApart, side: str = "") -> list[Line]:
    """Say what is not counted among the requests (of a side of a comparison); nothing where nothing is."""
    fragments = f"{plural(apart.fragment_count, 'fragment')} of {plural(apart.fragment_trace_count, 'trace')}"
    missing = "parent is missing" if apart.fragment_count == 1 else "parents are missing"
    incomplete = f", all that is left of {plural(apart.incomplete_count, 'request')}" if apart.incomplete_count else ""
    texts = (
        f"{fragments} whose {missing}{incomplete}" if apart.fragment_count else "",
        f"{plural(apart.stream_count, 'stream')} (--include-streams)" if apart.stream_count else "",
        f"{plural(apart.excluded_count, 'request')} left out by --not-operation" if apart.excluded_count else "",
    )
    told = "; ".join(text for text in texts if text)
    return [dim(f"set apart{side and f' {side}'}: {told}")] if told else []


def duration_histogram(spread: Spread, beside: Sequence[Spread]) -> Histogram:
    """Put durations into cells of equal ratio, between the ends of all that are drawn beside each other.

    The first cell holds those of no duration too: a scale down to a nanosecond would be empty for most of its width.
    """
    found = [bucket for other in beside for bucket in other.counts.buckets if bucket]
    low, high = min(found, default=1), max(found, default=1)
    # Never more cells than buckets: some would stay empty whatever the durations.
    counts = [0] * min(_HISTOGRAM_CELLS, high - low + 1)
    for bucket, count in spread.counts.items():
        counts[(max(bucket, low) - low) * len(counts) // (high - low + 1)] += count
    return Histogram(min(other.min_ns for other in beside), max(other.max_ns for other in beside), tuple(counts))
