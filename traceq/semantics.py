"""What OpenTelemetry attributes mean, under their old names and their new ones.

Source: OpenTelemetry semantic conventions, 1.21 (old names) to 1.38 (new names).
"""

from __future__ import annotations

import base64
import json
import re
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


KIND_NAMES = tuple(kind.name.lower() for kind in Kind)
STATUS_NAMES = tuple(status.name.lower() for status in Status)


class Activity(IntEnum):
    """What a span does towards others, according to its attributes; its kind may say something else, or nothing."""

    UNTOLD = 0
    SERVES = 1
    """Answers a request: it has a route, or the target of a request without its host."""
    CALLS = 2
    """Sends a request: it has a whole URL."""
    QUERIES = 3
    """Queries a database."""
    PUBLISHES = 4
    """Sends a message to a broker."""
    RECEIVES = 5
    """Receives messages from a broker."""
    PROCESSES = 6
    """Processes messages that were received."""
    SETTLES = 7
    """Reports to a broker what became of messages: acknowledges, commits."""
    MESSAGES = 8
    """Names a broker, but not what it does there."""
    STREAMS = 9
    """Keeps a connection open: an event stream, a websocket, a conversation of messages."""
    CREATES = 10
    """Creates a message that another span sends, with others."""


PeerKind: TypeAlias = Literal["database", "messaging", "rpc", "service", "host"]


class Peer(NamedTuple):
    """What a span talked to, if that sends no spans itself."""

    kind: PeerKind
    system: str
    """The system of the peer: `mysql`, `mongodb`, `redis`, `kafka`, `grpc`; the name itself for a service or host."""
    name: str
    """The name within the system: database, topic or queue, RPC service; empty when not given."""

    @property
    def label(self) -> str:
        """The system and the name within it (`mongodb chat`, `kafka message.events`)."""
        return f"{self.system} {self.name}" if self.name and self.name != self.system else self.system


DATABASE_SYSTEM = ("db.system.name", "db.system")
DATABASE_NAME = ("db.namespace", "db.name")
STATEMENT = ("db.query.text", "db.statement", "sql.query")
HTTP_METHOD = ("http.request.method", "http.method")
HTTP_STATUS = ("http.response.status_code", "http.status_code")
CODE_FILE = ("code.file.path", "code.filepath")
CODE_LINE = ("code.line.number", "code.lineno")
URL = ("url.full", "http.url", "url.path", "http.target")
MESSAGING_SOURCE = ("messaging.source.name", "messaging.source")
MESSAGING_DESTINATION = ("messaging.destination.name", "messaging.destination", *MESSAGING_SOURCE)
TEMPORARY = (
    "messaging.destination.temporary",
    "messaging.destination.anonymous",
    "messaging.temp_destination",
)
MESSAGING_OPERATION = ("messaging.operation.type", "messaging.operation", "messaging.operation.name")
CONSUMER_GROUP = (
    "messaging.consumer.group.name",
    "messaging.consumer_group",
    "messaging.kafka.consumer.group",
    "messaging.kafka.consumer_group",
)
WHOLE_URL = ("url.full", "http.url")
ROUTE = ("http.route", "http.target", "url.path")
CONTENT_TYPE = (
    "http.response.header.content-type",
    "http.response.header.content_type",
    "http.response.content_type",
    "http.response_content_type",
)
UPGRADE = ("http.request.header.upgrade", "http.response.header.upgrade")
RPC_TYPE = ("rpc.type", "grpc.method.kind", "grpc.method_type")
PEER_HOST = (
    "server.address",
    "net.peer.name",
    "peer.hostname",
    "net.sock.peer.name",
    "network.peer.address",
    "net.peer.ip",
)
PEER_PORT = ("net.peer.port", "peer.port")
CLUSTER = ("upstream_cluster.name", "upstream_cluster")
"""The group of hosts to which a proxy (Envoy) passed a request on."""
_LOOPBACK = re.compile(r"(?i)localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[?::1\]?|(?:host|gateway)\.docker\.internal")
_EPHEMERAL = 32768
"""Ports from here on are those of clients: servers name them as their peers', a different one for each connection."""
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
        *TEMPORARY,
        *PEER_HOST,
        *WHOLE_URL,
        "server.port",
        *PEER_PORT,
        *CLUSTER,
    )
)
"""All attributes that `peer` reads, so that a codec can keep only these."""

ACTIVITY_KEYS = frozenset((*DATABASE_SYSTEM, "messaging.system", *MESSAGING_OPERATION, *MESSAGING_SOURCE))
ACTIVITY_KEYS |= frozenset((*CONSUMER_GROUP, *WHOLE_URL, *ROUTE, *CONTENT_TYPE, *UPGRADE, *RPC_TYPE))
"""All attributes that `activity` reads."""

