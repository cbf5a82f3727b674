"""The characters that drawings are made of, and their ASCII stand-ins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from traceq.report import NodeKind


@dataclass(frozen=True, slots=True)
class BoxGlyphs:
    """The border of a box, clockwise from the top left corner."""

    top_left: str
    top: str
    top_right: str
    side: str
    bottom_right: str
    bottom_left: str


@dataclass(frozen=True, slots=True)
class Glyphs:
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

_STAND_INS = str.maketrans({"µ": "u", "μ": "u", "·": "-", "×": "x", "…": "...", "←": "<-", "→": "->", "’": "'"})  # noqa: RUF001 - that is the point


def to_ascii(text: str) -> str:
    """Write text in ASCII: our own signs by their stand-ins, everything else as an escape."""
    return text if text.isascii() else text.translate(_STAND_INS).encode("ascii", "backslashreplace").decode("ascii")
