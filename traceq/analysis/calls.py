"""The calls in a table of traces: caller, callee, broker, and the spans that record them.

Callers and callees are the nodes of the dependency graph: services, and the peers they talk to, which send no spans
themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from msgspec import Struct, structs

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import find_roots, flags_at, numbered_rows
from traceq.analysis.learning import find_fragments
from traceq.report import Column, Unit
from traceq.semantics import (
    HTTP_METHOD,
    HTTP_STATUS,
    PEER_HOST,
    URL,
    Activity,
    Attributes,
    Kind,
    Peer,
    PeerKind,
    Status,
    first_text,
)

NodeKind: TypeAlias = Literal["service", "database", "messaging", "external"]

PeerGrouping: TypeAlias = Literal["name", "system", "host", "none"]
"""Which peers are grouped: those of one system and name, those of one system, those of one host, or none."""

_KINDS: Mapping[PeerKind, NodeKind] = {
    "database": "database",
    "messaging": "messaging",
    "rpc": "external",
    "service": "external",
    "host": "external",
}


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A node of the graph: it calls or is called."""

    name: str
    kind: NodeKind = "service"
    system: str = ""
    """The system of a peer (`mysql`, `kafka`); empty for services."""
    aliases: tuple[str, ...] = field(default=(), compare=False)
    """Names of services which are this peer if they send spans."""


NODE_COLUMNS: tuple[Column[Node], ...] = (
    Column("name", "name", Unit.SERVICE),
    Column(
        "kind",
        "kind",
        about="`service`, `database`, `messaging` or `external`",
        holds=get_args(NodeKind),
    ),
    Column("system", "system", value=lambda node: node.system or None, about="`mysql`, `kafka`, ...; null of services"),
)


def node_of(peer: Peer, grouping: PeerGrouping, host: str = "") -> Node:
    """Give the node that stands for a peer."""
    parts = {
        "name": (peer.label,),
        "system": (peer.system if peer.kind in {"database", "messaging"} else peer.label,),
        "host": (peer.system, host) if host else (peer.label,),
        "none": (peer.label, host),
    }[grouping]
    # A host is often named by itself: `stripe.com stripe.com` says it twice.
    name = " ".join(dict.fromkeys(part for part in parts if part))
    system = "" if peer.kind in {"service", "host"} else peer.system
    return Node(name, _KINDS[peer.kind], system, _aliases(peer))


def _aliases(peer: Peer) -> tuple[str, ...]:
    """Guess the name of the service under which a peer would send spans; the name of a database is not one."""
    if peer.kind == "host":
        # In a name within a cluster (`users.shop.svc.cluster.local:80`) the first label is the service.
        host = peer.system.partition(":")[0]
        return (peer.label, host, host.partition(".")[0])
    if peer.kind == "rpc":
        return (peer.label, peer.name)
    return (peer.label, peer.system)


def united(nodes: Iterable[Node]) -> dict[Node, Node]:
    """Give each node once, in order of occurrence, with the aliases of all equal nodes: the longest (most exact) first.

    Peers of several kinds may be one node; the order of their occurrence must make no difference.
    """
    aliases: dict[Node, tuple[str, ...]] = {}
    for node in nodes:
        known = aliases.get(node, node.aliases)
        aliases[node] = known if known == node.aliases else (*known, *node.aliases)
    return {node: replace(node, aliases=_longest_first(names)) for node, names in aliases.items()}


def _longest_first(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names), key=lambda name: (-len(name), name)))


def settle(nodes: Iterable[Node]) -> dict[Node, Node]:
    """Say what each node really is: when a service sends spans under the name of a peer, the peer is that service."""
    known = sorted(united(nodes).values())
    services = {node.name: node for node in known if node.kind == "service"}
    settled = {}
    for node in known:
        names = (node.name, *node.aliases) if node.kind != "service" else ()
        settled[node] = next((services[name] for name in names if name in services), node)
    return settled


def _peer_nodes(spans: Columns, rows: Ints, grouping: PeerGrouping) -> list[Node]:
    """Give the node that each of these rows talks to; each has to have a peer.

    Hosts are read from the attributes, and only when they matter: that takes 20 us a span.
    """
    traces = spans.traces
    nodes: dict[tuple[int, str], Node] = {}
    found = []
    for row, code in zip(rows.tolist(), spans.peers[rows].tolist(), strict=True):
        host = ""
        if traces.details is not None and grouping in {"host", "none"}:
            host = first_text(traces.details[row].attributes(), PEER_HOST)
        peer = traces.peers[code]
        if peer is None:
            raise ValueError(f"row {row} has no peer")
        if (code, host) not in nodes:
            nodes[code, host] = node_of(peer, grouping, host)
        found.append(nodes[code, host])
    return found


