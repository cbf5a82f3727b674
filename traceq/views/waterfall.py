"""A trace as rows to be drawn: which spans are shown, folded or left out, and what is remarked about each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from msgspec import Struct

from traceq.analysis.critical_path import segments
from traceq.analysis.culprits import Culprit
from traceq.analysis.grouping import depths, find_roots, fold_ancestors
from traceq.analysis.messages import find_waits
from traceq.analysis.one_trace import Details, TraceBottlenecks, event_texts, facts, offset_of
from traceq.report import Relation, Timeline, TimelineRow
from traceq.semantics import Kind, Status, value_text
from traceq.traces import Span
from traceq.units import format_duration, format_ratio, plural
from traceq.views.abridging import Abridged, abridge

_FOLD_FROM = 3
"""Number of alike siblings in a row, or of alike groups of them, from which they are folded into one."""
_LONGEST_PATTERN = 3
"""Maximum number of different siblings in a group that repeats (`connect`, `SELECT`, `connect`, ...)."""

_LONGEST_VALUE = 160
_MOST_LINES = 12
"""Stack traces and statements have thousands of characters, and a row is to be taken in at a glance."""

_SHORT_EVENT = 60
"""Maximum number of characters of attributes beside the name of an event."""

_NO_DETAILS = Details()

_SHOWN_BY_ROWS = frozenset({"span", "trace", "operation", "duration"})
"""Facts that stand elsewhere in what is drawn of a trace."""

NOTABLE_SHIFT_RATIO = 0.01
"""A corrected clock is remarked on from this share of the trace on, not where a server ends just after its client."""


class Shown(Struct, frozen=True):
    """What of a trace is drawn."""

    max_depth: int | None = None
    """Levels below the root that are drawn; None for all."""
    errors_only: bool = False
    """Only failed spans and what leads to them."""
    min_span_ns: int = 0
    """Only spans that lasted at least so long, and what leads to them."""
    only: frozenset[int] | None = None
    """Only these rows, and what leads to them."""
    folds: bool = True
    """Whether runs of alike spans share a row."""
    root: int | None = None
    """The row whose subtree is drawn, with nothing around it; None for the whole trace."""
    is_abridged: bool = False
    """Whether of very many rows only those are drawn that tell most."""
    has_ids: bool = False
    """Whether each row shows the id of its span."""
    matches: Mapping[int, tuple[str, ...]] = {}
    """Rows that were looked for, and where in them the text is."""


class Waterfall(Struct, frozen=True):
    """A trace ready to be drawn."""

    timeline: Timeline
    span_count: int
    hidden_count: int
    """Spans left out by depth, error or duration."""
    abridged_count: int
    """Spans left out because there are too many rows."""
    folded_count: int
    """Spans that share a row with others like them."""
    shown_rows: frozenset[int] | None
    """The table's rows that were not left out by depth, error or duration; None for all."""


class _Node(Struct):
    """A row in the making: one span, or a run of alike ones, or a placeholder for a missing parent (no rows)."""

    rows: tuple[int, ...]
    children: Sequence[_Node] = ()
    hidden_count: int = 0
    missing_id: str = ""


def waterfall(answer: TraceBottlenecks, shown: Shown, details: Details = _NO_DETAILS) -> Waterfall:
    """Lay out the one trace of a table.

    Siblings come by start. Orphans that miss the same parent stand under a placeholder for it. Siblings that are alike,
    down to the last span below them, are folded. Nothing recurses, however deep the trace.
    """
    drawing = _Drawing(answer, shown, details)
    nodes = drawing.top_nodes()
    rows = tuple(drawing.draw(nodes))
    found = abridge(rows, drawing.sizes) if shown.is_abridged else Abridged(rows, tuple(drawing.sizes))
    hidden_count = int(np.count_nonzero(~drawing.is_shown))
    return Waterfall(
        Timeline(found.rows, drawing.duration_ns, shown.has_ids),
        answer.examined.spans.parents.size,
        hidden_count,
        found.hidden_count,
        found.folded_count,
        frozenset(np.flatnonzero(drawing.is_shown).tolist()) if hidden_count else None,
    )


