"""The formats that only graphs are written in."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from tests.render.graphs import AWKWARD, meshed
from traceq.render.drawings import render_dot, render_mermaid
from traceq.render.hues import Hues
from traceq.render.svg import render_svg
from traceq.report import Graph

_SVG = "{http://www.w3.org/2000/svg}"
RENDERERS: dict[str, Callable[[Graph], str]] = {
    "mermaid": render_mermaid,
    "dot": render_dot,
    "svg": lambda graph: render_svg(graph, Hues()),
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
    root = ET.fromstring(render_svg(meshed(60), Hues()))  # noqa: S314 - we wrote it

    texts = {"".join(text.itertext()) for text in root.iter(f"{_SVG}text")}
    wanted = {node.label for node in meshed(60).nodes}
    wanted |= {edge.label for edge in meshed(60).edges if edge.source != edge.target}
    assert wanted <= texts
    assert {f"↻ {edge.label}" for edge in meshed(60).edges if edge.source == edge.target} <= texts
