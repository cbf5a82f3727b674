"""A trace as a part of a page: numbers in columns, texts and groups of details once each; the script draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from traceq.render.page.parts import Ink, Once, PagePart, resource
from traceq.report import Timeline, TimelineRow
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
