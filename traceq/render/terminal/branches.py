"""The lines of a tree, drawn row by row."""

from __future__ import annotations

from traceq.render.terminal.canvas import Glyphs

_STEP = 3
_NARROW_STEP = 2
_MAX_LEVELS = 12


class Branches:
    """Draws the branches in front of each row; remembers on which levels siblings are still to come.

    A tree deeper than there is room for shows its last levels, behind the number of those that are not drawn. Levels
    leave the picture half a room at a time: neighbours mostly hide the same number, and their branches stay aligned.
    """

    def __init__(self, glyphs: Glyphs, room: int, deepest: int) -> None:
        self._glyphs = glyphs
        self._step = _STEP if deepest * _STEP <= room else _NARROW_STEP
        self._levels = min(max(room // self._step, 1), _MAX_LEVELS)
        if deepest * self._step <= room:
            self._levels = max(deepest, 1)
        self._goes_on: list[bool] = []

    def row(self, depth: int, *, is_last: bool, is_async: bool = False) -> str:
        """Draw what stands before a row; rows come in depth-first order."""
        del self._goes_on[depth:]
        # A level that was jumped over has no row of its own, and so no line.
        self._goes_on += [False] * (depth - len(self._goes_on))
        self._goes_on.append(not is_last)
        if depth == 0:
            return ""
        return self._stem(depth - 1) + self._branch(is_last=is_last, is_async=is_async)

    def below(self, *, has_children: bool) -> str:
        """Draw what stands before a line that belongs to the row drawn last."""
        depth = len(self._goes_on) - 1
        return self._stem(depth) + (self._glyphs.pipe if has_children else "").ljust(self._step)

    def _stem(self, depth: int) -> str:
        own = len(self._goes_on) - 1
        hidden = self._hidden(own)
        number = f"{self._glyphs.skipped}{hidden:,} " if hidden else ""
        pipe, blank = self._glyphs.pipe.ljust(self._step), " " * self._step
        return number + "".join([pipe if goes_on else blank for goes_on in self._goes_on[hidden + 1 : depth + 1]])

    def _hidden(self, depth: int) -> int:
        batch = max(self._levels // 2, 1)
        return max(-(-(depth - self._levels) // batch), 0) * batch

    def _branch(self, *, is_last: bool, is_async: bool) -> str:
        glyphs = self._glyphs
        if is_async:
            branch = glyphs.async_corner if is_last else glyphs.async_tee
        else:
            branch = glyphs.corner if is_last else glyphs.tee
        return branch.ljust(self._step)
