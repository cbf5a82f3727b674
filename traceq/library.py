"""The library's front door: get traces, ask questions. Re-exported by `traceq`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from traceq.analysis import bottlenecks as ranking
from traceq.analysis import call_sums as calls
from traceq.analysis import critical_path as paths
from traceq.analysis import dependencies as graph
from traceq.analysis import errors as failing
from traceq.analysis import findings as finding
from traceq.analysis import self_time as busy
from traceq.analysis import statistics as counting
from traceq.analysis import what_if as supposing
from traceq.analysis.comparison import cohorts
from traceq.analysis.comparison import compare as comparing
from traceq.analysis.culprits import Measure, RequestOptions
from traceq.analysis.grouping import Sums
from traceq.analysis.peers import PeerGrouping
from traceq.query import TraceQuery
from traceq.sources import is_url, open_source
from traceq.sources.interface import ConnectionOptions, Source
from traceq.traces import Traces

_Sums = TypeVar("_Sums", bound=Sums)


def connect(url: str, options: ConnectionOptions | None = None) -> Source:
    """Give a Jaeger server as a source; nothing is sent before the first question.

    Args:
        url: Where its query service answers, `http://localhost:16686`, with the base path if it has one.
        options: Credentials, certificates and timeout.

    Raises:
        ValueError: If it is not an http or https URL.
    """
    if not is_url(url):
        raise ValueError(f"'{url}' is not an http or https URL; files are read with load()")
    return open_source((url,), options)


def load(path: str | Path, *more: str | Path) -> Traces:
    """Read every trace of files or directories, attributes included, newest first.

    Args:
        path: Jaeger or OTLP JSON, plain, gzip or zstd; a directory of such files; `-` for standard input.
        more: Further ones; parts of one trace in several files are put together.

    Raises:
        InputError: If one cannot be read, or holds something else.
        ValueError: If it is a URL.
    """
    locations = tuple(str(location) for location in (path, *more))
    if any(is_url(location) for location in locations):
        raise ValueError("load() reads files; servers are asked through connect()")
    return open_source(locations).find(TraceQuery()).traces


def critical_path(traces: Traces, *, correct_skew: bool = True) -> paths.CriticalPath:
    """Find the intervals that determine each trace's duration. See `CriticalPath`."""
    return paths.critical_path(traces, correct_skew=correct_skew)


def self_time(traces: Traces, *, correct_skew: bool = True) -> busy.SelfTime:
    """Measure how long each span was busy itself. See `SelfTime`."""
    return busy.self_time(traces, correct_skew=correct_skew)


def bottlenecks(
    traces: Traces | Iterable[Traces],
    service: str | None = None,
    *,
    by: Measure = "critical-time",
    whole_trace: bool = False,
    correct_skew: bool = True,
) -> ranking.Bottlenecks:
    """Rank where the time of a service's requests goes.

    Args:
        traces: A table, or batches of them (`source.read(query)`), each trace whole in one.
        service: Whose requests; None takes every root span as a request.
        by: What to rank by.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
    """
    options = RequestOptions(service, whole_trace, by, correct_skew)
    sums = _sum_up(traces, ranking.BottleneckSums(), lambda batch: ranking.collect(batch, options))
    return ranking.rank(sums, options)


def findings(
    traces: Traces | Iterable[Traces],
    service: str | None = None,
    *,
    thresholds: finding.Thresholds | None = None,
    whole_trace: bool = False,
    correct_skew: bool = True,
) -> finding.Findings:
    """Find what is worth a change: N+1 queries, slow queries, retries, errors, stragglers, gaps and more.

    Args:
        traces: A table, or batches of them (`source.read(query)`), each trace whole in one.
        service: Whose requests; None takes every root span as a request.
        thresholds: From when on something counts; None for the defaults.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
    """
    options = RequestOptions(service, whole_trace, correct_skew=correct_skew)
    bounds = thresholds or finding.Thresholds()
    sums = _sum_up(traces, finding.FindingSums(), lambda batch: finding.collect(batch, options, bounds))
    return finding.rank(sums, options, bounds)


