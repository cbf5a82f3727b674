"""What the few attributes that become columns say: kind, status, peer."""

from __future__ import annotations

from functools import lru_cache

from traceq import semantics
from traceq.records import Meaning
from traceq.semantics import Kind, Status

TELLING = frozenset(("span.kind",)) | semantics.STATUS_KEYS | semantics.PEER_KEYS
"""Keys of the attributes that become columns."""
NO_MEANING = Meaning(Kind.UNSPECIFIED, Status.UNSET, None)
"""Of a span without attributes that say anything."""


# The same few attributes come with span after span, and reading what they say takes longer than reading them.
@lru_cache(maxsize=4096)
def meaning(
    attributes: tuple[tuple[str, str], ...], kind: Kind = Kind.UNSPECIFIED, status: Status = Status.UNSET
) -> Meaning:
    """Say what attributes mean, beside kind and status that the span has as fields.

    Args:
        attributes: Those in `TELLING`, values as text; of a key that occurs twice the last counts.
        kind: The span's field; wins over the attribute.
        status: The span's field; of field and attributes, the graver counts, as in Jaeger's own conversion.
    """
    values = dict(attributes)
    kind = kind or semantics.kind_from_text(values.get("span.kind", ""))
    status = max(status, semantics.status_from_attributes(values))
    return Meaning(
        kind, status, semantics.peer(kind, {key: values[key] for key in values if key in semantics.PEER_KEYS})
    )
