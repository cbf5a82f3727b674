"""How long ago something was, by a clock that stands still."""

from __future__ import annotations

import pytest

from tests.builders import span, trace
from traceq.catalog import TraceList, summarize
from traceq.query import Asked
from traceq.render.terminal import Canvas, draw
from traceq.report import Report
from traceq.units import NS_PER_HOUR, NS_PER_MINUTE
from traceq.views.listings import traces_report
from traceq.views.show import headline

FOUND = summarize(trace(span("root", None, 0, 100)))
START_NS = FOUND[0].start_ns


def shown(report: Report, width: int) -> str:
    return "\n".join("".join(part.text for part in strip) for strip in draw(report, Canvas(width)))


@pytest.mark.parametrize(
    ("passed_ns", "told"),
    [(0, "0 s"), (5 * NS_PER_MINUTE, "5 min"), (119 * NS_PER_MINUTE, "1 h"), (50 * NS_PER_HOUR, "2 d"), (-1, "0 s")],
)
@pytest.mark.usefixtures("utc")
def test_what_a_server_has_says_how_old_it_is(passed_ns: int, told: str) -> None:
    asked = Asked(asked_ns=START_NS + passed_ns, is_live=True)

    assert f" UTC ({told} ago)" in "".join(part.text for part in headline(FOUND[0], asked).parts)
    listed = traces_report(TraceList.of(FOUND, "recent"), asked)
    assert f" {told} ago " in shown(listed, 200)
    # It comes after what people need more.
    assert "ago" not in shown(listed, 60)


def test_files_are_of_any_age() -> None:
    assert " ago" not in shown(traces_report(TraceList.of(FOUND, "recent")), 200)
    assert " ago" not in "".join(part.text for part in headline(FOUND[0]).parts)
