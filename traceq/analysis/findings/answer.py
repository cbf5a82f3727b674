"""What is worth changing, as an answer: findings with their sums, their order, and what was decided about them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, fields
from datetime import date
from typing import Any, ClassVar, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.findings.kinds import KINDS, Evidence, advice_for
from traceq.analysis.findings.series import PoolSums
from traceq.analysis.group_sums import example_rows
from traceq.analysis.grouping import added, merged
from traceq.analysis.naming import whose, without_address, without_literals
from traceq.analysis.requests import ASKED_SERVICE, RequestOptions, SetApart, set_apart_specs
from traceq.analysis.spread import Spread, spread_specs
from traceq.analysis.thresholds import About, Thresholds
from traceq.answer import Answer, Verdict, verdict_specs
from traceq.report import Column, Holds, Part, Rows, Unit, Value, json_key
from traceq.semantics import Peer
from traceq.units import format_duration, format_ratio, plural

EXAMPLES = 3
"""Number of requests kept as evidence of each finding."""
_ORDER = {kind: place for place, kind in enumerate(KINDS)}
"""The order of kinds of equal cost."""
_DIGITS = 10
"""Number of hexadecimal digits of a signature's hash."""
_SHOWN = 80
"""Number of characters of the operation that a signature shows; its hash is of the whole name."""


class FindingKey(NamedTuple):
    """Sightings that count as the same finding."""

    kind: str
    """The kind of finding: a key of `KINDS`."""
    service: str
    name: str
    peer: Peer | None
    caller_service: str
    """The service of the span above; empty where there is none."""
    caller_name: str

    @property
    def signature(self) -> str:
        """The name by which a finding is known again: `kind:service:operation:hash`.

        It depends on nothing that changes from run to run: on no ids, literals or numbers in names, no addresses, times
        or counts, nor on the order of spans. Statements have no part in it, since a finding may hold several.
        """
        name, peer = without_literals(self.name), self.peer
        called = () if peer is None else (peer.kind, without_address(peer.system), without_literals(peer.name))
        caller = (self.caller_service, without_literals(self.caller_name).lower())
        parts = "\0".join((self.kind, self.service, name.lower(), *called, "", *caller))
        found = hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=_DIGITS // 2)
        return f"{self.kind}:{self.service}:{name[:_SHOWN]}:{found.hexdigest()}"

    @property
    def rank(self) -> tuple[int, str, str, str, str, str]:
        """The order of findings of equal cost."""
        peer = "" if self.peer is None else self.peer.label
        return (_ORDER[self.kind], self.service, self.name, peer, self.caller_service, self.caller_name)


class FindingExample(NamedTuple):
    """One request that shows a finding."""

    cost_ns: int
    time_ns: int
    span_count: int
    """The number of spans that show the finding."""
    trace_id: str
    request_span_id: str
    """The id of the request's entry span; empty where the spans belong to no request."""
    span_ids: tuple[str, ...]
    """The ids of the first few spans that show the finding."""
    statement: str
    """The query that ran or the URL that was called; empty where it is not recorded."""
    remark: str
    """Further information: the error, the clock, the missing parent."""
    file: str = ""
    """The path of the source code, where the span, or one above it in its service, tells it."""
    line: int = 0
    """The line in that file, from 1 on; 0 for unknown."""

    @property
    def rank(self) -> tuple[int, int, str, tuple[str, ...]]:
        """The order of examples, the costliest first."""
        return (-self.cost_ns, -self.time_ns, self.trace_id, self.span_ids)


EXAMPLE_COLUMNS: tuple[Column[FindingExample], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID),
    Column(
        "request_span_id",
        "request",
        value=lambda example: example.request_span_id or None,
        about="id of the request's entry span; null outside of requests",
    ),
    Column(
        "span_ids",
        "spans",
        value=lambda example: list(example.span_ids),
        about="the first five of the spans that show it",
        holds="texts",
    ),
    Column("span_count", "spans", Unit.COUNT, about="number of spans that show it"),
    Column("cost_ns", "cost", Unit.DURATION, about="its time on the critical path"),
    Column("time_ns", "time", Unit.DURATION, about="how long it went on, waited for or not"),
    Column("statement", "statement", value=lambda example: example.statement or None, about="the query or the URL"),
    Column(
        "remark",
        "remark",
        value=lambda example: example.remark or None,
        about="the error, the clock or the missing parent",
    ),
    Column(
        "file",
        "file",
        value=lambda example: example.file or None,
        about="path of the source code, where the span or one above it in its service tells it",
        within="code",
    ),
    Column(
        "line",
        "line",
        value=lambda example: example.line or None,
        about="line in that file",
        within="code",
        holds="count",
        is_known=False,
    ),
)


