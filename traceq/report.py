"""The forms that an answer can have, shared by analyses and renderers.

A command turns its result into a `Report`: one JSON document, one table of records for machines, and blocks for people.
Renderers know reports, but no analyses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from operator import attrgetter
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from msgspec import Struct

Value: TypeAlias = "str | int | float | bool | Sequence[str] | Mapping[str, object] | None"
"""The value of a cell; a mapping only in JSON. Text from traces is unsafe until a renderer has escaped it."""


class Unit(Enum):
    """The kind of a column's values, which decides how they are written and aligned."""

    TEXT = auto()
    SERVICE = auto()
    """Text in the service's colour."""
    TRACE_ID = auto()
    """Never shortened; a link to the trace where the source has pages."""
    COUNT = auto()
    ERRORS = auto()
    """A count of failures: marked when above zero, a dash when zero."""
    DURATION = auto()
    """A duration in nanoseconds."""
    CHANGE = auto()
    """A difference of durations in nanoseconds, written with its sign."""
    TIME = auto()
    """A point in time in nanoseconds since the epoch."""
    RATIO = auto()
    """A share 0..1, written as a percentage."""
    BAR = auto()
    """A share 0..1, drawn as a bar."""
    OBJECT = auto()
    """A mapping, only for JSON documents."""


Kind: TypeAlias = Literal[
    "text", "count", "integer", "share", "number", "boolean", "texts", "counts", "count by name", "value by name"
]
"""What the values of a column are in JSON: a count is 0 or more, a share 0..1, and plurals are lists."""

Holds: TypeAlias = "Kind | tuple[str, ...] | type[Any]"
"""A kind, one of these texts, or the document of an answer."""

_Row = TypeVar("_Row")


class Column(Struct, Generic[_Row], frozen=True):
    """A column, defined once: for the terminal, for CSV and newline-delimited JSON, and as a key of JSON documents."""

    key: str
    """The name of the column, in JSON and in CSV."""
    title: str = ""
    """The heading of the column in the terminal."""
    unit: Unit = Unit.TEXT
    value: Callable[[_Row], Value] | None = None
    """Takes the column's value from a row; None for what the row has under the column's key."""
    about: str = ""
    """What the column contains, for the reference of JSON documents."""
    can_shrink: bool = False
    """Whether the terminal may shorten its values to fit the width."""
    least_width: int = 16
    """The width from which a column that may be shortened, and can be done without, is worth showing."""
    priority: int = 0
    """Columns with a higher number are left out first when the terminal is too narrow."""
    within: str = ""
    """The object of the JSON document that contains it, dots between nested ones; it begins the name in CSV."""
    text: Callable[[_Row], Value] | None = None
    """Writes a mapping as one cell, in CSV and newline-delimited JSON; None where it is left out there."""
    of: str = ""
    """The part of the row that has the value (`totals`), where none is given; empty for the row itself."""
    holds: Holds | None = None
    """What its values are in JSON; None for what unit and key say."""
    is_known: bool | None = None
    """Whether it is never null where its object is not; None for what its kind says.

    Counts, truths, lists and texts of which there are but a few are known.
    """
    is_optional: bool = False
    """Whether it is left out where the question has no such thing."""

    @property
    def path(self) -> str:
        """The path of the column in a JSON document (`duration.p95_ns`)."""
        return f"{self.within}.{self.key}" if self.within else self.key

    @property
    def flat_key(self) -> str:
        """The name of the column in CSV and newline-delimited JSON (`duration_p95_ns`)."""
        return self.path.replace(".", "_")


def json_key(  # noqa: PLR0913 - the fields of a column
    key: str,
    value: Callable[[_Row], Value],
    about: str = "",
    unit: Unit = Unit.TEXT,
    *,
    within: str = "",
    holds: Holds | None = None,
    is_known: bool | None = None,
) -> Column[_Row]:
    """Define a column that the terminal has no heading for; see `Column`."""
    return Column(key, "", unit, value, about, within=within, holds=holds, is_known=is_known)


