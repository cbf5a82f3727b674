"""Names that people may have meant."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from traceq.nearest import Near, near

NAMES = st.lists(st.text("abAB", min_size=1, max_size=6), max_size=8)


@given(st.text("abAB", min_size=1, max_size=6), NAMES, NAMES)
def test_the_nearest_of_parts_are_those_of_the_whole(sought: str, some: list[str], others: list[str]) -> None:
    whole = near(sought, [*some, *others])

    assert near(sought, some) + near(sought, others) == near(sought, others) + near(sought, some) == whole
    assert sought not in {name for _, name in whole.found}


def test_what_is_meant_is_asked_in_any_letter_case() -> None:
    assert near("HTP.method", ["http.method", "http.url", "db.system"]).question == "did you mean 'http.method'?"
    assert near("zzz", ["http.method"]) == Near()
    assert Near().question == ""
