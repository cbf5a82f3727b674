"""Where the time of many requests goes, and what the slow ones do differently.

Everything is first summed up, batch by batch; sums can be added, and only `BottleneckQuestion.rank` turns them into an
answer.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, get_args

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.culprits import CULPRIT_COLUMNS, Culprit, Examined, culprits, examine
from traceq.analysis.group_sums import GroupKey, GroupSums, GroupTable, group_specs, sum_groups
from traceq.analysis.grouping import added, distinct
from traceq.analysis.learning import skew_specs
from traceq.analysis.naming import whose
from traceq.analysis.requests import ASKED_SERVICE, Measure, RequestOptions, SetApart, set_apart_specs
from traceq.analysis.spread import Buckets, Spread, bucket_of, spread, spread_specs, sum_cells
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.report import Column, Part, Rows, Unit, Value, json_key
from traceq.semantics import STATEMENT, Attributes, Status, first_text
from traceq.traces import Traces
from traceq.units import format_ratio

if TYPE_CHECKING:
    from traceq.analysis.comparison.tags import TagChanges

LookUp: TypeAlias = Callable[[Mapping[str, set[str]]], Iterable[tuple[str, str, str, Attributes]]]
"""Looks up spans: from ids of spans, by the ids of their traces, to trace id, span id, operation and attributes."""

_SLOW_RATIO = 0.05
"""The share of requests that count as slow: the slowest ones."""
_SLOW_AT_LEAST = 5
"""The minimum number of requests that count as slow."""
_SLOWEST_KEPT = 10
"""The number of slowest requests that are kept with what delayed them."""
_NOTABLE_EXCESS = 0.1
"""An operation makes requests slow when its share is greater by so much in slow requests than in typical ones."""


class SlowRequest(Struct, frozen=True):
    """One of the slowest requests, with what delayed it."""

    latency_ns: int
    trace_id: str
    span_id: str
    """The id of the request's entry span."""
    service: str
    name: str
    start_ns: int
    culprits: tuple[Culprit, ...]

    @property
    def rank(self) -> tuple[int, str, str]:
        """The order of slow requests: the slowest is the greatest, ties by ids."""
        return (self.latency_ns, self.trace_id, self.span_id)


_REQUEST_COLUMNS: tuple[Column[SlowRequest] | Rows[SlowRequest], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID),
    Column("span_id", "span", about="id of the entry span"),
    Column("service", "service", Unit.SERVICE),
    Column("operation", "operation", value=lambda request: request.name),
    Column("start_ns", "start", Unit.TIME, about="since the epoch", priority=2),
    Column("latency_ns", "latency", Unit.DURATION, about="duration of the entry span"),
    Rows("bottlenecks", CULPRIT_COLUMNS, lambda request: request.culprits, "the calls that hold it up"),
)


class BottleneckSums(Struct, frozen=True):
    """Any number of requests, summed up; can be added to others."""

    trace_count: int = 0
    span_count: int = 0
    failed_count: int = 0
    """The number of requests whose entry span failed."""
    latency: Spread = field(default_factory=Spread)
    total_by_latency: Buckets = field(default_factory=Buckets)
    """The sum of the latencies in each bucket of latencies."""
    groups: GroupTable = field(default_factory=GroupTable)
    slowest: tuple[SlowRequest, ...] = ()
    moved_span_count: int = 0
    largest_shift_ns: int = 0
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: BottleneckSums) -> BottleneckSums:
        return added(
            self,
            other,
            slowest=_keep_slowest((*self.slowest, *other.slowest)),
            largest_shift_ns=max(self.largest_shift_ns, other.largest_shift_ns),
        )

    @property
    def request_count(self) -> int:
        """The number of requests, including those of which only fragments are left."""
        return self.latency.count + self.set_apart.incomplete_count


def _keep_slowest(requests: tuple[SlowRequest, ...]) -> tuple[SlowRequest, ...]:
    return tuple(heapq.nlargest(_SLOWEST_KEPT, requests, key=lambda request: request.rank))


def _slowest(examined: Examined, measure: Measure) -> tuple[SlowRequest, ...]:
    spans, entries = examined.spans, examined.requests.entries
    latency_ns = spans.duration_ns[entries]
    if entries.size > _SLOWEST_KEPT:
        bound = np.partition(latency_ns, -_SLOWEST_KEPT)[-_SLOWEST_KEPT]
        entries = entries[latency_ns >= bound]
    candidates = sorted((_slow_rank(examined, row) for row in entries.tolist()), reverse=True)
    return tuple(_slow_request(examined, row, measure) for *_, row in candidates[:_SLOWEST_KEPT])


