"""Texts with blanks, as programs put values into statements and paths."""

from __future__ import annotations

import re
from random import Random

_BLANK = re.compile(r"\{(\w+)\}")


def fill(text: str, known: dict[str, str], random: Random) -> str:
    """Fill in the blanks of a text.

    `{id}`, `{word}` and `{list}` are a number, a word and some numbers, different every time. Any other name is a
    number too, the same in the whole request.

    Args:
        text: What has blanks, or none.
        known: The numbers of this request by name; new ones are added.
        random: Draws them.
    """

    def drawn(blank: re.Match[str]) -> str:
        match blank[1]:
            case "id":
                return str(random.randrange(1_000_000))
            case "word":
                return "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=9))
            case "list":
                return ", ".join(str(random.randrange(1_000_000)) for _ in range(random.randint(2, 20)))
            case name:
                return known.setdefault(name, str(random.randrange(1_000_000)))

    return _BLANK.sub(drawn, text)
