"""Where traces are in a document: ranges of its bytes, and what each of them is."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from enum import Enum, auto

from msgspec import Struct

from traceq.codec.documents import Document
from traceq.codec.parts import parted
from traceq.traces import low_half


class Form(Enum):
    """What a range of bytes is."""

    TRACE = auto()
    """A trace object of Jaeger's v1 JSON."""
    ITEM = auto()
    """An item of a list of spans, the first of which tells the format of all."""
    DOCUMENT = auto()
    """A document of its own."""
    PARTED = auto()
    """A document with trace objects that may list spans of several traces, which have to be looked for."""
    GROUPS = auto()
    """Groups of spans in OTLP in protobuf, each of which is a request by itself."""
    FRAMES = auto()
    """Messages of OTLP in protobuf that begin with their lengths."""
    PLAIN = auto()
    """A document with spans of one trace in OTLP JSON and nothing else; the first trace id in it is theirs."""


_EXTENDED = (Form.GROUPS, Form.FRAMES)
"""The forms of which several that follow each other are as easily read as one."""


class Run(Struct, frozen=True, eq=False):
    """Ranges of one form that follow each other."""

    starts: array[int]
    stops: array[int]
    keys: array[int]
    """Hashes of trace ids: one for each range, or those of all traces if there is a single range."""
    form: Form
    first: tuple[int, int] = (0, 0)
    """Where the first item of the list is, if these are items."""


class Runs:
    """Collects runs."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def add(self, start: int, stop: int, keys: Collection[int], form: Form, first: tuple[int, int] = (0, 0)) -> None:
        """Add a range, in which there are traces with these keys."""
        last = self.runs[-1] if self.runs else None
        # Where each line is a span there are too many of them for a run each.
        is_alike = last is not None and len(last.keys) == len(last.starts) and (last.form, last.first) == (form, first)
        if (
            last is not None
            and is_alike
            and form in _EXTENDED
            and last.stops[-1] == start
            and [*keys] == [last.keys[-1]]
        ):
            last.stops[-1] = stop
            return
        if last is None or not is_alike or len(keys) != 1:
            last = Run(array("q"), array("q"), array("q"), form, first)
            self.runs.append(last)
        last.starts.append(start)
        last.stops.append(stop)
        last.keys.extend(keys)

    def add_document(self, document: Document, start: int, stop: int, *, is_proven: bool = False) -> None:
        """Add the range of a document; of those without traces only the first."""
        if document.nameless and not document.parts:
            return  # read by itself, it would be refused
        whole = document_run(document, start, stop, is_proven=is_proven)
        if whole.keys or not self.runs:
            self.add(start, stop, whole.keys, whole.form)


def document_run(document: Document, start: int, stop: int, *, is_proven: bool) -> Run:
    """Make the run of one document; if cuts are proven, its trace objects are looked into."""
    parts = parted(document.parts) if is_proven else document.parts
    keys = array("q", {key_of(part.trace_id) for part in parts})
    return Run(array("q", [start]), array("q", [stop]), keys, Form.PARTED if is_proven else Form.DOCUMENT)


def key_of(trace_id: str) -> int:
    """Hash the low half of a trace id, which may stand for all; ids that collide share a slice, which does no harm."""
    return hash(low_half(trace_id))
