"""A trace as a tree with columns and a waterfall, row by row and without recursion: traces are 50,000 levels deep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace
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
_FLAG = Style(bold=True, reverse=True)
_BRANCHES_RATIO = 0.2
_NO_BAR_BELOW = 50
"""In fewer columns names get the room of bars."""
_AMPLE_LABEL = 56
"""Cells of names after which own times, and longer bars, are worth more than longer names."""
_AMPLE_BAR = 60
_BAR_BESIDE_NOTES = 28
"""Cells of bar from which a column for the notes is worth its room."""
_MAX_NOTES = 28
_LEAST_ASIDE = 12
"""Cells of a service before its span's name is shortened."""
_HANG = 2
"""Blanks before the further lines of a wrapped one, besides those it begins with."""
_MIN_LINE = 12
"""What stands below a row gives up its indentation before it gets narrower than this."""


class _Row(Struct, frozen=True):
    """A row written out, not yet fitted to columns."""

    row: TimelineRow
    branch: str
    below: str
    mark: str
    name: str
    name_width: int
    suffix: str
    aside: str
    """The service, where it is another one than that of the row above in the tree."""
    duration: str
    self_time: str

    @property
    def fixed_width(self) -> int:
        """Cells of the label that cannot be shortened: branches, marks and counts take a cell a character."""
        return len(self.branch) + len(self.mark) + len(self.suffix)

    @property
    def full_width(self) -> int:
        """Cells of the label in full."""
        aside = _GAP + width_of(self.aside) if self.aside else 0
        return self.fixed_width + self.name_width + aside


class _Plan(Struct, frozen=True):
    """Cells each column gets; 0 for a column that is left out."""

    ids: int
    label: int
    duration: int
    self_time: int
    bar: int
    notes: int = 0

    def total(self) -> int:
        """Cells with the gaps between columns."""
        widths = (self.ids, self.label, self.duration, self.self_time, self.bar)
        return sum(width + _GAP for width in widths if width) - _GAP

    def bar_start(self) -> int:
        """The bar's first cell, counted from the first column."""
        return self.total() - self.bar


def draw_timeline(timeline: Timeline, pen: Pen) -> Iterator[Strip]:
    """Draw a header with the scale, and each row with what belongs to it below it."""
    if not timeline.rows:
        return
    rows = _written(timeline, pen)
    plan = _plan(rows, timeline, pen)
    scale = _scale_of(timeline.duration_ns, plan.bar)
    has_path = any(row.critical for row in timeline.rows)
    yield _header(plan, timeline, pen)
    for row in rows:
        emphasis = (BOLD if row.row.critical or row.row.is_flagged else DIM) if has_path else None
        strip: Strip = [_BLANK, *_id(row, plan, pen), *_label(row, plan.label, emphasis, pen)]
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
    branches = Branches(pen.glyphs, int(pen.width * _BRANCHES_RATIO), max(row.depth for row in rows))
    above: list[str] = []
    written = []
    for number, row in enumerate(rows):
        branch = branches.row(row.depth, is_last=row.is_last, is_async=row.relation == "asynchronous")
        has_children = number + 1 < len(rows) and rows[number + 1].depth > row.depth
        # Few rows have anything below them, and most traces are large.
        below = branches.below(has_children=has_children) if row.note or row.details else ""
        mark = pen.glyphs.flag if row.is_flagged else ""
        mark += "! " if row.has_error else "? " if row.relation == "placeholder" else ""
        del above[row.depth :]
        aside = pen.safe(row.service) if row.service != (above[-1] if above else "") else ""
        above += [above[-1] if above else ""] * (row.depth - len(above)) + [row.service]
        suffix = f" x {row.count:,}" if row.count > 1 else ""
        self_time = "" if self_times[number] == "-" else self_times[number]
        name = pen.safe(row.label)
        size = width_of(name)
        written.append(_Row(row, branch, below, mark, name, size, suffix, aside, durations[number], self_time))
    return written


