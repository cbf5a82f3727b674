"""The number of spans in each group, how long they took, and how often they failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Columns, Flags, Ints, columns, self_times
from traceq.analysis.grouping import added, merged, numbered_rows
from traceq.analysis.learning import corrected
from traceq.analysis.naming import whose
from traceq.analysis.spread import Spread, spread_specs, spreads
from traceq.analysis.unmatched import near_keys
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.errors import Near, near
from traceq.report import Column, Part, Rows, Table, Unit, json_key, table
from traceq.report import Value as Cell
from traceq.semantics import Peer, Status, operation, value_text
from traceq.traces import Span, Traces
from traceq.units import NS_PER_S, format_duration, format_ratio

TAG = "tag:"
"""The prefix of a level that groups by an attribute (`tag:http.method`)."""


class Value(NamedTuple):
    """What the spans of one group have in common, on one level."""

    text: str | None
    """The value as text; None for spans that do not have the tag."""
    service: str = ""
    """The service of an operation, whose name alone says little; empty on other levels."""
    peer: Peer | None = None
    """What an operation called; None on other levels."""


GroupKey: TypeAlias = tuple[Value, ...]
"""One value for each level."""


class StatisticsOptions(Struct, frozen=True):
    """Which spans to count, and how to group them.

    Raises:
        ValueError: If there are no levels or more than two, or one is none of `service`, `operation` and `tag:KEY`.
    """

    by: tuple[str, ...] = ("service",)
    """One level or two: `service`, `operation` (service, name and what it called), `tag:KEY`."""
    service: str | None = None
    """Only spans of this service; None for all."""
    correct_skew: bool = True

    def __post_init__(self) -> None:
        if not 1 <= len(set(self.by)) == len(self.by) <= 2:
            raise ValueError("statistics go by one thing, or by two different ones, the second within the first")
        for level in self.by:
            if level not in ("service", "operation") and level.removeprefix(TAG).strip() == level.strip():
                question = near(level, ("service", "operation")).question
                told = f"cannot count by '{level}', only by service, operation or tag:KEY"
                raise ValueError(f"{told}: {question}" if question else told)
            if level.strip() == TAG:
                raise ValueError("the tag has no name, write for example tag:http.method")


class SpanTotals(Struct, frozen=True):
    """The spans of one group, summed up; can be added to others."""

    duration: Spread = Spread()
    self_time: Spread = Spread()
    error_count: int = 0

    def __add__(self, other: SpanTotals) -> SpanTotals:
        return added(self, other)


@dataclass(frozen=True, slots=True)
class StatisticsSums:
    """Spans by group, summed up; can be added to others."""

    trace_count: int = 0
    traces_ns: int = 0
    """The sum of the durations of all traces, each from its earliest start to its latest end."""
    first_ns: int | None = None
    """The earliest start of a span that was counted; None for no spans."""
    last_ns: int | None = None
    """The latest start of a span that was counted; None for no spans."""
    groups: Mapping[GroupKey, SpanTotals] = field(default_factory=dict)
    """Sums of the innermost level; those of the levels above are sums of these."""
    # Needed only where no part has the name, so sums of parts may hold more.
    near: Near = field(default_factory=Near, compare=False)
    """Keys like that of the first level, of traces in which no span has that tag."""

    def __add__(self, other: StatisticsSums) -> StatisticsSums:
        firsts = [time_ns for time_ns in (self.first_ns, other.first_ns) if time_ns is not None]
        lasts = [time_ns for time_ns in (self.last_ns, other.last_ns) if time_ns is not None]
        return added(
            self,
            other,
            first_ns=min(firsts, default=None),
            last_ns=max(lasts, default=None),
            groups=merged((*self.groups.items(), *other.groups.items())),
        )


def _is_counted(spans: Columns, service: str | None) -> Flags:
    if service is None:
        return np.ones(spans.parents.size, dtype=np.bool_)
    known = spans.traces.services
    counted: Flags = spans.services == (known.index(service) if service in known else -1)
    return counted


def _traces_ns(spans: Columns) -> int:
    """Add up how long traces took."""
    heads = np.flatnonzero(np.diff(spans.trace, prepend=-1))
    if not heads.size:
        return 0
    return int((np.maximum.reduceat(spans.end_ns, heads) - np.minimum.reduceat(spans.start_ns, heads)).sum())


def _group(spans: Columns, rows: Ints, by: tuple[str, ...]) -> tuple[list[GroupKey], Ints]:
    """Number the groups that rows belong to: the keys, and for each row the position of its key."""
    levels = [_level(spans, rows, level) for level in by]
    places, groups = numbered_rows(*(codes for _, codes in levels))
    found = zip(*(codes[places].tolist() for _, codes in levels), strict=True)
    keys = [tuple(values[code] for (values, _), code in zip(levels, codes, strict=True)) for codes in found]
    return keys, groups


def _level(spans: Columns, rows: Ints, level: str) -> tuple[list[Value], Ints]:
    """Give the values of a level, and for each row which of them it has."""
    traces = spans.traces
    if level == "service":
        return [Value(service) for service in traces.services], spans.services[rows].astype(np.int64)
    if level == "operation":
        places, codes = numbered_rows(spans.services[rows], spans.operations[rows], spans.peers[rows])
        found = (spans.traces.span(row) for row in rows[places].tolist())
        return [Value(operation(span.name), span.service, span.peer) for span in found], codes
    return _tag_level(traces, rows, level.removeprefix(TAG).strip())


def _tag_level(traces: Traces, rows: Ints, key: str) -> tuple[list[Value], Ints]:
    # Attributes are not columns: each span has to be read.
    numbers: dict[str | None, int] = {}
    codes = [numbers.setdefault(_tag(traces.span(row), key), len(numbers)) for row in rows.tolist()]
    return [Value(text) for text in numbers], np.array(codes, dtype=np.int64)


def _tag(span: Span, key: str) -> str | None:
    """Read a tag from the span, or else from its resource, as `--tag` does; an empty one counts as none."""
    own = span.details.attributes()
    value = own[key] if key in own else span.details.resource().get(key.removeprefix("resource."))
    return value_text(value) or None


class StatisticsRow(Struct, frozen=True):
    """The spans of one group, and its parts by the second level."""

    value: Value
    totals: SpanTotals
    self_ratio: float
    """Self time as a share of the durations of all traces; above 1 where spans ran in parallel."""
    error_ratio: float
    per_second: float | None
    """Spans per second between the first and the last that were counted; None where no time lies between them."""
    rows: tuple[StatisticsRow, ...] = ()


_FACTS = ("total", "avg", "min", "max", "p50", "p90", "p95", "p99")

VALUE = Column[StatisticsRow](
    "value",
    "value",
    value=lambda row: row.value.text,
    about="service, operation or value of the tag; null for spans without the tag",
)
SERVICE = Column[StatisticsRow](
    "service",
    "service",
    Unit.SERVICE,
    lambda row: row.value.service,
    "service of an operation; other rows have none",
    is_optional=True,
)
PEER = Column[StatisticsRow](
    "peer",
    "peer",
    value=lambda row: row.value.peer and row.value.peer.label,
    about="what an operation called: system and name; null for nothing, or a service that sends spans",
    is_optional=True,
)
FIGURES: tuple[Column[StatisticsRow], ...] = (
    Column("span_count", "spans", Unit.COUNT, lambda row: row.totals.duration.count),
    Column("error_count", "errors", Unit.ERRORS, of="totals", about="spans that failed"),
    Column("error_ratio", "failed", Unit.RATIO, about="failed ones as a share of the spans"),
    Column(
        "per_second",
        "per s",
        about="spans a second between `first_ns` and `last_ns`; null where that is no time",
        holds="number",
    ),
    Column("self_ratio", "share", Unit.RATIO, about="self time as a share of `traces_ns`", holds="number"),
    *spread_specs("duration", "", lambda row: row.totals.duration, "durations of the spans", _FACTS),
    *spread_specs("self_time", "self", lambda row: row.totals.self_time, "self times of the spans", _FACTS),
)


class Statistics(Answer, Struct, frozen=True):
    """Spans by group: the group with most self time first, spans without the tag last."""

    options: StatisticsOptions
    sums: StatisticsSums
    total: SpanTotals
    """The sums of all rows."""
    rows: tuple[StatisticsRow, ...]

    _HEAD: ClassVar[tuple[Column[Statistics], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            holds={"self_ratio": "number"},
            value="the row with most self time that has the tag",
            service="its service, where rows are operations",
            peer="what it called, where rows are operations",
            self_ns="its self time",
            self_ratio="the same as a share of `traces_ns`",
        ),
        Column("service", of="options", about="only spans of this service; null for all"),
        json_key(
            "by", lambda answer: list(answer.options.by), "the levels: `service`, `operation`, `tag:KEY`", holds="texts"
        ),
        Column("trace_count", of="sums", about="traces that were looked at"),
        json_key(
            "traces_ns",
            lambda answer: answer.sums.traces_ns if answer.sums.trace_count else None,
            "durations of all traces together; null without any",
        ),
        json_key("span_count", lambda answer: answer.total.duration.count, "spans that were counted"),
        Column("error_count", of="total", about="those of them that failed"),
        Column("first_ns", of="sums", about="first start; null for no spans", unit=Unit.TIME),
        Column("last_ns", of="sums", about="last start; null for no spans", unit=Unit.TIME),
    )
    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *_HEAD,
        Rows(
            "rows",
            (
                VALUE,
                *FIGURES,
                SERVICE,
                PEER,
                Rows(
                    "rows",
                    (VALUE, *FIGURES, SERVICE, PEER),
                    about="rows of the second level, where there are two",
                    is_optional=True,
                ),
            ),
            about="rows of the first level; in CSV those of the innermost, with a column for each level",
        ),
    )
    MAIN: ClassVar[str] = "rows"

    @property
    def verdict(self) -> Verdict | None:
        """Which spans were busy longest themselves; None where nothing took time, or no span has the tag."""
        first = next((row for row in self.rows if row.value.text is not None), None)
        if first is None or not first.totals.self_time.total_ns:
            return None
        name, service = first.value.text or "", first.value.service
        self_ns = first.totals.self_time.total_ns
        what = "" if (level := self.options.by[0]) in {"service", "operation"} else f"{level.removeprefix(TAG)}="
        where = whose(service, name, first.value.peer, self.options.service) if service else ""
        told = f"{format_duration(self_ns)}, {format_ratio(first.self_ratio)} of the time of all traces"
        parts = (Part("Most self time is in "), Part(f"{what}{name}", "strong"), Part(f"{where}: {told}."))
        numbers: dict[str, Cell] = {"value": name, "service": service or None}
        numbers["peer"] = first.value.peer and first.value.peer.label
        numbers |= {"self_ns": self_ns, "self_ratio": first.self_ratio}
        return Verdict(parts, numbers)

    @property
    def specs(self) -> tuple[Column[Any] | Rows[Any], ...]:
        """The keys of this answer's document: operations have a service and a peer, upper levels rows."""
        columns: tuple[Column[Any] | Rows[Any], ...] = ()
        for level in reversed(self.options.by):
            whose_and_whom = (SERVICE, PEER) if level == "operation" else ()
            within = (Rows[StatisticsRow]("rows", columns, lambda row: row.rows),) if columns else ()
            columns = (VALUE, *FIGURES, *whose_and_whom, *within)
        return (*self._HEAD, Rows("rows", columns))

    def records(self) -> Table:
        """Give one record for each row of the innermost level, with its values on every level."""
        by = self.options.by
        lines = [(row, inner) if row.rows else (row,) for row in self.rows for inner in row.rows or (row,)]
        names = [Column[Any](level.replace(TAG, "tag_", 1), level.removeprefix(TAG)) for level in by]
        values: list[tuple[Cell, ...]] = [tuple(row.value.text for row in line) for line in lines]
        if "operation" in by:
            # The service is there already where it is a level.
            beside = (PEER,) if "service" in by else (SERVICE, PEER)
            operations = table(beside, (line[by.index("operation")] for line in lines))
            names += beside
            values = [(*texts, *cells) for texts, cells in zip(values, operations.rows, strict=True)]
        figures = table(FIGURES, (line[-1] for line in lines))
        rows = tuple((*texts, *row) for texts, row in zip(values, figures.rows, strict=True))
        return Table((*names, *figures.columns), rows)

    @property
    def window_ns(self) -> int:
        """The time from the first span's start to the last one's."""
        if self.sums.first_ns is None or self.sums.last_ns is None:
            return 0
        return self.sums.last_ns - self.sums.first_ns


