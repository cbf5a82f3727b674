from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from traceq.analysis.columns import columns, meaning_among, meanings
from traceq.semantics import Peer
from traceq.traces import Traces

MYSQL = Peer("database", "mysql", "chat")
CALLS = [("chat", "SELECT", MYSQL), ("user", "GET: me", None), ("mysql chat", "user", None)]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("SELECT", 0),
        ("user", 0),
        ("chat:SELECT", 1),
        ("user:GET: me", 1),
        ("chat:GET: me", None),
        ("mysql", 2),
        ("mysql chat", 2),
        ("chat", 3),
        ("none", None),
        ("", None),
    ],
)
def test_a_name_means_the_first_that_any_span_has(text: str, meaning: int | None) -> None:
    assert meaning_among(CALLS, text) == meaning
    assert meaning_among(reversed(CALLS), text) == meaning


@given(tables(), st.data())
def test_calls_tell_what_the_spans_themselves_tell(traces: Traces, data: st.DataObject) -> None:
    spans = [traces.span(row) for row in range(traces.span_count)]
    calls = {(span.service, span.name, span.peer) for span in spans}
    known = {
        text for service, name, peer in calls for text in (service, name, f"{service}:{name}", peer and peer.label)
    }
    text = data.draw(st.sampled_from(sorted({each for each in known if each} | {"none"})))

    flags = meanings(columns(traces), text)

    assert meaning_among(calls, text) == next((n for n, each in enumerate(flags) if each.any()), None)
