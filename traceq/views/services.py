"""What `services` and `operations` show: lists."""

from __future__ import annotations

from collections.abc import Sized

from traceq.answer import report_of
from traceq.asked import Asked
from traceq.catalog import OperationList, ServiceList
from traceq.report import Line, Report
from traceq.units import plural
from traceq.views.wording import dim

_NO_ASKED = Asked()


@report_of.register
def services_report(answer: ServiceList, asked: Asked = _NO_ASKED) -> Report:
    """List the services of a source."""
    found = answer.records()
    return Report("services", answer.to_dict(), found, (found,), (_count(answer.services, "service", asked),))


@report_of.register
def operations_report(answer: OperationList, asked: Asked = _NO_ASKED) -> Report:
    """List the operations of a service."""
    found = answer.records()
    footer = _count(answer.operations, "operation", asked, f" of {answer.service}")
    return Report("operations", answer.to_dict(), found, (found,), (footer,))


def _count(listed: Sized, noun: str, asked: Asked, whose: str = "") -> Line:
    where = f" ({asked.location})" if asked.location else ""
    return dim(f"{plural(len(listed), noun)}{whose}{where}")
