"""Requests examined: which spans delay them, by one rule for one trace and for many, and which spans are looked for.

Time on a path is charged to the span that holds it, or to the callee that its caller waits for: one rule for every
question, whether spans have kinds or not, since calls are recognised by roles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Columns, Ints, columns, self_times
from traceq.analysis.critical_path import Paths, find_paths
from traceq.analysis.grouping import fold_ancestors, moved, numbered_rows, sum_by_group
from traceq.analysis.learning import Skew, corrected
from traceq.analysis.requests import Measure, RequestOptions, Requests, find_requests
from traceq.report import Column, Rows, Unit
from traceq.semantics import STATEMENT, Attributes, Kind, Peer, first_text, value_text
from traceq.traces import Span, Traces


class Charges(Struct, frozen=True, eq=False):
    """Critical time of each span in two parts, its own and network time; arrays have one entry for each span."""

    kept_ns: Ints
    """Own critical time that stays with the span; 0 for the client side of a call."""
    network_ns: Ints
    """Network time: own critical time of the client side of the call to this span (network, queue, connection pool)."""
    client: Ints
    """Row of the client side of the call to this span, -1 where there is none."""

    @property
    def charged_ns(self) -> Ints:
        """Give the critical time of each span; the sum over all spans is that of their own critical times."""
        return self.kept_ns + self.network_ns


def charge(spans: Columns, own_ns: Ints) -> Charges:
    """Move the own critical time of the client sides of calls to the spans that they called.

    Between a client and its server lies the network, a queue or a connection pool: the callee's side of the call. On
    labelled faults this choice nearly doubled the hits.

    Args:
        spans: Any table.
        own_ns: The own critical time of each span (`Paths.own_ns`).
    """
    client = _client_sides(spans)
    callees = np.flatnonzero(client >= 0)
    network_ns = moved(own_ns[client[callees]], callees, own_ns.size)
    kept_ns = own_ns.copy()
    kept_ns[client[callees]] = 0
    return Charges(kept_ns, network_ns, client)


def _client_sides(spans: Columns) -> Ints:
    """Give for each span that was called the row of its caller's client span, -1 for the others.

    The called span serves, and is the only child of its client span: a client span with other children makes several
    calls or works itself, and its time is not only waiting. Nor does it wait for a span that only follows from it.
    """
    parents = spans.parents
    child_counts = np.bincount(parents[parents >= 0], minlength=parents.size)
    called = (spans.roles == Kind.SERVER) & (spans.roles[parents] == Kind.CLIENT) & (child_counts[parents] == 1)
    return np.where(called & ~spans.follows & (parents >= 0), parents, -1)


_FLAGGED_RATIO = 0.2
"""The minimum share of its request's latency that makes a call a bottleneck."""
_MOST_RATIO = 0.5
"""Where the request itself holds more than this share, none of its calls is a bottleneck."""
_NOTABLE_NETWORK = 0.1
"""The minimum share of its time that is said to be between caller and callee."""


class Examined(Struct, frozen=True, eq=False):
    """Requests with everything that rankings and drawings need; arrays have one entry for each span."""

    requests: Requests
    paths: Paths
    skew: Skew
    self_ns: Ints
    charged_ns: Ints
    """Critical time in ns, with network time charged to the callee."""
    network_ns: Ints
    """Network time: the part of `charged_ns` that came from the caller (network, queue, connection pool)."""

    @property
    def spans(self) -> Columns:
        """The table with corrected clocks, every entry span a root."""
        return self.requests.spans

    def measured(self, measure: Measure) -> Ints:
        """Give the measure by which spans are ranked, in ns."""
        match measure:
            case "critical-time":
                return self.charged_ns
            case "self-time":
                return self.self_ns
            case "duration":
                return self.spans.duration_ns
            case _:
                assert_never(measure)


def examine(traces: Traces, options: RequestOptions) -> Examined:
    """Correct clocks, find requests, walk their critical paths, and charge time to spans."""
    spans, skew = corrected(columns(traces), correct_skew=options.correct_skew)
    requests = find_requests(spans, options)
    paths = find_paths(requests.spans)
    own_ns = np.where(requests.entry >= 0, paths.own_ns, 0)
    charges = charge(requests.spans, own_ns)
    return Examined(requests, paths, skew, self_times(requests.whole), charges.charged_ns, charges.network_ns)


