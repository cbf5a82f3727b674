"""The span table: every trace traceq looks at, as columns.

One row a span, the spans of a trace side by side, in the order in which they were read. Columns are plain `array`s, so
that commands which only list or draw need no numpy, and analyses look at the same memory through numpy without a copy.
Nothing changes a table after it is built.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from traceq.answer import HTML_ROWS, html_of, report_of
from traceq.report import Report
from traceq.semantics import Activity, Attributes, Kind, Peer, Status

if TYPE_CHECKING:
    import pandas as pd

    from traceq.learned import Learned

_Value = TypeVar("_Value")

WarningCode: TypeAlias = Literal[
    "orphan",
    "duplicate-dropped",
    "duplicate-id",
    "self-parent",
    "cycle",
    "start-missing",
    "negative-duration",
    "end-missing",
    "time-repaired",
    "unit-recognised",
    "value-repaired",
    "value-left-out",
    "id-missing",
    "span-left-out",
    "halves-joined",
    "other-trace",
    "service-missing",
    "from-source",
]
"""What can be wrong with spans as they were read; `from-source` is a warning that the server sent along."""


class TraceWarning(Struct, frozen=True):
    """Something strange in one trace, which is kept and reported instead of being dropped."""

    code: WarningCode
    trace_id: str
    message: str
    span_id: str = ""
    """The id of the span that it is about; empty for the whole trace."""


class Event(Struct, frozen=True):
    """Something that happened at one instant of a span."""

    time_ns: int
    name: str
    attributes: Attributes


class Link(Struct, frozen=True):
    """A reference from a span to another that is not its parent."""

    trace_id: str
    span_id: str
    attributes: Attributes


class FoundAttributes(NamedTuple):
    """A span's attributes, with enough to distinguish it from others with the same id."""

    trace_id: str
    span_id: str
    name: str
    attributes: Attributes


class SpanDetails(Protocol):
    """What a span carries beyond the columns, read from the source's bytes only when somebody asks."""

    def attributes(self) -> Attributes:
        """Read the span's attributes; of a key that occurs twice, the last."""

    def resource(self) -> Attributes:
        """Read the attributes of the span's resource, without `service.name`."""

    def events(self) -> tuple[Event, ...]:
        """Read the events, earliest first."""

    def links(self) -> tuple[Link, ...]:
        """Read every reference that does not name the parent."""

    def warnings(self) -> tuple[str, ...]:
        """Read the server's warnings about the span."""


