"""Takes away what container runtimes, collectors of logs and terminals put around the lines that programs print.

Source: moby, `daemon/logger/jsonfilelog` and `copier.go`; Kubernetes, the CRI logging format; systemd, `journalctl -o`;
docker compose, kubectl and stern, prefixes; colours, ECMA-48.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from itertools import islice
from typing import NamedTuple

import msgspec

from traceq.codec import wire
from traceq.codec.wire import BROKEN
from traceq.units import plural


class Unwrapped(NamedTuple):
    """What programs printed."""

    texts: list[bytes]
    """By each program, and to each of its streams, since their lines may alternate; empty if nothing was around them.
    """
    notes: tuple[str, ...] = ()


def unwrapped(body: memoryview) -> Unwrapped:
    """Take away what is around the lines of a log."""
    if _COLOUR.search(body):
        return Unwrapped([_COLOUR.sub(b"", body)])
    head = [line for _, line in islice(wire.lines(body), _LINES_LOOKED_AT)]
    read = next(
        (read for read in (_entry, _prefixed) if sum(read(line) is not None for line in head) * 2 > len(head)), None
    )
    if read is None:
        return Unwrapped([])
    texts: dict[Hashable, list[bytes]] = {}
    left_out = 0
    for _, line in wire.lines(body):
        found = read(line) or _Line(None, bytes(line) + b"\n")
        if found.text is None:
            left_out += 1
        else:
            texts.setdefault(found.source, []).append(found.text)
    notes = (f"left out because journalctl shows them only with --all: {plural(left_out, 'line')}",) if left_out else ()
    return Unwrapped(list(map(_joined, texts.values())), notes)


_LINES_LOOKED_AT = 20
_COLOUR = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


def _joined(texts: list[bytes]) -> bytes:
    # Docker keeps the ends of lines, since it divides long lines; others write whole lines without them.
    return (b"" if any(text.endswith(b"\n") for text in texts) else b"\n").join(texts)


class _Line(NamedTuple):
    source: Hashable
    """What tells the streams apart."""
    text: bytes | None
    """None if it was left out."""


class _Entry(msgspec.Struct, gc=False):
    """A line of a log as a JSON object."""

    log: str | None = None
    """Docker, Fluent Bit."""
    journal: str | list[int] | msgspec.UnsetType | None = msgspec.field(name="MESSAGE", default=msgspec.UNSET)
    """journald: bytes where it is no text, null where it is long."""
    journal_break: str | None = msgspec.field(name="_LINE_BREAK", default=None)
    message: str | None = None
    """Filebeat, Vector, Logstash."""
    line: str | None = None
    """Loki."""
    payload: str | None = msgspec.field(name="textPayload", default=None)
    """Google Cloud."""
    stream: str | None = None
    process: str | None = msgspec.field(name="_PID", default=None)
    container: str | None = msgspec.field(name="CONTAINER_ID", default=None)
    pod: msgspec.Raw = msgspec.field(name="kubernetes", default=msgspec.Raw())
    labels: msgspec.Raw = msgspec.Raw()


_ENTRY = msgspec.json.Decoder(_Entry)


def _entry(line: memoryview) -> _Line | None:
    try:
        entry = _ENTRY.decode(line)
    except BROKEN:
        return None
    source = (entry.stream, entry.process, entry.container, bytes(entry.pod), bytes(entry.labels))
    if entry.log is not None:
        return _Line(source, entry.log.encode())
    if entry.journal is None:
        return _Line(source, None)
    texts = (_text(entry.journal), entry.message, entry.line, entry.payload)
    text = next((each for each in texts if each is not None), None)
    end = "" if entry.journal_break == "line-max" else "\n"
    return None if text is None else _Line(source, f"{text}{end}".encode())


def _text(journal: str | list[int] | msgspec.UnsetType) -> str | None:
    if isinstance(journal, list):
        return bytes(each & 0xFF for each in journal).decode("utf-8", "replace")
    return None if journal is msgspec.UNSET else journal


_PREFIXED = re.compile(
    rb"""
    (?: (\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))\  )?
    (?:
        (?P<stream>stdout|stderr)\ (?P<part>[FP])(?::\S*)?(?:\ |$)             # containerd, CRI-O
      | (?P<pod>\[pod/[^\]\s]+\])\                                            # kubectl logs --prefix
      | (?P<container>[\w.-]+)\ +\|(?:\ |$)                                   # docker compose logs
      | (?P<stern>[a-z0-9.-]+-(?:[a-z0-9]{5}|\d+)\ [a-z0-9-]+)\               # stern
      | (?:[A-Z][a-z]{2}\ [\ \d]\d\ [\d:]{8}\ )?
        (?:\S+\ )?(?P<program>[^\s:\[]+\[[\w.]+\]):\                          # journalctl, syslog, heroku logs
      | (?(1)|(?!))                                                           # kubectl logs --timestamps
    )
    """,
    re.VERBOSE,
)


def _prefixed(line: memoryview) -> _Line | None:
    found = _PREFIXED.match(line)
    if found is None:
        return None
    text = bytes(line[found.end() :]).rstrip(b"\r")
    names = found.group("stream", "pod", "container", "stern", "program")
    source = next((name for name in names if name), None)
    return _Line(source, text if found["part"] == b"P" else text + b"\n")
