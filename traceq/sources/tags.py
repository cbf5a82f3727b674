"""Ways to put tags to storages that do not compare them exactly.

Elasticsearch and OpenSearch read the value of a tag as a regular expression of Lucene that has to match all of it, and
index neither values nor names of more than 256 characters. VictoriaTraces looks for attributes of resources only where
their keys say so. A server does not tell which storage it has, so the way to
ask is found by asking: what comes back is checked exactly in any case.

Python's regular expressions are translated for these as far as they mean the same there. Lucene's have to match all of
a value, know no classes like digits and no anchors, and give some ordinary characters a meaning. As all is checked
again, a translation may match more than the pattern does, but never less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from traceq.conditions import Condition, is_sent, may_be_unknown
from traceq.query import TraceQuery

_SPECIAL = re.compile(r'[.?+*|{}\[\]()"\\#@&<>~^$-]')
"""Characters that mean something in Lucene's expressions, or meant something in one of its versions."""
_UNLIKE_ITSELF = re.compile(r'[?+*|{}\[\]()"\\#@&<>~^$]')
"""Those of them with which a value may not match itself; a dot and a hyphen do."""
LONGEST_INDEXED = 256
"""`ignore_above` in the mappings of Jaeger's indices."""
_TOO_LONG = (
    f"Elasticsearch and OpenSearch do not index values and names of more than {LONGEST_INDEXED} characters: these "
    "conditions were checked here in the traces that meet the rest"
)
LOOKED_FOR = (
    "the server looked for the pattern; if it is Elasticsearch or OpenSearch, not in values of more than "
    f"{LONGEST_INDEXED} characters"
)
NOT_LOOKED_FOR = "the server did not look for the pattern: it was checked among the newest traces that meet the rest"


def other_ways(
    query: TraceQuery, *, is_short_of_room: bool, resource_prefixes: Sequence[str] = ()
) -> Iterator[TraceQuery]:
    """Give queries that may find what a query failed to find; a later one asks for less than all conditions.

    Args:
        query: What was asked first.
        resource_prefixes: What the server may want before the keys of resources' attributes.
        is_short_of_room: Whether the answer was as long as the limit and held traces that do not match; otherwise
            nothing was found, or the server failed.
    """
    mark = _SPECIAL if is_short_of_room else _UNLIKE_ITSELF
    if any(mark.search(value) for _, value in query.attributes):
        escaped = tuple((key, _SPECIAL.sub(r"\\\g<0>", value)) for key, value in query.attributes)
        yield replace(query, attributes=escaped)
    if is_short_of_room:
        return
    for prefix in resource_prefixes:
        yield from _of_resources(query, prefix)
    known = replace(
        query,
        operation=query.operation if _is_indexed(query.operation or "") else None,
        attributes=tuple(filter(_is_findable, query.attributes)),
    )
    if known != query:
        yield known


def without_patterns(query: TraceQuery, *, has_imitators: bool) -> Iterator[TraceQuery]:
    """Give the ways to ask a server for patterns: as Elasticsearch reads them, as VictoriaTraces does, not at all.

    Args:
        query: What is wanted; without patterns it is the only way.
        has_imitators: Whether servers of this kind may be VictoriaTraces.

    Yields:
        Queries whose `tag_patterns` are values to send.
    """
    if query.tag_patterns:
        translated = [(key, lucene_of(pattern)) for key, pattern in query.tag_patterns]
        if known := tuple((key, text) for key, text in translated if text is not None):
            yield replace(query, tag_patterns=known)
            if has_imitators:
                yield replace(
                    query, tag_patterns=tuple((key, f"~({dict(query.tag_patterns)[key]})") for key, _ in known)
                )
        yield replace(query, tag_patterns=(), limit=None)
    else:
        yield query


def _of_resources(query: TraceQuery, prefix: str) -> Iterator[TraceQuery]:
    """Ask for the attributes of resources: for all tags as such, and where there are several, for each of them."""
    keys = [key for key, _ in query.attributes]
    for chosen in dict.fromkeys((tuple(keys), *((key,) for key in keys))):
        if chosen:
            tags = (
                (prefix + key.removeprefix("resource.") if key in chosen else key, value)
                for key, value in query.attributes
            )
            yield replace(query, attributes=tuple(tags))


def unsent(wanted: TraceQuery, sent: TraceQuery) -> tuple[str, ...]:
    """Say why conditions were not sent to the server, and have to be looked for; nothing where all of them were."""
    kept = {key for key, _ in (sent if len(sent.attributes) < len(wanted.attributes) else wanted).attributes}
    left_out = [each for each in wanted.attributes if each[0] not in kept or not is_sent(each)]
    has_long = sent.operation != wanted.operation or not all(_is_indexed(value) for _, value in left_out)
    unknown = ", ".join(f"{key}={value}" for key, value in left_out if _is_indexed(value))
    reasons = [_TOO_LONG] if has_long else []
    if unknown:
        reasons.append(f"not every server can look for {unknown}: it was checked here in the traces that meet the rest")
    return tuple(reasons)


def _is_findable(condition: Condition) -> bool:
    return _is_indexed(condition[1]) and not (is_sent(condition) and may_be_unknown(condition))


def _is_indexed(text: str) -> bool:
    return len(text) <= LONGEST_INDEXED


_PIECE = re.compile(
    r"""
      (?P<any>       \. | \\[dDsSwW] )
    | (?P<escaped>   \\[^0-9A-Za-z] )
    | (?P<set>       \[ \^? (?: [0-9A-Za-z]-[0-9A-Za-z] | [0-9A-Za-z_.:/\ ] )+ \] )
    | (?P<open>      \( (?: \?: | (?!\?) ) )
    | (?P<same>      \) | \| | \{ [0-9]+ (?: , [0-9]* )? \} (?= (?P<lazy_count> \?? ) ) | [*+?] (?= (?P<lazy> \?? ) ) )
    | (?P<plain>     [^\\.\[\](){}|*+?^$] )
    """,
    re.VERBOSE,
)
_EMPTY = re.compile(r"\(\||\|\||\|\)|\(\)")
"""An alternative that is empty, which Lucene reads as an ordinary bracket or bar."""
_ORDINARY_HERE_ONLY = frozenset('"#@&<>~-')


def lucene_of(pattern: str) -> str | None:
    """Give a regular expression of Lucene that matches every value in which Python finds a pattern.

    Returns:
        None where the pattern holds something that Lucene lacks or reads in another way.
    """
    is_at_start, is_at_end = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    body = pattern[is_at_start : len(pattern) - is_at_end]
    pieces, position, depth = [], 0, 0
    while position < len(body):
        found = _PIECE.match(body, position)
        if found is None:
            return None
        text = found.group()
        depth += (found["open"] is not None) - (text == ")")
        if text == "|" and depth == 0 and (is_at_start or is_at_end):
            return None  # each anchor belongs to one of the alternatives
        pieces.append(_piece(found, text))
        # Whether a repetition is lazy tells which match is found, not whether there is one.
        position = found.end() + len(found["lazy"] or found["lazy_count"] or "")
    inner = "".join(pieces)
    if not inner or _EMPTY.search(f"({inner})"):
        return None
    # Python's end is also the one before a last line feed.
    before, after = "" if is_at_start else ".*", "\n?" if is_at_end else ".*"
    return f"{before}({inner}){after}"


def _piece(found: re.Match[str], text: str) -> str:
    if found["any"]:
        return "."
    if found["open"]:
        return "("
    if found["escaped"]:
        return text if text[1] != " " else " "
    return "\\" + text if text in _ORDINARY_HERE_ONLY else text
