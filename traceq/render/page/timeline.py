"""A trace as a part of a page."""

from __future__ import annotations

from traceq.render.page.parts import Ink, PagePart, duration_html, hued, resource, safe
from traceq.report import Timeline, TimelineRow


def timeline_part(timeline: Timeline, ink: Ink) -> PagePart:
    """Draw a tree beside bars."""
    rows = "".join(_row(row, timeline.duration_ns, ink) for row in timeline.rows)
    heads = '<th scope="col">span</th><th scope="col">service</th><th scope="col" class="number">duration</th><th></th>'
    return PagePart(
        f'<div class="scroller" tabindex="0"><table class="waterfall"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>",
        resource("timeline.css"),
    )


def _row(row: TimelineRow, total_ns: int, ink: Ink) -> str:
    indent = '<span class="indent"></span>' * min(row.depth, 40)
    count = f" × {row.count:,}" if row.count > 1 else ""  # noqa: RUF001 - the sign for times
    note = f'<div class="{"strong" if row.is_flagged else "quiet"}">{safe(row.note)}</div>' if row.note else ""
    details = "".join(f'<div class="quiet">{safe(key)} {safe(value)}</div>' for key, value in row.details)
    name = f'<span class="error">! {safe(row.label)}</span>' if row.has_error else safe(row.label)
    return (
        f"<tr><td>{indent}{name}{count}{note}{details}</td><td>{hued(row.service, ink)}</td>"
        f'<td class="number">{duration_html(row.duration_ns)}</td><td>{_bars(row, total_ns, ink)}</td></tr>'
    )


def _bars(row: TimelineRow, total_ns: int, ink: Ink) -> str:
    total = max(total_ns, 1)
    hue = ink.hues.number(row.service.removeprefix("→ "))
    spans = [("span", row.start_ns, row.start_ns + row.duration_ns), *(("path", *stretch) for stretch in row.critical)]
    bars = "".join(
        f'<rect class="{kind}" x="{start / total * 1000:.5g}" y="{2 if kind == "span" else 0}" '
        f'width="{max((end - start) / total * 1000, 1):.5g}" height="{4 if kind == "span" else 8}"/>'
        for kind, start, end in spans
    )
    return (
        f'<svg class="bars hue-{hue}" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
    )
