"""Markdown, read as pages read it."""

from __future__ import annotations

from typing import get_args

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.render.reports import HOSTILE, blocks_with, imprint_with, report_with
from traceq.render import Imprint
from traceq.render.markdown import render_markdown
from traceq.report import Block, Column, Line, Part, Report, Table, Unit
from traceq.untrusted import printable


def tokens_of(text: str) -> list[Token]:
    """Parse GitHub's dialect, HTML included."""
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found += token.children or [token]
        found += [token] if token.children else []
    return found


def markdown_of(*blocks: Block, trace_url: str = "") -> str:
    return render_markdown(Report("every", {}, Table((), ()), blocks, trace_url=trace_url), Imprint("title"))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_and_nothing_else(name: str) -> None:
    plain = tokens_of(render_markdown(report_with("name"), imprint_with("name")))
    tokens = tokens_of(render_markdown(report_with(name), imprint_with(name)))

    # A drawing is a fence whatever is drawn, and a text may be several runs of it.
    def shape(tokens: list[Token]) -> list[str]:
        return [token.type for token in tokens if token.type not in {"text", "text_special"}]

    assert shape(tokens) == shape(plain)
    assert [token.info for token in tokens if token.type == "fence"] == [
        *("text", "text", "text", "mermaid", "text", "text")
    ]
    assert {str(token.attrs["href"]).partition("/trace/")[0] for token in tokens if token.type == "link_open"} == {
        "http://localhost:16686"
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_as_it_is(name: str) -> None:
    table = Table((Column[object]("name", "name"),), ((name,),))
    texts = [token.children or [] for token in tokens_of(markdown_of(table)) if token.type == "inline"]

    shown = "".join(token.content for token in texts[-1]).replace("\u2060", "")
    assert shown == printable(name).strip()


@pytest.mark.parametrize("form", get_args(Block), ids=lambda form: form.__name__)
def test_every_form_of_block_is_written(form: type) -> None:
    blocks = [block for block in blocks_with("some name") if isinstance(block, form)]

    assert blocks
    assert markdown_of(*blocks) != markdown_of()


@pytest.mark.parametrize("text", ["- a", "+ a", "1. a", "2) a", "# a", "=== a", "    a"])
def test_a_line_is_a_paragraph(text: str) -> None:
    types = [token.type for token in tokens_of(markdown_of(Line((Part(text),))))]

    assert types[-2:] == ["inline", "paragraph_close"] or "paragraph_open" in types[-4:]
    assert not {"bullet_list_open", "ordered_list_open", "code_block"} & set(types)


def test_a_command_is_to_be_copied() -> None:
    command = "next: traceq show 'a `b` ``c``'"
    tokens = tokens_of(markdown_of(Line((Part(command, "hint"),), wraps=False)))

    assert [token.content for token in tokens if token.type == "code_inline"] == [command]


@pytest.mark.parametrize(
    ("url", "links"),
    [("http://ui/trace/{trace_id}", ["http://ui/trace/0af7"]), ("javascript:x({trace_id})", []), ("", [])],
)
def test_trace_ids_are_links_where_the_source_has_pages(url: str, links: list[str]) -> None:
    table = Table((Column[object]("trace_id", "trace", Unit.TRACE_ID),), (("0af7",),))
    tokens = tokens_of(markdown_of(table, trace_url=url))

    assert [token.attrs["href"] for token in tokens if token.type == "link_open"] == links
