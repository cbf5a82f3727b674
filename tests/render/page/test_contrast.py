"""Texts on pages can be read in both themes: contrasts by WCAG 2.2, success criterion 1.4.3."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from traceq.render.hues import HUE_COUNT

_LEAST = 4.5
Colour = tuple[float, ...]


def colours(theme: str) -> dict[str, Colour]:
    """Read the colours of a theme; the dark one has those of the light one that it does not replace."""
    light, dark = (files("traceq.render.page") / "page.css").read_text(encoding="utf-8").split("@media screen", 1)
    read = light if theme == "light" else light + dark.split("* {", 1)[0]
    return {name: rgb(value) for name, value in re.findall(r"--([a-z0-9-]+): (#[0-9a-f]+);", read)}


def rgb(text: str) -> Colour:
    digits = text[1:] if len(text) == len("#123456") else "".join(2 * digit for digit in text[1:])
    return tuple(int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))


def luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Colour, other: Colour) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mixed(one: Colour, other: Colour, ratio: float) -> Colour:
    return tuple(left * ratio + right * (1 - ratio) for left, right in zip(one, other, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_names_of_services_and_words_with_a_meaning_are_legible_on_every_ground(theme: str) -> None:
    found = colours(theme)
    texts = ["ink", "quiet", "error", "good", "fair", "link", *(f"hue-{number}" for number in range(HUE_COUNT))]

    too_faint = {
        (text, ground): round(contrast(found[text], found[ground]), 2)
        for text in texts
        for ground in ("ground", "panel", "mark")
        if contrast(found[text], found[ground]) < _LEAST
    }
    assert too_faint == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_are_legible_on_frames_of_flame_graphs_and_boxes_of_graphs(theme: str) -> None:
    found, sheet = colours(theme), (files("traceq.render.page") / "flame.css").read_text(encoding="utf-8")
    shares = [int(share) / 100 for share in re.findall(r"currentColor (\d+)%", sheet)]
    assert len(shares) == 2
    grounds = {
        f"hue-{number} at {share}": mixed(found[f"hue-{number}"], found["ground"], share)
        for number in range(HUE_COUNT)
        for share in shares
    }
    # In a comparison a frame is as deep as its difference is great, at most this.
    grounds |= {name: found[name] for name in ("longer", "shorter", "mark")}
    grounds |= {f"{kind}-fill": found[f"{kind}-fill"] for kind in ("service", "database", "messaging", "external")}

    too_faint = {name: round(contrast(found["ink"], ground), 2) for name, ground in grounds.items()}
    assert {name: value for name, value in too_faint.items() if value < _LEAST} == {}
