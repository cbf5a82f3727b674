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


GLOSSARY = {
    "after": "the same of the side after",
    "after_ns": "the same of the side after",
    "after_ratio": "the same of the side after",
    "after_trace_count": "the same of the side after",
    "call_count": "number of calls",
    "callee": "name of the node that is called",
    "caller": "name of the node that calls",
    "calls_per_trace": "average number of calls in a trace that has such calls",
    "change": "difference, after minus before",
    "change_ns": "difference, after minus before",
    "critical_change_ns": "difference of the critical times, after minus before",
    "duration_change_ns": "difference of the durations, after minus before",
    "duration_ns": "duration of the span",
    "error_count": "number of failures",
    "from": "name of the node where the paths begin",
    "key": "key of the tag",
    "kind": "kind of the span: `server`, `client`, `internal`, ...",
    "length_ns": "length of the segment",
    "name": "name, as in the source",
    "nodes": "services, databases, brokers and others that call or are called",
    "operation": "name of the spans",
    "operations": "operations, sorted by name",
    "passed": "whether the check passed",
    "protocols": "protocols of the calls, sorted",
    "request_count": "number of requests",
    "self_ns": "self time: the part of the duration that no child covers",
    "service": "name of the service",
    "span_count": "number of spans",
    "span_count_after": "number of spans after",
    "span_count_before": "number of spans before",
    "span_id": "id of the span",
    "spans": "all spans with this id",
    "status": "status of the span: `unset`, `ok` or `error`",
    "to": "name of the node where the paths end",
    "trace_count": "number of traces",
    "trace_id": "id of the trace",
    "value": "value of the tag",
}
"""What keys hold that mean the same in every document and say no more than their names."""


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
            yield f"| `{above}{spec.path}` | {_unit(spec)} | {sentence(spec)} |"
        else:
            yield f"| `{above}{spec.path}` | list | {sentence(spec)} |"
            yield from _lines(spec.columns, f"{above}{spec.path}[].")


def _unit(column: Column[Any]) -> str:
    return _UNITS.get(column.unit, "ns" if column.key.endswith("_ns") else "")


def sentence(spec: Column[Any] | Rows[Any]) -> str:
    """Write what a key holds as a sentence.

    Raises:
        KeyError: If neither its definition nor the glossary says it.
    """
    told = spec.about or GLOSSARY[spec.key]
    return f"{told[0].upper()}{told[1:]}{'' if told.endswith('.') else '.'}"


def _columns(answer: type[Answer]) -> Iterator[str]:
    """Name the columns, unless they depend on the question."""
    main = [spec for spec in answer.SPECS if isinstance(spec, Rows) and spec.key == answer.MAIN]
    if main and "records" not in vars(answer):
        names = ", ".join(f"`{column.flat_key}`" for column in records(main[0].columns, ()).columns)
        yield f"Columns of CSV: {names}."


if __name__ == "__main__":
    JSON_DOCS.write_text(rewritten(JSON_DOCS.read_text(encoding="utf-8")), encoding="utf-8")
