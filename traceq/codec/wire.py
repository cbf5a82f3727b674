"""What every codec needs: decoding into typed values, failures in one sentence, ids in one spelling."""

from __future__ import annotations

import base64
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from mmap import mmap
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from traceq.errors import DecodeError
from traceq.untrusted import printable

Body: TypeAlias = bytes | bytearray | memoryview | mmap
"""Bytes that were read or mapped; never copied as a whole."""

_Value = TypeVar("_Value")

READABLE = (
    "traceq reads Jaeger JSON (what the API answers or the UI downloads) and OTLP JSON, one document or one a line"
)
"""The hint of every refusal."""

_MAX_NS = 2**62 - 1  # the year 2116: sums and differences of two then fit the 64 bits of a column

Nanoseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-_MAX_NS, le=_MAX_NS)] | None
"""A time or duration that fits the span table; null is 0."""

Microseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=-(_MAX_NS // 1000), le=_MAX_NS // 1000)] | None
"""A time or duration as Jaeger v1 has it."""


def decode(decoder: msgspec.json.Decoder[_Value], body: Body | msgspec.Raw, what: str) -> _Value:
    """Decode, and report a failure as `<what>: <why>`.

    Raises:
        DecodeError: If the bytes are not JSON, or not JSON of this shape.
    """
    try:  # not `failures_told`: what is small is decoded in less time than a context manager takes
        return decoder.decode(body)
    except BROKEN as error:
        raise failure(what, error) from error


def is_empty(value: msgspec.Raw | bytes) -> bool:
    """Whether a JSON list is empty or null, as most lists in spans are."""
    return bytes(value) in _EMPTY


_EMPTY = frozenset((b"[]", b"null", b""))


BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Everything that decoding foreign bytes can raise."""


@contextmanager
def failures_told(what: str) -> Iterator[None]:
    """Turn what decoding foreign bytes can raise into a `DecodeError` of the form `<what>: <why>`."""
    try:
        yield
    except BROKEN as error:
        raise failure(what, error) from error


def failure(what: str, error: Exception) -> DecodeError:
    """Make a `DecodeError` of what a decoder raised, of the form `<what>: <why>`."""
    return DecodeError(f"{what}: {reason(error)}", hint=READABLE)


def reason(error: Exception) -> str:
    """Say in a few words why bytes could not be decoded."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "text that is not UTF-8"
    return quoted(str(error).replace("`", ""), 200)


def quoted(text: str, limit: int = 80) -> str:
    """Make foreign text safe for a message: one line, printable, shortened."""
    safe = printable(text[: limit + 1].strip())
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


@contextmanager
def collector_paused() -> Iterator[None]:
    """Switch the garbage collector off: it slows decoding two to five times, and decoding makes no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


_BASE64_SIZES = {24: 16, 12: 8}
"""The number of bytes in an id by its length in base64; in hex, ids have 32 or 16 digits."""


def hex_id(text: str) -> str:
    """Convert an id to lower-case hex from hex or base64, which differ in length."""
    size = _BASE64_SIZES.get(len(text))
    if size is None:
        return text.lower()
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return text.lower()
    return decoded.hex() if len(decoded) == size else text.lower()


def is_plain_hex(ids: Sequence[str]) -> bool:
    """Whether `hex_id` would leave all of them unchanged."""
    joined = "".join(ids)
    return joined == joined.lower() and _BASE64_SIZES.keys().isdisjoint(map(len, ids))


VOID_IDS = frozenset("0" * length for length in range(33))
"""Ids that name nothing: empty, or zeros only."""


def first_void(ids: Sequence[str]) -> int:
    """Find the position of the first id that names nothing."""
    return next(position for position, each in enumerate(ids) if each in VOID_IDS)
