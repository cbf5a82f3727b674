"""Pictures along time to look around in: traces as waterfalls, call paths as flame graphs, requests as heat maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import log

from traceq.render.page.parts import Ink, Once, PagePart, resource, safe
from traceq.report import Flame, HeatMap, Timeline, TimelineRow
from traceq.units import NS_PER_S, format_count, format_duration, format_time
from traceq.untrusted import printable

_MARKUP = """<div class="tools">
<input class="search" type="search" placeholder="Search names, services, attributes ( / )" aria-label="Search"
autocomplete="off"><span class="match-count quiet" role="status"></span>
<button type="button" class="next-flag">Bottleneck</button>
<label><input type="checkbox" class="path-only"> critical path only</label>
<label><input type="checkbox" class="match-only"> matches only ( n, p )</label>
<button type="button" class="fold-all">Fold</button><button type="button" class="unfold-all">Unfold</button>
<button type="button" class="reset" disabled>Whole trace</button><span class="row-count quiet"></span></div>
<div class="overview" title="Drag to zoom, double click for the whole trace"><canvas class="map"></canvas>
<div class="frame" hidden></div></div>
<div class="main"><div class="head"><span>span</span><span class="time">duration</span><span class="own">self</span>
<span class="scale" title="Drag to zoom"></span></div>
<div class="rows" role="tree" tabindex="0" aria-label="Spans: arrows move, left and right fold, Enter shows details,
plus, minus and z zoom, slash searches">
<div class="sheet"><div class="pool" role="presentation"></div></div></div></div>
<aside class="panel" aria-label="Details of the span" hidden></aside>"""

_ERROR, _ASYNCHRONOUS, _PLACEHOLDER, _FLAGGED, _MATCH = 1, 2, 4, 8, 16
_KINDS = ("attribute", "resource", "event", "link", "warning")
"""What the first word of a detail's name may say that it is."""
_LONGEST_VALUE = 20_000


def timeline_part(timeline: Timeline, ink: Ink) -> PagePart:
    """Draw a trace to look around in: zoom, fold, search, and everything that is known about a span."""
    return PagePart(_MARKUP, resource("timeline.css"), resource("timeline.js"), _data(timeline, ink), "timeline")


def _data(timeline: Timeline, ink: Ink) -> dict[str, object]:
    rows, texts, groups, services = timeline.rows, Once(), Once(), Once()
    details = [[groups(group) for group in _groups(row.details, texts)] for row in rows]
    return {
        "duration": timeline.duration_ns,
        "depth": [row.depth for row in rows],
        "label": [texts(printable(row.label)) for row in rows],
        "service": [services(row.service) for row in rows],
        "start": [row.start_ns for row in rows],
        "length": [row.duration_ns for row in rows],
        "self": [-1 if row.self_ns is None else row.self_ns for row in rows],
        "path": [[end for stretch in row.critical for end in stretch] or 0 for row in rows],
        "marks": [_marks(row) for row in rows],
        "count": [row.count for row in rows],
        "note": [texts(printable(row.note)) if row.note else -1 for row in rows],
        "id": [printable(row.span_id) for row in rows],
        "details": [numbers or 0 for numbers in details],
        "services": [[printable(str(service)), ink.hues.number(str(service))] for service in services.numbers],
        "strings": list(texts.numbers),
        "groups": list(groups.numbers),
    }


def _marks(row: TimelineRow) -> int:
    return (
        _ERROR * row.has_error
        + _ASYNCHRONOUS * (row.relation == "asynchronous")
        + _PLACEHOLDER * (row.relation == "placeholder")
        + _FLAGGED * row.is_flagged
        + _MATCH * row.is_match
    )


def _groups(details: Sequence[tuple[str, str]], texts: Once) -> Iterator[tuple[int, ...]]:
    """Give the details of a row by what they are: the heading's text, then names and values in turn."""
    for kind, pairs in groupby(map(_kind, details), lambda pair: pair[0]):
        named = ((texts(printable(name)), texts(_value(value))) for _, name, value in pairs)
        yield (texts(kind), *(text for pair in named for text in pair))


def _kind(pair: tuple[str, str]) -> tuple[str, str, str]:
    name, value = pair
    kind, _, rest = name.partition(" ")
    return (kind, rest, value) if kind in _KINDS else ("", name, value)


def _value(text: str) -> str:
    """Keep the lines of a value: a page has room for a stack trace."""
    shown = "\n".join(printable(line) for line in text.replace("\t", "    ").splitlines())
    left = len(shown) - _LONGEST_VALUE
    return shown if left <= 0 else f"{shown[:_LONGEST_VALUE]}… ({left:,} characters more)"


_FLAME_MARKUP = """<div class="tools">
<input class="search" type="search" placeholder="Search frames" aria-label="Search frames" autocomplete="off">
<span class="match-share quiet" role="status"></span>
<button type="button" class="reset" disabled>All frames</button><span class="measure quiet"></span></div>
<div class="frames" role="tree" tabindex="0" aria-label="Frames: arrows move, Enter widens a frame, Escape shows all">
</div><div class="facts" role="status"></div>"""


