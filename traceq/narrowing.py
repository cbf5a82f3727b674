"""What servers can be asked for of a condition: less than all of it, never more, so that no trace is lost.

A span that meets conditions joined by `and` meets each of them, and one that meets conditions joined by `or` meets one
of them. So a condition becomes a few questions, whose answers together hold everything that meets it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TypeAlias

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
