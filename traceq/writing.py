"""Files that take their names when they are whole: whoever reads meanwhile, or after a failure, finds the old ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_SUFFIX = ".new"


def unfinished(path: Path) -> Path:
    """Name the hidden file beside this one that is written until it is whole: another one for each process."""
    return path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}{_SUFFIX}")


def sweep(folder: Path, beginning: str) -> None:
    """Remove unfinished files that killed processes left, of files whose names begin like this."""
    for left in folder.glob(f".{beginning}*{_SUFFIX}"):
        left.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that takes the place of another, and keeps its mode, when it is whole and on the disk.

    Whatever ends the writing early leaves everything as it was. A symbolic link stays one, and its target is replaced.

    Raises:
        OSError: If the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    new = unfinished(target)
    # A process of the same number may have been killed here; what is opened has to be new, and nobody's link.
    new.unlink(missing_ok=True)
    try:
        with new.open("xb") as out:
            if target.exists():
                new.chmod(stat.S_IMODE(target.stat().st_mode))
            yield out
            out.flush()
            os.fsync(out.fileno())
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
