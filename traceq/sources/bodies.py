"""From paths to bytes: expands patterns, lists directories, maps files, keeps standard input, packs and unpacks."""

from __future__ import annotations

import gzip
import mmap
import os
import re
import stat
import sys
import time
import zlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from glob import glob, has_magic
from io import BufferedReader
from pathlib import Path
from select import POLLIN, poll
from tempfile import NamedTemporaryFile, SpooledTemporaryFile
from typing import IO, BinaryIO, Literal, Protocol, TypeAlias, cast

from traceq.codec.wire import Body, is_whole, whole_lines, zstd
from traceq.errors import InputError
from traceq.untrusted import printable

STDIN = "-"

_KINDS = (".json", ".jsonl", ".ndjson", ".pb", ".binpb")
_SUFFIXES = (*(kind + packing for kind in _KINDS for packing in ("", ".gz", ".zst")), ".parquet")
_MAPPED_FROM_BYTES = 2**20
"""Smaller files are read, since every mapping costs a file descriptor and a directory may hold thousands."""
_SPOOLED_FROM_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_WIDE = (
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", "utf-32"),
    (rb"[{\[]\0\0\0|(?:[\t\r\n -~]\0\0\0){2}", "utf-32-le"),
    (rb"(?:\0\0\0[\t\r\n -~]){2}", "utf-32-be"),
    (rb"\xff\xfe|\xfe\xff", "utf-16"),
    (rb"[{\[]\0|(?:[\t\r\n -~]\0){4}", "utf-16-le"),
    (rb"\0[{\[]\0[\t\r\n -~](?![\n(])|(?:\0[\t\r\n -~]){4}", "utf-16-be"),
)
"""How text in UTF-16 begins, as PowerShell writes what is redirected, and in UTF-32, with its name in Python.

Messages of the collector's begin with their lengths, which may look like one character; then come protobuf or zstd.
"""
_HEAD_BYTES = 8
_PARQUET = b"PAR1"
_PARQUET_SUFFIX = ".parquet"
_LOCATION_HINT = "give a file, a directory, - for standard input, or the http:// URL of a Jaeger server"
_COPY_HINT = "was it copied or downloaded whole?"
_HOST_AND_PORT = re.compile(r"(localhost|[\w-]+(\.[\w-]+)*):\d{2,5}(/.*)?")


def expanded(locations: Iterable[str]) -> tuple[str, ...]:
    """Replace patterns by the files that match them, in order of their names; `**` stands for any folders.

    An option takes one value, so the shell cannot expand patterns there.

    Raises:
        InputError: If nothing matches a pattern.
    """
    return tuple(file for location in locations for file in _matching(location))


def _matching(location: str) -> list[str]:
    # A file name may look like a pattern.
    if not has_magic(location) or os.path.lexists(location):
        return [location]
    found = sorted(glob(location, recursive=True))  # noqa: PTH207  Path.glob takes no absolute patterns
    if not found:
        raise InputError(f"no file matches {printable(location)}", hint="is the path right, seen from this directory?")
    return found


def files_at(locations: tuple[str, ...]) -> list[str]:
    """List the files at these locations; a directory stands for all files of traces below it, in order of their names.

    Raises:
        InputError: If a location is not there, or a directory holds no such files or cannot be listed.
    """
    files = [file for location in locations for file in _expanded(location)]
    return list(dict.fromkeys(files))


def shown(location: str) -> str:
    """Name a location, for messages."""
    return "standard input" if location == STDIN else printable(location)


def _expanded(location: str) -> list[str]:
    if location == STDIN:
        return [location]
    with _failures_told(location):
        is_directory = stat.S_ISDIR(os.stat(location).st_mode)  # noqa: PTH116  Path swallows some errors
    if not is_directory:
        return [location]
    found = sorted(_files_below(location))
    if not found:
        looked_for = ", ".join(f"*{kind}" for kind in _KINDS)
        hint = f"traceq looks there for {looked_for}, also with .gz or .zst; name other files one by one"
        raise InputError(f"no files of traces in {shown(location)}", hint=hint)
    return found


def _files_below(directory: str) -> Iterator[str]:
    with _failures_told(directory):
        for folder, folders, names in os.walk(directory, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                    yield os.path.join(folder, name)  # noqa: PTH118  keeps "./" as it was given


def _raise(error: OSError) -> None:
    raise error


def is_read_once(locations: Iterable[str]) -> bool:
    """Whether one of the locations cannot be read a second time: standard input, or a pipe."""
    return any(location == STDIN or Path(location).is_fifo() for location in locations)


def holds_parquet(location: str) -> bool:
    """Whether a location is a Parquet file, or a directory with one somewhere below it."""
    path = Path(location)
    if path.is_dir():
        return bool(parquet_below(path))
    return (
        path.is_file()
        and not is_empty(path)
        and (location.lower().endswith(_PARQUET_SUFFIX) or _begins_as_parquet(path))
    )


def is_empty(path: Path) -> bool:
    """Whether it is a file without contents, which is of no format; a pipe tells only when it is read."""
    return path.is_file() and not path.stat().st_size


def parquet_below(directory: Path) -> list[Path]:
    """List the Parquet files of a directory, in order of their names, without empty ones."""
    named = (
        Path(folder) / name
        for folder, folders, names in os.walk(directory)
        for name in names
        if name.lower().endswith(_PARQUET_SUFFIX) and not name.startswith(".") and not _is_hidden(folder, directory)
    )
    return sorted(path for path in named if path.is_file() and not is_empty(path))


def _is_hidden(folder: str, directory: Path) -> bool:
    return any(part.startswith(".") for part in Path(folder).relative_to(directory).parts)


def _begins_as_parquet(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PARQUET)) == _PARQUET
    except OSError:
        # The error is reported when the file is read.
        return False