class StatisticsQuestion(Struct, frozen=True):
    """The number of spans in each group, how long they took, and how often they failed."""

    options: StatisticsOptions
    learns: bool = True
    """Whether other traces matter: self times depend on clocks."""

    @property
    def needs_details(self) -> bool:
        """Whether spans are counted by a tag."""
        return any(level.startswith(TAG) for level in self.options.by)

    def nothing(self) -> StatisticsSums:
        """Give the sums of no traces."""
        return StatisticsSums()

    def collect(self, traces: Traces) -> StatisticsSums:
        """Count the spans of a table by group.

        Raises:
            ValueError: If a level is a tag and the traces were read without attributes.
        """
        spans, _ = corrected(columns(traces), correct_skew=self.options.correct_skew)
        rows = np.flatnonzero(_is_counted(spans, self.options.service))
        if not rows.size:
            return StatisticsSums(trace_count=len(traces), traces_ns=_traces_ns(spans))
        keys, groups = _group(spans, rows, self.options.by)
        first = self.options.by[0]
        is_missing = first.startswith(TAG) and all(key[0].text is None for key in keys)
        failed = spans.statuses[rows] == Status.ERROR
        totals = zip(
            spreads(groups, spans.duration_ns[rows], len(keys)),
            spreads(groups, self_times(spans)[rows], len(keys)),
            np.bincount(groups[failed], minlength=len(keys)).tolist(),
            strict=True,
        )
        return StatisticsSums(
            trace_count=len(traces),
            traces_ns=_traces_ns(spans),
            first_ns=int(spans.start_ns[rows].min()),
            last_ns=int(spans.start_ns[rows].max()),
            groups={key: SpanTotals(*parts) for key, parts in zip(keys, totals, strict=True)},
            near=near_keys(traces, first.removeprefix(TAG).strip(), rows.tolist()) if is_missing else Near(),
        )

    def rank(self, sums: StatisticsSums) -> Statistics:
        """Turn sums into the answer."""
        statistics = _Ranking(sums)
        total = reduce(SpanTotals.__add__, sums.groups.values(), SpanTotals())
        return Statistics(self.options, sums, total, statistics.rows(sums.groups))


