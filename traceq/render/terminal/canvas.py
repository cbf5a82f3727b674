"""What a drawing is made for, and what it is made with."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import quote

from rich.segment import Segment
from rich.style import Style

from traceq.render.terminal.glyphs import ASCII, UNICODE, Glyphs, to_ascii
from traceq.report import Role
from traceq.untrusted import printable

Strip = list[Segment]
"""One drawn line, without its newline."""

BOLD = Style(bold=True)
DIM = Style(dim=True)
RED = Style(color="red")
_HUES = tuple(Style(color=f"color({number})") for number in (38, 71, 133, 172, 69, 37, 170, 107, 141, 136, 73, 179))
"""Colours of the 256 that read well on dark and on light, no reds: red is for errors."""
_ROLES: dict[Role, Style | None] = {"plain": None, "strong": BOLD, "dim": DIM, "error": RED, "hint": DIM}


@dataclass(frozen=True, slots=True)
class Canvas:
    """What the terminal can show; colours are the business of the console that prints."""

    width: int
    is_ascii: bool = False
    """Whether only ASCII characters may be written."""
    has_links: bool = False
    """Whether trace ids become links (OSC 8)."""


@dataclass(frozen=True, slots=True)
class Pen:
    """A canvas and what one drawing remembers: the glyphs it uses and the hue of each service seen so far."""

    canvas: Canvas
    trace_url: str = ""
    _hues: dict[str, Style] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Cells a line may take."""
        return self.canvas.width

    @property
    def glyphs(self) -> Glyphs:
        """The characters to draw with."""
        return ASCII if self.canvas.is_ascii else UNICODE

    def safe(self, text: str) -> str:
        """Make text fit to be written on this canvas; everything that came with a report goes through here."""
        shown = printable(text)
        return to_ascii(shown) if self.canvas.is_ascii else shown

    def hue(self, service: str) -> Style:
        """Give a service its colour: by its name, so that it is the same in the next run, or the next that is free."""
        if service not in self._hues:
            # From the name, and not by Python's hash: that one differs from run to run.
            wanted = zlib.crc32(service.encode("utf-8", "replace"))
            # Beyond the palette colours are shared, and there is nothing to look for.
            steps = range(len(_HUES)) if len(self._hues) < len(_HUES) else range(1)
            styles = [_HUES[(wanted + step) % len(_HUES)] for step in steps]
            taken = set(islice(self._hues.values(), len(_HUES)))
            self._hues[service] = next((style for style in styles if style not in taken), styles[0])
        return self._hues[service]

    def style(self, role: Role, text: str) -> Style | None:
        """Say how a role looks; a service looks like itself."""
        return self.hue(text) if role == "service" else _ROLES[role]

    def trace_link(self, trace_id: str) -> Style | None:
        """Link a trace id to the source's page about it, where there is one and the terminal can."""
        if not (self.canvas.has_links and self.trace_url):
            return None
        return Style(link=printable(self.trace_url.replace("{trace_id}", quote(trace_id, safe=""))))


def trimmed(strip: Strip) -> Strip:
    """Take the blanks off the end of a line, so that copied text carries none."""
    while strip and (not strip[-1].text or strip[-1].text.isspace()):
        strip.pop()
    if strip and strip[-1].text[-1].isspace():
        last = strip[-1]
        strip[-1] = Segment(last.text.rstrip(), last.style)
    return strip