class PeerCalls(Struct, frozen=True, eq=False):
    """Which spans are calls to something that sends no spans; arrays have one entry for each span."""

    is_outgoing: Flags
    """Whether the span makes a query or a request, or publishes a message."""
    is_incoming: Flags
    """Whether the span receives a message from a broker."""
    is_poll: Flags
    """Whether it received what such spans process."""


def _find_peer_calls(spans: Columns) -> PeerCalls:
    """Find the spans that represent calls to a peer, or messages from it.

    Where the other side sends spans, these count instead of the caller's span, except for messages, where the broker
    lies between. Roles distinguish calls from the spans around them; settling a message is not a message.
    """
    roles, parents = spans.roles, spans.parents
    is_message = _is_messaging(spans)
    takes, above = roles == Kind.CONSUMER, roles[parents]
    outgoing = _is_unanswered(spans, is_message) & (spans.peers > 0)
    # A consumer that does not name its broker received the message from the one that its producer names.
    told = (parents >= 0) & is_message[parents] & (above == Kind.PRODUCER)
    polls = find_polls(spans)
    incoming = takes & (is_message | told)
    incoming[polls[polls >= 0]] = False
    is_poll = np.zeros_like(incoming)
    is_poll[polls[incoming & (polls >= 0)]] = True
    return PeerCalls(outgoing, incoming, is_poll)


def find_unanswered(spans: Columns) -> Flags:
    """Tell the spans that represent a call, or a message sent, to something that sent no span of its own."""
    return _is_unanswered(spans, _is_messaging(spans))


def _is_unanswered(spans: Columns, is_message: Flags) -> Flags:
    asks = (spans.roles == Kind.CLIENT) | (spans.roles == Kind.PRODUCER)
    is_unanswered: Flags = asks & ~_is_answered(spans, is_message) & (spans.activities != Activity.SETTLES)
    return is_unanswered


def find_polls(spans: Columns) -> Ints:
    """Give for each span that processes messages the row of the span that received them; -1 for all others.

    It is the nearest consumer above; or a sibling that received from the same place before, and has no consumer below.
    """
    polls = np.full(spans.parents.size, -1, dtype=np.int64)
    takes = spans.roles == Kind.CONSUMER
    receives = takes & (spans.activities == Activity.RECEIVES)
    if not receives.any():
        return polls
    inner = np.flatnonzero(takes & (spans.parents >= 0))
    outer = find_roots(np.where(takes, -1, spans.parents))[spans.parents[inner]]
    below = receives[outer] & (spans.services[outer] == spans.services[inner])
    polls[inner[below]] = outer[below]
    receives[outer[below]] = False
    _find_polls_beside(spans, receives, polls)
    return polls


def _find_polls_beside(spans: Columns, receives: Flags, polls: Ints) -> None:
    """Pair spans that process with the last sibling before that received."""
    processes = (spans.activities == Activity.PROCESSES) & (spans.roles == Kind.CONSUMER) & (polls < 0)
    rows = np.flatnonzero((receives | processes) & (spans.parents >= 0))
    if not receives[rows].any():
        return
    _, place = numbered_rows(spans.parents[rows], spans.services[rows], spans.peers[rows])
    order = np.lexsort((rows, processes[rows], spans.start_ns[rows], place))
    rows, place = rows[order], place[order]
    last = np.maximum.accumulate(np.where(receives[rows], np.arange(rows.size), -1))
    found = np.flatnonzero(processes[rows] & (last >= 0) & (place[last] == place))
    polls[rows[found]] = rows[last[found]]


def _is_messaging(spans: Columns) -> Flags:
    by_code = np.array([peer is not None and peer.kind == "messaging" for peer in spans.traces.peers], dtype=np.bool_)
    is_messaging: Flags = by_code[spans.peers]
    return is_messaging


def _is_answered(spans: Columns, is_message: Flags) -> Flags:
    """Tell the spans whose other side is in the trace: a child of another service, or one that serves."""
    children = np.flatnonzero(spans.parents >= 0)
    parents = spans.parents[children]
    consumes = spans.roles[children] == Kind.CONSUMER
    crosses = (spans.services[children] != spans.services[parents]) | (spans.roles[children] == Kind.SERVER) | consumes
    return flags_at(parents[crosses & ~(consumes & is_message[parents])], spans.parents.size)


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_HTTP_KEYS = (*HTTP_METHOD, *HTTP_STATUS, *URL)


