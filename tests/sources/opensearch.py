"""What is asked of Jaeger on OpenSearch, by the tests and by `fixtures/record/asked.py`, which records the answers."""

from __future__ import annotations

from tests.sources.replay import scenarios
from traceq.catalog import Window
from traceq.query import TraceQuery
from traceq.sources.interface import Found
from traceq.sources.jaeger import JaegerSource

HOUR_NS = 3_600_000_000_000
SERVERS = ("jaeger-1.51-opensearch", "jaeger-2.20-opensearch")
"""Folders of `fixtures/`."""
JOB, TAGGED = "nightly", "tagger"
VALUES = (
    *("plain", "c++", "price=$5 (net)", "[x]", "back\\slash", '"quoted"', "a|b", "x*y", "#h", "a&b", "a?c"),
    *("/path/to?x=1&y=2", '["a","b"]', "~", "<t>", "(unclosed", "a{", "tail\\", "a.c", "abc", "^start$", "2-4"),
    *("grüße", "l" * 300, "INSERT INTO orders (a,b) VALUES (%s,%s)", "a b", "a=b", "x:y", "100%", "@home"),
    *("tilde~end", "{json:1}", "semi;colon", "comma,", "'single'", "`tick`", "new\nline", "tab\there", "a/b"),
    *("\\d+", ".*", "a+b", "!bang", "under_score", "emoji😀", "<>", "&&", "||", "()", "$"),
)


def _recorded_window() -> Window:
    """Give the window of the chat's recording, in whole seconds, and the four hours after it began."""
    start_ns = scenarios()["start_us"] // 1_000_000 * 1_000_000_000
    return Window(start_ns, start_ns + 4 * HOUR_NS)


WINDOW = _recorded_window()
JOB_WINDOW = Window((WINDOW.start_ns or 0) + 5 * HOUR_NS // 2, WINDOW.end_ns)
"""Of the three hours of the job, the last half hour: Jaeger 1.51 gives spans from an hour before the window on."""


def find_value(source: JaegerSource, value: str) -> Found:
    """Find the span that has this value."""
    return source.find(TraceQuery(service=TAGGED, window=WINDOW, limit=20, attributes=(("key", value),)))