class Culprit(Struct, frozen=True):
    """A call that delays its request, with its repetitions: alike siblings count together.

    Plain values, so that it outlives the table it was found in.
    """

    span_id: str
    """The id of the span that held most; other values of a single span are of this one too."""
    service: str
    name: str
    peer: Peer | None
    duration_ns: int
    row: int
    """The row of this span in the table that was examined."""
    rows: tuple[int, ...]
    """The rows of all spans of the call, in input order."""
    held_ns: int
    """The measure by which spans are ranked, summed over all spans of the call."""
    ratio: float
    """The share of the request's latency."""
    network_ns: int | None
    """The part of this between caller and callee; None by measures that do not charge it to anybody."""
    chain: tuple[tuple[str, str], ...]
    """Service and operation of every span from the request's entry down to this one."""
    statement: str
    """The query it ran or the URL it called; empty where it is not recorded or attributes were left out."""
    is_entry: bool = False
    """Whether it is the request itself rather than a call below it: its work has no other span."""

    @property
    def outside_ns(self) -> int:
        """Its time between caller and callee if that is so much that its own duration does not explain it, else 0."""
        network_ns = self.network_ns or 0
        return network_ns if network_ns >= _NOTABLE_NETWORK * self.held_ns else 0


CULPRIT_COLUMNS: tuple[Column[Culprit] | Rows[Culprit], ...] = (
    Column("span_id", "span", about="id of the call that held most"),
    Column("service", "service", Unit.SERVICE),
    Column("operation", "operation", value=lambda one: one.name),
    Column(
        "peer", "peer", value=lambda one: None if one.peer is None else one.peer.label, about="what was called, as text"
    ),
    Column("call_count", "calls", Unit.COUNT, lambda one: len(one.rows), "calls, alike siblings together"),
    Column("held_ns", "held", Unit.DURATION, about="by the measure that ranks, all calls together"),
    Column("ratio", "share", Unit.RATIO, about="share of the request's latency"),
    Column("network_ns", "network", Unit.DURATION, about="the part between caller and callee; null by other measures"),
    Column("duration_ns", "duration", Unit.DURATION, about="that of the longest call"),
    Rows(
        "chain",
        (
            Column[tuple[str, str]]("service", value=lambda step: step[0]),
            Column[tuple[str, str]]("operation", value=lambda step: step[1]),
        ),
        about="from the request's entry down to the call",
        text=lambda one: " > ".join(name for _, name in one.chain),
    ),
    Column("statement", "statement", value=lambda one: one.statement or None, about="the query or the URL, if told"),
    Column("is_entry", "itself", about="whether it is the request itself, and no call"),
)


def culprits(examined: Examined, entry: int, measure: Measure) -> tuple[Culprit, ...]:
    """Flag the calls below a request's entry that hold at least a fifth of it, or the one that holds most.

    Siblings of one service, name, role and peer count as one call: 47 sequential queries of 4 ms make a request slow,
    though none of them is slow itself. No call is flagged where the request itself holds more than half, or more than
    any call while none holds a fifth: then the request itself is flagged; where spans are ranked by duration only
    where no call lasts a fifth of it. A fragment, whose parent is missing, is compared with its trace, and nothing is
    flagged below a fifth of it.

    Returns:
        The culprits, the greatest first; empty for a request of zero duration.
    """
    spans = examined.spans
    first, stop = spans.traces.offsets[spans.trace[entry]], spans.traces.offsets[spans.trace[entry] + 1]
    rows = first + np.flatnonzero(examined.requests.entry[first:stop] == entry)
    calls, sums = _calls(examined, rows, measure)
    own_ns = 0 if measure == "duration" else int(examined.measured(measure)[entry])
    whole_ns, is_fragment = int(spans.duration_ns[entry]), entry in spans.traces.missing_parents
    if is_fragment:
        tops = first + np.flatnonzero(np.asarray(spans.traces.parents[first:stop]) < 0)
        whole_ns = int(spans.duration_ns[tops].max())
    greatest_ns = int(sums.max(initial=0))
    least_ns = max(1, _FLAGGED_RATIO * whole_ns)
    if max(own_ns, greatest_ns) < (least_ns if is_fragment else 1):
        return ()
    if measure == "duration" and greatest_ns < least_ns and int(examined.self_ns[entry]) > greatest_ns:
        # No call lasts long: what the request does itself, all its duration would be no answer.
        return (_culprit(examined, rows[rows == entry], whole_ns, "self-time", is_entry=True),)
    if own_ns > _MOST_RATIO * whole_ns or (greatest_ns < least_ns and own_ns > greatest_ns):
        return (_culprit(examined, rows[rows == entry], whole_ns, measure, is_entry=True),)
    flagged = np.flatnonzero(sums >= least_ns)
    if not flagged.size:
        flagged = np.array([sums.argmax()])
    found = [_culprit(examined, rows[calls == call], whole_ns, measure) for call in flagged.tolist()]
    return tuple(sorted(found, key=lambda culprit: (-culprit.held_ns, culprit.row)))


