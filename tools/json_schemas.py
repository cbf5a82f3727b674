"""Write the JSON Schema of every document that `--format json` writes: `python -m tools.json_schemas`.

The schemas are made of the answers' specs, as the tables of docs/json.md are, and lie in `traceq/schemas/`, one file a
command, so that they are part of what is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, get_args

from msgspec.structs import replace

from tools.json_docs import sentence
from traceq.analysis.bottlenecks import Bottlenecks
from traceq.analysis.checks import Checks
from traceq.analysis.comparison.alignment import Alignment
from traceq.analysis.comparison.compare import Comparison
from traceq.analysis.comparison.tags import tag_specs
from traceq.analysis.dependencies import Dependencies
from traceq.analysis.errors import ErrorOrigins
from traceq.analysis.findings.answer import FINDING_COLUMNS, Findings
from traceq.analysis.flame import CallPaths
from traceq.analysis.flame_changes import CallPathChanges
from traceq.analysis.graph_questions import CriticalCalls, Cycles, Ways
from traceq.analysis.impact import Impact
from traceq.analysis.one_trace import ExaminedTrace, FoundSpans, TraceBottlenecks
from traceq.analysis.service_report import ServiceReport
from traceq.analysis.statistics import Statistics
from traceq.analysis.what_if import WhatIf
from traceq.answer import Answer, compact
from traceq.catalog import ArchiveList, OperationList, ServiceList, TraceList
from traceq.report import Column, Holds, Kind, Rows, Unit
from traceq.traces import WarningCode

SCHEMAS = Path(__file__).parent.parent / "traceq" / "schemas"
Schema: TypeAlias = dict[str, Any]
_Specs: TypeAlias = tuple[Column[Any] | Rows[Any], ...]

ANSWERS: Mapping[str, tuple[type[Answer], ...]] = {
    "services": (ServiceList,),
    "operations": (OperationList,),
    "archive": (ArchiveList,),
    "search": (TraceList,),
    "show": (ExaminedTrace, FoundSpans),
    "bottlenecks": (Bottlenecks, TraceBottlenecks),
    "findings": (Findings,),
    "errors": (ErrorOrigins,),
    "stats": (Statistics,),
    "flame": (CallPaths, CallPathChanges),
    "compare": (Comparison, Alignment),
    "check": (Checks,),
    "deps": (Dependencies, Cycles, Ways, Impact, CriticalCalls),
    "report": (ServiceReport,),
}
"""What each command answers, depending on the question."""

_BESIDE: Mapping[type[Answer], _Specs] = {
    Bottlenecks: (
        Rows(
            "findings", FINDING_COLUMNS, about="as in `findings`; null where they were not looked for", is_known=False
        ),
        Column("what_if", about="what `--what-if` would save; null without it", holds=WhatIf),
        *tag_specs(lambda found: found),
    )
}
"""What a command puts beside its answer."""

_KINDS: Mapping[Unit, Kind] = {
    Unit.COUNT: "count",
    Unit.ERRORS: "count",
    Unit.DURATION: "integer",
    Unit.TIME: "integer",
    Unit.RATIO: "share",
    Unit.BAR: "share",
}

_TYPES: Mapping[Kind, Schema] = {
    "text": {"type": "string"},
    "count": {"type": "integer", "minimum": 0},
    "integer": {"type": "integer"},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "counts": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    "count by name": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    "value by name": {"type": "object"},
}


_TEXT, _COUNT, _INTEGER = _TYPES["text"], _TYPES["count"], _TYPES["integer"]
_CONDITIONS: Schema = {
    **dict.fromkeys(("service", "operation", "trace_id", "span_id", "find", "subtree"), _TEXT),
    **{key: {"type": "object", "additionalProperties": _TEXT} for key in ("tags", "tag_patterns")},
    **dict.fromkeys(("min_duration_ns", "max_duration_ns"), _COUNT),
    **dict.fromkeys(("min_trace_duration_ns", "max_trace_duration_ns"), _COUNT),
    **dict.fromkeys(("start_ns", "end_ns"), _INTEGER),
    **{key: {"const": True} for key in ("error", "errors", "path")},
    "collapse": _TYPES["texts"],
    **dict.fromkeys(("before", "after"), _TEXT),
    "min_calls": _COUNT,
    "limit": {"type": "integer", "minimum": 1},
}
"""What may stand in `query`: what was asked for, and nothing else."""


def _head(command: str) -> Schema:
    """Give the properties that every document begins with."""
    warning = {"code": {"enum": list(get_args(WarningCode))}, "trace_id": _TEXT, "span_id": _or_null(_TEXT)}
    return {
        "schema": {"const": f"traceq.{command}/1"},
        "source": _TEXT,
        "query": {"type": "object", "properties": _CONDITIONS, "additionalProperties": False},
        "is_cut_off": _TYPES["boolean"],
        "is_partial": _TYPES["boolean"],
        "notes": _TYPES["texts"],
        "warnings": {"type": "array", "items": _closed({**warning, "message": _TEXT})},
        "warning_counts": {
            "type": "object",
            "propertyNames": {"enum": list(get_args(WarningCode))},
            "additionalProperties": {"type": "integer", "minimum": 1},
        },
    }


def schema_of(command: str) -> Schema:
    """Make the schema of a command's document."""
    told = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:traceq:{command}:1",
        "title": f"traceq.{command}/1",
        "description": f"The document of `traceq {command} --format json`, unless --fields chooses some of its keys.",
    }
    shared = _Shared()
    documents = [_document(answer, shared, _head(command), _BESIDE.get(answer, ())) for answer in ANSWERS[command]]
    made = documents[0] if len(documents) == 1 else {"anyOf": documents}
    return {**told, **made, **({"$defs": shared.made} if shared.made else {})}


