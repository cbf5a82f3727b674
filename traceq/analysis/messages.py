"""Messages: which producers they come from, in the same trace or another one, and how long they waited in between.

A consumer's parent names one producer, its links name others, whose spans may be in traces that are read later. So both
ends are kept, and tied together when everything was read.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.calls import Calls, Node, find_polls
from traceq.analysis.clocks import clock_codes, clock_of
from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import distinct
from traceq.learned import ClockError
from traceq.semantics import Activity, Kind, Status
from traceq.traces import normal_id


def find_waits(spans: Columns, rows: Ints) -> Ints:
    """Give how long the messages of these rows waited, in ns; -1 where that is not known, and for other spans.

    They waited from the end of the producer's span, their parent, to the start of the consumer's; not at all where they
    were taken before the producer had its acknowledgement. What seems to be taken before it was sent proves that clocks
    are wrong, and nothing is known.
    """
    parents = np.where(spans.parents[rows] >= 0, spans.parents[rows], rows)
    is_message = (spans.roles[rows] == Kind.CONSUMER) & (spans.roles[parents] == Kind.PRODUCER)
    # Who only receives may have asked before there was a message.
    receives = spans.activities[rows] == Activity.RECEIVES
    is_known = is_message & (np.where(receives, spans.end_ns[rows], spans.start_ns[rows]) >= spans.start_ns[parents])
    return np.where(is_known, np.maximum(spans.start_ns[rows] - spans.end_ns[parents], 0), -1)


class Producer(NamedTuple):
    """Who sends messages, and where to."""

    node: Node
    broker: Node | None
    takers: frozenset[Node]
    """Who has consumers of them below the producer's span."""


class Moment(NamedTuple):
    """When a span began and ended, by a clock whose known error was corrected."""

    begun_ns: int
    ended_ns: int
    clocks: int
    """The group of clocks with which it is comparable; see `learned.ClockError`. -1 for those never proven wrong."""


def _numbers() -> array[int]:
    return array("q")


class Sent(Struct, frozen=True):
    """Messages as their producers recorded them; can be added to others. Arrays have one entry for each message."""

    producers: tuple[Producer, ...] = ()
    number: array[int] = field(default_factory=_numbers)
    """The position of the message's producer in `producers`."""
    keys: array[int] = field(default_factory=_numbers)
    """Which span it is; see `_key`."""
    begun_ns: array[int] = field(default_factory=_numbers)
    """See `Moment`, here and in the two fields below."""
    ended_ns: array[int] = field(default_factory=_numbers)
    clocks: array[int] = field(default_factory=_numbers)
    failed: array[int] = field(default_factory=_numbers)

    def __add__(self, other: Sent) -> Sent:
        place = {producer: at for at, producer in enumerate(dict.fromkeys((*self.producers, *other.producers)))}
        theirs = array("q", [place[other.producers[number]] for number in other.number])
        columns = ("keys", "begun_ns", "ended_ns", "clocks", "failed")
        return Sent(
            tuple(place), self.number + theirs, *(getattr(self, name) + getattr(other, name) for name in columns)
        )


class Taken(Struct, frozen=True):
    """Messages that one consumer took, and whose producers only its links name."""

    node: Node
    broker: Node | None
    """The broker by the consumer's own name for it."""
    trace_id: str
    keys: tuple[int, ...]
    """The spans that it links to, each once."""
    moment: Moment
    counted: int = 0
    """How many of the messages are counted on the edge from the broker already, with spans that process them."""
    receives: bool = False
    """Whether they are only received: that does not count where the same service processes them elsewhere."""
    is_processed: bool = True
    """Whether it is known which span processes them."""
    has_failed: bool = False
    critical_ns: int = 0
    """How long the consumer holds its critical path; 0 unless requested."""


class Messages(Struct, frozen=True, eq=False):
    """The messages of a table, as far as other tables may have their other ends."""

    sent: Sent
    taken: tuple[Taken, ...]
    apart: Flags
    """Which of the table's calls count with `taken` alone."""


