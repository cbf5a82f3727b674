from __future__ import annotations

from typing import Any

from traceq.answer import records
from traceq.report import Column, Rows, document, picked

SPECS: tuple[Column[Any] | Rows[Any], ...] = (
    Column("name", value=lambda row: row["name"]),
    Column("count", value=lambda row: row["count"], within="before"),
    Column("p50_ns", value=lambda row: row["p50"], within="before.latency"),
    Column("p95_ns", value=lambda row: row["p95"], within="before.latency"),
    Rows("tags", (Column("key", value=lambda tag: tag),), lambda row: row["tags"], within="before"),
)


def row(count: int | None = 3, p50: int | None = 5, tags: tuple[str, ...] | None = ("a", "b")) -> dict[str, object]:
    return {"name": "one", "count": count, "p50": p50, "p95": None, "tags": tags}


def test_documents_nest_as_deep_as_columns_say() -> None:
    assert document(SPECS, row()) == {
        "name": "one",
        "before": {
            "count": 3,
            "latency": {"p50_ns": 5, "p95_ns": None},
            "tags": [{"key": "a"}, {"key": "b"}],
        },
    }


def test_an_object_in_which_nothing_is_known_is_null_and_so_is_one_of_null_objects() -> None:
    assert document(SPECS, row(p50=None)) == {
        "name": "one",
        "before": {"count": 3, "latency": None, "tags": [{"key": "a"}, {"key": "b"}]},
    }
    assert document(SPECS, row(None, None, None)) == {"name": "one", "before": None}
    assert document(SPECS, row(None, None, ())) == {
        "name": "one",
        "before": {"count": None, "latency": None, "tags": []},
    }


def test_flat_names_join_what_they_are_within() -> None:
    found = records(SPECS, [row()])

    assert [column.flat_key for column in found.columns] == [
        "name",
        "before_count",
        "before_latency_p50_ns",
        "before_latency_p95_ns",
    ]
    assert found.rows == (("one", 3, 5, None),)


def test_columns_are_picked_by_where_they_stand() -> None:
    (column,) = picked(SPECS, "before.latency.p50_ns")

    assert column.key == "p50_ns"
