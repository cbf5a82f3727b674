"""Parquet whose footer is damaged is refused with the file's name, whatever Arrow makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import builders
from traceq.codec.parquet import SpanWriter
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
