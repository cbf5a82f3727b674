"""How columns share a width: a wider terminal never shows less of any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

GAP = 2
_LEAST = 4
"""Number of cells with which a column that can shrink begins."""
_FAIR = 24
"""Number of cells that it gets before others are added that can be done without."""
_AMPLE = 60
"""Number of cells that it gets before those are added that are only nice to have."""
_NICE = 3
"""The priority of what is only nice to have."""


class Wish(Struct, frozen=True):
    """What a column asks for."""

    width: int
    """Cells in which everything fits."""
    title: int
    """Cells of its title, of which it takes no fewer."""
    can_shrink: bool
    is_id: bool
    """Whether it is worth more than any other."""
    priority: int
    """0 for what is needed; the higher, the later it is added."""
    worth: int
    """Cells from which it is added where it can be done without: width stays unused until they fit."""

    def least(self, floor: int) -> int:
        """Cells with which it is worth adding."""
        return min(self.width, max(floor, self.title)) if self.can_shrink else self.width


def fit(wishes: Sequence[Wish], room: int) -> list[int]:
    """Share out the width; 0 for columns that are left out.

    Cells are given away in an order that does not depend on the width, until they are used up: so a wider terminal
    gives every column at least as much.
    """
    widths = [0] * len(wishes)
    spent = 0
    for column, cells in _gifts(wishes):
        price = cells + (GAP if not widths[column] and any(widths) else 0)
        if spent + price > room:
            break
        widths[column] += cells
        spent += price
    return widths


def _gifts(wishes: Sequence[Wish]) -> Iterator[tuple[int, int]]:
    """Give columns and the cells that they get next, the most needed first."""
    # Ids, then what names the row, then from left to right.
    order = sorted(range(len(wishes)), key=lambda at: (not wishes[at].is_id, at > 0, wishes[at].priority, at))
    needed = [at for at in order if wishes[at].priority <= 0 or wishes[at].is_id or at == 0]
    others = [at for at in order if at not in needed]
    widths = [0] * len(wishes)

    def give(column: int, cells: int) -> tuple[int, int]:
        widths[column] += cells
        return column, cells

    def grow(columns: Sequence[int], limit: int | None) -> Iterator[tuple[int, int]]:
        bounds = {at: wishes[at].width if limit is None else wishes[at].least(limit) for at in columns}
        while growing := [at for at in columns if widths[at] < bounds[at]]:
            # In proportion: whoever has least of what it asks for.
            yield give(min(growing, key=lambda at: widths[at] / wishes[at].width), 1)

    for number, column in enumerate(needed):
        least = wishes[column].least(_LEAST)
        # The first is there in any width, however little of it.
        yield from (give(column, 1) for _ in range(least)) if number == 0 else (give(column, least),)
    yield from grow(needed, _FAIR)
    wanted = [at for at in others if wishes[at].priority < _NICE]
    yield from (give(at, wishes[at].least(wishes[at].worth)) for at in wanted)
    yield from grow([*needed, *wanted], _AMPLE)
    yield from (give(at, wishes[at].least(wishes[at].worth)) for at in others if at not in wanted)
    yield from grow(range(len(wishes)), None)
