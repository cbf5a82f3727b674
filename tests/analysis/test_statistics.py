from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from tests.analysis.obvious import self_time
from tests.builders import span, trace, traces
from tests.laws import examples
from traceq.analysis.statistics import StatisticsOptions, StatisticsQuestion, StatisticsRow, StatisticsSums
from traceq.library import statistics
from traceq.report import Table
from traceq.semantics import Kind, Status
from traceq.traces import Traces
from traceq.views.stats import report


@pytest.fixture
def shop() -> Traces:
    """Two traces of a shop that asks its database."""
    return traces(
        {
            "a": [
                span("1", None, 0, 100, service="shop", name="buy"),
                span("2", "1", 10, 40, service="db", name="SELECT", attributes={"table": "users"}),
                span("3", "1", 30, 60, service="db", name="INSERT", attributes={"table": "orders"}),
            ],
            "b": [
                span("1", None, 1000, 1060, service="shop", name="buy", status=Status.ERROR),
                span("2", "1", 1010, 1020, service="db", name="SELECT", attributes={"table": "", "id": 7}),
            ],
        }
    )


def figures(rows: tuple[StatisticsRow, ...]) -> list[tuple[str | None, int, int, int]]:
    return [
        (row.value.text, row.totals.duration.count, row.totals.duration.total_ns, row.totals.self_time.total_ns)
        for row in rows
    ]


def test_spans_are_counted_by_service_the_busiest_first(shop: Traces) -> None:
    found = statistics(shop)

    assert figures(found.rows) == [("shop", 2, 160, 100), ("db", 3, 70, 70)]
    busiest = found.rows[0]
    assert (busiest.error_ratio, busiest.self_ratio) == (0.5, 100 / 160)
    assert busiest.per_second == pytest.approx(2 * 10**9 / 1010)
    assert (found.total.duration.count, found.total.error_count, found.window_ns) == (5, 1, 1010)


def test_operations_of_one_name_are_told_apart_by_what_they_called() -> None:
    called = [("bank", 40), ("post", 30), ("", 20), ("bank", 5)]
    calls = [
        span(f"{at}", None, 0, end, service="shop", name="GET", kind=Kind.CLIENT, attributes={"peer.service": peer})
        for at, (peer, end) in enumerate(called, 1)
    ]

    found = statistics(trace(*calls), "operation")

    assert [(row.value.text, row.value.peer and row.value.peer.label) for row in found.rows] == [
        ("GET", "bank"),
        ("GET", "post"),
        ("GET", None),
    ]
    assert found.verdict is not None
    assert found.verdict.text.startswith("Most self time is in GET (shop → bank): 45 ns")
    records = found.records()
    at = [column.flat_key for column in records.columns].index("peer")
    assert [row[at] for row in records.rows] == ["bank", "post", None]
    shown = next(block for block in report(found).blocks if isinstance(block, Table))
    assert [row[0] for row in shown.rows] == ["GET → bank", "GET → post", "GET"]
    rows: Any = statistics(trace(*calls), "service", "operation").to_dict()["rows"]
    below = rows[0]["rows"]
    assert [(row["value"], row["service"], row["peer"]) for row in below] == [
        ("GET", "shop", "bank"),
        ("GET", "shop", "post"),
        ("GET", "shop", None),
    ]


def test_figures_of_a_row_are_those_of_its_spans(shop: Traces) -> None:
    document = statistics(shop).to_dict()["rows"][1]  # type: ignore[index]

    assert document["duration"] == {
        "total_ns": 70,
        "average_ns": 23,
        "min_ns": 10,
        "max_ns": 30,
        "p50_ns": 30,
        "p90_ns": 30,
        "p95_ns": 30,
        "p99_ns": 30,
    }


def test_operations_of_one_name_are_told_apart_by_service(shop: Traces) -> None:
    found = statistics(shop, "operation")

    assert [(row.value.service, row.value.text) for row in found.rows] == [
        ("shop", "buy"),
        ("db", "SELECT"),
        ("db", "INSERT"),
    ]


