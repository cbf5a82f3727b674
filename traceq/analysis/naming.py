"""How calls are named for people, so that calls of one name can be told apart."""

from __future__ import annotations

from traceq.semantics import Kind, Peer


def place(service: str, peer: Peer | None, kind: Kind = Kind.CLIENT) -> str:
    """Name a service, and what it talked to, or took messages from (`chat-service → mongodb`)."""
    if peer is None or peer.system == service:
        return service
    return f"{service} {'←' if kind is Kind.CONSUMER else '→'} {peer.system}"


def whose(service: str, name: str, peer: Peer | None, asked: str | None) -> str:
    """Say in parentheses what a name leaves open: the service unless it was asked for, the peer unless it is named.

    Args:
        service: Of the spans.
        name: Their name.
        peer: What they talked to.
        asked: The service that the question is about.
    """
    told = [service] if service != asked else []
    told += [] if peer is None or is_named(name, service, peer) else [f"→ {peer.system}"]
    return f" ({' '.join(told)})" if told else ""


def is_named(name: str, service: str, peer: Peer) -> bool:
    """Say whether the name of a call says what was called, or whose it is does."""
    return peer.system.casefold() in name.casefold() or peer.system == service


def with_peer(name: str, service: str, peer: Peer | None, *, is_one_of_several: bool) -> str:
    """Add to the name of a call what was called, where the name does not say it (`GET → stripe.com`).

    Args:
        name: The name of the spans.
        service: Of the spans.
        peer: What they called, or took messages from.
        is_one_of_several: Whether calls of this name went to others, too, so that only the whole peer tells them apart.
    """
    if peer is None or (is_named(name, service, peer) and not is_one_of_several):
        return name
    # Messages may go either way.
    return f"{name} {'·' if peer.kind == 'messaging' else '→'} {peer.label if is_one_of_several else peer.system}"
