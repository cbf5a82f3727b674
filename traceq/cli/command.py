"""Commands whose options are objects: dataclasses flattened into the flat signatures that typer reads.

A command is a function of one frozen dataclass. Its fields are annotated as typer parameters, or are themselves such
dataclasses (`source: SourceOptions`), whose fields are put in their place. So shared options are written once, mean the
same everywhere, and reach the command as one value. A dataclass that knows nothing of typer is annotated with the
function that makes an option of each of its fields (`Annotated[Thresholds, threshold_option]`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import typer

_Options = TypeVar("_Options")


def add_command(app: typer.Typer, run: Callable[[_Options], None], panel: str) -> None:
    """Register a command under the function's name, with the function's docstring as its help.

    Args:
        app: Where to.
        run: What to do, given the options; its parameter is annotated with their dataclass.
        panel: Heading in the list of commands.
    """
    options: type[_Options] = get_type_hints(run)["options"]

    def flat(**values: object) -> None:
        run(_build(options, values))

    signature = inspect.Signature(_parameters(options))
    flat.__signature__ = signature  # type: ignore[attr-defined]  # what inspect.signature looks for first
    flat.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    flat.__doc__ = _unwrapped(inspect.cleandoc(run.__doc__ or ""))
    app.command(run.__name__.strip("_"), rich_help_panel=panel)(flat)


def _unwrapped(text: str) -> str:
    """Put each paragraph on one line, which terminals wrap where they end; lists of examples stay as they are."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(text if "\n " in text else text.replace("\n", " ") for text in paragraphs)


OptionOf: TypeAlias = Callable[[Field[Any]], inspect.Parameter]
"""Makes an option of a field that is not annotated as one."""


def _parameters(options: type[Any], option_of: OptionOf | None = None) -> list[inspect.Parameter]:
    """List the parameters of a dataclass and of those it holds, arguments before options."""
    hints = get_type_hints(options, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for field in fields(options):
        hint = hints[field.name]
        held, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if is_dataclass(held) and isinstance(held, type):
            parameters += _parameters(held, *extras)
        else:
            parameters.append(option_of(field) if option_of else _parameter(field, hint))
    return parameters


def _parameter(field: Field[Any], hint: object) -> inspect.Parameter:
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=hint,
    )


def _build(options: type[_Options], values: Mapping[str, object]) -> _Options:
    hints = get_type_hints(options)
    built = {}
    for field in fields(options):  # type: ignore[arg-type]  # add_command is given dataclasses
        hint = hints[field.name]
        nested = is_dataclass(hint) and isinstance(hint, type)
        built[field.name] = _build(hint, values) if nested else values[field.name]
    return options(**built)
