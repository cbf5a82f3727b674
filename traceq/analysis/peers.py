"""The nodes of the dependency graph: services, and the peers they talk to, which send no spans themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.tree import find_roots
from traceq.report import Column, Unit
from traceq.semantics import PEER_HOST, Activity, Kind, Peer, PeerKind, first_text

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
    Column("name", "name", Unit.SERVICE, lambda node: node.name),
    Column("kind", "kind", value=lambda node: node.kind, about="`service`, `database`, `messaging` or `external`"),
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


def peer_nodes(spans: Columns, rows: Ints, grouping: PeerGrouping) -> list[Node]:
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


@dataclass(frozen=True, slots=True, eq=False)
class PeerCalls:
    """Which spans are calls to something that sends no spans; arrays have one entry for each span."""

    is_outgoing: Flags
    """Whether the span makes a query or a request, or publishes a message."""
    is_incoming: Flags
    """Whether the span receives a message from a broker."""


def find_peer_calls(spans: Columns) -> PeerCalls:
    """Find the spans that represent calls to a peer, or messages from it.

    Where the other side sends spans, these count instead of the caller's span, except for messages, where the broker
    lies between. Roles distinguish calls from the spans around them; settling a message is not a message.
    """
    roles, parents = spans.roles, spans.parents
    is_message = _is_messaging(spans)
    takes, above = roles == Kind.CONSUMER, roles[parents]
    asks = ((roles == Kind.CLIENT) | (roles == Kind.PRODUCER)) & (spans.peers > 0)
    outgoing = asks & ~_is_answered(spans, is_message) & (spans.activities != Activity.SETTLES)
    # A consumer that does not name its broker received the message from the one that its producer names.
    told = (parents >= 0) & is_message[parents] & (above == Kind.PRODUCER)
    return PeerCalls(outgoing, takes & (is_message | told) & ~find_polls(spans))


def find_polls(spans: Columns) -> Flags:
    """Tell the spans that receive messages which spans below them process one by one."""
    polls = np.zeros(spans.parents.size, dtype=np.bool_)
    takes = spans.roles == Kind.CONSUMER
    if (spans.activities[takes] == Activity.RECEIVES).any():
        inner = np.flatnonzero(takes & (spans.parents >= 0))
        outer = find_roots(np.where(takes, -1, spans.parents))[spans.parents[inner]]
        polls[outer[takes[outer] & (spans.services[outer] == spans.services[inner])]] = True
        polls &= spans.activities == Activity.RECEIVES
    return polls


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
    answered = np.zeros(spans.parents.size, dtype=np.bool_)
    answered[parents[crosses & ~(consumes & is_message[parents])]] = True
    return answered
