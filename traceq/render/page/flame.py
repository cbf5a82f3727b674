"""Call paths as a flame graph to look around in: frames below their callers, as wide as the time they stand for."""

from __future__ import annotations

from traceq.render.page.parts import Ink, Once, PagePart, resource
from traceq.report import Flame
from traceq.untrusted import printable

_MARKUP = """<div class="tools">
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
    return PagePart(_MARKUP, resource("flame.css"), resource("flame.js"), data, "flame")
