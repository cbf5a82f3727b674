from __future__ import annotations

import pytest

from tests.render.terminal.drawing import coloured, lines
from tests.render.terminal.samples import SLOW, report
from traceq.render.terminal import Canvas
from traceq.report import Fields, Histogram, Line, Part


def _line(text: str) -> Line:
    return Line((Part(text),))


def test_a_line_wraps_between_words_and_hangs() -> None:
    assert lines(_line(" ! one two three four"), width=13) == [" ! one two", "   three four"]


def test_a_number_keeps_its_unit_and_a_phrase_its_words() -> None:
    assert lines(_line("waits for up to 1.21 s, then"), width=20) == ["waits for up to", "  1.21 s, then"]
    assert lines(_line("a title of some length   14 spans   3 services"), width=44) == [
        "a title of some length   14 spans",
        "  3 services",
    ]


def test_an_empty_line_is_blank() -> None:
    assert lines(Line()) == [""]


def test_roles_look_like_themselves_across_a_wrap() -> None:
    line = Line((Part("an "), Part("error of two lines", "error"), Part(" after")))

    assert coloured(report(line), Canvas(12)) == "an \x1b[31merror of\x1b[0m\n  \x1b[31mtwo lines\x1b[0m\n  after\n"


def test_fields_wrap_within_their_column() -> None:
    fields = Fields((("id", SLOW), ("text", "one two three four five six seven"), ("none", "")))

    assert lines(fields, width=42) == [
        f" id    {SLOW}",
        " text  one two three four five six seven",
        " none",
    ]
    assert lines(fields, width=40)[1:3] == [" text  one two three four five six seven", " none"]


def test_a_long_name_gets_a_line_of_its_own_and_leaves_the_column_as_it_is() -> None:
    assert lines(Fields((("http.request.method.original", "GET"), ("url", "/"))), width=40) == [
        " http.request.method.original",
        "      GET",
        " url  /",
    ]


def test_a_value_of_several_lines_keeps_them_and_how_far_in_they_are() -> None:
    fields = Fields((("stack", "Traceback\n  File with a path that is long\nError"), ("url", "/")))

    assert lines(fields, width=24) == [
        " stack",
        "   Traceback",
        "     File with a path",
        "       that is long",
        "   Error",
        " url  /",
    ]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((1, 0, 8, 1_000, 0), " 1 ns ▁ ▁█  1.00 µs"),
        ((0, 0), " 1 ns    1.00 µs"),
        ((), " 1 ns 1.00 µs"),
        ((1, 2, 3, 4, 5, 6, 7, 8), " 1 ns ▁▂▃▄▅▆▇█ 1.00 µs"),
    ],
    ids=["a bucket never vanishes", "all empty", "none", "every height"],
)
def test_histogram(counts: tuple[int, ...], expected: str) -> None:
    assert lines(Histogram(1, 1_000, counts)) == [expected]


def test_buckets_are_merged_where_they_do_not_fit() -> None:
    assert lines(Histogram(1, 1_000, (1, 1, 2, 2)), width=17) == [" 1 ns ▄█ 1.00 µs"]
    assert len(lines(Histogram(1, 1_000, (1,) * 500), width=40)[0]) <= 40
