"""Paths and URLs told from names and ids, where people type one for the other."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from traceq.sources import is_url

_FILE_SUFFIXES = (".json", ".ndjson", ".jsonl", ".gz", ".zst", ".zstd", ".parquet", ".pb")


def is_path(text: str) -> bool:
    """Tell a path from an id; one that does not exist is one all the same where it looks like it."""
    return "/" in text or text.lower().endswith(_FILE_SUFFIXES) or Path(text).exists()


def refuse_place(name: str | None, param: str) -> None:
    """Refuse a place of traces where a name is expected, if it can hardly be a name.

    Raises:
        typer.BadParameter: If it is a URL, ends like a file of traces, or is a path that exists.
    """
    if name is None:
        return
    is_file = name.lower().endswith(_FILE_SUFFIXES) or ("/" in name and Path(name).exists())
    if is_url(name) or is_file:
        raise typer.BadParameter(f"'{name}' {_what(name)}: write --source {shlex.quote(name)}", param_hint=param)


def _what(place: str) -> str:
    if is_url(place):
        return "is an address"
    if Path(place).is_dir():
        return "is a directory"
    return "is a file" if Path(place).exists() else "ends like a file"