_OPERATIONS: Mapping[Activity, tuple[str, ...]] = {
    Activity.CREATES: ("create",),
    Activity.PUBLISHES: ("publish", "send", "produce", "enqueue"),
    Activity.RECEIVES: ("receive", "poll", "fetch", "pull", "peek"),
    Activity.PROCESSES: ("process", "consume", "deliver", "handle"),
    Activity.SETTLES: ("settle", "ack", "nack", "commit", "reject", "complete", "abandon"),
}
_ACTIVITIES = {word: activity for activity, words in _OPERATIONS.items() for word in words}
_SPOKEN = re.compile(
    r"(?<![a-z])(?:(?P<PUBLISHES>publish|sen[dt]|produc|enqueu|emit)|(?P<RECEIVES>receiv|poll|fetch|pull|dequeu)"
    r"|(?P<PROCESSES>process|consum|deliver|handl|listen|subscri)|(?P<SETTLES>n?ack(?:ed|s|nowledg\w*)?(?![a-z])|commit))"
)
"""Words for these activities in names of spans, in any form: `kafka.publish.x`, `OrderConsumer`, `processing`."""

STATUS_KEYS = frozenset(("error", "otel.status_code"))
"""All attributes that `status_from_attributes` reads."""

TELLING = frozenset(("span.kind",)) | STATUS_KEYS | PEER_KEYS | ACTIVITY_KEYS
"""Keys of the attributes that become columns."""

SHORTENED = frozenset((*WHOLE_URL, *PEER_PORT))
ABRIDGED = SHORTENED | frozenset((*ROUTE, *CONSUMER_GROUP))
"""Those of them that `abridged` shortens: whole, they would be a different value for nearly every span."""


def first_text(attributes: Attributes, keys: tuple[str, ...]) -> str:
    """Read the first of several names an attribute has had, as text; empty when none is there."""
    for key in keys:
        value = attributes.get(key)
        if value is not None and value != "":
            return value if isinstance(value, str) else value_text(value)
    return ""


def largest_number(attributes: Attributes, keys: tuple[str, ...]) -> int:
    """Read the largest of the whole numbers that attributes of these names hold, as numbers or text; 0 without any."""
    texts = (value_text(attributes[key]) for key in keys if key in attributes)
    return max((int(text) for text in texts if text.isascii() and text.isdigit()), default=0)


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


def activity(attributes: Attributes) -> Activity:
    """Say what a span does towards others, according to its attributes."""
    if _streams(attributes):
        return Activity.STREAMS
    if first_text(attributes, DATABASE_SYSTEM):
        return Activity.QUERIES
    serves = any(key in attributes for key in ROUTE)
    if first_text(attributes, ("messaging.system",)):
        # A request handler that records the broker to which it publishes on its own span still serves.
        return _messaging(attributes) or (Activity.SERVES if serves else Activity.MESSAGES)
    if serves:
        return Activity.SERVES
    url = first_text(attributes, WHOLE_URL)
    return (Activity.CALLS if authority(url) else Activity.SERVES) if url else Activity.UNTOLD


def _streams(attributes: Attributes) -> bool:
    """Recognise streams by attributes; of RPCs those in which both sides keep sending, as others end with an answer."""
    return (
        "text/event-stream" in first_text(attributes, CONTENT_TYPE).lower()
        or "websocket" in first_text(attributes, UPGRADE).lower()
        or "bidi" in first_text(attributes, RPC_TYPE).lower()
    )


def least_activity(peer: Peer | None) -> Activity:
    """Give the activity that follows from the peer alone."""
    if peer is not None and peer.kind == "database":
        return Activity.QUERIES
    return Activity.MESSAGES if peer is not None and peer.kind == "messaging" else Activity.UNTOLD


def _messaging(attributes: Attributes) -> Activity:
    """Say what a span does with messages: by the operation that it names, else by attributes of consumers."""
    for key in MESSAGING_OPERATION:
        told = _ACTIVITIES.get(first_text(attributes, (key,)).lower())
        if told is not None:
            return told
    consumes = first_text(attributes, MESSAGING_SOURCE) or any(key in attributes for key in CONSUMER_GROUP)
    return Activity.PROCESSES if consumes else Activity.UNTOLD


