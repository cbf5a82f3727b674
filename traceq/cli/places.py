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
        what = "an address" if is_url(name) else "a file" if not Path(name).is_dir() else "a directory"
        raise typer.BadParameter(f"'{name}' is {what}: write --source {shlex.quote(name)}", param_hint=param)
