"""What every source of traces can be asked, and the values that its answers are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from traceq.catalog import Operation, ServiceCall, TraceSummary, Window
from traceq.errors import DecodeError, Hint, Meant, NextCommand, near
from traceq.query import Place, TraceQuery
from traceq.remarks import Remarks
from traceq.traces import FoundAttributes, Traces, TraceWarning


class Progress(Struct, frozen=True):
    """How far a long read has come; fields that are not known stay 0."""

    what: str
    """What is being done, for people (`asking 12 services`, `reading traces.json`)."""
    done: int = 0
    total: int = 0
    trace_count: int = 0
    is_bytes: bool = False
    """Whether `done` and `total` are bytes, so that there is a rate and a time left to tell."""


MOST_AT_ONCE = 8
"""Concurrent requests: enough to hide waiting, few enough for a server that others use too."""

ProgressListener: TypeAlias = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """Listen to nothing."""


class LeftOut(Protocol):
    """Reads what a table without attributes leaves out; the source is not asked again."""

    def table(self) -> Traces:
        """Read the same traces with attributes, events and links."""

    def document(self, trace_id: str) -> bytes:
        """Give a trace as Jaeger's v1 JSON in one line."""

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterable[FoundAttributes]:
        """Read the attributes of some spans.

        Args:
            wanted: Ids of spans by the ids of their traces, as the table has them.
        """


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found, and how complete that is."""

    traces: Traces
    is_cut_off: bool = False
    """Whether the limit left traces out, or may have."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the answer came about, one sentence each without a final stop."""
    left_out: LeftOut | None = field(default=None, repr=False)
    """Where the traces were found without attributes."""
    is_partial: bool = False
    """Whether something is missing for another reason than the limit; the notes say what."""

    def document(self, position: int) -> bytes:
        """Give the trace at this position as Jaeger's v1 JSON in one line."""
        if self.left_out is None:
            from traceq.codec.json_writers import encode_trace

            return encode_trace(self.traces, position)
        return self.left_out.document(self.traces.trace_ids[position])

    def with_attributes(self) -> Found:
        """Give the same with attributes."""
        return self if self.left_out is None else replace(self, traces=self.left_out.table(), left_out=None)


class FoundSummaries(Struct, frozen=True):
    """What a search found, in short."""

    summaries: tuple[TraceSummary, ...]
    """Newest first."""
    is_cut_off: bool = False
    notes: tuple[str, ...] = ()
    service_count: int = 0
    """How many services were asked, 0 where the source was asked once for all."""
    warnings: tuple[TraceWarning, ...] = ()
    """What is strange about these traces, where they were read as a whole."""
    is_partial: bool = False
    """Whether something is missing for another reason than the limit; the notes say what."""


@runtime_checkable
class Source(Place, Protocol):
    """A place that traces come from.

    Contract: an unknown service or trace id raises `NotFoundError` (with the nearest known names in the hint), a query
    that nothing matches finds nothing; what fails raises `SourceError` or `InputError` and never looks like emptiness.
    """

    def remarks(self) -> Remarks:
        """Say what there is to say about files once they were read; nothing about a server.

        Warnings are about all traces that names were read from; answers of `find` and slices have their own remarks.
        """

    def services(self) -> tuple[str, ...]:
        """List the services it knows, sorted."""

    def operations(self, service: str) -> tuple[Operation, ...]:
        """List the operations of a service, sorted."""

    def find(self, query: TraceQuery, *, with_attributes: bool = True, is_sample: bool = False) -> Found:
        """Find the traces that match, newest first; the limit keeps the newest.

        Args:
            query: Which traces.
            with_attributes: Whether attributes, events and links are wanted at once. Reading them takes longer than
                reading the columns; without, `Found.left_out` reads them when they are.
            is_sample: Whether the traces stand for others. Where no service is named, a server then gives as many as
                the limit of each service: otherwise the newest traces could all be those of the busiest one.
        """

    def read(self, query: TraceQuery) -> Iterator[Traces]:
        """Give the traces that match, in batches, each trace whole in one of them."""

    def summaries(self, query: TraceQuery) -> FoundSummaries:
        """Find the traces that match, in short: with as little moved and decoded as the source allows."""

    def trace(self, trace_id: str) -> Traces:
        """Give one trace by its id, or by a prefix of it that is unique where the source can tell.

        Raises:
            NotFoundError: If there is none, or several begin like that.
        """

    def dependencies(self, window: Window) -> tuple[ServiceCall, ...]:
        """Give the calls between services that the source itself has on record; empty when it keeps none."""


@runtime_checkable
class ArchivingSource(Source, Protocol):
    """A source that can keep traces for longer: a server."""

    def archive(self, trace_id: str) -> None:
        """Have a trace copied to where it is kept when others are deleted.

        Raises:
            NotFoundError: If there is no such trace, or it cannot be an id.
            SourceError: If the server does not archive traces, or fails over it.
        """


class Slice(Protocol):
    """A part of the input that holds whole traces: none of them has spans in another slice. Has to be picklable."""

    @property
    def byte_count(self) -> int:
        """How much there is to read; tells progress, and whether workers are worth their start."""

    @property
    def trace_count(self) -> int:
        """How many traces it holds."""

    @property
    def is_columnar(self) -> bool:
        """Whether its columns are read outside of Python's lock, so that threads can do it side by side."""

    def tables(self, *, with_details: bool) -> Iterator[Traces]:
        """Read it, in batches: every trace whole in one of them.

        Raises:
            InputError: If the bytes cannot be read or are not traces.
        """

    def traces(self, wanted: Container[str], *, with_details: bool) -> Iterator[Traces]:
        """Read some traces, in batches; the others are not decoded.

        Args:
            wanted: Their ids, as `normal_id` gives them.
            with_details: Whether attributes, events and links are wanted; without, ids of spans may be empty.

        Raises:
            InputError: If the bytes cannot be read or are not traces.
        """

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
        """Read the attributes of some spans.

        Args:
            wanted: Ids of spans by the ids of their traces, as the tables have them.
        """


