"""`traceq capture`: runs a command, and keeps the spans that it sends meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer
from msgspec import Struct

from traceq.cli.messages import tell
from traceq.cli.options import DURATION, SIZE
from traceq.cli.session import failures_told
from traceq.errors import ExitCode, NextCommand
from traceq.sources.receiver import (
    LOOPBACK,
    Inbox,
    Received,
    opened,
    receiving_grpc,
    receiving_http,
)
from traceq.units import NS_PER_S, format_count, format_size, plural

Protocol: TypeAlias = Literal["http/protobuf", "http/json", "grpc"]

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_SIGNALLED = 128
"""Exit codes as shells give them; to the last one the signal's number is added."""
_SHOWN = 3
_PATIENCE_S = 10.0
_PATIENCE = 10
"""How long spans may go on to come after the command's end: in seconds, or as many times the quiet that ends it."""


class CaptureOptions(Struct, frozen=True):
    """The options of `capture`."""

    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE.jsonl[.gz]", help="Where spans are written, as OTLP JSON lines."),
    ]
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- COMMAND...",
            help="What to run; without it, spans are received until Ctrl-C.",
            show_default=False,
        ),
    ] = None
    protocol: Annotated[
        Protocol, typer.Option(help="What exporters of the command are told to speak; grpc needs the package grpcio.")
    ] = "http/protobuf"
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of OTLP/HTTP on 127.0.0.1; 0 for any that is free.")
    ] = 0
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Also receive OTLP/gRPC, on this port; 0 for any that is free."),
    ] = None
    grace: Annotated[int, typer.Option(help="How long to wait for late spans after the command's end.", **DURATION)] = (
        "1s"  # type: ignore[assignment]  # defaults go through the parser as if typed
    )
    max_size: Annotated[int, typer.Option(help="Most bytes of spans to keep, before compression.", **SIZE)] = "1GB"  # type: ignore[assignment]  # as above
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and what was lost.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False


def capture(options: CaptureOptions) -> None:
    """Run a command, keep the spans that it sends, and end with its exit code.

    The command finds a receiver on this machine in OTEL_EXPORTER_OTLP_ENDPOINT, and needs no other server. What was
    received is in the file at once, whatever ends the command; every other command reads it.

    Examples:
      traceq capture -o run.jsonl -- pytest tests/load

      traceq check 'p95(checkout) < 300ms' --source run.jsonl

      traceq capture -o run.jsonl.gz --protocol grpc -- ./service --once

      traceq capture -o run.jsonl --http-port 4318 --grpc-port 4317
    """
    if options.output == "-":
        # It would be mixed with what the command prints.
        raise typer.BadParameter("spans are written to a file, standard output is the command's", param_hint="--output")
    with failures_told(Path(options.output)), opened(options.output) as out:
        inbox = Inbox(out, options.max_size)
        with _receiving(inbox, options) as (environment, where):
            code = _wait(options, environment, where)
            inbox.start_waiting()
            grace_s = options.grace / NS_PER_S if options.command else 0
            longest_s = max(_PATIENCE_S, _PATIENCE * grace_s)
            if not inbox.wait_until_quiet(grace_s, longest_s):
                tell(
                    "warning", f"spans were still coming {longest_s:.0f} s after the command's end: later ones are lost"
                )
    complete = _tell(inbox, options)
    if code == ExitCode.ANSWERED and not complete:
        code = ExitCode.SOURCE_FAILED
    if code:
        raise typer.Exit(code)


@contextmanager
def _receiving(inbox: Inbox, options: CaptureOptions) -> Iterator[tuple[Mapping[str, str], str]]:
    """Receive until the block ends, and give the environment that tells exporters where to, and the same in words."""
    grpc_port = options.grpc_port
    if options.protocol == "grpc" and grpc_port is None:
        grpc_port = 0
    with ExitStack() as stack:
        http = stack.enter_context(receiving_http(inbox, options.http_port))
        places = [f"http://{LOOPBACK}:{http}"]
        if grpc_port is not None:
            places.append(f"http://{LOOPBACK}:{stack.enter_context(receiving_grpc(inbox, grpc_port))}")
        told = " and ".join(
            f"{name} at {place}" for name, place in zip(("OTLP/HTTP", "OTLP/gRPC"), places, strict=False)
        )
        yield _environment(options.protocol, places[-1] if options.protocol == "grpc" else places[0]), told


