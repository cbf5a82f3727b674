"""Which of twelve hues a service has: one for each name, the same in the terminal, on pages and in pictures."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

HUE_COUNT = 12


@dataclass(frozen=True, slots=True)
class Hues:
    """The hues of one drawing; it remembers those that are taken."""

    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, service: str) -> int:
        """Give a service its hue: by its name, so that it is the same in the next run, or the next that is free."""
        if service not in self._numbers:
            # From the name, and not by Python's hash: that one differs from run to run.
            wanted = zlib.crc32(service.encode("utf-8", "replace"))
            # Beyond the palette hues are shared, and there is nothing to look for.
            steps = range(HUE_COUNT) if len(self._numbers) < HUE_COUNT else range(1)
            hues = [(wanted + step) % HUE_COUNT for step in steps]
            taken = set(self._numbers.values())
            self._numbers[service] = next((hue for hue in hues if hue not in taken), hues[0])
        return self._numbers[service]