def best_examples(examples: Iterable[FindingExample]) -> tuple[FindingExample, ...]:
    """Keep the costliest examples, each from a different trace."""
    by_trace: dict[str, FindingExample] = {}
    for example in sorted(examples, key=lambda example: example.rank):
        by_trace.setdefault(example.trace_id, example)
    return tuple(heapq.nsmallest(EXAMPLES, by_trace.values(), key=lambda example: example.rank))


class FindingTotals(Struct, frozen=True):
    """A finding, summed up; can be added to others."""

    cost_ns: int
    """The cost, as time on critical paths: at most the latencies of the requests that show the finding."""
    request_count: int
    sighting_count: int
    span_count: int
    most_spans: int
    """The largest number of spans in one sighting."""
    time: Spread
    """The duration of each sighting, waited for or not."""
    flagged_count: int
    """The number of sightings with the flag that their kind gives: see `Evidence.flagged_count`."""
    examples: tuple[FindingExample, ...]

    def __add__(self, other: FindingTotals) -> FindingTotals:
        return added(
            self,
            other,
            most_spans=max(self.most_spans, other.most_spans),
            examples=best_examples((*self.examples, *other.examples)),
        )


class FindingSums(Struct, frozen=True):
    """The findings of any number of requests, summed up; can be added to others."""

    request_count: int = 0
    trace_count: int = 0
    span_count: int = 0
    latency_ns: int = 0
    """The sum of the latencies of all requests."""
    findings: Mapping[FindingKey, FindingTotals] = {}
    """All sightings; those of kind `pool` are findings only if `pools` shows it."""
    pools: PoolSums = field(default_factory=PoolSums)
    set_apart: SetApart = field(default_factory=SetApart)

    def __add__(self, other: FindingSums) -> FindingSums:
        return added(self, other, findings=merged((*self.findings.items(), *other.findings.items())))


class Acknowledgement(Struct, frozen=True):
    """A decision to leave a finding as it is."""

    signature: str
    reason: str
    by: str = ""
    expires: date | None = None
    """The last day on which it holds; None for no end."""

    def holds(self, today: date) -> bool:
        """Tell whether it has not expired."""
        return self.expires is None or today <= self.expires


class Review(Struct, frozen=True):
    """What was decided about findings, and which were there before."""

    acknowledged: Mapping[str, Acknowledgement] = {}
    """By signature; those that hold."""
    expired: tuple[Acknowledgement, ...] = ()
    known: frozenset[str] | None = None
    """The signatures of all findings of before; None where that was not asked for."""
    remarks: tuple[str, ...] = ()
    """What there is to say about the answer of before."""

    def notes(self, signatures: Iterable[str]) -> tuple[str, ...]:
        """Say what is wrong with what is known: the answer of before, expired decisions, those about nothing found.

        Args:
            signatures: Those of all findings.
        """
        found = set(signatures)
        expired = (f"the acknowledgement of '{each.signature}' expired on {each.expires}" for each in self.expired)
        unknown = (
            f"'{signature}' is acknowledged, but was not found: is it done?"
            for signature in self.acknowledged
            if signature not in found
        )
        return (*self.remarks, *expired, *unknown)


def reviewed_by(acknowledgements: Iterable[Acknowledgement], today: date, known: frozenset[str] | None) -> Review:
    """Put decisions together that hold on a day, and those that have expired."""
    every = tuple(acknowledgements)
    holding = {each.signature: each for each in every if each.holds(today)}
    return Review(holding, tuple(each for each in every if not each.holds(today)), known)


_SHOWN_OF_NAMES = 100
"""Number of characters of names in a finding's short text."""