class _Drawn(Struct, frozen=True):
    """A consumer's row, and what its links add to its parent."""

    row: int
    keys: tuple[int, ...]
    processor: int
    """A row that processes one of the messages."""
    counted: int = 0
    is_processed: bool = True


def find_messages(recorded: Columns, calls: Calls, held_ns: Ints) -> Messages:
    """Find what producers sent, and what consumers took whose links name producers.

    Args:
        recorded: The spans with the times of their own clocks.
        calls: All calls among them.
        held_ns: How long each call holds critical paths; zeros where that is not measured.
    """
    ends = _Ends(recorded, calls)
    apart = np.zeros(calls.caller.size, dtype=np.bool_)
    taken = []
    for drawn in _Links(calls).drawn():
        call = ends.incoming.get(drawn.row, -1)
        if call >= 0 and not _is_tied(calls.spans, drawn.row):
            apart[call] = True
        taken.append(ends.taken(drawn, int(held_ns[call]) if call >= 0 and apart[call] else 0))
    return Messages(ends.sent(), tuple(taken), apart)


def _is_tied(spans: Columns, row: int) -> bool:
    """Tell whether the consumer's parent sent it a message, or belongs to another service."""
    parent = spans.parents.item(row)
    if parent < 0:
        return False
    crosses = spans.services.item(parent) != spans.services.item(row)
    return bool(crosses or spans.roles.item(parent) == Kind.PRODUCER)


class _Links:
    """What the links of a table's consumers add to their parents."""

    def __init__(self, calls: Calls) -> None:
        self.spans = calls.spans
        self.rows_of: dict[int, dict[str, list[int]]] = {}

    def drawn(self) -> Iterator[_Drawn]:
        """Give consumers with links to producers.

        Links of a poll are those of the spans below that process its messages, where these have none themselves: all of
        one span, or one of each span, in order. Else it is not known which span processes which message.
        """
        spans = self.spans
        if spans.traces.details is None:
            return
        consumers = np.flatnonzero(spans.roles == Kind.CONSUMER)
        polls = find_polls(spans)
        linked = {row: keys for row in consumers.tolist() if (keys := self._keys(row))}
        below = defaultdict(list)
        for row in consumers[polls[consumers] >= 0].tolist():
            below[polls.item(row)].append(row)
        for row, keys in linked.items():
            if row in below:
                yield from self._polled(row, keys, below[row], linked)
            else:
                yield _Drawn(row, keys, row)

    def _polled(
        self, poll: int, keys: tuple[int, ...], below: list[int], linked: Mapping[int, tuple[int, ...]]
    ) -> Iterator[_Drawn]:
        """Give what a poll adds to the spans that process what it received."""
        spans = self.spans
        named = {key for row in below for key in (*linked.get(row, ()), self._parent_key(row))}
        left = tuple(key for key in keys if key not in named)
        silent = [row for row in below if row not in linked and not _is_tied(spans, row)]
        silent.sort(key=lambda row: (spans.start_ns.item(row), row))
        if left and len(silent) == 1:
            yield _Drawn(silent[0], left, silent[0])
        elif len(silent) == len(left):
            yield from (_Drawn(row, (key,), row) for row, key in zip(silent, left, strict=True))
        elif left:
            yield _Drawn(poll, left, below[0], min(len(silent), len(left)), is_processed=False)

    def _keys(self, row: int) -> tuple[int, ...]:
        """List what a consumer links to, without its parent, and without spans of its trace that are no producers."""
        traces, details = self.spans.traces, self.spans.traces.details
        links = () if details is None else details[row].links()
        if not links:
            return ()
        trace = self.spans.trace.item(row)
        own_id = normal_id(traces.trace_ids[trace])
        told = {
            _key(link.trace_id, link.span_id): None
            for link in links
            if normal_id(link.trace_id) != own_id or self._is_producer(trace, link.span_id)
        }
        told.pop(self._parent_key(row), None)
        return tuple(told)

    def _is_producer(self, trace: int, span_id: str) -> bool:
        """Tell whether one of a trace's spans of this id produces, or no span has it."""
        if trace not in self.rows_of:
            found: dict[str, list[int]] = {}
            for row in self.spans.traces.rows(trace):
                found.setdefault(normal_id(self.spans.traces.span_ids[row]), []).append(row)
            self.rows_of[trace] = found
        rows = self.rows_of[trace].get(normal_id(span_id), [])
        return not rows or bool((self.spans.told_roles[rows] == Kind.PRODUCER).any())

    def _parent_key(self, row: int) -> int:
        parent = self.spans.parents.item(row)
        return _key_of(self.spans, parent) if parent >= 0 else 0


