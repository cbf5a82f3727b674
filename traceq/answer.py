"""The base of all answers, which can become a document, a frame, a report or a short text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from functools import singledispatch
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from msgspec import Struct

from traceq.report import Column, Holds, Part, Report, Rows, Table, Unit, Value, document, getter, json_key, table
from traceq.units import format_count, format_duration, format_ratio, format_signed, format_time

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_TEXT = 400
HTML_ROWS = 20
"""The number of rows that notebooks show."""


class Verdict(Struct, frozen=True):
    """An answer in one sentence."""

    parts: tuple[Part, ...]
    """The sentence, with a full stop; what it is about is strong."""
    numbers: Mapping[str, Value]
    """What the sentence names, for JSON."""

    @property
    def text(self) -> str:
        """The sentence as plain text."""
        return "".join(part.text for part in self.parts)


_Row = TypeVar("_Row")
_NO_KINDS: Mapping[str, Holds] = {}


def verdict_specs(
    taken: Callable[[_Row], Verdict | None], holds: Mapping[str, Holds] = _NO_KINDS, **numbers: str
) -> tuple[Column[_Row], ...]:
    """Describe the keys of a verdict; the whole of it is null where nothing can be said.

    Args:
        taken: Takes the verdict from an answer.
        holds: What numbers are in JSON of which neither key nor unit says it.
        numbers: For each key of its numbers what it holds.
    """

    def number(key: str, about: str) -> Column[_Row]:
        def value(row: _Row) -> Value:
            found = taken(row)
            return None if found is None else found.numbers.get(key)

        unit = Unit.RATIO if key.endswith("ratio") else Unit.TEXT
        return json_key(key, value, about, unit, within="verdict", holds=holds.get(key), is_known=False)

    def text(row: _Row) -> str | None:
        found = taken(row)
        return None if found is None else found.text

    told = json_key(
        "text",
        text,
        "the answer in one sentence; `verdict` is null where nothing can be said",
        within="verdict",
        is_known=True,
    )
    return (told, *(number(key, about) for key, about in numbers.items()))


def counted(made: Mapping[str, object], key: str, total: int) -> dict[str, object]:
    """Say right before a list of a document how many items there are, and whether it lacks some."""
    told: dict[str, object] = {}
    for name, value in made.items():
        if name == key and isinstance(value, Sized):
            told |= {"total_count": total, "truncated": len(value) < total}
        if name not in ("total_count", "truncated"):
            told[name] = value
    return told


@singledispatch
def report_of(answer: object) -> Report:
    """Turn an answer into a report; modules of `traceq.views` register how, one for each kind of answer.

    Raises:
        TypeError: If nothing was registered for it.
    """
    raise TypeError(f"there is no view of {type(answer).__name__}: is its module of traceq.views imported?")


class Answer:
    """An answer, described once by the columns of its document."""

    __slots__ = ()

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = ()
    """The keys of its document."""
    MAIN: ClassVar[str] = ""
    """The key of the rows that frames, CSV and newline-delimited JSON hold."""

    def to_dict(self) -> dict[str, object]:
        """Give the answer as its JSON document: times in ns, shares 0..1, None for unknown values."""
        made = document(self.specs, self)
        rows = made.get(self.MAIN)
        if not isinstance(rows, list):
            return made
        total = self.total_count
        return counted(made, self.MAIN, len(rows) if total is None else total)

    @property
    def total_count(self) -> int | None:
        """The number of rows if nothing had been left out; None for those that there are."""
        return None

    @property
    def specs(self) -> tuple[Column[Any] | Rows[Any], ...]:
        """The keys of this answer's document, where they depend on the question; otherwise `SPECS`."""
        return self.SPECS

    def records(self) -> Table:
        """Give the answer's rows, one record each."""
        rows = next(spec for spec in self.specs if isinstance(spec, Rows) and spec.key == self.MAIN)
        return records(rows.columns, getter(rows)(self) or ())

    def to_frame(self) -> pd.DataFrame:
        """Give one row per record, under the keys of the document, nested ones joined by dots. Needs pandas."""
        import pandas as pd

        found = self.records()
        values = zip(*found.rows, strict=True) if found.rows else [()] * len(found.columns)
        return pd.DataFrame(
            {
                # With a missing value in a column pandas turns integers into floats, which cannot hold times in ns.
                column.path: pd.array(list(cells), dtype="Int64") if _is_whole(cells) else list(cells)
                for column, cells in zip(found.columns, values, strict=True)
            }
        )

    def report(self) -> Report:
        """Give the answer as the command line shows it, for any renderer."""
        return report_of(self)

    def __repr__(self) -> str:
        """Describe the answer in one short line."""
        facts = ", ".join(_fact(spec, self) for spec in self.specs if not getattr(spec, "within", ""))
        text = f"{type(self).__name__}({facts})"
        return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 4]}...)"

    def _repr_html_(self) -> str:
        """Draw the answer for notebooks: its sentence, and the first table of its report, or else its records."""
        found = self.report()
        verdict = found.document.get("verdict")
        said = verdict.get("text") if isinstance(verdict, Mapping) else None
        tables = (block for block in found.blocks if isinstance(block, Table))
        return html_of(str(said or repr(self)), next(tables, found.records))


