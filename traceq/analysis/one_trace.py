"""One trace: its spans with their critical time, the calls that delay it, and spans in every detail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar, get_args

import numpy as np
from msgspec import Struct, structs
from msgspec.structs import replace

from traceq.analysis.columns import Columns, Ints, columns, self_times
from traceq.analysis.culprits import (
    CULPRIT_COLUMNS,
    Culprit,
    Examined,
    Selection,
    Wanted,
    culprits,
    examine,
    select_spans,
)
from traceq.analysis.findings import FindingQuestion, Findings
from traceq.analysis.findings.answer import FINDING_COLUMNS
from traceq.analysis.learning import corrected, learned_of, skew_specs, with_rejoined
from traceq.analysis.messages import find_waits
from traceq.analysis.naming import whose
from traceq.analysis.outliving import crosses_clocks, is_comparable
from traceq.analysis.requests import Measure, RequestOptions
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.catalog import SUMMARY_COLUMNS, TraceSummary, summarize
from traceq.report import Column, Part, Rows, Table, Unit, Value, getter, json_key
from traceq.semantics import KIND_NAMES, STATUS_NAMES, Attributes, value_text
from traceq.traces import Event, Link, Span, Traces, normal_id
from traceq.units import format_duration, format_ratio, format_signed, format_time, zone_of


class Details(Struct, frozen=True):
    """Which details of spans an answer holds besides their times."""

    attributes: bool = False
    events: bool = False
    links: bool = False
    whole: bool = False
    """Whether drawings hold all that is known about each span, as `facts` names it."""


_ALL_DETAILS = Details(attributes=True, events=True, links=True)
_STANDS_OUT = 0.1
"""A smaller share of the latency is not what makes a trace slow, though no call has more."""


class ExaminedSpan(Struct, frozen=True):
    """A span with its critical time and its clock correction."""

    span: Span
    details: Details
    """Which of its details the answer contains."""
    start_ns: int
    """The start in ns since the epoch, with its clock corrected."""
    self_ns: int
    charged_ns: int
    """Critical time: network time is charged to the callee."""
    own_ns: int
    """Own critical time: time for which the span itself holds the path."""
    network_ns: int
    shift_ns: int
    """The time by which its clock was corrected."""
    queue_ns: int
    """How long the message that it takes from its parent waited; -1 where that is not known, and for other spans."""
    matches: tuple[str, ...] | None = None
    """Where the text is that was looked for; None where none was."""


def _of_summary(spec: Column[Any] | Rows[Any]) -> Column[Any] | Rows[Any]:
    """Move a column of summaries into the answer's `trace`."""
    taken = getter(spec)
    if isinstance(spec, Rows):
        return structs.replace(spec, rows=lambda answer: taken(answer.summary), within="trace")
    return structs.replace(spec, value=lambda answer: taken(answer.summary), within="trace")


def find_assumptions(examined: Examined) -> tuple[str, ...]:
    """List what had to be assumed about a trace because no others were at hand to learn from."""
    spans = examined.spans
    is_timely = is_comparable(spans) & (spans.end_ns <= spans.end_ns[spans.parents])
    assumed = (
        (bool(is_timely.any()), "calls that ended before their callers were waited for"),
        (bool(crosses_clocks(spans).any()), "clocks are right where a call fits into its caller"),
        (
            bool(learned_of(spans).ticks.tick_ns),
            "within ticks of coarse clocks, gaps are as long as others of their kind",
        ),
    )
    return tuple(text for applies, text in assumed if applies)


_ASSUMPTIONS = Column[Any](
    "assumptions",
    value=lambda answer: find_assumptions(answer.examined),
    about="what other traces could have shown to be otherwise",
    holds="texts",
)


