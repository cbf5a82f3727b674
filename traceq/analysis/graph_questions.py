"""Questions about a dependency graph: its parts, paths through it, and its cycles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import inf
from typing import Any, ClassVar

from msgspec import Struct, structs

from traceq.analysis.call_sums import CallSums
from traceq.analysis.calls import Node
from traceq.analysis.dependencies import DEPENDENCY_COLUMNS, Dependencies, Dependency
from traceq.answer import Answer, Verdict, records, verdict_specs
from traceq.errors import Hint, Meant, NotFoundError
from traceq.query import Asked
from traceq.report import Column, Part, Rows, Table, Unit, Value, json_key
from traceq.units import format_duration, format_ratio, plural

_MORE_STEPS = 2
"""Number of calls by which a path may be longer than the shortest one to be listed."""
_MOST_TRIED = 20_000
"""Number of steps after which the search in a dense graph ends, so that dead ends cannot take for ever."""


def around(dependencies: Dependencies, service: str, upstream: int, downstream: int) -> Dependencies:
    """Keep the nodes within a number of calls of one node, upstream and downstream, and every call among these.

    Raises:
        ValueError: If the node is not in the graph.
    """
    if service not in dependencies.kinds:
        raise ValueError(f"no service named '{service}' among the dependencies")
    above = _distances(((call.callee, call.caller) for call in dependencies.drawn), service, upstream)
    below = _distances(((call.caller, call.callee) for call in dependencies.drawn), service, downstream)
    return only(dependencies, above | below)


def known_name(name: str, dependencies: Dependencies, asked: Asked) -> str:
    """Find a node by its name, or by its system where only one node has that system (`mysql`).

    Raises:
        NotFoundError: If there is none, or several are of that system.
    """
    if name in dependencies.kinds:
        return name
    of_system = [node.name for node in dependencies.nodes if node.system == name]
    if len(of_system) == 1:
        return of_system[0]
    # A peer is known by its system as well as by its whole name.
    systems = {node.system: node.name for node in dependencies.nodes if node.system}
    near = of_system or get_close_matches(name, dependencies.names, n=1)
    near = near or [systems[system] for system in get_close_matches(name, systems, n=1)]
    meant = (Meant("node", tuple(near[:3])), " ") if near else ()
    services = len(dependencies.services)
    peers = len(dependencies.nodes) - services
    counted = plural(services, "service") + (f" and {plural(peers, 'peer')}" if peers else "")
    listed = Hint((*meant, asked.command("deps", "--view", "table"), f" lists {counted}"))
    # Where there is no graph at all, the last note says why.
    why = asked.notes[-1] if asked.notes and not dependencies.nodes else listed
    raise NotFoundError(f"no service named '{name}' among the dependencies at {asked.location}", hint=why)


def only(dependencies: Dependencies, names: Iterable[str]) -> Dependencies:
    """Keep these nodes and every call among them."""
    kept = set(names)
    return structs.replace(
        dependencies,
        nodes=tuple(node for node in dependencies.nodes if node.name in kept),
        calls=tuple(call for call in dependencies.calls if call.caller in kept and call.callee in kept),
    )


def _distances(steps: Iterable[tuple[str, str]], start: str, most: float = inf) -> dict[str, int]:
    """Count the steps from one node to each that is at most so many steps away."""
    following: dict[str, list[str]] = {}
    for near, far in steps:
        following.setdefault(near, []).append(far)
    distance = {start: 0}
    waiting = deque([start])
    while waiting:
        near = waiting.popleft()
        for far in following.get(near, ()):
            if distance[near] < most and far not in distance:
                distance[far] = distance[near] + 1
                waiting.append(far)
    return distance


def busy(dependencies: Dependencies, min_calls: int, *, failing_only: bool = False) -> Dependencies:
    """Keep the edges with at least a number of calls, or those with failures, and the nodes at their ends."""
    if min_calls <= 1 and not failing_only:
        return dependencies
    calls = [
        call
        for call in dependencies.calls
        if call.call_count >= min_calls and (not failing_only or (call.sums is not None and call.sums.error_count))
    ]
    return _with_calls(dependencies, calls)


def _with_calls(dependencies: Dependencies, calls: Sequence[Dependency]) -> Dependencies:
    names = {name for call in calls for name in (call.caller, call.callee)}
    nodes = tuple(node for node in dependencies.nodes if node.name in names)
    return structs.replace(dependencies, nodes=nodes, calls=tuple(calls))


def busiest(dependencies: Dependencies, most_nodes: int, most_calls: int) -> Dependencies:
    """Keep the edges with most calls, as many as fit into a drawing with these numbers of nodes and edges."""
    ranked = sorted(dependencies.drawn, key=lambda call: (-call.call_count, call))
    names: set[str] = set()
    kept: list[Dependency] = []
    for call in ranked:
        more = names | {call.caller, call.callee}
        if len(more) <= most_nodes and len(kept) < most_calls:
            names = more
            kept.append(call)
    return _with_calls(dependencies, sorted(kept))


def collapse(dependencies: Dependencies, patterns: Sequence[str]) -> Dependencies:
    """Merge all services that match a pattern (`ts-*`) into one node; calls among them become its calls to itself.

    Patterns are case-sensitive; where several match, the first one counts.
    """
    if not patterns:
        return dependencies
    names = {node.name: _collapsed(node, patterns) for node in dependencies.nodes}
    calls: dict[tuple[str, str, bool, str], list[Dependency]] = {}
    for call in dependencies.calls:
        ends = names[call.caller].name, names[call.callee].name
        calls.setdefault((*ends, call.is_async, call.via), []).append(call)
    joined = (_joined(key, parts, dependencies.trace_count) for key, parts in calls.items())
    return structs.replace(dependencies, nodes=tuple(sorted(set(names.values()))), calls=tuple(sorted(joined)))


def _collapsed(node: Node, patterns: Sequence[str]) -> Node:
    matching = (pattern for pattern in patterns if node.kind == "service" and fnmatchcase(node.name, pattern))
    pattern = next(matching, None)
    return node if pattern is None else Node(pattern)


def _joined(key: tuple[str, str, bool, str], parts: Sequence[Dependency], trace_count: int | None) -> Dependency:
    if len(parts) == 1:
        only_one = parts[0]
        return replace(only_one, caller=key[0], callee=key[1])
    told = [part.sums for part in parts if part.sums is not None]
    recorded = [part.jaeger_count for part in parts if part.jaeger_count is not None]
    sums = sum(told, CallSums()) if told else None
    if sums is not None and trace_count is not None:
        sums = structs.replace(sums, trace_count=min(sums.trace_count, trace_count))
    known = {part.known_to for part in parts}
    return Dependency(
        *key,
        call_count=sums.call_count if sums else sum(recorded),
        sums=sums,
        jaeger_count=sum(recorded) if recorded else None,
        known_to=known.pop() if len(known) == 1 else "both",
        has_critical=any(part.has_critical for part in parts),
        is_spurious=all(part.is_spurious for part in parts),
    )


class Way(Struct, frozen=True):
    """A path from one node to another, call by call."""

    calls: tuple[Dependency, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes on the path, both ends included."""
        return tuple(dict.fromkeys(name for call in self.calls for name in (call.caller, call.callee)))


