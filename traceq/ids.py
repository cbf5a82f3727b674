"""Ids of traces as people have them: from links, headers, logs and other systems.

| written | where it comes from |
|---|---|
| `5b8aa5a2d2c872e8321cf37308d69df2`, `5B8AA5A2...`, `0x5b8a...`, the first digits | logs, lists, other tools |
| `5b8aa5a2-d2c8-72e8-321c-f37308d69df2` | a UUID |
| `W4qlotLIcugyHPNzCNad8g==` | OTLP JSON of protobuf libraries |
| `00-5b8aa5a2d2c872e8321cf37308d69df2-b7ad6b7169203331-01` | `traceparent`, W3C Trace Context |
| `5b8aa5a2d2c872e8:b7ad6b7169203331:0:1` | `uber-trace-id`, Jaeger's clients |
| `5b8aa5a2d2c872e8321cf37308d69df2-b7ad6b7169203331-1` | `b3`, Zipkin |
| `1-5b8aa5a2-d2c872e8321cf37308d69df2`, `Root=1-5b8aa5a2-...;Parent=...` | AWS X-Ray, `X-Amzn-Trace-Id` |
| `5b8aa5a2d2c872e8321cf37308d69df2/13235353014750950193;o=1` | `X-Cloud-Trace-Context`, Google Cloud |
| `http://jaeger:16686/trace/5b8a...?uiFind=b7ad6b7169203331`, `/search?traceID=`, `/api/traces/` | links |

Around any of these there may be blanks, quotes, brackets, a final comma or full stop, and its name (`trace_id=...`,
`traceparent: ...`).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

_HEX = re.compile(r"[0-9a-f]{1,32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
_NAMED = re.compile(
    r"""["']?(?:[\w.-]*trace[\w.-]*|b3|root)["']?\s*(?::(?!//)|=(?!=*$))\s*(?P<value>.*)""", re.IGNORECASE | re.DOTALL
)
_FORMS = (
    re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}(-.*)?"),
    re.compile(r"(?P<trace>[0-9a-f]{1,32}):(?P<span>[0-9a-f]{1,16}):[0-9a-f]{1,16}:[0-9a-f]{1,2}"),
    re.compile(r"1-(?P<trace>[0-9a-f]{8}-[0-9a-f]{24})(;.*)?"),
    re.compile(r"(?P<trace>[0-9a-f]{32}|[0-9a-f]{16})-(?P<span>[0-9a-f]{16})(-[01d](-[0-9a-f]{16})?)?"),
    re.compile(r"(?P<trace>[0-9a-f]{32})/\d+(;o=\d)?"),
    re.compile(r"(?:0x)?(?P<trace>[0-9a-f]{1,32})"),
    re.compile(r"(?P<trace>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"),
)
_XRAY_FIELD = re.compile(r"(?:^|;)\s*root=(?P<value>[^;]*)", re.IGNORECASE)
_LINKED = re.compile(r"(?P<base>.*?)/(?:api/(?:v\d/)?traces|trace)/(?P<id>[^/]+)/?", re.DOTALL)
_LISTED = re.compile(r"(?P<base>.*?)/(?:search|api/(?:v\d/)?traces)/?", re.DOTALL)
_HOST = re.compile(r"[\w.-]+(:\d+)?/\S*")
_AROUND = " \t\r\n\"'`“”‘’«»<>()[]{},;"  # noqa: RUF001 - quotes of every kind
_BASE64_LENGTH = 24


class Reference(Struct, frozen=True):
    """What a text says about a trace."""

    trace_id: str
    """The id, lower-case hex; the text itself where it is no form that is known."""
    span_id: str = ""
    """The span that a link is about; empty where it is about none."""
    caller_id: str = ""
    """The span that a header names, which made the call with it; it may be in no trace."""
    find: str = ""
    """The text that a link to Jaeger UI searches for in the trace."""
    location: str = ""
    """The server that a link leads to; empty where the text is no link."""
    is_known: bool = True
    """Whether the text has a form that is known."""


def parse_reference(text: str) -> Reference:
    """Read an id in any form of the table above.

    Raises:
        ValueError: If it is a link that names no trace, or several.
    """
    bare = text.strip(_AROUND).rstrip(".")
    link = bare if "://" in bare else f"http://{bare}"
    if bare.startswith(("http://", "https://")) or (_HOST.fullmatch(bare) and _LINKED.search(urlsplit(link).path)):
        return _linked(link)
    # Before names are looked for: an id may look like one that is followed by a value (`b3:...`).
    read = _read(bare)
    named = _XRAY_FIELD.search(bare) or _NAMED.fullmatch(bare)
    if read is None and named is not None:
        value = named["value"].strip(_AROUND)
        read = _linked(value) if value.startswith(("http://", "https://")) else _read(value)
    return read or Reference(text.strip(), is_known=False)


def _read(text: str) -> Reference | None:
    bare = unquote(text.strip(_AROUND)).strip(_AROUND).rstrip(".")
    for form in _FORMS:
        found = form.fullmatch(bare.lower())
        if found is not None:
            return Reference(found["trace"].replace("-", ""), caller_id=found.groupdict().get("span") or "")
    decoded = _decoded(bare) if len(bare) == _BASE64_LENGTH and bare.endswith("==") else None
    return None if decoded is None else Reference(decoded)


def _decoded(text: str) -> str | None:
    try:
        return b64decode(text, validate=True).hex()
    except binascii.Error:
        return None


def _linked(link: str) -> Reference:
    """Read a link: to a trace in Jaeger UI or in the API, or to a search that names one.

    Raises:
        ValueError: If it names no trace, or several.
    """
    parts = urlsplit(link)
    # Jaeger UI behind a router that uses fragments has its path there.
    where, query = (parts.fragment or "", "") if "/trace/" in parts.fragment else (parts.path, parts.query)
    asked = parse_qs(query)
    found = _LINKED.fullmatch(where)
    ids = [found["id"]] if found is not None else [each for key in _QUERY_IDS for each in asked.get(key, ())]
    told = [one for each in ids for one in re.split(r"\.\.\.|,", unquote(each))]
    if not told:
        raise ValueError("a link to a trace ends in /trace/<id>, or has traceID=<id>")
    if len(set(told)) > 1:
        raise ValueError("the link names several traces: `traceq compare` takes two ids")
    read = _read(told[0])
    if read is None:
        raise ValueError(f"the link names no trace: '{told[0]}' is no id")
    base = found["base"] if found is not None else (_LISTED.fullmatch(where) or {"base": ""})["base"]
    sought = next(iter(asked.get("uiFind", ())), "").strip()
    is_span = _SPAN_ID.fullmatch(sought.lower()) is not None
    return Reference(
        read.trace_id,
        span_id=sought.lower() if is_span else "",
        find="" if is_span else sought,
        location=f"{parts.scheme}://{parts.netloc}{base}",
    )


_QUERY_IDS = ("traceID", "traceId", "trace_id", "traceid")
