"""What calls of one span usually are to each other: which wait for which, in which order, how much durations scatter.

All of this needs many traces. That one call of two is always made first suggests that the other needs its answer; if
each of them is made first at times, neither does. A call that begins while another one runs does not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import TimeKeys, added, flags_at, merged, moved, numbered, numbered_rows, sum_by_group
from traceq.analysis.naming import of_statement
from traceq.analysis.outliving import calls_of, is_told_free, number_calls
from traceq.learned import PAUSE_UNIT, SCATTER_UNIT, Call, Habits, Pauses, PeerCall, Place, Scatter, Unordered
from traceq.semantics import STATEMENT, Kind, Status, first_text

_BACK = 32
"""So many calls before each one are compared with it."""
_PLACES = 16
"""So many calls of one operation are told apart in each caller; those after them count as the last."""
_REFUTED = Fraction(1, 100)
"""A call that begins more often than this while another one runs does not wait for it."""
_MOSTLY_OVER = Fraction(9, 10)
"""What begins after this share of a call may well have waited for it, if ends are recorded late."""
_MOST = 80
"""The maximum number of calls of one span whose order is counted; spans with more make them in loops."""
_LEAST_TIMES = 2
_LEAST_RATIO = Fraction(1, 10)
"""Calls can be made in any order if each of two is made first this often, and in this share of all cases."""
_LEAST_PAUSE_NS = 5_000_000
"""Shorter pauses between calls are not learned: everything takes a little."""
_LEAST_BESIDE = 3
"""The minimum number of calls side by side whose durations are compared."""


class Met(Struct, frozen=True):
    """How often a call was made after another one of the same span, and while that was running; adds to others."""

    after: int = 0
    beside: int = 0

    def __add__(self, other: Met) -> Met:
        return added(self, other)


class HabitSums(Struct, frozen=True):
    """How often calls of one span met, and sums of the logarithms of durations; can be added to others."""

    orders: Mapping[tuple[PeerCall, PeerCall], Met] = {}
    """By the call that was made first and another one; of two side by side, the lesser counts as the first."""
    scatter: Mapping[PeerCall, Scatter] = {}
    pauses: Mapping[Place, Pauses] = {}

    def __add__(self, other: HabitSums) -> HabitSums:
        return HabitSums(
            merged((*self.orders.items(), *other.orders.items())),
            merged((*self.scatter.items(), *other.scatter.items())),
            merged((*self.pauses.items(), *other.pauses.items())),
        )

    def habits(self) -> Habits:
        """Draw conclusions."""
        return Habits(frozenset(self._free()), self.scatter, self.pauses)

    def _free(self) -> Iterator[tuple[PeerCall, PeerCall]]:
        for (first, second), met in self.orders.items():
            back = self.orders.get((second, first), Met())
            count = met.after + back.after + met.beside + back.beside
            often = min(met.after, back.after)
            least = _LEAST_RATIO * count
            if often >= _LEAST_TIMES and often >= least > met.beside + back.beside:
                yield first, second


def learn_habits(spans: Columns) -> HabitSums:
    """Count how calls of one span are to each other."""
    calls = np.flatnonzero((spans.parents >= 0) & (spans.roles == Kind.CLIENT))
    works = np.flatnonzero((spans.parents >= 0) & np.isin(spans.roles, (Kind.CLIENT, Kind.INTERNAL)))
    return HabitSums(_count_meetings(spans, calls), _measure_scatter(spans, works), _measure_pauses(spans))


def number_peer_calls(spans: Columns, rows: Ints) -> tuple[Ints, Ints]:
    """Number the calls that these rows are, with their peers: a row for each number, and the number of each row."""
    _, number = number_calls(spans, rows)
    return numbered_rows(number, spans.peers[rows])


def number_asked(spans: Columns, rows: Ints) -> tuple[Ints, list[PeerCall]]:
    """Number the calls that these rows are by what they ask as well, and give the call of each number.

    Queries of one name that ask for different things are different calls; without attributes they are the same.
    """
    places, number = number_peer_calls(spans, rows)
    told = list(peer_calls(spans, rows[places]))
    texts = {"": 0}
    asked = np.zeros(rows.size, dtype=np.int64)
    details = spans.traces.details
    table_rows = rows if spans.table_rows is None else spans.table_rows[rows]
    if details is not None:
        is_database = np.array([peer is not None and peer.kind == "database" for peer in spans.traces.peers])
        for at in np.flatnonzero(is_database[spans.peers[rows]]).tolist():
            statement = first_text(details[table_rows[at]].attributes(), STATEMENT)
            asked[at] = texts.setdefault(of_statement(statement).alike, len(texts))
    places, finer = numbered_rows(number, asked)
    known, wordings = zip(number[places].tolist(), asked[places].tolist(), strict=True), list(texts)
    return finer, [(told[call][0], f"{told[call][1]} {wordings[text]}".rstrip()) for call, text in known]


def peer_calls(spans: Columns, rows: Ints) -> Iterator[PeerCall]:
    """Give the call that each of these rows is, with its peer."""
    peers = (spans.traces.peers[code] for code in spans.peers[rows].tolist())
    return zip(calls_of(spans, rows), ("" if peer is None else peer.label for peer in peers), strict=True)


def _count_meetings(spans: Columns, rows: Ints) -> dict[tuple[PeerCall, PeerCall], Met]:
    """Count how often each of two different calls of one span was made after the other; failed calls do not count."""
    parents = spans.parents
    made = np.bincount(parents[rows], minlength=parents.size)[parents[rows]]
    rows = rows[(made > 1) & (made <= _MOST)]
    number, calls = number_asked(spans, rows)
    # Which of several alike calls belongs to which other one, nobody knows.
    is_single = _is_single(parents[rows], number) & (spans.statuses[rows] != Status.ERROR)
    rows, number = rows[is_single], number[is_single]
    order = np.lexsort((number, spans.start_ns[rows], parents[rows]))
    rows, number = rows[order], number[order]
    firsts, seconds, beside = [], [], []
    for step in range(1, _MOST):
        at = np.flatnonzero(parents[rows[:-step]] == parents[rows[step:]])
        if not at.size:
            break
        firsts.append(number[at])
        seconds.append(number[at + step])
        start_ns = spans.start_ns[rows]
        beside.append((start_ns[at + step] < spans.end_ns[rows[at]]) | (start_ns[at + step] == start_ns[at]))
    if not firsts:
        return {}
    first, second, is_beside = np.concatenate(firsts), np.concatenate(seconds), np.concatenate(beside)
    pairs, pair = numbered_rows(first, second)
    besides = sum_by_group(pair, is_beside.astype(np.int64), pairs.size)
    afters = np.bincount(pair, minlength=pairs.size) - besides
    told = zip(first[pairs].tolist(), second[pairs].tolist(), afters.tolist(), besides.tolist(), strict=True)
    found: list[tuple[tuple[PeerCall, PeerCall], Met]] = []
    for one, other, after, beside_count in told:
        met = (calls[one], calls[other])
        found += [(met, Met(after))] if after else []
        # Side by side, neither is first.
        found += [(min(met, met[::-1]), Met(beside=beside_count))] if beside_count else []
    return merged(found)


def _is_single(parents: Ints, number: Ints) -> Flags:
    """Tell the calls that their span makes once."""
    _, pair = numbered_rows(parents, number)
    single: Flags = np.bincount(pair)[pair] == 1
    return single


def overlapping(spans: Columns, rows: Ints) -> Ints:
    """Number groups of rows of one span that run side by side.

    Args:
        spans: The table.
        rows: Rows with parents, ordered by parent, then by start.

    Returns:
        For each row the number of its group; numbers rise.
    """
    parents = spans.parents[rows]
    if not rows.size:
        return parents
    keys = TimeKeys(spans.parents.size, spans.start_ns[rows], spans.end_ns[rows])
    # The key contains the parent, so the running maximum of ends begins anew with each one.
    reached = np.maximum.accumulate(keys.key(parents, spans.end_ns[rows]))
    begins = np.ones(rows.size, dtype=np.bool_)
    begins[1:] = keys.key(parents, spans.start_ns[rows])[1:] >= reached[:-1]
    begins[1:] |= parents[1:] != parents[:-1]
    return np.cumsum(begins) - 1


def _measure_scatter(spans: Columns, rows: Ints) -> dict[PeerCall, Scatter]:
    """Sum up how long calls side by side take, all but the longest of each group."""
    rows = rows[np.bincount(spans.parents[rows], minlength=1)[spans.parents[rows]] >= _LEAST_BESIDE]
    rows = rows[np.lexsort((spans.start_ns[rows], spans.parents[rows]))]
    group = overlapping(spans, rows)
    is_large = np.bincount(group, minlength=1)[group] >= _LEAST_BESIDE
    rows, group = rows[is_large], group[is_large]
    if not rows.size:
        return {}
    order = np.lexsort((spans.duration_ns[rows], group))
    is_longest = np.diff(group[order], append=-1) != 0
    rows = rows[order][~is_longest]
    places, number = number_peer_calls(spans, rows)
    logs = _log_units(spans.duration_ns[rows])
    sums = (
        np.bincount(number, minlength=places.size),
        *(sum_by_group(number, part, places.size) for part in (logs, logs**2)),
    )
    told = zip(*(part.tolist() for part in sums), strict=True)
    return {call: Scatter(*part) for call, part in zip(peer_calls(spans, rows[places]), told, strict=True)}


def _measure_pauses(spans: Columns) -> dict[Place, Pauses]:
    """Count how long callers work themselves before each call and before their end, where it is no trifle."""
    parents, waits = spans.parents, np.isin(spans.roles, (Kind.CLIENT, Kind.PRODUCER))
    is_within = (spans.start_ns <= spans.end_ns[parents]) & (parents >= 0)
    rows = np.flatnonzero(is_within & ~waits[parents] & ~is_told_free(spans))
    rows = rows[np.lexsort((rows, spans.start_ns[rows], parents[rows]))]
    heads = np.flatnonzero(np.diff(overlapping(spans, rows), prepend=-1))
    firsts = rows[heads]
    callers = parents[firsts]
    reached_ns = np.maximum.reduceat(spans.end_ns[rows], heads) if rows.size else callers
    is_first, is_last = np.diff(callers, prepend=-1) != 0, np.diff(callers, append=-1) != 0
    pause_ns = spans.start_ns[firsts] - np.where(is_first, spans.start_ns[callers], np.roll(reached_ns, 1))
    owners = np.concatenate((callers, callers[is_last]))
    calls = np.concatenate((firsts, np.full(int(is_last.sum()), -1)))
    pause_ns = np.concatenate((pause_ns, (spans.end_ns[callers] - reached_ns)[is_last]))
    kept = pause_ns >= _LEAST_PAUSE_NS
    places, number = number_pauses(spans, owners[kept], calls[kept])
    sizes = np.floor(np.log2(pause_ns[kept]) * PAUSE_UNIT).astype(np.int64)
    at, group = numbered_rows(number, sizes)
    told = zip(number[at].tolist(), sizes[at].tolist(), np.bincount(group).tolist(), strict=True)
    return merged((places[place], Pauses({size: count})) for place, size, count in told)


def number_pauses(spans: Columns, owners: Ints, calls: Ints) -> tuple[list[Place], Ints]:
    """Number the places of pauses.

    Args:
        spans: The table.
        owners: The row of the caller of each pause.
        calls: The row of the call after it; -1 for none.

    Returns:
        The places, that before the end of a caller as a call without a name, and the number of each pause.
    """
    parents = spans.parents
    has_pause = flags_at(owners, parents.size)
    rows = np.flatnonzero(has_pause[parents] & (parents >= 0))
    rows = rows[np.lexsort((rows, spans.start_ns[rows], parents[rows]))]
    places, place = _number_places(spans, rows)
    callers, caller = numbered_rows(spans.services[owners], spans.names[owners])
    number = np.where(calls < 0, len(places) + caller, moved(place, rows, parents.size)[calls])
    services, names = spans.traces.services, spans.traces.names
    codes = zip(spans.services[owners[callers]].tolist(), spans.names[owners[callers]].tolist(), strict=True)
    ends = (Place(Call(services[service], names[name], "", "", "", ""), 0) for service, name in codes)
    return [*places, *ends], number


def next_below(spans: Columns, owners: Ints, times_ns: Ints) -> Ints:
    """Give the first child of each owner that starts at this time or later; -1 for none."""
    parents = spans.parents
    is_owner = flags_at(owners, parents.size)
    rows = np.flatnonzero(is_owner[parents] & (parents >= 0))
    rows = rows[np.lexsort((rows, spans.start_ns[rows], parents[rows]))]
    keys = TimeKeys(parents.size, spans.start_ns[rows], times_ns)
    at = np.searchsorted(keys.key(parents[rows], spans.start_ns[rows]), keys.key(owners, times_ns))
    following = np.append(rows, -1)[at]
    return np.where(parents[following] == owners, following, -1)


def _log_units(durations_ns: Ints) -> Ints:
    """Give logarithms of durations to base 2, in units of `Scatter`."""
    logs: Ints = np.rint(np.log2(np.maximum(durations_ns, 1)) * SCATTER_UNIT).astype(np.int64)
    return logs


class Orders(Struct, frozen=True):
    """How often calls began before others of the same caller, and were still running then; can be added to others."""

    counts: Mapping[Unordered, tuple[int, int]] = {}

    def __add__(self, other: Orders) -> Orders:
        counts = dict(self.counts)
        for pair, (met, ran) in other.counts.items():
            known = counts.get(pair, (0, 0))
            counts[pair] = known[0] + met, known[1] + ran
        return Orders(counts)

    def unordered(self) -> frozenset[Unordered]:
        """Give the pairs of calls of which the second one does not wait for the first."""
        # Whole numbers: fractions take twenty times as long, and there are many pairs.
        few, of = _REFUTED.as_integer_ratio()
        return frozenset(pair for pair, (met, ran) in self.counts.items() if ran * of > few * met)


def count_orders(spans: Columns) -> Orders:
    """Compare the calls of each caller, in order of start, with the 32 before each.

    Source: Chow et al., The Mystery Machine, OSDI '14, section 3: every order is assumed until a trace shows otherwise.
    """
    rows = np.flatnonzero(spans.parents >= 0)
    rows = rows[np.lexsort((rows, spans.start_ns[rows], spans.parents[rows]))]
    places, place = _number_places(spans, rows)
    above, start_ns = spans.parents[rows], spans.start_ns[rows]
    over_ns = start_ns + spans.duration_ns[rows] * _MOSTLY_OVER.numerator // _MOSTLY_OVER.denominator
    pairs, running = [], []
    for back in range(1, _BACK + 1):
        first = np.flatnonzero(above[back:] == above[:-back])
        then = first + back
        pairs.append(place[first] * len(places) + place[then])
        running.append((start_ns[first] < start_ns[then]) & (start_ns[then] < over_ns[first]))
    codes = np.concatenate(pairs)
    known, number = numbered(codes)
    met = np.bincount(number, minlength=known.size).tolist()
    ran = sum_by_group(number, np.concatenate(running).astype(np.int64), known.size).tolist()
    told = zip(*(codes.tolist() for codes in np.divmod(known, max(len(places), 1))), met, ran, strict=True)
    return Orders({Unordered(places[first], places[then]): (each, some) for first, then, each, some in told})


def find_unordered(
    spans: Columns, rows: Ints, known: frozenset[Unordered]
) -> tuple[list[int], frozenset[tuple[int, int]]]:
    """Number the places of calls, and give the pairs of places of which the second does not wait for the first.

    Args:
        spans: All spans.
        rows: Calls, by caller and start; all of each caller.
        known: What was learned.
    """
    if not known or not rows.size:
        return [0] * rows.size, frozenset()
    places, place = _number_places(spans, rows)
    number = {each: at for at, each in enumerate(places)}
    pairs = ((number.get(first, -1), number.get(then, -1)) for first, then in known)
    return place.tolist(), frozenset(pair for pair in pairs if min(pair) >= 0)


def _number_places(spans: Columns, rows: Ints) -> tuple[list[Place], Ints]:
    """Number calls by operation, and by place among those of their caller; rows are sorted by caller and start."""
    _, call = number_calls(spans, rows)
    above = spans.parents[rows]
    order = np.lexsort((call, above))
    is_head = np.diff(above[order], prepend=-1) != 0
    is_head |= np.diff(call[order], prepend=-1) != 0
    since = np.maximum.accumulate(np.where(is_head, np.arange(rows.size), 0))
    at = moved(np.minimum(np.arange(rows.size) - since, _PLACES - 1), order, rows.size)
    heads, number = numbered_rows(call, at)
    return [
        Place(each, place) for each, place in zip(calls_of(spans, rows[heads]), at[heads].tolist(), strict=True)
    ], number
