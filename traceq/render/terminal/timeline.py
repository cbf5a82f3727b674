"""A trace as a tree with columns and a waterfall, row by row and without recursion: traces are 50,000 levels deep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rich.segment import Segment
from rich.style import Style

from traceq.render.terminal.canvas import (
    BOLD,
    DIM,
    RED,
    Glyphs,
    Pen,
    Strip,
    aligned_durations,
    pad,
    shorten,
    width_of,
    wrapped,
)
from traceq.report import Timeline, TimelineRow
from traceq.units import format_duration

_BLANK = Segment(" ")
_GAP = 2
_MATCH = Style(bold=True, underline=True)
_MAX_LABEL_RATIO = 0.45
_MIN_LABEL = 34
_MAX_SERVICE = 24
_MIN_SERVICE = 12
_MIN_BAR = 16
_BAR_BESIDE_NOTES = 28
"""Cells of bar from which a column for the notes is worth its room."""
_MAX_NOTES = 28
_MIN_LINE = 12
"""What stands below a row gives up its indentation before it gets narrower than this."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row written out, not yet fitted to columns."""

    row: TimelineRow
    branch: str
    below: str
    mark: str
    name: str
    name_width: int
    suffix: str
    duration: str
    self_time: str

    @property
    def fixed_width(self) -> int:
        """Cells of the label that cannot be shortened: branches, marks and counts take a cell a character."""
        return len(self.branch) + len(self.mark) + len(self.suffix)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Cells each column gets; 0 for a column that is left out."""

    label: int
    service: int
    duration: int
    self_time: int
    bar: int
    notes: int = 0

    def total(self) -> int:
        """Cells with the gaps between columns."""
        widths = (self.label, self.service, self.duration, self.self_time, self.bar)
        return sum(width + _GAP for width in widths if width) - _GAP

    def bar_start(self) -> int:
        """The bar's first cell, counted from the first column."""
        return self.total() - self.bar


def draw_timeline(timeline: Timeline, pen: Pen) -> Iterator[Strip]:
    """Draw a header with the scale, and each row with what belongs to it below it."""
    if not timeline.rows:
        return
    rows = _written(timeline, pen)
    plan = _plan(rows, pen.width - 1, pen)
    scale = _scale_of(timeline.duration_ns, plan.bar)
    services = {service: _service(service, plan, pen) for service in dict.fromkeys(row.row.service for row in rows)}
    has_path = any(row.critical for row in timeline.rows)
    yield _header(plan, timeline, pen)
    for row in rows:
        emphasis = (BOLD if row.row.critical else DIM) if has_path else None
        strip: Strip = [_BLANK, *_label(row, plan.label, emphasis, pen), *services[row.row.service]]
        strip += _times(row, plan, emphasis)
        is_beside = _add_bar(strip, row, plan, scale, pen)
        yield strip
        if row.row.note and not is_beside:
            yield from _note_below(row, plan, scale, pen)
        if row.row.details:
            yield from _details(row, pen)


def _written(timeline: Timeline, pen: Pen) -> list[_Row]:
    rows = timeline.rows
    durations = aligned_durations([pen.safe(format_duration(row.duration_ns)) for row in rows])
    self_times = aligned_durations(
        ["-" if row.self_ns is None else pen.safe(format_duration(row.self_ns)) for row in rows]
    )
    branches = Branches(pen.glyphs, int(pen.width * _MAX_LABEL_RATIO / 2), max(row.depth for row in rows))
    written = []
    for number, row in enumerate(rows):
        branch = branches.row(row.depth, is_last=row.is_last, is_async=row.relation == "asynchronous")
        has_children = number + 1 < len(rows) and rows[number + 1].depth > row.depth
        # Few rows have anything below them, and most traces are large.
        below = branches.below(has_children=has_children) if row.note or row.details else ""
        mark = "! " if row.has_error else "? " if row.relation == "placeholder" else ""
        suffix = f" x {row.count:,}" if row.count > 1 else ""
        self_time = "" if self_times[number] == "-" else self_times[number]
        name = pen.safe(row.label)
        size = width_of(name)
        written.append(_Row(row, branch, below, mark, name, size, suffix, durations[number], self_time))
    return written


