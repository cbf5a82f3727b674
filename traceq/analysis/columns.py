"""A span table as numpy arrays, with what every analysis derives from it: roles, self times, what a name means."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.grouping import (
    Codes,
    Flags,
    Ints,
    Small,
    TimeKeys,
    find_roots,
    flags_at,
    least_by_group,
    numbered,
    numbered_rows,
    sum_by_run,
)
from traceq.learned import Learned
from traceq.semantics import Activity, Kind, Peer, activity_from_name, operation
from traceq.traces import Traces

__all__ = ["Codes", "Columns", "Flags", "Ints", "columns", "meaning_among", "meanings", "named", "self_times"]
_Value = TypeVar("_Value", bound=np.generic)


class Columns(Struct, frozen=True, eq=False):
    """The columns of a span table; every array has one entry for each span."""

    traces: Traces
    trace: Ints
    """Position of the span's trace."""
    parents: Ints
    """Row of the parent; -1 for a root."""
    start_ns: Ints
    """The span's start in ns since the epoch."""
    end_ns: Ints
    duration_ns: Ints
    roles: Small
    """What the span is in a conversation, as a `Kind` number, never UNSPECIFIED; see `_roles`."""
    told_roles: Small
    """The role by the span alone, without the spans around it: groups of spans use this one."""
    activities: Small
    """What the span does towards others, as an `Activity` number."""
    statuses: Small
    services: Codes
    names: Codes
    hosts: Codes
    peers: Codes
    follows: Flags
    """Whether the span only follows from its parent: FOLLOWS_FROM."""
    orphaned: Flags
    """Whether the span names a parent that is missing from its trace."""
    rejoined: Flags
    """Whether the span names a missing parent and was put below another span because of what other traces show."""
    learned: Learned | None = None
    """What was learned from other traces; None to learn from the table itself."""
    table_rows: Ints | None = None
    """The rows of these spans in `traces`, where attributes are read; None where they are the same rows."""

    @property
    def operations(self) -> Codes:
        """A number for the span's name without ids (`semantics.operation`); `operation_names` has the names."""
        return _operations(self.traces.names)[0][self.names]

    @property
    def operation_names(self) -> tuple[str, ...]:
        """The names that `operations` numbers."""
        return _operations(self.traces.names)[1]

    def taken(self, rows: Ints, parents: Ints) -> Columns:
        """Give some of the spans, with parents among these; `traces` still explains the codes."""
        taken: dict[str, Any] = {name: _frozen(getattr(self, name)[rows]) for name in _BY_SPAN}
        table_rows = _frozen(rows if self.table_rows is None else self.table_rows[rows])
        return replace(self, **taken, parents=_frozen(parents), table_rows=table_rows)

    def shifted(self, shift_ns: Ints) -> Columns:
        """Give the same spans at other times; durations stay."""
        start_ns = _frozen(self.start_ns + shift_ns)
        return replace(self, start_ns=start_ns, end_ns=_frozen(start_ns + self.duration_ns))

    def with_parents(self, parents: Ints) -> Columns:
        """Give the same spans under other parents, for questions about parts of traces."""
        return replace(self, parents=_frozen(parents))


_NOT_BY_SPAN = {"traces", "parents", "learned", "table_rows"}
_BY_SPAN = tuple(name for name in Columns.__struct_fields__ if name not in _NOT_BY_SPAN)


@lru_cache(maxsize=4)
def _operations(names: tuple[str, ...]) -> tuple[Codes, tuple[str, ...]]:
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(operation(name), len(numbers)) for name in names], dtype=np.int32)
    return _frozen(codes), tuple(numbers)


