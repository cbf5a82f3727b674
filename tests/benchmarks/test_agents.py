from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import pytest

from benchmarks.agents import MOST_CALLS, draw, investigate

_drawn = cache(partial(draw, seed=100))


@pytest.mark.parametrize(("number", "kind"), [(0, "latency"), (8, "errors"), (15, "N+1 side by side")])
def test_suggestions_lead_to_the_culprit_in_few_calls_and_bytes(number: int, kind: str) -> None:
    incident = _drawn(number)

    outcome = investigate(incident)

    assert incident.name.startswith(kind)
    assert outcome.is_found
    assert outcome.call_count <= MOST_CALLS
    assert outcome.byte_count <= 8_000


def test_a_culprit_that_no_answer_names_is_missed() -> None:
    outcome = investigate(replace(_drawn(8), culprits=frozenset(("nobody",))))

    assert not outcome.is_found
    assert outcome.call_count == MOST_CALLS
