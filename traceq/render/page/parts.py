"""A part of a page: markup, and the style and script that it brings along."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from urllib.parse import quote

from msgspec import Struct, field

from traceq.render.hues import Hues
from traceq.units import format_duration, format_signed
from traceq.untrusted import printable

_WEB = ("http://", "https://")


class PagePart(Struct, frozen=True):
    """A piece of a page; of the same style or script a page holds one, however many parts need it."""

    html: str
    """Its markup, with every text from traces escaped; markup has no `style` attributes, the policy refuses them."""
    style: str = ""
    """A style sheet."""
    script: str = ""
    """A script, which says `part(name, mount)`: `mount(element, data)` is called for each part of this name."""
    data: object = None
    """What the script draws, as values of JSON."""
    name: str = ""
    """The name under which the script asks for it; empty for a part without a script."""


class Ink(Struct, frozen=True):
    """What all parts of a page share: hues of services, and where traces are shown."""

    trace_url: str = ""
    links: Mapping[str, str] = {}
    """Where else something is known of traces, by their ids."""
    hues: Hues = field(default_factory=Hues)
    is_part: bool = False
    """Whether what is drawn is a part of a report with headings of its own."""


class Once:
    """Gives each value a number, the same for equal ones: data have it once."""

    def __init__(self) -> None:
        self.numbers: dict[object, int] = {}

    def __call__(self, value: object) -> int:
        """Give the number of a value, the next one for a new value."""
        return self.numbers.setdefault(value, len(self.numbers))


@cache
def resource(name: str) -> str:
    """Read a style sheet or a script that lies beside this module."""
    return (files("traceq.render.page") / name).read_text(encoding="utf-8")


def safe(text: str) -> str:
    """Make a text fit for markup, as content or within a quoted attribute."""
    return escape(printable(text))


_MEASURED = re.compile(r"(?<![\w.,])\d[\d.,]* (?:ns|µs|ms|s|m|h|d|%)(?!\w)")


def prose(text: str) -> str:
    """Make a text fit for markup in which lines are broken, but not between a number and its unit."""
    # No other blank than the usual one: a statement that is copied has to run.
    return _MEASURED.sub(r'<span class="whole">\g<0></span>', safe(text))


def anchor(text: str) -> str:
    """Give the name by which a heading is jumped to."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def hued(text: str, ink: Ink) -> str:
    """Write a service in its hue; of a call (`chat-service → mysql`) each of both in its own."""
    for arrow in (" → ", " ← "):
        if arrow in text:
            left, _, right = text.partition(arrow)
            return f'{hued(left, ink)}<span class="quiet">{arrow}</span>{hued(right, ink)}'
    head, name = (text[:2], text[2:]) if text.startswith("→ ") else ("", text)
    return f'{head}<span class="hue-{ink.hues.number(name)}">{safe(name)}</span>' if name else ""


def trace_html(trace_id: str, ink: Ink) -> str:
    """Write a trace id whole, as a link where the source has pages, and where else something is known of it."""
    shown = f'<span class="id">{safe(trace_id)}</span>'
    page = _link(shown, ink.trace_url.replace("{trace_id}", quote(trace_id, safe="")))
    return f"{page} {_link('link', ink.links[trace_id])}" if trace_id in ink.links else page


def _link(shown: str, url: str) -> str:
    # The address may come from anywhere: a link that runs a script is none.
    return f'<a href="{safe(url)}" rel="noreferrer">{shown}</a>' if url.lower().startswith(_WEB) else shown


def duration_html(duration_ns: int, *, is_change: bool = False) -> str:
    """Write a duration with its exact value beside it, and its unit where those of a column stand below each other."""
    number, _, unit = (format_signed if is_change else format_duration)(duration_ns).rpartition(" ")
    return f'<data value="{duration_ns}">{number} <span class="unit">{unit}</span></data>'


def joined(parts: Iterable[PagePart], wrap: Callable[[str], str] = str) -> PagePart:
    """Put the markup of parts without scripts together."""
    return PagePart(wrap("".join(part.html for part in parts)))