class Traces(Struct, frozen=True, eq=False):
    """A set of traces as one table of spans.

    Iterating gives each trace as a table of its own; `len` counts traces.
    """

    trace_ids: tuple[str, ...]
    """One id per trace, lower-case hex, as long as the source gave it."""
    offsets: array[int]
    """Spans of trace `i` are the rows from `offsets[i]` to before `offsets[i + 1]`; one longer than `trace_ids`."""
    span_ids: Sequence[str]
    """The ids of spans, lower-case hex, as long as the source gave them; not unique within a trace in every source."""
    parents: array[int]
    """The row of each span's parent, -1 for a root. Free of cycles."""
    missing_parents: Mapping[int, str]
    """Rows of orphans: the id of the parent that is not in the trace."""
    follows_from: frozenset[int]
    """Rows whose parent, present or missing, is named by FOLLOWS_FROM alone: it need not have waited for them."""
    start_ns: array[int]
    """Starts in ns since the epoch, by the clocks of the spans' own hosts."""
    duration_ns: array[int]
    """Never negative."""
    kinds: array[int]
    """The kinds of spans, as `Kind` numbers."""
    statuses: array[int]
    """The statuses of spans, as `Status` numbers."""
    activities: array[int]
    """What spans do according to their attributes, as `Activity` numbers."""
    service_codes: array[int]
    name_codes: array[int]
    host_codes: array[int]
    """The host of each span, whose clock timed it; code 0 is unknown."""
    peer_codes: array[int]
    """The peer of each span; code 0 is none."""
    services: tuple[str, ...]
    """The services that codes stand for; here and in the three fields below, some may belong to no span."""
    names: tuple[str, ...]
    hosts: tuple[str, ...]
    peers: tuple[Peer | None, ...]
    details: tuple[SpanDetails, ...] | None
    """The details of each span; None when they were not read."""
    warnings: tuple[TraceWarning, ...]
    learned: Learned | None = None
    """What was learned from many traces, these or others; None where these are the only ones to learn from."""

    def __len__(self) -> int:
        return len(self.trace_ids)

    def __iter__(self) -> Iterator[Traces]:
        return (_select(self, [position], with_lost=False) for position in range(len(self)))

    def __repr__(self) -> str:
        """Give the numbers of traces and spans."""
        return f"Traces({len(self):,} traces, {self.span_count:,} spans, {len(set(self.service_codes)):,} services)"

    def _repr_html_(self) -> str:
        """Draw the first traces as a table, a line each, for notebooks."""
        first = self.select(range(min(len(self), HTML_ROWS)))
        return html_of(repr(self), first.report().records, len(self))

    def report(self) -> Report:
        """Give the traces as `traceq search` shows them, a line each, for any renderer."""
        return report_of(self)

    def to_dict(self) -> dict[str, object]:
        """Give the traces in short, as `traceq search` writes them as JSON."""
        return dict(self.report().document)

    @property
    def span_count(self) -> int:
        """The number of spans in the table."""
        return len(self.span_ids)

    def rows(self, trace: int) -> range:
        """Give the rows of the spans of the trace at this position."""
        return range(self.offsets[trace], self.offsets[trace + 1])

    def trace_of(self, row: int) -> int:
        """Give the position of the trace that a row belongs to."""
        return bisect_right(self.offsets, row) - 1

    def span(self, row: int) -> Span:
        """Give one row as a span."""
        return Span(self, row)

    def find(self, trace_id: str) -> list[int]:
        """Give the positions of traces with this id, whatever its padding, or else of those whose ids begin with it."""
        wanted = trace_id.lower()
        same = [i for i, known in enumerate(self.trace_ids) if normal_id(known) == normal_id(wanted)]
        return same or [i for i, known in enumerate(self.trace_ids) if known.startswith(wanted)]

    def select(self, positions: Sequence[int]) -> Traces:
        """Give a table of just these traces, in this order; what was told of traces without spans stays."""
        is_all = len(positions) == len(self) and list(positions) == list(range(len(self)))
        return self if is_all else _select(self, positions, with_lost=True)

    def to_frame(self) -> pd.DataFrame:
        """Give one row a span: ids, names, times in ns, kind and status as text, the peer's label.

        `parent_id` is None for a root and the missing id for an orphan. Needs pandas, which is imported here.
        """
        import pandas as pd

        owners = [trace for trace in range(len(self)) for _ in self.rows(trace)]
        return pd.DataFrame(
            {
                "trace_id": [self.trace_ids[trace] for trace in owners],
                "span_id": list(self.span_ids),
                "parent_id": [self.span(row).parent_id for row in range(self.span_count)],
                "service": [self.services[code] for code in self.service_codes],
                "name": [self.names[code] for code in self.name_codes],
                "kind": [Kind(number).name for number in self.kinds],
                "status": [Status(number).name for number in self.statuses],
                "start_ns": list(self.start_ns),
                "duration_ns": list(self.duration_ns),
                "peer": [_peer_label(self.peers[code]) for code in self.peer_codes],
                "host": [self.hosts[code] or None for code in self.host_codes],
            }
        )


PLAIN_COLUMNS = ("start_ns", "duration_ns", "kinds", "statuses", "activities")
"""Columns of numbers that mean the same in every table."""
CODE_COLUMNS = ("service_codes", "name_codes", "host_codes", "peer_codes")
"""Columns of codes, which stand for what their own table lists."""


class Span(Struct, frozen=True):
    """A row of a span table under the names of its columns."""

    traces: Traces
    row: int

    @property
    def span_id(self) -> str:
        """Lower-case hex."""
        return self.traces.span_ids[self.row]

    @property
    def trace_id(self) -> str:
        """Lower-case hex."""
        return self.traces.trace_ids[self.traces.trace_of(self.row)]

    @property
    def parent_id(self) -> str | None:
        """The parent's span id, present in the trace or not; None for a span that names none."""
        parent = self.traces.parents[self.row]
        return self.traces.span_ids[parent] if parent >= 0 else self.traces.missing_parents.get(self.row)

    @property
    def follows_from(self) -> bool:
        """Whether it names its parent by FOLLOWS_FROM alone, so that the parent need not have waited for it."""
        return self.row in self.traces.follows_from

    @property
    def is_root(self) -> bool:
        """Whether nothing in the trace is its parent; true for orphans."""
        return self.traces.parents[self.row] < 0

    @property
    def is_orphan(self) -> bool:
        """Whether it names a parent that is not in the trace."""
        return self.row in self.traces.missing_parents

    @property
    def service(self) -> str:
        """The resource's `service.name`."""
        return self.traces.services[self.traces.service_codes[self.row]]

    @property
    def name(self) -> str:
        """What the span is called; Jaeger's operation."""
        return self.traces.names[self.traces.name_codes[self.row]]

    @property
    def kind(self) -> Kind:
        """The span's kind."""
        return Kind(self.traces.kinds[self.row])

    @property
    def status(self) -> Status:
        """The span's status."""
        return Status(self.traces.statuses[self.row])

    @property
    def has_error(self) -> bool:
        """Whether the span itself failed."""
        return self.traces.statuses[self.row] == Status.ERROR

    @property
    def activity(self) -> Activity:
        """What the span does towards others, according to its attributes."""
        return Activity(self.traces.activities[self.row])

    @property
    def peer(self) -> Peer | None:
        """What the span talked to, according to its own attributes."""
        return self.traces.peers[self.traces.peer_codes[self.row]]

    @property
    def host(self) -> str:
        """The machine or pod; empty when not given."""
        return self.traces.hosts[self.traces.host_codes[self.row]]

    @property
    def start_ns(self) -> int:
        """Since the epoch."""
        return self.traces.start_ns[self.row]

    @property
    def duration_ns(self) -> int:
        """Never negative."""
        return self.traces.duration_ns[self.row]

    @property
    def end_ns(self) -> int:
        """Since the epoch."""
        return self.start_ns + self.duration_ns

    @property
    def details(self) -> SpanDetails:
        """Attributes, resource, events and links.

        Raises:
            ValueError: If the table was read without them.
        """
        if self.traces.details is None:
            raise ValueError("these traces were read without attributes")
        return self.traces.details[self.row]


