"""The recorded chat product: every planted problem is found, and nothing where nothing was planted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.sources.replay import scenarios
from traceq.analysis.findings import Finding
from traceq.library import findings, load
from traceq.traces import Traces

CHAT = Path(__file__).parents[3] / "fixtures" / "chat.json"


@cache
def chat() -> Traces:
    return load(CHAT)


def played(scenario: str) -> list[Finding]:
    ids = next(each["trace_ids"] for each in scenarios()["scenarios"] if each["name"] == scenario)
    table = chat()
    return list(findings(table.select([position for each in ids for position in table.find(each)])).findings)


@pytest.mark.parametrize(
    "scenario",
    [
        "message-healthy",
        "message-healthy-later",
        "user-by-id",
        "room-overview",
        "friends-one-query",
        "cleanup-calm",
        "cleanup-incident",
        "two-roots",
        "zero-duration",
        "link",
    ],
)
def test_healthy_requests_yield_no_finding(scenario: str) -> None:
    assert played(scenario) == []


@pytest.mark.parametrize(
    ("scenario", "kind", "operation", "requests"),
    [
        ("message-slow", "slow-query", "mongodb.insert", 8),
        ("message-forbidden", "error", "check_room_permission", 2),
        ("message-broken", "error", "check_room_permission", 1),
        ("kafka-flaky", "retries", "kafka.publish.message.events", 2),
        ("kafka-down", "retries", "kafka.publish.message.events", 1),
        ("kafka-down", "error", "kafka.publish.message.events", 1),
        ("friends-n-plus-one", "n+1", "SELECT users", 3),
        ("clock-skew", "clock-skew", "GET /users/{user_id}", 3),
        ("missing-middle", "incomplete-trace", "SELECT rooms", 1),
        ("missing-root", "incomplete-trace", "GET /users/{user_id}", 1),
    ],
)
def test_what_was_planted_is_found(scenario: str, kind: str, operation: str, requests: int) -> None:
    found = [(finding.key.kind, finding.key.name, finding.totals.request_count) for finding in played(scenario)]

    assert (kind, operation, requests) in found


def test_the_slow_insert_comes_with_statement_and_what_to_try() -> None:
    finding, *others = played("message-slow")

    # In one of them the function around the insert is silent for 109 ms as well.
    assert [(other.key.kind, other.key.name) for other in others] == [("gap", "save_message_to_mongodb")]
    assert finding.ratio > 0.8
    assert finding.statement.startswith('{"insert": "messages"')
    assert [word in finding.advice for word in ("index", "batches", "maxPoolSize")] == [True, True, True]


def test_retries_are_counted_and_their_error_is_told() -> None:
    finding, *_ = played("kafka-flaky")

    assert (finding.totals.most_spans, finding.totals.span_count) == (4, 8)
    assert finding.remark == "KafkaTimeoutError: no acknowledgement within 10 ms"


def test_an_n_plus_one_of_47_queries() -> None:
    (finding,) = played("friends-n-plus-one")

    assert finding.totals.most_spans == 47
    assert (finding.key.caller_service, finding.key.caller_name) == ("friend-service", "GET /friends")
    assert finding.statement == "SELECT id, username FROM users WHERE id = ?"
