from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.agents import MOST_CALLS, draw, investigate


@pytest.mark.parametrize(("number", "kind"), [(0, "latency"), (8, "errors"), (15, "N+1 side by side")])
def test_suggestions_lead_to_the_culprit_in_few_calls_and_bytes(number: int, kind: str) -> None:
    incident = draw(number, 100)

    outcome = investigate(incident)

    assert incident.name.startswith(kind)
    assert outcome.is_found
    assert outcome.call_count <= MOST_CALLS
    assert outcome.byte_count <= 8_000


def test_a_culprit_that_no_answer_names_is_missed() -> None:
    outcome = investigate(replace(draw(0, 100), culprits=frozenset(("nobody",))))

    assert not outcome.is_found
    assert outcome.call_count == MOST_CALLS