class Rows(Struct, Generic[_Row], frozen=True):
    """A list of rows in a JSON document."""

    key: str
    columns: tuple[Column[Any] | Rows[Any], ...]
    """The columns of each row."""
    rows: Callable[[_Row], Iterable[object] | None] | None = None
    """Takes the rows (None for what was not looked for) from what holds them; None for what it has under the key."""
    about: str = ""
    text: Callable[[_Row], Value] | None = None
    """How they are written as one cell, in CSV and newline-delimited JSON; None where they are left out there."""
    within: str = ""
    """The object of the JSON document that the list is part of, as for columns."""
    of: str = ""
    """The part of the holder that has the rows, as for columns."""
    is_known: bool = True
    """Whether it is a list in any case; else it is null for what was not looked for."""
    is_optional: bool = False
    """Whether it is left out where the question has no such thing."""

    @property
    def path(self) -> str:
        """Where the list stands in a JSON document (`tags.changes`)."""
        return f"{self.within}.{self.key}" if self.within else self.key


Specs: TypeAlias = "tuple[Column[_Row] | Rows[_Row], ...]"
"""What a document, or a row of one, is made of."""


class Table(Struct, frozen=True):
    """Rows of values under columns."""

    columns: tuple[Column[Any], ...]
    rows: tuple[tuple[Value, ...], ...]


def table(columns: Iterable[Column[_Row]], rows: Iterable[_Row]) -> Table:
    """Take the values of columns from rows."""
    kept = tuple(columns)
    getters = [getter(column) for column in kept]
    return Table(kept, tuple(tuple(taken(row) for taken in getters) for row in rows))


def picked(specs: Specs[_Row], *paths: str) -> tuple[Column[_Row], ...]:
    """Pick columns by their paths, in this order.

    Raises:
        KeyError: If there is no such column.
    """
    columns = {spec.path: spec for spec in specs if isinstance(spec, Column)}
    return tuple(columns[path] for path in paths)


def document(specs: Specs[_Row], row: _Row) -> dict[str, object]:
    """Take a JSON document from what it is about; an object in which nothing is known is null."""
    made: dict[str, object] = {}
    objects: dict[str, dict[str, object]] = {"": made}
    for spec in specs:
        _object(objects, spec.within)[spec.key] = _part(spec, row)
    # From the innermost out: an object of nothing but null objects is null, too.
    for path in sorted(objects, key=len, reverse=True):
        if path and all(part is None for part in objects[path].values()):
            outer, _, key = path.rpartition(".")
            objects[outer][key] = None
    return made


def _object(objects: dict[str, dict[str, object]], path: str) -> dict[str, object]:
    """Give the object at a path, made where it is not there yet."""
    if path not in objects:
        outer, _, key = path.rpartition(".")
        _object(objects, outer)[key] = objects[path] = {}
    return objects[path]


def _part(spec: Column[_Row] | Rows[_Row], row: _Row) -> object:
    found = getter(spec)(row)
    if isinstance(spec, Column) or found is None:
        return found
    return [document(spec.columns, each) for each in found]


def getter(spec: Column[_Row] | Rows[_Row]) -> Callable[[_Row], Any]:
    """Give what takes the value of a column, or the rows of a list, from the row that it is part of."""
    given = spec.value if isinstance(spec, Column) else spec.rows
    return given or attrgetter(f"{spec.of}.{spec.key}" if spec.of else spec.key)


Role: TypeAlias = Literal["plain", "strong", "dim", "error", "service", "hint"]
"""What a piece of text is, not what it looks like; `service` takes the colour of the service it names."""


class Part(Struct, frozen=True):
    """A run of text in one role."""

    text: str
    role: Role = "plain"


class Line(Struct, frozen=True):
    """A line of text for people; empty parts make a blank line."""

    parts: tuple[Part, ...] = ()
    wraps: bool = True
    """Whether it is broken at the terminal's width; what is to be copied (a command, a path) is not."""


class Histogram(Struct, frozen=True):
    """How durations spread, drawn as one row of blocks between the two ends."""

    low_ns: int
    high_ns: int
    counts: tuple[int, ...]
    """Buckets of equal ratio from `low_ns` to `high_ns`."""


Relation: TypeAlias = Literal["blocking", "asynchronous", "placeholder"]
"""How a row hangs on its parent; a placeholder stands for a parent that is missing."""


