"""Calls that were tried again."""

from __future__ import annotations

import re

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.alike import Said, said
from traceq.analysis.findings.sightings import Groups, Scene, Sightings, none_seen
from traceq.analysis.habits import next_below
from traceq.semantics import HTTP_STATUS, Status, first_text, largest_number, value_text

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

    @property
    def superseded(self) -> Ints:
        """Rows of failed attempts that were followed by another one."""
        found = self.retries
        lasts = np.concatenate((found.offsets[1:] - 1, found.members.size + self.polls.offsets[1:] - 1))
        return np.delete(np.concatenate((found.members, self.polls.rows)), lasts)


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
    has_failed = np.zeros(spans.parents.size, dtype=np.bool_)
    has_failed[spans.parents[failed]] = True
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
    time_ns = (ends_ns - start_ns)[kept]
    rows = rows[kept]
    return Sightings("retries", rows, cost_ns[kept], time_ns, rows, np.arange(rows.size + 1, dtype=np.int64))


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
    return Sightings(
        "retries",
        np.concatenate((one.rows, other.rows)),
        np.concatenate((one.cost_ns, other.cost_ns)),
        np.concatenate((one.time_ns, other.time_ns)),
        np.concatenate((one.members, other.members)),
        np.append(one.offsets[:-1], one.members.size + other.offsets),
    )


def superseded(scene: Scene, attempts: Attempts) -> Flags:
    """Tell the failed attempts that were followed by another one."""
    found = np.zeros(scene.spans.parents.size, dtype=np.bool_)
    found[attempts.superseded] = True
    return found


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
    is_last = np.roll(_is_head(groups), -1)
    following = next_below(spans, callers[is_last], end_ns[is_last])
    next_ns = np.roll(start_ns, -1)
    next_ns[is_last] = np.where(following < 0, spans.end_ns[callers[is_last]], spans.start_ns[following])
    pause_ns = next_ns - end_ns
    is_left_out = is_last & (groups.sizes > 2)[groups.number]
    longest_ns = groups.max(np.where(is_left_out, -1, pause_ns))
    shortest_ns = -groups.max(np.where(is_left_out, np.iinfo(np.int64).min + 1, -pause_ns))
    is_regular = (shortest_ns > scene.thresholds.sequential_gap_ns) & (longest_ns <= _REGULAR * shortest_ns)
    return groups.keep(is_regular).rows


def _is_head(groups: Groups) -> Flags:
    is_head = np.zeros(groups.rows.size, dtype=np.bool_)
    is_head[groups.heads] = True
    return is_head
