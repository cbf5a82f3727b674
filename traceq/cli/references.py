"""What was typed where a trace is expected: an id in any form that people have, a link, or a file of one trace."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import typer
from msgspec import Struct, structs

from traceq.cli.messages import tell
from traceq.cli.options import SourceOptions
from traceq.cli.outputs import OutputOptions
from traceq.cli.typed import is_path

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


class Located(Struct, frozen=True):
    """A trace that was typed, and where to look for it."""

    source: SourceOptions
    reference: Reference

    @property
    def trace_id(self) -> str:
        """The id; empty for the only trace of a file."""
        return self.reference.trace_id


def located(text: str, source: SourceOptions, output: OutputOptions, param: str = "--trace") -> Located:
    """Read what was typed where a trace is expected.

    A link leads to its server unless another one was typed; a file is the source, and its only trace the one that is
    meant.

    Args:
        text: What was typed.
        source: Which source was typed.
        output: Whether hints are wanted.
        param: The argument or option, for errors.

    Raises:
        typer.BadParameter: If it is a link that names no trace or several, or a file beside a source.
    """
    reference = read_reference(text, param)
    if not reference.is_known and is_path(text):
        if source.source:
            what = "is a file" if Path(text).exists() else "is no id of a trace, and no such file"
            raise typer.BadParameter(f"'{text}' {what}: with --source, write the id of a trace", param_hint=param)
        return Located(structs.replace(source, source=[text]), structs.replace(reference, trace_id=""))
    if not reference.location:
        return Located(source, reference)
    if source.source and source.source[0].rstrip("/") != reference.location and not output.quiet:
        tell("hint", f"the link leads to {without_user(reference.location)}: without --source, it is asked")
    return Located(following(reference.location, source, output), reference)


def following(location: str, source: SourceOptions, output: OutputOptions) -> SourceOptions:
    """Give the source with the server of a link in it, unless another one was typed.

    Whoever wrote the link chose that server: what the environment has for its own one is not sent to another.

    Args:
        location: The server that the link leads to; empty where it was none.
        source: Which source was typed.
        output: Whether notes are wanted.
    """
    if source.source or not location:
        return source
    variables = source.secrets_of_environment
    linked = structs.replace(source, source=[location])
    if not variables or leads_to(location, source):
        return linked
    if not output.quiet:
        names, server = " and ".join(variables), without_user(location)
        tell(
            "note",
            f"{names} {'are' if len(variables) > 1 else 'is'} not sent to {server}, where the link leads: add "
            f"--source {server} if that is meant",
        )
    return linked.without_environment()


def leads_to(location: str, source: SourceOptions) -> bool:
    """Tell whether the server of a link is the source: the same scheme, host and port."""
    return _origin(location) == _origin(source.locations[0])


def _origin(location: str) -> tuple[str, str | None, int | None] | None:
    """Give what the same servers have in common; None for what is no URL."""
    try:
        parts = urlsplit(location.strip())
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None  # the source says what is wrong with it


def without_user(location: str) -> str:
    """Write a server without what may stand before its host."""
    return location.replace(f"{urlsplit(location).netloc.rpartition('@')[0]}@", "")


def read_reference(text: str, param: str = "--trace") -> Reference:
    """Read an id or a link.

    Raises:
        typer.BadParameter: If it is a link that names no trace, or several.
    """
    try:
        return parse_reference(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=param) from error


def span_id_in(text: str, param: str) -> str:
    """Take the id of a span from what was typed: digits in any form, a link to the span, or a header that names it.

    Raises:
        typer.BadParameter: If it is a link that names no trace, or several.
    """
    reference = read_reference(text, param)
    return reference.span_id or reference.caller_id or reference.trace_id