class TimelineRow(Struct, frozen=True):
    """A span, or a run of alike spans, in a drawn trace. Rows come depth first, a parent before its children."""

    depth: int
    """0 for roots."""
    is_last: bool
    """Whether no sibling follows."""
    label: str
    service: str
    """A service, or the peer that a leaf span talked to; may be empty."""
    start_ns: int
    """Since the start of the trace; times of rows are as drawn, after skew correction where asked."""
    duration_ns: int
    self_ns: int | None = None
    """None where it would say nothing (a leaf, a placeholder)."""
    critical: tuple[tuple[int, int], ...] = ()
    """Stretches on the critical path, since the start of the trace, in time order."""
    has_error: bool = False
    relation: Relation = "blocking"
    count: int = 1
    """How many alike siblings the row stands for."""
    note: str = ""
    """What is remarkable about it (`bottleneck 83 %`, `ends 38 ms after the response`)."""
    is_flagged: bool = False
    """Whether the note is the answer to the question, not a remark."""
    is_match: bool = False
    """Whether it is what was looked for."""
    span_id: str = ""
    details: tuple[tuple[str, str], ...] = ()
    """Keys and values to be shown below the row; a value without a key speaks for itself, as an event does."""


class Timeline(Struct, frozen=True):
    """A trace drawn as a tree with bars."""

    rows: tuple[TimelineRow, ...]
    duration_ns: int
    """What the bars' full width stands for."""
    has_ids: bool = False
    """Whether each row shows the id of its span."""


NodeKind: TypeAlias = Literal["service", "database", "messaging", "external"]


class GraphNode(Struct, frozen=True):
    """A box of a graph."""

    node_id: str
    label: str
    kind: NodeKind = "service"
    short_label: str = ""
    """What it may be called where the width does not do for the label; empty for the same."""
    detail: str = ""
    """A second line below the short label."""


Health: TypeAlias = Literal["unknown", "good", "fair", "poor"]
"""How well calls do, by whatever the question measures."""


class GraphEdge(Struct, frozen=True):
    """An arrow of a graph; source and target may be the same node."""

    source: str
    target: str
    label: str = ""
    is_async: bool = False
    short_label: str = ""
    """What may stand on it where the width does not do for the label; empty for the same."""
    health: Health = "unknown"
    weight: int = 0
    """How many calls it stands for."""
    facts: tuple[tuple[str, str], ...] = ()
    """Names and values, for formats that have room to tell everything."""


class Graph(Struct, frozen=True):
    """Boxes and arrows, drawn as such when they fit the width and as an indented tree when not."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    view: Literal["graph", "tree", "auto"] = "auto"
    short_note: str = ""
    """What short labels leave out, told where they are used."""
    health_legend: tuple[tuple[Health, str], ...] = ()
    """What each health means here, in words."""
    label_legend: str = ""
    """What is written on edges, in words."""
    whole: Graph | None = None
    """Everything, where this is the part that a picture has room for; a tree has it all."""
    left_out: str = ""
    """What the part leaves out, in words."""


class Matrix(Struct, frozen=True):
    """Who calls whom as a square: a row a caller, a column a callee."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    """A cell holds the short label of its edge; several edges of two nodes share one."""


class Fields(Struct, frozen=True):
    """Names and values one below the other: everything about one thing."""

    pairs: tuple[tuple[str, str], ...]


class FlameRow(Struct, frozen=True):
    """A frame of a flame graph: the spans of one call path. Rows come depth first, a caller before what it calls."""

    depth: int
    """0 for what nothing calls."""
    label: str
    service: str
    """Empty for what stands for many services."""
    value_ns: int
    """The frame's width: its own part and the widths of all frames that it calls."""
    own_ns: int
    """The part of the width that no frame below covers; never negative."""
    delta_ns: int | None = None
    """In a comparison the width after minus the width before, each a mean over requests; otherwise None."""
    own_sides_ns: tuple[int, int] | None = None
    """In a comparison the own part before and after, each a mean over requests; otherwise None."""
    facts: tuple[tuple[str, str], ...] = ()
    """Names and values, for formats that have room to tell everything."""
    peer: str = ""
    """The peer in which a leaf spends its time; empty where that is the service."""

    @property
    def place(self) -> str:
        """Where its time is spent, as rows of timelines have it."""
        return f"→ {self.peer}" if self.peer else self.service


