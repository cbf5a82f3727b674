"""`traceq errors`: where errors begin, how far they spread, and what they fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from traceq.cli.options import (
    FilterOptions,
    OutputOptions,
    RequestsArgument,
    RequestsOptions,
    SourceOptions,
    WorkersOptions,
)
from traceq.cli.output import emit
from traceq.cli.session import opened, wanted_by
from traceq.engine import ask
from traceq.query import Asked
from traceq.report import Column, Line, Part, Report, Table, Unit, Value
from traceq.units import format_count, format_ratio, format_time, plural
from traceq.views.wording import next_command, nothing_found, set_apart_lines

if TYPE_CHECKING:
    from traceq.analysis.culprits import RequestOptions
    from traceq.analysis.errors import ErrorOrigin, ErrorOrigins


@dataclass(frozen=True, slots=True)
class ErrorsOptions:
    """Of `errors`."""

    service: RequestsArgument = None
    trace: Annotated[str | None, typer.Option("--trace", metavar="ID", help="Only this trace.")] = None
    top: Annotated[int, typer.Option(min=1, metavar="N", help="So many errors.")] = 10
    requests: RequestsOptions = field(default_factory=RequestsOptions)
    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def request_options(self) -> RequestOptions:
        """Give which requests to look at."""
        return self.requests.of(self.service)


def errors(options: ErrorsOptions) -> None:
    """Find where errors begin: failed spans without a failed child, alike ones together.

    Messages are compared with numbers, ids and quoted values masked. A request failed with an error when every span
    from where it began up to the request's own failed.

    Examples:
      traceq errors

      traceq errors chat-service --lookback 6h --limit 1000

      traceq errors --trace 5b8aa5a2d2c872e8321cf37308d69df2

      traceq errors --source traces.json --format csv
    """
    from traceq.analysis.errors import ErrorQuestion

    requests = options.request_options()
    with opened(options.source, options.output) as source:
        question = ErrorQuestion(requests)
        reply = ask(source, wanted_by(options, source), question, options.workers.workers)
    answer = question.rank(reply.sums)
    emit(_report(reply.asked, answer, options), reply.asked, options.output)


def _report(asked: Asked, answer: ErrorOrigins, options: ErrorsOptions) -> Report:
    blocks = [Line((Part(nothing_found(asked, "requests"), "hint"),))]
    footer = tuple(set_apart_lines(answer.sums.set_apart))
    if answer.sums.request_count:
        shown = answer.origins[: options.top]
        blocks = [_headline(asked, answer, options), *error_lines(shown, answer.sums.request_count)]
        footer = _footer(asked, answer, options)
    records = _records(answer.origins)
    return Report("errors", answer.to_dict(), records, tuple(blocks), footer, asked.trace_url)


def _headline(asked: Asked, answer: ErrorOrigins, options: ErrorsOptions) -> Line:
    sums, count = answer.sums, len(answer.origins)
    whose = f" of {options.service}" if options.service else ""
    parts = [
        Part(plural(count, "error") if count else "no errors", "strong"),
        Part(f" in {plural(sums.request_count, 'request')}{whose}"),
        Part(f", {asked.window}" if asked.window else ""),
    ]
    if count:
        failed = f"{format_count(sums.failed_request_count)} failed"
        ratio = format_ratio(sums.failed_request_count / sums.request_count)
        parts.append(Part(f"   {failed} ({ratio})", "error" if sums.failed_request_count else "plain"))
    return Line(tuple(parts))


_INDENT = " " * 5
_SHOWN_STATUSES = 5


def error_lines(origins: Sequence[ErrorOrigin], request_count: int) -> list[Line]:
    """Draw errors, each after a blank line: what it is, where it begins, how far it spreads, when, where to look."""
    lines = []
    for origin in origins:
        example = origin.totals.examples[0]
        lines += [Line(), _title(origin), _place(origin), *(_indented(text) for text in _facts(origin, request_count))]
        lines.append(_indented(f"e.g. trace {example.trace_id} span {example.span_id}", "dim"))
        if example.message not in ("", origin.key.message):
            lines.append(_indented(f"     {example.message}", "dim"))
    return lines


def _title(origin: ErrorOrigin) -> Line:
    key = origin.key
    described = ": ".join(part for part in (key.error_type, key.message) if part)
    return Line((Part(" "), Part(described or "failed without a message", "error")))


def _place(origin: ErrorOrigin) -> Line:
    parts = (Part(f"{_INDENT}begins in "), Part(f"{origin.key.name}  ", "strong"), Part(origin.key.service, "service"))
    return Line(parts)


def _indented(text: str, role: Literal["plain", "dim"] = "plain") -> Line:
    return Line((Part(f"{_INDENT}{text}", role),))


def _facts(origin: ErrorOrigin, request_count: int) -> list[str]:
    totals = origin.totals
    seen = f"in {format_count(totals.request_count)} of {plural(request_count, 'request')}"
    counted = f"{seen} ({plural(totals.origin_count, 'span')}), {_failed(origin)}"
    if totals.http_statuses:
        counted += f"; answered with HTTP {_statuses(origin)}"
    first, last = format_time(totals.first_ns), format_time(totals.last_ns)
    when = f"at {first}" if totals.first_ns == totals.last_ns else f"first {first}, last {last}"
    return [counted, _spread(origin), when]


def _failed(origin: ErrorOrigin) -> str:
    failed, seen = origin.totals.failed_request_count, origin.totals.request_count
    if failed == seen:
        return "which failed with it"
    return f"{format_count(failed)} of them failed with it" if failed else "none of them failed with it"


def _spread(origin: ErrorOrigin) -> str:
    """Say how far it went up: over how many spans, and into which other services."""
    totals = origin.totals
    if totals.most_spans == 1:
        return "stays there: nothing above failed"
    others = sorted(totals.services - {origin.key.service})
    into = f", up into {', '.join(others)}" if others else f", all in {origin.key.service}"
    return f"spreads over up to {plural(totals.most_spans, 'span')}{into}"


def _statuses(origin: ErrorOrigin) -> str:
    """List what requests were answered with, the most frequent first (`500 x 3, 403`)."""
    statuses = sorted(origin.totals.http_statuses.items(), key=lambda pair: (-pair[1], pair[0]))
    texts = [status if count == 1 else f"{status} x {count}" for status, count in statuses[:_SHOWN_STATUSES]]
    left = len(statuses) - _SHOWN_STATUSES
    return ", ".join(texts) + (f" and {left} more" if left > 0 else "")


def _footer(asked: Asked, answer: ErrorOrigins, options: ErrorsOptions) -> tuple[Line, ...]:
    sums = answer.sums
    failed = f"{plural(sums.failed_span_count, 'failed span')} among " if answer.origins else ""
    told = f"{failed}{plural(sums.span_count, 'span')} of {plural(sums.trace_count, 'trace')}"
    told += f" ({asked.location})"
    left = len(answer.origins) - options.top
    if left > 0:
        told += f", {plural(left, 'error')} more: --top {len(answer.origins)}"
    lines = [Line()] if answer.origins else []
    lines += [Line((Part(told, "dim"),)), *set_apart_lines(sums.set_apart)]
    if answer.origins:
        example = answer.origins[0].totals.examples[0]
        command = next_command(asked, "show", example.trace_id, "--errors", "--events")
        lines.append(Line((Part(f"next: {command}", "hint"),)))
    return tuple(lines)


def _records(origins: Sequence[ErrorOrigin]) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("service", "service", Unit.SERVICE),
        Column("operation", "operation"),
        Column("error_type", "type"),
        Column("message", "message"),
        Column("origin_count", "origins", Unit.COUNT),
        Column("request_count", "requests", Unit.COUNT),
        Column("failed_request_count", "failed", Unit.ERRORS),
        Column("longest_chain_span_count", "longest chain", Unit.COUNT),
        Column("services", "services"),
        Column("http_statuses", "answered with"),
        Column("first_ns", "first", Unit.TIME),
        Column("last_ns", "last", Unit.TIME),
        Column("example_trace_id", "example", Unit.TRACE_ID),
        Column("example_span_id", "span"),
        Column("example_message", "example's message"),
    )
    return Table(columns, tuple(_record(origin) for origin in origins))


def _record(origin: ErrorOrigin) -> tuple[Value, ...]:
    key, totals = origin.key, origin.totals
    example = totals.examples[0]
    return (
        key.service,
        key.name,
        key.error_type or None,
        key.message or None,
        totals.origin_count,
        totals.request_count,
        totals.failed_request_count,
        totals.most_spans,
        tuple(sorted(totals.services)),
        tuple(f"{status} x {count}" for status, count in sorted(totals.http_statuses.items())),
        totals.first_ns,
        totals.last_ns,
        example.trace_id,
        example.span_id,
        example.message or None,
    )