def normal_id(hex_id: str) -> str:
    """Give an id as it compares: lower case, without leading zeros (Jaeger v1 pads ids to 16 or 32, v3 to 32)."""
    return hex_id.lower().lstrip("0")


def low_half(trace_id: str) -> str:
    """Give the low 64 bits of a trace's id for comparison: some tracers pass on only these."""
    return normal_id(trace_id[-16:])


def is_same_trace(one: str, other: str) -> bool:
    """Tell whether two ids are of one trace, however padded, or one of them the low 64 bits of the other."""
    # Every link of every span is compared: nearly all of them differ in the low half.
    if len(one) >= 16 <= len(other) and one[-16:].lower() != other[-16:].lower():
        return False
    if normal_id(one) == normal_id(other):
        return True
    return min(len(normal_id(one)), len(normal_id(other))) <= 16 and low_half(one) == low_half(other) != ""


def _peer_label(peer: Peer | None) -> str | None:
    return None if peer is None else peer.label


def _select(traces: Traces, positions: Sequence[int], *, with_lost: bool) -> Traces:
    runs = [slice(rows.start, rows.stop) for rows in map(traces.rows, positions)]
    starts = array("q", accumulate((run.stop - run.start for run in runs), initial=0))
    trace_ids = tuple(traces.trace_ids[position] for position in positions)
    places = {trace_id: place for place, trace_id in enumerate(trace_ids)}
    told = sorted(
        (warning for warning in traces.warnings if warning.trace_id in places),
        key=lambda warning: places[warning.trace_id],
    )
    if with_lost and traces.warnings:
        told += lost_of(traces)
    missing = traces.missing_parents
    columns: dict[str, Any] = {name: _cut(getattr(traces, name), runs) for name in PLAIN_COLUMNS + CODE_COLUMNS}
    return replace(
        traces,
        **columns,
        trace_ids=trace_ids,
        offsets=starts,
        span_ids=_cut_texts(traces.span_ids, runs),
        parents=_cut_parents(traces.parents, runs),
        missing_parents={new: missing[old] for new, old in _cut_rows(missing, runs, starts)},
        follows_from=frozenset(new for new, _ in _cut_rows(traces.follows_from, runs, starts)),
        details=None if traces.details is None else _cut_texts(traces.details, runs),
        warnings=tuple(told),
    )


def lost_of(traces: Traces) -> list[TraceWarning]:
    """Give the warnings about traces that are not in the table, since none of their spans can be read."""
    known = frozenset(traces.trace_ids)
    return [warning for warning in traces.warnings if warning.trace_id not in known]


def _cut(column: array[int], runs: Iterable[slice]) -> array[int]:
    cut = array(column.typecode)
    for run in runs:
        cut.extend(column[run])
    return cut


def _cut_texts(column: Sequence[_Value], runs: Iterable[slice]) -> tuple[_Value, ...]:
    values = tuple(column)
    return tuple(chain.from_iterable(values[run] for run in runs))


def _cut_parents(parents: array[int], runs: Iterable[slice]) -> array[int]:
    cut = array(parents.typecode)
    for run in runs:
        shift = len(cut) - run.start
        cut.extend([parent + shift if parent >= 0 else -1 for parent in parents[run]])
    return cut


def _cut_rows(rows: Iterable[int], runs: Iterable[slice], starts: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Give those of these rows that are kept: the new number of each, and the old."""
    known = sorted(rows)
    if not known:
        return
    for run, start in zip(runs, starts, strict=False):
        for row in known[bisect_left(known, run.start) : bisect_left(known, run.stop)]:
            yield row - run.start + start, row


def count_warnings(warnings: Iterable[TraceWarning]) -> Counter[WarningCode]:
    """Count warnings by what they are about."""
    return Counter(warning.code for warning in warnings)
