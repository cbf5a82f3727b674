"""What people see, word for word, on the recorded traces of the chat product."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Run, indented
from tests.sources.replay import scenarios

CHAT = ("--source", "fixtures/chat.json")


def first(scenario: str) -> str:
    """Give the id of a scenario's first trace."""
    return next(str(played["trace_ids"][0]) for played in scenarios()["scenarios"] if played["name"] == scenario)


COMMANDS = {
    "search": ("search", "--min-duration", "200ms"),
    "search_slowest": ("search", "--slowest", "3"),
    "search_nothing": ("search", "--service", "chat-service", "--min-duration", "1h"),
    "services": ("services",),
    "operations": ("operations", "chat-service"),
    "show_slow": ("show", first("message-slow")),
    "show_healthy": ("show", first("message-healthy")),
    "show_n_plus_one": ("show", first("friends-n-plus-one")),
    "show_errors": ("show", first("kafka-down"), "--errors", "--events"),
    "show_depth": ("show", first("message-slow"), "--depth", "1"),
    "show_missing_middle": ("show", first("missing-middle")),
    "show_missing_root": ("show", first("missing-root")),
    "show_two_roots": ("show", first("two-roots")),
    "show_skew": ("show", first("clock-skew")),
    "show_odd_names": ("show", first("odd-names"), "--attributes"),
    "show_fan_out": ("show", first("room-overview")),
    "show_details": ("show", first("link"), "--attributes", "--events", "--links"),
    "show_span": ("show", first("kafka-down"), "--span", "f6a9f966"),
    "show_long": ("show", first("message-slow"), "--min-span-duration", "500ms", "--by", "self-time"),
    "show_find": ("show", first("message-slow"), "--find", "room_id"),
    "show_path": ("show", first("message-slow"), "--path"),
    "show_subtree": ("show", first("message-slow"), "--subtree", "abe50dc685a9ffa7"),
    "show_as_recorded": ("show", first("clock-skew"), "--no-skew-correction"),
    "bottlenecks": ("bottlenecks", "chat-service"),
    "bottlenecks_all": ("bottlenecks", "--top", "5"),
    "bottlenecks_consumer": ("bottlenecks", "notification-service"),
    "bottlenecks_trace": ("bottlenecks", "--trace", first("message-slow")),
    "bottlenecks_what_if": (
        *("bottlenecks", "chat-service", "--no-findings", "--top", "3"),
        *("--what-if", "mongodb=-50%", "--what-if", "user-service=1ms"),
    ),
    "flame": ("flame", "chat-service"),
    "flame_self": ("flame", "--by", "self-time", "--top", "3"),
    "flame_trace": ("flame", "--trace", first("message-slow")),
    "flame_traces": ("flame", "--before", first("message-healthy"), "--after", first("message-slow")),
    "findings": ("findings", "--top", "20"),
    "findings_none": ("findings", "notification-service"),
    "findings_trace": ("findings", "--trace", first("friends-n-plus-one")),
    "errors": ("errors",),
    "errors_trace": ("errors", "chat-service", "--trace", first("message-broken")),
    "errors_none": ("errors", "notification-service"),
    "stats": ("stats",),
    "stats_levels": ("stats", "--by", "service", "--by", "operation", "--top", "4"),
    "stats_tag": ("stats", "chat-service", "--by", "tag:db.system", "--by", "operation", "--sort", "p95"),
    "stats_trace": ("stats", "--trace", first("friends-n-plus-one")),
    "stats_nothing": ("stats", "--min-duration", "1h"),
    "report": ("report", "chat-service", "--format", "text", "--traces", "1"),
    "deps": ("deps",),
    "deps_tree": ("deps", "--view", "tree"),
    "deps_table": ("deps", "--view", "table"),
    "deps_around": ("deps", "--service", "friend-service"),
    "deps_matrix": ("deps", "--view", "matrix"),
    "deps_latency": ("deps", "--color-by", "latency", "--service", "user-service"),
    "deps_errors": ("deps", "--errors"),
    "deps_collapse": ("deps", "--collapse", "*-service", "--ascii"),
    "deps_system": ("deps", "--group-peers", "system", "--service", "mysql", "--upstream", "2"),
    "deps_cycles": ("deps", "--cycles"),
    "deps_path": ("deps", "--path", "chat-service", "mysql"),
    "deps_impact": ("deps", "--impact", "mysql"),
    "deps_impact_broker": ("deps", "--impact", "kafka"),
    "deps_critical": ("deps", "--critical"),
}


@pytest.mark.parametrize("chosen", ["mermaid", "dot", "svg"])
def test_graph_formats(chosen: str, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run("deps", *CHAT, "--format", chosen)

    assert outcome.code == 0
    golden(f"cli_deps_{chosen}", outcome.out)


@pytest.mark.parametrize("chosen", ["folded", "speedscope", "perfetto"])
def test_flame_formats(chosen: str, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run("flame", "--trace", first("message-slow"), *CHAT, "--format", chosen)

    assert outcome.code == 0
    golden(f"cli_flame_{chosen}", outcome.out)


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_text(name: str, width: int, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run(*COMMANDS[name], *CHAT, width=width)

    assert outcome.code == 0
    # A command to be copied stays on one line, however long.
    drawn = [line for line in outcome.out.splitlines() if not line.startswith("next: ")]
    assert max(map(len, drawn)) <= width
    # Parts are set apart by one blank line, and so is what is said of all of them.
    assert "\n\n\n" not in outcome.out
    assert not outcome.out.startswith("\n")
    golden(f"cli_{name}_{width}", f"{outcome.out}--- standard error\n{outcome.err}")


@pytest.mark.parametrize(
    "name",
    [
        "search",
        "services",
        "operations",
        "show_skew",
        "show_details",
        "show_span",
        "bottlenecks_trace",
        "deps",
        "search_nothing",
        "findings",
        "errors",
        "stats_levels",
    ],
)
@pytest.mark.parametrize("chosen", ["json", "ndjson", "csv"])
def test_other_formats(name: str, chosen: str, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run(*COMMANDS[name], *CHAT, "--format", chosen)

    assert outcome.code == 0
    golden(f"cli_{name}_{chosen}", indented(outcome.out) if chosen == "json" else outcome.out)