def _key_of(spans: Columns, row: int) -> int:
    return _key(spans.traces.trace_ids[spans.trace.item(row)], spans.traces.span_ids[row])


def _key(trace_id: str, span_id: str) -> int:
    """Give 64 bits that stand for a span, whatever the padding of its ids."""
    text = f"{normal_id(trace_id)} {normal_id(span_id)}"
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


class _Ends:
    """The ends of messages as sums keep them."""

    def __init__(self, recorded: Columns, calls: Calls) -> None:
        self.calls = calls
        self.spans = calls.spans
        self.recorded = recorded
        is_end = calls.is_async & (calls.via < 0)
        incoming = np.flatnonzero(is_end & (calls.near < 0))
        outgoing = np.flatnonzero(is_end & (calls.far < 0))
        self.incoming = dict(zip(calls.far[incoming].tolist(), incoming.tolist(), strict=True))
        self.outgoing = dict(zip(calls.near[outgoing].tolist(), outgoing.tolist(), strict=True))
        self.errors = {} if recorded.learned is None else recorded.learned.clocks

    def _moments(self, rows: Ints) -> list[Moment]:
        """Give the times of spans, with the errors of their clocks taken away."""
        spans = self.recorded
        codes, _ = clock_codes(spans, rows, rows)
        known = {code: self.errors.get(clock_of(spans, code), _RIGHT) for code in distinct(codes).tolist()}
        told = (codes, spans.start_ns[rows], spans.duration_ns[rows])
        moments = []
        for code, start_ns, duration_ns in zip(*(column.tolist() for column in told), strict=True):
            error = known[code]
            begun_ns = start_ns - error.ahead_ns - round(error.drift * (start_ns - error.since_ns))
            moments.append(Moment(begun_ns, begun_ns + duration_ns, error.group))
        return moments

    def sent(self) -> Sent:
        """Give every message that was sent, and the spans around it that count as the same one."""
        spans = self.spans
        rows = np.flatnonzero(spans.roles == Kind.PRODUCER)
        # Links may name the library's span or the one around it: whichever passed its context on.
        around = spans.parents[rows]
        outer = (around >= 0) & (spans.roles[around] == Kind.INTERNAL) & (spans.told_roles[around] == Kind.PRODUCER)
        named = np.concatenate((rows, around[outer]))
        own = np.concatenate((rows, rows[outer]))
        numbers: dict[Producer, int] = {}
        takers = self._takers()
        number = [numbers.setdefault(self._producer(row, takers), len(numbers)) for row in own.tolist()]
        moments = self._moments(own)
        return Sent(
            tuple(numbers),
            array("q", number),
            array("q", [_key_of(spans, row) for row in named.tolist()]),
            array("q", [moment.begun_ns for moment in moments]),
            array("q", [moment.ended_ns for moment in moments]),
            array("q", [moment.clocks for moment in moments]),
            array("q", (spans.statuses[own] == Status.ERROR).tolist()),
        )

    def _producer(self, row: int, takers: Mapping[int, frozenset[Node]]) -> Producer:
        node = self.calls.nodes[self.spans.services.item(row)]
        call = self.outgoing.get(row, -1)
        broker = self.calls.nodes[self.calls.callee.item(call)] if call >= 0 else None
        return Producer(node, broker, takers.get(row, frozenset()))

    def _takers(self) -> dict[int, frozenset[Node]]:
        spans, nodes = self.spans, self.calls.nodes
        taken = np.flatnonzero((spans.roles == Kind.CONSUMER) & (spans.parents >= 0))
        taken = taken[spans.roles[spans.parents[taken]] == Kind.PRODUCER]
        found: dict[int, frozenset[Node]] = {}
        one = {code: frozenset((nodes[code],)) for code in distinct(spans.services[taken]).tolist()}
        for parent, code in zip(spans.parents[taken].tolist(), spans.services[taken].tolist(), strict=True):
            found[parent] = found[parent] | one[code] if parent in found else one[code]
        return found

    def taken(self, drawn: _Drawn, critical_ns: int) -> Taken:
        """Give the messages of a consumer."""
        spans, row = self.spans, drawn.row
        call = self.incoming.get(drawn.processor, -1)
        [moment] = self._moments(np.array([row], dtype=np.int64))
        return Taken(
            node=self.calls.nodes[spans.services.item(row)],
            broker=self.calls.nodes[self.calls.caller.item(call)] if call >= 0 else None,
            trace_id=spans.traces.trace_ids[spans.trace.item(row)],
            keys=drawn.keys,
            moment=moment,
            counted=drawn.counted,
            receives=spans.activities.item(row) == Activity.RECEIVES,
            is_processed=drawn.is_processed,
            has_failed=bool(spans.statuses.item(row) == Status.ERROR),
            critical_ns=critical_ns,
        )


