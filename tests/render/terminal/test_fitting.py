"""A wider terminal never shows less, and texts that differ still differ when they are shortened."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from tests.render.terminal.drawing import lines
from traceq.render.terminal.canvas import cut, width_of
from traceq.render.terminal.table import GAP, Wish, fit, shorten_all
from traceq.report import Column, Table, Unit

WISHES = st.lists(
    st.builds(
        Wish,
        width=st.integers(1, 300),
        title=st.integers(0, 12),
        can_shrink=st.booleans(),
        is_id=st.booleans(),
        priority=st.integers(0, 9),
    ),
    min_size=1,
    max_size=12,
)
WORDS = st.text("abcxyz/-_.", min_size=1, max_size=60)


@given(WISHES)
@examples(0.5)
def test_no_column_gets_less_of_a_greater_width(wishes: list[Wish]) -> None:
    found = [fit(wishes, room) for room in range(1, 251)]

    for narrow, wide in pairwise(found):
        assert all(less <= more for less, more in zip(narrow, wide, strict=True))
    for room, widths in enumerate(found, 1):
        given_to = [width for width in widths if width]
        assert sum(given_to) + GAP * (len(given_to) - 1) <= room
        assert all(width <= wish.width for width, wish in zip(widths, wishes, strict=True))
    assert found[-1].count(0) < len(wishes)


@given(st.data())
@examples(0.2)
def test_no_cell_shows_less_in_a_wider_terminal(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    columns = [
        Column[Any](f"k{at}", f"t{at}", can_shrink=data.draw(st.booleans()), priority=data.draw(st.integers(0, 5)))
        for at in range(count)
    ]
    rows = data.draw(st.lists(st.tuples(*[WORDS] * count), min_size=1, max_size=4))
    known: dict[tuple[int, str], int] = {}

    for width in range(40, 251, 7):
        drawn = lines(Table(tuple(columns), tuple(rows)), width)
        titles = drawn[0].split()
        for number, line in enumerate(drawn[1 : len(rows) + 1]):
            cells = dict(zip(titles, line.split(), strict=True))
            for title, size in [(title, size) for (at, title), size in known.items() if at == number]:
                assert len(cells[title]) >= size, (width, title)
            known |= {(number, title): len(cell) for title, cell in cells.items()}


@given(st.lists(st.text(max_size=40), max_size=8), st.integers(1, 40))
def test_shortened_texts_fit_and_no_longer_one_shows_less(texts: list[str], width: int) -> None:
    narrow, wide = shorten_all(texts, width, "…"), shorten_all(texts, width + 1, "…")

    for less, more in zip(narrow, wide, strict=True):
        assert width_of(less) <= width
        assert width_of(more) >= width_of(less)


@given(st.text("abc", min_size=3, max_size=60), st.text("abc", min_size=3, max_size=60), st.integers(6, 60))
def test_two_texts_that_differ_still_do(one: str, other: str, width: int) -> None:
    shown = shorten_all([one, other], width, "…")

    assert (shown[0] == shown[1]) == (one == other)


@given(st.lists(st.text("ab-", max_size=40), max_size=12), st.integers(2, 40))
def test_no_fewer_differ_than_when_their_ends_are_cut_off(texts: list[str], width: int) -> None:
    ends_cut = {text if len(text) <= width else cut(text, width - 1) + "…" for text in texts}

    assert len(set(shorten_all(texts, width, "…"))) >= len(ends_cut)


def test_pods_routes_and_chains_keep_what_tells_them_apart() -> None:
    pods = [f"checkout-service-7d9f8b6c54-{end}" for end in ("x2x7k", "q9wlm")]
    routes = ["GET /api/v1/stations/id/{stationName}", "GET /api/v1/stations/id/{stationCode}"]
    chains = [
        "POST /orders > validate > insert_order > mongodb.insert",
        "POST /orders > validate > insert_order > commit",
    ]
    middles = ["shop-eu-central-1-frontend-service", "shop-us-central-1-frontend-service"]

    assert shorten_all(pods, 16, "…") == ["checkou…54-x2x7k", "checkou…54-q9wlm"]
    assert shorten_all(routes, 24, "…") == ["GET /api/v1/st…tionName}", "GET /api/v1/st…tionCode}"]
    assert shorten_all(chains, 30, "…") == ["POST /orders… > mongodb.insert", "POST /orders > valid… > commit"]
    assert shorten_all(middles, 16, "…") == ["shop-eu-central…", "shop-us-central…"]


def test_an_empty_column_goes_before_any_other() -> None:
    columns: tuple[Column[Any], ...] = (
        Column("id", "trace", Unit.TRACE_ID),
        Column("errors", "errors", Unit.ERRORS),
        Column("start", "start", priority=4),
    )
    rows = (("a" * 32, 0, "14:03:22"), ("b" * 32, 0, "14:03:23"))

    assert lines(Table(columns, rows), width=44) == [
        " TRACE                             START",
        f" {'a' * 32}  14:03:22",
        f" {'b' * 32}  14:03:23",
    ]