Holder: TypeAlias = Callable[[str], "Slice | None"]
"""Tells which slice holds the trace of an id; None where nobody knows."""


def _nobody_knows(_trace_id: str) -> None:
    return None


class Input(Struct, frozen=True):
    """Files as slices."""

    slices: Sequence[Slice]
    calls: tuple[ServiceCall, ...] = ()
    """Of dependency tables among the files."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the files came about, one sentence each without a final stop."""
    proven: Callable[[], Input] | None = None
    """Gives slices anew, at twice the cost, when a `DecodeError` may come from a wrong guess where traces begin;
    None where nothing was guessed."""
    holder: Holder = _nobody_knows

    def holding(self, wanted: Mapping[str, Collection[str]]) -> list[tuple[Slice, dict[str, Collection[str]]]]:
        """Give the slices that hold, or may hold, these spans, and which of them each does.

        Args:
            wanted: Ids of spans by the ids of their traces, as the tables have them.
        """
        by_slice: dict[int, tuple[Slice, dict[str, Collection[str]]]] = {}
        for trace_id, span_ids in wanted.items():
            known = self.holder(trace_id)
            for piece in self.slices if known is None else (known,):
                by_slice.setdefault(id(piece), (piece, {}))[1][trace_id] = span_ids
        return list(by_slice.values())


class Attempt(Struct, frozen=True):
    """A try to work on an input; holds back a `DecodeError` where another try may do better."""

    found: Input
    is_last: bool

    def __enter__(self) -> Input:
        return self.found

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return not self.is_last and kind is not None and issubclass(kind, DecodeError)


class Slicing:
    """Keeps an input as it was cut last, for all who work on it one after the other.

    Args:
        found: The input as it was cut first.
    """

    def __init__(self, found: Input) -> None:
        self._found = found

    @property
    def found(self) -> Input:
        """The input, cut with care where it turned out that it had been cut badly."""
        return self._found

    def attempts(self) -> Iterator[Attempt]:
        """Give the input to work on, and once more, cut with care, where it turns out that it was badly cut.

        Each attempt is a context that gives an input; the one that succeeds has to end the loop. What was cut with care
        stays so, also for those who read a few traces afterwards, and cannot find out themselves.
        """
        yield Attempt(self._found, is_last=self._found.proven is None)
        if self._found.proven is not None:
            self._found = self._found.proven()
            yield Attempt(self._found, is_last=True)


@runtime_checkable
class SlicedSource(Source, Protocol):
    """A source of any size that can be read in slices: files."""

    @property
    def progress(self) -> ProgressListener:
        """Hears how far reading has come."""

    def slices(self) -> AbstractContextManager[Slicing]:
        """Give everything in slices; what was unpacked for them goes when the context ends.

        Raises:
            InputError: If a file cannot be read, or holds something else than traces.
        """

    def check_names(self, query: TraceQuery, met: Iterable[tuple[str, Operation]]) -> None:
        """Tell names that do not exist from a question without an answer.

        Args:
            query: What matched nothing.
            met: Every service and operation there is.

        Raises:
            NotFoundError: If no span is of the service or operation asked for.
        """


_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How to reach a server; secrets are kept out of `repr`, so out of logs and tracebacks."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    token: str | None = field(default=None, repr=False)
    """Sent as `Authorization: Bearer`."""
    basic: str | None = field(default=None, repr=False)
    """`user:password`."""
    tenant: str | None = None
    """Sent as `x-tenant`."""
    ca_cert: str | None = None
    """File of certificate authorities to trust, PEM."""
    cert: str | None = None
    """File of the client's certificate, PEM."""
    key: str | None = field(default=None, repr=False)
    """File of the client's key, when it is not in `cert`."""
    is_insecure: bool = False
    """Whether to accept any server certificate."""
    timeout_ns: int = 30_000_000_000
    """For connecting, and for each wait on an answer."""

    @property
    def identity(self) -> dict[str, str]:
        """As whom the server is asked, without secrets; a token may change during a long read, an account not."""
        headers = {
            f"header {name.lower()}": sha256(value.encode()).hexdigest()[:16]
            for name, value in self.headers
            if name.lower() not in _CREDENTIALS
        }
        known = {"tenant": self.tenant, "user": self.basic.partition(":")[0] if self.basic else None}
        return headers | {key: value for key, value in known.items() if value is not None}


_MOST_NAMED = 3


def nearest_names(
    what: Literal["service", "operation"], name: str, known: Collection[str], source: Place, *words: str
) -> Hint:
    """Suggest names that contain this one, or else the nearest, in any letter case, and how to list all of them.

    Args:
        what: What it is the name of.
        name: What was asked for.
        known: The names there are.
        source: Where they are.
        words: The words of the command that lists them.
    """
    if not known:
        return Hint(("there are none",))
    holding = sorted(other for other in known if name.casefold() in other.casefold())[:_MOST_NAMED]
    names = holding or [other for _, other in near(name, known).found[:1]]
    meant = (Meant(what, tuple(names)), " ") if names else ()
    listed = f" lists {'it' if len(known) == 1 else f'all {len(known)}'}"
    return Hint((*meant, NextCommand(words, source.locations), listed))
