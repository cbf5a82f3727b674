"""What servers can be asked for of a query: less than all of it, never more, so that no trace is lost.

A span that meets conditions joined by `and` meets each of them, and one that meets conditions joined by `or` meets one
of them. So a condition becomes a few questions, whose answers together hold everything that meets it.

Storages do not all compare tags exactly. Elasticsearch and OpenSearch read the value of a tag as a regular expression
of Lucene that has to match all of it, and index neither values nor names of more than 256 characters. VictoriaTraces
looks for attributes of resources only where their keys say so. A server does not tell which storage it has, so the way
to ask is found by asking: what comes back is checked exactly in any case.

Python's regular expressions are translated for these as far as they mean the same there. Lucene's have to match all of
a value, know no classes like digits and no anchors, and give some ordinary characters a meaning. As all is checked
again, a translation may match more than the pattern does, but never less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeAlias

from traceq.conditions import Condition, is_sent, may_be_unknown
from traceq.query import TraceQuery
from traceq.semantics import Kind
from traceq.where import (
    DURATION,
    EITHER_NAME,
    EVENT,
    LINK,
    OWN_NAMES,
    SPAN,
    TAG,
    All,
    Any,
    Comparison,
    Length,
    Member,
    Number,
    Where,
    text_of,
)

_MOST_QUESTIONS = 8
"""More of them cost more than to look at everything."""

_EXACT = 10**10
"""Below, every server writes a number in the same way, whether it was sent as an integer or as a float."""

_Tag: TypeAlias = tuple[str, str]
_Way: TypeAlias = tuple[Comparison | _Tag, ...]
"""Conditions that all hold, in one of the ways in which the whole can."""
_ANYTHING: tuple[_Way, ...] = ((),)
"""Where nothing can be asked for."""


def narrowed(query: TraceQuery) -> tuple[TraceQuery, ...]:
    """Give questions in the words that servers know, whose answers together hold every trace that matches.

    Every one of them still has the whole of `where`, to be checked.
    """
    if query.where is None:
        return (query,)
    ways = _ways(query.where)
    sets = [frozenset(way) for way in ways]
    questions = []
    for way in ways:
        if any(other < frozenset(way) for other in sets):
            continue  # whoever is asked for less finds these, too
        question = query
        for each in way:
            question = _with(question, each) if isinstance(each, Comparison) else _with_tag(question, *each)
        questions.append(question)
    return tuple(dict.fromkeys(questions))


def _ways(where: Where) -> tuple[_Way, ...]:
    match where:
        case Comparison():
            return _ways_of_one(where)
        case Member(name, values, is_negated):
            each = Any(tuple(Comparison(name, "=", value) for value in values))
            return _ANYTHING if is_negated else _ways(each)
        case All(parts):
            known: tuple[_Way, ...] = _ANYTHING
            for part in parts:
                ways = _ways(part)
                if len(known) * len(ways) <= _MOST_QUESTIONS:
                    known = tuple((*first, *second) for first, second in product(known, ways))
            return known
        case Any(parts):
            ways = tuple(way for part in parts for way in _ways(part))
            return ways if len(ways) <= _MOST_QUESTIONS else _ANYTHING
        case _:
            return _ANYTHING


def _ways_of_one(known: Comparison) -> tuple[_Way, ...]:
    """Give the ways in which what is compared may be written: nothing for what is no tag."""
    name, value = EITHER_NAME.get(known.name, known.name), known.value
    if name in OWN_NAMES:
        return ((known,),)
    if known.operator != "=" or isinstance(value, Length) or (isinstance(value, Number) and not value.is_plain):
        return _ANYTHING
    if name.startswith((EVENT, LINK)):
        return _ANYTHING  # not every server looks for these, nor says so
    texts = [text_of(value)]
    if isinstance(value, Number) and abs(value.number) >= _EXACT:
        texts.append(f"{value.number:.10g}")
    place = next((each for each in (SPAN, TAG) if name.startswith(each)), "")
    names = dict.fromkeys((name.removeprefix(place), name))
    return tuple(((key, text),) for key in names for text in texts)


def _with(query: TraceQuery, known: Comparison) -> TraceQuery:
    """Give the query with what a condition says of a span itself, if servers know a word for it."""
    if known.name == DURATION and isinstance(known.value, Length):
        return _with_duration(query, known.operator, known.value.duration_ns)
    text = text_of(known.value)
    if known.operator != "=" or not text:
        return query
    match EITHER_NAME.get(known.name, known.name):
        case "service":
            return replace(query, service=query.service or text)
        case "operation":
            return replace(query, operation=query.operation or text)
        case "error":
            return replace(query, has_error=query.has_error or text.lower() == "true")
        case "status":
            return replace(query, has_error=query.has_error or text.lower() == "error")
        case "kind" if text.lower() != Kind.UNSPECIFIED.name.lower():
            return _with_tag(query, "span.kind", text.lower())
        case _:
            return query


def _with_tag(query: TraceQuery, key: str, text: str) -> TraceQuery:
    if key in dict(query.attributes):
        return query
    return replace(query, attributes=(*query.attributes, (key, text)))


def _with_duration(query: TraceQuery, operator: str, bound_ns: int) -> TraceQuery:
    """Add bounds of spans' durations, except such as contradict those that are known: servers refuse these."""
    least, most = query.min_duration_ns or 0, query.max_duration_ns
    if operator in ("=", ">", ">=") and bound_ns > least and (most is None or bound_ns <= most):
        query, least = replace(query, min_duration_ns=bound_ns), bound_ns
    if operator in ("=", "<", "<=") and least <= bound_ns and (most is None or bound_ns < most):
        query = replace(query, max_duration_ns=bound_ns)
    return query


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
