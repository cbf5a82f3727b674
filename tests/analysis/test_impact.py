from __future__ import annotations

from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, traces
from traceq.analysis.dependencies import from_jaeger
from traceq.analysis.impact import Affected, ImpactQuestion, ImpactSums, impact
from traceq.catalog import ServiceCall
from traceq.library import dependencies
from traceq.semantics import Kind
from traceq.traces import Traces

MYSQL = {"db.system": "mysql", "db.name": "orders"}
KAFKA = {"messaging.system": "kafka", "messaging.destination": "events"}


def shop(*, asks_database: bool) -> list[SpanSpec]:
    """A request through web and shop, which may ask its database and then tells mailer."""
    spans = [
        span("1", None, 0, 90, service="web", kind=Kind.CLIENT),
        span("2", "1", 1, 80, service="shop", kind=Kind.SERVER),
        span("3", "2", 40, 50, service="shop", kind=Kind.PRODUCER, attributes=KAFKA),
        span("4", "3", 60, 99, service="mailer", kind=Kind.CONSUMER, attributes=KAFKA),
    ]
    asked = span("5", "2", 2, 30, service="shop", kind=Kind.CLIENT, attributes=MYSQL)
    return [*spans, asked] if asks_database else spans


TRACES = traces(
    {"a1": shop(asks_database=True), "a2": shop(asks_database=False), "a3": [span("1", None, 0, 9, service="web")]}
)
GRAPH = dependencies(TRACES)


def test_whoever_waits_is_affected_in_the_traces_that_need_it() -> None:
    found = impact(GRAPH, "mysql orders", ImpactQuestion("mysql orders", GRAPH).collect(TRACES))

    assert (found.needing_count, found.trace_count, found.starved) == (1, 3, ())
    assert found.affected == (
        Affected("shop", 1, "mysql orders", trace_count=1, seen_count=2),
        Affected("web", 2, "shop", trace_count=1, seen_count=3),
    )
    assert found.affected[0].ratio == 0.5


def test_a_consumer_that_fails_affects_nobody() -> None:
    assert impact(GRAPH, "mailer", ImpactQuestion("mailer", GRAPH).collect(TRACES)).affected == ()


def test_a_broker_that_fails_takes_its_producers_along_and_starves_its_consumers() -> None:
    found = impact(GRAPH, "kafka events", ImpactQuestion("kafka events", GRAPH).collect(TRACES))

    assert [(one.name, one.trace_count) for one in found.affected] == [("shop", 2), ("web", 2)]
    assert (found.starved, found.needing_count) == (("mailer",), 2)


def test_a_producer_that_fails_starves_its_consumers() -> None:
    assert impact(GRAPH, "shop").starved == ("mailer",)


def test_without_traces_there_are_no_shares() -> None:
    found = impact(from_jaeger([ServiceCall("a", "b", 1), ServiceCall("b", "a", 1), ServiceCall("c", "a", 1)]), "b")

    assert [(one.name, one.distance, one.ratio) for one in found.affected] == [("a", 1, None), ("c", 2, None)]
    assert found.trace_count is None


@given(tables())
def test_counts_of_parts_add_up(found: Traces) -> None:
    known = dependencies(found)

    parts = sum((ImpactQuestion("a", known).collect(part) for part in found), ImpactSums())

    assert parts == ImpactQuestion("a", known).collect(found)
    assert all(parts.affected[name] <= parts.seen[name] for name in parts.affected)
