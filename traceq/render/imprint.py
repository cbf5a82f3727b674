"""What a document says of itself: it is read where nobody knows what was asked, and when."""

from __future__ import annotations

from msgspec import Struct


class Imprint(Struct, frozen=True):
    """What stands at the head and at the foot of a document that is handed on."""

    title: str
    """What was asked (`bottlenecks of chat-service`)."""
    source: str = ""
    """Where the traces came from."""
    window: str = ""
    """The time window in words; empty for no limits."""
    written: str = ""
    """When the document was written: a window such as `last 1h` ends there."""
    remarks: tuple[str, ...] = ()
    """What a reader has to know of the answer: that it is partial, what was strange in the traces."""
