"""What each span is in a conversation, decided once and for every analysis.

Kinds alone do not decide this: spans made by hand are INTERNAL and still query, publish and consume; receivers are
CLIENT in one library and CONSUMER in another; old clients send no kinds at all. `docs/analyses/roles.md` has the rules.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from traceq.analysis.grouping import Codes, Flags, Ints, Small, TimeKeys, find_roots, numbered, numbered_rows
from traceq.semantics import Activity, Kind, activity_from_name
from traceq.traces import Traces


class Surroundings(Struct, frozen=True, eq=False):
    """The columns from which roles are decided; every array has one entry for each span."""

    traces: Traces
    parents: Ints
    services: Codes
    names: Codes
    peers: Codes
    start_ns: Ints
    end_ns: Ints


class Roles(Struct, frozen=True, eq=False):
    """What spans are in their conversations; every array has one entry for each span, roles are `Kind` numbers."""

    played: Small
    """The role of each span (CLIENT, SERVER, PRODUCER, CONSUMER, INTERNAL), by itself and the spans around it."""
    told: Small
    """The role by the span alone: equal spans have equal roles wherever they occur."""
    activities: Small
    """`Activity` numbers, by attributes, or by the span's name where attributes only name a broker."""


def find_roles(around: Surroundings) -> Roles:
    """Decide what each span is.

    The span itself comes first: its kind, unless attributes say that it publishes, receives, processes or queries. Then
    come the spans around it: of nested spans of one call the innermost counts, and where a span itself decides nothing,
    it matters whether it was entered from another service, and by what kind of span.

    Source: OpenTelemetry semantic conventions for messaging, databases, HTTP and RPC, 1.21 to 1.38.
    """
    kinds = np.asarray(around.traces.kinds, dtype=np.int8)
    activities = _activities(around, kinds)
    told = _TOLD[kinds, activities]
    told[_is_either_side(around, kinds, activities)] = Kind.INTERNAL
    own = _Own(kinds, told, activities)
    settled = _same_calls(around, own) | _drivers(around, own) | _senders(around, own)
    played = np.where(settled, np.int8(Kind.INTERNAL), told)
    _settle_neighbours(around, own, settled, played)
    return Roles(played, told, activities)


class _Own(Struct, frozen=True, eq=False):
    """What spans say about themselves."""

    kinds: Small
    told: Small
    activities: Small


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


def _is_either_side(around: Surroundings, kinds: Small, activities: Small) -> Flags:
    """Tell the spans without a kind that have `http.url`, which both sides of a call used to record."""
    either: Flags = (kinds == Kind.UNSPECIFIED) & (activities == Activity.CALLS) & (around.peers == 0)
    return either


def _activities(around: Surroundings, kinds: Small) -> Small:
    """Give activities: by name for spans that name a broker, but whose kind and attributes do not say what for."""
    activities = np.asarray(around.traces.activities, dtype=np.int8)
    asked = np.flatnonzero((activities == Activity.MESSAGES) & (kinds != Kind.PRODUCER) & (kinds != Kind.CONSUMER))
    if not asked.size:
        return activities
    activities = activities.copy()
    names, peers = around.traces.names, around.traces.peers
    pairs = around.names[asked].astype(np.int64) * len(peers) + around.peers[asked]
    # There are many spans and few names: each name is read once.
    known, of_pair = numbered(pairs)
    spoken = []
    for name, code in zip(*(part.tolist() for part in np.divmod(known, len(peers))), strict=True):
        peer = peers[code]
        spoken.append(activity_from_name(names[name], peer.name if peer else ""))
    activities[asked] = np.array(spoken, dtype=np.int8)[of_pair]
    return activities


