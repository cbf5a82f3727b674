"""How calls are named for people, and what they ask for, without what differs from one alike call to the next.

A few regular expressions instead of an SQL library (sqlglot, sqlparse): much of what is recorded is no SQL
(`{"find": "users"}`, `GET user:7`) or cut off, and a statement need not be understood to see that two are alike.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

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


_TEXTS = 1 << 15
"""Number of distinct texts that are remembered."""


class Wording(NamedTuple):
    """What the text of a call says."""

    alike: str
    """The text without values: alike calls have the same; empty where nothing is recorded."""
    is_open: bool
    """Whether values may differ though the texts are the same: placeholders, or nothing recorded."""
    pages: bool
    """Whether it asks for one part after another, each of which may need the one before."""
    controls: bool = False
    """Whether it asks for no data: transactions, settings, health checks."""


NOTHING_SAID = Wording("", is_open=True, pages=False)

# Each branch begins with a character, so that the others are passed over quickly.
_VALUE = re.compile(
    r"""(?P<gone>/\*.*?\*/|--[^\n]*)
    |(?P<open>\?\d*|[$]\d+|%s|%\(\w+\)s|[:@](?<![:@\w].)[A-Za-z_]\w*)
    |(?P<field>"(?P<key>[\w$.]+)"\s*:\s*(?P<text>"(?:[^"\\]|\\.)*")?)
    |(?P<quoted>"(?:[^"\\]|\\.)*")
    |'(?:[^'\\]|\\.|'')*'
    |\d(?<![\w.].)(?:[xX][0-9a-fA-F]+|[0-9a-fA-F]{7}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{15,}
        |\d*(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w.])
    |[a-fA-F](?<!\w.)(?:[0-9a-fA-F]{7}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|(?=[a-fA-F]*\d)[0-9a-fA-F]{15,})(?![\w.])""",
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = "\0"
_SPACE = re.compile(r"\s*([(),=<>\[\]{}:])\s*|\s+")
_SIGN = re.compile(r"([(,=<>])[-+]\?")
_REPEATED = re.compile(r"((?:^|[(\[,]) ?)\?(?:,\?)+(?=[)\]])|(\(\?\))(?:,\(\?\))+|( [^\s?]*\?)(?:\3)+(?=\s|$)")
_DOCUMENTS = re.compile(r"\[\{[^\[\]]*\}\]")
"""The documents of an insertion, whose fields may differ from one to the next."""
_COMMANDS = re.compile(r"(?i)find|aggregate|insert|update|delete|count|distinct|findandmodify|from|collection|index")
"""Fields of documents whose values name what is asked, as tables are named in SQL."""

_PAGES = re.compile(
    r"\boffset\b|\blimit \?,|\bfetch next\b|getmore|scroll|search_after|^[hsz]?scan\b|\bcursor"
    r"|[<>]=?\?.*\border by\b.*\blimit\b|\brownum\b"
)

_CONTROLS = re.compile(
    r"(?:begin|start transaction|commit|rollback|(?:release )?savepoint|show|use|ping|multi|exec|auth|hello"
    r"|set (?:session|local|names|autocommit|transaction|search_path|time zone|@))\b|select \?(?: from dual)?;?$"
    r"|\{\"(?:ping|hello|ismaster|endsessions)\""
)


def _masked(found: re.Match[str]) -> str:
    if found["gone"]:
        return " "
    if found["open"]:
        return _PLACEHOLDER
    key, text = found["key"], found["text"]
    if key:
        # A table's name may be written like a text.
        return found[0] if not text or _COMMANDS.fullmatch(key) else f'"{key}":?'
    quoted = found["quoted"]
    is_name = quoted and "{" not in found.string[:1] and quoted[1:-1].replace("_", "a").isidentifier()
    return quoted if is_name else "?"


@lru_cache(maxsize=_TEXTS)
def of_statement(text: str) -> Wording:
    """Read a statement: without comments, values, the lengths of lists and the numbers of rows, in lower case."""
    if not text:
        return NOTHING_SAID
    masked = _VALUE.sub(_masked, text)
    is_open = _PLACEHOLDER in masked
    alike = _SPACE.sub(lambda found: found[1] or " ", masked.replace(_PLACEHOLDER, "?")).strip().lower()
    alike = _SIGN.sub(r"\1?", _DOCUMENTS.sub("[?]", alike))
    for _ in range(2):
        # First within rows, then rows.
        alike = _REPEATED.sub(lambda found: found[2] or found[3] or f"{found[1]}?", alike)
    return Wording(alike, is_open, bool(_PAGES.search(alike)), bool(_CONTROLS.match(alike)))


_ID = re.compile(
    r"(?<=[/:=#])(?:\d+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|(?=[a-fA-F]*\d)[0-9a-fA-F]{12,})(?![^/:?#&\s])"
)
"""A number, a UUID or a long hexadecimal number that is a whole part of a path or key."""

_PAGING = re.compile(
    r"page|cursor|offset|after|before|start|skip|marker|continuation|next|token|since|until|from|last|scroll|seq|sequence"
    r"|position"
)


@lru_cache(maxsize=_TEXTS)
def of_url(text: str) -> Wording:
    """Read a URL: the path without ids, and the names of its parameters."""
    if not text:
        return NOTHING_SAID
    path, _, parameters = text.partition("#")[0].partition("?")
    keys = sorted({part.partition("=")[0].lower() for part in parameters.split("&") if part})
    alike = "&".join((_ID.sub("{id}", path), *keys))
    words = [word for key in parameters.split("&") for word in _words(key.partition("=")[0])]
    return Wording(alike, is_open=False, pages=any(map(_PAGING.fullmatch, words)))


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_GENERAL = re.compile(
    r"select|insert|update|delete|replace|upsert|merge|query|queries|exec(?:ute)?|prepare|call|command|cmd|sql|db|database"
    r"|statement|h?get|h?set|put|post|patch|head|options|https?|find|aggregate|count|distinct|request|send|fetch|do|run"
    r"|invoke|client|g?rpc|[jo]dbc|redis|mysql|postgres(?:ql)?|mongo(?:db)?|sqlite|oracle|mssql|mariadb|cassandra"
    r"|elasticsearch|opensearch|memcached|dynamodb|cursor|connection|into|from|where|index|search|bulk"
)

_COLLECTIONS = re.compile(
    r"list|search|scan|pages?|paged|paginate|next|scroll|more|poll|polling|watch|wait|status|health|ping|heartbeat|stream"
    r"|receive|read|chunks?|parts?|upload|download|batch|continue|tail|sync"
)
_PARAMETER = re.compile(r"\{[^}]*\}|/:\w|<[^>]*>")


@lru_cache(maxsize=_TEXTS)
def names_what_it_asks(name: str, general: str) -> bool:
    """Tell whether a name says more than that something is asked (`GetDriver`, `SELECT users`; not `SELECT shop`).

    Args:
        name: The name of an operation.
        general: Names of systems and databases: they do not say what is asked of them.
    """
    known = _words(general)
    return any(word not in known and not _GENERAL.fullmatch(word) for word in _words(name))


@lru_cache(maxsize=_TEXTS)
def may_page(name: str) -> bool:
    """Tell whether repeated calls of this name may be one thing in parts: `ListItems`, `GET /items`; not `/items/{id}`.

    Such calls need the answer of the one before, or wait for something to change.
    """
    if _PARAMETER.search(name):
        return False
    words = _words(name)
    is_got = ("/" in name and words[:1] == ["get"]) or words[:2] == ["http", "get"]
    return is_got or any(map(_COLLECTIONS.fullmatch, words))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(text)]


_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}\]?")
_PORT = re.compile(r":\d+$")


def without_literals(name: str) -> str:
    """Write `?` for the values in a name that is a statement, and for numbers in any other."""
    alike = of_statement(name).alike
    is_same = "".join(name.lower().split()) == "".join(alike.split())
    return " ".join(name.split()) if is_same else alike


def without_address(system: str) -> str:
    """Write `?` for what differs in the name of a system from one run to the next: addresses, ports and numbers."""
    return without_literals(_PORT.sub("", _ADDRESS.sub("?", system)))
