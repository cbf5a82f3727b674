"""An answer as JSON: one document."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from traceq.untrusted import shown_json


def render_json(document: Mapping[str, object], indent: int | None = 2) -> str:
    r"""Write one document, indented for people or on one line for programs, with a newline at the end.

    Text stays readable (`é`, not `\u00e9`), and control and direction characters are escapes, so that the same bytes
    can be shown in a terminal. A number that JSON does not know (NaN, infinity) is null.
    """
    return encode(document, indent) + "\n"


def encode(value: object, indent: int | None = None) -> str:
    """Write a value as JSON that is safe to show; mappings keep their order."""
    try:
        text = _written(value, indent)
    except ValueError:
        # Rare, so the copy without NaN is made only when the encoder met one.
        text = _written(_without_nan(value), indent)
    return shown_json(text)


def _written(value: object, indent: int | None) -> str:
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators, default=_plain)


def _plain(value: object) -> object:
    """Hand read-only mappings and sequences to the encoder, which knows dicts and lists alone."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _without_nan(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nan(item) for item in value]
    return value
