"""Patterns for files, `archive/*.parquet`: an option takes one value, so the shell cannot expand them there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from glob import glob, has_magic

from traceq.errors import InputError
from traceq.untrusted import printable


def expanded(locations: Iterable[str]) -> tuple[str, ...]:
    """Put the files that match in place of patterns, in order of their names; `**` stands for any folders.

    Raises:
        InputError: If nothing matches a pattern.
    """
    return tuple(file for location in locations for file in _expanded(location))


def _expanded(location: str) -> list[str]:
    # A file may be called like a pattern.
    if not has_magic(location) or os.path.lexists(location):
        return [location]
    found = sorted(glob(location, recursive=True))  # noqa: PTH207  Path.glob takes no absolute patterns
    if not found:
        raise InputError(f"no file matches {printable(location)}", hint="is the path right, seen from this directory?")
    return found
