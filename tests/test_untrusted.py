from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.untrusted import printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET /users/{id}", "GET /users/{id}"),
        ("größe 大きさ 👩\u200d🚀", "größe 大きさ 👩\u200d🚀"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b2J", "\\x9b2J"),
        ("\U000e0041", "\\U000e0041"),
        ("[red]not markup[/red]", "[red]not markup[/red]"),
    ],
)
def test_what_moves_the_cursor_or_hides_is_shown_as_an_escape(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text())
def test_nothing_unprintable_is_left_and_nothing_changes_twice(text: str) -> None:
    shown = printable(text)

    assert all(
        character.isprintable() or character in "\u200d\u00a0\u3000 " or character.isspace() for character in shown
    )
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown)
    assert printable(shown) == shown
