"""Calls made again and again: many alike ones of one span, statements that a request repeats, and retries."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings, none_seen, single
from traceq.analysis.grouping import TimeKeys, flags_at
from traceq.analysis.habits import next_below
from traceq.analysis.naming import NOTHING_SAID, Wording, may_page, names_what_it_asks, of_statement, of_url
from traceq.semantics import (
    HTTP_STATUS,
    PEER_HOST,
    STATEMENT,
    URL,
    Kind,
    Status,
    first_text,
    largest_number,
    value_text,
)

_IN_TURN_RATIO = 0.8
"""The share of alike calls that have to begin after the previous one has ended; others may overlap by a clock tick."""
_BUSY_RATIO = 0.5
"""Alike calls that hold less than this share of the time from the first to the last are paced: polling, a sleep."""
_SAME_BUSY_RATIO = 0.8
"""The same for calls that ask for exactly the same: the usual reason for these is polling."""


class Said(NamedTuple):
    """What is recorded of what a call asks for."""

    text: str
    wording: Wording
    host: str
    """The host that was asked; read for queries."""


def n_plus_one(scene: Scene, again: Flags) -> Sightings:
    """Find many alike calls of one span, in turn, or queries side by side.

    Siblings are alike when service, operation, kind, peer, callee and, without values, statement or URL are equal; so
    are the calls of alike siblings, where each call is made in a function with its own span. The cost is the path time
    of all calls but the longest, since one call is needed in any case.

    Args:
        scene: What to look at.
        again: Failed attempts that were followed by another one: they ask for nothing else.
    """
    calls = scene.is_call & scene.is_asked & (scene.spans.parents >= 0) & ~again
    direct, own = _many(scene, np.flatnonzero(calls), scene.spans.parents)
    wrapped, inner = _many(scene, _wrapped(scene, calls, direct), _grandparents(scene))
    return _seen(scene, _joined(direct, wrapped), np.concatenate((own, inner)))


def _grandparents(scene: Scene) -> Ints:
    parents = scene.spans.parents
    return np.where(parents >= 0, parents[parents], -1)


def _wrapped(scene: Scene, calls: Flags, direct: Groups) -> Ints:
    """List calls that are the only work of an INTERNAL span and were not found already."""
    wraps = scene.spans.roles == Kind.INTERNAL
    is_wrapped = calls & wraps[scene.spans.parents] & (_grandparents(scene) >= 0)
    is_wrapped[direct.rows] = False
    return np.flatnonzero(is_wrapped)


def _many(scene: Scene, rows: Ints, above: Ints) -> tuple[Groups, Flags]:
    """Group alike calls below the same span, keep what is an N+1, and tell which groups ran side by side."""
    spans, least = scene.spans, scene.thresholds.n_plus_one_calls
    # Most spans make few calls: counting first saves sorting these.
    rows = rows[np.bincount(above[rows], minlength=1)[above[rows]] >= least]
    idle_ns = _idle_ns(scene, rows, above[rows])
    parents, operations = spans.parents[rows], scene.operations
    wrappers = np.where(parents == above[rows], -1, operations[parents])
    callees = np.where(scene.callees >= 0, operations[scene.callees], -1)
    alike = (spans.services, operations, spans.told_roles, spans.peers, callees)
    groups = scene.group(rows, (above[rows], wrappers, *(codes[rows] for codes in alike)))
    groups = groups.keep((groups.sizes >= least) & (groups.sum(spans.duration_ns[groups.rows]) >= _worth(scene)))
    groups, texts = _same_wording(scene, groups, least)
    in_turn = groups.sum(scene.follows(groups).astype(np.int64)) >= _IN_TURN_RATIO * (groups.sizes - 1)
    fits = [
        _is_n_plus_one(scene, groups.rows[start:stop], texts[start:stop], idle_ns if is_in_turn else None)
        for start, stop, is_in_turn in zip(
            groups.heads.tolist(), groups.offsets[1:].tolist(), in_turn.tolist(), strict=True
        )
    ]
    fitting = np.array(fits, dtype=np.bool_)
    return groups.keep(fitting), ~in_turn[fitting]


def _worth(scene: Scene) -> int:
    return max(1, scene.thresholds.min_cost_ns)


def _same_wording(scene: Scene, groups: Groups, least: int) -> tuple[Groups, list[Said]]:
    """Divide groups by what their calls ask for, and keep those that are still large enough."""
    texts = {row: said(scene, row) for row in groups.rows.tolist()}
    numbers: dict[str, int] = {}
    codes = np.fromiter(
        (numbers.setdefault(told.wording.alike, len(numbers)) for told in texts.values()),
        dtype=np.int64,
        count=groups.rows.size,
    )
    same = scene.group(groups.rows, (groups.number, codes))
    same = same.keep(same.sizes >= least)
    return same, [texts[row] for row in same.rows.tolist()]


def said(scene: Scene, row: int) -> Said:
    """Read statement or URL of a call; some instrumentation records the URL only where it is served."""
    traces = scene.spans.traces
    if traces.details is None:
        return Said("", NOTHING_SAID, "")
    attributes = traces.details[row].attributes()
    if scene.is_query[row]:
        text = first_text(attributes, STATEMENT)
        return Said(text, of_statement(text), first_text(attributes, PEER_HOST))
    text = first_text(attributes, URL)
    callee = int(scene.callees[row])
    if not text and callee >= 0:
        text = first_text(traces.details[callee].attributes(), URL)
    return Said(text, of_url(text), "")


def _is_n_plus_one(scene: Scene, rows: Ints, texts: list[Said], idle_ns: Ints | None) -> bool:
    """Tell whether alike calls of one span could have been one call, as far as is recorded.

    `idle_ns` is None for calls side by side.
    """
    wording, is_query = texts[0].wording, bool(scene.is_query[rows[0]])
    is_same = not wording.is_open and len({told.text for told in texts}) == 1
    if wording.pages or wording.controls:
        return False
    if idle_ns is None:
        # Calls of services side by side are how answers are gathered, and so are queries of many shards.
        shards = {told.host for told in texts}
        return is_query and bool(wording.alike) and 2 * len(shards) <= len(texts)
    if _is_paced(scene, rows, idle_ns, _SAME_BUSY_RATIO if is_same else _BUSY_RATIO):
        return False
    return bool(wording.alike) or _is_told_by_name(scene, int(rows[0]))


def _is_told_by_name(scene: Scene, row: int) -> bool:
    """Tell whether the names of a call without statement and URL say that its like ask for alike things."""
    spans, traces = scene.spans, scene.spans.traces
    peer = traces.peers[spans.peers[row]]
    general = f"{traces.services[spans.services[row]]} {'' if peer is None else peer.label}"
    names = [traces.names[spans.names[at]] for at in (row, int(scene.callees[row])) if at >= 0]
    return any(names_what_it_asks(name, general) for name in names) and not may_page(names[-1])


def _idle_ns(scene: Scene, rows: Ints, above: Ints) -> Ints:
    """Give for each of these calls how long none of those of the same span was running until it began.

    The difference between two calls of one span is what the span did not spend on calls between them. The array has an
    entry for each span; `above` has one for each of the rows.
    """
    spans = scene.spans
    idle_ns = np.zeros(spans.parents.size, dtype=np.int64)
    keys = TimeKeys(spans.parents.size, spans.start_ns[rows], spans.end_ns[rows])
    begins = keys.key(above, spans.start_ns[rows])
    order = np.lexsort((rows, begins))
    # The key contains the span above, so the running maximum of ends begins anew with each one.
    reached = np.maximum.accumulate(keys.key(above, spans.end_ns[rows])[order][:-1])
    pauses_ns = keys.time(begins[order][1:]) - keys.time(reached)
    is_next = np.diff(above[order]) == 0
    idle_ns[rows[order[1:]]] = np.cumsum(np.where(is_next, np.maximum(pauses_ns, 0), 0))
    return idle_ns


def _is_paced(scene: Scene, rows: Ints, idle_ns: Ints, busy_ratio: float) -> bool:
    """Tell whether the pauses between calls of one span are their reason: polling, or a loop with a sleep.

    Time in which the span makes other calls is no pause.
    """
    pauses_ns = np.sort(np.diff(idle_ns[rows]))
    # Work between calls that is short does not keep them apart.
    is_apart = pauses_ns[pauses_ns.size // 2] > scene.thresholds.sequential_gap_ns
    lasted_ns = scene.spans.end_ns[rows].max() - scene.spans.start_ns[rows[0]]
    return bool(is_apart and lasted_ns - pauses_ns.sum() < busy_ratio * lasted_ns)


def _joined(one: Groups, other: Groups) -> Groups:
    return Groups(np.concatenate((one.rows, other.rows)), np.append(one.heads, one.rows.size + other.offsets))


def _seen(scene: Scene, groups: Groups, side_by_side: Flags) -> Sightings:
    path_ns = scene.path_ns[groups.rows]
    waited_ns = groups.sum(path_ns)
    cost_ns = waited_ns - groups.max(path_ns)
    # Side by side, all of them take hardly longer than one, but each of them is work for the database.
    notable = np.where(side_by_side, waited_ns, cost_ns) >= _worth(scene)
    time_ns = groups.sum(scene.spans.duration_ns[groups.rows])
    found = scene.seen("n+1", groups.keep(notable), cost_ns[notable], time_ns[notable])
    return found.flagged(side_by_side[notable])


def repeated_queries(scene: Scene, known: Sightings, again: Flags) -> Sightings:
    """Find alike statements that one request runs several times, anywhere in it, in parallel or not.

    Args:
        scene: What to look at.
        known: The N+1 queries, which are not told twice.
        again: Failed attempts that were followed by another one.
    """
    spans = scene.spans
    if spans.traces.details is None:
        return none_seen("repeated-query")
    is_candidate = scene.is_query & scene.is_asked & ~again
    is_candidate[known.members] = False
    rows = np.flatnonzero(is_candidate)
    entry = scene.examined.requests.entry[rows]
    groups = scene.group(rows, (entry, spans.services[rows], scene.operations[rows], spans.peers[rows]))
    groups = groups.keep(_repeats_enough(scene, groups))
    groups, texts = _same_wording(scene, groups, scene.thresholds.repeated_queries)
    told = [texts[head].wording for head in groups.heads.tolist()]
    fits = [bool(wording.alike) and not (wording.pages or wording.controls) for wording in told]
    groups = groups.keep(np.array(fits, dtype=np.bool_) & _repeats_enough(scene, groups) & ~_polls(scene, groups))
    path_ns = scene.path_ns[groups.rows]
    time_ns = groups.sum(spans.duration_ns[groups.rows])
    return scene.seen("repeated-query", groups, groups.sum(path_ns) - groups.max(path_ns), time_ns)


def _repeats_enough(scene: Scene, groups: Groups) -> Flags:
    path_ns = scene.path_ns[groups.rows]
    cost_ns = groups.sum(path_ns) - groups.max(path_ns)
    enough: Flags = groups.sizes >= scene.thresholds.repeated_queries
    return enough & (cost_ns >= _worth(scene))


def _polls(scene: Scene, groups: Groups) -> Flags:
    """Tell the groups that are calls of one span with pauses between them."""
    parents = scene.spans.parents[groups.rows]
    is_one = groups.max(parents) == -groups.max(-parents)
    bounds = zip(groups.heads.tolist(), groups.offsets[1:].tolist(), is_one.tolist(), strict=True)
    idle_ns = _idle_ns(scene, groups.rows, parents)
    polls = [one and _is_paced(scene, groups.rows[start:stop], idle_ns, _BUSY_RATIO) for start, stop, one in bounds]
    return np.array(polls, dtype=np.bool_)


_RETRY_EVENT = re.compile(r"(?i)(?:.*[ ._-])?(?:retry|retrying|retried)(?:[ ._-]?(?:\d+|attempt))?")
"""`retry`, `retry_3`, `http.retry`, `Retrying`; not `retry_policy_loaded`."""
_COUNTS = ("retry_count", "http.request.resend_count", "http.resend_count")
_GRPC_STATUS = ("rpc.grpc.status_code", "grpc.status_code")

_OUTCOME = re.compile(
    r"(?i)error|exception|status|response|result|returned|attempt|retry|retries|resend|^otel\.|^net\.|^network\."
    r"|^server\.|^peer\.|^thread\.|^code\.|request.?id|correlation|duration|elapsed|latency|timestamp"
)
"""Attributes that tell how a call went, by which way, or which one it was: not what it asked for."""

_PROBED = 10
"""After this number of spans in a row without retries, an operation is assumed to have none in this trace.