def read_body(location: str) -> Body:
    """Return the uncompressed bytes of a file or of standard input; large files are mapped rather than read.

    Raises:
        InputError: If they cannot be read or unpacked.
    """
    with _failures_told(location), ExitStack() as opened:
        if location == STDIN:
            return _unpacked(_spooled(sys.stdin.buffer, opened), location, opened)
        file = opened.enter_context(Path(location).open("rb"))
        is_at_rest = _is_at_rest(os.fstat(file.fileno()))
        return _unpacked(file if is_at_rest else _spooled(file, opened), location, opened)


def unpacked_file(location: str, folder: Path) -> str:
    """Return a file with the uncompressed bytes of a location: the file itself, or a copy in this folder.

    Raises:
        InputError: If they cannot be read or unpacked.
    """
    # A pipe is opened once: its writer ends when a reader goes.
    if location != STDIN and _may_be_mapped(location):
        with _failures_told(location), Path(location).open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not head.startswith((_GZIP, _ZSTD)) and _encoding(head) is None:
                return location
    with NamedTemporaryFile(dir=folder, delete=False) as copy:
        copy.write(read_body(location))
    return copy.name


def _may_be_mapped(location: str) -> bool:
    with _failures_told(location):
        return _is_at_rest(os.stat(location))  # noqa: PTH116  Path swallows some errors


_IN_MOTION_NS = 2_000_000_000


def _is_at_rest(found: os.stat_result) -> bool:
    """Tell a file that nobody writes to from a pipe and from a large file that is being written.

    Whoever writes to a file may cut it off, and the system ends a program that reads what was mapped and is gone.
    """
    age_ns = time.time_ns() - found.st_mtime_ns
    return stat.S_ISREG(found.st_mode) and (found.st_size < _MAPPED_FROM_BYTES or not 0 <= age_ns < _IN_MOTION_NS)


def map_file(path: str) -> bytes | mmap.mmap:
    """Return the bytes of a plain file; large files are mapped rather than read.

    Raises:
        InputError: If it cannot be read.
    """
    with _failures_told(path), Path(path).open("rb") as file:
        return _body(file)


