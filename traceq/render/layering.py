"""Layers for a graph: which node stands left of which, and above which, with few crossings.

Source: Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures, IEEE SMC 1981;
rings are opened as in Eades, Lin and Smyth, A fast and effective heuristic for the feedback arc set problem, 1993.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from msgspec import Struct

_SWEEPS = 12

_Number = TypeVar("_Number", int, float)


class Layout(Struct, frozen=True):
    """A layered layout, left to right."""

    layers: tuple[int, ...]
    """The layer of each node, the leftmost 0."""
    heights: tuple[float, ...]
    """How far down each node lies; comparable within a layer."""
    passages: tuple[tuple[float, ...], ...]
    """For each edge how far down it crosses each layer between its ends, from left to right."""


def lay_out(node_count: int, edges: Sequence[tuple[int, int]]) -> Layout:
    """Find layers for a graph of nodes 0, 1, ... without edges from a node to itself; the same ones every time.

    No edge stays within a layer. Edges point to the right, but for one or a few of each ring.
    """
    forward = _opened(node_count, sorted(set(edges)))
    layers = _layers(node_count, forward)
    grid = _Grid(layers, edges)
    grid.untangle()
    return Layout(
        tuple(layers),
        tuple(float(grid.place[node]) for node in range(node_count)),
        tuple(tuple(float(grid.place[stop]) for stop in chain[1:-1]) for chain in grid.chains),
    )


def _opened(node_count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Turn the edges that point back around, so that no ring is left."""
    position = {node: number for number, node in enumerate(_order(node_count, edges))}
    return sorted({edge if position[edge[0]] < position[edge[1]] else edge[::-1] for edge in edges})


def _order(node_count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Put nodes in a row so that few edges point back: sources first, sinks last, else who calls most over called."""
    after: list[set[int]] = [set() for _ in range(node_count)]
    before: list[set[int]] = [set() for _ in range(node_count)]
    for source, target in edges:
        after[source].add(target)
        before[target].add(source)
    left, right = [], []
    waiting = set(range(node_count))
    while waiting:
        sinks = [node for node in sorted(waiting) if not after[node]]
        sources = [node for node in sorted(waiting) if not before[node]]
        if sinks:
            node = sinks[-1]
            right.append(node)
        else:
            node = sources[0] if sources else max(sorted(waiting), key=lambda one: len(after[one]) - len(before[one]))
            left.append(node)
        waiting.remove(node)
        for other in after[node]:
            before[other].discard(node)
        for other in before[node]:
            after[other].discard(node)
    return left + right[::-1]


def _layers(node_count: int, forward: Sequence[tuple[int, int]]) -> list[int]:
    """Put each node as far left as its callers allow, and one without callers as far right as what it calls allows."""
    after: list[list[int]] = [[] for _ in range(node_count)]
    missing = [0] * node_count
    for source, target in forward:
        after[source].append(target)
        missing[target] += 1
    starts = [node for node in range(node_count) if not missing[node]]
    layers = [0] * node_count
    ready = list(starts)
    while ready:
        node = ready.pop()
        for target in after[node]:
            layers[target] = max(layers[target], layers[node] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    for node in starts:
        if after[node]:
            layers[node] = min(layers[target] for target in after[node]) - 1
    return layers


class _Grid:
    """Nodes and passages in layers, by number; passages have the numbers after the nodes'."""

    def __init__(self, layers: Sequence[int], edges: Sequence[tuple[int, int]]) -> None:
        self.layers: list[list[int]] = [[] for _ in range(max(layers, default=0) + 1)]
        for node, layer in enumerate(layers):
            self.layers[layer].append(node)
        self.chains: list[list[int]] = []
        """For each edge the numbers it leads through, from left to right, both ends included."""
        self._left: list[list[int]] = [[] for _ in layers]
        self._right: list[list[int]] = [[] for _ in layers]
        for edge in edges:
            self._add(sorted(edge, key=lambda node: layers[node]), layers)
        self.place = [0] * len(self._left)
        self._number()

    def _add(self, ends: Sequence[int], layers: Sequence[int]) -> None:
        between = range(layers[ends[0]] + 1, layers[ends[1]])
        chain = [ends[0], *(self._passage(layer) for layer in between), ends[1]]
        self.chains.append(chain)
        for left, right in pairwise(chain):
            self._right[left].append(right)
            self._left[right].append(left)

    def _passage(self, layer: int) -> int:
        self._left.append([])
        self._right.append([])
        self.layers[layer].append(len(self._left) - 1)
        return len(self._left) - 1

    def _number(self) -> None:
        for layer in self.layers:
            for number, stop in enumerate(layer):
                self.place[stop] = number

    def untangle(self) -> None:
        """Order each layer by the middle of its neighbours, right and left in turn, and keep the best order met."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            is_rightward = sweep % 2 == 0
            neighbours = self._left if is_rightward else self._right
            for layer in self.layers if is_rightward else self.layers[::-1]:
                self._sort(layer, neighbours)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best
        self._number()

    def _sort(self, layer: list[int], neighbours: Sequence[Sequence[int]]) -> None:
        def middle(stop: int) -> float:
            near = neighbours[stop]
            return sum(self.place[other] for other in near) / len(near) if near else float(self.place[stop])

        middles = {stop: middle(stop) for stop in layer}
        layer.sort(key=lambda stop: middles[stop])
        for number, stop in enumerate(layer):
            self.place[stop] = number

    def _crossings(self) -> int:
        count = 0
        for layer in self.layers[:-1]:
            ends = [other for stop in layer for other in sorted(self.place[right] for right in self._right[stop])]
            count += _inversions(ends)
        return count


def stacked(
    floors: Sequence[_Number], wanted: Sequence[_Number], middle: Callable[[Sequence[_Number]], _Number]
) -> list[_Number]:
    """Put things above each other as near to where they want to be as their order allows (isotonic regression).

    Args:
        floors: How far down each lies when all are as far up as they can be.
        wanted: Where each wants to be.
        middle: The mean or the median, which things that push each other agree on.
    """
    groups: list[list[_Number]] = []
    for floor, want in zip(floors, wanted, strict=True):
        groups.append([want - floor])
        while len(groups) > 1 and middle(groups[-2]) > middle(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    shifts = [middle(group) for group in groups for _ in group]
    return [floor + shift for floor, shift in zip(floors, shifts, strict=True)]


def _inversions(values: Sequence[int]) -> int:
    """Count the pairs that are in the wrong order."""
    tree = [0] * (max(values, default=0) + 2)
    found = 0
    for seen, value in enumerate(values):
        at, not_greater = value + 1, 0
        while at > 0:
            not_greater += tree[at]
            at -= at & -at
        found += seen - not_greater
        at = value + 1
        while at < len(tree):
            tree[at] += 1
            at += at & -at
    return found