_WAY_COLUMNS: tuple[Column[Way] | Rows[Way], ...] = (
    Column("nodes", "nodes", value=lambda way: way.names, about="nodes on the way, both ends included", holds="texts"),
    Rows("calls", DEPENDENCY_COLUMNS, about="the calls along it, as in `dependencies`"),
)


class Ways(Answer, Struct, frozen=True):
    """The paths from one node to another."""

    graph: Dependencies
    start: str
    end: str
    ways: tuple[Way, ...]
    """The paths, the shortest first."""
    leads_back: bool
    """Whether there is a path in the opposite direction."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            {"leads_back": "boolean"},
            way_count="how many ways",
            step_count="calls of the shortest; null where there is none",
            leads_back="whether there is a way in the opposite direction",
        ),
        json_key("question", lambda _: "path", "always `path`", holds=("path",)),
        json_key("from", lambda answer: answer.start),
        json_key("to", lambda answer: answer.end),
        Rows("ways", _WAY_COLUMNS, about="the shortest first"),
    )
    MAIN: ClassVar[str] = "ways"

    @property
    def verdict(self) -> Verdict:
        """Whether there is a way, and how many there are."""
        many = f"{plural(len(self.ways), 'way')}, the shortest first" if len(self.ways) > 1 else "one way"
        told = f"{self.start} reaches {self.end} in {many}."
        if not self.ways:
            back = f"; {self.end} reaches {self.start}" if self.leads_back else ""
            told = f"{self.start} does not reach {self.end}{back}."
        shortest = len(self.ways[0].calls) if self.ways else None
        numbers = {"way_count": len(self.ways), "step_count": shortest, "leads_back": self.leads_back}
        return Verdict((Part(told, "strong"),), numbers)

    def records(self) -> Table:
        """Give one record for each call, with the number of its path."""
        calls = records(DEPENDENCY_COLUMNS, [call for way in self.ways for call in way.calls])
        numbers = [number for number, way in enumerate(self.ways, 1) for _ in way.calls]
        rows = tuple((number, *row) for number, row in zip(numbers, calls.rows, strict=True))
        return Table((Column("way", "way"), *calls.columns), rows)


def find_ways(dependencies: Dependencies, start: str, end: str) -> Ways:
    """Find the paths from one node to another, and whether there is one in the opposite direction."""
    found = ways(dependencies, start, end)
    return Ways(dependencies, start, end, found, bool(ways(dependencies, end, start, 1)))


def ways(dependencies: Dependencies, start: str, end: str, most: int = 10) -> tuple[Way, ...]:
    """Find the paths from one node to another: the shortest ones, and others that are up to two calls longer.

    A path contains no node twice. Its calls are in the graph, but no single request need have made them all.

    Returns:
        The paths, the shortest first, by name within a length; empty when there is none.
    """
    following = _following(dependencies)
    left = _distances(((call.callee, call.caller) for call in dependencies.drawn), end)
    found: list[Way] = []
    if start == end or start not in left:
        return ()
    for length in range(left[start], left[start] + _MORE_STEPS + 1):
        for way in _of_length(following, left, (start, end), length):
            if len(found) < most:
                found.append(way)
    return tuple(found)


def _following(dependencies: Dependencies) -> dict[str, list[Dependency]]:
    """List the calls of each node, one for each callee: the edge with most calls."""
    best: dict[tuple[str, str], Dependency] = {}
    for call in dependencies.drawn:
        known = best.get((call.caller, call.callee))
        if call.caller != call.callee and (known is None or call.call_count > known.call_count):
            best[call.caller, call.callee] = call
    following: dict[str, list[Dependency]] = {}
    for call in sorted(best.values()):
        following.setdefault(call.caller, []).append(call)
    return following


def _of_length(
    following: Mapping[str, Sequence[Dependency]], left: Mapping[str, int], ends: tuple[str, str], length: int
) -> Iterator[Way]:
    waiting: list[tuple[Dependency, ...]] = [()]
    for _ in range(_MOST_TRIED):
        if not waiting:
            return
        so_far = waiting.pop()
        at = so_far[-1].callee if so_far else ends[0]
        if at == ends[1]:
            if len(so_far) == length:
                yield Way(so_far)
            continue
        seen = {ends[0], *(call.callee for call in so_far)}
        room = length - len(so_far) - 1
        waiting += [
            (*so_far, call)
            for call in reversed(following.get(at, ()))
            if call.callee not in seen and left.get(call.callee, length) <= room
        ]


class Cycle(Struct, frozen=True):
    """Nodes that all reach each other, or a node that calls itself."""

    names: tuple[str, ...]
    """The names of the nodes, sorted."""
    example: tuple[str, ...]
    """The shortest cycle through the first of the nodes, which is also at its end."""
    is_blocking: bool
    """Whether this cycle consists of calls alone: with a message in it, it does not wait for itself."""
    call_count: int
    """The smallest number of calls along an edge of the cycle."""


_CYCLE_COLUMNS: tuple[Column[Cycle], ...] = (
    Column(
        "nodes",
        "who",
        value=lambda cycle: cycle.names,
        about="nodes that all reach each other",
        can_shrink=True,
        holds="texts",
    ),
    Column("example", "shortest ring", about="shortest ring through the first node", can_shrink=True, holds="texts"),
    Column("is_blocking", "blocking", about="whether no message is on the way"),
    Column("call_count", "calls", Unit.COUNT, about="the fewest along an edge of the ring"),
)


class Cycles(Answer, Struct, frozen=True):
    """The nodes that call themselves, directly or through others."""

    graph: Dependencies
    cycles: tuple[Cycle, ...]
    """The groups of nodes that reach each other, the largest first."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            cycle_count="how many cycles",
            blocking_count="those of calls that wait for each other, without a message on the way",
        ),
        json_key("question", lambda _: "cycles", "always `cycles`", holds=("cycles",)),
        Rows("cycles", _CYCLE_COLUMNS, about="groups of such nodes, the largest first"),
    )
    MAIN: ClassVar[str] = "cycles"

    @property
    def verdict(self) -> Verdict:
        """How many cycles there are, and how many of them wait for themselves."""
        waiting = sum(cycle.is_blocking for cycle in self.cycles)
        told = f"{plural(len(self.cycles), 'cycle')}, {waiting or 'none'} of them of calls that wait for each other."
        told = told if self.cycles else "No cycles: nobody calls itself, directly or through others."
        return Verdict((Part(told, "strong"),), {"cycle_count": len(self.cycles), "blocking_count": waiting})