The limit holds for each trace, not for a table: the number of traces in a table must make no difference.
"""
_NOT_YET = frozenset(("404", "409", "412", "423", "425"))
_NOT_YET_GRPC = frozenset(("5", "9", "NOT_FOUND", "FAILED_PRECONDITION"))
"""Answers that say that something is not there or not ready."""
_REGULAR = 1.5
"""Pauses are regular if the longest of them is at most this multiple of the shortest."""


class Attempts(Struct, frozen=True, eq=False):
    """Calls that were made again."""

    retries: Sightings
    polls: Groups
    """Calls that asked until something was there or ready."""


def find_attempts(scene: Scene) -> Attempts:
    """Find calls that were tried again: failed siblings that are the same call as the next one.

    Attempts are siblings of one operation, peer, text (URL or statement, or else the attributes) and callee that do not
    overlap, of which all but the last failed. Where other siblings like them succeeded before, they are attempts only
    if the text says that they ask for the same. What was answered "not yet" is no failure. The cost is the path time
    from the start of the first to the start of the last. For spans without attempts below them that hold the path long
    enough, events (`retry_N`) and attributes (`retry_count`) are read; for each operation in a trace in order of path
    time, the longest first, until ten in a row have none.
    """
    runs = _runs(scene)
    is_poll = _asks_until_done(scene, runs)
    attempts, polls = runs.keep(~is_poll), runs.keep(is_poll)
    first = attempts.rows[attempts.heads]
    last = attempts.rows[attempts.offsets[1:] - 1]
    parents = scene.spans.parents[first]
    start_ns, last_ns = scene.spans.start_ns[first], scene.spans.start_ns[last]
    cost_ns = scene.path_between(parents, start_ns, last_ns)
    tried = Sightings("retries", first, cost_ns, last_ns - start_ns, attempts.rows, attempts.offsets)
    return Attempts(_both(tried, _told(scene, scene.spans.parents[runs.rows[runs.heads]])), polls)


def _runs(scene: Scene) -> Groups:
    """Group failed calls with the same call after them."""
    spans, least = scene.spans, scene.thresholds.retries
    failed = (spans.statuses == Status.ERROR) & scene.is_asked & (spans.parents >= 0)
    has_failed = flags_at(spans.parents[failed], spans.parents.size)
    groups = _same_calls(scene, np.flatnonzero(has_failed[spans.parents] & (spans.parents >= 0) & scene.is_asked))
    groups = groups.keep((groups.sizes > least) & (groups.max(failed[groups.rows].astype(np.int64)) > 0))
    texts = {row: said(scene, row) for row in groups.rows.tolist()}
    members = np.split(groups.rows, groups.heads[1:]) if groups.rows.size else []
    asked = [text for rows in members for text in _asked_for(scene, rows.tolist(), texts)]
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(text, len(numbers)) for text in asked]
    same = scene.group(groups.rows, (groups.number, np.array(codes, dtype=np.int64)))
    goes_on = np.zeros(same.rows.size, dtype=np.bool_)
    goes_on[1:] = failed[same.rows[:-1]]
    runs = same.split(~(goes_on & scene.follows(same)))
    is_whole = runs.sizes == same.sizes[same.number[runs.heads]]
    heads = runs.rows[runs.heads].tolist()
    says_all = np.array([_says_all(scene, row, texts[row]) for row in heads], dtype=np.bool_)
    return runs.keep((runs.sizes > least) & (is_whole | says_all) & ~_call_different(scene, runs))


def _asked_for(scene: Scene, rows: list[int], texts: dict[int, Said]) -> list[str]:
    """Give what calls of one span ask for: their texts, or else the attributes that all of them have.

    What only some have is told by those that failed, or by those that did not.
    """
    details = scene.spans.traces.details
    if details is None or any(texts[row].text for row in rows):
        return [texts[row].text for row in rows]
    told = [details[row].attributes() for row in rows]
    shared = sorted(key for key in set(told[0]).intersection(*told[1:]) if not _OUTCOME.search(key))
    return ["\n".join(value_text(attributes[key]) for key in shared) for attributes in told]


def _same_calls(scene: Scene, rows: Ints) -> Groups:
    """Group siblings of one operation and peer."""
    spans = scene.spans
    told = (spans.parents, spans.services, scene.operations, spans.told_roles, spans.peers)
    return scene.group(rows, tuple(codes[rows] for codes in told))


def _call_different(scene: Scene, runs: Groups) -> Flags:
    """Tell the runs whose calls reached different operations; those that reached none may have been meant for any."""
    callees = scene.callees[runs.rows]
    reached = scene.operations[callees].astype(np.int64)
    greatest = runs.max(np.where(callees >= 0, reached, -1))
    least = -runs.max(np.where(callees >= 0, -reached, 1 - len(scene.operation_names)))
    different: Flags = greatest > least
    return different


def _says_all(scene: Scene, row: int, told: Said) -> bool:
    """Tell whether a text says all that a call asks for, so that the same text is the same call."""
    if not told.text or told.wording.is_open:
        return False
    name = scene.operation_names[scene.operations[row]].upper()
    return bool(scene.is_query[row]) or "GET" in name or "HEAD" in name


def _asks_until_done(scene: Scene, runs: Groups) -> Flags:
    """Tell the runs all of whose failures say that something is not there or not ready."""
    statuses, details = scene.spans.statuses, scene.spans.traces.details
    if details is None:
        return np.zeros(runs.sizes.size, dtype=np.bool_)

    def is_not_yet(row: int) -> bool:
        attributes = details[row].attributes()
        told = first_text(attributes, HTTP_STATUS), first_text(attributes, _GRPC_STATUS)
        return statuses[row] != Status.ERROR or told[0] in _NOT_YET or told[1] in _NOT_YET_GRPC

    not_yet = np.array([is_not_yet(row) for row in runs.rows.tolist()], dtype=np.int64)
    asks: Flags = runs.sum(not_yet) == runs.sizes
    return asks


def _told(scene: Scene, known: Ints) -> Sightings:
    """Find spans whose events or attributes record retries; `known` ones have spans for their attempts."""
    spans = scene.spans
    if spans.traces.details is None:
        return none_seen("retries")
    own_ns = scene.examined.paths.own_ns
    waits = scene.is_asked & (own_ns >= max(1, scene.thresholds.min_cost_ns))
    waits[known] = False
    rows, ends_ns = _probe(scene, np.flatnonzero(waits))
    start_ns = spans.start_ns[rows]
    cost_ns = scene.path_between(rows, start_ns, ends_ns)
    kept = cost_ns >= scene.thresholds.min_cost_ns
    return single("retries", rows[kept], cost_ns[kept], (ends_ns - start_ns)[kept])


def _probe(scene: Scene, rows: Ints) -> tuple[Ints, Ints]:
    """Read the candidates of each operation in a trace, those that hold the path longest first.

    Returns:
        Rows of spans that record retries, and the start of the last one in ns since the epoch, clocks corrected.
    """
    spans = scene.spans
    own_ns = scene.examined.paths.own_ns[rows]
    order = np.lexsort((rows, -own_ns, spans.names[rows], spans.services[rows], spans.trace[rows]))
    found, ends_ns = [], []
    operation, silent = (-1, -1, -1), 0
    asked = rows[order]
    codes = (asked, spans.trace[asked], spans.services[asked], spans.names[asked])
    for row, *place in zip(*(column.tolist() for column in codes), strict=True):
        if tuple(place) != operation:
            operation, silent = tuple(place), 0
        if silent >= _PROBED:
            continue
        end_ns = _last_retry_ns(scene, row)
        silent = silent + 1 if end_ns is None else 0
        if end_ns is not None:
            found.append(row)
            ends_ns.append(end_ns)
    return np.array(found, dtype=np.int64), np.array(ends_ns, dtype=np.int64)


def _last_retry_ns(scene: Scene, row: int) -> int | None:
    """Give the start of the last retry in a span, or the span's end where only a number is given; None for too few."""
    details = scene.spans.traces.span(row).details
    times = [event.time_ns for event in details.events() if _RETRY_EVENT.fullmatch(event.name)]
    if len(times) >= scene.thresholds.retries:
        # Events have times of the host's own clock.
        return max(times) + int(scene.examined.skew.shift_ns[row])
    told = largest_number(details.attributes(), _COUNTS)
    return int(scene.spans.end_ns[row]) if told >= scene.thresholds.retries else None


