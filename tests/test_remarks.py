from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from traceq.remarks import WARNINGS_KEPT, WarningSums, sum_warnings, warning_lines
from traceq.traces import TraceWarning, WarningCode

CODES: tuple[WarningCode, ...] = ("orphan", "cycle", "halves-joined")


def test_warnings_are_all_counted_and_the_first_listed() -> None:
    many = [TraceWarning("orphan", "a", f"{number}") for number in range(WARNINGS_KEPT)]
    few = [TraceWarning("orphan", "b", "more"), TraceWarning("cycle", "b", "ring")]

    sums = sum_warnings(many) + sum_warnings(few)

    assert sums.listed == (*many, few[1])
    assert sums.counts == {"orphan": WARNINGS_KEPT + 1, "cycle": 1}
    assert sums.trace_counts == {"orphan": 2, "cycle": 1}


@given(st.lists(st.lists(st.tuples(st.sampled_from(CODES), st.integers(1, 2)), max_size=5), max_size=4))
def test_sums_of_tables_are_the_sums_of_all(tables: Sequence[Sequence[tuple[WarningCode, int]]]) -> None:
    """A trace is in one table."""
    found = [
        [TraceWarning(code, f"{number}-{trace}", f"{at}") for at, (code, trace) in enumerate(table)]
        for number, table in enumerate(tables)
    ]

    sums = sum((sum_warnings(table) for table in found), WarningSums())

    assert sums == sum_warnings([warning for table in found for warning in table])


def test_a_line_says_in_exactly_how_many_traces() -> None:
    listed = [TraceWarning("orphan", "a", "", f"{number}") for number in range(WARNINGS_KEPT)]
    others = [TraceWarning("orphan", trace_id, "", "1") for trace_id in "bbcdefg"]
    joined = TraceWarning("halves-joined", "h", "")

    lines = list(warning_lines(sum_warnings([*listed, *others, joined])))

    assert lines == [
        "parent missing: 107 spans in 7 traces, roots unless other traces show their place (first: span 0 of trace a)",
        "stored by 64 and by 128 bits of one id: 1 trace, joined (trace h)",
    ]


def test_a_trace_on_both_sides_is_one_trace() -> None:
    side = sum_warnings([TraceWarning("orphan", "a", "", "1"), TraceWarning("orphan", "b", "", "2")])

    (line,) = warning_lines(side + side)

    assert line.startswith("parent missing: 4 spans in 2 traces, ")
