"""What OpenTelemetry attributes mean, under their old names and their new ones.

Source: OpenTelemetry semantic conventions, 1.21 (old names) to 1.38 (new names).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

AttributeValue: TypeAlias = "str | bool | int | float | bytes | list[AttributeValue] | dict[str, AttributeValue] | None"
"""A value of an attribute; lists and mappings occur in OTLP only, None for OTLP's empty value."""

Attributes: TypeAlias = Mapping[str, AttributeValue]


class Kind(IntEnum):
    """OpenTelemetry's SpanKind, with its numbers."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Status(IntEnum):
    """OpenTelemetry's span status code, with its numbers."""

    UNSET = 0
    OK = 1
    ERROR = 2


PeerKind: TypeAlias = Literal["database", "messaging", "rpc", "service", "host"]


class Peer(NamedTuple):
    """What a span talked to when that sends no spans itself."""

    kind: PeerKind
    system: str
    """`mysql`, `mongodb`, `redis`, `kafka`, `grpc`; the name itself for a service or host."""
    name: str
    """Database name, topic or queue, RPC service; empty when not told."""

    @property
    def label(self) -> str:
        """The system and the name within it (`mongodb chat`, `kafka message.events`)."""
        return f"{self.system} {self.name}" if self.name and self.name != self.system else self.system


DATABASE_SYSTEM = ("db.system.name", "db.system")
DATABASE_NAME = ("db.namespace", "db.name")
STATEMENT = ("db.query.text", "db.statement", "sql.query")
HTTP_METHOD = ("http.request.method", "http.method")
HTTP_STATUS = ("http.response.status_code", "http.status_code")
URL = ("url.full", "http.url", "url.path", "http.target")
MESSAGING_DESTINATION = (
    "messaging.destination.name",
    "messaging.destination",
    "messaging.source.name",
    "messaging.source",
)
PEER_HOST = (
    "server.address",
    "net.peer.name",
    "peer.hostname",
    "net.sock.peer.name",
    "network.peer.address",
    "net.peer.ip",
)
HOST = ("host.id", "host.name", "k8s.pod.name", "hostname", "ip", "host.ip")

PEER_KEYS = frozenset(
    (
        *DATABASE_SYSTEM,
        *DATABASE_NAME,
        "messaging.system",
        *MESSAGING_DESTINATION,
        "rpc.system",
        "rpc.service",
        "peer.service",
        *PEER_HOST,
    )
)
"""Every attribute that `peer` looks at, so that a codec can keep just these in its one pass."""

STATUS_KEYS = frozenset(("error", "otel.status_code"))
"""Every attribute that `status_from_attributes` looks at."""

TELLING = frozenset(("span.kind",)) | STATUS_KEYS | PEER_KEYS
"""Keys of the attributes that become columns."""


def first_text(attributes: Attributes, keys: tuple[str, ...]) -> str:
    """Read the first of several names an attribute has had, as text; empty when none is there."""
    for key in keys:
        value = attributes.get(key)
        if value is not None and value != "":
            return value if isinstance(value, str) else value_text(value)
    return ""


def value_text(value: AttributeValue) -> str:
    """Write a value as Jaeger compares and shows it: `true`, decimal numbers, hexadecimal bytes, JSON for lists."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
        case bytes():
            return value.hex()
        case _:
            return _json_text(value)


def _json_text(value: AttributeValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_base64_text)


def _base64_text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def kind_from_text(text: str) -> Kind:
    """Read a kind as Jaeger's `span.kind` (`client`) or OTLP's name (`SPAN_KIND_CLIENT`) has it."""
    return _KINDS.get(text.removeprefix("SPAN_KIND_").upper(), Kind.UNSPECIFIED)


_KINDS = {kind.name: kind for kind in Kind}


def status_from_attributes(attributes: Attributes) -> Status:
    """Read the status that Jaeger keeps in the tags `error` and `otel.status_code`.

    `error` counts when it is true or the text "true", never for "false" or "unset".
    """
    code = attributes.get("otel.status_code")
    if code == "ERROR" or _is_true(attributes.get("error")):
        return Status.ERROR
    return Status.OK if code == "OK" else Status.UNSET


def _is_true(value: AttributeValue) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def peer(kind: Kind, attributes: Attributes) -> Peer | None:
    """Find what a span talked to, by what its attributes say.

    A database or broker counts whatever the kind, since spans made by hand are often INTERNAL; a service or host only
    for CLIENT and PRODUCER, since on the SERVER side these attributes name the caller or the span's own address.
    """
    if kind is Kind.SERVER or not attributes:
        return None
    system = first_text(attributes, DATABASE_SYSTEM)
    if system:
        return Peer("database", system, first_text(attributes, DATABASE_NAME))
    system = first_text(attributes, ("messaging.system",))
    if system:
        return Peer("messaging", system, first_text(attributes, MESSAGING_DESTINATION))
    if kind is not Kind.CLIENT and kind is not Kind.PRODUCER:
        return None
    return _remote_peer(attributes)


def _remote_peer(attributes: Attributes) -> Peer | None:
    name = first_text(attributes, ("peer.service",))
    if name:
        return Peer("service", name, "")
    system = first_text(attributes, ("rpc.system",))
    if system:
        return Peer("rpc", system, first_text(attributes, ("rpc.service",)))
    name = first_text(attributes, PEER_HOST)
    return Peer("host", name, "") if name else None


def host(resource: Attributes) -> str:
    """Name the machine or pod whose clock a resource's spans were timed with; empty when not told."""
    return first_text(resource, HOST)


class Meaning(NamedTuple):
    """What a span's attributes say of it."""

    kind: Kind
    status: Status
    peer: Peer | None


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
    kind = kind or kind_from_text(values.get("span.kind", ""))
    status = max(status, status_from_attributes(values))
    return Meaning(kind, status, peer(kind, {key: values[key] for key in values if key in PEER_KEYS}))
