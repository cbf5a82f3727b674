"""JSON documents cut to what their reader needs: some of their keys, and no more bytes than there is room for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeAlias

from traceq.untrusted import shown_json

Document: TypeAlias = Mapping[str, Any]
"""What `json` writes: text, numbers, lists and mappings in each other."""

_TEXT_STEPS = (300, 120, 60, 30)
"""The lengths that texts are cut to, one after the other, where whole ones leave no room."""


def selected(document: Document, paths: Iterable[str]) -> dict[str, Any]:
    """Keep some keys of a document, in the document's order.

    Args:
        document: The document; it is not changed.
        paths: Keys, with dots between nested ones (`operations.duration.p95_ns`); lists are looked through, and a path
            to an object or a list keeps all of it.

    Raises:
        ValueError: If the document has nothing under a path, and no list or object on the way is empty.
    """
    tree: dict[str, Any] = {}
    for path in paths:
        if not has(document, path):
            known = sorted(_paths(document))
            close = get_close_matches(path, known, 1)
            hint = f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(known)}"
            raise ValueError(f"the document has no '{path}'{hint}")
        branch = tree
        for key in path.split("."):
            branch = branch.setdefault(key, {})
        # What is wanted whole stays whole, whatever else is wanted of it.
        branch[""] = {}
    return _kept(document, tree)  # type: ignore[no-any-return]  # of a mapping it gives a mapping


def _kept(value: Any, tree: Mapping[str, Any]) -> Any:
    if "" in tree or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: _kept(part, tree[key]) for key, part in value.items() if key in tree}
    return [_kept(part, tree) for part in value]


def has(document: Document, path: str) -> bool:
    """Tell whether a document has something under a path, or may have: null or empty parts on the way do not tell."""
    return _has(document, path.split("."))


def _has(value: Any, keys: Sequence[str]) -> bool:
    if not keys or value is None:
        return True
    if isinstance(value, Mapping):
        return keys[0] in value and _has(value[keys[0]], keys[1:])
    return isinstance(value, list) and (not value or any(_has(part, keys) for part in value))


def _paths(value: Any, prefix: str = "") -> set[str]:
    """List the paths of everything in a document."""
    if isinstance(value, Mapping):
        found: set[str] = set()
        for key, part in value.items():
            found |= {prefix + key} | _paths(part, f"{prefix}{key}.")
        return found
    return set().union(*(_paths(part, prefix) for part in value)) if isinstance(value, list) else set()


def with_totals(value: Any) -> Any:
    """Put the number of its items beside every list, so that a cut one can say what it lacks.

    Fractions are rounded to four digits: more of them take room and tell nothing.
    """
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: with_totals(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return {"total": len(value), "truncated": False, "items": [with_totals(part) for part in value]}
    return value


def fitted(document: Document, max_bytes: int) -> dict[str, Any]:
    """Cut the lists of a document with totals from their ends, the largest first, until it fits; then its texts.

    Args:
        document: What `with_totals` gave; it is not changed.
        max_bytes: The most bytes of its compact JSON in UTF-8. A list keeps its first item, so that an answer without
            room for one of each is longer.
    """
    made: dict[str, Any] = json.loads(compact(document))
    for length in _TEXT_STEPS:
        _shorten_texts(made, length)
        _cut_lists(made, max_bytes)
        if size(made) <= max_bytes:
            break
    return made


def size(value: Any) -> int:
    """Give the number of bytes of compact JSON."""
    return len(compact(value).encode())


def compact(value: Any) -> str:
    """Write JSON without blanks, safe to show."""
    return shown_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _lists(value: Any) -> list[dict[str, Any]]:
    """Find the lists in a document, the inner ones first."""
    found: list[dict[str, Any]] = []
    if isinstance(value, dict):
        for part in value.values():
            found += _lists(part)
        if _is_list(value):
            found.append(value)
    elif isinstance(value, list):
        for part in value:
            found += _lists(part)
    return found


def _is_list(value: Mapping[str, Any]) -> bool:
    return value.keys() == {"total", "truncated", "items"} and isinstance(value["items"], list)


def _cut_lists(document: dict[str, Any], max_bytes: int) -> None:
    over = size(document) - max_bytes
    sizes = {id(each): [size(item) + 1 for item in each["items"]] for each in _lists(document)}
    while over > 0:
        # Only lists that are still there: cutting an outer one takes the inner ones along.
        lists = [each for each in _lists(document) if len(each["items"]) > 1]
        if not lists:
            return
        longest = max(lists, key=lambda each: sum(sizes[id(each)]))
        over -= _cut(longest, sizes[id(longest)], over, max(1, len(longest["items"]) // 2))


def _cut(each: dict[str, Any], sizes: list[int], over: int, most: int) -> int:
    """Take items from the end of a list, and give the number of bytes that were saved."""
    saved = 0
    for _ in range(most):
        if saved >= over or len(each["items"]) == 1:
            break
        each["items"].pop()
        saved += sizes.pop()
    each["truncated"] = True
    return saved


def _shorten_texts(value: Any, length: int) -> None:
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for key, part in parts:
        if isinstance(part, str) and len(part) > length + len("… (9999 more)"):
            value[key] = f"{part[:length]}… ({len(part) - length} more)"
        else:
            _shorten_texts(part, length)