def _environment(protocol: Protocol, endpoint: str) -> Mapping[str, str]:
    """Give this process's environment with what OpenTelemetry's SDKs have to know."""
    traces = endpoint if protocol == "grpc" else f"{endpoint}/v1/traces"
    told = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        # Both, because those for traces alone win where somebody has set them.
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": traces,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "true",
        "OTEL_SDK_DISABLED": "false",
    }
    # A proxy would be asked for this machine's own address.
    for name in ("NO_PROXY", "no_proxy"):
        told[name] = ",".join(filter(None, (os.environ.get(name), LOOPBACK)))
    return {**os.environ, **told}


def _wait(options: CaptureOptions, environment: Mapping[str, str], where: str) -> int:
    """Run the command to its end, or wait for Ctrl-C where there is none, and give the exit code."""
    if not options.command:
        is_over = threading.Event()
        with _handling(lambda _: is_over.set()):
            # Whoever waits for this line may end it at once.
            tell("note", f"receiving {where}; Ctrl-C ends it")
            is_over.wait()
        return ExitCode.ANSWERED
    if not options.quiet:
        tell("note", f"receiving {where}")
    try:
        child = subprocess.Popen(options.command, env=environment)  # noqa: S603  the command that was typed
    except FileNotFoundError:
        tell("error", f"there is no command '{options.command[0]}'")
        return _NOT_FOUND
    except OSError as error:
        tell("error", f"cannot run '{options.command[0]}': {error.strerror}")
        return _NOT_EXECUTABLE
    with _handling(lambda number: _pass_on(number, child)):
        code = child.wait()
    if code < 0:
        tell("warning", f"the command was ended by {signal.Signals(-code).name}")
    return code if code >= 0 else _SIGNALLED - code


@contextmanager
def _handling(handle: Callable[[int], None]) -> Iterator[None]:
    """Have a function called on SIGINT and SIGTERM, in place of the end of this process."""
    kept = {number: signal.signal(number, lambda got, _: handle(got)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _pass_on(number: int, child: subprocess.Popen[bytes]) -> None:
    """Give a signal to the command, unless the terminal has done that."""
    if number == signal.SIGINT and _is_in_foreground():
        return
    child.send_signal(number)


def _is_in_foreground() -> bool:
    """Tell whether Ctrl-C goes to this process and to those that it started."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _tell(inbox: Inbox, options: CaptureOptions) -> bool:
    """Say what was received and what is lacking, and tell whether all that was sent is in the file."""
    received = inbox.received
    if inbox.failure is not None:
        tell("warning", f"'{options.output}' could not be written any more: {inbox.failure.strerror}")
    if received.left_out_count:
        more = f"{plural(received.left_out_count, 'span')} more did not fit into {format_size(options.max_size)}"
        tell("warning", f"{more}: raise --max-size")
    if received.broken:
        told = ", ".join(dict.fromkeys(received.broken[:_SHOWN]))
        tell("warning", f"{plural(len(received.broken), 'request')} could not be kept: {told}")
    is_complete = inbox.failure is None and not received.left_out_count and not received.broken
    if received.span_count:
        if not options.quiet:
            _tell_received(received, options.output)
    elif is_complete:
        tell("warning", "no span was received")
        tell(
            "hint", "is the command instrumented, for example with `opentelemetry-instrument`, and does it read OTEL_*?"
        )
    return is_complete


def _tell_received(received: Received, output: str) -> None:
    services = sorted(received.services)
    more = f" and {format_count(len(services) - _SHOWN)} more" if len(services) > _SHOWN else ""
    of = f" of {', '.join(services[:_SHOWN])}{more}" if services else ""
    tell("note", f"wrote {plural(received.span_count, 'span')}{of} to {output}")
    if received.other_count:
        tell("note", f"{plural(received.other_count, 'request')} with metrics or logs not kept")
    tell("note", f"next: {NextCommand(('bottlenecks',), (output,))}")
