"""The formats that only graphs are written in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.render.graphs import AWKWARD, meshed
from traceq.render.dot import render_dot
from traceq.render.html import render_html
from traceq.render.mermaid import render_mermaid
from traceq.render.svg import render_svg
from traceq.report import Graph

_SVG = "{http://www.w3.org/2000/svg}"
RENDERERS: dict[str, Callable[[Graph], str]] = {
    "mermaid": render_mermaid,
    "dot": render_dot,
    "svg": render_svg,
    "html": render_html,
}


@pytest.mark.parametrize("name", RENDERERS)
def test_awkward_names_are_written_as_kept(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"drawing_awkward_{name}", RENDERERS[name](AWKWARD))


@pytest.mark.parametrize("name", RENDERERS)
def test_nothing_is_written_for_no_graph_and_nothing_breaks(name: str) -> None:
    assert RENDERERS[name](Graph((), ())).endswith("\n")


@pytest.mark.parametrize("name", RENDERERS)
def test_what_a_terminal_would_obey_is_not_written(name: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", RENDERERS[name](AWKWARD))


def test_svg_holds_every_label_and_every_edge() -> None:
    root = ET.fromstring(render_svg(meshed(60)))  # noqa: S314 - we wrote it

    texts = {"".join(text.itertext()) for text in root.iter(f"{_SVG}text")}
    wanted = {node.label for node in meshed(60).nodes}
    wanted |= {edge.label for edge in meshed(60).edges if edge.source != edge.target}
    assert wanted <= texts
    assert {f"↻ {edge.label}" for edge in meshed(60).edges if edge.source == edge.target} <= texts


class _Page(HTMLParser):
    """Lists what a page would load, and its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.scripts: list[str] = []
        self._is_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attributes if name in {"src", "href", "data", "action"}]
        self._is_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._is_script = False

    def handle_data(self, data: str) -> None:
        if self._is_script:
            self.scripts.append(data)


def test_the_page_loads_nothing_and_its_data_is_whole() -> None:
    page = _Page(render_html(AWKWARD))

    data, _ = page.scripts
    assert page.loaded == []
    assert [node["label"] for node in json.loads(data)["nodes"]][2] == "</script><script>alert(1)</script>"
    assert json.loads(data)["edges"][0]["facts"] == [["calls", "1"], ["", "asynchronous"]]


def test_a_large_page_leaves_places_to_the_page() -> None:
    data, _ = _Page(render_html(meshed(200))).scripts

    assert {node["at"] for node in json.loads(data)["nodes"]} == {None}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_pages_script_is_javascript(tmp_path: Path) -> None:
    script = tmp_path / "page.js"
    script.write_text(_Page(render_html(AWKWARD)).scripts[1], encoding="utf-8")

    done = subprocess.run(["node", "--check", str(script)], capture_output=True, text=True, check=False)  # noqa: S607

    assert (done.returncode, done.stderr) == (0, "")
