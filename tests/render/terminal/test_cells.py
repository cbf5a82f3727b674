from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from traceq.render.terminal.canvas import cut, pad, shorten, width_of, wrap, wrapped


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("mongodb.insert", 14, "mongodb.insert"),
        ("mongodb.insert", 10, "mongodb.i…"),
        ("POST /rooms/{room_id}/messages", 24, "POST /rooms/{r…/messages"),
        ("GET /a/" + "b" * 40, 21, "GET /a/bbbbb…bbbbbbbb"),
        ("GET /a/b/c/d/e", 8, "GET /a/…"),
        ("部屋を作成する", 8, "部屋を…"),
        ("abc", 1, "a"),
        ("abc", 0, ""),
    ],
)
def test_shorten(text: str, width: int, expected: str) -> None:
    assert shorten(text, width, "…") == expected


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(0, 30))
def test_shortened_text_fits(text: str, width: int) -> None:
    assert width_of(shorten(text, width, "…")) <= width
    assert width_of(cut(text, width)) <= width


@given(st.text("ab c·…─━µ部👩\u0301"))
def test_width_is_what_rich_measures(text: str) -> None:
    assert width_of(text) == cell_len(text)


def test_pad_measures_wide_characters() -> None:
    assert pad("部屋", 6) == "部屋  "
    assert pad("部屋", 6, is_right=True) == "  部屋"
    assert pad("longer", 3) == "longer"


@given(st.text("ab 1s部/."), st.integers(2, 20), st.integers(0, 3))
def test_wrapping_loses_no_word_and_fits(text: str, width: int, hang: int) -> None:
    pieces = [text[start:end] for start, end in wrap(text, width, min(hang, width - 2))]

    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(width_of(piece) <= width for piece in pieces)


def test_words_longer_than_a_line_are_broken() -> None:
    assert wrapped("ab cdefghij k", 4) == ["ab", "cdef", "ghij", "k"]
    assert wrapped("", 4) == [""]
