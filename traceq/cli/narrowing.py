"""Machine formats obey the question: as many items and the keys that were asked for, and what is lacking.

Whatever is left out, a document says how much there is (`total_count`) and that it is not all (`truncated`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import typer
from msgspec.structs import replace

from traceq.answer import counted
from traceq.documents import has, selected
from traceq.report import Report, Table

ALWAYS = ("schema", "is_cut_off", "is_partial", "total_count", "truncated")
"""Keys that no choice of fields leaves out: without them an answer could be taken for more than it is."""


def limited(report: Report, top: int | None) -> Report:
    """Keep the first items of the list that the records hold, and count them in the document.

    Args:
        report: The answer.
        top: The number of items to keep; None for all.
    """
    if not report.main or top is None:
        return report
    *outer, key = report.main.split(".")
    holders: list[Mapping[str, object]] = [report.document]
    for name in outer:
        found = holders[-1][name]
        holders.append(found if isinstance(found, Mapping) else {})
    rows = _items(holders[-1], key)
    records = report.records
    if len(records.rows) == len(rows):
        records = replace(records, rows=records.rows[:top])
    told: Mapping[str, object] = counted({**holders[-1], key: _first(rows, key, top)}, key, len(rows))
    for name, holder in zip(reversed(outer), reversed(holders[:-1]), strict=True):
        told = {**holder, name: told}
    return replace(report, document=told, records=records)


def _items(document: Mapping[str, object], key: str) -> Sequence[Any]:
    found = document.get(key)
    return found if isinstance(found, Sequence) else ()


def _first(rows: Sequence[Any], key: str, top: int) -> Sequence[Any]:
    """Keep the first items, and of items that hold such a list themselves the first of each."""
    return [
        {**row, key: row[key][:top]} if isinstance(row, Mapping) and isinstance(row.get(key), list) else row
        for row in rows[:top]
    ]


def with_fields(document: Mapping[str, object], main: str, fields: Sequence[str]) -> dict[str, Any]:
    """Keep some fields of a document; those of its list need not name the list.

    Raises:
        typer.BadParameter: If there is no such field.
    """
    paths = [f"{main}.{field}" if main and not has(document, field) else field for field in fields]
    try:
        return selected(document, (*_always(document, main), *paths))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fields") from error


def _always(document: Mapping[str, object], main: str) -> Iterator[str]:
    """Give the keys that stay: at the head, and beside the list where that is part of an object."""
    outer = main.rpartition(".")[0]
    paths = (*ALWAYS, *(f"{outer}.{key}" for key in ALWAYS if outer))
    return (path for path in paths if has(document, path))


def records_with(records: Table, main: str, fields: Sequence[str]) -> Table:
    """Keep some columns of records, in this order.

    Raises:
        typer.BadParameter: If there is no such column.
    """
    known = {name: place for place, column in enumerate(records.columns) for name in (column.path, column.flat_key)}
    places = []
    for field in fields:
        name = field.removeprefix(f"{main}.") if main else field
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(c.path for c in records.columns)}"
            raise typer.BadParameter(f"records have no '{field}', {hint}", param_hint="--fields")
        places.append(known[name])
    columns = tuple(records.columns[place] for place in places)
    return Table(columns, tuple(tuple(row[place] for place in places) for row in records.rows))
