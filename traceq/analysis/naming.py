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
    is_told = peer is None or peer.system.lower() in name.lower() or peer.system == service
    told += [] if peer is None or is_told else [f"→ {peer.system}"]
    return f" ({' '.join(told)})" if told else ""