class _Ranking(Struct, frozen=True):
    """Turns totals into rows."""

    sums: StatisticsSums

    def rows(self, groups: Mapping[GroupKey, SpanTotals]) -> tuple[StatisticsRow, ...]:
        """Give a row for each value of the first level, with rows of the second level in it."""
        by_value: dict[Value, dict[GroupKey, SpanTotals]] = {}
        for (value, *inner), totals in groups.items():
            by_value.setdefault(value, {})[tuple(inner)] = totals
        rows = [self._row(value, within) for value, within in by_value.items()]
        return tuple(sorted(rows, key=_rank))

    def _row(self, value: Value, within: Mapping[GroupKey, SpanTotals]) -> StatisticsRow:
        totals = reduce(SpanTotals.__add__, within.values(), SpanTotals())
        first_ns, last_ns = self.sums.first_ns or 0, self.sums.last_ns or 0
        count = totals.duration.count
        return StatisticsRow(
            value,
            totals,
            self_ratio=totals.self_time.total_ns / self.sums.traces_ns if self.sums.traces_ns else 0.0,
            error_ratio=totals.error_count / count if count else 0.0,
            per_second=count * NS_PER_S / (last_ns - first_ns) if last_ns > first_ns else None,
            rows=() if () in within else self.rows(within),
        )


def _rank(row: StatisticsRow) -> tuple[object, ...]:
    totals = row.totals
    text, service, peer = row.value
    return (text is None, -totals.self_time.total_ns, -totals.duration.total_ns, text or "", service, peer or ())