def _document(answer: type[Answer], shared: _Shared, head: Schema, beside: _Specs = ()) -> Schema:
    """Make the schema of an answer's document, where the list of its rows has a count beside it."""
    main = {"total_count": _COUNT, "truncated": _TYPES["boolean"]} if answer.MAIN else {}
    found = _object((*answer.SPECS, *beside), shared)
    return {
        **found,
        "properties": {**head, **found["properties"], **main},
        "required": [*head, *found["required"], *main],
    }


def _object(specs: _Specs, shared: _Shared) -> Schema:
    """Make the schema of an object; what is nested in it by dots may be null, as nothing may be known of it."""
    parts: dict[str, list[Column[Any] | Rows[Any]]] = {}
    order: dict[str, Schema | None] = {}
    for spec in specs:
        outer, _, rest = spec.within.partition(".")
        if outer:
            parts.setdefault(outer, []).append(replace(spec, within=rest))
            order[outer] = None
        else:
            order[spec.key] = _value(spec, shared)
    properties = {
        key: _or_null(_object(tuple(parts[key]), shared)) if made is None else made for key, made in order.items()
    }
    optional = {spec.key for spec in specs if spec.is_optional}
    made = _closed(properties)
    return {**made, "required": [key for key in properties if key not in optional]}


def _closed(properties: Schema) -> Schema:
    """Make an object of these keys, all of them and no others; where there is a trace there may be a link to logs."""
    link = {"link": _or_null(_TEXT)} if "trace_id" in properties else {}
    return {
        "type": "object",
        "properties": {**properties, **link},
        "required": list(properties),
        "additionalProperties": False,
    }


def _value(spec: Column[Any] | Rows[Any], shared: _Shared) -> Schema:
    if isinstance(spec, Rows):
        made: Schema = {"type": "array", "items": shared.rows(spec.key, spec.columns)}
        has_null = not spec.is_known
    else:
        made, has_null = _single(spec, shared), _has_null(spec)
    return {**(_or_null(made) if has_null else made), "description": sentence(spec)}


def _kind(column: Column[Any]) -> Holds:
    """Say what a column holds: as it tells itself, else by its unit, else by its name."""
    if column.holds is not None or column.unit in _KINDS:
        return column.holds or _KINDS[column.unit]
    if column.key.startswith(("is_", "has_")):
        return "boolean"
    if column.key.endswith("_count"):
        return "count"
    return "integer" if column.key.endswith("_ns") else "share" if column.key.endswith("_ratio") else "text"


def _has_null(column: Column[Any]) -> bool:
    """Tell whether it may be null: as it tells itself, else texts and measures may, counts and truths may not."""
    if column.is_known is not None:
        return not column.is_known
    kind = _kind(column)
    is_certain = isinstance(kind, tuple) or kind in ("count", "boolean", "texts", "counts")
    return not (is_certain or column.unit is Unit.TRACE_ID)


def _single(column: Column[Any], shared: _Shared) -> Schema:
    kind = _kind(column)
    if isinstance(kind, str):
        return dict(_TYPES[kind])
    return {"enum": list(kind)} if isinstance(kind, tuple) else shared.document(kind)


class _Shared:
    """Schemas of objects that stand in several places, each under a name of its own."""

    def __init__(self) -> None:
        self.made: Schema = {}
        self._names: dict[_Specs, str] = {}

    def rows(self, key: str, specs: _Specs) -> Schema:
        """Refer to the schema of objects of these keys, made where it is not there yet."""
        name = self._names.get(specs)
        if name is None:
            alike = sum(known.partition("-")[0] == key for known in self._names.values())
            name = self._names[specs] = f"{key}-{alike + 1}" if alike else key
            self.made[name] = _object(specs, self)
        return {"$ref": f"#/$defs/{name}"}

    def document(self, answer: type[Answer]) -> Schema:
        """Refer to the schema of an answer's document without its head."""
        if answer.__name__ not in self.made:
            self.made[answer.__name__] = _document(answer, self, {})
        return {"$ref": f"#/$defs/{answer.__name__}"}


def _or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def written(schema: Schema) -> str:
    """Write a schema as its file has it: without blanks, as programs read it."""
    return compact(schema) + "\n"


def main() -> None:
    """Write all files, and no others stay."""
    SCHEMAS.mkdir(exist_ok=True)
    for old in SCHEMAS.glob("*.json"):
        old.unlink()
    for command in ANSWERS:
        (SCHEMAS / f"{command}.json").write_text(written(schema_of(command)), encoding="utf-8")


if __name__ == "__main__":
    main()