def columns(traces: Traces) -> Columns:
    """Give numpy views of a span table, without a copy."""
    start_ns = _view(traces.start_ns)
    duration_ns = _view(traces.duration_ns)
    end_ns = _frozen(start_ns + duration_ns)
    offsets = _view(traces.offsets)
    parents = _view(traces.parents)
    services, names, hosts, peers = (
        np.asarray(codes, dtype=np.int32)
        for codes in (traces.service_codes, traces.name_codes, traces.host_codes, traces.peer_codes)
    )
    kinds = np.asarray(traces.kinds, dtype=np.int8)
    activities = _activities(traces, kinds, names, peers)
    told = _TOLD[kinds, activities]
    told[_is_either_side(kinds, activities, peers)] = Kind.INTERNAL
    spans = Columns(
        traces=traces,
        trace=_frozen(np.repeat(np.arange(len(traces), dtype=np.int64), np.diff(offsets))),
        parents=parents,
        start_ns=start_ns,
        end_ns=end_ns,
        duration_ns=duration_ns,
        roles=told,
        told_roles=told,
        activities=activities,
        statuses=np.asarray(traces.statuses, dtype=np.int8),
        services=services,
        names=names,
        hosts=hosts,
        peers=peers,
        follows=_frozen(flags_at(list(traces.follows_from), start_ns.size)),
        learned=traces.learned,
        orphaned=_frozen(flags_at(list(traces.missing_parents), start_ns.size)),
        rejoined=_frozen(np.zeros(start_ns.size, dtype=np.bool_)),
    )
    return replace(spans, roles=_frozen(_roles(spans, kinds)))


def _view(column: array[int]) -> Ints:
    # An array of type `q` has C's `long long`, numpy's int64 is C's `long`: the size is the same, but numpy's fast
    # paths need the dtype int64.
    return _frozen(np.asarray(column).view(np.int64))