def _plan(rows: list[_Row], room: int, pen: Pen) -> _Plan:
    """Share out the width: the bar shrinks first, then own times go, then services, then the bar itself."""
    label = min(
        max(width_of("SPAN"), *(row.fixed_width + row.name_width for row in rows)), max(int(room * _MAX_LABEL_RATIO), 1)
    )
    services = max(map(width_of, {pen.safe(row.row.service) for row in rows}))
    service = min(max(services, width_of("SERVICE")), _MAX_SERVICE) if services else 0
    duration = max(width_of("DURATION"), *(width_of(row.duration) for row in rows))
    self_time = max(width_of(row.self_time) for row in rows)
    self_time = max(self_time, width_of("SELF")) if self_time else 0
    least = _Plan(min(label, _MIN_LABEL), min(service, _MIN_SERVICE), duration, self_time, _MIN_BAR)
    for plan in (least, replace(least, self_time=0), replace(least, self_time=0, service=0)):
        if plan.total() <= room:
            return _with_spare(plan, room, label, service if plan.service else 0, rows)
    if label + _GAP + duration <= room:
        return _Plan(label, 0, duration, 0, 0)
    return _Plan(max(room - _GAP - duration, 1), 0, duration if room > duration + _GAP else 0, 0, 0)


def _with_spare(plan: _Plan, room: int, label: int, service: int, rows: list[_Row]) -> _Plan:
    """Give what is left to names, then services, then the column of notes where there are any, and the rest to bars."""
    plan = replace(plan, label=min(label, plan.label + room - plan.total()))
    plan = replace(plan, service=min(service, plan.service + room - plan.total()))
    plan = replace(plan, bar=plan.bar + room - plan.total())
    wanted = max((width_of(row.row.note) + 5 for row in rows if row.row.is_flagged), default=0)
    if 0 < wanted <= _MAX_NOTES and plan.bar - wanted >= _BAR_BESIDE_NOTES:
        return replace(plan, bar=plan.bar - wanted, notes=wanted)
    return plan


def _header(plan: _Plan, timeline: Timeline, pen: Pen) -> Strip:
    cells = [pad(shorten("SPAN", plan.label, ""), plan.label)]
    if plan.service:
        cells.append(pad("SERVICE", plan.service))
    if plan.duration:
        cells.append(pad("DURATION", plan.duration, is_right=True))
    if plan.self_time:
        cells.append(pad("SELF", plan.self_time, is_right=True))
    if plan.bar:
        cells.append(pen.safe(_ruler(timeline.duration_ns, plan.bar)))
    return [_BLANK, Segment((" " * _GAP).join(cells), DIM)]


def _service(service: str, plan: _Plan, pen: Pen) -> Strip:
    if not plan.service:
        return []
    shown = shorten(pen.safe(service), plan.service, pen.glyphs.ellipsis)
    return [Segment(" " * _GAP + pad(shown, plan.service), pen.hue(service) if service else None)]


def _times(row: _Row, plan: _Plan, emphasis: Style | None) -> Strip:
    columns = ((row.duration, plan.duration), (row.self_time, plan.self_time))
    text = "".join([text.rjust(width + _GAP) for text, width in columns if width])
    return [Segment(text, emphasis)]


def _label(row: _Row, width: int, emphasis: Style | None, pen: Pen) -> Strip:
    room = width - row.fixed_width
    if room < 1:
        whole = shorten(row.branch + row.mark + row.name + row.suffix, width, pen.glyphs.ellipsis)
        return [Segment(pad(whole, width), emphasis)]
    name, name_width = row.name, row.name_width
    if name_width > room:
        name = shorten(name, room, pen.glyphs.ellipsis)
        name_width = width_of(name)
    style = _MATCH if row.row.is_match else DIM if row.row.relation == "placeholder" else emphasis
    mark = Segment(row.mark, RED if row.row.has_error else DIM)
    blanks = " " * (room - name_width)
    return [Segment(row.branch, DIM), mark, Segment(name, style), Segment(row.suffix + blanks)]


