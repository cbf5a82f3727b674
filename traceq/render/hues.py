"""Which of twelve hues a service has: one for each name, the same in the terminal, on pages and in pictures."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

COLOURS = (
    *(("#00789c", "#35b6dd"), ("#3a8a3a", "#6cbd6c"), ("#9a3f9a", "#cf7fcf"), ("#a86400", "#e39a3a")),
    *(("#3b62d9", "#8aa4ff"), ("#00807c", "#35bdb8"), ("#b53bb0", "#e07fdd"), ("#5d7f2e", "#9cc568")),
    *(("#7b4fd0", "#b79bff"), ("#857000", "#c6b03c"), ("#3b8080", "#78bcbc"), ("#96702a", "#dfb96f")),
)
"""The hues where all colours can be had: on white, where the terminal's own are too light to be read, and on black."""
HUE_COUNT = len(COLOURS)


_CALLEE = re.compile(r"(?:^|.* )(?:→|←) (.+)", re.DOTALL)


def _hue_name(text: str) -> str:
    """Give the name that decides about a hue: `mongodb` for `→ mongodb`, `chat → mongodb` and `mongodb messages`.

    Peers are named by their systems in some views and with what they hold in others.
    """
    callee = _CALLEE.fullmatch(text)
    name = callee[1] if callee else text
    return name.partition(" ")[0] or name


@dataclass(frozen=True, slots=True)
class Hues:
    """The hues of one drawing; it remembers those that are taken."""

    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, service: str) -> int:
        """Give a service its hue: by its name, so that it is the same in the next run, or the next that is free."""
        service = _hue_name(service)
        if service not in self._numbers:
            # From the name, and not by Python's hash: that one differs from run to run.
            wanted = zlib.crc32(service.encode("utf-8", "replace"))
            # Beyond the palette hues are shared, and there is nothing to look for.
            steps = range(HUE_COUNT) if len(self._numbers) < HUE_COUNT else range(1)
            hues = [(wanted + step) % HUE_COUNT for step in steps]
            taken = set(self._numbers.values())
            self._numbers[service] = next((hue for hue in hues if hue not in taken), hues[0])
        return self._numbers[service]
