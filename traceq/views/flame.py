"""What `flame` shows: the call paths that time goes to, and the calls at their ends that take most of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from traceq.analysis.flame import MEASURE_WORDS, CallPaths, Frame
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Flame, FlameRow, Line, Part, Report, Unit, table
from traceq.units import NS_PER_MS, format_count, format_duration, format_ratio, plural
from traceq.views.wording import (
    dim,
    looked_at,
    more,
    nothing_reported,
    reported,
    set_apart_lines,
    strong,
    verdict_lines,
)

_MOST_ENDS = 8
_MOST_CALLERS = 5


@report_of.register
def report(answer: CallPaths, asked: Asked = NOT_ASKED, top: int = _MOST_ENDS) -> Report:
    """Draw call paths as a flame graph."""
    if not answer.frames:
        return nothing_reported("flame", answer, asked, answer.sums.set_apart)
    drawn = flame(answer)
    ends = _ends(answer.frames)
    blocks: list[Block] = [
        *verdict_lines(answer.verdict, asked),
        _overview(answer, asked),
        Line(),
        drawn,
        Line(),
        strong("Where the time is spent"),
    ]
    blocks += [table(_end_columns(answer), ends[:top]), Line()]
    return replace(reported("flame", answer, asked, blocks, _footer(answer, ends, asked, top)), flame=drawn)


def flame(answer: CallPaths) -> Flame:
    """Give call paths as frames to be drawn."""
    rows = tuple(
        FlameRow(frame.depth, frame.key.name, _service(frame), frame.value_ns, frame.own_ns, facts=tuple(_facts(frame)))
        for frame in answer.frames
    )
    return Flame(rows, answer.total_ns, MEASURE_WORDS[answer.options.measure])


def _service(frame: Frame) -> str:
    return "" if frame.is_other else frame.key.service


def _facts(frame: Frame) -> Iterable[tuple[str, str]]:
    sums = frame.sums
    yield "service", frame.key.place
    yield "share", format_ratio(frame.ratio)
    yield "own", format_duration(frame.own_ns)
    yield "spans", format_count(sums.span_count)
    if sums.error_count:
        yield "errors", format_count(sums.error_count)
    yield "duration", format_duration(sums.duration_ns)
    yield "self time", format_duration(sums.self_ns)
    yield "critical time", format_duration(sums.critical_ns)


def _ends(frames: Iterable[Frame]) -> list[Frame]:
    """Give the frames with an own part, the greatest first."""
    return sorted((frame for frame in frames if frame.own_ns), key=lambda frame: (-frame.own_ns, frame.number))


def _overview(answer: CallPaths, asked: Asked) -> Line:
    sums, service = answer.sums, answer.options.service
    told = f"{format_duration(answer.total_ns)} of {MEASURE_WORDS[answer.options.measure]}"
    whose = f" of {service}" if service else ""
    window = f", {asked.window}" if asked.window else ""
    return Line((Part(told, "strong"), Part(f" in {plural(sums.request_count, 'request')}{whose}{window}")))


def _end_columns(answer: CallPaths) -> tuple[Column[Frame], ...]:
    total_ns = answer.total_ns

    def callers(frame: Frame) -> str:
        return answer.callers(frame, _MOST_CALLERS)

    return (
        Column("operation", "operation", value=lambda frame: frame.key.name, can_shrink=True),
        Column("service", "service", Unit.SERVICE, lambda frame: frame.key.place, can_shrink=True),
        Column("own_ns", "own", Unit.DURATION),
        Column("own_ratio", "of all", Unit.RATIO, lambda frame: frame.own_ns / total_ns if total_ns else 0.0),
        Column("span_count", "spans", Unit.COUNT, of="sums", priority=1),
        Column("error_count", "errors", Unit.ERRORS, of="sums", priority=2),
        Column(
            "callers",
            "called by",
            value=lambda frame: answer.callers(frame, _MOST_CALLERS),
            can_shrink=True,
            priority=1,
        ),
    )


def _footer(answer: CallPaths, ends: list[Frame], asked: Asked, top: int) -> tuple[Line, ...]:
    sums = answer.sums
    lines = [dim(looked_at(sums, asked) + more(ends, "path", top)), *set_apart_lines(sums.set_apart)]
    if answer.other_count:
        lines.append(dim(f"{plural(answer.other_count, 'span')} of paths too many to be kept are `other paths`"))
    if sums.largest_shift_ns >= NS_PER_MS:
        moved = f"{plural(sums.moved_span_count, 'span')} moved by up to {format_duration(sums.largest_shift_ns)}"
        lines.append(dim(f"clocks corrected: {moved}"))
    return tuple(lines)
