"""One service has one hue in all of an answer, whoever draws it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from traceq.render import Imprint
from traceq.render.hues import HUE_COUNT, Hues, hues_of
from traceq.render.page import render_page
from traceq.render.svg import render_svg
from traceq.render.terminal import Canvas, draw
from traceq.render.terminal.canvas import HUES
from traceq.report import (
    Block,
    Column,
    Flame,
    FlameRow,
    Graph,
    GraphNode,
    Line,
    Part,
    Report,
    Table,
    Timeline,
    TimelineRow,
    Unit,
)

_NAMES = st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True), min_size=2, max_size=HUE_COUNT, unique=True)


def _blocks(names: Sequence[str]) -> list[Block]:
    first, last = names[0], names[-1]
    spans = [TimelineRow(1, False, "call", f"→ {name}", 0, 10) for name in names[1:]]  # noqa: FBT003
    leaves = [FlameRow(1, "call", first, 10, 10, peer=name) for name in names[1:]]
    calls = [*names, f"{first} → {last}", f"→ {last}", f"{last} ← {first}", None]
    return [
        Table((Column("service", "service", Unit.SERVICE),), tuple((call,) for call in calls)),
        Line((Part("in "), Part(last, "service"))),
        Timeline((TimelineRow(0, True, "root", first, 0, 10), *spans), 10),  # noqa: FBT003
        Flame((FlameRow(0, "root", first, 10 * len(names), 10), *leaves), 10 * len(names), "time"),
    ]


def _report(names: Sequence[str], blocks: Iterable[Block]) -> Report:
    nodes = tuple(GraphNode(name, name) for name in names)
    return Report("x", {}, Table((), ()), tuple(blocks), graph=Graph(nodes, ()))


def _on_page(report: Report) -> Iterable[tuple[str, int]]:
    page = render_page(report, Imprint("x", "", "", ""))
    yield from ((name, int(hue)) for hue, name in re.findall(r'<span class="hue-(\d+)">([^<]+)</span>', page))
    for text in re.findall(r'<script type="application/json">(.*?)</script>', page):
        data = json.loads(text)
        yield from ((name.removeprefix("→ "), hue) for name, hue in data.get("services", ()))
        yield from ((node["label"], node["hue"]) for node in data.get("nodes", ()))


def _in_terminal(report: Report) -> Iterable[tuple[str, int]]:
    numbers = {style.color: number for number, style in enumerate(HUES)}
    # As wide as no name has to be shortened.
    for segment in chain.from_iterable(draw(report, Canvas(4_000))):
        if segment.style is not None and segment.style.color in numbers and segment.text[:1].isalpha():
            name = segment.text.split("→ ")[-1].split()[0]
            yield name if name not in ("call", "root") else "", numbers[segment.style.color]


def _in_drawing(report: Report, hues: Hues) -> Iterable[tuple[str, int]]:
    assert report.graph is not None
    boxes = re.findall(r'class="hue-(\d+)".*?<text[^>]*>([^<]+)', render_svg(report.graph, hues), re.DOTALL)
    yield from ((name, int(hue)) for hue, name in boxes)


@examples(0.2)
@given(_NAMES, st.randoms(use_true_random=False))
def test_a_service_has_one_hue_in_every_view_of_an_answer_and_none_shares_it(names: list[str], random: Random) -> None:
    blocks = _blocks(names)
    report = _report(names, blocks)
    shuffled = _report(names, random.sample(blocks, len(blocks)))
    hues = hues_of(report)
    found: dict[str, set[int]] = defaultdict(set)
    for each in (report, shuffled):
        for name, hue in chain(_on_page(each), _in_terminal(each), _in_drawing(each, hues_of(each))):
            found[name].add(hue)
    found.pop("", None)

    assert dict(found) == {name: {hues.number(name)} for name in names}
    assert len({hues.number(name) for name in names}) == len(names)


def test_more_services_than_hues_share_them_in_any_order() -> None:
    names = [f"service-{number}" for number in range(40)]

    one, other = hues_of(_report(names, ())), hues_of(_report(names[::-1], ()))
    assert [one.number(name) for name in names] == [other.number(name) for name in names]
    assert {one.number(name) for name in names} == set(range(HUE_COUNT))


def test_a_service_that_no_other_contends_with_keeps_its_hue_in_other_answers() -> None:
    alone = hues_of(_report(["chat-service"], ())).number("chat-service")

    assert hues_of(_report(["chat-service", "mongodb", "redis"], ())).number("chat-service") == alone
