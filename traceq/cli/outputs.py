"""How an answer is written: the options for it, and documents and records cut to the keys that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

import typer
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.answer import counted
from traceq.cli.options import FilterOptions, SourceOptions, WorkersOptions, parser
from traceq.documents import has, selected
from traceq.links import LinkTemplate, parse_link
from traceq.render import AnswerFormat, Format, TracesFormat
from traceq.report import Report, Table

_output_option = partial(typer.Option, rich_help_panel="Output")

TopOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Number of lines, or of items in other formats; by default a few as text, otherwise all.",
    ),
]

_SUFFIX_TELLS = "by default as the suffix of --output says, else"


def format_option(formats: object) -> Any:
    """Make the option that chooses between formats."""
    # All of them in the name of the value would be broken within a word in 80 columns.
    return _output_option(
        "--format", "-f", metavar="FORMAT", help=f"{', '.join(get_args(formats))}; {_SUFFIX_TELLS} text."
    )


class OutputOptions(Struct, frozen=True):
    """How and where the answer is written, and how much is said besides."""

    drawings: ClassVar[frozenset[Format]] = frozenset()
    """The formats of drawings that the answer can be written in."""

    format: Annotated[Format | None, format_option(Format)] = None
    output: Annotated[
        str | None, _output_option("--output", "-o", metavar="FILE", help="Write the answer to this file.")
    ] = None
    color: Annotated[
        Literal["auto", "always", "never"],
        _output_option("--color", help="Whether to use colours; auto: on a terminal, unless NO_COLOR is set."),
    ] = "auto"
    no_color: Annotated[bool, _output_option("--no-color", help="The same as --color never.")] = False
    no_pager: Annotated[
        bool,
        _output_option("--no-pager", help="Do not pass what is longer than the screen to TRACEQ_PAGER, PAGER or less."),
    ] = False
    quiet: Annotated[bool, _output_option("--quiet", "-q", help="Print no warnings, hints or progress.")] = False
    verbose: Annotated[bool, _output_option("--verbose", "-v", help="Log every request and count.")] = False
    debug: Annotated[bool, _output_option("--debug", help="Show a traceback when something fails.")] = False

    @property
    def chosen_fields(self) -> tuple[str, ...]:
        """The keys of documents and records that were asked for; none for all."""
        return ()


class FieldsOutputOptions(OutputOptions, frozen=True):
    """The same for answers whose documents and records can be cut to some of their keys."""

    fields: Annotated[
        str | None,
        _output_option(
            metavar="KEY,...",
            help="For json, ndjson and csv: only these keys, dots between nested ones (operation,duration.p95_ns).",
        ),
    ] = None

    @property
    def chosen_fields(self) -> tuple[str, ...]:
        """The keys that were asked for; none for all."""
        return tuple(key.strip() for key in (self.fields or "").split(",") if key.strip())


class AnswerOutputOptions(FieldsOutputOptions, frozen=True):
    """The same for answers that are no graphs."""

    format: Annotated[AnswerFormat | None, format_option(AnswerFormat)] = None
    link: Annotated[
        LinkTemplate | None,
        _output_option(
            envvar="TRACEQ_LINK",
            parser=parser(parse_link),
            metavar="URL",
            help="Link to put beside traces, to logs or the like: 'https://logs/?q={trace_id}', also with {start_ms}, "
            "{end_ms} and others.",
        ),
    ] = None


class TracesOutputOptions(OutputOptions, frozen=True):
    """The same for traces themselves."""

    format: Annotated[
        TracesFormat | None, _output_option("--format", "-f", help=f"Output format; {_SUFFIX_TELLS} json.")
    ] = None


class AskingOptions(Struct, frozen=True):
    """Which traces a question is put to, who reads them, and how its answer is written."""

    workers: WorkersOptions = field(default_factory=WorkersOptions)
    filters: FilterOptions = field(default_factory=FilterOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    output: AnswerOutputOptions = field(default_factory=AnswerOutputOptions)


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
    for key in fields:
        name = key.removeprefix(f"{main}.") if main else key
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(c.path for c in records.columns)}"
            raise typer.BadParameter(f"records have no '{key}', {hint}", param_hint="--fields")
        places.append(known[name])
    columns = tuple(records.columns[place] for place in places)
    return Table(columns, tuple(tuple(row[place] for place in places) for row in records.rows))
