"""Write the keys of JSON documents and the columns of CSV into docs/json.md: `python -m tools.json_docs`.

A line `<!-- keys of traceq.analysis.findings.Findings -->` stands before the table of that answer's keys, and
`<!-- end of keys -->` behind it: what is between them is written from the answer's specs, prose around it by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from traceq.answer import Answer, records
from traceq.report import Column, Rows, Unit

JSON_DOCS = Path(__file__).parent.parent / "docs" / "json.md"
MARKED = re.compile(r"(<!-- keys of (?P<answer>[\w.]+) -->\n).*?(<!-- end of keys -->)", re.DOTALL)

_UNITS = {Unit.DURATION: "ns", Unit.TIME: "ns since the epoch", Unit.RATIO: "0..1", Unit.OBJECT: "object"}


def rewritten(document: str) -> str:
    """Give the document with every marked table as the specs say now."""
    return MARKED.sub(lambda found: f"{found[1]}\n{keys_of(answer_class(found['answer']))}\n{found[3]}", document)


def answer_class(dotted: str) -> type[Answer]:
    """Import an answer's class by its full name.

    Raises:
        TypeError: If it is none.
    """
    module, _, name = dotted.rpartition(".")
    found = getattr(import_module(module), name)
    if not isinstance(found, type) or not issubclass(found, Answer):
        raise TypeError(f"{dotted} is no answer")
    return found


def keys_of(answer: type[Answer]) -> str:
    """Write the table of an answer's keys, and below it the columns of its records."""
    lines = ["| key | unit | holds |", "|---|---|---|", *_lines(answer.SPECS, "")]
    return "\n".join((*lines, "", *_columns(answer))).rstrip() + "\n"


def _lines(specs: tuple[Column[Any] | Rows[Any], ...], above: str) -> Iterator[str]:
    for spec in specs:
        if isinstance(spec, Column):
            yield f"| `{above}{spec.path}` | {_UNITS.get(spec.unit, '')} | {spec.about} |"
        else:
            yield f"| `{above}{spec.path}` | list | {spec.about} |"
            yield from _lines(spec.columns, f"{above}{spec.path}[].")


def _columns(answer: type[Answer]) -> Iterator[str]:
    """Name the columns, unless they depend on the question."""
    main = [spec for spec in answer.SPECS if isinstance(spec, Rows) and spec.key == answer.MAIN]
    if main and "records" not in vars(answer):
        names = ", ".join(f"`{column.flat_key}`" for column in records(main[0].columns, ()).columns)
        yield f"Columns of CSV: {names}."


if __name__ == "__main__":
    JSON_DOCS.write_text(rewritten(JSON_DOCS.read_text(encoding="utf-8")), encoding="utf-8")