def html_of(text: str, found: Table, total: int | None = None) -> str:
    """Draw the first rows of a table for notebooks, below a line of text.

    Args:
        text: A line that describes the table.
        found: The table.
        total: How many rows there are, where the table holds only the first.
    """
    # Late, here and below: nothing but notebooks needs it.
    from html import escape

    # A bar is a number once more.
    kept = [at for at, column in enumerate(found.columns) if column.unit is not Unit.BAR]
    titles = "".join(f"<th>{escape(found.columns[at].title or found.columns[at].path)}</th>" for at in kept)
    lines = "".join(
        f"<tr>{''.join(_cell(found.columns[at], row[at]) for at in kept)}</tr>" for row in found.rows[:HTML_ROWS]
    )
    left = (len(found.rows) if total is None else total) - HTML_ROWS
    more = f"<p>{format_count(left)} more: .to_frame()</p>" if left > 0 else ""
    return f"<p>{escape(text)}</p><table><tr>{titles}</tr>{lines}</table>{more}"


def records(specs: tuple[Column[Any] | Rows[Any], ...], rows: Iterable[object]) -> Table:
    """Give rows as records, with the values that fit into one cell each."""
    columns = [_single(spec) for spec in specs]
    return table((column for column in columns if column is not None), rows)


def _single(spec: Column[Any] | Rows[Any]) -> Column[Any] | None:
    if isinstance(spec, Column) and spec.unit is not Unit.OBJECT:
        return spec
    if spec.text is None:
        return None
    title = spec.title if isinstance(spec, Column) else spec.key
    return Column(spec.key, title, value=spec.text, about=spec.about, within=spec.within)


def _is_whole(cells: Iterable[Value]) -> bool:
    found = list(cells)
    return None in found and all(cell is None or type(cell) is int for cell in found) and any(found)


def _fact(spec: Column[Any] | Rows[Any], answer: Answer) -> str:
    found = getter(spec)(answer)
    if isinstance(spec, Rows):
        count = 0 if found is None else len(found) if isinstance(found, Sized) else sum(1 for _ in found)
        return f"{spec.key}={'None' if found is None else f'[{format_count(count)}]'}"
    return f"{spec.key}={'{...}' if spec.unit is Unit.OBJECT and found else repr(found)}"


def _cell(column: Column[Any], value: Value) -> str:
    from html import escape

    text = "" if value is None else str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        match column.unit:
            case Unit.DURATION:
                text = format_duration(int(value))
            case Unit.CHANGE:
                text = format_signed(int(value))
            case Unit.TIME:
                text = format_time(int(value))
            case Unit.RATIO:
                text = format_ratio(value)
            case _:
                text = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
        return f'<td style="text-align:right">{escape(text)}</td>'
    return f"<td>{escape(text)}</td>"