class _Drawing:
    """Everything about a trace that its rows are made from."""

    def __init__(self, answer: TraceBottlenecks, shown: Shown, details: Details) -> None:
        examined = answer.examined
        spans = examined.spans
        self.examined = examined
        self.shown = shown
        self.details = details
        self.traces = spans.traces
        self.parents = spans.parents.tolist()
        self.starts = spans.start_ns.tolist()
        self.ends = spans.end_ns.tolist()
        self.self_ns = examined.self_ns.tolist()
        self.shift_ns = examined.skew.shift_ns.tolist()
        self.roots = find_roots(spans.parents).tolist()
        self.depths = depths(spans.parents)
        self.awaited = examined.paths.awaited.tolist()
        self.queue_ns = find_waits(spans, np.arange(spans.parents.size, dtype=np.int64)).tolist()
        self.latest_ends = self._find_latest_ends()
        self.is_shown = self._find_shown()
        rows = range(len(self.starts)) if shown.root is None else np.flatnonzero(self.is_shown).tolist()
        self.origin_ns = min((self.starts[row] for row in rows), default=0)
        self.duration_ns = max((self.ends[row] for row in rows), default=0) - self.origin_ns
        self.children = self._find_children()
        self.hidden_below = self._count_hidden()
        self.critical = self._find_critical()
        self.flagged = {culprit.row: culprit for culprit in answer.culprits}
        self.culprit_of = {row: at for at, culprit in enumerate(answer.culprits) for row in culprit.rows}
        self.sizes: list[int] = []
        """The number of spans of each row that was drawn."""
        self.matched_count = 0

    def _find_shown(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        spans, wanted = self.examined.spans, self.shown
        shown = spans.duration_ns >= wanted.min_span_ns
        if wanted.errors_only:
            shown &= spans.statuses == Status.ERROR
        if wanted.only is not None:
            shown &= np.isin(np.arange(spans.parents.size), sorted(wanted.only))
        # Up from the deepest: whoever leads to a span that is shown is shown.
        for row in np.argsort(-self.depths, kind="stable").tolist():
            if shown[row] and self.parents[row] >= 0:
                shown[self.parents[row]] = True
        if wanted.root is not None:
            shown &= fold_ancestors(spans.parents, np.arange(shown.size) == wanted.root, np.logical_or)
        if wanted.max_depth is not None:
            top = 0 if wanted.root is None else self.depths[wanted.root]
            shown &= self.depths <= top + wanted.max_depth
        return shown

    def _find_latest_ends(self) -> list[int]:
        """Find when the last span of each subtree ended."""
        latest: list[int] = list(self.ends)
        for row in np.argsort(-self.depths, kind="stable").tolist():
            parent = self.parents[row]
            if parent >= 0:
                latest[parent] = max(latest[parent], latest[row])
        return latest

    def _find_children(self) -> Mapping[int, list[int]]:
        """List shown children by start; those of -1 are the roots."""
        children: defaultdict[int, list[int]] = defaultdict(list)
        for row in sorted(np.flatnonzero(self.is_shown).tolist(), key=lambda row: (self.starts[row], row)):
            children[self.parents[row]].append(row)
        return children

    def _count_hidden(self) -> dict[int, int]:
        """Count for each shown span the hidden spans below it that no other shown span is nearer to."""
        hidden: defaultdict[int, int] = defaultdict(int)
        nearest: dict[int, int] = {}
        # Parents first, so that each hidden span only has to ask its own parent.
        for row in np.argsort(self.depths, kind="stable").tolist():
            if self.is_shown[row]:
                continue
            parent = self.parents[row]
            nearest[row] = nearest.get(parent, parent)
            hidden[nearest[row]] += 1
        return hidden

    def _find_critical(self) -> Mapping[int, list[tuple[int, int]]]:
        found = segments(self.examined.paths)
        critical: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        columns = (found.rows, found.start_ns - self.origin_ns, found.end_ns - self.origin_ns)
        for row, start, end in zip(*(column.tolist() for column in columns), strict=True):
            critical[row].append((start, end))
        return critical

    def top_nodes(self) -> list[_Node]:
        """Give the roots, orphans below placeholders for the parents they miss, in order of start."""
        if self.shown.root is not None:
            return [_Node((self.shown.root,))] if self.is_shown[self.shown.root] else []
        missing = self.traces.missing_parents
        whole = [row for row in self.children[-1] if row not in missing]
        by_parent: defaultdict[str, list[int]] = defaultdict(list)
        for row in self.children[-1]:
            if row in missing:
                by_parent[missing[row]].append(row)
        tops = [(self.starts[row], row, _Node((row,))) for row in whole]
        tops += [
            (self.starts[rows[0]], rows[0], _Node((), self._fold(rows), missing_id=parent_id))
            for parent_id, rows in by_parent.items()
        ]
        return [node for *_, node in sorted(tops, key=lambda top: top[:2])]

    def draw(self, tops: Sequence[_Node]) -> Iterator[TimelineRow]:
        """Give the rows, depth first, with a stack of its own."""
        waiting = [(node, 0, node is tops[-1]) for node in reversed(tops)]
        while waiting:
            node, depth, is_last = waiting.pop()
            yield self._row(node, depth, is_last=is_last)
            self.sizes.append(len(node.rows) * (self._size(node.rows[0]) if len(node.rows) > 1 else 1))
            below = node.children or (self._fold(self.children.get(node.rows[0], ())) if len(node.rows) == 1 else ())
            waiting += [(child, depth + 1, child is below[-1]) for child in reversed(below)]

    def _fold(self, rows: Sequence[int]) -> list[_Node]:
        """Put runs of alike siblings together."""
        if not self.shown.folds or len(rows) < _FOLD_FROM:
            return [_Node((row,)) for row in rows]
        kinds = [self._signatures[row] for row in rows]
        nodes = []
        at = 0
        while at < len(rows):
            period, repeats = _repetition(kinds, at)
            end = at + period * repeats
            nodes += [_Node(tuple(rows[start:end:period])) for start in range(at, at + period)]
            at = end
        return nodes

    @cached_property
    def _signatures(self) -> list[int]:
        """Number the shapes of subtrees: equal numbers for spans that are alike with everything below them."""
        spans = self.examined.spans
        shapes: dict[tuple[object, ...], int] = {}
        signatures = [0] * len(self.parents)
        own = list(
            zip(
                spans.services.tolist(),
                spans.names.tolist(),
                spans.roles.tolist(),
                spans.statuses.tolist(),
                spans.peers.tolist(),
                strict=True,
            )
        )
        for row in np.argsort(-self.depths, kind="stable").tolist():
            below = tuple(signatures[child] for child in self.children.get(row, ()))
            shape = (
                own[row],
                below,
                self.hidden_below.get(row, 0),
                self.culprit_of.get(row),
                row in self.shown.matches,
            )
            signatures[row] = shapes.setdefault(shape, len(shapes))
        return signatures

    def _row(self, node: _Node, depth: int, *, is_last: bool) -> TimelineRow:
        if node.missing_id:
            return self._placeholder(node, depth, is_last=is_last)
        first, last = node.rows[0], max(node.rows, key=lambda row: self.ends[row])
        span = self.traces.span(first)
        count = len(node.rows)
        has_children = bool(self.children.get(first)) or self.hidden_below.get(first, 0) > 0
        return TimelineRow(
            depth=depth,
            is_last=is_last,
            label=span.name,
            service=span.service if has_children else self._place(span),
            start_ns=self.starts[first] - self.origin_ns,
            duration_ns=self.ends[last] - self.starts[first],
            self_ns=self.self_ns[first] if has_children and count == 1 else None,
            critical=tuple(self._critical_of(node)),
            has_error=span.has_error,
            relation=self._relation(first),
            count=count,
            note=self._note(node),
            is_flagged=self._flag(node) is not None,
            is_match=first in self.shown.matches,
            span_id=span.span_id,
            details=tuple(self._details(span)) if count == 1 else (),
        )

    def _place(self, span: Span) -> str:
        """Say where a span without children spends its time: in what it called, or in its own service."""
        is_call = span.peer is not None and self.examined.spans.roles[span.row] != Kind.CONSUMER
        return f"→ {span.peer.system}" if span.peer is not None and is_call else span.service

    def _placeholder(self, node: _Node, depth: int, *, is_last: bool) -> TimelineRow:
        rows = [row for child in node.children for row in child.rows]
        start = min(self.starts[row] for row in rows)
        return TimelineRow(
            depth=depth,
            is_last=is_last,
            label=f"missing span {node.missing_id}",
            service="",
            start_ns=start - self.origin_ns,
            duration_ns=max(self.ends[row] for row in rows) - start,
            relation="placeholder",
            note=f"parent of {plural(len(rows), 'orphan')}",
        )

    def _size(self, row: int) -> int:
        """Count the shown spans of a subtree."""
        waiting, size = [row], 0
        while waiting:
            at = waiting.pop()
            size += 1
            waiting += self.children.get(at, ())
        return size

    def _critical_of(self, node: _Node) -> list[tuple[int, int]]:
        """Give the path's stretches within a row: its own, and for a fold those of everything it stands for."""
        if len(node.rows) == 1:
            return self.critical.get(node.rows[0], [])
        waiting, found = list(node.rows), []
        while waiting:
            at = waiting.pop()
            found += self.critical.get(at, [])
            waiting += self.children.get(at, ())
        return sorted(found)

    def _relation(self, row: int) -> Relation:
        parent = self.parents[row]
        is_async = not self.awaited[row] or (parent >= 0 and self.starts[row] >= self.ends[parent])
        return "asynchronous" if is_async else "blocking"

    def _note(self, node: _Node) -> str:
        row = node.rows[0]
        texts = []
        culprit = self._flag(node)
        if culprit is not None:
            scattered = len(culprit.rows) > len(node.rows)
            calls = f" in {plural(len(culprit.rows), 'call')}" if scattered else ""
            ratio = format_ratio(culprit.ratio)
            # Self time is what no child covers, and who does not wait for a child works beside it.
            is_covered = self.self_ns[row] < culprit.held_ns and not all(
                self.awaited[each] for each in self.children.get(row, ())
            )
            beside = ", beside what nobody waits for" if is_covered else ""
            # The row's bar does not have the time that it is charged for what passes around it.
            if culprit.outside_ns and not culprit.is_entry:
                calls += f", {format_duration(culprit.outside_ns)} of it on the way"
            texts.append(f"{ratio} in itself{beside}" if culprit.is_entry else f"bottleneck {ratio}{calls}")
        texts += self._match_notes(node)
        if len(node.rows) > 1:
            texts.append(self._fold_note(node.rows))
        texts += self._overhang_notes(row)
        if self.queue_ns[row] > 0 and len(node.rows) == 1:
            texts.append(f"queued {format_duration(self.queue_ns[row])}")
        if self.examined.spans.rejoined[row]:
            texts.append("parent missing, put where others of its kind are")
        shift = self.shift_ns[row]
        parent = self.parents[row]
        if (
            abs(shift) >= NOTABLE_SHIFT_RATIO * self.duration_ns
            and (parent < 0 or self.shift_ns[parent] != shift)
            and shift
        ):
            texts.append(f"clock moved by {format_duration(shift)}")
        if self.hidden_below.get(row):
            texts.append(f"{plural(self.hidden_below[row], 'span')} below not shown")
        return ", ".join(texts)

    def _flag(self, node: _Node) -> Culprit | None:
        """Give the culprit that a row is to be marked as: where its longest call stands."""
        return next((self.flagged[row] for row in node.rows if row in self.flagged), None)

    def _match_notes(self, node: _Node) -> list[str]:
        """Say which of the matches a row is, in the order of rows, and where in it the text is."""
        row, of_all = node.rows[0], f"of {len(self.shown.matches):,}"
        if row not in self.shown.matches:
            return []
        self.matched_count += len(node.rows)
        if len(node.rows) > 1:
            return [f"{len(node.rows):,} {of_all} matches"]
        first, *others = self.shown.matches[row]
        told = f"{first} and {plural(len(others), 'other')}" if others else first
        return [f"match {self.matched_count:,} {of_all}: {told}"]

    def _fold_note(self, rows: Sequence[int]) -> str:
        lengths = [self.ends[row] - self.starts[row] for row in rows]
        size = self._size(rows[0])
        shortest, longest = format_duration(min(lengths)), format_duration(max(lengths))
        each = f"{shortest} each" if shortest == longest else f"{shortest} to {longest} each"
        return each if size == 1 else f"{each}, {plural(size, 'span')} each"

    def _overhang_notes(self, row: int) -> list[str]:
        parent, root = self.parents[row], self.roots[row]
        is_async = self._relation(row) == "asynchronous"
        texts = ["asynchronous"] if is_async else []
        late_ns = self.latest_ends[row] - self.ends[root]
        # What hangs on work that nobody waits for ends late with it: said once.
        is_told = parent >= 0 and self._relation(parent) == "asynchronous"
        if is_told and self.latest_ends[parent] == self.latest_ends[row]:
            return texts
        if late_ns > 0 and parent >= 0 and (is_async or self.ends[row] > self.ends[root] >= self.ends[parent]):
            texts.append(f"ends {format_duration(late_ns)} after the response")
        return texts

    def _details(self, span: Span) -> Iterator[tuple[str, str]]:
        """Give what was asked to stand below a row; long values shortened, `--span` shows them whole."""
        if self.traces.details is None:
            return
        if self.details.whole:
            yield from (fact for fact in facts(span) if fact[0] not in _SHOWN_BY_ROWS)
        else:
            yield from self._asked_details(span)

    def _asked_details(self, span: Span) -> Iterator[tuple[str, str]]:
        if self.details.attributes:
            texts = ((key, value_text(value)) for key, value in sorted(span.details.attributes().items()))
            yield from ((key, _shortened(text)) for key, text in texts)
            yield from (("warning", _shortened(text)) for text in dict.fromkeys(span.details.warnings()))
        if self.details.events:
            yield from self._events(span)
        if self.details.links:
            yield from (("link", f"trace {link.trace_id} span {link.span_id}") for link in span.details.links())

    def _events(self, span: Span) -> Iterator[tuple[str, str]]:
        """Write each event on a line with what it carries, or above that where it is much."""
        events = [(offset_of(event, span.start_ns), event) for event in span.details.events()]
        widest = max((len(offset) for offset, _ in events), default=0)
        for offset, event in events:
            texts = [f"{key}={_inset(_shortened(text))}" for key, text in event_texts(event)]
            first = f"{offset.ljust(widest)}  {event.name}"
            is_short = sum(map(len, texts)) <= _SHORT_EVENT and not any("\n" in text for text in texts)
            yield "", "  ".join((first, *texts)) if is_short else "\n".join((first, *texts))


def _inset(text: str) -> str:
    """Begin a value of several lines on a line of its own, with everything further in."""
    return "".join(f"\n  {line}" for line in text.splitlines()) if "\n" in text else text


def _shortened(text: str) -> str:
    """Shorten a value; of many lines the first is kept, and the last, where a stack trace says what failed."""
    lines = [line if len(line) <= _LONGEST_VALUE else f"{line[:_LONGEST_VALUE]}…" for line in text.splitlines()]
    left_out = len(lines) - _MOST_LINES
    if left_out > 1:
        lines[1 : left_out + 1] = [f"… {plural(left_out, 'line')} more, --span shows them"]
    return "\n".join(lines)


def _repetition(kinds: Sequence[int], at: int) -> tuple[int, int]:
    """Find the shortest pattern that repeats often enough from here on: its length and how often; (1, 1) for none."""
    for period in range(1, _LONGEST_PATTERN + 1):
        end = at + period
        while end < len(kinds) and kinds[end] == kinds[end - period]:
            end += 1
        repeats = (end - at) // period
        if repeats >= _FOLD_FROM:
            return period, repeats
    return 1, 1
