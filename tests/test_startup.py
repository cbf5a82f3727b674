"""What a command must not import, because whoever types it would wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("numpy", "pandas", "pydantic", "pyarrow", "dask", "google.protobuf")
TRACES = str(Path(__file__).parent.parent / "fixtures" / "chat.json")

_PROGRAM = """
import sys
from traceq.cli import main
code = main(sys.argv[2:])
loaded = [name for name in sys.argv[1].split(",") if name in sys.modules]
sys.stderr.write("loaded:" + ",".join(loaded))
sys.exit(code)
"""


def loaded(forbidden: tuple[str, ...], *arguments: str) -> str:
    command = [sys.executable, "-c", _PROGRAM, ",".join(forbidden), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr.rpartition("loaded:")[2]


@pytest.mark.parametrize(
    ("forbidden", "arguments"),
    [
        pytest.param((*HEAVY, "httpx", "traceq.traces", "traceq.report"), ("--help",), id="help"),
        pytest.param((*HEAVY, "httpx"), ("search", "--help"), id="help of a command"),
        pytest.param((*HEAVY, "httpx", "traceq.engine", "traceq.learned"), ("search", "--source", TRACES), id="search"),
        pytest.param(
            ("traceq.codec.otlp", "traceq.codec.jaeger_mending", "traceq.cli.references"),
            ("bottlenecks", "chat-service", "--source", TRACES),
            id="bottlenecks of what is no OTLP and whole",
        ),
        pytest.param((*HEAVY, "httpx"), ("services", "--source", TRACES), id="services"),
        pytest.param((*HEAVY, "httpx"), ("operations", "chat-service", "--source", TRACES), id="operations"),
        pytest.param((*HEAVY, "httpx", "rich"), ("search", "--source", TRACES, "-f", "json"), id="search as json"),
        pytest.param(
            ("pandas", "httpx", "numpy.ma"), ("bottlenecks", "chat-service", "--source", TRACES), id="bottlenecks"
        ),
        pytest.param(
            ("traceq.analysis.findings", "traceq.analysis.what_if", "traceq.analysis.dependencies"),
            ("bottlenecks", "chat-service", "--source", TRACES, "--no-findings"),
            id="bottlenecks alone",
        ),
        pytest.param(("pandas", "httpx"), ("deps", "--source", TRACES), id="deps"),
        pytest.param((*HEAVY, "httpx"), ("fetch", "--source", TRACES, "-o", os.devnull), id="fetch"),
    ],
)
def test_commands_leave_alone_what_they_do_not_need(forbidden: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    assert loaded(forbidden, *arguments) == ""


def test_the_library_is_light_until_it_is_asked_something() -> None:
    program = "import sys, traceq; traceq.TraceQuery; sys.exit(any(name in sys.modules for name in ('numpy', 'httpx')))"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_asking_a_server_needs_no_event_loop_until_an_answer_fails() -> None:
    program = "import sys, traceq.sources.jaeger; sys.exit('asyncio' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


_DATACLASSES = """
import dataclasses, sys
from traceq.cli import main
code = main(sys.argv[1:])
made = {
    name
    for module in list(sys.modules)
    if module.startswith("traceq.")
    for name, each in vars(sys.modules[module]).items()
    if dataclasses.is_dataclass(each) and isinstance(each, type)
}
sys.stderr.write("made:" + " ".join(sorted(made)))
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("search", "ConnectionOptions Found TraceQuery Window"),
        ("bottlenecks", "ConnectionOptions Found Thresholds TraceQuery Window"),
    ],
)
def test_hardly_any_dataclasses_are_made_at_each_start(command: str, expected: str) -> None:
    """Each one takes half a millisecond."""
    arguments = (command, "chat-service", "--source", TRACES)
    done = subprocess.run([sys.executable, "-c", _DATACLASSES, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stderr.rpartition("made:")[2] == expected


@pytest.mark.parametrize(("first", "expected"), [("--version", "1"), ("capture", "None")])
def test_numpy_starts_no_threads_and_a_captured_program_is_not_told(first: str, expected: str) -> None:
    program = """
import os, sys, traceq.cli
traceq.cli.main = lambda arguments: print(os.environ.get("OPENBLAS_NUM_THREADS")) or 0
traceq.cli.run()
"""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    command = [sys.executable, "-c", program, first]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == expected
