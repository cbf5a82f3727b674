from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.answer import fitted, selected, size, with_totals

DOCUMENT: dict[str, Any] = {
    "verdict": {"text": "slow", "ratio": 0.5},
    "peer": None,
    "operations": [
        {"name": "insert", "duration": {"p50_ns": 1, "p95_ns": 2}, "examples": [{"trace_id": "a"}]},
        {"name": "find", "duration": None, "examples": []},
    ],
}


def test_selected_keeps_nested_keys_in_the_documents_order() -> None:
    kept = selected(DOCUMENT, ("operations.duration.p95_ns", "operations.name", "verdict.text"))

    assert kept == {
        "verdict": {"text": "slow"},
        "operations": [{"name": "insert", "duration": {"p95_ns": 2}}, {"name": "find", "duration": None}],
    }


def test_selected_keeps_all_of_an_object_that_is_wanted_whole() -> None:
    assert selected(DOCUMENT, ("verdict.text", "verdict")) == {"verdict": {"text": "slow", "ratio": 0.5}}


def test_selected_takes_paths_below_what_is_null_or_empty() -> None:
    assert selected({"peer": None, "rows": []}, ("peer.name", "rows.name")) == {"peer": None, "rows": []}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("operations.nam", "the document has no 'operations.nam', did you mean 'operations.name'"),
        ("verdict.text.more", "the document has no 'verdict.text.more', did you mean 'verdict.text'"),
    ],
    ids=["a slip", "too deep"],
)
def test_selected_refuses_what_is_not_there(path: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        selected(DOCUMENT, (path,))


def test_fitted_cuts_the_longest_list_and_says_so() -> None:
    document = with_totals({"rows": [{"name": "x" * 20}] * 10, "short": [1, 2]})

    cut = fitted(document, 200)

    assert size(cut) <= 200
    assert cut["short"] == {"total": 2, "truncated": False, "items": [1, 2]}
    assert (cut["rows"]["total"], cut["rows"]["truncated"]) == (10, True)
    assert 1 <= len(cut["rows"]["items"]) < 10


def test_fitted_shortens_texts_where_lists_cannot_be_cut() -> None:
    cut = fitted(with_totals({"rows": [{"statement": "s" * 5000}]}), 400)

    assert cut["rows"] == {"total": 1, "truncated": False, "items": [{"statement": f"{'s' * 300}… (4700 more)"}]}


def test_counted_rounds_fractions() -> None:
    assert with_totals({"ratio": 0.5824911741422766, "ns": 1234567891}) == {"ratio": 0.5825, "ns": 1234567891}


_PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
_ROWS = st.lists(st.dictionaries(st.sampled_from("abc"), _PLAIN | st.lists(_PLAIN, max_size=5)), max_size=30)
_DOCUMENTS = st.dictionaries(st.sampled_from(("rows", "more", "rest")), _ROWS)


@given(_DOCUMENTS, st.integers(500, 3000))
def test_what_is_left_is_the_beginning_and_counts_add_up(document: dict[str, Any], room: int) -> None:
    cut = fitted(with_totals(document), room)

    assert cut.keys() == document.keys()
    for key, rows in document.items():
        items, total = cut[key]["items"], cut[key]["total"]
        assert total == len(rows)
        assert cut[key]["truncated"] == (len(items) < total)
        assert len(items) >= min(1, total)
    # What cannot be cut below is one item of each list, with one of each list in it.
    least = {key: rows[:1] for key, rows in document.items()}
    assert size(cut) <= max(room, size(with_totals(least)))


@given(_DOCUMENTS)
def test_what_has_room_is_left_alone(document: dict[str, Any]) -> None:
    whole = with_totals(document)

    assert fitted(whole, size(whole)) == json.loads(json.dumps(whole))