class Flame(Struct, frozen=True):
    """Call paths of many spans as nested frames, as wide as the time that they stand for."""

    rows: tuple[FlameRow, ...]
    total_ns: int
    """The sum of the widths of the frames that nothing calls, and of all own parts."""
    measure: str
    """The time that widths stand for, in words (`critical time`)."""
    sides: tuple[str, str] | None = None
    """What is compared, before and after, where it is a comparison; widths then fit both."""


class Heading(Struct, frozen=True):
    """Begins a part of a report that answers several questions."""

    text: str


class HeatMap(Struct, frozen=True):
    """When requests were made and how long they took: columns of time, in them durations of equal ratio."""

    start_ns: int
    """When the first column begins, since the epoch."""
    width_ns: int
    """The length of a column."""
    low_ns: int
    high_ns: int
    counts: tuple[tuple[int, ...], ...]
    """For each column the requests in buckets of equal ratio from `low_ns` to `high_ns`."""
    failed: tuple[int, ...]
    """For each column the requests that failed."""
    slow_from_ns: int | None = None
    """The duration from which requests are slow."""
    marked_ns: tuple[int, int] | None = None
    """The first and the last moment of a time that stands out, since the epoch."""


Block: TypeAlias = Table | Line | Histogram | Timeline | Graph | Matrix | Fields | Flame | Heading | HeatMap


Level: TypeAlias = Literal["error", "warning", "note"]


class Issue(Struct, frozen=True):
    """Something to be looked at, as build servers and code hosts list it."""

    rule: str
    """What sort of issue it is, in one word: `n+1`."""
    title: str
    """What it is, in a few words."""
    rule_title: str
    """What all issues of this sort are."""
    text: str
    """What was seen, in sentences for people."""
    level: Level = "error"
    advice: str = ""
    signature: str = ""
    """The same for the same issue in other traces; empty where there is none."""
    file: str = ""
    """The path of the source code, where spans tell it."""
    line: int = 0
    """The line in that file, from 1 on; 0 for unknown."""
    name: str = ""
    """Where it is, by the names of traces: service and operation."""
    trace_ids: tuple[str, ...] = ()
    """Traces that show it."""
    accepted: str = ""
    """Why it is accepted as it is; empty where it is not."""


class Case(Struct, frozen=True):
    """A check as build servers list it, whether it passed or not."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    text: str
    """What was measured."""
    detail: str = ""
    """A trace that shows it, or why the check is there."""


class Report(Struct, frozen=True):
    """An answer, ready to be shown in any format."""

    command: str
    """Names the JSON schema: `traceq.<command>/1`."""
    document: Mapping[str, object]
    """The answer for `--format json`, below the head that every document has."""
    records: Table
    """The answer for `--format csv` and `ndjson`: one record a row."""
    blocks: tuple[Block, ...]
    """The answer for people."""
    footer: tuple[Line, ...] = ()
    """What was asked, how much was looked at, what was cut off."""
    trace_url: str = ""
    """Where the source shows a trace, with `{trace_id}` in it; empty when it has no pages."""
    main: str = ""
    """The key of the document's list that the records hold, dots between nested ones; empty where there is none."""
    graph: Graph | None = None
    """The answer for `--format mermaid`, `dot`, `svg` and `html`; None where it is no graph."""
    title: str = ""
    """What a document is about, where the command does not say it."""
    flame: Flame | None = None
    """The answer for formats of flame graphs; None where it is none."""
    links: Mapping[str, str] = {}
    """Where else something is known of traces: a URL by trace id."""
    spans: Timeline | None = None
    """Every span of the one trace that the flame graph is about, for formats that show when things happened."""
    issues: tuple[Issue, ...] | None = None
    """What build servers and code hosts list; None where the answer lists nothing of the sort."""
    cases: tuple[Case, ...] | None = None
    """All checks, for build servers; None where the answer is none."""