class TraceBottlenecks(Answer, Struct, frozen=True, eq=False):
    """What delays one trace."""

    examined: Examined
    summary: TraceSummary
    measure: Measure
    culprits: tuple[Culprit, ...]
    """The culprits of all roots, those of the longest root first."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            service="service of the call that holds the trace up most",
            operation="its operation",
            span_id="the longest such call",
            held_ns="how long it holds the trace up, alike calls together",
            ratio="the same as a share of the request's latency",
            is_entry="whether it is the request itself, and no call",
        ),
        *(_of_summary(spec) for spec in SUMMARY_COLUMNS),
        json_key("by", lambda answer: answer.measure, "measure that flags spans", holds=get_args(Measure)),
        _ASSUMPTIONS,
        Rows("bottlenecks", CULPRIT_COLUMNS, lambda answer: answer.culprits, "the calls that hold the trace up"),
    )
    MAIN: ClassVar[str] = "bottlenecks"

    @property
    def verdict(self) -> Verdict | None:
        """What holds the trace up most; None where nothing took time."""
        if not self.culprits:
            return None
        first = self.culprits[0]
        ratio, length = format_ratio(first.ratio), format_duration(first.held_ns)
        held = f"{ratio} of the time, {length}, is in "
        if first.ratio < _STANDS_OUT:
            held = f"Nothing stands out: the most, {ratio} of the time ({length}), is in "
        numbers: dict[str, Value] = {
            "service": first.service,
            "operation": first.name,
            "span_id": first.span_id,
            "held_ns": first.held_ns,
            "ratio": first.ratio,
            "is_entry": first.is_entry,
        }
        what = Part(first.name, "strong")
        if first.is_entry:
            return Verdict((Part(held), what, Part(" itself, outside of its calls.")), numbers)
        calls = f" x {len(first.rows):,}" if len(first.rows) > 1 else ""
        root = self.summary.root_service
        where = whose(first.service, first.name, first.peer, root)
        between = f", {format_duration(first.outside_ns)} of it between caller and callee" if first.outside_ns else ""
        return Verdict((Part(held), what, Part(f"{calls}{where}{between}.")), numbers)


def trace_bottlenecks(traces: Traces, options: RequestOptions) -> TraceBottlenecks:
    """Find what delays the one trace of a table, fragments and streams included, since its id was given."""
    options = replace(options, with_fragments=True, include_streams=True)
    examined = examine(traces, options)
    return TraceBottlenecks(examined, summarize(traces)[0], options.measure, _culprits(examined, options.measure))


def _culprits(examined: Examined, measure: Measure) -> tuple[Culprit, ...]:
    duration_ns = examined.spans.duration_ns
    entries = sorted(examined.requests.entries.tolist(), key=lambda row: (-int(duration_ns[row]), row))
    return tuple(culprit for entry in entries for culprit in culprits(examined, entry, measure))


def _attributes(attributes: Attributes) -> dict[str, object]:
    return {key: value_text(value) if isinstance(value, bytes) else value for key, value in sorted(attributes.items())}


_Row = TypeVar("_Row")


def _span_specs(span: Callable[[_Row], Span]) -> tuple[Column[_Row], ...]:
    return (
        Column("trace_id", "trace", Unit.TRACE_ID, lambda row: span(row).trace_id),
        Column("span_id", "span", value=lambda row: span(row).span_id),
        Column(
            "parent_id",
            "parent",
            value=lambda row: span(row).parent_id,
            about="of the parent, whether it is in the trace or not",
        ),
        Column("service", "service", Unit.SERVICE, lambda row: span(row).service),
        Column("operation", "operation", value=lambda row: span(row).name),
        Column("kind", "kind", value=lambda row: span(row).kind.name.lower(), holds=KIND_NAMES),
        Column("status", "status", value=lambda row: span(row).status.name.lower(), holds=STATUS_NAMES),
    )


def _peer_spec(span: Callable[[_Row], Span]) -> Column[_Row]:
    def label(row: _Row) -> str | None:
        peer = span(row).peer
        return None if peer is None else peer.label

    return Column("peer", "peer", value=label, about="what it called, as text")


_EVENT_COLUMNS: tuple[Column[Event], ...] = (
    Column("time_ns", about="The time of the event.", unit=Unit.TIME),
    Column("name", about="The name of the event."),
    json_key(
        "attributes",
        lambda event: _attributes(event.attributes),
        "The attributes of the event.",
        unit=Unit.OBJECT,
        holds="value by name",
    ),
)
_LINK_COLUMNS: tuple[Column[Link], ...] = (
    Column("trace_id", about="The id of the trace that the link leads to."),
    Column("span_id", about="The id of the span that the link leads to."),
)


def _detail_specs(
    span: Callable[[_Row], Span], wanted: Callable[[_Row], Details]
) -> tuple[Column[_Row] | Rows[_Row], Column[_Row] | Rows[_Row], Column[_Row] | Rows[_Row]]:
    """Describe attributes, events and links of a span; each is null where it is not wanted."""

    def about(what: str) -> str:
        return f"The {what} of the span; null unless `--{what}` or `--span` asks for them."

    def attributes(row: _Row) -> dict[str, object] | None:
        return _attributes(span(row).details.attributes()) if wanted(row).attributes else None

    return (
        json_key("attributes", attributes, about("attributes"), unit=Unit.OBJECT, holds="value by name"),
        Rows(
            "events",
            _EVENT_COLUMNS,
            lambda row: span(row).details.events() if wanted(row).events else None,
            about("events"),
            is_known=False,
        ),
        Rows(
            "links",
            _LINK_COLUMNS,
            lambda row: span(row).details.links() if wanted(row).links else None,
            about("links"),
            is_known=False,
        ),
    )


SPAN_COLUMNS: tuple[Column[ExaminedSpan] | Rows[ExaminedSpan], ...] = (
    *_span_specs(lambda one: one.span),
    Column("start_ns", "start", Unit.TIME, about="since the epoch, with its clock corrected"),
    Column("duration_ns", "duration", Unit.DURATION, of="span"),
    Column("self_ns", "self", Unit.DURATION, about="time without children"),
    Column(
        "critical_ns",
        "critical",
        Unit.DURATION,
        lambda one: one.charged_ns,
        "critical time, what passes between caller and callee charged to the callee",
    ),
    Column(
        "own_critical_ns", "own critical", Unit.DURATION, lambda one: one.own_ns, "critical time of the span itself"
    ),
    Column("network_ns", "network", Unit.DURATION, about="the part of `critical_ns` between caller and callee"),
    Column("shift_ns", "shift", Unit.DURATION, about="how far its clock was moved"),
    Column(
        "queue_delay_ns",
        "queue delay",
        Unit.DURATION,
        lambda one: one.queue_ns if one.queue_ns >= 0 else None,
        "how long the message from its parent waited",
    ),
    _peer_spec(lambda one: one.span),
    json_key(
        "matches",
        lambda one: None if one.matches is None else list(one.matches),
        "where the text of `--find` is: `operation`, `attribute db.statement`, ...; null without it",
        holds="texts",
        is_known=False,
    ),
    *_detail_specs(lambda one: one.span, lambda one: one.details),
)


class ExaminedTrace(TraceBottlenecks, frozen=True, eq=False):
    """One trace, with everything that its drawing shows."""

    findings: Findings
    """What is worth changing in the trace."""
    details: Details = Details()
    selection: Selection | None = None
    """The spans that are wanted; None for all."""
    drawn: frozenset[int] | None = None
    """The rows that a drawing has room for or was limited to; None for all."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *TraceBottlenecks.SPECS[:7],
        *(_of_summary(spec) for spec in SUMMARY_COLUMNS),
        *skew_specs(lambda answer: (answer.examined.skew.span_count, answer.examined.skew.largest_ns)),
        _ASSUMPTIONS,
        TraceBottlenecks.SPECS[-1],
        Rows("spans", SPAN_COLUMNS, lambda answer: answer.spans(), "those wanted, by start, clocks corrected"),
        Rows("findings", FINDING_COLUMNS, of="findings", about="as in `findings`"),
    )
    MAIN: ClassVar[str] = "spans"

    @property
    def total_count(self) -> int:
        """The number of spans of the trace, wanted or not."""
        return int(self.examined.spans.parents.size)

    def spans(self) -> Iterator[ExaminedSpan]:
        """Give the wanted spans by corrected start, then by span id, since servers answer in any order."""
        examined, traces = self.examined, self.examined.spans.traces
        starts = examined.spans.start_ns.tolist()
        charged = (examined.charged_ns, examined.paths.own_ns, examined.network_ns)
        queue_ns = find_waits(examined.spans, np.arange(len(starts), dtype=np.int64))
        columns = (examined.self_ns, *charged, examined.skew.shift_ns, queue_ns)
        facts = list(zip(starts, *(column.tolist() for column in columns), strict=True))
        chosen = range(len(starts)) if self.selection is None else self.selection.rows
        if self.drawn is not None:
            chosen = self.drawn.intersection(chosen)
        matches = {} if self.selection is None else self.selection.matches
        for row in sorted(chosen, key=lambda row: (starts[row], traces.span_ids[row], row)):
            found = ExaminedSpan(traces.span(row), self.details, *facts[row])
            yield replace(found, matches=matches[row]) if row in matches else found