def activity_from_name(name: str, destination: str) -> Activity:
    """Say what a span that names a broker does, by the span's name (`kafka.publish.x`, `orders process`).

    Args:
        name: The span's name.
        destination: Topic or queue, whose words do not count (`orders.received`).
    """
    own = name.replace(destination, " ") if destination else name
    found = _SPOKEN.search(re.sub(r"([a-z])([A-Z])", r"\1 \2", own).lower())
    return Activity[found.lastgroup] if found and found.lastgroup else Activity.MESSAGES


def abridged(key: str, value: AttributeValue) -> str:
    """Shorten an attribute in `ABRIDGED` to what matters: a URL to its host, others to whether they are present.

    Ports that only clients have are left out.
    """
    if key not in SHORTENED:
        return ""
    text = value if type(value) is str else value_text(value)
    if key not in WHOLE_URL:
        return _served_port(text)
    scheme, slashes, rest = text.partition("://")
    host = rest.partition("/")[0]
    # Nearly every URL is a plain one, and this is called for each span that has one.
    if slashes and scheme and host and "@" not in host and "?" not in host and "#" not in host:
        return f"//{host}"
    told = authority(text)
    return f"//{told}" if told else text and "/"


def authority(url: str) -> str:
    """Give the host that a URL names, with its port if it has one and without credentials; empty when it has none."""
    told = url.partition("//")[2].partition("/")[0]
    if "?" in told or "#" in told:
        told = told.partition("?")[0].partition("#")[0]
    return told.rpartition("@")[2]


def peer(kind: Kind, attributes: Attributes) -> Peer | None:
    """Find what a span talked to, according to its attributes.

    A database or broker counts for every kind, since spans made by hand are often INTERNAL, and a SERVER may consume. A
    service or host counts only for CLIENT and PRODUCER, and where a span without a kind has `url.full`, since on the
    SERVER side these attributes name the caller or the span's own address. A host is taken from the URL where nothing
    else names it; its port is part of the name only on the loopback.
    """
    if not attributes or (kind is Kind.SERVER and activity(attributes) not in _CONSUMING):
        return None
    system = first_text(attributes, DATABASE_SYSTEM)
    if system:
        return Peer("database", system, first_text(attributes, DATABASE_NAME))
    system = first_text(attributes, ("messaging.system",))
    if system:
        return Peer("messaging", system, _destination(attributes))
    # Both sides used to record `http.url`; a span without a kind may serve it.
    asks = kind in (Kind.CLIENT, Kind.PRODUCER) or (kind is Kind.UNSPECIFIED and "url.full" in attributes)
    if not asks:
        return None
    return _remote_peer(attributes)


_CONSUMING = frozenset((Activity.RECEIVES, Activity.PROCESSES, Activity.MESSAGES))


def _destination(attributes: Attributes) -> str:
    """Name a topic or queue; those made for one conversation (replies) have one name, as OpenTelemetry proposes.

    Where only a part of the name is made up (`orders.reply.6b1f...`), it is left out: `orders.reply.*`.
    """
    name = first_text(attributes, MESSAGING_DESTINATION)
    if any(_is_true(attributes.get(key)) for key in TEMPORARY) or name.startswith(_TEMPORARY_NAMES):
        return "(temporary)"
    kept = _MADE_UP.sub(r"\g<sep>*", name)
    return kept if kept.strip("*-_.:/") or not name else "(temporary)"


_TEMPORARY_NAMES = ("amq.gen-", "amq.rabbitmq.reply-to", "_INBOX.", "temp-queue://", "temp-topic://", "ID:")
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_MADE_UP = re.compile(
    rf"(?i)(?<![0-9a-z])(?:{_UUID}|\d{{6,}}|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{{8,}})(?![0-9a-z])"
    r"|(?:(?<=reply)|(?<=replies)|(?<=inbox)|(?<=temp)|(?<=tmp)|(?<=anonymous))(?P<sep>[-_.:/])(?:\d+|[\w-]{22})$"
)
"""Parts of names that are made up for one conversation: UUIDs, long numbers, hexadecimal digits."""


_NAMES = 1 << 16
"""Number of names of operations that are remembered."""
_NAMED_ID = re.compile(
    rf"""(?ix)(?P<kept>//[^/\s]+|(?<![\w.-])(?:localhost|\[[0-9a-f:]+\]|[\w-]+(?:\.[\w-]+)+):\d+(?![^/\s])
        |/(?:api|rest)/\d{{1,2}}(?=/))
    |(?<=[/:=\#])(?:\d+|(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{{12,}})(?![^/:?\#&,;\s)\]])
    |(?<![0-9a-z]){_UUID}(?![0-9a-z])"""
)
"""What is made up anew for each item in the name of an operation; addresses and versions (`/api/2/`) are kept."""


ID_MARK = "{id}"
"""What stands for an id in the name of an operation."""


