from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.cli.outputs import LINK_NAMES, parse_link, with_links
from traceq.report import Column, Report, Table

KNOWN = {"trace_id": "5b8a", "span_id": "b7ad", "start_ns": 1_700_000_000_123_456_789, "duration_ns": 1_000_001}


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("https://logs/?q={trace_id}", "https://logs/?q=5b8a"),
        ("https://logs/{trace_id}/{span_id}", "https://logs/5b8a/b7ad"),
        ("https://logs/?q={trace_id}&from={start_ms}&to={end_ms}", None),
        ("https://logs/?q={trace_id}&from={start_iso}", "https://logs/?q=5b8a&from=2023-11-14T22%3A13%3A20.123456789Z"),
        ("https://logs/?q={{{trace_id}}}", "https://logs/?q={5b8a}"),
    ],
)
def test_a_template_is_filled_with_what_is_known(template: str, url: str | None) -> None:
    expected = url or "https://logs/?q=5b8a&from=1700000000123&to=1700000000125"

    assert parse_link(template).fill(KNOWN) == expected


def test_the_end_is_never_before_what_happened() -> None:
    template = parse_link("https://l/?{trace_id}&{start_ns}&{start_us}&{start_s}&{end_ns}&{end_us}&{end_s}")

    assert template.fill({"trace_id": "a", "start_ns": 1_999_999_999, "latency_ns": 2}) == (
        "https://l/?a&1999999999&1999999&1&2000000001&2000001&3"
    )


def test_what_is_not_known_makes_no_link() -> None:
    assert parse_link("https://logs/?q={trace_id}&to={end_ms}").fill({"trace_id": "a", "start_ns": 5}) is None


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("logs/{trace_id}", "is not an http or https URL"),
        ("javascript:alert({trace_id})", "is not an http or https URL"),
        ("https://logs/?q={trace}", "'{trace}' is not known, there are {trace_id}, {span_id}, {start_ns}"),
        ("https://logs/?q={trace_id.__class__}", "'{trace_id.__class__}' is not known"),
        ("https://logs/?q={trace_id!r}", "'{trace_id}' is not known"),
        ("https://logs/?q={0}", "'{0}' is not known"),
        ("https://logs/?q={}", "'{}' is not known"),
        ("https://logs/?from={start_ms}", "the same for every trace"),
        ("https://logs/?q={trace_id", "a brace that is no name is doubled"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(template: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_link(template)


@given(st.text(min_size=1, max_size=20), st.integers(-(10**18), 10**18))
def test_values_are_quoted_whatever_they_are(trace_id: str, start_ns: int) -> None:
    printable = trace_id.encode("utf-8", "ignore").decode()
    names = "&".join(f"{name}={{{name}}}" for name in LINK_NAMES)

    url = parse_link(f"https://logs/?{names}").fill(
        {"trace_id": printable, "span_id": "s", "start_ns": start_ns, "duration_ns": 1}
    )

    assert url is not None
    asked = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert asked["trace_id"] == [printable]
    assert asked["start_ns"] == [str(start_ns)]
    assert set(asked) == set(LINK_NAMES)


def test_links_stand_beside_traces_and_not_in_what_spans_carry() -> None:
    document = {
        "traces": [{"trace_id": "a", "attributes": {"trace_id": "not ours"}}, {"trace_id": "b"}],
        "example": {"trace_id": "a", "span_id": "s"},
        "nothing": None,
    }
    records = Table((Column("example.trace_id"), Column("count")), (("a", 1), (None, 2)))
    report = Report("x", document, Table((Column("trace_id", within="example"), Column("count")), records.rows), ())

    found = with_links(report, parse_link("https://logs/{trace_id}"))

    assert found.document == {
        "traces": [
            {"trace_id": "a", "attributes": {"trace_id": "not ours"}, "link": "https://logs/a"},
            {"trace_id": "b", "link": "https://logs/b"},
        ],
        "example": {"trace_id": "a", "span_id": "s", "link": "https://logs/a"},
        "nothing": None,
    }
    assert found.records.rows == (("a", 1, "https://logs/a"), (None, 2, None))
    assert found.links == {"a": "https://logs/a", "b": "https://logs/b"}
    assert [part.text for line in found.footer for part in line.parts] == ["a: https://logs/a", "b: https://logs/b"]
