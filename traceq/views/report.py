"""What `report` shows: what is slow, since when, who is hit, and why, each question under a heading of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.bottlenecks import Bottlenecks
from traceq.analysis.comparison.tags import TAG_COLUMNS, TagChange, TagChanges
from traceq.analysis.findings import Finding
from traceq.analysis.one_trace import Details, ExaminedTrace
from traceq.analysis.over_time import ENTRY_COLUMNS, OverTime, SlowTime
from traceq.analysis.service_report import ServiceReport
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Fields, Heading, HeatMap, Line, Part, Report, picked, table
from traceq.units import format_age, format_count, format_duration, format_ratio, format_time, plural, zone_of
from traceq.views import comparison, errors, findings
from traceq.views.bottlenecks import SLOWEST_COLUMNS, held_note, held_up_by, overview, ranking
from traceq.views.flame import flame
from traceq.views.graphs import graph_of
from traceq.views.show import headline
from traceq.views.waterfall import Shown as ShownSpans
from traceq.views.waterfall import waterfall
from traceq.views.wording import (
    answer_line,
    dim,
    looked_at,
    next_line,
    nothing_reported,
    reported,
    set_apart_lines,
    verdict_lines,
)

MOST_LINES = 15
"""The number of lines of the ranking where nobody asks for another."""
_MAIN = f"bottlenecks.{Bottlenecks.MAIN}"
_SHOWN_ENTRIES = 8
_SHOWN_TAGS = 8
_SHOWN_FINDINGS = 8
_SHOWN_ERRORS = 8
_NARROWEST = 1000
"""A frame that is narrower than this part of all is not to be seen, and large systems have thousands of them."""


class Shown(Struct, frozen=True):
    """How much is shown, and what is compared."""

    top: int = MOST_LINES
    """Lines of the ranking."""
    is_page: bool = False
    """Whether the reader can fold, and ask for details."""
    sides: comparison.Shown = field(default_factory=comparison.Shown)


_ALL = Shown()


@report_of.register
def report(answer: ServiceReport, asked: Asked = NOT_ASKED, shown: Shown = _ALL) -> Report:
    """Put the answers to all questions under each other."""
    found = answer.bottlenecks
    if not found.sums.latency.count:
        return nothing_reported("report", answer, asked, found.sums.set_apart)
    blocks: list[Block] = [*_answer_lines(answer, asked), _summary(answer), Line(), *overview(found, asked), Line()]
    sections = (
        ("What changed", _compared(answer, asked, shown)),
        ("Since when", [*when_blocks(answer.over_time, found.slow_from_ns, asked.asked_ns)]),
        ("Who is hit", _who(answer)),
        ("Where the time goes", [Line((held_note(found),)), ranking(found, shown.top)]),
        ("What to change", _findings(answer)),
        ("Errors", _errors(answer)),
        ("Slowest requests", [table(SLOWEST_COLUMNS, found.sums.slowest), *_traces(answer.traces, shown)]),
        ("Call paths", _paths(answer)),
        ("Who calls whom", _calls(answer)),
    )
    for title, section in sections:
        if section:
            blocks += [Heading(title), *section, Line()]
    found_report = reported("report", answer, asked, blocks, _footer(answer, asked))
    service = found.options.service
    return replace(found_report, main=_MAIN, title=f"Requests of {service}" if service else "All requests")


def _answer_lines(answer: ServiceReport, asked: Asked) -> list[Block]:
    """Give the verdict, with what it leaves out; where nothing stands out, that."""
    nothing = answer_line((Part("Requests took no time that could be told apart."),), asked)
    return verdict_lines(answer.verdict, asked) or [nothing]


def _summary(answer: ServiceReport) -> Fields:
    """Answer in one line each what people ask who read nothing else."""
    over_time, finding = answer.over_time, _main_finding(answer)
    told = [("what is slow", slow_text(over_time, answer.bottlenecks.slow_from_ns))]
    if finding is not None:
        told.append(("why", findings.finding_text(finding, answer.findings.sums.request_count)))
    elif answer.bottlenecks.sums.slowest:
        told.append(("why", f"the slowest request: {held_up_by(answer.bottlenecks.sums.slowest[0])}"))
    if answer.comparison is not None:
        told.append(("what changed", answer.comparison.verdict.headline))
    told += [("since when", text_of(since_parts(over_time))), ("who is hit", who_text(over_time, answer.tags))]
    if finding is not None:
        told.append(("what to do", finding.advice))
    return Fields(tuple(told))


def _main_finding(answer: ServiceReport) -> Finding | None:
    """Give the costliest finding about the operation that the verdict names."""
    named = {} if answer.verdict is None else answer.verdict.numbers
    wanted = (named.get("service"), named.get("operation"))
    return next((each for each in answer.findings.findings if (each.key.service, each.key.name) == wanted), None)


def _compared(answer: ServiceReport, asked: Asked, shown: Shown) -> list[Block]:
    if answer.comparison is None:
        return []
    return list(comparison.report(answer.comparison, asked, shown.sides).blocks)


_OF_OTHERS, _OF_SLOW, _SLOW_COUNT = picked(TAG_COLUMNS, "before_ratio", "after_ratio", "after_trace_count")
_TAGS: tuple[Column[TagChange], ...] = (
    Column("tag", "tag", value=lambda change: f"{change.key}={change.value}", can_shrink=True),
    replace(_OF_SLOW, title="of slow traces"),
    replace(_OF_OTHERS, title="of others"),
    replace(_SLOW_COUNT, title="slow traces"),
)


def _who(answer: ServiceReport) -> list[Block]:
    blocks: list[Block] = [table(ENTRY_COLUMNS, answer.over_time.entries[:_SHOWN_ENTRIES])]
    if answer.tags is None:
        return blocks
    if not answer.tags.changes:
        return [*blocks, dim("No tag value stands out in the traces of slow requests.")]
    return [*blocks, Line((Part("Tags of slow traces", "strong"),)), table(_TAGS, answer.tags.changes[:_SHOWN_TAGS])]


def _findings(answer: ServiceReport) -> list[Block]:
    found = answer.findings
    if not found.findings:
        return [dim("Nothing was found that is worth changing.")]
    return list(findings.finding_lines(found.findings[:_SHOWN_FINDINGS], found.sums.request_count))


def _errors(answer: ServiceReport) -> list[Block]:
    found = answer.errors
    lines = errors.error_lines(found.origins[:_SHOWN_ERRORS], found.sums.request_count)
    return [*verdict_lines(found.verdict, NOT_ASKED), *lines]


def _traces(traces: Sequence[ExaminedTrace], shown: Shown) -> Iterable[Block]:
    """Draw the slowest traces, whole where the reader can fold."""
    for trace in traces:
        drawn = waterfall(trace, ShownSpans(folds=not shown.is_page), Details(whole=shown.is_page))
        yield from (Line(), headline(trace.summary, as_drawn_ns=drawn.timeline.duration_ns), drawn.timeline)


def _paths(answer: ServiceReport) -> list[Block]:
    blocks: list[Block] = []
    for title, paths in (("By critical time", answer.paths), ("By work: self time", answer.work)):
        if paths.total_ns:
            drawn = flame(paths, paths.total_ns // _NARROWEST)
            blocks += [Line((Part(title, "strong"),)), *verdict_lines(paths.verdict, NOT_ASKED), drawn]
            left_out = len(paths.frames) - len(drawn.rows)
            if left_out:
                told = f"{plural(left_out, 'call path')} of less than {format_ratio(1 / _NARROWEST)} each not drawn"
                blocks.append(dim(told))
    return blocks


def _calls(answer: ServiceReport) -> list[Block]:
    found = answer.dependencies
    return [graph_of(found, "auto")] if found.nodes else []


def _footer(answer: ServiceReport, asked: Asked) -> tuple[Line, ...]:
    sums = answer.bottlenecks.sums
    service = answer.bottlenecks.options.service
    # It has every call path, however short.
    whole = next_line(asked, "flame", *((service,) if service else ()))
    return (dim(looked_at(sums, asked)), *set_apart_lines(sums.set_apart), whole)


_HEAT_ROWS = 12
_MOST_ENTRIES = 3


def text_of(parts: Iterable[Part]) -> str:
    """Give parts as plain text."""
    return "".join(part.text for part in parts)


def slow_text(found: OverTime, slow_from_ns: int | None) -> str:
    """Say which requests are slow, and how long they take.

    Args:
        found: The requests.
        slow_from_ns: The latency from which they are slow, as it stands elsewhere in the answer.
    """
    first = found.entries[0]
    took = f"p50 {format_duration(first.p50_ns)}, max {format_duration(first.max_ns)}"
    if slow_from_ns is None or not first.slow_count:
        return f"{first.name} of {first.service}: {took}"
    slow = _of(first.slow_count, plural(first.request_count, "request"))
    return f"{first.name} of {first.service}: {slow} took {format_duration(slow_from_ns)} or longer ({took})"


def since_parts(found: OverTime) -> Iterable[Part]:
    """Say since when requests are slow, or why that is not known."""
    if found.slow_time is not None:
        yield from _ends(found.slow_time, found)
        yield Part(_difference(found.slow_time))
        return
    yield Part("not known", "strong")
    if found.slow_from_ns is None:
        yield Part(": the requests are too few to tell slow ones from others.")
    else:
        yield Part(f": no time stands out from {_window(found)}; what was before was not looked at.")


def _ends(slow: SlowTime, found: OverTime) -> Iterable[Part]:
    first_ns = int(found.starts_ns[0])
    if slow.start_ns is None:
        yield Part("not known", "strong")
        yield Part(f", it was so at the first request that was looked at, {format_time(first_ns)}")
    else:
        yield Part(format_time(slow.start_ns), "strong")
    if slow.end_ns is None:
        last_ns = int(found.starts_ns[-1])
        yield Part(f", up to the last request, {_clock(last_ns, first_ns)} {zone_of(last_ns)}.")
    else:
        yield Part(", until ")
        yield Part(_clock(slow.end_ns, first_ns), "strong")
        yield Part(f" {zone_of(slow.end_ns)}.")


def _difference(slow: SlowTime) -> str:
    name, then_ns, otherwise_ns = "p50", slow.then.p50_ns, slow.otherwise.p50_ns
    if not slow.is_median_longer:
        name, then_ns, otherwise_ns = "p95", slow.then.p95_ns, slow.otherwise.p95_ns
    return (
        f" {slow.name} then had a {name} of {format_duration(then_ns)}, otherwise {format_duration(otherwise_ns)}: "
        f"{_of(slow.slow_count, format_count(slow.request_count))} took {format_duration(slow.slow_from_ns)} or longer,"
        f" otherwise {_of(slow.other_slow_count, format_count(slow.other_count))}."
    )


def when_blocks(found: OverTime, slow_from_ns: int | None, asked_ns: int | None = None) -> Iterable[Block]:
    """Say since when requests are slow and when the slowest were made, and draw all requests over time.

    Args:
        found: The requests.
        slow_from_ns: The latency from which they are slow, as it stands elsewhere in the answer.
        asked_ns: When a server was asked, to say how long ago the last slow one was; None for no ages.
    """
    yield Line(tuple(since_parts(found)))
    if found.first_slow_ns is not None and found.last_slow_ns is not None:
        slowest = plural(int(found.slow_starts_ns.size), "slowest request", "slowest requests")
        made = f"{format_time(found.first_slow_ns)} to {_clock(found.last_slow_ns, found.first_slow_ns)}"
        made += f" ({format_age(asked_ns - found.last_slow_ns)} ago)" if asked_ns is not None else ""
        yield Line((Part(f"The {slowest} were made from {made}, all requests from {_window(found)}.", "dim"),))
    yield _heat_map(found, slow_from_ns)


def who_text(found: OverTime, tags: TagChanges | None) -> str:
    """Say which requests are slow, and whether a tag tells them from others."""
    if found.slow_from_ns is None:
        return "not known: the requests are too few to tell slow ones from others."
    hit = [entry for entry in found.entries if entry.slow_count]
    rest = [entry for entry in found.entries if not entry.slow_count]
    told = [f"{_of(entry.slow_count, format_count(entry.request_count))} {entry.name}" for entry in hit[:_MOST_ENTRIES]]
    if len(hit) > _MOST_ENTRIES:
        told.append(plural(len(hit) - _MOST_ENTRIES, "other operation"))
    if rest:
        told.append(f"none of {format_count(sum(entry.request_count for entry in rest))} others")
    return f"{', '.join(told)}. {_tag_text(tags)}"


def _tag_text(tags: TagChanges | None) -> str:
    if tags is None or not tags.changes:
        return "Whether certain users, hosts or versions: not known, no tag value stands out in slow traces."
    first = tags.changes[0]
    ratios = f"{format_ratio(first.after_ratio)} of the slow traces have {first.key}={first.value}"
    return f"{ratios}, of the others {format_ratio(first.before_ratio)}."


def _of(count: int, total: str) -> str:
    return f"{format_count(count) if count else 'none'} of {total}"


def _window(found: OverTime) -> str:
    """Name the time that was looked at."""
    first, last = int(found.starts_ns[0]), int(found.starts_ns[-1])
    return f"{format_time(first)} to {_clock(last, first)} {zone_of(last)}"


def _clock(time_ns: int, other_ns: int) -> str:
    """Write a time, without the day where that is the other's."""
    return format_time(time_ns).removeprefix(format_time(other_ns)[: len("2026-11-22 ")])


def _heat_map(found: OverTime, slow_from_ns: int | None) -> HeatMap:
    first, last = int(found.starts_ns[0]), int(found.starts_ns[-1])
    slow = found.slow_time
    return HeatMap(
        found.stretches[0].start_ns,
        found.width_ns,
        int(found.latencies_ns.min()),
        int(found.latencies_ns.max()),
        found.cells(_HEAT_ROWS),
        tuple(stretch.failed_count for stretch in found.stretches),
        slow_from_ns,
        None if slow is None else (slow.start_ns or first, slow.end_ns or last),
    )
