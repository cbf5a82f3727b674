"""What `flame` shows: the call paths that time goes to, and the calls at their ends that take most of it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from traceq.analysis.culprits import Examined
from traceq.analysis.flame import MEASURE_WORDS, CallPaths, Frame, callers
from traceq.analysis.flame_changes import CallPathChanges, ChangedFrame
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Flame, FlameRow, Line, Part, Report, Timeline, TimelineRow, Unit, table
from traceq.semantics import Kind
from traceq.units import NS_PER_MS, format_count, format_duration, format_ratio, format_signed, plural
from traceq.views.wording import (
    dim,
    hint,
    looked_at,
    more,
    nothing_found,
    nothing_reported,
    reported,
    set_apart_lines,
    strong,
    verdict_lines,
)

_MOST_ENDS = 8
_MOST_CALLERS = 3
_SIDES = ("before", "after")


@report_of.register
def report(answer: CallPaths, asked: Asked = NOT_ASKED, top: int = _MOST_ENDS, spans: Timeline | None = None) -> Report:
    """Draw call paths as a flame graph.

    Args:
        answer: The call paths.
        asked: How they were got.
        top: How many paths to list.
        spans: The spans of the trace that they are of, for formats that show when things happened.
    """
    if not answer.frames:
        return nothing_reported("flame", answer, asked, answer.sums.set_apart)
    drawn = flame(answer)
    ends = _ends(answer.frames)
    blocks: list[Block] = [*verdict_lines(answer.verdict, asked), _overview(answer, asked), Line(), drawn]
    blocks += [Line(), strong("Where the time is spent"), table(_end_columns(answer), ends[:top]), Line()]
    found = reported("flame", answer, asked, blocks, _footer(answer, ends, asked, top))
    return replace(found, flame=drawn, spans=spans)


def flame(answer: CallPaths, least_ns: int = 0) -> Flame:
    """Give call paths as frames to be drawn, those that are at least so wide."""
    callers_of_some = {frame.caller for frame in answer.frames}
    rows = tuple(
        FlameRow(
            frame.depth,
            frame.key.name,
            _service(frame),
            frame.value_ns,
            frame.own_ns,
            facts=tuple(_facts(frame)),
            peer="" if frame.number in callers_of_some else _peer(frame),
        )
        for frame in answer.frames
        if frame.value_ns >= least_ns
    )
    return Flame(rows, answer.total_ns, MEASURE_WORDS[answer.options.measure])


def spans_of(examined: Examined) -> Timeline:
    """Give every span of the requests in a table, depth first, those of one caller in order of start."""
    starts_ns, entry = examined.spans.start_ns.tolist(), examined.requests.entry.tolist()
    rows = sorted((row for row, above in enumerate(entry) if above >= 0), key=lambda row: (starts_ns[row], row))
    parents = examined.spans.parents.tolist()
    below: dict[int, list[int]] = {}
    for row in rows:
        below.setdefault(parents[row], []).append(row)
    origin_ns = starts_ns[rows[0]] if rows else 0
    found: list[TimelineRow] = []
    waiting = [(row, 0) for row in reversed(below.get(-1, ()))]
    while waiting:
        row, depth = waiting.pop()
        found.append(_bar(examined, row, depth, origin_ns))
        waiting += [(child, depth + 1) for child in reversed(below.get(row, ()))]
    last_ns = max((row.start_ns + row.duration_ns for row in found), default=0)
    return Timeline(tuple(found), last_ns)


def _bar(examined: Examined, row: int, depth: int, origin_ns: int) -> TimelineRow:
    span = examined.spans.traces.span(row)
    details = [("self time", int(examined.self_ns[row])), ("critical time", int(examined.charged_ns[row]))]
    return TimelineRow(
        depth=depth,
        is_last=False,
        label=span.name,
        service=span.service,
        start_ns=int(examined.spans.start_ns[row]) - origin_ns,
        duration_ns=span.duration_ns,
        has_error=span.has_error,
        span_id=span.span_id,
        details=(
            *((key, format_duration(time_ns)) for key, time_ns in details),
            *((("peer", span.peer.label),) if span.peer is not None else ()),
        ),
    )


@report_of.register
def changes_report(
    answer: CallPathChanges, asked: Asked = NOT_ASKED, top: int = _MOST_ENDS, sides: tuple[str, str] = _SIDES
) -> Report:
    """Draw how call paths differ as a flame graph.

    Args:
        answer: The call paths of both sides.
        asked: How they were got.
        top: How many paths to list.
        sides: What the sides are, before and after.
    """
    both = tuple(zip(sides, (answer.before, answer.after), strict=True))
    empty = [title for title, side in both if not side.sums.complete_count]
    if empty:
        told = [hint(nothing_found(asked, f"requests of {title}")) for title in empty]
        return reported("flame", answer, asked, told)
    drawn = _changed_flame(answer, sides)
    changed = [frame for frame in answer.frames if frame.own_delta_each_ns]
    changed.sort(key=lambda frame: (-abs(frame.own_delta_each_ns), frame.number))
    blocks: list[Block] = [*verdict_lines(answer.verdict, asked), *(_side_line(*side) for side in both), Line(), drawn]
    blocks += [Line(), strong("What changed, as a mean over requests"), table(_change_columns(answer), changed[:top])]
    apart = [line for title, side in both for line in set_apart_lines(side.sums.set_apart, title)]
    told_more = more(changed, "path", top)
    footer = (dim(f"each frame is as wide as the longer of both sides{told_more}"), *apart)
    return replace(reported("flame", answer, asked, [*blocks, Line()], footer), flame=drawn)


def _changed_flame(answer: CallPathChanges, sides: tuple[str, str]) -> Flame:
    callers_of_some = {frame.caller for frame in answer.frames}
    rows = tuple(
        FlameRow(
            frame.depth,
            frame.key.name,
            _service(frame),
            frame.value_ns,
            frame.own_ns,
            frame.delta_each_ns,
            (frame.before.own_each_ns, frame.after.own_each_ns),
            tuple(_changed_facts(frame)),
            "" if frame.number in callers_of_some else _peer(frame),
        )
        for frame in answer.frames
    )
    return Flame(rows, answer.total_ns, MEASURE_WORDS[answer.options.measure], sides)


def _changed_facts(frame: ChangedFrame) -> Iterable[tuple[str, str]]:
    yield "service", frame.key.place
    for name, side in (("before", frame.before), ("after", frame.after)):
        yield name, f"{format_duration(side.each_ns)} a request, {plural(side.sums.span_count, 'span')}"
    yield "difference", format_signed(frame.delta_each_ns)
    yield "own difference", format_signed(frame.own_delta_each_ns)


def _side_line(title: str, side: CallPaths) -> Line:
    count = side.sums.complete_count
    mean = f"{format_duration(round(side.total_ns / count))} of {MEASURE_WORDS[side.options.measure]} a request"
    return Line((Part(f"{title}: "), Part(mean, "strong"), Part(f", {plural(count, 'request')}")))


def _change_columns(answer: CallPathChanges) -> tuple[Column[ChangedFrame], ...]:
    def called_by(frame: ChangedFrame) -> str:
        return callers(answer.frames, frame, _MOST_CALLERS)

    return (
        Column("operation", "operation", value=lambda frame: frame.key.name, can_shrink=True),
        Column("service", "service", Unit.SERVICE, lambda frame: frame.key.place, can_shrink=True),
        Column("change", "difference", Unit.CHANGE, lambda frame: frame.own_delta_each_ns),
        Column("before", "own before", Unit.DURATION, lambda frame: frame.before.own_each_ns),
        Column("after", "after", Unit.DURATION, lambda frame: frame.after.own_each_ns),
        Column("callers", "called by", value=called_by, can_shrink=True, priority=1),
    )


def _service(frame: Frame | ChangedFrame) -> str:
    return "" if frame.is_other else frame.key.service


def _peer(frame: Frame | ChangedFrame) -> str:
    """Give what a leaf called; whoever takes a message spends time of its own."""
    peer = frame.key.peer
    return "" if peer is None or frame.key.kind is Kind.CONSUMER else peer.system


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

    def called_by(frame: Frame) -> str:
        return callers(answer.frames, frame, _MOST_CALLERS)

    return (
        Column("operation", "operation", value=lambda frame: frame.key.name, can_shrink=True),
        Column("service", "service", Unit.SERVICE, lambda frame: frame.key.place, can_shrink=True),
        Column("own_ns", "own", Unit.DURATION),
        Column("own_ratio", "of all", Unit.RATIO, lambda frame: frame.own_ns / total_ns if total_ns else 0.0),
        Column("span_count", "spans", Unit.COUNT, of="sums", priority=1),
        Column("error_count", "errors", Unit.ERRORS, of="sums", priority=2),
        Column("callers", "called by", value=called_by, can_shrink=True, priority=1),
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
