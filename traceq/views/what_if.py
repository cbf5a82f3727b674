"""What `--what-if` shows: how much faster requests would be, and what would hold them then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from traceq.analysis.group_sums import GroupKey
from traceq.analysis.spread import Spread
from traceq.analysis.what_if import Shortening, WhatIfSums
from traceq.report import Block, Column, Line, Part, Table, Unit, Value
from traceq.units import format_duration, format_ratio, plural
from traceq.views.wording import service_text


def what_if_blocks(changes: Sequence[Shortening], found: WhatIfSums, top: int = 5) -> list[Block]:
    """Say what shortening spans would save, and what would hold requests then."""
    told = ", ".join(change.text for change in changes)
    blocks: list[Block] = [Line((Part(f"What if {told}", "strong"),))]
    matched = found.matched_counts or (0,) * len(changes)
    missing = [change.name for change, count in zip(changes, matched, strict=True) if not count]
    blocks += [Line((Part(f"no span goes by the name '{name}'", "error"),)) for name in missing]
    if len(missing) == len(changes) or not found.before.count:
        return blocks
    return [*blocks, Line((Part(_saving(found)),)), _latencies(found), Line(), _holders(found, top)]


def _saving(found: WhatIfSums) -> str:
    spans = plural(sum(found.matched_counts), "span")
    if not found.saved_ns:
        return f"Nothing saved: {spans} shortened, none of which a request waits for."
    count = found.before.count
    saved = format_duration(found.saved_ns // count)
    ratio = format_ratio(found.saved_ns / found.before.total_ns)
    sentence = f"Saves {saved} a request on average ({ratio}) by shortening {spans}"
    lost_ns = found.shortened_ns - found.saved_ns
    if lost_ns * 100 < found.shortened_ns:
        return f"{sentence}."
    lost = format_duration(lost_ns // count)
    return f"{sentence}; {lost} more are lost to other calls that requests then wait for."


def _latencies(found: WhatIfSums) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("what", ""),
        Column("p50_ns", "p50", Unit.DURATION),
        Column("p95_ns", "p95", Unit.DURATION),
        Column("p99_ns", "p99", Unit.DURATION),
        Column("max_ns", "max", Unit.DURATION),
    )
    rows = (_latency_row("as it is", found.before), _latency_row("what if", found.after))
    return Table(columns, rows)


def _latency_row(name: str, latency: Spread) -> tuple[Value, ...]:
    return (name, *(latency.percentile(quantile) for quantile in (0.5, 0.95, 0.99)), latency.max_ns)


def _holders(found: WhatIfSums, top: int) -> Table:
    columns: tuple[Column[Any], ...] = (
        Column("operation", "operation", can_shrink=True),
        Column("service", "service", Unit.SERVICE, can_shrink=True),
        Column("before_ns", "critical", Unit.DURATION),
        Column("after_ns", "what if", Unit.DURATION),
        Column("before_ratio", "of all", Unit.RATIO, priority=1),
        Column("after_ratio", "then", Unit.RATIO),
    )
    ranked = sorted(found.held.items(), key=lambda line: (-max(line[1]), line[0].service, line[0].name))
    return Table(columns, tuple(_holder(key, held, found) for key, held in ranked[:top]))


def _holder(key: GroupKey, held: tuple[int, int], found: WhatIfSums) -> tuple[Value, ...]:
    return (
        key.name,
        service_text(key),
        *held,
        held[0] / max(found.before.total_ns, 1),
        held[1] / max(found.after.total_ns, 1),
    )
