"""The library's front door: get traces, ask questions. Re-exported by `traceq`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from traceq.analysis import bottlenecks as ranking
from traceq.analysis import critical_path as paths
from traceq.analysis import dependencies as graph
from traceq.analysis import self_time as busy
from traceq.analysis.culprits import Measure, RequestOptions
from traceq.query import TraceQuery
from traceq.sources import ConnectionOptions, Source, is_url, open_source
from traceq.traces import Traces


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
    sums = ranking.BottleneckSums()
    for batch in _batches(traces):
        sums += ranking.collect(batch, options)
    return ranking.rank(sums, options)


def dependencies(traces: Traces | Iterable[Traces]) -> graph.Dependencies:
    """Count who calls whom.

    Args:
        traces: A table, or batches of them.
    """
    sums = graph.DependencySums()
    for batch in _batches(traces):
        sums += graph.count_calls(batch)
    return graph.from_sums(sums)


def _batches(traces: Traces | Iterable[Traces]) -> Iterable[Traces]:
    return (traces,) if isinstance(traces, Traces) else traces
