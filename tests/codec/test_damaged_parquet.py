"""Parquet whose footer is damaged is refused with the file's name, whatever Arrow makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests import builders
from traceq.codec.parquet import SpanWriter
from traceq.codec.parquet_file import SpanFile
from traceq.errors import DecodeError
from traceq.sources.files import FileSource


@pytest.mark.parametrize("name", [b"kind", b"status", b"start_ns"])
@pytest.mark.parametrize("put", [b"\x87", b"z"])
def test_a_name_in_the_footer_that_is_damaged_is_told(name: bytes, put: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    writer = SpanWriter(file, with_details=True)
    writer.add(builders.trace(("a", None, 0, 9)))
    writer.close()
    body = file.read_bytes()

    for at in [at for at in range(len(body)) if body.startswith(name, at)]:
        file.write_bytes(body[: at + 1] + put + body[at + 2 :])
        try:
            with FileSource((str(file),)).slices() as cut:
                tables = [table for piece in cut.found.slices for table in piece.tables(with_details=True)]
        except DecodeError as error:
            assert str(file) in error.message  # noqa: PT017  it may be readable, too
        else:
            assert sum(map(len, tables)) == 1


class Damaged:
    """Reads a file in which a word of a column has become another."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name

    def read_row_group(self, *asked: Any, **options: Any) -> Any:
        table = self._file.read_row_group(*asked, **options)
        words = pa.array(["UNTCCD"] * table.num_rows).dictionary_encode()
        return table.set_column(table.schema.get_field_index(self._name), self._name, words)


@pytest.mark.parametrize("name", ["kind", "status", "activity"])
def test_a_word_that_is_damaged_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    writer = SpanWriter(path, with_details=True)
    writer.add(builders.trace(("a", None, 0, 9)))
    writer.close()
    file = SpanFile(path)
    monkeypatch.setattr(file, "_file", Damaged(file._file, name))

    with pytest.raises(DecodeError, match=rf"x\.parquet: 'UNTCCD' is no {name}"):
        file.rows(0, [name])
