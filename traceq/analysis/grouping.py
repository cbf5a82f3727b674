"""Arrays of numbers: their kinds, groups in them and sums by group, and walks over all span trees at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.int32]
Small: TypeAlias = npt.NDArray[np.int8]
Flags: TypeAlias = npt.NDArray[np.bool_]
Selected: TypeAlias = Ints | slice
"""Some rows of a table, or all."""


class Sums(Protocol):
    """A value that can be added to others of its kind."""

    def __add__(self, other: Self, /) -> Self: ...


_Key = TypeVar("_Key", bound=Hashable)
_Sums = TypeVar("_Sums", bound=Sums)
_Whole = TypeVar("_Whole", np.int32, np.int64)

_CLOSE = 4
"""Codes lie close together when a table of all numbers between them has at most this number of entries per code."""


_FEW_ROWS = 1_000
"""So few rows are sorted in less time than their numbers are made small."""


class _Value(Protocol):
    """A dataclass or a Struct, of which mypy thinks as one."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


_Data = TypeVar("_Data", bound=_Value)


def added(one: _Data, other: _Data, **parts: object) -> _Data:
    """Add two values field by field.

    Args:
        one: The first.
        other: The second.
        parts: The new values, by name, of fields that are not simply added.
    """
    names: tuple[str, ...] = type(one).__match_args__  # type: ignore[attr-defined]  # every dataclass and Struct has it
    return type(one)(*(parts[name] if name in parts else getattr(one, name) + getattr(other, name) for name in names))


def merged(sums: Iterable[tuple[_Key, _Sums]]) -> dict[_Key, _Sums]:
    """Add up the values of each key."""
    found: dict[_Key, _Sums] = {}
    for key, more in sums:
        found[key] = found[key] + more if key in found else more
    return found


def distinct(codes: npt.NDArray[_Whole]) -> npt.NDArray[_Whole]:
    """Give each code once, in rising order."""
    in_order = np.sort(codes)
    return in_order[np.flatnonzero(np.diff(in_order, prepend=in_order[:1] - 1))]


def numbered(codes: Ints) -> tuple[Ints, Ints]:
    """Give each code once, in rising order, and for each entry the position of its code among them.

    Does the same as `numpy.unique` with `return_inverse`, in half the time, and without the import of 40 ms that it
    causes. Codes that lie close together are not even sorted, which takes a seventh of that.
    """
    low = int(codes.min(initial=0))
    span = int(codes.max(initial=0)) - low
    if span <= _CLOSE * codes.size:
        at = codes - low if low else codes
        met = np.zeros(span + 1, dtype=np.bool_)
        met[at] = True
        places = np.cumsum(met, dtype=np.min_scalar_type(-codes.size - 1)) - np.int8(1)
        return np.flatnonzero(met) + low, places[at].astype(np.int64)
    order = _order(codes, low, span)
    in_order = codes[order]
    is_head = np.ones(codes.size, dtype=np.bool_)
    np.not_equal(in_order[1:], in_order[:-1], out=is_head[1:])
    found = in_order[is_head]
    del in_order
    ranks = np.cumsum(is_head, dtype=np.min_scalar_type(-codes.size - 1))
    ranks -= 1
    numbers = np.empty(codes.size, dtype=np.int64)
    numbers[order] = ranks
    return found, numbers


def _order(codes: Ints, low: int, span: int) -> Ints:
    """Sort codes by 16 bits at a time, the lowest first: NumPy counts such small numbers instead of comparing them."""
    above = codes - low if low else codes
    order = np.argsort(above.astype(np.uint16), kind="stable")
    for shift in range(16, span.bit_length(), 16):
        digits = (above >> shift).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    return order


def numbered_rows(*columns: npt.NDArray[np.integer[Any]]) -> tuple[Ints, Ints]:
    """Number rows of codes: rows that are the same in every column get the same number.

    Numbers count from 0, in the rising order of the rows, the first column first.

    Returns:
        For each number the position of a row that has it, and for each row its number.
    """
    numbers, size = np.zeros(columns[0].size, dtype=np.int64), 1
    most = 2**62 if numbers.size <= _FEW_ROWS else _CLOSE * numbers.size
    for column in columns:
        low, high = int(column.min(initial=0)), int(column.max(initial=0))
        if size > 1 and size * (high - low + 1) > most:
            # They are made small, so that they can be combined with the next column.
            known, numbers = numbered(numbers)
            size = known.size
        numbers *= high - low + 1
        numbers += column
        numbers -= low
        size *= high - low + 1
    _, numbers = numbered(numbers)
    places = np.zeros(int(numbers.max(initial=-1)) + 1, dtype=np.int64)
    places[numbers] = np.arange(numbers.size)
    return places, numbers


def sum_by_group(groups: Ints, values: Ints, size: int) -> Ints:
    """Add up values by group, exactly: one sum for each of the groups 0 to `size` - 1."""
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, groups, values)
    return sums


def least_by_group(groups: Ints | Codes, values: Ints, size: int, most: int = np.iinfo(np.int64).max) -> Ints:
    """Give the least value of each of the groups 0 to `size` - 1; `most` where all are greater, or there is none."""
    least = np.full(size, most, dtype=np.int64)
    np.minimum.at(least, groups, values)
    return least