def forget(body: bytes | mmap.mmap, start: int, stop: int) -> None:
    """Release the memory of a part of a mapping; it is read again on the next access."""
    if isinstance(body, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = stop - first
        if length >= mmap.PAGESIZE:
            body.madvise(mmap.MADV_DONTNEED, first, length // mmap.PAGESIZE * mmap.PAGESIZE)


@contextmanager
def _failures_told(location: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"cannot read {shown(location)}: no such file", hint=_missing_hint(location)) from error
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise InputError(
            f"cannot read {shown(location)}: {why}", hint="can you read it with other programs?"
        ) from error
    except ValueError as error:  # a path with a NUL
        raise InputError(f"cannot read {shown(location)}: not a path", hint=_LOCATION_HINT) from error


def _missing_hint(location: str) -> str:
    if _HOST_AND_PORT.fullmatch(location):
        return f"did you mean http://{printable(location)}?"
    return _LOCATION_HINT


def _spooled(stream: IO[bytes] | gzip.GzipFile, opened: ExitStack) -> IO[bytes]:
    """Copy a stream so that it can be read from the start; to a temporary file if it is large."""
    spool = opened.enter_context(SpooledTemporaryFile(_SPOOLED_FROM_BYTES))  # noqa: SIM115  the stack closes it
    read = partial(_as_it_comes, stream) if isinstance(stream, BufferedReader) else partial(stream.read, _CHUNK_BYTES)
    for part in iter(read, b""):
        spool.write(part)
    return spool


_PATIENCE_MS = 1000


def _as_it_comes(stream: BufferedReader) -> bytes:
    """Read what a pipe has, where `read` waits for more and does not look at signals meanwhile.

    Of a signal that comes just before a wait begins the system does not tell the wait: Python looks once a second.
    """
    # Not `select`, which knows the first 1024 files of a process: each mapping has one.
    ready = poll()
    ready.register(stream, POLLIN)
    while not ready.poll(_PATIENCE_MS):
        pass
    return stream.read1(_CHUNK_BYTES)


def _unpacked(file: IO[bytes], location: str, opened: ExitStack) -> Body:
    file.seek(0)
    head = file.read(len(_ZSTD))
    file.seek(0)
    if head.startswith(_GZIP):
        file = _gunzipped(file, location, opened)
    elif head == _ZSTD:
        file = _unzstd(file, location, opened)
    return _body(_in_utf_8(file, location, opened))


def _encoding(head: bytes) -> str | None:
    return next((name for beginning, name in _WIDE if re.match(beginning, head)), None)


def _in_utf_8(file: IO[bytes], location: str, opened: ExitStack) -> IO[bytes]:
    """Convert text in UTF-16 or UTF-32; of what follows its last whole character nothing is kept."""
    file.seek(0)
    encoding = _encoding(file.read(_HEAD_BYTES))
    file.seek(0)
    if encoding is None:
        return file
    converted = opened.enter_context(SpooledTemporaryFile(_SPOOLED_FROM_BYTES))  # noqa: SIM115  the stack closes it
    try:
        decoder = getincrementaldecoder(encoding)("surrogatepass")
        for part in iter(partial(file.read, _CHUNK_BYTES), b""):
            converted.write(decoder.decode(part).encode("utf-8", "surrogatepass"))
    except UnicodeError as error:
        name = encoding.upper()[:6]
        raise InputError(f"cannot read {shown(location)}: the text in {name} is broken", hint=_COPY_HINT) from error
    return converted


def _body(file: IO[bytes]) -> bytes | mmap.mmap:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size < _MAPPED_FROM_BYTES or (isinstance(file, SpooledTemporaryFile) and size <= _SPOOLED_FROM_BYTES):
        return file.read()
    # The mapping outlives the file object, and is released with the last trace that refers to it.
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _gunzipped(file: IO[bytes], location: str, opened: ExitStack) -> IO[bytes]:
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            return _spooled(stream, opened)
    except EOFError:
        return _as_far_as_it_goes(file, lambda: zlib.decompressobj(wbits=_GZIP_BITS), location, opened)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"cannot unpack {shown(location)}: the gzip data is corrupt ({error})", hint=_COPY_HINT
        ) from error


_GZIP_BITS = 31


def _unzstd(file: IO[bytes], location: str, opened: ExitStack) -> IO[bytes]:
    packing = zstd()
    try:
        with packing.ZstdFile(file) as stream:
            return _spooled(stream, opened)
    except EOFError:
        return _as_far_as_it_goes(file, packing.ZstdDecompressor, location, opened)
    except packing.ZstdError as error:
        raise InputError(
            f"cannot unpack {shown(location)}: the zstd data is corrupt ({error})", hint=_COPY_HINT
        ) from error


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _as_far_as_it_goes(
    file: IO[bytes], begin: Callable[[], _Decompressor], location: str, opened: ExitStack
) -> IO[bytes]:
    """Unpack data that ends in the middle, as that of a file does which is still being written.

    If it ends with a whole line or document, the beginning of another stands for what is missing, so that it is told.

    Raises:
        InputError: If there is nothing at all.
    """
    file.seek(0)
    spool = opened.enter_context(SpooledTemporaryFile(_SPOOLED_FROM_BYTES))  # noqa: SIM115  the stack closes it
    unpacking = begin()
    while packed_bytes := file.read(_CHUNK_BYTES):
        while packed_bytes:
            spool.write(unpacking.decompress(packed_bytes))
            packed_bytes = unpacking.unused_data if unpacking.eof else b""
            unpacking = begin() if unpacking.eof else unpacking
    content = memoryview(_body(spool))
    if not content:
        raise InputError(f"cannot unpack {shown(location)}: the compressed data ends in the middle", hint=_COPY_HINT)
    if whole_lines(content) == len(content) and is_whole(content):
        spool.seek(0, os.SEEK_END)
        spool.write(b"\n{")
    return spool


Packing: TypeAlias = Literal["zst", "gz", "none"]

_PACKINGS: dict[str, Packing] = {".gz": "gz", ".zst": "zst"}
_GZIP_LEVEL = 6


def unpacked_name(path: str | None) -> tuple[str | None, Packing]:
    """Split the suffix that names the compression off a path."""
    packing = _PACKINGS.get(Path(path).suffix.lower(), "none") if path else "none"
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
        with zstd().ZstdFile(file, "w") as stream:
            yield stream


def pack(data: bytes, packing: Packing) -> bytes:
    """Compress a block by itself; readers treat a sequence of blocks as one stream."""
    if packing == "none":
        return data
    return gzip.compress(data, _GZIP_LEVEL, mtime=0) if packing == "gz" else bytes(zstd().compress(data))


def lines_of(path: Path, packing: Packing) -> Iterator[bytes]:
    """Read the lines of a file, with their line ends."""
    with path.open("rb") as file:
        if packing == "none":
            yield from file
        else:
            with gzip.open(file) if packing == "gz" else zstd().ZstdFile(file) as stream:
                yield from stream
