from __future__ import annotations

from tests.analysis.findings.requests import call, costs, entry, found, part
from traceq.semantics import Kind, Status


def test_an_error_is_told_where_it_begins() -> None:
    spans = [
        part("0", None, 0, 100, name="GET /", kind=Kind.SERVER, status=Status.ERROR),
        part("a", "0", 10, 60, name="save", status=Status.ERROR),
        part("b", "a", 20, 50, name="insert", status=Status.ERROR, attributes={"error.type": "Timeout"}),
    ]

    (finding,) = found(*spans)

    assert (finding.key.kind, finding.key.name, finding.remark) == ("error", "insert", "Timeout")
    assert finding.totals.cost_ns == 30_000_000


def test_spans_that_did_not_fail_are_no_errors() -> None:
    assert costs(entry(100), part("a", "0", 10, 60, status=Status.OK, attributes={"http.status_code": 404})) == {}


def test_a_server_that_begins_before_its_client_has_a_clock_of_its_own() -> None:
    served = part("s", "c", -35, 25, service="b", name="GET /b", kind=Kind.SERVER, host="b")
    called = part("c", "0", 5, 95, name="GET", kind=Kind.CLIENT, host="a")

    skewed = next(finding for finding in found(entry(100), called, served) if finding.key.kind == "clock-skew")

    assert skewed.totals.time.max_ns == 55_000_000
    assert skewed.remark == "the clock of b is about 55.0 ms behind that of a"
    assert skewed.totals.cost_ns == 0


def test_a_server_that_ends_a_little_after_its_client_has_no_clock_of_its_own() -> None:
    served = part("s", "c", 10, 99, service="b", name="GET /b", kind=Kind.SERVER)

    assert costs(entry(100), call("c", 5, 95), served) == {}


def test_work_that_outlives_its_caller_is_no_skew() -> None:
    assert "clock-skew" not in costs(entry(100), part("a", "0", 90, 200, service="b", name="later"))


def test_a_span_whose_parent_is_missing_makes_a_trace_incomplete() -> None:
    (finding,) = found(entry(100), part("o", "dead", 10, 20, name="lost"))

    assert (finding.key.kind, finding.key.name) == ("incomplete-trace", "lost")
    assert finding.remark == "parent dead is missing"


def test_two_whole_roots_are_not_incomplete() -> None:
    assert costs(entry(100), part("r", None, 10, 20, name="other root")) == {}
