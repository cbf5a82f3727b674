"""What people type where something else is meant or more is said: tags, and places of traces in the place of names.

Tags are read as Jaeger UI's tag field reads them, and patterns besides.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TypeAlias

import typer

from traceq.sources import is_url
from traceq.where import Where, parse_where

_TAG = re.compile(
    r"""\s*(?: "(?P<name>(?:[^"\\]|\\.)+)" | (?P<key>(?![<>!(])[^\s="~]+) )
        (?: (?P<sign>[=~]|\s+[=~]\s*)
            (?: "(?P<quoted>(?:[^"\\]|\\.)*)"
              # Words follow that do not begin another tag.
              | (?P<bare>(?!")\S+ (?:\s+(?!(?:[A-Za-z_][^\s="~]*|"(?:[^"\\]|\\.)+")[=~])\S+)*)?
            )
        )?(?=\s|$)""",
    re.VERBOSE,
)
_JOINT = re.compile(r"(?:.*\s)?(and|or|&&|\|\|)", re.IGNORECASE | re.DOTALL)

TextPairs: TypeAlias = tuple[tuple[str, str], ...]


_CONDITION = re.compile(
    r"""\s*(?: not\s+.* | some\s+event\s*\(.*
      | (?: "(?:[^"\\]|\\.)+" | [^\s"'=~!<>]+ )
        (?: \s*(?:!=|!~|>=|<=|>|<).* | \s+exists\s* | \s+(?:not\s+)?in\s*\(.* )
      )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def parse_condition(text: str) -> Where | None:
    """Read a tag that is compared in another way than by `=` or `~`, as `--where` has it; None for any other."""
    return parse_where(text) if _CONDITION.fullmatch(text) else None


def parse_tags(text: str) -> tuple[TextPairs, TextPairs]:
    r"""Read tags, and patterns for tags, as Jaeger UI's tag field reads tags (logfmt), and values with blanks besides.

    `error=true http.status_code=500 retried` are three tags, `note=two words` is one: a word with `=` or `~` in it
    begins a tag if what stands before is a name, any other word belongs to the value before it, and a word for itself
    means `true`. Quotes keep everything: `note="a b=c" retried`, `"user id"=5`; `\"` is a quote within them. Of `=` and
    `~`, the first one tells a value from a pattern.

    Returns:
        The tags with values, and those with patterns.

    Raises:
        ValueError: If the text is empty, a quote is left open, a pattern is missing, or `and` stands between tags.
    """
    values, patterns = [], []
    position = 0
    stripped = text.strip()
    while position < len(stripped):
        found = _TAG.match(stripped, position)
        if found is None:
            raise ValueError(f"cannot read the tag '{text}', write key=value, key=\"a value\" or key~pattern")
        key, told = found["key"] or _plain(found["name"]), found["bare"] or ""
        sign = (found["sign"] or "").strip()
        joint = _JOINT.fullmatch(told if sign else found["key"] or "")
        if joint and found.end() < len(stripped):
            why = "--where takes what is joined by it, and quotes make it part of a value"
            raise ValueError(f"'{joint[1]}' stands between tags: {why}")
        if sign != "~":
            values.append(
                (key, told if found["quoted"] is None else _plain(found["quoted"])) if sign else (key, "true")
            )
        elif pattern := told or (found["quoted"] or "").replace('\\"', '"'):
            patterns.append((key, pattern))
        else:
            raise ValueError(f"the pattern of the tag '{key}' is missing, write key~pattern")
        position = found.end()
    if not (values or patterns):
        raise ValueError("the tag is empty, write key=value or key~pattern")
    return tuple(values), tuple(patterns)


def _plain(quoted: str) -> str:
    """Take the backslashes away that keep quotes within quotes."""
    return re.sub(r"\\(.)", r"\1", quoted)


_FILE_SUFFIXES = (".json", ".ndjson", ".jsonl", ".gz", ".zst", ".zstd", ".parquet", ".pb")


def is_path(text: str) -> bool:
    """Tell a path from an id; one that does not exist is one all the same where it looks like it."""
    return "/" in text or text.lower().endswith(_FILE_SUFFIXES) or Path(text).exists()


def refuse_place(name: str | None, param: str) -> None:
    """Refuse a place of traces where a name is expected, if it can hardly be a name.

    Raises:
        typer.BadParameter: If it is a URL, ends like a file of traces, or is a path that exists.
    """
    if name is None:
        return
    is_file = name.lower().endswith(_FILE_SUFFIXES) or ("/" in name and Path(name).exists())
    if is_url(name) or is_file:
        raise typer.BadParameter(f"'{name}' {_what(name)}: write --source {shlex.quote(name)}", param_hint=param)


def _what(place: str) -> str:
    if is_url(place):
        return "is an address"
    if Path(place).is_dir():
        return "is a directory"
    return "is a file" if Path(place).exists() else "ends like a file"