def flame_part(flame: Flame, ink: Ink) -> PagePart:
    """Draw frames; a click widens one, a search says what share of the time it finds."""
    texts, services = Once(), Once()
    rows = flame.rows
    data = {
        "total": flame.total_ns,
        "measure": printable(flame.measure),
        "sides": None if flame.sides is None else [printable(side) for side in flame.sides],
        "depth": [row.depth for row in rows],
        "label": [texts(printable(row.label)) for row in rows],
        "service": [services(row.place) for row in rows],
        "value": [row.value_ns for row in rows],
        "own": [row.own_ns for row in rows],
        "delta": [row.delta_ns for row in rows],
        "facts": [[texts(printable(text)) for fact in row.facts for text in fact] for row in rows],
        "services": [[printable(str(each)), ink.hues.number(str(each))] for each in services.numbers],
        "strings": list(texts.numbers),
    }
    return PagePart(_FLAME_MARKUP, resource("flame.css"), resource("flame.js"), data, "flame")


_CELL = 10
_CLOCK = len("2026-11-22 ")
_MOST_LABELS = 6


def heat_map_part(found: HeatMap) -> PagePart:
    """Draw longer durations above shorter ones, the more requests the darker."""
    if not found.counts:
        return PagePart("")
    columns, rows = len(found.counts), len(found.counts[0])
    low, high = (safe(format_duration(end)) for end in (found.low_ns, found.high_ns))
    picture = (
        f'<svg viewBox="0 0 {columns * _CELL} {rows * _CELL}" preserveAspectRatio="none" role="img" '
        f'aria-label="requests by time and duration">{_marked(found)}{"".join(_cells(found))}{_bound(found)}</svg>'
    )
    marks = "".join(_mark(found, at) for at, count in enumerate(found.failed) if count)
    failures = (
        f'<svg class="failures" viewBox="0 0 {columns * _CELL} 6" preserveAspectRatio="none" role="img" '
        f'aria-label="{safe(format_count(sum(found.failed)))} failed">{marks}</svg>'
        if marks
        else ""
    )
    times = "".join(f"<span>{safe(text)}</span>" for text in _times(found))
    return PagePart(
        f'<figure class="heat"><div class="scale-of-durations"><span>{high}</span><span>{low}</span></div>'
        f"<div>{picture}{failures}<figcaption>{times}</figcaption>{_key(found)}</div></figure>"
    )


def _key(found: HeatMap) -> str:
    """Say what is marked in the picture."""
    told = []
    if found.slow_from_ns is not None:
        told.append(f"dashed line: slow from {format_duration(found.slow_from_ns)} on")
    if found.marked_ns is not None:
        told.append(f"shaded: {' to '.join(format_time(end) for end in found.marked_ns)}")
    return f'<p class="quiet">{safe("; ".join(told))}</p>' if told else ""


def _marked(found: HeatMap) -> str:
    """Draw the ground of the time that stands out."""
    if found.marked_ns is None:
        return ""
    first, last = ((end - found.start_ns) // found.width_ns for end in found.marked_ns)
    told = safe(" to ".join(format_time(end) for end in found.marked_ns))
    place = f'x="{first * _CELL}" width="{(last - first + 1) * _CELL}"'
    return f'<rect class="marked" {place} y="0" height="{len(found.counts[0]) * _CELL}"><title>{told}</title></rect>'


def _cells(found: HeatMap) -> Iterator[str]:
    top = max(max(column) for column in found.counts)
    rows = len(found.counts[0])
    for at, column in enumerate(found.counts):
        for row, count in enumerate(column):
            if count:
                # One request has to be seen where another cell has thousands.
                depth = 0.3 + 0.7 * log(count + 1) / log(top + 1)
                yield (
                    f'<rect x="{at * _CELL}" y="{(rows - 1 - row) * _CELL}" width="{_CELL - 1}" height="{_CELL - 1}" '
                    f'fill-opacity="{depth:.2f}"><title>{safe(_told(found, at, row, count))}</title></rect>'
                )


def _told(found: HeatMap, at: int, row: int, count: int) -> str:
    ends = (_duration_at(found, edge) for edge in (row, row + 1))
    between = " to ".join(format_duration(round(end)) for end in ends)
    return f"{_begins(found, at)}: {format_count(count)} of {between}"


def _begins(found: HeatMap, at: int) -> str:
    return format_time(found.start_ns + at * found.width_ns)


def _duration_at(found: HeatMap, edge: int) -> float:
    low = max(found.low_ns, 1)
    return float(low * (max(found.high_ns, low) / low) ** (edge / len(found.counts[0])))


def _bound(found: HeatMap) -> str:
    """Draw the duration from which requests are slow."""
    low, high = max(found.low_ns, 1), max(found.high_ns, 1)
    if found.slow_from_ns is None or not low < found.slow_from_ns <= high:
        return ""
    height = len(found.counts[0]) * _CELL
    y = height * (1 - log(found.slow_from_ns / low) / log(high / low))
    told = safe(f"slow from {format_duration(found.slow_from_ns)} on")
    width = len(found.counts) * _CELL
    return f'<line x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"><title>{told}</title></line>'


def _mark(found: HeatMap, at: int) -> str:
    told = safe(f"{_begins(found, at)}: {format_count(found.failed[at])} failed")
    return f'<rect x="{at * _CELL}" y="0" width="{_CELL - 1}" height="6"><title>{told}</title></rect>'


def _times(found: HeatMap) -> list[str]:
    """Label the scale from its first moment to its last."""
    length_ns = found.width_ns * len(found.counts)
    # To the second, unless labels would then be alike.
    shown = len("2026-11-22 14:03:22" if length_ns >= _MOST_LABELS * NS_PER_S else "2026-11-22 14:03:22.118")
    texts = [
        format_time(found.start_ns + length_ns * number // (_MOST_LABELS - 1))[:shown] for number in range(_MOST_LABELS)
    ]
    return [texts[0], *(text[_CLOCK:] if text[:_CLOCK] == texts[0][:_CLOCK] else text for text in texts[1:])]
