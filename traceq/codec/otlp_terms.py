"""What OTLP means, whether it is written as JSON or as protobuf: kinds, statuses, parents, and what Jaeger adds."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeVar

from traceq import semantics
from traceq.assembly import UNKNOWN_SERVICE
from traceq.semantics import Attributes, AttributeValue, Kind, Meaning, Status, meaning

WARNINGS = "@jaeger@warnings"
"""The attribute in which Jaeger's v3 answers keep the server's remarks about a span."""

REFERENCE_TYPE, FOLLOWS_FROM = "opentracing.ref_type", "follows_from"
"""An attribute of links that stand for references of OpenTracing, and its value where these did not wait.

Jaeger adds such a link beside the parent where its storage knows references only: Elasticsearch, OpenSearch.
"""


class Told(NamedTuple):
    """What Jaeger's conversion to v1 turns into tags; empty where there is none."""

    scope_name: str | None
    scope_version: str | None
    status_message: str | None
    trace_state: str | None


TAGS = ("otel.scope.name", "otel.scope.version", "otel.status_description", "w3c.tracestate")
"""The attributes that these become."""


def completed(told: Told, scope: Attributes, attributes: Attributes) -> dict[str, AttributeValue]:
    """Add to a span's attributes whatever else Jaeger's conversion turns into tags."""
    found: dict[str, AttributeValue] = {f"otel.scope.{key}": value for key, value in scope.items()}
    found |= {key: value for key, value in zip(TAGS, told, strict=True) if value}
    found |= attributes
    found.pop(WARNINGS, None)
    return found


def named(service: str, resource: Attributes) -> dict[str, AttributeValue]:
    """Put the service back among the attributes of its resource, unless its source did not tell it."""
    return {**({} if service == UNKNOWN_SERVICE else {"service.name": service}), **resource}


def remarks(attributes: Attributes) -> tuple[str, ...]:
    """Read the server's remarks about a span."""
    told = attributes.get(WARNINGS)
    if told is None:
        return ()
    return tuple(semantics.value_text(each) for each in (told if isinstance(told, list) else [told]))


def meaning_of(texts: tuple[str, ...], kind: int | str | None, status: int | str | None) -> Meaning:
    """Say what a span means.

    Args:
        texts: The attributes that tell it, as `semantics.meaning` takes them.
        kind: As number or name.
        status: Likewise.
    """
    return meaning(texts, _member(Kind, kind, "SPAN_KIND_"), _member(Status, status, "STATUS_CODE_"))


def takes_messages(texts: tuple[str, ...], kind: int | str | None) -> bool:
    """Tell the spans that begin with a message."""
    told = meaning_of(texts, kind, None)
    return semantics.takes_messages(told.kind, told.activity)


_Enum = TypeVar("_Enum", Kind, Status)


@lru_cache(maxsize=64)
def _member(names: type[_Enum], value: int | str | None, prefix: str) -> _Enum:
    """Read an enum given as number or name; what a later OTLP may add is read as 0, which stands for unknown."""
    text = str(value or 0).removeprefix(prefix)
    known = names.__members__.get(text)
    return next((member for member in names if text == str(member.value)), names(0)) if known is None else known