def _add_bar(strip: Strip, row: _Row, plan: _Plan, scale: float, pen: Pen) -> bool:
    """Draw the bar and, where it fits, the note beside it; say whether the note found room."""
    glyphs = pen.glyphs
    if not plan.bar:
        return False
    start, end = _place(row.row, scale, plan.bar)
    before, after = start // 2, plan.bar - (end + 1) // 2
    bar = Segment(_stroke(row.row, (start, end), scale, glyphs.strokes), _bar_style(row, pen))
    gap = " " * _GAP
    if not row.row.note:
        strip += [Segment(gap + " " * before), bar]
        return False
    note = pen.safe(row.row.note)
    style = BOLD if row.row.is_flagged else DIM
    arrow_left, arrow_right = (glyphs.points_left, glyphs.points_right) if row.row.is_flagged else ("", "")
    if width_of(arrow_left + note) + _GAP <= after + plan.notes:
        strip += [Segment(gap + " " * before), bar, Segment(gap), Segment(arrow_left + note, style)]
    elif width_of(note + arrow_right) + 1 <= before:
        shown = pad(note + arrow_right, before - 1, is_right=True)
        strip += [Segment(gap), Segment(shown, style), Segment(" "), bar]
    else:
        strip += [Segment(gap + " " * before), bar]
        return False
    return True


def _bar_style(row: _Row, pen: Pen) -> Style | None:
    if row.row.relation == "placeholder" or not row.row.service:
        return DIM
    return pen.hue(row.row.service)


def _note_below(row: _Row, plan: _Plan, scale: float, pen: Pen) -> Iterator[Strip]:
    """Draw a note that found no room beside its bar under it, or under the label where that is too narrow as well."""
    style = BOLD if row.row.is_flagged else DIM
    note = (pen.glyphs.points_up if row.row.is_flagged else "") + pen.safe(row.row.note)
    if plan.bar:
        start = plan.bar_start() + _place(row.row, scale, plan.bar)[0] // 2
        start = min(start, pen.width - 1 - width_of(note))
        if start > width_of(row.below):
            yield [_BLANK, Segment(pad(row.below, start), DIM), Segment(note, style)]
            return
    branch, width = _margin(row, pen)
    for line in wrapped(note, width):
        yield [_BLANK, Segment(branch, DIM), Segment(line, style)]


def _details(row: _Row, pen: Pen) -> Iterator[Strip]:
    branch, width = _margin(row, pen)
    for key, value in row.row.details:
        name = pen.safe(key) + "="
        for position, line in enumerate(wrapped(name + pen.safe(value), width)):
            # Only the first line begins with the name, and a name longer than a line has it all.
            named = min(len(name), len(line)) if position == 0 else 0
            yield [_BLANK, Segment(branch, DIM), Segment(line[:named], DIM), Segment(line[named:])]


def _margin(row: _Row, pen: Pen) -> tuple[str, int]:
    """Find what stands before the lines below a row, and their width; no branches where those take all the room."""
    room = pen.width - 1 - width_of(row.below)
    return (row.below, room) if room >= _MIN_LINE else ("", max(pen.width - 1, 1))


_MIN_QUARTERS = 56
"""Cells from which a ruler has room for four marks."""


def _scale_of(duration_ns: int, cells: int) -> float:
    """Say how many half cells a nanosecond is."""
    return 2 * cells / duration_ns if duration_ns > 0 else 0.0


def _place(row: TimelineRow, scale: float, cells: int) -> tuple[int, int]:
    """Find the halves a row's bar covers, the second exclusive; every bar has one at least."""
    start = min(max(round(row.start_ns * scale), 0), 2 * cells - 1)
    end = min(max(round((row.start_ns + row.duration_ns) * scale), start + 1), 2 * cells)
    return start, end


