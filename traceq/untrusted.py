"""Make text from traces safe to show: a span may be named by whoever can send a request."""

from __future__ import annotations

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


def _is_safe(character: str) -> bool:
    return character == _ZERO_WIDTH_JOINER or unicodedata.category(character) not in _UNSAFE_CATEGORIES


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