def _plan(rows: list[_Row], timeline: Timeline, pen: Pen) -> _Plan:
    """Share out the width: a third is the bars', then names get theirs, then own times, then bars what is left.

    Every column only grows with the width.
    """
    room = pen.width - 1
    ids = max(map(len, (row.row.span_id for row in rows))) if timeline.has_ids else 0
    duration = max(width_of("DURATION"), *(width_of(row.duration) for row in rows))
    self_time = max(width_of(row.self_time) for row in rows)
    self_time = max(self_time, width_of("SELF")) if self_time else 0
    label = max(width_of("SPAN"), *(row.full_width for row in rows))
    bar = -(-pen.width // 3) if pen.width >= _NO_BAR_BELOW else 0
    ids = ids if ids and room - ids - _GAP >= _NO_BAR_BELOW else 0
    plan = _Plan(ids, 0, duration, 0, bar)
    spare = room - plan.total() - _GAP
    if spare < 1:
        return _Plan(0, room if room <= duration + _GAP else room - duration - _GAP, duration, 0, 0)
    plan = replace(plan, label=min(label, _AMPLE_LABEL, spare))
    spare -= plan.label
    if plan.label < min(label, _AMPLE_LABEL):
        return plan
    if self_time and spare >= self_time + _GAP:
        plan, spare = replace(plan, self_time=self_time), spare - self_time - _GAP
    elif self_time:
        return replace(plan, bar=plan.bar + spare if plan.bar else 0)
    longer_bar = min(max(_AMPLE_BAR - plan.bar, 0), spare)
    longer_label = min(label - plan.label, spare - longer_bar)
    plan = replace(plan, label=plan.label + longer_label, bar=plan.bar + spare - longer_label if plan.bar else 0)
    return _with_notes(plan, rows, pen)


def _with_notes(plan: _Plan, rows: list[_Row], pen: Pen) -> _Plan:
    """Leave room behind the bars for what is said of flagged rows."""
    wanted = max((width_of(row.row.note) + 5 for row in rows if row.row.is_flagged), default=0)
    if 0 < wanted <= _MAX_NOTES and plan.bar - wanted >= max(_BAR_BESIDE_NOTES, -(-pen.width // 3)):
        return replace(plan, bar=plan.bar - wanted, notes=wanted)
    return plan


def _header(plan: _Plan, timeline: Timeline, pen: Pen) -> Strip:
    cells = [pad("ID", plan.ids)] if plan.ids else []
    cells.append(pad(shorten("SPAN", plan.label, ""), plan.label))
    if plan.duration:
        cells.append(pad("DURATION", plan.duration, is_right=True))
    if plan.self_time:
        cells.append(pad("SELF", plan.self_time, is_right=True))
    if plan.bar:
        cells.append(pen.safe(_ruler(timeline.duration_ns, plan.bar)))
    return [_BLANK, Segment((" " * _GAP).join(cells), DIM)]


def _id(row: _Row, plan: _Plan, pen: Pen) -> Strip:
    return [Segment(pad(pen.safe(row.row.span_id), plan.ids + _GAP), DIM)] if plan.ids else []


def _times(row: _Row, plan: _Plan, emphasis: Style | None) -> Strip:
    columns = ((row.duration, plan.duration), (row.self_time, plan.self_time))
    text = "".join([text.rjust(width + _GAP) for text, width in columns if width])
    return [Segment(text, emphasis)]


def _label(row: _Row, width: int, emphasis: Style | None, pen: Pen) -> Strip:
    """Write the branch, the name, and behind it the service where it changes: in its hue, and shortened first."""
    room = width - row.fixed_width
    if room < 1:
        whole = shorten(row.branch + row.mark + row.name + row.suffix, width, pen.glyphs.ellipsis)
        return [Segment(pad(whole, width), emphasis)]
    aside = row.aside
    if aside and row.full_width > width:
        left = max(room - row.name_width - _GAP, min(_LEAST_ASIDE, room // 3))
        aside = shorten(aside, left, pen.glyphs.ellipsis) if left >= _LEAST_ASIDE // 2 else ""
    name_room = room - (_GAP + width_of(aside) if aside else 0)
    name = shorten(row.name, name_room, pen.glyphs.ellipsis)
    style = _MATCH if row.row.is_match else DIM if row.row.relation == "placeholder" else emphasis
    mark = Segment(row.mark, RED if row.row.has_error else BOLD if row.row.is_flagged else DIM)
    strip = [Segment(row.branch, DIM), mark, Segment(name, style), Segment(row.suffix)]
    strip += [Segment(" " * _GAP), *pen.named(aside, row.row.service)] if aside else []
    return [*strip, Segment(" " * (width - sum(width_of(segment.text) for segment in strip)))]


def _add_bar(strip: Strip, row: _Row, plan: _Plan, scale: float, pen: Pen) -> bool:
    """Draw the bar and, where it fits, the note beside it; say whether the note found room."""
    glyphs = pen.glyphs
    if not plan.bar:
        return False
    start, end = _place(row.row, scale, plan.bar)
    before, after = start // 2, plan.bar - (end + 1) // 2
    bar = _stroke(row.row, (start, end), scale, _bar_style(row, pen), glyphs.strokes)
    gap = " " * _GAP
    if not row.row.note:
        strip += [Segment(gap + " " * before), *bar]
        return False
    note = pen.safe(row.row.note)
    style = _FLAG if row.row.is_flagged else DIM
    arrow_left, arrow_right = (glyphs.points_left, glyphs.points_right) if row.row.is_flagged else ("", "")
    if width_of(arrow_left + note) + _GAP <= after + plan.notes:
        strip += [Segment(gap + " " * before), *bar, Segment(gap), Segment(arrow_left, BOLD), Segment(note, style)]
    elif width_of(note + arrow_right) + 1 <= before:
        blanks = " " * (before - 1 - width_of(note + arrow_right))
        strip += [Segment(gap + blanks), Segment(note, style), Segment(arrow_right + " ", BOLD), *bar]
    else:
        strip += [Segment(gap + " " * before), *bar]
        return False
    return True


def _bar_style(row: _Row, pen: Pen) -> Style:
    is_known = row.row.relation != "placeholder" and row.row.service
    return pen.hue(row.row.service) if is_known else Style.null()


def _note_below(row: _Row, plan: _Plan, scale: float, pen: Pen) -> Iterator[Strip]:
    """Draw a note that found no room beside its bar under it, or under the label where that is too narrow as well."""
    style = _FLAG if row.row.is_flagged else DIM
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
    """Draw what belongs to a row: names in grey, further lines further in, and each as far in as it is written."""
    branch, width = _margin(row, pen)
    for key, value in row.row.details:
        name = f"{pen.safe(key)}=" if key else ""
        first, *others = value.split("\n")
        for position, line in enumerate(wrapped(name + pen.safe(first), width, _HANG)):
            # Only the first line begins with the name, and a name longer than a line has it all.
            named = min(len(name), len(line)) if position == 0 else 0
            yield [_BLANK, Segment(branch, DIM), Segment(line[:named], DIM), Segment(line[named:])]
        for other in others:
            inset = "  " + pen.safe(other)
            for line in wrapped(inset, width, len(inset) - len(inset.lstrip(" ")) + _HANG):
                yield [_BLANK, Segment(branch, DIM), Segment(line)]


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


def _stroke(row: TimelineRow, halves: tuple[int, int], scale: float, hue: Style, strokes: Mapping[str, str]) -> Strip:
    """Draw a row's bar without the blanks before it.

    Heavy and bold where at least half of a cell is on the critical path, light and dim off it, dashed where the span is
    asynchronous. Only the ends are drawn to half a cell.

    Args:
        row: What the bar stands for.
        halves: Where it lies, as `_place` says.
        scale: Halves a nanosecond.
        hue: The colour of its service.
        strokes: The glyphs, see `Glyphs.strokes`.
    """
    start, end = halves
    first, last = start // 2, (end - 1) // 2
    heavy = _heavy_cells(row, (first, last), scale)
    light, strong = ("3", "4") if row.relation == "asynchronous" else ("1", "2")
    strip: Strip = []
    for is_heavy, cells in groupby(range(first, last + 1), key=heavy.__contains__):
        weight = strong if is_heavy else light
        texts = [strokes[(weight if start <= 2 * at else "0") + (weight if end > 2 * at + 1 else "0")] for at in cells]
        strip.append(Segment("".join(texts), hue + (BOLD if is_heavy else DIM)))
    return strip


def _heavy_cells(row: TimelineRow, cells: tuple[int, int], scale: float) -> set[int]:
    """Find the cells that are on the critical path for half of what the bar fills of them; one at least, if any is."""
    first, last = cells
    covered: dict[int, float] = {}
    for start_ns, end_ns in row.critical:
        start, end = max(start_ns * scale / 2, first), min(end_ns * scale / 2, last + 1)
        for cell in {min(int(start), last), min(int(end), last)}:
            covered[cell] = covered.get(cell, 0.0) + max(min(end, cell + 1) - max(start, cell), 0.0)
        covered |= dict.fromkeys(range(int(start) + 1, int(end)), 1.0)
    if not covered:
        return set()
    begin, stop = row.start_ns * scale / 2, (row.start_ns + row.duration_ns) * scale / 2
    filled = {cell: max(min(stop, cell + 1) - max(begin, cell), 0.0) for cell in covered}
    heavy = {cell for cell, part in covered.items() if part > 0 and 2 * part >= filled[cell]}
    return heavy or {max(covered, key=lambda cell: (round(covered[cell], 6), -cell))}


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
