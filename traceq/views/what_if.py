"""What `--what-if` shows: how much faster requests would be, and what would hold them then."""

from __future__ import annotations

from difflib import get_close_matches

from msgspec.structs import replace

from traceq.analysis.spread import Spread
from traceq.analysis.what_if import OPERATION_COLUMNS, HeldOperation, WhatIf, WhatIfSums
from traceq.answer import report_of
from traceq.query import NOT_ASKED, Asked
from traceq.report import Block, Column, Line, Part, Report, Table, Unit, picked, table
from traceq.units import format_duration, format_ratio, plural
from traceq.views.wording import hint, nothing_found, reported, strong


@report_of.register
def report(answer: WhatIf, asked: Asked = NOT_ASKED) -> Report:
    """Show what shorter calls would save."""
    blocks = what_if_blocks(answer)
    if not answer.sums.before.count:
        blocks = [hint(nothing_found(asked, "requests"))]
    return reported("what-if", answer, asked, blocks)


def what_if_blocks(answer: WhatIf, top: int = 5) -> list[Block]:
    """Say what shortening spans would save, and what would hold requests then."""
    found, changes = answer.sums, answer.changes
    told = ", ".join(change.text for change in changes)
    blocks: list[Block] = [strong(f"What if {told}")]
    matched = found.matched_counts or (0,) * len(changes)
    missing = [change.name for change, count in zip(changes, matched, strict=True) if not count]
    blocks += [Line((Part(f"no span goes by the name '{name}'{_meant(name, answer)}", "error"),)) for name in missing]
    if len(missing) == len(changes) or not found.before.count:
        return blocks
    latencies = table(_LATENCY_COLUMNS, (("as it is", found.before), ("what if", found.after)))
    return [*blocks, Line((Part(_saving(found)),)), latencies, Line(), _holders(answer, top)]


def _meant(name: str, answer: WhatIf) -> str:
    """Name what comes nearest to a name that no span has."""
    keys = [held.key for held in answer.operations]
    known = {text for key in keys for text in (key.name, key.service, *((key.peer.system,) if key.peer else ()))}
    near = get_close_matches(name, sorted(known), n=1)
    return f": did you mean '{near[0]}'?" if near else ""


def _saving(found: WhatIfSums) -> str:
    spans = plural(sum(found.matched_counts), "span")
    if not found.saved_ns:
        return f"Nothing saved: {spans} shortened, none of which a request waits for."
    count = found.before.count
    saved = format_duration(found.saved_ns // count)
    ratio = format_ratio(found.saved_ns / found.before.total_ns)
    sentence = f"Saves {saved} a request on average ({ratio}){_range(found)} by shortening {spans}"
    lost_ns = found.shortened_ns - found.saved_ns
    if lost_ns * 100 < found.shortened_ns:
        return f"{sentence}."
    lost = format_duration(lost_ns // count)
    return f"{sentence}; {lost} more are lost to other calls that requests then wait for."


def _range(found: WhatIfSums) -> str:
    """Say between what the saving lies if calls side by side waited for others than they seem to."""
    least_ns, most_ns = found.least_saved_ns, found.most_saved_ns
    if (most_ns - least_ns) * _NOTABLE < found.saved_ns:
        return ""
    least, most = (format_duration(part // found.before.count) for part in (least_ns, most_ns))
    return f", or {least} to {most} depending on what calls side by side waited for,"


_NOTABLE = 20
"""A range is told from this part of the saving on."""
_LATENCY_COLUMNS: tuple[Column[tuple[str, Spread]], ...] = (
    Column("what", "", value=lambda line: line[0]),
    Column("p50_ns", "p50", Unit.DURATION, lambda line: line[1].percentile(0.5)),
    Column("p95_ns", "p95", Unit.DURATION, lambda line: line[1].percentile(0.95)),
    Column("p99_ns", "p99", Unit.DURATION, lambda line: line[1].percentile(0.99)),
    Column("max_ns", "max", Unit.DURATION, lambda line: line[1].max_ns),
)


def _holders(answer: WhatIf, top: int) -> Table:
    before_ns, after_ns = max(answer.sums.before.total_ns, 1), max(answer.sums.after.total_ns, 1)
    operation, service, before, after = picked(
        OPERATION_COLUMNS, "operation", "service", "critical_before_ns", "critical_after_ns"
    )
    columns = (
        operation,
        replace(service, value=lambda held: held.key.place),
        before,
        after,
        Column[HeldOperation](
            "before_ratio", "of all", Unit.RATIO, lambda held: held.before_ns / before_ns, priority=1
        ),
        Column[HeldOperation]("after_ratio", "then", Unit.RATIO, lambda held: held.after_ns / after_ns),
    )
    ranked = sorted(
        answer.operations, key=lambda held: (-max(held.before_ns, held.after_ns), held.key.service, held.key.name)
    )
    return table(columns, ranked[:top])