def _slow_rank(examined: Examined, row: int) -> tuple[int, str, str, int]:
    span = examined.spans.traces.span(row)
    return (span.duration_ns, span.trace_id, span.span_id, row)


def _slow_request(examined: Examined, entry: int, measure: Measure) -> SlowRequest:
    span = examined.spans.traces.span(entry)
    return SlowRequest(
        latency_ns=span.duration_ns,
        trace_id=span.trace_id,
        span_id=span.span_id,
        service=span.service,
        name=span.name,
        start_ns=span.start_ns,
        culprits=culprits(examined, entry, measure),
    )


class RankedGroup(Struct, frozen=True):
    """A line of the ranking: spans that count as the same call, and their costs."""

    key: GroupKey
    sums: GroupSums
    critical_ratio: float
    """Critical time as a share of the latency of all requests."""
    slow_ratio: float | None
    """Critical time in slow requests as a share of their latency; None where there are too few requests."""
    typical_ratio: float | None
    """Critical time in typical requests as a share of their latency; None where there are too few requests."""

    def held_ns(self, measure: Measure) -> int:
        """Give the measure by which the line is ranked."""
        if measure == "critical-time":
            return self.sums.critical_ns
        return self.sums.self_time.total_ns if measure == "self-time" else self.sums.duration.total_ns

    @property
    def example_id(self) -> str | None:
        """The trace of the request that the group held longest; None where it never held one."""
        return None if self.sums.example is None else self.sums.example.trace_id

    @property
    def excess_ratio(self) -> float:
        """The share in slow requests minus the share in typical ones: how much the group makes requests slow."""
        return 0.0 if self.slow_ratio is None or self.typical_ratio is None else self.slow_ratio - self.typical_ratio


OPERATION_COLUMNS: tuple[Column[RankedGroup], ...] = (
    *group_specs(lambda line: line.key),
    Column("span_count", "spans", Unit.COUNT, lambda line: line.sums.duration.count),
    Column("request_count", "in", Unit.COUNT, of="sums", about="requests whose critical path they hold", priority=1),
    Column("error_count", "errors", Unit.ERRORS, of="sums", about="spans that failed", priority=1),
    Column(
        "critical_ns",
        "critical",
        Unit.DURATION,
        of="sums",
        about="critical time, what passes between caller and callee charged to the callee",
    ),
    Column("critical_ratio", "of all", Unit.RATIO, about="share of the latency of all requests"),
    Column(
        "network_ns", "network", Unit.DURATION, of="sums", about="the part of `critical_ns` between caller and callee"
    ),
    Column(
        "slow_ratio",
        "of slow",
        Unit.RATIO,
        about="share of the latency of slow requests; null where there are too few to tell",
    ),
    Column("typical_ratio", "of typical", Unit.RATIO, about="share of the latency of typical requests"),
    *spread_specs("duration", "", lambda line: line.sums.duration, "durations of the spans"),
    *spread_specs("self_time", "self", lambda line: line.sums.self_time, "self times of the spans"),
    Column(
        "trace_id",
        "example",
        Unit.TRACE_ID,
        lambda line: line.example_id,
        "trace of the request that was held longest",
        within="example",
    ),
    Column(
        "span_id",
        "example's span",
        value=lambda line: line.sums.example and line.sums.example.span_id,
        within="example",
    ),
    Column(
        "critical_ns",
        "example's critical time",
        Unit.DURATION,
        lambda line: line.sums.example and line.sums.example.held_ns,
        "critical time in that request",
        within="example",
    ),
)