def errors_by_origin(
    traces: Traces | Iterable[Traces], service: str | None = None, *, whole_trace: bool = False
) -> failing.ErrorOrigins:
    """Find where errors begin, how far they spread, and how many requests they fail.

    Args:
        traces: A table, or batches of them, each trace whole in one.
        service: Whose requests; None takes every root span as a request.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
    """
    options = RequestOptions(service, whole_trace)
    sums = _sum_up(traces, failing.ErrorSums(), lambda batch: failing.collect(batch, options))
    return failing.rank(sums, options)


def statistics(
    traces: Traces | Iterable[Traces],
    *by: str,
    service: str | None = None,
    correct_skew: bool = True,
) -> counting.Statistics:
    """Count spans by sort: durations, self times, percentiles, errors, rates.

    Args:
        traces: A table, or batches of them, each trace whole in one.
        by: `service`, `operation` or `tag:KEY`, one or two of them; by default the service.
        service: Only spans of this service; None for all.
        correct_skew: Whether to put wrong clocks right first, for the self times.

    Raises:
        ValueError: If nothing can be counted by one of `by`, or a tag is wanted of traces read without attributes.
    """
    options = counting.StatisticsOptions(by or ("service",), service, correct_skew)
    sums = _sum_up(traces, counting.StatisticsSums(), lambda batch: counting.collect(batch, options))
    return counting.rank(sums, options)


def compare(
    before: Traces | Iterable[Traces],
    after: Traces | Iterable[Traces],
    service: str | None = None,
    *,
    whole_trace: bool = False,
    correct_skew: bool = True,
) -> comparing.Comparison:
    """Find what changed between two sets of requests: which services, operations and calls hold them longer.

    Args:
        before: A table, or batches of them (`source.read(query)`), each trace whole in one.
        after: The same of the other set.
        service: Whose requests; None takes every root span as a request.
        whole_trace: Whether to start at the traces' roots instead of the service's entry spans.
        correct_skew: Whether to put wrong clocks right first.
    """
    options = RequestOptions(service, whole_trace, correct_skew=correct_skew)
    sides = (_sum_up(side, cohorts.Cohort(), lambda batch: cohorts.collect(batch, options)) for side in (before, after))
    return comparing.compare(*sides)


def what_if(traces: Traces | Iterable[Traces], *changes: str, service: str | None = None) -> supposing.WhatIfSums:
    """Find how much faster requests would be if some spans were shorter, another call taking over where it would.

    Args:
        traces: A table, or batches of them.
        changes: What is shorter: `mongodb.insert=-50%`, `mysql=20ms`, `chat-service:POST /rooms=0`.
        service: Whose requests; None takes every root span as a request.

    Raises:
        ValueError: If a change cannot be read, or would make spans longer.
    """
    shortenings = tuple(supposing.parse_shortening(change) for change in changes)
    return _sum_up(
        traces, supposing.WhatIfSums(), lambda batch: supposing.what_if(batch, shortenings, RequestOptions(service))
    )


def dependencies(
    traces: Traces | Iterable[Traces], *, group_peers: PeerGrouping = "name", with_critical: bool = False
) -> graph.Dependencies:
    """Find who calls whom, how often, how long and with which success; databases and brokers included.

    Args:
        traces: A table, or batches of them (`source.read(query)`), each trace whole in one.
        group_peers: What databases, brokers and hosts are one node.
        with_critical: Whether to measure how long calls hold the critical path.
    """
    options = calls.DependencyOptions(group_peers, with_critical)
    sums = _sum_up(traces, calls.DependencySums(), lambda batch: calls.count_calls(batch, options))
    return graph.from_sums(sums)


def _sum_up(traces: Traces | Iterable[Traces], nothing: _Sums, collect: Callable[[Traces], _Sums]) -> _Sums:
    """Add up what is collected of a table, or of each of many."""
    return sum(map(collect, (traces,) if isinstance(traces, Traces) else traces), nothing)
