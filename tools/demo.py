"""Write the traces that `traceq demo` shows, from those that were recorded: `python -m tools.demo`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "traceq" / "cli" / "demo" / "chat.json.gz"
SCENARIOS = (
    *("message-healthy", "message-slow", "message-broken", "user-by-id"),
    *("friends-one-query", "friends-n-plus-one", "room-overview"),
)
"""What was played in its traces: the product at work, and what goes wrong, without oddities of tracing."""


def sample() -> bytes:
    """Give the traces as a compressed document of Jaeger's API, the same bytes every time."""
    fixtures = ROOT / "fixtures"
    played = json.loads((fixtures / "scenarios.json").read_text(encoding="utf-8"))["scenarios"]
    wanted = {trace_id for each in played if each["name"] in SCENARIOS for trace_id in each["trace_ids"]}
    traces = json.loads((fixtures / "chat.json").read_text(encoding="utf-8"))["data"]
    kept = [trace for trace in traces if trace["traceID"] in wanted]
    return gzip.compress(json.dumps({"data": kept}, separators=(",", ":")).encode(), compresslevel=9, mtime=0)


if __name__ == "__main__":
    SAMPLE.write_bytes(sample())
