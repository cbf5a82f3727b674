"""How an answer is written: the options for it, the keys that were asked for, and links from traces to elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args
from urllib.parse import quote

import typer
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.answer import counted, has, selected
from traceq.cli.options import FilterOptions, SourceOptions, WorkersOptions, parser
from traceq.render import AnswerFormat, Format, TracesFormat
from traceq.report import Column, Line, Part, Report, Table
from traceq.units import NS_PER_MS, NS_PER_S, NS_PER_US, format_count, format_rfc3339

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


_UNITS_NS = {"ns": 1, "us": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S}
LINK_NAMES = ("trace_id", "span_id", *(f"{end}_{unit}" for end in ("start", "end") for unit in (*_UNITS_NS, "iso")))
"""What a template may name: ids, and the start and the end of the trace or span, since 1970 or as RFC 3339."""
_MOST_LINKS = 5
_OPAQUE = frozenset({"attributes", "resource"})
"""What holds text from traces under keys of its own."""


class LinkTemplate(Struct, frozen=True):
    """A URL with names in braces (`https://logs/?q={trace_id}&from={start_ms}`)."""

    text: str
    names: frozenset[str]

    def fill(self, known: Mapping[str, object]) -> str | None:
        """Give the URL for an object of a document; None where it does not say what the template names.

        Args:
            known: `trace_id`, and if they are known `span_id`, `start_ns`, and `duration_ns` or `latency_ns`.
        """
        values = dict(_values(known))
        if not self.names <= values.keys():
            return None
        return self.text.format_map({name: quote(value, safe="") for name, value in values.items()})


def parse_link(text: str) -> LinkTemplate:
    """Read a template.

    Raises:
        ValueError: If it is no http or https URL, names something unknown, or no trace.
    """
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"'{text}' is not an http or https URL")
    try:
        fields = [(name, form, kind) for _, name, form, kind in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"cannot read '{text}' ({error}): a brace that is no name is doubled") from error
    unknown = [name for name, form, kind in fields if name not in LINK_NAMES or form or kind]
    if unknown:
        raise ValueError(
            f"'{{{unknown[0]}}}' is not known, there are {', '.join(f'{{{name}}}' for name in LINK_NAMES)}"
        )
    names = frozenset(name for name, *_ in fields)
    if not names & {"trace_id", "span_id"}:
        raise ValueError("the link is the same for every trace, write {trace_id} where its id is to stand")
    return LinkTemplate(text, names)


def _values(known: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key in ("trace_id", "span_id"):
        if isinstance(known.get(key), str):
            yield key, str(known[key])
    start_ns, length_ns = known.get("start_ns"), known.get("duration_ns", known.get("latency_ns"))
    if isinstance(start_ns, int):
        yield from _times("start", start_ns)
        if isinstance(length_ns, int):
            yield from _times("end", start_ns + length_ns)


def _times(end: str, time_ns: int) -> Iterator[tuple[str, str]]:
    # An end is rounded up: what happened in the last unit is not to be cut off.
    for unit, size_ns in _UNITS_NS.items():
        yield f"{end}_{unit}", str(time_ns // size_ns if end == "start" else -(-time_ns // size_ns))
    yield f"{end}_iso", format_rfc3339(time_ns)


def with_links(report: Report, template: LinkTemplate) -> Report:
    """Put a link beside each trace: in the document, in the records, and for people."""
    found: dict[str, str] = {}
    document = _linked(report.document, template, found)
    shown = [
        Line((Part(f"{trace_id}: {url}", "dim"),), wraps=False) for trace_id, url in list(found.items())[:_MOST_LINKS]
    ]
    if len(found) > _MOST_LINKS:
        shown.append(Line((Part(f"{format_count(len(found) - _MOST_LINKS)} more links: --format json", "dim"),)))
    if not found:
        shown = [Line((Part("no link: the answer does not say what --link names", "dim"),))]
    return replace(
        report,
        document=document,
        records=_linked_records(report.records, template),
        footer=(*report.footer, *shown),
        links=found,
    )


def _linked(value: Any, template: LinkTemplate, found: dict[str, str]) -> Any:
    """Give a part of a document with `link` beside each `trace_id`; the links are collected in `found`."""
    if isinstance(value, Mapping):
        url = template.fill(value) if isinstance(value.get("trace_id"), str) else None
        if url is not None:
            found.setdefault(str(value["trace_id"]), url)
        made = {key: part if key in _OPAQUE else _linked(part, template, found) for key, part in value.items()}
        return {**made, "link": url} if isinstance(value.get("trace_id"), str) else made
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_linked(part, template, found) for part in value]
    return value


def _linked_records(records: Table, template: LinkTemplate) -> Table:
    keys = [column.flat_key for column in records.columns]
    ids = [key for key in keys if key.endswith("trace_id")]
    if not ids:
        return records
    before = ids[0].removesuffix("trace_id")
    rows = []
    for row in records.rows:
        told = dict(zip(keys, row, strict=True))
        known = {key.removeprefix(before): value for key, value in told.items() if key.startswith(before)}
        rows.append((*row, template.fill(known)))
    return Table((*records.columns, Column("link", "link")), tuple(rows))
