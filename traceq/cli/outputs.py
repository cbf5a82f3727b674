"""How an answer is written, and the options of every command that puts a question to traces."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

import typer
from msgspec import Struct, field

from traceq.cli.options import FilterOptions, SourceOptions, WorkersOptions, parser
from traceq.links import LinkTemplate, parse_link
from traceq.render import AnswerFormat, Format, TracesFormat

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
