"""What the report says of when requests were slow, and of whom that hits."""

from __future__ import annotations

from collections.abc import Iterable

from traceq.analysis.comparison.tags import TagChanges
from traceq.analysis.over_time import OverTime, SlowTime
from traceq.report import Block, HeatMap, Line, Part
from traceq.units import format_age, format_count, format_duration, format_ratio, format_time, plural, zone_of

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