class Bottlenecks(Answer, Struct, frozen=True):
    """Where the time of many requests goes."""

    options: RequestOptions
    sums: BottleneckSums
    groups: tuple[RankedGroup, ...]
    """The lines of the ranking, the greatest first."""
    slow_count: int | None
    """The number of requests that count as slow; None where there are too few requests to separate them."""
    slow_from_ns: int | None
    """The latency from which requests count as slow, accurate to 1 %; None where there are too few requests."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            holds={"kind": ("slow", "alike", "all")},
            kind="`slow`: what slow requests do otherwise; `alike`: they do what the others do; `all`: too few to tell",
            service="service of the operation that it names",
            operation="the operation",
            critical_ratio="share of the latency of all requests",
            slow_ratio="share of the latency of slow requests; null where there are too few",
            typical_ratio="share of the latency of typical requests",
            tag="tag that traces of slow requests have more often; null for none, or where none was looked for",
            tag_value="its value",
            tag_slow_ratio="share of the traces of slow requests that have it",
            tag_other_ratio="share of the other traces that have it",
        ),
        ASKED_SERVICE,
        json_key("by", lambda answer: answer.options.measure, "measure that ranks", holds=get_args(Measure)),
        Column("request_count", of="sums"),
        json_key("failed_request_count", lambda answer: answer.sums.failed_count, "requests whose entry span failed"),
        Column("trace_count", of="sums"),
        Column("span_count", of="sums", about="spans in these requests"),
        *set_apart_specs(lambda answer: answer.sums.set_apart),
        *spread_specs("latency", "", lambda answer: answer.sums.latency, "latencies of the requests"),
        json_key(
            "slow_request_count",
            lambda answer: answer.slow_count,
            "slow requests; null where there are too few",
            is_known=False,
        ),
        Column("slow_from_ns", about="latency from which requests are slow"),
        *skew_specs(lambda answer: (answer.sums.moved_span_count, answer.sums.largest_shift_ns)),
        Rows(
            "operations",
            OPERATION_COLUMNS,
            lambda answer: answer.groups,
            "operations, those first that hold requests longest",
        ),
        Rows("slowest_requests", _REQUEST_COLUMNS, lambda answer: answer.sums.slowest, "requests, the slowest first"),
    )
    MAIN: ClassVar[str] = "operations"

    @property
    def verdict(self) -> Verdict | None:
        """What slow requests do otherwise, or else where requests spend their time; None without any time."""
        group = max(self.groups, key=lambda group: group.excess_ratio, default=None)
        if group is not None and group.excess_ratio >= _NOTABLE_EXCESS:
            shares = group.slow_ratio or 0.0, group.typical_ratio or 0.0
            before, after = f"Slow requests spend {format_ratio(shares[0])}", f"typical ones {format_ratio(shares[1])}"
            return self._said("slow", group, f"{before} of their time in ", f"; {after}.")
        group = max(self.groups, key=lambda group: group.sums.critical_ns, default=None)
        if group is None or not group.sums.critical_ns:
            return None
        ratio = format_ratio(group.critical_ratio)
        if self.slow_count is None:
            return self._said("all", group, f"Requests spend {ratio} of their time in ", ".")
        return self._said(
            "alike", group, f"Slow requests spend their time as the others do: {ratio} of all time is in ", "."
        )

    def _said(self, kind: str, group: RankedGroup, before: str, after: str) -> Verdict:
        key = group.key
        where = whose(key.service, key.name, key.peer, self.options.service)
        numbers: dict[str, Value] = {
            "kind": kind,
            "service": key.service,
            "operation": key.name,
            "critical_ratio": group.critical_ratio,
            "slow_ratio": group.slow_ratio,
            "typical_ratio": group.typical_ratio,
        }
        return Verdict((Part(before), Part(key.name, "strong"), Part(f"{where}{after}")), numbers)


def with_tag(verdict: Verdict | None, tags: TagChanges | None) -> Verdict | None:
    """Give the verdict, and behind it the tag value that tells slow requests best."""
    if verdict is None or tags is None or not tags.changes:
        return verdict
    first = tags.changes[0]
    slow, others = format_ratio(first.after_ratio), format_ratio(first.before_ratio)
    tag = Part(f"{first.key}={first.value}", "strong")
    parts = (Part(f" {slow} of the slow traces have "), tag, Part(f", of the others {others}."))
    numbers: dict[str, Value] = {
        "tag": first.key,
        "tag_value": first.value,
        "tag_slow_ratio": first.after_ratio,
        "tag_other_ratio": first.before_ratio,
    }
    return Verdict((*verdict.parts, *parts), {**verdict.numbers, **numbers})


class BottleneckQuestion(Struct, frozen=True):
    """Where the time of requests goes, and what the slow ones do differently."""

    options: RequestOptions
    needs_details: bool = False
    learns: bool = True

    def nothing(self) -> BottleneckSums:
        """Give the sums of no traces."""
        return BottleneckSums()

    def collect(self, traces: Traces) -> BottleneckSums:
        """Sum up where the time of the requests in a span table went."""
        examined = examine(traces, self.options)
        spans, entries = examined.spans, examined.requests.entries
        if not entries.size:
            return BottleneckSums(
                moved_span_count=examined.skew.span_count,
                largest_shift_ns=examined.skew.largest_ns,
                set_apart=examined.requests.set_apart,
            )
        latency_ns = spans.duration_ns[entries]
        none = np.zeros(entries.size, dtype=np.int64)
        return BottleneckSums(
            trace_count=distinct(spans.trace[entries]).size,
            span_count=int(np.count_nonzero(examined.requests.entry >= 0)),
            failed_count=int(np.count_nonzero(spans.statuses[entries] == Status.ERROR)),
            latency=spread(latency_ns),
            total_by_latency=sum_cells(none, bucket_of(latency_ns), latency_ns).histograms(1)[0],
            groups=sum_groups(examined),
            slowest=_slowest(examined, self.options.measure),
            moved_span_count=examined.skew.span_count,
            largest_shift_ns=examined.skew.largest_ns,
            set_apart=examined.requests.set_apart,
        )

    def complete(self, sums: BottleneckSums, look_up: LookUp) -> BottleneckSums:
        """Read the statements of what delayed the slowest requests: the only attributes that the answer shows."""
        wanted: dict[str, set[str]] = {}
        for request in sums.slowest:
            for culprit in request.culprits:
                wanted.setdefault(request.trace_id, set()).add(culprit.span_id)
        statements: dict[tuple[str, str, str], str] = {}
        for trace_id, span_id, name, attributes in look_up(wanted):
            # Of spans with the same id and name the first counts, as it does for their children.
            statements.setdefault((trace_id, span_id, name), first_text(attributes, STATEMENT))
        return replace(sums, slowest=tuple(_with_statements(request, statements) for request in sums.slowest))

    def rank(self, sums: BottleneckSums) -> Bottlenecks:
        """Turn sums into the ranking.

        Slow requests are those in the latency buckets (accurate to 1 %) that contain the slowest 5 %, but at least 5;
        typical ones are those up to the median's bucket. With fewer than twice as many requests as count as slow, the
        two are not separated.
        """
        slow_bucket = _slow_bucket(sums.latency)
        typical_bucket = sums.latency.counts.bucket_at(0.5) if sums.latency.count else 0
        ranked = [_ranked(key, group, sums, slow_bucket, typical_bucket) for key, group in sums.groups.items()]
        by = self.options.measure
        ranked.sort(key=lambda line: (-line.held_ns(by), -line.sums.duration.total_ns, _sortable(line.key)))
        if slow_bucket is None:
            return Bottlenecks(self.options, sums, tuple(ranked), None, None)
        count = sums.latency.counts.sum_from(slow_bucket)
        slow_from_ns = sums.latency.percentile(1 - count / sums.latency.count + 1e-9)
        return Bottlenecks(self.options, sums, tuple(ranked), count, slow_from_ns)


def _with_statements(request: SlowRequest, statements: Mapping[tuple[str, str, str], str]) -> SlowRequest:
    culprits = tuple(
        replace(culprit, statement=statements.get((request.trace_id, culprit.span_id, culprit.name), ""))
        for culprit in request.culprits
    )
    return replace(request, culprits=culprits)


def slow_count(latency: Spread) -> int | None:
    """Give the number of requests that count as slow; None where there are too few to separate them."""
    bucket = _slow_bucket(latency)
    return None if bucket is None else latency.counts.sum_from(bucket)


def _slow_bucket(latency: Spread) -> int | None:
    """Give the bucket from which requests count as slow."""
    wanted = max(_SLOW_AT_LEAST, int(np.ceil(_SLOW_RATIO * latency.count)))
    if latency.count < 2 * wanted:
        return None
    return next(bucket for bucket in reversed(latency.counts.buckets) if latency.counts.sum_from(bucket) >= wanted)


def _ranked(
    key: GroupKey, group: GroupSums, sums: BottleneckSums, slow_bucket: int | None, typical_bucket: int
) -> RankedGroup:
    total = sums.total_by_latency
    slow_ratio = typical_ratio = None
    if slow_bucket is not None:
        slow_ratio = _ratio(group.by_latency.sum_from(slow_bucket), total.sum_from(slow_bucket))
        typical_ratio = _ratio(group.by_latency.sum_to(typical_bucket), total.sum_to(typical_bucket))
    return RankedGroup(key, group, _ratio(group.critical_ns, total.total), slow_ratio, typical_ratio)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _sortable(key: GroupKey) -> tuple[str, str, int, str]:
    return (key.service, key.name, key.kind, "" if key.peer is None else key.peer.label)