class Calls(Struct, frozen=True, eq=False):
    """Calls; arrays have one entry for each call."""

    spans: Columns
    nodes: tuple[Node, ...]
    """Services under their codes, then peers."""
    caller: Ints
    """Position of the calling node in `nodes`."""
    callee: Ints
    via: Ints
    """Position of the broker through which a message went; -1 for none, and for calls from and to the broker."""
    is_async: Flags
    near: Ints
    """Row of the caller's own span of the call (CLIENT, PRODUCER or one that names a peer); -1 for none."""
    far: Ints
    """Row of the span with which the callee's part begins; -1 where the callee sends none."""

    @property
    def row(self) -> Ints:
        """A row that belongs to the call: the callee's, else the caller's."""
        rows: Ints = np.where(self.far >= 0, self.far, self.near)
        return rows

    def picked(self, which: Flags) -> Calls:
        """Give some of the calls."""
        names = ("caller", "callee", "via", "is_async", "near", "far")
        return self if which.all() else structs.replace(self, **{name: getattr(self, name)[which] for name in names})

    @property
    def has_failed(self) -> Flags:
        """Whether the call failed on either side: only the caller knows of a timeout."""
        failed = np.append(self.spans.statuses == Status.ERROR, False)
        has_failed: Flags = failed[self.near] | failed[self.far]
        return has_failed


def find_calls(spans: Columns, grouping: PeerGrouping) -> Calls:
    """Find every call between services, to peers, and of services to themselves.

    A span whose parent belongs to another service is a call, as in Jaeger (plugin/storage/memory/memory.go at 1.51).
    Within a service only calls that left it count: a SERVER span under a CLIENT span, a CONSUMER under a PRODUCER. A
    message is three calls: producer to consumer, producer to broker, broker to consumer.
    """
    peers = _find_peer_calls(spans)
    nodes, node_at = _nodes(spans, peers, grouping)
    direct = _between_services(spans)
    outgoing = np.flatnonzero(peers.is_outgoing)
    incoming = np.flatnonzero(peers.is_incoming)
    services = spans.services.astype(np.int64)
    sends = np.array([node.kind == "messaging" for node in nodes], dtype=np.bool_)
    nothing_out, nothing_in = np.full(outgoing.size, -1), np.full(incoming.size, -1)
    # Nobody waits for what only follows from its caller, either.
    is_unawaited = _is_message(spans, direct) | spans.follows[direct]
    return Calls(
        spans,
        nodes,
        caller=np.concatenate((services[spans.parents[direct]], services[outgoing], _broker(spans, node_at, incoming))),
        callee=np.concatenate((services[direct], node_at[outgoing], services[incoming])),
        via=np.concatenate((_via(spans, node_at, sends, direct, peers.is_poll), nothing_out, nothing_in)),
        is_async=np.concatenate((is_unawaited, sends[node_at[outgoing]], np.ones(incoming.size, dtype=np.bool_))),
        near=np.concatenate((_client(spans, direct), outgoing, nothing_in)),
        far=np.concatenate((direct, nothing_out, incoming)),
    )


def _nodes(spans: Columns, peers: PeerCalls, grouping: PeerGrouping) -> tuple[tuple[Node, ...], Ints]:
    """List the nodes, and give the position of each row's peer; -1 for none."""
    rows = np.flatnonzero((peers.is_outgoing | peers.is_incoming) & (spans.peers > 0))
    services = [Node(name) for name in spans.traces.services]
    named = _peer_nodes(spans, rows, grouping)
    # One node per peer, not per row: there are few peers, and hashing one takes a microsecond.
    found = united({id(node): node for node in named}.values())
    positions = {node: len(services) + number for number, node in enumerate(found)}
    node_at = np.full(spans.parents.size, -1, dtype=np.int64)
    node_at[rows] = [positions[node] for node in named]
    return (*services, *found.values()), node_at


def _between_services(spans: Columns) -> Ints:
    children = np.flatnonzero(spans.parents >= 0)
    parents = spans.parents[children]
    other = spans.services[children] != spans.services[parents]
    serves = (spans.roles[children] == Kind.SERVER) & (spans.roles[parents] == Kind.CLIENT)
    takes = (spans.roles[children] == Kind.CONSUMER) & (spans.roles[parents] == Kind.PRODUCER)
    found: Ints = children[other | serves | takes]
    return _once_a_fragment(spans, found) if spans.rejoined.any() else found


