"""Answers: what becomes a document, a frame, a report or a short text, and documents cut to what their reader needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from functools import singledispatch
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from msgspec import Struct

from traceq.report import Column, Holds, Part, Report, Rows, Table, Unit, Value, document, getter, json_key, table
from traceq.units import format_count, format_duration, format_ratio, format_signed, format_time
from traceq.untrusted import shown_json

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


Document: TypeAlias = Mapping[str, Any]
"""What `json` writes: text, numbers, lists and mappings in each other."""

_TEXT_STEPS = (300, 120, 60, 30)
"""The lengths that texts are cut to, one after the other, where whole ones leave no room."""


def selected(document: Document, paths: Iterable[str]) -> dict[str, Any]:
    """Keep some keys of a document, in the document's order.

    Args:
        document: The document; it is not changed.
        paths: Keys, with dots between nested ones (`operations.duration.p95_ns`); lists are looked through, and a path
            to an object or a list keeps all of it.

    Raises:
        ValueError: If the document has nothing under a path, and no list or object on the way is empty.
    """
    tree: dict[str, Any] = {}
    for path in paths:
        if not has(document, path):
            # Late: only misspelt keys are looked for.
            from difflib import get_close_matches

            known = sorted(_paths(document))
            close = get_close_matches(path, known, 1)
            hint = f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(known)}"
            raise ValueError(f"the document has no '{path}'{hint}")
        branch = tree
        for key in path.split("."):
            branch = branch.setdefault(key, {})
        # What is wanted whole stays whole, whatever else is wanted of it.
        branch[""] = {}
    return _kept(document, tree)  # type: ignore[no-any-return]  # of a mapping it gives a mapping


def _kept(value: Any, tree: Mapping[str, Any]) -> Any:
    if "" in tree or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: _kept(part, tree[key]) for key, part in value.items() if key in tree}
    return [_kept(part, tree) for part in value]


def has(document: Document, path: str) -> bool:
    """Tell whether a document has something under a path, or may have: null or empty parts on the way do not tell."""
    return _has(document, path.split("."))


def _has(value: Any, keys: Sequence[str]) -> bool:
    if not keys or value is None:
        return True
    if isinstance(value, Mapping):
        return keys[0] in value and _has(value[keys[0]], keys[1:])
    return isinstance(value, list) and (not value or any(_has(part, keys) for part in value))


def _paths(value: Any, prefix: str = "") -> set[str]:
    """List the paths of everything in a document."""
    if isinstance(value, Mapping):
        found: set[str] = set()
        for key, part in value.items():
            found |= {prefix + key} | _paths(part, f"{prefix}{key}.")
        return found
    return set().union(*(_paths(part, prefix) for part in value)) if isinstance(value, list) else set()


def with_totals(value: Any) -> Any:
    """Put the number of its items beside every list, so that a cut one can say what it lacks.

    Fractions are rounded to four digits: more of them take room and tell nothing.
    """
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: with_totals(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return {"total": len(value), "truncated": False, "items": [with_totals(part) for part in value]}
    return value


def fitted(document: Document, max_bytes: int) -> dict[str, Any]:
    """Cut the lists of a document with totals from their ends, the largest first, until it fits; then its texts.

    Args:
        document: What `with_totals` gave; it is not changed.
        max_bytes: The most bytes of its compact JSON in UTF-8. A list keeps its first item, so that an answer without
            room for one of each is longer.
    """
    made: dict[str, Any] = json.loads(compact(document))
    for length in _TEXT_STEPS:
        _shorten_texts(made, length)
        _cut_lists(made, max_bytes)
        if size(made) <= max_bytes:
            break
    return made


def size(value: Any) -> int:
    """Give the number of bytes of compact JSON."""
    return len(compact(value).encode())


def compact(value: Any) -> str:
    """Write JSON without blanks, safe to show."""
    return shown_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _lists(value: Any) -> list[dict[str, Any]]:
    """Find the lists in a document, the inner ones first."""
    found: list[dict[str, Any]] = []
    if isinstance(value, dict):
        for part in value.values():
            found += _lists(part)
        if _is_list(value):
            found.append(value)
    elif isinstance(value, list):
        for part in value:
            found += _lists(part)
    return found


def _is_list(value: Mapping[str, Any]) -> bool:
    return value.keys() == {"total", "truncated", "items"} and isinstance(value["items"], list)


def _cut_lists(document: dict[str, Any], max_bytes: int) -> None:
    over = size(document) - max_bytes
    sizes = {id(each): [size(item) + 1 for item in each["items"]] for each in _lists(document)}
    while over > 0:
        # Only lists that are still there: cutting an outer one takes the inner ones along.
        lists = [each for each in _lists(document) if len(each["items"]) > 1]
        if not lists:
            return
        longest = max(lists, key=lambda each: sum(sizes[id(each)]))
        over -= _cut(longest, sizes[id(longest)], over, max(1, len(longest["items"]) // 2))


def _cut(each: dict[str, Any], sizes: list[int], over: int, most: int) -> int:
    """Take items from the end of a list, and give the number of bytes that were saved."""
    saved = 0
    for _ in range(most):
        if saved >= over or len(each["items"]) == 1:
            break
        each["items"].pop()
        saved += sizes.pop()
    each["truncated"] = True
    return saved


def _shorten_texts(value: Any, length: int) -> None:
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for key, part in parts:
        if isinstance(part, str) and len(part) > length + len("… (9999 more)"):
            value[key] = f"{part[:length]}… ({len(part) - length} more)"
        else:
            _shorten_texts(part, length)