def _stroke(row: TimelineRow, halves: tuple[int, int], scale: float, strokes: Mapping[str, str]) -> str:
    """Draw a row's bar without the blanks before it.

    Heavy on the critical path, light off it, dashed where the span is asynchronous.

    Args:
        row: What the bar stands for.
        halves: Where it lies, as `_place` says.
        scale: Halves a nanosecond.
        strokes: The glyphs, see `Glyphs.strokes`.
    """
    start, end = halves
    light, heavy = ("3", "4") if row.relation == "asynchronous" else ("1", "2")
    weights = [light] * (end - start)
    for critical_start, critical_end in row.critical:
        # However short, a stretch of the critical path is seen.
        first = min(max(round(critical_start * scale) - start, 0), end - start - 1)
        last = min(max(round(critical_end * scale) - start, first + 1), end - start)
        weights[first:last] = [heavy] * (last - first)
    drawn = "0" * (start % 2) + "".join(weights) + "0" * (end % 2)
    return "".join([strokes[drawn[at : at + 2]] for at in range(0, len(drawn), 2)])


def _ruler(duration_ns: int, cells: int) -> str:
    """Write the scale of the bars: where they begin, some marks between, and what the full width is."""
    line = [" "] * cells
    marks = 4 if cells >= _MIN_QUARTERS else 2
    for mark in (0, marks, *range(1, marks)):
        text = format_duration(duration_ns * mark // marks) if mark else "0"
        start = min(max(cells * mark // marks - len(text) // 2, 0), cells - len(text))
        # The ends come first: a mark that would touch them is left out.
        if start >= 0 and not "".join(line[max(start - 1, 0) : start + len(text) + 1]).strip():
            line[start : start + len(text)] = text
    return "".join(line)


_STEP = 3
_NARROW_STEP = 2
_MAX_LEVELS = 12


class Branches:
    """Draws the branches in front of each row; remembers on which levels siblings are still to come.

    A tree deeper than there is room for shows its last levels, behind the number of those that are not drawn. Levels
    leave the picture half a room at a time: neighbours mostly hide the same number, and their branches stay aligned.
    """

    def __init__(self, glyphs: Glyphs, room: int, deepest: int) -> None:
        self._glyphs = glyphs
        self._step = _STEP if deepest * _STEP <= room else _NARROW_STEP
        self._levels = min(max(room // self._step, 1), _MAX_LEVELS)
        if deepest * self._step <= room:
            self._levels = max(deepest, 1)
        self._goes_on: list[bool] = []

    def row(self, depth: int, *, is_last: bool, is_async: bool = False) -> str:
        """Draw what stands before a row; rows come in depth-first order."""
        del self._goes_on[depth:]
        # A level that was jumped over has no row of its own, and so no line.
        self._goes_on += [False] * (depth - len(self._goes_on))
        self._goes_on.append(not is_last)
        if depth == 0:
            return ""
        return self._stem(depth - 1) + self._branch(is_last=is_last, is_async=is_async)

    def below(self, *, has_children: bool) -> str:
        """Draw what stands before a line that belongs to the row drawn last."""
        depth = len(self._goes_on) - 1
        return self._stem(depth) + (self._glyphs.pipe if has_children else "").ljust(self._step)

    def _stem(self, depth: int) -> str:
        own = len(self._goes_on) - 1
        hidden = self._hidden(own)
        number = f"{self._glyphs.skipped}{hidden:,} " if hidden else ""
        pipe, blank = self._glyphs.pipe.ljust(self._step), " " * self._step
        return number + "".join([pipe if goes_on else blank for goes_on in self._goes_on[hidden + 1 : depth + 1]])

    def _hidden(self, depth: int) -> int:
        batch = max(self._levels // 2, 1)
        return max(-(-(depth - self._levels) // batch), 0) * batch

    def _branch(self, *, is_last: bool, is_async: bool) -> str:
        glyphs = self._glyphs
        if is_async:
            branch = glyphs.async_corner if is_last else glyphs.async_tee
        else:
            branch = glyphs.corner if is_last else glyphs.tee
        return branch.ljust(self._step)
