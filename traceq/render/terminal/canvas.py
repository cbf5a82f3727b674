"""What drawings are made with: a canvas and its pen, the characters it draws with, text measured in terminal cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from msgspec import Struct
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from traceq.render.hues import Hues
from traceq.report import NodeKind, Role
from traceq.untrusted import printable

NOTHING = "-"
"""Stands for no value."""


class BoxGlyphs(Struct, frozen=True):
    """The border of a box, clockwise from the top left corner."""

    top_left: str
    top: str
    top_right: str
    side: str
    bottom_right: str
    bottom_left: str


class Glyphs(Struct, frozen=True):
    """One set of characters."""

    ellipsis: str
    separator: str
    """Between the members of a sequence."""
    levels: str
    """A histogram's blocks, lowest first."""
    eighths: str
    """A bar's last cell by eighths, the full one at the end; a set of one has whole cells only."""
    strokes: Mapping[str, str]
    """A waterfall's cell by its two halves: `0` nothing, `1` off the critical path, `2` on it, `3` and `4` the same
    of asynchronous spans."""
    tee: str
    corner: str
    async_tee: str
    async_corner: str
    pipe: str
    skipped: str
    """In front of the number of levels of a tree that are not drawn."""
    points_left: str
    points_right: str
    points_up: str
    flag: str
    """Before the names of flagged rows."""
    wires: str
    """A wire's cell by the sides it leaves: 1 north, 2 east, 4 south, 8 west."""
    async_across: str
    async_down: str
    head_right: str
    head_left: str
    loop: str
    boxes: Mapping[NodeKind, BoxGlyphs]


def _strokes(cells: str) -> dict[str, str]:
    """Name every pair of halves; `cells` are the nine of blocking spans, by left half and then right half."""
    pairs = {f"{left}{right}": cells[3 * left + right] for left in range(3) for right in range(3)}
    # Dashes have no halves: a half is drawn as the whole.
    return (
        pairs | dict.fromkeys(("03", "30", "33"), cells[9]) | dict.fromkeys(("04", "40", "44", "34", "43"), cells[10])
    )


UNICODE = Glyphs(
    ellipsis="…",
    separator=" · ",
    levels="▁▂▃▄▅▆▇█",
    eighths="▏▎▍▌▋▊▉█",
    strokes=_strokes(" ╶╺╴─╼╸╾━┄┅"),
    tee="├─",
    corner="└─",
    async_tee="├┄",
    async_corner="└┄",
    pipe="│",
    skipped="⋯",
    points_left="← ",
    points_right=" →",
    points_up="↑ ",
    flag="▶ ",
    wires=" │─└││┌├─┘─┴┐┤┬┼",
    async_across="┄",
    async_down="┆",
    head_right="▶",
    head_left="◀",
    loop="↻ ",
    boxes={
        "service": BoxGlyphs("┌", "─", "┐", "│", "┘", "└"),
        "database": BoxGlyphs("╭", "─", "╮", "│", "╯", "╰"),
        "messaging": BoxGlyphs("╔", "═", "╗", "║", "╝", "╚"),
        "external": BoxGlyphs("┌", "╌", "┐", "╎", "┘", "└"),
    },
)
ASCII = Glyphs(
    ellipsis="...",
    separator=", ",
    levels=".:-=+*#@",
    eighths="#",
    strokes=_strokes(" -=--====.:"),
    tee="|-",
    corner="`-",
    async_tee="|.",
    async_corner="`.",
    pipe="|",
    skipped="..",
    points_left="<- ",
    points_right=" ->",
    points_up="^ ",
    flag="> ",
    wires=" |-+||++-+-+++++",
    async_across=".",
    async_down=":",
    head_right=">",
    head_left="<",
    loop="self ",
    boxes={
        "service": BoxGlyphs("+", "-", "+", "|", "+", "+"),
        "database": BoxGlyphs(".", "-", ".", "|", "'", "'"),
        "messaging": BoxGlyphs("#", "=", "#", "#", "#", "#"),
        "external": BoxGlyphs("+", ".", "+", ":", "+", "+"),
    },
)

_ASCII = str.maketrans({"µ": "u", "μ": "u", "·": "-", "±": "", "×": "x", "…": "...", "←": "<-", "→": "->", "’": "'"})  # noqa: RUF001 - that is the point


def to_ascii(text: str) -> str:
    """Write text in ASCII: our own signs by their stand-ins, everything else as an escape."""
    return text if text.isascii() else text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


Strip = list[Segment]
"""One drawn line, without its newline."""

BOLD = Style(bold=True)
DIM = Style(dim=True)
RED = Style(color="red")
HUES = tuple(Style(color=f"color({number})") for number in (38, 71, 133, 172, 69, 37, 170, 107, 141, 136, 73, 179))
"""The hues of services, of the 256 colours: they read well on dark and on light, no reds: red is for errors."""
_ROLES: dict[Role, Style | None] = {"plain": None, "strong": BOLD, "dim": DIM, "error": RED, "hint": DIM}


_ARROW = re.compile(r"((?:^| )(?:→|←|->|<-) )")


class Canvas(Struct, frozen=True):
    """What the terminal can show; colours are the business of the console that prints."""

    width: int
    is_ascii: bool = False
    """Whether only ASCII characters may be written."""
    has_links: bool = False
    """Whether trace ids become links (OSC 8)."""