def test_two_levels(shop: Traces) -> None:
    shop_row, db_row = statistics(shop, "service", "operation").rows

    assert figures(shop_row.rows) == [("buy", 2, 160, 100)]
    assert figures(db_row.rows) == [("SELECT", 2, 40, 40), ("INSERT", 1, 30, 30)]


def test_spans_without_the_tag_have_a_row_of_their_own_and_it_is_last(shop: Traces) -> None:
    found = statistics(shop, "tag:table", "service")

    assert figures(found.rows) == [("orders", 1, 30, 30), ("users", 1, 30, 30), (None, 3, 170, 110)]
    assert figures(found.rows[2].rows) == [("shop", 2, 160, 100), ("db", 1, 10, 10)]


def test_a_value_that_is_called_like_a_service_counts_only_its_own_spans() -> None:
    spans = [span("1", None, 0, 10, service="db"), span("2", "1", 2, 4, service="app", attributes={"target": "db"})]

    assert figures(statistics(trace(*spans), "tag:target").rows) == [("db", 1, 2, 2), (None, 1, 10, 8)]


def test_tags_of_the_resource_count_too() -> None:
    spans = [span("1", None, 0, 10, resource={"version": "2"}), span("2", "1", 2, 4)]

    assert figures(statistics(trace(*spans), "tag:version").rows) == [("2", 1, 10, 8), (None, 1, 2, 2)]
    assert figures(statistics(trace(*spans), "tag:resource.version").rows) == [("2", 1, 10, 8), (None, 1, 2, 2)]


def test_only_spans_of_the_service_are_counted_but_self_time_knows_all_children(shop: Traces) -> None:
    assert figures(statistics(shop, "operation", service="shop").rows) == [("buy", 2, 160, 100)]
    assert statistics(shop, service="nobody").rows == ()


def test_one_span_has_no_rate_and_no_time_no_share() -> None:
    (row,) = statistics(trace(("1", None, 0, 0))).rows

    assert (row.per_second, row.self_ratio) == (None, 0.0)


def test_spans_of_nobody_have_no_row_and_no_time(shop: Traces) -> None:
    found = statistics(shop, service="nobody")

    assert (found.rows, found.window_ns) == ((), 0)


def test_the_frame_has_a_row_a_sort(shop: Traces) -> None:
    frame = statistics(shop, "service", "operation").to_frame()

    assert frame["operation"].tolist() == ["buy", "SELECT", "INSERT"]
    assert frame["service"].tolist() == ["shop", "db", "db"]
    assert frame["duration.max_ns"].tolist() == [100, 30, 30]


@pytest.mark.parametrize("by", [(), ("service", "operation", "tag:a"), ("service", "service"), ("pod",), ("tag:",)])
def test_other_levels_are_refused(by: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"one thing|cannot count by 'pod'|the tag has no name"):
        StatisticsOptions(by)


@examples(0.5)
@given(tables(), st.sampled_from((("service",), ("operation",), ("service", "operation"), ("tag:x", "service"))))
def test_parts_add_up_and_every_span_is_counted_once(table: Traces, by: tuple[str, ...]) -> None:
    options = StatisticsOptions(by, correct_skew=False)
    question = StatisticsQuestion(options)
    parts = [question.collect(part) for part in table]
    forward = reduce(StatisticsSums.__add__, parts, StatisticsSums())
    backward = reduce(StatisticsSums.__add__, reversed(parts), StatisticsSums())

    whole = question.rank(question.collect(table))
    assert question.rank(forward).to_dict() == question.rank(backward).to_dict() == whole.to_dict()
    assert sum(row.totals.duration.count for row in whole.rows) == table.span_count
    assert sum(row.totals.self_time.total_ns for row in whole.rows) == sum(
        self_time(table, row) for row in range(table.span_count)
    )
    assert all(
        sum((inner.totals.duration.count for inner in row.rows), 0) in (0, row.totals.duration.count)
        for row in whole.rows
    )