def examine_trace(
    traces: Traces, options: RequestOptions, details: Details = Details(), wanted: Wanted | None = None
) -> ExaminedTrace:
    """Examine the one trace of a table: its critical path, what delays it, what is worth changing.

    Args:
        traces: A table of one trace.
        options: What ranks, and whether clocks are corrected.
        details: Which details of spans the answer holds.
        wanted: Which spans it holds, None for all; numbers are of the whole trace.
    """
    found = trace_bottlenecks(traces, options)
    question = FindingQuestion(options)
    findings = question.rank(question.sum_up(found.examined))
    selection = None if wanted is None or wanted.is_all else select_spans(found.examined, wanted)
    return ExaminedTrace(found.examined, found.summary, found.measure, found.culprits, findings, details, selection)


_ATTRIBUTES, _EVENTS, _LINKS = _detail_specs(lambda span: span, lambda _: _ALL_DETAILS)

_WHOLE_SPAN_COLUMNS: tuple[Column[Span] | Rows[Span], ...] = (
    *_span_specs(lambda span: span),
    Column("start_ns", "start", Unit.TIME, about="since the epoch, as its own clock told it"),
    Column("duration_ns", "duration", Unit.DURATION),
    _peer_spec(lambda span: span),
    _ATTRIBUTES,
    json_key(
        "resource",
        lambda span: _attributes(span.details.resource()),
        "who sent it",
        unit=Unit.OBJECT,
        holds="value by name",
    ),
    _EVENTS,
    _LINKS,
    json_key(
        "warnings",
        lambda span: list(dict.fromkeys(span.details.warnings())),
        "what Jaeger remarks on it",
        holds="texts",
    ),
)


