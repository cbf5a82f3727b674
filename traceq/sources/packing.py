"""Compresses what is written, with gzip or zstd, by the suffix of the file's name."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Literal, TypeAlias, cast

Packing: TypeAlias = Literal["zst", "gz", "none"]

_SUFFIXES: dict[str, Packing] = {".gz": "gz", ".zst": "zst"}
_GZIP_LEVEL = 6


def unpacked_name(path: str | None) -> tuple[str | None, Packing]:
    """Split the suffix that names the compression off a path."""
    packing = _SUFFIXES.get(Path(path).suffix.lower(), "none") if path else "none"
    return (path, "none") if path is None or packing == "none" else (str(Path(path).with_suffix("")), packing)


@contextmanager
def packed(file: BinaryIO, packing: Packing) -> Iterator[BinaryIO]:
    """Open a stream that compresses into a file."""
    if packing == "none":
        yield file
    elif packing == "gz":
        # Without time and name, so that the same traces give the same bytes.
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
            yield cast(BinaryIO, stream)
    else:
        with _zstd().ZstdFile(file, "w") as stream:
            yield stream


def pack(data: bytes, packing: Packing) -> bytes:
    """Compress a block by itself; readers treat a sequence of blocks as one stream."""
    if packing == "none":
        return data
    return gzip.compress(data, _GZIP_LEVEL, mtime=0) if packing == "gz" else bytes(_zstd().compress(data))


def lines_of(path: Path, packing: Packing) -> Iterator[bytes]:
    """Read the lines of a file, with their line ends."""
    with path.open("rb") as file:
        if packing == "none":
            yield from file
        else:
            with gzip.open(file) if packing == "gz" else _zstd().ZstdFile(file) as stream:
                yield from stream


def _zstd() -> ModuleType:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
