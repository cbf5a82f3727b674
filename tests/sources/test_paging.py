from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.catalog import Window
from traceq.sources.gathering import pages

US = 1000


@given(
    starts_us=st.lists(st.integers(0, 200), max_size=60),
    limit=st.integers(1, 20),
    length_us=st.integers(1, 250),
)
def test_every_trace_of_a_window_is_on_a_page_unless_the_page_says_that_some_are_not(
    starts_us: list[int], limit: int, length_us: int
) -> None:
    window = Window(0, length_us * US - 1)

    def ask(piece: Window) -> tuple[Mapping[str, int], bool]:
        found = {str(at): us for at, us in enumerate(starts_us) if us * US in piece}
        newest = sorted(found, key=lambda at: -found[at])[:limit]
        return {at: found[at] for at in newest}, len(newest) >= limit

    given_pages = list(pages(ask, window, limit))

    ends = [(window.end_ns or 0) + 1, *(page.since_ns for page in given_pages)]
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] == 0 or all(page.is_cut_off for page in given_pages[-5:])
    for page, end_ns in zip(given_pages, ends, strict=False):
        inside = {str(at) for at, us in enumerate(starts_us) if page.since_ns <= us * US < end_ns}
        assert page.is_cut_off or page.by_id.keys() == inside


def test_a_window_with_an_open_end_is_refused() -> None:
    with pytest.raises(ValueError, match="between two ends"):
        next(pages(lambda _: ({}, False), Window(0), 10))


def test_a_server_that_does_not_look_at_times_is_not_asked_for_ever() -> None:
    asked: list[Window] = []

    def ask(piece: Window) -> tuple[Mapping[str, int], bool]:
        asked.append(piece)
        return {"1": 1, "2": 2}, True

    given_pages = list(pages(ask, Window(0, 3_600_000_000_000), 2))

    assert [page.is_cut_off for page in given_pages] == [True] * 5
    assert len(asked) < 100