def _frozen(values: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
    values.flags.writeable = False
    return values


def _told_role(kind: Kind, activity: Activity) -> Kind:
    """Give the role of a span by itself."""
    match kind, activity:
        case ((Kind.PRODUCER | Kind.CONSUMER), _):
            return kind
        case Kind.SERVER, (Activity.RECEIVES | Activity.PROCESSES | Activity.MESSAGES):
            return Kind.CONSUMER
        case Kind.SERVER, _:
            return kind
        case _, (Activity.PUBLISHES | Activity.CREATES):
            return Kind.PRODUCER
        case _, (Activity.RECEIVES | Activity.PROCESSES):
            return Kind.CONSUMER
        case _, (Activity.QUERIES | Activity.SETTLES):
            return Kind.CLIENT
        case Kind.UNSPECIFIED, Activity.SERVES:
            return Kind.SERVER
        case Kind.UNSPECIFIED, Activity.CALLS:
            return Kind.CLIENT
        case _:
            return kind or Kind.INTERNAL


_TOLD: Small = np.array([[_told_role(kind, activity) for activity in Activity] for kind in Kind], dtype=np.int8)


def _is_either_side(kinds: Small, activities: Small, peers: Codes) -> Flags:
    """Tell the spans without a kind that have `http.url`, which both sides of a call used to record."""
    either: Flags = (kinds == Kind.UNSPECIFIED) & (activities == Activity.CALLS) & (peers == 0)
    return either


def _activities(traces: Traces, kinds: Small, name_codes: Codes, peer_codes: Codes) -> Small:
    """Give activities: by name for spans that name a broker, but whose kind and attributes do not say what for."""
    activities = np.asarray(traces.activities, dtype=np.int8)
    asked = np.flatnonzero((activities == Activity.MESSAGES) & (kinds != Kind.PRODUCER) & (kinds != Kind.CONSUMER))
    if not asked.size:
        return activities
    activities = activities.copy()
    names, peers = traces.names, traces.peers
    pairs = name_codes[asked].astype(np.int64) * len(peers) + peer_codes[asked]
    # There are many spans and few names: each name is read once.
    known, of_pair = numbered(pairs)
    spoken = []
    for name, code in zip(*(part.tolist() for part in np.divmod(known, len(peers))), strict=True):
        peer = peers[code]
        spoken.append(activity_from_name(names[name], peer.name if peer else ""))
    activities[asked] = np.array(spoken, dtype=np.int8)[of_pair]
    return activities


def _roles(spans: Columns, kinds: Small) -> Small:
    """Decide what each span is: `Kind` numbers, by the span itself and the spans around it.

    The span itself comes first: its kind, unless attributes say that it publishes, receives, processes or queries. Then
    come the spans around it: of nested spans of one call the innermost counts, and where a span itself decides nothing,
    it matters whether it was entered from another service, and by what kind of span. Kinds alone do not decide this:
    spans made by hand are INTERNAL and still query, publish and consume; receivers are CLIENT in one library and
    CONSUMER in another; old clients send no kinds at all. `docs/analyses/roles.md` has the rules.

    Source: OpenTelemetry semantic conventions for messaging, databases, HTTP and RPC, 1.21 to 1.38.
    """
    settled = _same_calls(spans) | _drivers(spans) | _senders(spans)
    played = np.where(settled, np.int8(Kind.INTERNAL), spans.told_roles)
    _settle_neighbours(spans, kinds, settled, played)
    return played


def _same_calls(spans: Columns) -> Flags:
    """Tell the spans around another span of the same call, and those that work on a message received above them.

    Nested spans of a service that name the same system are one call. The innermost of them makes it: a publishing span
    and the client library's span below it are one message. For a message that was received the outermost span counts,
    and a poll around it receives nothing itself.
    """
    told, activities = spans.told_roles, spans.activities
    inner, outer = _nested(spans)
    takes = told[outer] == Kind.CONSUMER
    # What a consumer publishes is a separate message, and so is what it receives below the span that published it.
    apart = np.where(takes, told[inner] == Kind.PRODUCER, told[inner] == Kind.CONSUMER)
    is_poll = takes & (activities[outer] == Activity.RECEIVES) & (told[inner] == Kind.CONSUMER)
    is_vague = (activities[inner] == Activity.MESSAGES) & (activities[outer] != Activity.MESSAGES)
    is_part = takes & ~is_poll & (activities[inner] != Activity.SETTLES)
    same = flags_at(outer[~apart & ~takes & ~is_vague], told.size)
    same[inner[~apart & (is_part | (~takes & is_vague))]] = True
    return same


def _nested(spans: Columns) -> tuple[Ints, Ints]:
    """Pair spans that name a system with the nearest span above them, in the same service, that names any.

    Returns:
        Rows of inner and outer spans; only pairs that name the same system.
    """
    makes = _makes(spans)
    parents, services = spans.parents, spans.services
    inner = np.flatnonzero((makes > 0) & (parents >= 0))
    outer = parents[inner]
    found: list[tuple[Ints, Ints]] = []
    for _ in range(_NEAR):
        inside = services[outer] == services[inner]
        inner, outer = inner[inside], outer[inside]
        named = makes[outer] > 0
        found.append((inner[named], outer[named]))
        above = parents[outer]
        on = ~named & (above >= 0)
        inner, outer = inner[on], above[on]
        if not inner.size:
            break
    else:
        found.append(_far(makes, spans, inner, outer))
    inner, outer = (np.concatenate(parts) for parts in zip(*found, strict=True))
    alike = makes[inner] == makes[outer]
    return inner[alike], outer[alike]


_NEAR = 32
"""Number of single steps upwards; spans that have met nothing by then are resolved by pointer doubling."""


def _far(makes: Ints, spans: Columns, inner: Ints, outer: Ints) -> tuple[Ints, Ints]:
    stays = (makes > 0) | (spans.services != spans.services[spans.parents])
    outer = find_roots(np.where(stays, -1, spans.parents))[outer]
    met = (makes[outer] > 0) & (spans.services[outer] == spans.services[inner])
    return inner[met], outer[met]


def _makes(spans: Columns) -> Ints:
    """Number the pairs of kind and system of peers, 0 for none, so that spans of one system compare equal."""
    peers = spans.traces.peers
    numbers = {make: number for number, make in enumerate(dict.fromkeys(peer and peer[:2] for peer in peers), 1)}
    by_code = np.array([numbers[peer[:2]] if peer else 0 for peer in peers], dtype=np.int64)
    makes: Ints = by_code[spans.peers]
    return makes


def _drivers(spans: Columns) -> Flags:
    """Tell the drivers' spans that are siblings of the spans of the libraries above them; they are not separate calls.

    Some libraries close their span before the driver opens one, or do not make it current: then both have the same
    parent. The driver's span lies within the other's time, queries the same database, and its name is the first word of
    the other's name (`SELECT` in `SELECT shop`). The path runs through the longer one, so that one counts.
    """
    drivers = np.zeros(spans.told_roles.size, dtype=np.bool_)
    asks = (spans.activities == Activity.QUERIES) & (spans.told_roles == Kind.CLIENT)
    queries = np.flatnonzero(asks & (spans.parents >= 0))
    words, is_bare = _first_words(spans, queries)
    mixed = np.isin(words, words[is_bare]) & np.isin(words, words[~is_bare])
    if not mixed.any():
        return drivers
    queries, words, is_bare = queries[mixed], words[mixed], is_bare[mixed]
    _, group = numbered_rows(spans.parents[queries], spans.services[queries], spans.peers[queries], words)
    keys = TimeKeys(int(group.max()) + 1, spans.start_ns[queries], spans.end_ns[queries])
    starts, ends = keys.key(group, spans.start_ns[queries]), spans.end_ns[queries]
    whole = np.flatnonzero(~is_bare)[np.lexsort((ends[~is_bare], starts[~is_bare]))]
    # Of those that begin before it, the one that begins last.
    before = np.searchsorted(starts[whole], starts, side="right") - 1
    over = whole[before]
    within = is_bare & (before >= 0) & (group[over] == group) & (ends <= ends[over])
    drivers[queries[within]] = True
    return drivers


def _senders(spans: Columns) -> Flags:
    """Tell the spans that send messages which siblings created before, through the same system: these are the messages.

    Whoever sends many messages at once creates each of them in a span of its own, to which the consumer links.
    """
    senders = np.zeros(spans.told_roles.size, dtype=np.bool_)
    creates = spans.activities == Activity.CREATES
    if not creates.any():
        return senders
    rows = np.flatnonzero((spans.told_roles == Kind.PRODUCER) & (spans.parents >= 0))
    _, group = numbered_rows(spans.parents[rows], spans.services[rows], _makes(spans)[rows])
    made = creates[rows]
    first_ns = least_by_group(group[made], spans.start_ns[rows[made]], int(group.max(initial=0)) + 1)
    senders[rows] = ~made & (first_ns[group] <= spans.start_ns[rows])
    return senders


def _first_words(spans: Columns, rows: Ints) -> tuple[Ints, Flags]:
    """Number the first words of names, and tell the names that consist of one word."""
    codes, of_row = numbered(spans.names[rows].astype(np.int64))
    numbers: dict[str, int] = {}
    texts = [spans.traces.names[code] for code in codes.tolist()]
    words = np.array([numbers.setdefault(text.split(" ", 1)[0], len(numbers)) for text in texts], dtype=np.int64)
    is_bare = np.array([" " not in text for text in texts], dtype=np.bool_)
    return words[of_row], is_bare[of_row]


def _settle_neighbours(spans: Columns, kinds: Small, settled: Flags, played: Small) -> None:
    """Decide by the spans around it what a span is, where it does not say so itself.

    Below another service's span, an undecided span was entered from there: it consumes under one that publishes and
    serves under any other. A span without a kind, or INTERNAL in a trace with no other kind, is the client side of a
    call when its only child is a span of another service, and its service was not entered with it; a span with
    `http.url`, which both sides used to record, serves where its service was entered. A span that only names a broker
    publishes to it, unless the trace begins with it.
    """
    told, activities = spans.told_roles, spans.activities
    parents, services = spans.parents, spans.services
    children = np.flatnonzero(parents >= 0)
    crossing = children[services[children] != services[parents[children]]]
    counts = np.bincount(parents[children], minlength=parents.size)
    is_open = (told == Kind.INTERNAL) & ~settled
    is_vague = is_open & (activities == Activity.MESSAGES)
    played[is_vague] = np.where((parents < 0) & (counts > 0), Kind.CONSUMER, Kind.PRODUCER)[is_vague]
    entered = crossing[is_open[crossing]]
    consumes = (told[parents[entered]] == Kind.PRODUCER) | is_vague[entered]
    played[entered] = np.where(consumes, Kind.CONSUMER, Kind.SERVER)
    is_request = is_open & _is_either_side(kinds, activities, spans.peers)
    played[is_request & (played == Kind.INTERNAL)] = Kind.CLIENT
    played[is_request & (parents < 0)] = Kind.SERVER
    asks = parents[crossing]
    above = parents[asks]
    is_inner = (above >= 0) & (services[above] == services[asks])
    alone = asks[is_inner & (counts[asks] == 1) & is_open[asks] & ~is_vague[asks]]
    played[alone[(kinds[alone] == Kind.UNSPECIFIED) | _is_of_silent_trace(spans, kinds, alone)]] = Kind.CLIENT


def _is_of_silent_trace(spans: Columns, kinds: Small, rows: Ints) -> Flags:
    """Tell the rows in whose traces no span has a kind other than INTERNAL, which SDKs write by default."""
    offsets = np.asarray(spans.traces.offsets, dtype=np.int64)
    telling = np.append(0, np.cumsum(kinds > Kind.INTERNAL))
    is_silent = telling[offsets[1:]] == telling[offsets[:-1]]
    silent: Flags = is_silent[np.searchsorted(offsets, rows, side="right") - 1]
    return silent


def self_times(spans: Columns) -> Ints:
    """Subtract from each span's duration the time that its direct children cover.

    All children count, whatever their kind, clipped to the span; time that several cover counts once. The result is
    never negative; for a leaf it is the duration. Spans are sorted once by (parent, start); the running maximum of ends
    restarts with each parent, because the key contains the parent.

    Returns:
        Self times in ns, one per span.

    Source: jaeger-ui, utils/compute-span-self-time.ts.
    """
    children = np.flatnonzero(spans.parents >= 0)
    parents = spans.parents[children]
    starts = np.maximum(spans.start_ns[children], spans.start_ns[parents])
    ends = np.minimum(spans.end_ns[children], spans.end_ns[parents])
    inside = ends > starts
    parents, starts, ends = parents[inside], starts[inside], ends[inside]
    keys = TimeKeys(spans.parents.size, starts, ends)
    order = np.argsort(keys.key(parents, starts), kind="stable")  # fast, because most are in order already
    parents, starts, ends = parents[order], starts[order], ends[order]
    covered = _newly_covered(keys, parents, starts, ends)
    return spans.duration_ns - sum_by_run(parents, covered, spans.parents.size)


def _newly_covered(keys: TimeKeys, parents: Ints, starts: Ints, ends: Ints) -> Ints:
    """Give the time that each child covers and no child before it does; children are sorted by (parent, start)."""
    if not parents.size:
        return ends
    reached = np.maximum.accumulate(keys.key(parents, ends))
    before = np.roll(reached, 1)
    has_before = np.diff(parents, prepend=-1) == 0
    begin = np.where(has_before, np.maximum(keys.time(before), starts), starts)
    return np.maximum(ends - begin, 0)


def named(spans: Columns, text: str) -> Flags:
    """Tell the spans that a name means, one flag per span: its first meaning that fits any span of the table."""
    for flags in meanings(spans, text):
        if flags.any():
            return flags
    return np.zeros(spans.parents.size, dtype=np.bool_)


def meanings(spans: Columns, text: str) -> tuple[Flags, Flags, Flags, Flags]:
    """Tell the spans that a name may mean, one flag per span; the first meaning that fits any span counts.

    The meanings are the operation, `service:operation`, what was called (`mysql`, or with its name `mysql chat`), and
    the service. An empty name means no span. Sums of several tables have to keep the meanings separate: spans that are
    missing in one table may be in another.
    """
    traces = spans.traces
    peers = [code for code, peer in enumerate(traces.peers) if peer is not None and text in {peer.system, peer.label}]
    return (
        np.isin(spans.names, _named(traces.names, text)),
        _of_service(spans, text),
        np.isin(spans.peers, peers),
        np.isin(spans.services, _codes(traces.services, text)),
    )


def meaning_among(calls: Iterable[tuple[str, str, Peer | None]], text: str) -> int | None:
    """Say which of `meanings` a name has, given all spans; None where it fits no span.

    Args:
        calls: Service, operation and peer of all spans, each combination once.
        text: The name.
    """
    parted = {(text[:at], text[at + 1 :]) for at, letter in enumerate(text) if letter == ":"}
    # Names of operations are those without ids.
    parted |= {(service, operation(name)) for service, name in parted}
    found = set()
    for service, name, peer in calls if text else ():
        called = set() if peer is None else {peer.system, peer.label}
        means = (name in {text, operation(text)}, (service, name) in parted, text in called, service == text)
        found |= {number for number, fits in enumerate(means) if fits}
    return min(found, default=None)


def _codes(values: tuple[str, ...], text: str) -> list[int]:
    return [code for code, value in enumerate(values) if value == text and value]


def _named(names: tuple[str, ...], text: str) -> list[int]:
    """Find a name as it was written, or as operations are shown, without ids."""
    return [code for code, name in enumerate(names) if text in {name, operation(name)} and text]


def _of_service(spans: Columns, text: str) -> Flags:
    """Try every colon as the separator, since names of services and of operations may contain colons."""
    found = np.zeros(spans.parents.size, dtype=np.bool_)
    for at, letter in enumerate(text):
        if letter == ":":
            services = _codes(spans.traces.services, text[:at])
            names = _named(spans.traces.names, text[at + 1 :])
            found |= np.isin(spans.services, services) & np.isin(spans.names, names)
    return found
