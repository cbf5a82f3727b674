"""Checks in a file, each with a name and a reason: `traceq check --checks checks.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from msgspec.structs import replace

from traceq.errors import InputError

if TYPE_CHECKING:
    from traceq.analysis.checks import Expression

_KEYS = {"check": str, "name": str, "reason": str, "allow_empty": bool}
_TYPES = {str: "a text", bool: "true or false"}
_EXAMPLE = "write [[check]] and below it check = 'p95(chat-service) < 500ms'"


def read_checks(path: str) -> tuple[Expression, ...]:
    """Read the checks of a file.

    Raises:
        InputError: If the file cannot be read.
        typer.BadParameter: If it is no TOML, or an entry is no check; the message names file and entry.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise InputError(f"cannot read the checks in '{path}': {reason}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise typer.BadParameter(f"'{path}' is no TOML: {error}", param_hint="--checks") from error
    entries = document.pop("check", [])
    if document or not isinstance(entries, list):
        unknown = f"unknown key '{next(iter(document))}'" if document else "'check' is no list of tables"
        raise typer.BadParameter(f"'{path}': {unknown}: {_EXAMPLE}", param_hint="--checks")
    if not entries:
        raise typer.BadParameter(f"'{path}' has no checks: {_EXAMPLE}", param_hint="--checks")
    return tuple(_read(path, number, entry) for number, entry in enumerate(entries, 1))


def _read(path: str, number: int, entry: object) -> Expression:
    from traceq.analysis.checks import parse_expression

    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"'{path}', check {number}" + (f" ({name})" if isinstance(name, str) else "")
    try:
        given = _checked(entry)
        expression = parse_expression(str(given["check"]))
    except ValueError as error:
        raise typer.BadParameter(f"{where}: {error}", param_hint="--checks") from error
    return replace(
        expression,
        name=str(given.get("name", "")),
        reason=str(given.get("reason", "")),
        may_be_empty=bool(given.get("allow_empty", False)),
    )


def _checked(entry: object) -> dict[str, object]:
    """Give an entry whose keys are known and have values of their types.

    Raises:
        ValueError: If it is none; the message says why.
    """
    if not isinstance(entry, dict):
        raise ValueError(_EXAMPLE)  # noqa: TRY004  what is wrong is the file
    for key, value in entry.items():
        if key not in _KEYS:
            raise ValueError(f"unknown key '{key}', there are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise ValueError(f"'{key}' has to be {_TYPES[_KEYS[key]]}")  # noqa: TRY004
    if "check" not in entry:
        raise ValueError(f"'check' is missing: {_EXAMPLE}")
    return entry