def _same_calls(around: Surroundings, own: _Own) -> Flags:
    """Tell the spans around another span of the same call, and those that work on a message received above them.

    Nested spans of a service that name the same system are one call. The innermost of them makes it: a publishing span
    and the client library's span below it are one message. For a message that was received the outermost span counts,
    and a poll around it receives nothing itself.
    """
    told, activities = own.told, own.activities
    inner, outer = _nested(around)
    takes = told[outer] == Kind.CONSUMER
    # What a consumer publishes is a separate message, and so is what it receives below the span that published it.
    apart = np.where(takes, told[inner] == Kind.PRODUCER, told[inner] == Kind.CONSUMER)
    is_poll = takes & (activities[outer] == Activity.RECEIVES) & (told[inner] == Kind.CONSUMER)
    is_vague = (activities[inner] == Activity.MESSAGES) & (activities[outer] != Activity.MESSAGES)
    is_part = takes & ~is_poll & (activities[inner] != Activity.SETTLES)
    same = np.zeros(told.size, dtype=np.bool_)
    same[outer[~apart & ~takes & ~is_vague]] = True
    same[inner[~apart & (is_part | (~takes & is_vague))]] = True
    return same


def _nested(around: Surroundings) -> tuple[Ints, Ints]:
    """Pair spans that name a system with the nearest span above them, in the same service, that names any.

    Returns:
        Rows of inner and outer spans; only pairs that name the same system.
    """
    makes = _makes(around)
    parents, services = around.parents, around.services
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
        found.append(_far(makes, around, inner, outer))
    inner, outer = (np.concatenate(parts) for parts in zip(*found, strict=True))
    alike = makes[inner] == makes[outer]
    return inner[alike], outer[alike]


_NEAR = 32
"""Number of single steps upwards; spans that have met nothing by then are resolved by pointer doubling."""


def _far(makes: Ints, around: Surroundings, inner: Ints, outer: Ints) -> tuple[Ints, Ints]:
    stays = (makes > 0) | (around.services != around.services[around.parents])
    outer = find_roots(np.where(stays, -1, around.parents))[outer]
    met = (makes[outer] > 0) & (around.services[outer] == around.services[inner])
    return inner[met], outer[met]


def _makes(around: Surroundings) -> Ints:
    """Number the pairs of kind and system of peers, 0 for none, so that spans of one system compare equal."""
    peers = around.traces.peers
    numbers = {make: number for number, make in enumerate(dict.fromkeys(peer and peer[:2] for peer in peers), 1)}
    by_code = np.array([numbers[peer[:2]] if peer else 0 for peer in peers], dtype=np.int64)
    makes: Ints = by_code[around.peers]
    return makes


def _drivers(around: Surroundings, own: _Own) -> Flags:
    """Tell the drivers' spans that are siblings of the spans of the libraries above them; they are not separate calls.

    Some libraries close their span before the driver opens one, or do not make it current: then both have the same
    parent. The driver's span lies within the other's time, queries the same database, and its name is the first word of
    the other's name (`SELECT` in `SELECT shop`). The path runs through the longer one, so that one counts.
    """
    drivers = np.zeros(own.told.size, dtype=np.bool_)
    asks = (own.activities == Activity.QUERIES) & (own.told == Kind.CLIENT)
    queries = np.flatnonzero(asks & (around.parents >= 0))
    words, is_bare = _first_words(around, queries)
    mixed = np.isin(words, words[is_bare]) & np.isin(words, words[~is_bare])
    if not mixed.any():
        return drivers
    queries, words, is_bare = queries[mixed], words[mixed], is_bare[mixed]
    _, group = numbered_rows(around.parents[queries], around.services[queries], around.peers[queries], words)
    keys = TimeKeys(int(group.max()) + 1, around.start_ns[queries], around.end_ns[queries])
    starts, ends = keys.key(group, around.start_ns[queries]), around.end_ns[queries]
    whole = np.flatnonzero(~is_bare)[np.lexsort((ends[~is_bare], starts[~is_bare]))]
    # Of those that begin before it, the one that begins last.
    before = np.searchsorted(starts[whole], starts, side="right") - 1
    over = whole[before]
    within = is_bare & (before >= 0) & (group[over] == group) & (ends <= ends[over])
    drivers[queries[within]] = True
    return drivers


