"""Ways to put tags to storages that do not compare them exactly.

Elasticsearch and OpenSearch read the value of a tag as a regular expression of Lucene that has to match all of it, and
index neither values nor names of more than 256 characters. A server does not tell which storage it has, so the way to
ask is found by asking: what comes back is checked exactly in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from traceq.query import TraceQuery

_SPECIAL = re.compile(r'[.?+*|{}\[\]()"\\#@&<>~^$-]')
"""Characters that mean something in Lucene's expressions, or meant something in one of its versions."""
_UNLIKE_ITSELF = re.compile(r'[?+*|{}\[\]()"\\#@&<>~^$]')
"""Those of them with which a value may not match itself; a dot and a hyphen do."""
LONGEST_INDEXED = 256
"""`ignore_above` in the mappings of Jaeger's indices."""


def other_ways(query: TraceQuery, *, is_short_of_room: bool) -> Iterator[TraceQuery]:
    """Give queries that may find what a query failed to find.

    Args:
        query: What was asked first.
        is_short_of_room: Whether the answer was as long as the limit and held traces that do not match; otherwise
            nothing was found, or the server failed.
    """
    mark = _SPECIAL if is_short_of_room else _UNLIKE_ITSELF
    if any(mark.search(value) for _, value in query.attributes):
        escaped = tuple((key, _SPECIAL.sub(r"\\\g<0>", value)) for key, value in query.attributes)
        yield replace(query, attributes=escaped)
    if not is_short_of_room and has_long(query):
        yield replace(
            query,
            operation=query.operation if _is_indexed(query.operation or "") else None,
            attributes=tuple((key, value) for key, value in query.attributes if _is_indexed(value)),
            limit=None,
        )


def has_long(query: TraceQuery) -> bool:
    """Tell whether a value or a name is too long for an index."""
    return not all(map(_is_indexed, (query.operation or "", *(value for _, value in query.attributes))))


def _is_indexed(text: str) -> bool:
    return len(text) <= LONGEST_INDEXED
