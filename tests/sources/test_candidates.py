from __future__ import annotations

from tests import builders
from traceq.errors import ServerError
from traceq.sources.candidates import Completed, Completer
from traceq.sources.dialects import Parts

FAILURE = "Jaeger at http://jaeger answered 500: too busy"
WHOLE = builders.traces({"c1": [("a", None, 0, 9)]})
DOUBTFUL = builders.traces({"a1": [("a", "lost", 0, 9)], "b1": [("b", None, 0, 99)]})
"""A trace that misses a parent, and one that lasts beyond the end of the window."""
END_NS = builders.EPOCH_NS + 50


def test_failures_are_told_to_whom_they_concern() -> None:
    """Threads share a completer: the answer for one of them must not take away what another has to tell."""

    def ask(trace_id: str) -> Parts | None:
        if trace_id == "b1":
            assert completer.complete(WHOLE, END_NS) == Completed({})
            return None
        raise ServerError(FAILURE, status=500, told="too busy")

    completer = Completer(ask, sizes=lambda _: (1, 1), most_spans=None)

    completed = completer.complete(DOUBTFUL, END_NS)

    note = f"traces may be parts, asking for them by id failed: {FAILURE}"
    assert completed == Completed({}, (note,), is_partial=True)


def test_where_nothing_is_gained_by_id_three_traces_are_asked_for() -> None:
    asked: list[str] = []

    def ask(trace_id: str) -> Parts | None:
        asked.append(trace_id)
        return None

    lost = builders.traces({f"a{number}": [("a", "lost", 0, 9)] for number in range(9)})
    completed = Completer(ask, sizes=lambda _: (1, 1), most_spans=None).complete(lost, END_NS)

    assert sorted(asked) == ["a0", "a1", "a2"]
    assert completed == Completed({})
