"""What the formats that traceq writes cannot hold of traces, counted, so that it can be said."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Literal, TypeAlias

from traceq.codec.nesting import MOST_LEVELS, is_too_deep
from traceq.semantics import AttributeValue
from traceq.traces import Traces

_Target: TypeAlias = Literal["parquet", "otap", "jaeger", "otlp"]


def lost(traces: Traces, target: _Target) -> Counter[str]:
    """Count what is lost of a table that was read with details, by what becomes of it; nothing in traceq's Parquet."""
    found: Counter[str] = Counter()
    if target != "jaeger":
        told = f"attributes that are nested deeper than {MOST_LEVELS} levels become JSON text"
        found[told] = sum(map(is_too_deep, _values(traces)))
    if target == "jaeger":
        found["attributes that are lists or maps become JSON text"] = _nested(traces)
    elif target in ("otlp", "otap"):
        found["traces without spans are left out"] = sum(not traces.rows(at) for at in range(len(traces)))
        found["parents named by FOLLOWS_FROM become parents like others"] = len(traces.follows_from)
        found["warnings about whole traces are left out"] = sum(
            warning.code == "from-source" and not warning.span_id for warning in traces.warnings
        )
    if target == "otap":
        found["attributes with bytes, or numbers that are not finite, become text"] = _not_json(traces)
    return +found


def _nested(traces: Traces) -> int:
    return sum(isinstance(value, list | dict) for value in _values(traces))


def _not_json(traces: Traces) -> int:
    return sum(_is_not_json(value) for value in _values(traces) if not is_too_deep(value))


def _is_not_json(value: AttributeValue) -> bool:
    if isinstance(value, list | dict):
        return any(map(_is_not_json, value.values() if isinstance(value, dict) else value))
    return isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value))


def _values(traces: Traces) -> Iterator[AttributeValue]:
    for details in traces.details or ():
        yield from details.attributes().values()