class Finding(Struct, frozen=True):
    """Something that is worth changing, and its cost."""

    key: FindingKey
    totals: FindingTotals
    ratio: float
    """The cost as a share of the latency of all requests."""
    acknowledged: Acknowledgement | None = None
    """The decision to leave it as it is; None for none that holds."""

    def __repr__(self) -> str:
        """Name the kind, the place and the cost."""
        key = self.key
        where = f"service={key.service[:_SHOWN_OF_NAMES]!r}, name={key.name[:_SHOWN_OF_NAMES]!r}"
        return f"Finding(kind={key.kind!r}, {where}, cost_ns={self.totals.cost_ns})"

    @property
    def signature(self) -> str:
        """The name by which it is known again in other traces; see `FindingKey.signature`."""
        return self.key.signature

    @property
    def rank(self) -> tuple[int, int, int, tuple[int, str, str, str, str, str]]:
        """The order of findings: by cost, then by kind, then by the number of requests that show them."""
        return (-self.totals.cost_ns, _ORDER[self.key.kind], -self.totals.request_count, self.key.rank)

    @property
    def has_caller(self) -> bool:
        """Whether the span above is known."""
        return bool(self.key.caller_service or self.key.caller_name)

    @property
    def statement(self) -> str:
        """The query or URL of the costliest example; empty where it is not recorded."""
        return self.totals.examples[0].statement

    @property
    def remark(self) -> str:
        """Further information about the costliest example."""
        return self.totals.examples[0].remark

    @property
    def advice(self) -> str:
        """The advice, in one line."""
        special = advice_for(self.key.kind, self.key.peer, (self.key.name, self.statement), self._seen)
        return special or KINDS[self.key.kind].advice

    @property
    def evidence(self) -> str:
        """The evidence in words."""
        return KINDS[self.key.kind].evidence(self._seen)

    @property
    def _seen(self) -> Evidence:
        totals, time = self.totals, self.totals.time
        counts = totals.sighting_count, totals.span_count, totals.most_spans, totals.flagged_count
        return Evidence(*counts, time.max_ns, time.percentile(0.5))


def _decided(taken: Callable[[Acknowledgement], str | None]) -> Callable[[Finding], str | None]:
    return lambda finding: None if finding.acknowledged is None else taken(finding.acknowledged)


_ACKNOWLEDGED_COLUMNS: tuple[Column[Finding], ...] = (
    Column(
        "reason",
        "acknowledged",
        value=_decided(lambda decision: decision.reason),
        about="why it is left as it is; `acknowledged` is null where nobody decided that",
        within="acknowledged",
    ),
    Column(
        "by", "by", value=_decided(lambda decision: decision.by or None), about="who decided", within="acknowledged"
    ),
    Column(
        "expires",
        "expires",
        value=_decided(lambda decision: None if decision.expires is None else decision.expires.isoformat()),
        about="last day of the decision",
        within="acknowledged",
    ),
)

FINDING_COLUMNS: tuple[Column[Finding] | Rows[Finding], ...] = (
    Column("kind", "kind", of="key", about="see [findings](analyses/findings.md)", holds=tuple(KINDS)),
    Column(
        "signature",
        "signature",
        about="the same in other traces; see [findings](analyses/findings.md#findings-that-last)",
    ),
    Column("service", "service", Unit.SERVICE, of="key"),
    Column("operation", "operation", value=lambda finding: finding.key.name),
    Column(
        "peer",
        "peer",
        value=lambda finding: None if finding.key.peer is None else finding.key.peer.label,
        about="what was called: system and name",
    ),
    Column(
        "service",
        "caller",
        Unit.SERVICE,
        lambda finding: finding.key.caller_service if finding.has_caller else None,
        "service of the span above; `caller` is null where there is none",
        within="caller",
    ),
    Column(
        "operation",
        "caller's operation",
        value=lambda finding: finding.key.caller_name if finding.has_caller else None,
        within="caller",
    ),
    Column("cost_ns", "cost", Unit.DURATION, of="totals", about="time on the critical paths"),
    Column("ratio", "of all", Unit.RATIO, about="the cost as a share of `latency_ns`"),
    Column("request_count", "requests", Unit.COUNT, of="totals", about="requests that show it"),
    Column("sighting_count", "sightings", Unit.COUNT, of="totals", about="times it was seen"),
    Column("span_count", "spans", Unit.COUNT, of="totals", about="spans that show it"),
    Column("most_spans", "most spans", Unit.COUNT, of="totals", about="spans of one sighting"),
    *spread_specs("time", "", lambda finding: finding.totals.time, "times that it took, waited for or not"),
    Column("statement", "statement", value=lambda finding: finding.statement or None, about="the query or the URL"),
    Column(
        "remark", "remark", value=lambda finding: finding.remark or None, about="remark about the costliest example"
    ),
    Column("advice", "advice", about="what to try"),
    *_ACKNOWLEDGED_COLUMNS,
    example_rows(EXAMPLE_COLUMNS, "costliest"),
)
_HOLDS: dict[Unit, Holds] = {Unit.RATIO: "share", Unit.DURATION: "integer", Unit.TEXT: "number"}


