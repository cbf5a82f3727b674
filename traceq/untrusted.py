"""Make text from traces safe to show: a span may be named by whoever can send a request."""

from __future__ import annotations

import json
import re
import unicodedata

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that move the cursor, reorder or hide text: control, format, surrogate, unassigned, separators."""

_ZERO_WIDTH_JOINER = "\u200d"


def printable(text: str) -> str:
    r"""Show control and formatting characters as escapes (`\x1b`, `\u202e`), and leave the rest as it is.

    Newlines and tabs are escaped too: the answer is one line. The zero width joiner stays, emoji need it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_safe(character) else _escaped(character) for character in text)


def quoted(text: str, limit: int = 80) -> str:
    """Make foreign text safe for a message: one line, printable, shortened."""
    safe = printable(text[: limit + 1].strip())
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


def _is_safe(character: str) -> bool:
    return character == _ZERO_WIDTH_JOINER or unicodedata.category(character) not in _UNSAFE_CATEGORIES


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""What JSON lets through and a terminal or UTF-8 does not: C1 controls, direction marks, tags, lone surrogates."""


def shown_json(text: str) -> str:
    """Write what a terminal would obey as escapes of JSON, so that the same text can be shown and means the same."""
    return _UNSAFE_IN_JSON.sub(_escaped_in_json, text)


def shown_json_bytes(encoded: bytes) -> bytes:
    """Do the same to JSON in UTF-8."""
    # DEL is ASCII, and hardly ever there.
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return shown_json(encoded.decode("utf-8", "surrogatepass")).encode()


def _escaped_in_json(found: re.Match[str]) -> str:
    # Outside strings JSON is ASCII, so what is found is inside one; beyond 16 bits JSON wants a surrogate pair.
    return json.dumps(found.group())[1:-1] if found.group() != "\x7f" else "\\u007f"
