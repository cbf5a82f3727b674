from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from traceq.cli.typed import TextPairs, parse_tags


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("error=true", (("error", "true"),)),
        ("error", (("error", "true"),)),
        ("error=true http.status_code=500", (("error", "true"), ("http.status_code", "500"))),
        (
            'error=true http.status_code=200 a="x y" b',
            (("error", "true"), ("http.status_code", "200"), ("a", "x y"), ("b", "true")),
        ),
        ("retried error=true", (("retried", "true"), ("error", "true"))),
        ('q="say \\"hi\\" = yes"', (("q", 'say "hi" = yes'),)),
        ("url=http://x/?a=b", (("url", "http://x/?a=b"),)),
        ("empty=", (("empty", ""),)),
        ('empty=""', (("empty", ""),)),
        ("a=two words", (("a", "two words"),)),
        ("a=two  words b=more words ", (("a", "two  words"), ("b", "more words"))),
        ("sql=SELECT x WHERE y >= 5", (("sql", "SELECT x WHERE y >= 5"),)),
        ('a="SELECT x WHERE y=5"', (("a", "SELECT x WHERE y=5"),)),
        ("a=~b", (("a", "~b"),)),
        ('a=say "hi"', (("a", 'say "hi"'),)),
    ],
)
def test_tags_are_read_as_jaeger_ui_reads_them_and_values_with_blanks(text: str, values: TextPairs) -> None:
    assert parse_tags(text) == (values, ())


@pytest.mark.parametrize(
    ("text", "values", "patterns"),
    [
        ("a~b.*", (), (("a", "b.*"),)),
        ("a~b=c", (), (("a", "b=c"),)),
        ("a~two words", (), (("a", "two words"),)),
        ('a~"x=\\d \\"y\\""', (), (("a", 'x=\\d "y"'),)),
        ("a~^b c=d e~f", (("c", "d"),), (("a", "^b"), ("e", "f"))),
    ],
)
def test_patterns_are_told_from_values(text: str, values: TextPairs, patterns: TextPairs) -> None:
    assert parse_tags(text) == (values, patterns)


@pytest.mark.parametrize("text", ["", "  ", 'a="open', "=b", 'a"b', "~b", "a~", 'a~""', 'a~"open'])
def test_what_is_not_a_tag_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        parse_tags(text)


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        ("a~", "the pattern of the tag 'a' is missing, write key~pattern"),
        ("a~(", "cannot read the pattern '(' of the tag 'a'"),
    ],
)
def test_a_wrong_pattern_is_a_usage_error(run: Run, tag: str, complaint: str) -> None:
    outcome = run("search", "--source", "fixtures/chat.json", "--tag", tag)

    assert (outcome.code, complaint in outcome.err, "hint: " in outcome.err) == (2, True, True)
