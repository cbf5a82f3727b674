"""Patterns for storages that read Lucene's expressions: a translation may match more, never less."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.sources.narrowing import lucene_of


@pytest.mark.parametrize(
    ("pattern", "lucene"),
    [
        ("timeout", ".*(timeout).*"),
        ("^a.c$", "(a.c)\n?"),
        (r"5\d\d", ".*(5..).*"),
        (r"c\+\+", r".*(c\+\+).*"),
        ("GET|POST", ".*(GET|POST).*"),
        ("^(GET|POST)", "((GET|POST)).*"),
        ("(?:a|b)+?c", ".*((a|b)+c).*"),
        ("[a-z]+@[^0-9]", r".*([a-z]+\@[^0-9]).*"),
        ("a{2,}?b", ".*(a{2,}b).*"),
        ("<id>#~&-", r".*(\<id\>\#\~\&\-).*"),
        (r"costs \$5", r".*(costs \$5).*"),
        ("Grüße", ".*(Grüße).*"),
    ],
)
def test_pieces_that_mean_the_same_are_translated(pattern: str, lucene: str) -> None:
    assert lucene_of(pattern) == lucene


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)a",
        r"\bword",
        "^a|b",
        "a|b$",
        "x||y",
        "(|a)",
        "()",
        "^",
        "$",
        r"(a)\1",
        "(?=a)",
        "a^b",
        "[]a]",
        r"[\d]",
        "{,3}",
        r"\n",
    ],
)
def test_others_are_not(pattern: str) -> None:
    assert lucene_of(pattern) is None


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "5",
        ".",
        r"\d",
        r"\w",
        r"\.",
        r"\+",
        "[a-b]",
        "[^a]",
        "(a|b)",
        "(?:5a)",
        "a*",
        "b+?",
        "5?",
        "a{1,2}",
        "-",
        " ",
    ]
)
PATTERNS = st.tuples(st.sampled_from(["", "^"]), st.lists(PIECES, min_size=1, max_size=5), st.sampled_from(["", "$"]))


@given(PATTERNS, st.text("ab5.+- \n", max_size=6))
def test_a_translation_matches_whatever_the_pattern_does(pieces: tuple[str, list[str], str], value: str) -> None:
    pattern = pieces[0] + "".join(pieces[1]) + pieces[2]
    lucene = lucene_of(pattern)

    assert lucene is not None
    # For these pieces, Lucene's expressions are Python's, with a dot for every character.
    if re.search(pattern, value):
        assert re.fullmatch(lucene, value, re.DOTALL)
