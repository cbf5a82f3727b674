"""What an error says to type next can be typed as it stands."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.cli.conftest import Run
from tests.cli.test_golden import CHAT, first
from traceq.errors import ExitCode

SLOW = first("message-slow")


@pytest.mark.parametrize(
    "arguments",
    [
        ("bottlenecks", "chat-servce", *CHAT),
        ("show", "ffffffff", *CHAT),
        ("show", SLOW, "--span", "ffff", *CHAT),
        ("show", "fixtures/chat.json"),
        ("stats", "--operation", "POST /roms", *CHAT),
        ("stats", "chat-service", "--operation", "POST /roms", *CHAT),
        ("deps", "--impact", "mysqll", *CHAT),
        ("compare", "--split-by", "rom_id", *CHAT),
        ("serch",),
        ("search", "--format", "jsn"),
        ("flame", "-f", "mermaid", *CHAT),
        ("check", *CHAT),
    ],
    ids=" ".join,
)
def test_commands_in_hints_run(arguments: tuple[str, ...], run: Run) -> None:
    refused = run(*arguments)
    commands = re.findall(r"`traceq ([^`]*)`", refused.err.partition("traceq: hint: ")[2])

    assert refused.code in (ExitCode.USAGE, ExitCode.NOT_FOUND)
    assert commands
    for command in commands:
        assert run(*shlex.split(command)).code == ExitCode.ANSWERED


@pytest.mark.parametrize("command", ["bottlenecks", "findings", "errors", "compare", "search", "stats", "report"])
def test_the_command_at_the_end_of_an_answer_runs(command: str, run: Run) -> None:
    parts = {"compare": ("chat-service", "--slow", "10%"), "report": ("-f", "text")}.get(command, ())
    last = run(command, *parts, *CHAT).out.splitlines()[-1]

    assert last.startswith("next: traceq ")
    assert run(*shlex.split(last)[2:]).code == ExitCode.ANSWERED
