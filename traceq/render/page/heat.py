"""When requests were made and how long they took, as a picture; failures are marks below it."""

from __future__ import annotations

from collections.abc import Iterator
from math import log

from traceq.render.page.parts import PagePart, safe
from traceq.report import HeatMap
from traceq.units import NS_PER_S, format_count, format_duration, format_time

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
