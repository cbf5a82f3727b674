"""Commands whose options are objects: dataclasses flattened into the flat signatures that typer reads.

A command is a function of one frozen dataclass. Its fields are annotated as typer parameters, or are themselves such
dataclasses (`source: SourceOptions`), whose fields are put in their place. So shared options are written once, mean the
same everywhere, and reach the command as one value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

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
    flat.__doc__ = run.__doc__
    app.command(run.__name__.strip("_"), rich_help_panel=panel)(flat)


def _parameters(options: type[Any]) -> list[inspect.Parameter]:
    """List the parameters of a dataclass and of those it holds, arguments before options."""
    hints = get_type_hints(options, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for field in fields(options):
        hint = hints[field.name]
        if is_dataclass(hint) and isinstance(hint, type):
            parameters += _parameters(hint)
        else:
            parameters.append(_parameter(field, hint))
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