class CriticalCalls(Answer, Struct, frozen=True):
    """Which calls hold critical time."""

    graph: Dependencies
    calls: tuple[Dependency, ...]
    """The calls, those with most critical time first."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            caller="who makes the calls that hold most; null where none holds anything",
            callee="of whom",
            critical_ns="how much they hold",
            critical_ratio="share of all time",
        ),
        json_key("question", lambda _: "critical", "always `critical`", holds=("critical",)),
        Column("critical_ns", of="graph", about="the length of all critical paths"),
        json_key(
            "before_first_call_ns",
            lambda answer: answer.outside_ns,
            "part of it in no call that is shown: the work of the services that were asked first",
        ),
        Rows("dependencies", DEPENDENCY_COLUMNS, lambda answer: answer.calls, "calls, those first that hold most"),
    )
    MAIN: ClassVar[str] = "dependencies"

    @property
    def verdict(self) -> Verdict | None:
        """Which calls hold requests up most; None without traces."""
        whole = self.graph.critical_ns
        if not whole:
            return None
        most = next((call for call in self.calls if call.held_ns), None)
        if most is None:
            return Verdict((Part("No call holds requests up.", "strong"),), {})
        ratio = most.held_ns / whole
        of_all = f"{format_duration(most.held_ns)}, {format_ratio(ratio)} of all time"
        told = f"{most.caller} → {most.callee} holds requests up most: {of_all}."
        numbers: dict[str, Value] = {"caller": most.caller, "callee": most.callee, "critical_ns": most.held_ns}
        return Verdict((Part(told, "strong"),), numbers | {"critical_ratio": ratio})

    @property
    def outside_ns(self) -> int | None:
        """Critical time outside of all calls that are shown."""
        whole = self.graph.critical_ns
        return None if whole is None else whole - sum(call.held_ns for call in self.calls)


def critical_calls(dependencies: Dependencies) -> CriticalCalls:
    """Rank calls by critical time."""
    ranked = tuple(sorted(dependencies.drawn, key=lambda call: (-call.held_ns, call)))
    return CriticalCalls(dependencies, ranked)


def cycles(dependencies: Dependencies) -> Cycles:
    """Find the nodes that call themselves, directly or through others; the largest groups first."""
    following = _following(dependencies)
    groups = [group for group in _groups(dependencies.names, following) if len(group) > 1]
    found = [_cycle(_ring(following, group), group) for group in groups]
    found += [_cycle((call,), (call.caller,)) for call in dependencies.drawn if call.caller == call.callee]
    return Cycles(
        dependencies, tuple(sorted(found, key=lambda cycle: (-len(cycle.names), cycle.names, not cycle.is_blocking)))
    )


def _cycle(ring: Sequence[Dependency], names: Sequence[str]) -> Cycle:
    example = (*(call.caller for call in ring), ring[-1].callee)
    fewest = min(call.call_count for call in ring)
    return Cycle(tuple(sorted(names)), example, not any(call.is_async for call in ring), fewest)


def _ring(following: Mapping[str, Sequence[Dependency]], group: Sequence[str]) -> tuple[Dependency, ...]:
    """Find the shortest path from the first node of a group back to it."""
    first, members = min(group), set(group)
    seen: set[str] = set()
    waiting: deque[tuple[Dependency, ...]] = deque([()])
    while True:
        so_far = waiting.popleft()
        at = so_far[-1].callee if so_far else first
        if so_far and at == first:
            return so_far
        if at not in seen:
            seen.add(at)
            waiting += [(*so_far, call) for call in following.get(at, ()) if call.callee in members]


def _groups(names: Sequence[str], following: Mapping[str, Sequence[Dependency]]) -> Iterator[tuple[str, ...]]:
    """Find the groups whose members all reach each other, without recursion.

    Source: Tarjan, Depth-first search and linear graph algorithms, SIAM J. Comput. 1972.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_names: dict[str, None] = {}
    for start in names:
        walk = [] if start in number else [(start, iter(following.get(start, ())))]
        while walk:
            name, calls = walk[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                open_names[name] = None
            call = next(calls, None)
            if call is None:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[name])
                if lowest[name] == number[name]:
                    yield tuple(_closed(open_names, name))
            elif call.callee not in number:
                walk.append((call.callee, iter(following.get(call.callee, ()))))
            elif call.callee in open_names:
                lowest[name] = min(lowest[name], number[call.callee])


def _closed(open_names: dict[str, None], first: str) -> Iterator[str]:
    """Remove the open names that were added after this one, and this one itself."""
    while True:
        name, _ = open_names.popitem()
        yield name
        if name == first:
            return