def _calls(examined: Examined, rows: Ints, measure: Measure) -> tuple[Ints, Ints]:
    """Number the calls that the rows of a request belong to, and give the measure of each; 0 for the request itself."""
    spans = examined.spans
    told = (spans.parents, spans.services, spans.names, spans.told_roles, spans.peers)
    _, calls = numbered_rows(*(column[rows] for column in told))
    held_ns = np.where(spans.parents[rows] < 0, 0, examined.measured(measure)[rows])
    return calls, sum_by_group(calls, held_ns, int(calls.max()) + 1)


def _culprit(examined: Examined, rows: Ints, latency_ns: int, measure: Measure, *, is_entry: bool = False) -> Culprit:
    traces = examined.spans.traces
    held_ns = examined.measured(measure)[rows]
    span = traces.span(int(rows[np.argmax(held_ns)]))
    return Culprit(
        span_id=span.span_id,
        service=span.service,
        name=span.name,
        peer=span.peer,
        duration_ns=span.duration_ns,
        row=span.row,
        rows=tuple(rows.tolist()),
        held_ns=int(held_ns.sum()),
        ratio=int(held_ns.sum()) / latency_ns,
        network_ns=int(examined.network_ns[rows].sum()) if measure == "critical-time" else None,
        chain=_chain(examined.spans, span.row),
        statement="" if traces.details is None else first_text(span.details.attributes(), STATEMENT),
        is_entry=is_entry,
    )


def _chain(spans: Columns, row: int) -> tuple[tuple[str, str], ...]:
    chain = []
    while row >= 0:
        span = spans.traces.span(row)
        chain.append((span.service, span.name))
        row = int(spans.parents[row])
    return tuple(reversed(chain))


class Wanted(Struct, frozen=True):
    """What spans have to be; by default every span is."""

    text: str | None = None
    """What a name, an attribute or an event has to contain, in upper or lower case; None for anything."""
    on_path: bool = False
    """Whether the span has to hold the critical path."""
    root: int | None = None
    """The row below which it has to lie, or be; None for anywhere."""

    @property
    def is_all(self) -> bool:
        """Whether every span is wanted."""
        return self == Wanted()


class Selection(Struct, frozen=True):
    """The spans of a trace that are wanted."""

    wanted: Wanted
    rows: frozenset[int]
    matches: Mapping[int, tuple[str, ...]] = {}
    """For each row where the text was found: `operation`, `attribute db.statement`, `event message_saved`, ..."""


def select_spans(examined: Examined, wanted: Wanted) -> Selection:
    """Find the spans of a table that are wanted.

    Raises:
        ValueError: If a text is wanted and the traces were read without attributes.
    """
    parents = examined.spans.parents
    kept = np.ones(parents.size, dtype=np.bool_)
    if wanted.on_path:
        kept &= examined.paths.own_ns > 0
    if wanted.root is not None:
        is_root = np.arange(parents.size) == wanted.root
        kept &= fold_ancestors(parents, is_root, np.logical_or)
    rows = np.flatnonzero(kept).tolist()
    if wanted.text is None:
        return Selection(wanted, frozenset(rows))
    sought = wanted.text.casefold()
    found = {row: tuple(dict.fromkeys(_places(examined.spans.traces.span(row), sought))) for row in rows}
    matches = {row: places for row, places in found.items() if places}
    return Selection(wanted, frozenset(matches), matches)


def _places(span: Span, sought: str) -> Iterator[str]:
    """Name the parts of a span that contain a text; of attributes the key, an equals sign and the value count."""
    own = (("operation", span.name), ("service", span.service), ("span", span.span_id), ("host", span.host))
    yield from (place for place, text in own if sought in text.casefold())
    if span.peer is not None and sought in span.peer.label.casefold():
        yield "peer"
    details = span.details
    yield from (f"attribute {key}" for key in _keys(details.attributes(), sought))
    yield from (f"resource {key}" for key in _keys(details.resource(), sought))
    for event in details.events():
        if sought in event.name.casefold() or any(_keys(event.attributes, sought)):
            yield f"event {event.name}"


def _keys(attributes: Attributes, sought: str) -> Iterator[str]:
    return (key for key, value in attributes.items() if sought in f"{key}={value_text(value)}".casefold())
