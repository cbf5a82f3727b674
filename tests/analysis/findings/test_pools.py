from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.findings.requests import SELECT, part
from tests.builders import SpanSpec, traces
from traceq.analysis.columns import Ints
from traceq.analysis.findings import FindingQuestion, series
from traceq.analysis.findings.series import PoolSums
from traceq.analysis.requests import RequestOptions
from traceq.library import findings
from traceq.semantics import Kind


def ask(begins_ms: float, call_ms: float, ends_ms: float, host: str = "web-1") -> list[SpanSpec]:
    """Give a request with a query of which the end is the request's too, at times that no coarse clock tells."""
    begins_ms, call_ms, ends_ms = (time_ms + 0.003 for time_ms in (begins_ms, call_ms, ends_ms))
    request = part("0", None, begins_ms, ends_ms, name="GET /", kind=Kind.SERVER, host=host)
    call = part("q", "0", call_ms, ends_ms, name="SELECT", kind=Kind.CLIENT, host=host, attributes=SELECT)
    return [request, call]


def one_connection(count: int) -> dict[str, list[SpanSpec]]:
    """Give requests that come every 10 ms and need a single connection for 20 ms each."""
    return {f"t{number:03}": ask(10 * number, 20 * number, 20 * number + 20) for number in range(count)}


def kinds(requests: dict[str, list[SpanSpec]]) -> set[str]:
    return {finding.key.kind for finding in findings(traces(requests)).findings}


def test_calls_that_begin_when_others_end_wait_for_a_connection() -> None:
    (finding,) = findings(traces(one_connection(21))).findings

    assert (finding.key.kind, finding.key.service, finding.key.name) == ("pool", "app", "SELECT")
    assert finding.key.peer is not None
    assert (finding.key.peer.label, finding.key.caller_name) == ("mysql", "GET /")
    assert finding.totals.cost_ns == sum(10 * number for number in range(1, 21)) * 1_000_000
    assert finding.totals.request_count == 20
    assert finding.evidence == "up to 200 ms until a call began, while as many were running as ever are"


def test_ten_waits_show_something_and_nine_do_not() -> None:
    assert kinds(one_connection(11)) == {"pool"}
    assert "pool" not in kinds(one_connection(10))


def test_each_host_has_its_own_connections() -> None:
    both = one_connection(6) | {
        f"u{number}": ask(10 * number + 3, 20 * number + 3, 20 * number + 23, "web-2") for number in range(6)
    }

    assert kinds(both) == {"pool"}


def test_a_pause_while_nothing_else_runs_is_no_wait_for_a_connection() -> None:
    alone = {f"t{number}": ask(1000 * number, 1000 * number + 60, 1000 * number + 80) for number in range(20)}

    assert kinds(alone) == {"gap"}


def test_a_pause_while_fewer_calls_run_than_could_is_no_wait_for_a_connection() -> None:
    beside = {f"b{number}": ask(2000 + number, 2000 + number, 2500) for number in range(3)}

    assert "pool" not in kinds(one_connection(21) | beside)


def test_a_pause_that_ends_while_the_others_go_on_is_no_wait_for_a_connection() -> None:
    calls = {f"t{number}": ask(30 * number - 45, 30 * number - 10, 30 * number + 25) for number in range(2, 40)}

    assert "pool" not in kinds(calls)


CALLS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 20),
        st.integers(1, 1_500_000_000),
        st.integers(0, 1000),
    ),
    max_size=30,
)


def summed(calls: Sequence[tuple[int, int, int, int]]) -> PoolSums:
    rows: Ints = np.array(
        [(place, window, window * 10**9, window * 10**9 + lasts, wait) for place, window, lasts, wait in calls],
        dtype=np.int64,
    ).reshape(-1, 5)
    return PoolSums() + series._kept(tuple(("app", f"host-{n}", "mysql") for n in range(3)), rows, series._ALL)


@pytest.mark.parametrize("most", [5, 1000])
@given(parts=st.lists(CALLS, max_size=4))
def test_what_is_kept_of_parts_is_what_is_kept_of_the_whole(
    most: int, parts: list[list[tuple[int, int, int, int]]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "_MOST_CALLS", most)

        whole = summed([call for part in parts for call in part])
        added = reduce(PoolSums.__add__, map(summed, parts), PoolSums())

        assert (added.calls, added.bound) == (whole.calls, whole.bound)
        assert len(whole.table()) <= most


def test_requests_in_different_tables_show_together_what_they_show_in_one() -> None:
    requests, question = one_connection(30), FindingQuestion(RequestOptions())
    parts = [dict(list(requests.items())[at : at + 10]) for at in (0, 10, 20)]

    added = reduce(lambda one, other: one + other, (question.collect(traces(part)) for part in parts))

    assert question.rank(added).to_dict() == question.rank(question.collect(traces(requests))).to_dict()
    assert [finding.key.kind for finding in question.rank(added).findings] == ["pool"]
