from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.render.terminal import samples
from tests.render.terminal.drawing import printed
from traceq.render.terminal import Canvas
from traceq.report import Report

_SAMPLES: dict[str, Callable[[], Report]] = {
    "search": samples.search,
    "show": samples.show,
    "details": samples.details,
    "bottlenecks": samples.bottlenecks,
    "deps": samples.deps,
    "deps_tree": lambda: samples.deps("tree"),
    "fields": samples.fields,
}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", _SAMPLES)
def test_sample_is_drawn_as_kept(name: str, width: int, golden: Callable[[str, str], None]) -> None:
    golden(f"terminal_{name}_{width}", printed(_SAMPLES[name](), Canvas(width)))


@pytest.mark.parametrize("name", _SAMPLES)
def test_sample_in_ascii_is_drawn_as_kept(name: str, golden: Callable[[str, str], None]) -> None:
    drawn = printed(_SAMPLES[name](), Canvas(100, is_ascii=True))

    assert drawn.isascii()
    golden(f"terminal_{name}_ascii", drawn)


@pytest.mark.parametrize("name", samples.GRAPHS)
def test_graph_is_drawn_as_kept(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"terminal_graph_{name}", printed(samples.report(samples.GRAPHS[name]), Canvas(100)))
