from __future__ import annotations

import pytest

from traceq.analysis.group_sums import GroupKey
from traceq.analysis.naming import whose
from traceq.semantics import Kind, Peer


@pytest.mark.parametrize(
    ("kind", "peer", "expected"),
    [
        (Kind.PRODUCER, Peer("messaging", "kafka", "events"), "chat → kafka"),
        (Kind.CONSUMER, Peer("messaging", "kafka", "events"), "chat ← kafka"),
        (Kind.CLIENT, Peer("database", "mysql", "chat"), "chat → mysql"),
        (Kind.SERVER, None, "chat"),
    ],
)
def test_a_service_is_told_with_what_it_talks_to_and_which_way(kind: Kind, peer: Peer | None, expected: str) -> None:
    assert GroupKey("chat", "x", kind, peer).place == expected


@pytest.mark.parametrize(
    ("service", "name", "peer", "asked", "expected"),
    [
        ("chat", "GET", Peer("service", "users", ""), None, " (chat → users)"),
        ("chat", "GET", Peer("service", "users", ""), "chat", " (→ users)"),
        ("chat", "mongodb.insert", Peer("database", "mongodb", "chat"), "chat", ""),
        ("mysql", "SELECT", Peer("database", "mysql", ""), "chat", " (mysql)"),
        ("chat", "work", None, "chat", ""),
    ],
)
def test_what_a_name_leaves_open_is_said(
    service: str, name: str, peer: Peer | None, asked: str | None, expected: str
) -> None:
    assert whose(service, name, peer, asked) == expected