def _both(one: Sightings, other: Sightings) -> Sightings:
    members = _joined(Groups(one.members, one.offsets), Groups(other.members, other.offsets))
    return Sightings(
        "retries",
        np.concatenate((one.rows, other.rows)),
        np.concatenate((one.cost_ns, other.cost_ns)),
        np.concatenate((one.time_ns, other.time_ns)),
        members.rows,
        members.offsets,
    )


def superseded(scene: Scene, attempts: Attempts) -> Flags:
    """Tell the failed attempts that were followed by another one."""
    made = _joined(Groups(attempts.retries.members, attempts.retries.offsets), attempts.polls)
    return flags_at(np.delete(made.rows, made.offsets[1:] - 1), scene.spans.parents.size)


def holders(scene: Scene, attempts: Attempts) -> Flags:
    """Tell the spans in which something was tried again, or asked for regularly: their pauses are accounted for."""
    holds = np.zeros(scene.spans.parents.size, dtype=np.bool_)
    rows = np.concatenate((attempts.retries.rows, attempts.polls.rows, _regular(scene)))
    parents = scene.spans.parents[rows]
    holds[parents[parents >= 0]] = True
    holds[attempts.retries.rows] = True
    return holds


def _regular(scene: Scene) -> Ints:
    """Give calls that are made at regular times: several of one span with pauses of about the same length.

    The pause after the last one counts only where there is just one between them.
    """
    spans = scene.spans
    rows = np.flatnonzero(scene.is_call & scene.is_asked & (spans.parents >= 0))
    rows = rows[np.bincount(spans.parents[rows], minlength=1)[spans.parents[rows]] >= 2]
    groups = _same_calls(scene, rows)
    groups = groups.keep(groups.sizes >= 2)
    start_ns, end_ns, callers = spans.start_ns[groups.rows], spans.end_ns[groups.rows], spans.parents[groups.rows]
    is_last = flags_at(groups.offsets[1:] - 1, groups.rows.size)
    following = next_below(spans, callers[is_last], end_ns[is_last])
    next_ns = np.roll(start_ns, -1)
    next_ns[is_last] = np.where(following < 0, spans.end_ns[callers[is_last]], spans.start_ns[following])
    pause_ns = next_ns - end_ns
    is_left_out = is_last & (groups.sizes > 2)[groups.number]
    longest_ns = groups.max(np.where(is_left_out, -1, pause_ns))
    shortest_ns = -groups.max(np.where(is_left_out, np.iinfo(np.int64).min + 1, -pause_ns))
    is_regular = (shortest_ns > scene.thresholds.sequential_gap_ns) & (longest_ns <= _REGULAR * shortest_ns)
    return groups.keep(is_regular).rows
