"""What Parquet columns of JSON hold of a span, read when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeAlias

from traceq.codec import attribute_json
from traceq.semantics import Attributes
from traceq.traces import Event, Link, SpanDetails

_Array: TypeAlias = Any
"""pyarrow tells no types."""


def span_details(columns: Mapping[str, _Array], count: int) -> tuple[SpanDetails, ...]:
    """Give one a row, empty ones where the columns are not there.

    Args:
        columns: By name, each an Arrow array.
        count: How many rows.
    """
    if "attributes" not in columns:
        return tuple(repeat(_NoDetails(), count))
    kept = _Columns(*(columns[name] for name in _Columns.__dataclass_fields__))
    return tuple(map(_Details, repeat(kept), range(count)))


@dataclass(frozen=True, slots=True)
class _Columns:
    attributes: _Array
    resource: _Array
    events: _Array
    links: _Array
    warnings: _Array


@dataclass(frozen=True, slots=True)
class _Details:
    """One row of the columns that hold JSON."""

    columns: _Columns
    row: int

    def attributes(self) -> Attributes:
        """Read the attributes."""
        return attribute_json.read_attributes(self.columns.attributes[self.row].as_py())

    def resource(self) -> Attributes:
        """Read the attributes of the resource."""
        return attribute_json.read_attributes(self.columns.resource[self.row].as_py())

    def events(self) -> tuple[Event, ...]:
        """Read the events."""
        return attribute_json.read_events(self.columns.events[self.row].as_py())

    def links(self) -> tuple[Link, ...]:
        """Read the links."""
        return attribute_json.read_links(self.columns.links[self.row].as_py())

    def warnings(self) -> tuple[str, ...]:
        """Read what the server remarked."""
        return tuple(self.columns.warnings[self.row].as_py() or ())


class _NoDetails:
    """Of a file that was written without them."""

    def attributes(self) -> Attributes:
        """Give none."""
        return {}

    def resource(self) -> Attributes:
        """Give none."""
        return {}

    def events(self) -> tuple[Event, ...]:
        """Give none."""
        return ()

    def links(self) -> tuple[Link, ...]:
        """Give none."""
        return ()

    def warnings(self) -> tuple[str, ...]:
        """Give none."""
        return ()
