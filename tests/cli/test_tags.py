from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from traceq.cli.typed import TextPairs, parse_condition, parse_tags
from traceq.where import parse_where


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
        ('"user id"=5 "a\\"b"=c "d e"', (("user id", "5"), ('a"b', 'c "d e"'))),
        ('"a b"', (("a b", "true"),)),
        ("a = two words", (("a", "two words"),)),
        ('a =b c = "d e"', (("a", 'b c = "d e"'),)),
        ("a=this and", (("a", "this and"),)),
        ('a="this and" b=c', (("a", "this and"), ("b", "c"))),
        ("user_exists", (("user_exists", "true"),)),
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
        ("a ~ ^b c=d", (("c", "d"),), (("a", "^b"),)),
        ('a~"x=\\d \\"y\\""', (), (("a", 'x=\\d "y"'),)),
        ("a~^b c=d e~f", (("c", "d"),), (("a", "^b"), ("e", "f"))),
    ],
)
def test_patterns_are_told_from_values(text: str, values: TextPairs, patterns: TextPairs) -> None:
    assert parse_tags(text) == (values, patterns)


@pytest.mark.parametrize("text", ["", "  ", 'a="open', "=b", 'a"b', "~b", "a~", 'a~""', 'a~"open', ">5", "(a", '""=b'])
def test_what_is_not_a_tag_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        parse_tags(text)


@pytest.mark.parametrize("text", ["a=1 and b=2", "a=1 or a=2", "retried AND b=2", "a=1 && b=2", "a~b || c=d"])
def test_what_joins_conditions_is_no_part_of_a_value_between_tags(text: str) -> None:
    with pytest.raises(ValueError, match="stands between tags: --where takes what is joined by it"):
        parse_tags(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a!=b", "a > 5", "a exists", "not a=b", "a in (5, 50)", "a NOT in(5)", '"user id" exists', '"user id">=5'),
        "some event (name = retry)",
    ],
)
def test_a_tag_may_be_a_condition(text: str) -> None:
    assert parse_condition(text) == parse_where(text)


@pytest.mark.parametrize("text", ["a=b", "a~b", "a=b > 5", "a in", "in", "exists", "user_exists", "a=x in (y)"])
def test_tags_with_values_and_patterns_are_no_conditions(text: str) -> None:
    assert parse_condition(text) is None


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
