"""Commands with Jaeger on OpenSearch, recorded, as their source: they answer what they answer about memory."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run
from tests.sources.opensearch import SERVERS, WINDOW
from tests.sources.replay import URL, replaying

OUTSIDE = {"source", "query", "notes"}
"""What a document says about where its answer comes from."""
MEMORY = "fixtures/chat.json"
"""The same traces, as Jaeger 1.51 gave them from memory."""


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "words",
    [("search",), ("errors",), ("findings",), ("bottlenecks", "--tags"), ("stats",)],
    ids=lambda words: words[0],
)
def test_answers_are_those_of_memory(words: tuple[str, ...], server: str, run: Run) -> None:
    start, end = (str((edge_ns or 0) // 1_000_000_000) for edge_ns in (WINDOW.start_ns, WINDOW.end_ns))
    asked = ("--start", start, "--end", end, "--limit", "200", "--source", URL)

    with replaying(server):
        stored = json.loads(run(*words, "chat-service", *asked, "--format", "json").out)

    kept = json.loads(run(*words, "chat-service", "--limit", "200", "--source", MEMORY, "--format", "json").out)
    if (words[0], server) == ("search", SERVERS[1]):
        # Its own summaries, and those of OpenSearch count no orphans where there is a root.
        for document in stored, kept:
            document |= {"warnings": [], "warning_counts": {}}
            for trace in document["traces"]:
                trace["orphan_count"] = None
    assert {key for key in kept if stored[key] != kept[key]} <= OUTSIDE