def _once_a_fragment(spans: Columns, rows: Ints) -> Ints:
    """Keep one span of each service of a fragment, the one that serves or else the first: they were called together."""
    rejoined = spans.rejoined[rows]
    fragments = find_fragments(spans)
    loose = rows[rejoined]
    number = fragments.number[np.searchsorted(fragments.rows, loose)]
    serves = np.isin(spans.roles[loose], (Kind.SERVER, Kind.CONSUMER))
    order = np.lexsort((loose, spans.start_ns[loose], ~serves, spans.services[loose], number))
    heads = np.flatnonzero(
        np.diff(number[order] * len(spans.traces.services) + spans.services[loose[order]], prepend=-1)
    )
    return np.sort(np.concatenate((rows[~rejoined], loose[order[heads]])))


def _is_message(spans: Columns, rows: Ints) -> Flags:
    """Distinguish messages from calls: nobody waits for a CONSUMER, nor for spans below a PRODUCER."""
    is_message: Flags = (spans.roles[rows] == Kind.CONSUMER) | (spans.roles[spans.parents[rows]] == Kind.PRODUCER)
    return is_message


def _client(spans: Columns, rows: Ints) -> Ints:
    parents = spans.parents[rows]
    asks = (spans.roles[parents] == Kind.CLIENT) | (spans.roles[parents] == Kind.PRODUCER)
    return np.where(asks, parents, -1)


def _broker(spans: Columns, node_at: Ints, rows: Ints) -> Ints:
    """Give the broker of consumed messages, by the producer's name for it if known, so that both have one node."""
    parents = spans.parents[rows]
    by_producer = np.where((parents >= 0) & (spans.roles[parents] == Kind.PRODUCER), node_at[parents], -1)
    return np.where(by_producer >= 0, by_producer, node_at[rows])


def _via(spans: Columns, node_at: Ints, sends: Flags, rows: Ints, is_poll: Flags) -> Ints:
    # What received a message stands for no message of its broker: those that process it do.
    brokers = np.where((node_at[rows] >= 0) | is_poll[rows], _broker(spans, node_at, rows), -1)
    return np.where(_is_message(spans, rows) & np.append(sends, False)[brokers], brokers, -1)


def own_calls(calls: Calls) -> Ints:
    """Give for each span the call in which it lies: its own or the last one above it; -1 before the first call."""
    spans = calls.spans
    call_at = np.full(spans.parents.size, -1, dtype=np.int64)
    for rows in (calls.near, calls.far):
        # A message also belongs to the call from its broker; written last, that call counts.
        told = np.flatnonzero(rows >= 0)
        call_at[rows[told]] = told
    call_of: Ints = call_at[find_roots(np.where(call_at >= 0, -1, spans.parents))]
    return call_of


def protocol(calls: Calls, call: int) -> str:
    """Give the protocol of a call: a database's or broker's name, `grpc`, `http`; empty when it is not known."""
    near, far = calls.near.item(call), calls.far.item(call)
    via = calls.via.item(call)
    ends = (calls.nodes[code] for code in (via, calls.callee.item(call), calls.caller.item(call)) if code >= 0)
    for node in ends:
        if node.kind in {"database", "messaging"}:
            return node.name if node.kind == "messaging" else node.system
    rows = [row for row in (far, near) if row >= 0]
    return next((told for row in rows if (told := _told(calls, row))), "")


def _told(calls: Calls, row: int) -> str:
    traces = calls.spans.traces
    peer = traces.peers[traces.peer_codes[row]]
    if peer is not None and peer.kind == "rpc":
        return peer.system
    told = "" if traces.details is None else _by_attributes(traces.details[row].attributes())
    return told or _by_name(traces.names[traces.name_codes[row]])


def _by_attributes(attributes: Attributes) -> str:
    if system := first_text(attributes, ("rpc.system", "rpc.system.name", "messaging.system")):
        return system
    if first_text(attributes, _HTTP_KEYS):
        return "http"
    # OpenTracing's `component` names a library: `net/http`, `grpc`, `java-web-servlet`.
    component = first_text(attributes, ("component",)).lower()
    return next((known for known in ("grpc", "http") if known in component), "")


def _by_name(name: str) -> str:
    """Guess by the names that instrumentations give to spans: `GET /users`, `/shop.Cart/Get`."""
    first = name.partition(" ")[0]
    if first in _METHODS:
        return "http"
    service, slash, method = name.removeprefix("/").partition("/")
    return (
        "grpc" if slash and "." in service and service.replace(".", "").isidentifier() and method.isidentifier() else ""
    )