def _threshold(threshold: Field[Any]) -> Column[Findings]:
    """Describe a threshold as it was asked for."""
    about: About = threshold.metadata["about"]
    told = f"the threshold `--{about.name}`: {about.help[0].lower()}{about.help[1:].rstrip('.')}"
    return json_key(
        threshold.name,
        lambda answer: getattr(answer.thresholds, threshold.name),
        told,
        within="asked.thresholds",
        holds=_HOLDS.get(about.unit, "count"),
        is_known=True,
    )


def _asked(key: str, value: Callable[[RequestOptions], bool], about: str) -> Column[Findings]:
    return json_key(key, lambda answer: value(answer.options), about, within="asked", holds="boolean")


_ASKED: tuple[Column[Findings], ...] = (
    json_key(
        "kinds",
        lambda answer: list(answer.kinds) or None,
        "kinds that were asked for; null for all",
        within="asked",
        holds="texts",
        is_known=False,
    ),
    _asked("whole_trace", lambda options: options.whole_trace, "whether requests began at the roots of traces"),
    _asked("include_streams", lambda options: options.include_streams, "whether connections that stay open counted"),
    _asked("skew_correction", lambda options: options.correct_skew, "whether clocks were corrected"),
    *map(_threshold, fields(Thresholds)),
)
"""What findings depend on besides traces: an answer is compared with another one only if both were asked alike."""


class Findings(Answer, Struct, frozen=True):
    """What is worth changing, the costliest finding first."""

    options: RequestOptions
    thresholds: Thresholds
    sums: FindingSums
    findings: tuple[Finding, ...]
    known_count: int | None = None
    """The number of findings left out because they were there before; None where that was not asked for."""
    kinds: tuple[str, ...] = ()
    """The kinds that were asked for; empty for all."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *verdict_specs(
            lambda answer: answer.verdict,
            finding_count="number of findings that are not acknowledged",
            kind="kind of the costliest; null for none",
            service="its service",
            operation="its operation",
            cost_ns="its time on the critical paths",
            ratio="the same as a share of `latency_ns`",
        ),
        ASKED_SERVICE,
        *_ASKED,
        Column("request_count", of="sums", about="requests that were looked at"),
        Column("trace_count", of="sums", about="traces with these requests"),
        Column("span_count", of="sums", about="spans of these requests"),
        json_key(
            "latency_ns",
            lambda answer: answer.sums.latency_ns if answer.sums.request_count else None,
            "latency of all requests together; null without any",
        ),
        *set_apart_specs(lambda answer: answer.sums.set_apart),
        Column(
            "known_count",
            about="findings that are left out as they were there before; null without `--new-since`",
            is_known=False,
        ),
        Rows("findings", FINDING_COLUMNS, about="findings, the costliest first"),
    )
    MAIN: ClassVar[str] = "findings"

    @property
    def unacknowledged(self) -> tuple[Finding, ...]:
        """The findings that nobody decided to leave as they are."""
        return tuple(finding for finding in self.findings if finding.acknowledged is None)

    def reviewed(self, review: Review) -> Findings:
        """Give the same with what was decided about the findings, without those that were there before."""
        found = self.findings
        if review.known is not None:
            found = tuple(finding for finding in found if finding.signature not in review.known)
        decided = (replace(each, acknowledged=review.acknowledged.get(each.signature)) for each in found)
        known_count = None if review.known is None else len(self.findings) - len(found)
        return replace(self, findings=tuple(decided), known_count=known_count)

    @property
    def verdict(self) -> Verdict | None:
        """The costliest finding, or that there is none; None where there was no request to look at."""
        if not self.sums.request_count:
            return None
        found, seen = self.unacknowledged, plural(self.sums.request_count, "request")
        count = len(found)
        if not found:
            whose_requests = f" of {self.options.service}" if self.options.service else ""
            new = "" if self.known_count is None else " new"
            left = f", {plural(len(self.findings), 'acknowledged one')} apart" if self.findings else ""
            return Verdict((Part(f"No{new} findings in {seen}{whose_requests}{left}."),), {"finding_count": 0})
        first = found[0]
        key, cost_ns = first.key, first.totals.cost_ns
        title = KINDS[key.kind].title
        ratio = f"{format_duration(cost_ns)}, {format_ratio(first.ratio)} of all time"
        parts = (
            Part(f"{title[0].upper()}{title[1:]} "),
            Part(key.name, "strong"),
            Part(whose(key.service, key.name, key.peer, self.options.service)),
            Part(f" costs most: {ratio}." if cost_ns else " costs no time."),
        )
        numbers: dict[str, Value] = {
            "finding_count": count,
            "kind": key.kind,
            "service": key.service,
            "operation": key.name,
            "cost_ns": cost_ns,
            "ratio": first.ratio,
        }
        return Verdict(parts, numbers)
