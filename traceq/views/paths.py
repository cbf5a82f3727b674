"""What critical paths and self times show: the longest of them."""

from __future__ import annotations

from dataclasses import dataclass

from traceq.analysis.critical_path import STRETCH_COLUMNS, CriticalPath
from traceq.analysis.self_time import SELF_TIME_COLUMNS, SelfTime
from traceq.answer import report_of
from traceq.asked import Asked
from traceq.report import Line, Part, Report, table
from traceq.units import plural
from traceq.views.wording import dim

_NO_ASKED = Asked()


@dataclass(frozen=True, slots=True)
class Shown:
    """How much is shown."""

    top: int = 20
    """Number of rows."""


@report_of.register
def critical_path_report(answer: CriticalPath, asked: Asked = _NO_ASKED, shown: Shown = Shown()) -> Report:
    """Show the longest stretches of critical paths."""
    held = answer.held
    longest = sorted(held, key=lambda stretch: (stretch.start_ns - stretch.end_ns, stretch.start_ns, stretch.span.row))
    heading = Line(
        (Part(f"{plural(len(held), 'stretch', 'stretches')} of critical paths, the longest first", "strong"),)
    )
    blocks = (heading, table(STRETCH_COLUMNS, longest[: shown.top]))
    return Report("critical-path", answer.to_dict(), answer.records(), blocks, _rest(len(held), shown), asked.trace_url)


@report_of.register
def self_time_report(answer: SelfTime, asked: Asked = _NO_ASKED, shown: Shown = Shown()) -> Report:
    """Show the spans that were busy longest themselves."""
    spans = answer.spans_with_times
    busiest = sorted(spans, key=lambda timed: (-timed[1], timed[0].row))
    heading = Line((Part(f"{plural(len(spans), 'span')}, those first that were busy longest themselves", "strong"),))
    blocks = (heading, table(SELF_TIME_COLUMNS, busiest[: shown.top]))
    return Report("self-time", answer.to_dict(), answer.records(), blocks, _rest(len(spans), shown), asked.trace_url)


def _rest(count: int, shown: Shown) -> tuple[Line, ...]:
    left = count - shown.top
    return (dim(f"{plural(left, 'row')} more"),) if left > 0 else ()