_FACT_COLUMNS: tuple[Column[Any], ...] = (Column("key", "key"), Column("value", "value"))


class FoundSpans(Answer, Struct, frozen=True, eq=False):
    """Everything about the spans with one id; there may be several, since ids are not always unique."""

    spans: tuple[Span, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (Rows("spans", _WHOLE_SPAN_COLUMNS),)
    MAIN: ClassVar[str] = "spans"

    def records(self) -> Table:
        """Give one record for each fact, with its name, since attributes do not fit into columns."""
        return Table(_FACT_COLUMNS, tuple(pair for span in self.spans for pair in facts(span)))


def facts(one: Span) -> list[tuple[str, str]]:
    """Name everything that is known about a span."""
    details = one.details
    pairs = [
        ("span", one.span_id),
        ("trace", one.trace_id),
        ("parent", (one.parent_id or "none") + (" (missing)" if one.is_orphan else "")),
        ("service", one.service),
        ("operation", one.name),
        ("kind", one.kind.name.lower()),
        ("status", one.status.name.lower()),
        ("start", f"{format_time(one.start_ns)} {zone_of(one.start_ns)}"),
        ("duration", format_duration(one.duration_ns)),
    ]
    if one.peer is not None:
        pairs.append(("peer", one.peer.label))
    pairs += [(f"attribute {key}", value_text(value)) for key, value in sorted(details.attributes().items())]
    pairs += [(f"resource {key}", value_text(value)) for key, value in sorted(details.resource().items())]
    for event in details.events():
        pairs += _event_facts(event, one.start_ns)
    pairs += [("link", f"trace {link.trace_id} span {link.span_id}") for link in details.links()]
    pairs += [("warning", text) for text in dict.fromkeys(details.warnings())]
    return pairs


def _event_facts(event: Event, start_ns: int) -> Iterator[tuple[str, str]]:
    """Name everything that is known about an event: in one line, and below it what has lines itself (a stack trace).

    Args:
        event: Of a span.
        start_ns: When the span started.
    """
    texts = event_texts(event)
    fields = " ".join(f"{key}={text}" for key, text in texts if "\n" not in text)
    yield f"event {offset_of(event, start_ns)}", f"{event.name} {fields}".strip()
    yield from ((f"event {key}", f"\n{text}") for key, text in texts if "\n" in text)


_FIRST_OF_EVENTS = ("exception.type", "exception.message")


def event_texts(event: Event) -> list[tuple[str, str]]:
    """Give what an event carries as text: what was raised first, and what has lines itself last."""
    texts = [(key, value_text(value)) for key, value in event.attributes.items() if value != ""]
    return sorted(
        texts, key=lambda pair: ("\n" in pair[1], pair[0] not in _FIRST_OF_EVENTS, pair[0] != "exception.type")
    )


def offset_of(event: Event, start_ns: int) -> str:
    """Say how long after the start of its span an event was (`+62.1 ms`, and `-1.00 ms` for one before)."""
    return format_signed(event.time_ns - start_ns) if event.time_ns != start_ns else "+0 ns"


def find_spans(traces: Traces, span_id: str) -> FoundSpans:
    """Find spans by their id, whatever its padding, or else by a unique prefix; none where there is no such span."""
    wanted = span_id.lower()
    known = list(enumerate(traces.span_ids))
    same = [row for row, known_id in known if normal_id(known_id) == normal_id(wanted)]
    begun = [row for row, known_id in known if known_id.startswith(wanted)]
    return FoundSpans(tuple(traces.span(row) for row in same or (begun if len(begun) == 1 else ())))


SELF_TIME_COLUMNS: tuple[Column[tuple[Span, int]], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID, lambda timed: timed[0].trace_id),
    Column("span_id", "span", value=lambda timed: timed[0].span_id),
    Column("service", "service", Unit.SERVICE, lambda timed: timed[0].service, can_shrink=True),
    Column("operation", "operation", value=lambda timed: timed[0].name, can_shrink=True),
    Column("duration_ns", "duration", Unit.DURATION, lambda timed: timed[0].duration_ns),
    Column("self_ns", "self", Unit.DURATION, lambda timed: timed[1], "what no direct child covers"),
)


class SelfTime(Answer, Struct, frozen=True, eq=False):
    """How long each span was busy itself: its duration minus the time that its direct children cover."""

    spans: Columns
    self_ns: Ints
    """The self time of each span in ns."""

    @property
    def spans_with_times(self) -> list[tuple[Span, int]]:
        """Each span with its self time."""
        spans = (self.spans.traces.span(row) for row in range(self.self_ns.size))
        return list(zip(spans, self.self_ns.tolist(), strict=True))

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Rows(
            "spans", SELF_TIME_COLUMNS, lambda answer: answer.spans_with_times, "spans in the order of the span table"
        ),
    )
    MAIN: ClassVar[str] = "spans"


def self_time(traces: Traces, *, correct_skew: bool = True) -> SelfTime:
    """Measure how long each span was busy itself.

    Args:
        traces: Any table.
        correct_skew: Whether to correct clocks first; see `learning.find_skew`.

    Returns:
        Self times in ns, one per span, never negative; see `columns.self_times` for the definition.
    """
    spans, _ = corrected(columns(traces), correct_skew=correct_skew)
    spans = with_rejoined(spans)
    return SelfTime(spans, self_times(spans))
