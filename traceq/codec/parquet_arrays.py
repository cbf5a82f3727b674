"""Arrays to Arrow columns and back, as they lie in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias

import pyarrow as pa

_Array: TypeAlias = Any
"""pyarrow tells no types."""

_TYPES = {"q": pa.int64(), "i": pa.int32(), "b": pa.int8()}
_TYPECODES = {arrow: typecode for typecode, arrow in _TYPES.items()}


def column_of(numbers: array[int]) -> _Array:
    """Look at an array as an Arrow column, without a copy."""
    return pa.Array.from_buffers(_TYPES[numbers.typecode], len(numbers), [None, pa.py_buffer(numbers)])


def numbers_of(column: _Array) -> array[int]:
    """Copy a column without nulls into an array."""
    numbers = array(_TYPECODES[column.type])
    if len(column):
        size = numbers.itemsize
        numbers.frombytes(column.buffers()[1].slice(column.offset * size, len(column) * size))
    return numbers


def constants(typecode: str, numbers: Iterable[int]) -> _Array:
    """Make a column of numbers by hand: to make one of Python's itself, pyarrow imports pandas (0.4 s)."""
    return column_of(array(typecode, numbers))


def ordinals(count: int) -> _Array:
    """Give the numbers from 0 on, so many."""
    return _ordinals(max(0, count - 1).bit_length()).slice(0, count)


@lru_cache(maxsize=2)
def _ordinals(bits: int) -> _Array:
    # Kept, because one range after the other is wanted, and Python counts slowly.
    return constants("q", range(2**bits))


def constant(typecode: str, number: int) -> _Array:
    """Make an Arrow number by hand."""
    return constants(typecode, [number])[0]