@lru_cache(maxsize=_NAMES)
def operation(name: str) -> str:
    """Write `{id}` for the ids in the name of a span: `GET /orders/1234` and `GET /orders/5678` are one operation.

    Ids are numbers and long hexadecimal numbers that are a whole part of a path or key, and UUIDs anywhere. Everything
    else stays as it was written: names that differ in words are different operations.
    """
    return _NAMED_ID.sub(lambda found: found["kept"] or ID_MARK, name)


def _remote_peer(attributes: Attributes) -> Peer | None:
    name = first_text(attributes, ("peer.service",))
    if name:
        return Peer("service", name, "")
    system = first_text(attributes, ("rpc.system",))
    if system:
        return Peer("rpc", system, first_text(attributes, ("rpc.service",)))
    # The URL of a request that a proxy passes on may name the proxy itself, or a whole site.
    cluster = _cluster_host(first_text(attributes, CLUSTER))
    name = cluster or first_text(attributes, PEER_HOST)
    host, port = _parted(authority(first_text(attributes, WHOLE_URL)))
    name = name or host
    if _LOOPBACK.fullmatch(name):
        # All services of a machine have this name: only the port distinguishes them.
        port = port or first_text(attributes, ("server.port",)) or _served_port(first_text(attributes, PEER_PORT))
        name = f"{name}:{port}" if port else name
    return Peer("host", name, "") if name else None


def _served_port(text: str) -> str:
    return text if text.isascii() and text.isdigit() and len(text) < 6 and int(text) < _EPHEMERAL else ""


_CLUSTER = re.compile(
    r"outbound\|\d*\|[^|]*\|(?P<istio>[^|;]+);?|outbound_\.\d*_\.[^_]*_\.(?P<gateway>[^|;]+)"
    r"|(?P<consul>[\w.-]+?)\.(?:in|ex)ternal(?:-v\d+)?\.[0-9a-f-]{36}\.consul|(?P<named>[\w.:-]+)"
)
_OWN_CLUSTER = re.compile(r"(?i)inbound|passthrough|blackhole|original.dst")


def _cluster_host(cluster: str) -> str:
    """Name the service behind a proxy's cluster, as Istio, Consul or people name these; empty where it names none."""
    found = None if _OWN_CLUSTER.match(cluster) else _CLUSTER.fullmatch(cluster)
    return found[found.lastgroup or 0] if found else ""


def _parted(address: str) -> tuple[str, str]:
    """Split an authority into host and port; IPv6 addresses are in brackets and contain colons."""
    host, colon, port = address.rpartition(":")
    return (host, port) if colon and port.isdigit() else (address, "")


def host(resource: Attributes) -> str:
    """Name the machine or pod whose clock timed a resource's spans; empty when not given."""
    return first_text(resource, HOST)


def takes_messages(kind: Kind, activity: Activity) -> bool:
    """Tell the spans that begin with a message: what they are linked to is who sent it."""
    return kind is Kind.CONSUMER or activity in (Activity.RECEIVES, Activity.PROCESSES)


def is_from_opentelemetry(attributes: Attributes, resource: Attributes) -> bool:
    """Tell spans that came over OTLP by what the SDK, or Jaeger's conversion, adds to them or their resource.

    Their FOLLOWS_FROM references in Jaeger's v1 JSON were links.
    """
    if attributes.get("internal.span.format") == "otlp":
        return True
    return any(key.startswith(_OTLP_PREFIXES) for key in (*attributes, *resource))


_OTLP_PREFIXES = ("otel.scope.", "otel.library.", "telemetry.sdk.")


class Meaning(NamedTuple):
    """What a span's attributes say about it."""

    kind: Kind
    status: Status
    peer: Peer | None
    activity: Activity


# The same few attributes come with many spans, and finding their meaning takes longer than reading them.
@lru_cache(maxsize=4096)
def meaning(attributes: tuple[str, ...], kind: Kind = Kind.UNSPECIFIED, status: Status = Status.UNSET) -> Meaning:
    """Say what attributes mean, together with the span's fields for kind and status.

    Args:
        attributes: The keys in `TELLING` and their values in turn, values as text, abridged or not. If a key occurs
            twice, the last one counts.
        kind: The span's field; takes precedence over the attribute.
        status: The span's field; of field and attributes, the more severe one counts, as in Jaeger's own conversion.
    """
    values = dict(zip(attributes[::2], attributes[1::2], strict=True))
    kind = kind or kind_from_text(values.get("span.kind", ""))
    status = max(status, status_from_attributes(values))
    return Meaning(kind, status, peer(kind, values), activity(values))
