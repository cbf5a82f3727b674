"""Sizes of files on the command line."""

from __future__ import annotations

import re

import typer

DEFAULT_ROTATE = "500MB"

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def size(text: str) -> int:
    """Read a size typed on the command line as bytes: `500MB`, `1.5GB`, `64MiB`.

    Raises:
        typer.BadParameter: If it is none, or less than a byte.
    """
    found = _SIZE.fullmatch(text.strip())
    factor = found and _UNITS.get(found.group(2).upper())
    if not found or not factor or float(found.group(1)) * factor < 1:
        raise typer.BadParameter(f"'{text}' is not a size, write for example 500MB or 64MiB")
    return round(float(found.group(1)) * factor)


def format_size(byte_count: int) -> str:
    """Write a size for people: `512 B`, `3.4 MB`."""
    for unit in ("GB", "MB", "KB"):
        if byte_count >= _UNITS[unit]:
            return f"{byte_count / _UNITS[unit]:.3g} {unit}"
    return f"{byte_count} B"