def most_by_group(groups: Ints | Codes, values: Ints, size: int, least: int = np.iinfo(np.int64).min) -> Ints:
    """Give the greatest value of each of the groups 0 to `size` - 1; `least` where all are less, or there is none."""
    most = np.full(size, least, dtype=np.int64)
    np.maximum.at(most, groups, values)
    return most


def moved(values: Ints, numbers: Ints | Sequence[int], size: int, empty: int = 0) -> Ints:
    """Move values to the positions that their new numbers name, in an array of `size` entries."""
    places = np.full(size, empty, dtype=np.int64)
    places[numbers] = values
    return places


def flags_at(rows: Ints | Codes | Flags | Sequence[int], size: int) -> Flags:
    """Give `size` flags, of which those at these positions are set."""
    flags = np.zeros(size, dtype=np.bool_)
    flags[rows] = True
    return flags


_Number = TypeVar("_Number", np.int64, np.bool_)


def fold_ancestors(parents: Ints, values: npt.NDArray[_Number], fold: np.ufunc) -> npt.NDArray[_Number]:
    """Combine each span's value with those of all its ancestors.

    Args:
        parents: Row of the parent, -1 for a root; free of cycles.
        values: One value per span.
        fold: An associative and commutative operation (`np.maximum`, `np.minimum`, `np.add`, `np.logical_and`).
    """
    # One more row at the end is above all roots and above itself: -1 leads there, and it changes no value.
    ahead = np.append(parents, -1)
    folded = np.append(values, np.array(_neutral(fold, values.dtype), dtype=values.dtype))
    while ahead.max() >= 0:
        folded = fold(folded, folded[ahead])
        ahead = ahead[ahead]
    return folded[:-1]


def _neutral(fold: np.ufunc, dtype: np.dtype[_Number]) -> int | bool:
    """Give the neutral element."""
    if fold in {np.maximum, np.minimum}:
        extremes = np.iinfo(dtype.name)
        return int(extremes.min if fold is np.maximum else extremes.max)
    neutral: int | bool = fold.identity
    return neutral


def all_above(parents: Ints, flags: Flags) -> Flags:
    """Tell the spans that are flagged together with all their ancestors."""
    return fold_ancestors(parents, flags, np.logical_and)


def clip_to_ancestors(parents: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Give each span's greatest low and least high, its own or an ancestor's."""
    # Usually every child lies within its parent, and nothing has to be clipped. For roots -1 gives any row's value.
    if not (((low < low[parents]) | (high > high[parents])) & (parents >= 0)).any():
        return low.copy(), high.copy()
    return fold_ancestors(parents, low, np.maximum), fold_ancestors(parents, high, np.minimum)


def find_roots(parents: Ints) -> Ints:
    """Give the row of each span's root, its own for a root."""
    roots = np.where(parents < 0, np.arange(parents.size, dtype=np.int64), parents)
    while True:
        higher = roots[roots]
        if np.array_equal(higher, roots):
            return roots
        roots = higher


def depths(parents: Ints) -> Ints:
    """Count the ancestors of each span; 0 for a root."""
    return fold_ancestors(parents, np.ones(parents.size, dtype=np.int64), np.add) - 1


class TimeKeys:
    """Orders pairs of (group, time) as single integers, so that one sort and one search serve all groups.

    Where group and nanoseconds do not fit into 63 bits, times are replaced by their ranks, which always fit.
    """

    def __init__(self, group_count: int, *times: Ints) -> None:
        self._low = min((int(part.min()) for part in times if part.size), default=0)
        self._high = max((int(part.max()) for part in times if part.size), default=0)
        self._bits = (self._high - self._low).bit_length()
        self._ranked: Ints | None = None
        if self._bits + group_count.bit_length() > 62:
            self._ranked = distinct(np.concatenate(times))
            self._bits = int(self._ranked.size).bit_length()

    def key(self, groups: Ints, times: Ints) -> Ints:
        """Encode pairs; every time has to be among those for which the keys were made."""
        codes = times - self._low if self._ranked is None else np.searchsorted(self._ranked, times)
        return (groups << self._bits) | codes

    def key_at_most(self, groups: Ints, times: Ints) -> Ints:
        """Encode any times, each as the last time among those of the keys that is not after it.

        A time before all of them is encoded as the end of the previous group.
        """
        if self._ranked is None:
            codes = np.clip(times, self._low - 1, self._high) - self._low
        else:
            codes = np.searchsorted(self._ranked, times, side="right") - 1
        key: Ints = (groups << self._bits) + codes
        return key

    def time(self, keys: Ints) -> Ints:
        """Decode the times of keys."""
        codes = keys & ((1 << self._bits) - 1)
        return codes + self._low if self._ranked is None else self._ranked[codes]


def sum_by_run(groups: Ints, values: Ints, size: int) -> Ints:
    """Add up values by group, exactly; entries of one group have to be adjacent.

    Returns:
        One sum for each of the groups 0 to `size` - 1.
    """
    sums = np.zeros(size, dtype=np.int64)
    if groups.size:
        heads = np.flatnonzero(np.diff(groups, prepend=-1))
        sums[groups[heads]] = np.add.reduceat(values, heads)
    return sums
