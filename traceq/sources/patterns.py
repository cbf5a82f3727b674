r"""Translates Python's regular expressions for Elasticsearch and OpenSearch, as far as they mean the same there.

Lucene's have to match all of a value, know neither `\d` nor `^`, and give some ordinary characters a meaning. What
comes back is checked here again, so that a translation may match more than the pattern does, but never less.
"""

from __future__ import annotations

import re

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