def _senders(around: Surroundings, own: _Own) -> Flags:
    """Tell the spans that send messages which siblings created before, through the same system: these are the messages.

    Whoever sends many messages at once creates each of them in a span of its own, to which the consumer links.
    """
    senders = np.zeros(own.told.size, dtype=np.bool_)
    creates = own.activities == Activity.CREATES
    if not creates.any():
        return senders
    rows = np.flatnonzero((own.told == Kind.PRODUCER) & (around.parents >= 0))
    _, group = numbered_rows(around.parents[rows], around.services[rows], _makes(around)[rows])
    first_ns = np.full(int(group.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_ns, group[creates[rows]], around.start_ns[rows[creates[rows]]])
    senders[rows] = ~creates[rows] & (first_ns[group] <= around.start_ns[rows])
    return senders


def _first_words(around: Surroundings, rows: Ints) -> tuple[Ints, Flags]:
    """Number the first words of names, and tell the names that consist of one word."""
    codes, of_row = numbered(around.names[rows].astype(np.int64))
    numbers: dict[str, int] = {}
    texts = [around.traces.names[code] for code in codes.tolist()]
    words = np.array([numbers.setdefault(text.split(" ", 1)[0], len(numbers)) for text in texts], dtype=np.int64)
    is_bare = np.array([" " not in text for text in texts], dtype=np.bool_)
    return words[of_row], is_bare[of_row]


def _settle_neighbours(around: Surroundings, own: _Own, settled: Flags, played: Small) -> None:
    """Decide by the spans around it what a span is, where it does not say so itself.

    Below another service's span, an undecided span was entered from there: it consumes under one that publishes and
    serves under any other. A span without a kind, or INTERNAL in a trace with no other kind, is the client side of a
    call when its only child is a span of another service, and its service was not entered with it; a span with
    `http.url`, which both sides used to record, serves where its service was entered. A span that only names a broker
    publishes to it, unless the trace begins with it.
    """
    kinds, told, activities = own.kinds, own.told, own.activities
    parents, services = around.parents, around.services
    children = np.flatnonzero(parents >= 0)
    crossing = children[services[children] != services[parents[children]]]
    counts = np.bincount(parents[children], minlength=parents.size)
    is_open = (told == Kind.INTERNAL) & ~settled
    is_vague = is_open & (activities == Activity.MESSAGES)
    played[is_vague] = np.where((parents < 0) & (counts > 0), Kind.CONSUMER, Kind.PRODUCER)[is_vague]
    entered = crossing[is_open[crossing]]
    consumes = (told[parents[entered]] == Kind.PRODUCER) | is_vague[entered]
    played[entered] = np.where(consumes, Kind.CONSUMER, Kind.SERVER)
    is_request = is_open & _is_either_side(around, kinds, activities)
    played[is_request & (played == Kind.INTERNAL)] = Kind.CLIENT
    played[is_request & (parents < 0)] = Kind.SERVER
    asks = parents[crossing]
    above = parents[asks]
    is_inner = (above >= 0) & (services[above] == services[asks])
    alone = asks[is_inner & (counts[asks] == 1) & is_open[asks] & ~is_vague[asks]]
    played[alone[(kinds[alone] == Kind.UNSPECIFIED) | _is_of_silent_trace(around, kinds, alone)]] = Kind.CLIENT


def _is_of_silent_trace(around: Surroundings, kinds: Small, rows: Ints) -> Flags:
    """Tell the rows in whose traces no span has a kind other than INTERNAL, which SDKs write by default."""
    offsets = np.asarray(around.traces.offsets, dtype=np.int64)
    telling = np.append(0, np.cumsum(kinds > Kind.INTERNAL))
    is_silent = telling[offsets[1:]] == telling[offsets[:-1]]
    silent: Flags = is_silent[np.searchsorted(offsets, rows, side="right") - 1]
    return silent
