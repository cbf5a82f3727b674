"""Pages, read as a browser reads them; `test_browser` opens them in one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import get_args

import pytest

from tests.render.graphs import AWKWARD, meshed
from tests.render.reports import HOSTILE, VALUES, blocks_with, imprint_with, report_with
from traceq.render import Imprint
from traceq.render.page import render_page
from traceq.report import Block, Fields, Graph, Line, Part, Report, Table, Unit
from traceq.untrusted import printable

_VOID = {"meta", "input", "br", "link", "img"}


@dataclass
class Page(HTMLParser):
    """A page's elements and texts, as a parser finds them."""

    markup: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    data: list[object] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        where = self.open[-1] if self.open else ""
        if where == "style":
            self.styles.append(data)
        elif where != "script":
            self.texts.append(data)
        elif self.tags[-1][1].get("type") == "application/json":
            self.data.append(json.loads(data))
        else:
            self.scripts.append(data)

    @property
    def policy(self) -> str:
        """What the page forbids."""
        named = [given for tag, given in self.tags if given.get("http-equiv") == "Content-Security-Policy"]
        return named[0]["content"]


def page_of(*blocks: Block, graph: Graph | None = None) -> Page:
    return Page(render_page(Report("every", {}, Table((), ()), blocks, graph=graph), Imprint("title")))


def test_a_page_loads_nothing_and_allows_its_own_styles_and_scripts_alone() -> None:
    page = Page(render_page(report_with("name"), imprint_with("name")))

    allowed = set(re.findall(r"'sha256-([^']+)'", page.policy))
    written = {
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (*page.scripts, *page.styles)
    }
    assert page.policy.startswith("default-src 'none'; ")
    assert "unsafe" not in page.policy
    assert allowed == written
    assert {name for _, given in page.tags for name in given} & {"src", "action", "data", "style", "srcset"} == set()
    assert {given["href"] for _, given in page.tags if "href" in given} == {
        "#name",
        "http://localhost:16686/trace/name",
    }
    assert "://" not in "".join(page.styles)
    assert set(re.findall(r"\w+://[^\s\"'`]*", "".join(page.scripts))) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_and_nothing_else(name: str) -> None:
    plain = Page(render_page(report_with("name"), imprint_with("name")))
    page = Page(render_page(report_with(name), imprint_with(name)))

    def shape(page: Page) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(given)) for tag, given in page.tags]

    assert page.open == []
    assert shape(page) == shape(plain)
    assert page.scripts == plain.scripts
    assert printable(name) in "".join(page.texts)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", page.markup)


@pytest.mark.parametrize("form", get_args(Block), ids=lambda form: form.__name__)
def test_every_form_of_block_is_shown(form: type) -> None:
    blocks = [block for block in blocks_with("some name") if isinstance(block, form)]
    page = page_of(*blocks)

    assert blocks
    assert page_of().texts != page.texts


def test_numbers_stand_with_their_exact_values() -> None:
    numbers = {unit: value for unit, value in VALUES.items() if unit not in {Unit.BAR, Unit.OBJECT}}
    page = page_of(*(block for block in blocks_with("name") if isinstance(block, Table)))

    assert [given["value"] for tag, given in page.tags if tag == "data"] == [
        str(numbers[unit]) for unit in Unit if unit in numbers
    ]


@pytest.mark.parametrize("url", ["javascript:alert({trace_id})", "data:text/html,{trace_id}", ""])
def test_an_address_that_is_none_of_the_web_is_no_link(url: str) -> None:
    report = Report("every", {}, Table((), ()), blocks_with("0af7"), trace_url=url)

    tags = Page(render_page(report, Imprint("title"))).tags
    assert {given["href"] for _, given in tags if "href" in given} == {"#0af7"}


def test_a_line_that_is_strong_as_a_whole_is_a_heading() -> None:
    page = page_of(Line((Part("Where", "strong"),)), Line((Part("a ", "strong"), Part("b"))))

    assert [tag for tag, _ in page.tags if tag in {"h2", "p"}][1:] == ["h2", "p"]


def test_a_graph_is_drawn_though_the_report_shows_it_as_a_table() -> None:
    assert [given["data-part"] for _, given in page_of(graph=AWKWARD).tags if "data-part" in given] == ["graph"]


def test_the_data_of_a_graph_is_whole() -> None:
    (data,) = page_of(AWKWARD).data

    assert isinstance(data, dict)
    assert [node["label"] for node in data["nodes"]][2] == "</script><script>alert(1)</script>"
    assert data["edges"][0]["facts"] == [["calls", "1"], ["", "asynchronous"]]


def test_a_large_graph_leaves_places_to_the_page() -> None:
    (data,) = page_of(meshed(200)).data

    assert isinstance(data, dict)
    assert {node["at"] for node in data["nodes"]} == {None}


def test_no_line_ends_between_a_number_and_its_unit_and_copied_text_has_plain_blanks() -> None:
    fields = Fields((("why", "took 1.17 s, in 5 d of <b>; 12 messages; 3 %"),))

    page = render_page(Report("x", {}, Table((), ()), (fields,)), Imprint("x"))
    whole = '<span class="whole">{}</span>'
    assert f"<dd>took {whole.format('1.17 s')}, in {whole.format('5 d')} of &lt;b&gt;; 12 messages; " in page
    assert f"; {whole.format('3 %')}</dd>" in page