_RIGHT = ClockError(-1, 0, 0.0, 0)
"""The error of a clock that nothing proves wrong."""


class Way(Struct, frozen=True):
    """The way of one message to a consumer; times are -1 where they are not known."""

    taken: Taken
    broker: Node | None
    """The broker by its producer's name for it, else by its consumer's."""
    sender: Node | None
    """None where the producer's span is not among those that were read."""
    leaves_broker: bool
    """Whether the message counts on the edge from the broker; see `Taken.counted`."""
    wait_ns: int
    sending_ns: int
    processing_ns: int
    has_failed: bool
    """Whether the sending failed."""
    critical_ns: int


def find_ways(sent: Sent, taken: tuple[Taken, ...]) -> Iterator[Way]:
    """Tie messages to their producers: one way for each message and consumer.

    Where a service has one span that receives a message and another that processes it, in whatever traces, both name
    its producer: only the processing counts.
    """
    wanted = {key for consumer in taken for key in consumer.keys}
    place = {key: at for at, key in enumerate(sent.keys) if key in wanted} if wanted else {}
    processed = {(key, consumer.node) for consumer in taken if not consumer.receives for key in consumer.keys}
    for consumer in taken:
        left = [key for key in consumer.keys if not _is_processed(consumer, key, sent, place, processed)]
        for number, key in enumerate(left):
            way = _way(consumer, sent, place.get(key, -1))
            is_first, is_counted = number == 0, number < consumer.counted
            yield replace(way, leaves_broker=not is_counted, critical_ns=consumer.critical_ns if is_first else 0)


def _is_processed(
    consumer: Taken, key: int, sent: Sent, place: Mapping[int, int], processed: AbstractSet[tuple[int, Node]]
) -> bool:
    """Tell whether the consumer only received a message that its service processes elsewhere."""
    if not consumer.receives:
        return False
    at = place.get(key, -1)
    takers = sent.producers[sent.number[at]].takers if at >= 0 else frozenset()
    return (key, consumer.node) in processed or consumer.node in takers


def _way(consumer: Taken, sent: Sent, at: int) -> Way:
    begun_ns, ended_ns, clocks = consumer.moment
    processing_ns = ended_ns - begun_ns if consumer.is_processed else -1
    way = Way(consumer, consumer.broker, None, True, -1, -1, processing_ns, False, 0)  # noqa: FBT003
    if at < 0:
        return way
    producer = sent.producers[sent.number[at]]
    wait_ns = -1
    if consumer.is_processed and clocks == sent.clocks[at]:
        is_possible = (ended_ns if consumer.receives else begun_ns) >= sent.begun_ns[at]
        wait_ns = max(begun_ns - sent.ended_ns[at], 0) if is_possible else -1
    return replace(
        way,
        broker=producer.broker or consumer.broker,
        sender=producer.node,
        wait_ns=wait_ns,
        sending_ns=sent.ended_ns[at] - sent.begun_ns[at],
        has_failed=bool(sent.failed[at]),
    )