class Pen(Struct, frozen=True):
    """A canvas and what all of one drawing shares: the glyphs it uses and the hues of services."""

    canvas: Canvas
    trace_url: str
    hues: Hues

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
        """Give the colour of a service."""
        return HUES[self.hues.number(service)]

    def named(self, text: str, name: str) -> Strip:
        """Write who calls whom (`chat → mysql`), each in its hue; else a name, as a whole in the hue it has.

        Args:
            text: The name as it is shown, fit to be written and shortened.
            name: The name.
        """
        ends = _ARROW.split(text, maxsplit=1)
        names = _ARROW.split(name, maxsplit=1)
        if len(ends) < len(names) or len(names) == 1:
            return [Segment(text, self.hue(name) if name else None)]
        (caller, arrow, callee), (caller_name, _, callee_name) = ends, names
        first = [Segment(caller, self.hue(caller_name))] if caller_name else []
        return [*first, Segment(arrow, DIM), Segment(callee, self.hue(callee_name))]

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


_WORD = re.compile(r"\S*\d (?:ns|µs|us|ms|s|m|h|d|%)(?!\w)\S*|\S+")
"""A word; a number and its unit are one, so that no line ends between `1.21` and `s`."""

_PHRASE = re.compile(r"\S+(?: \S+)*")

# What drawings are made of takes a cell a character; asking rich took half the time of a large trace.
_is_ours = re.compile(r"[ -~µ·⋯…─-▟]*").fullmatch

_JOINER = "\u200d"


def width_of(text: str) -> int:
    """Measure how many cells a text takes."""
    return len(text) if text.isascii() or _is_ours(text) else cell_len(text)


def pad(text: str, width: int, *, is_right: bool = False) -> str:
    """Fill a text with blanks up to a width, on the left of it where it is aligned right."""
    blanks = " " * (width - width_of(text))
    return blanks + text if is_right else text + blanks


def cut(text: str, width: int) -> str:
    """Keep the beginning that fits."""
    if text.isascii():
        return text[: max(width, 0)]
    used = 0
    for position, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            # A joiner without its second half would join the ellipsis.
            return text[:position].rstrip(_JOINER)
    return text


def cut_front(text: str, width: int) -> str:
    """Keep the end that fits."""
    used = 0
    for position in range(len(text) - 1, -1, -1):
        used += cell_len(text[position])
        if used > width:
            return text[position + 1 :].lstrip(_JOINER)
    return text


_SEPARATORS = (" > ", " → ", " -> ", " ← ", " <- ", "/")
"""What stands before the last piece of a chain, of a call, or of a path: it tells most."""


def shorten(text: str, width: int, ellipsis: str) -> str:
    """Shorten a text to a width: at the end, but in the middle of chains and paths, whose last piece tells most."""
    if width_of(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 1:
        return cut(text, width)
    separator = next((each for each in _SEPARATORS if each in text), "")
    # Two halves of less than six cells tell nothing.
    if room < 12 or not separator:
        return cut(text, room) + ellipsis
    tail = text[text.rindex(separator) :]
    if width_of(tail) > room * (2 if separator == "/" else 3) // 4:
        tail = cut_front(text, room * 2 // 5)
    return cut(text, room - width_of(tail)) + ellipsis + tail


def _words(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Find what a line may not break: words, and short phrases that wide gaps set apart, like cells of a table."""
    for phrase in _PHRASE.finditer(text):
        if width_of(phrase.group()) <= width // 3:
            yield phrase.span()
        else:
            yield from (word.span() for word in _WORD.finditer(text, *phrase.span()))


def wrap(text: str, width: int, hang: int = 0) -> list[tuple[int, int]]:
    """Break a text into lines between words, as pairs of positions; a word longer than a line is broken anywhere.

    Args:
        text: What to break. Blanks at its start stay, blanks at a break go.
        width: Cells of a line.
        hang: Cells by which all lines but the first are shorter.
    """
    lines: list[tuple[int, int]] = []
    start = end = used = 0
    limit = width
    for word_start, word_end in _words(text, width):
        gap = width_of(text[end:word_start])
        if end == start and gap >= limit - 1:
            # An indentation that leaves no room, not even for a wide character, is none.
            start, gap = word_start, 0
        if end > start and used + gap + width_of(text[word_start:word_end]) > limit:
            lines.append((start, end))
            limit = max(width - hang, 1)
            start, used, gap = word_start, 0, 0
        rest = word_start
        while gap + width_of(text[rest:word_end]) > limit:
            rest += max(len(cut(text[rest:word_end], limit - gap)), 1)
            lines.append((start, rest))
            limit = max(width - hang, 1)
            start, used, gap = rest, 0, 0
        used += gap + width_of(text[rest:word_end])
        end = word_end
    return [*lines, (start, end)] if end > start or not lines else lines


def wrapped(text: str, width: int, hang: int = 0) -> list[str]:
    """Break a text into lines, all but the first further in by so many blanks, or by what leaves room for text."""
    hang = min(hang, width // 3)
    lines = wrap(text, width, hang)
    return [" " * (hang if number else 0) + text[start:end] for number, (start, end) in enumerate(lines)]


def aligned_durations(texts: Sequence[str]) -> list[str]:
    """Fill durations up so that, aligned right, their units begin in one column."""
    units = [text.rpartition(" ")[2] if text != NOTHING else "" for text in texts]
    widest = max(map(len, units), default=0)
    return [text + " " * (widest - len(unit)) if unit else text for text, unit in zip(texts, units, strict=True)]
