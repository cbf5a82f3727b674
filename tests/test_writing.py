from __future__ import annotations

import stat
from pathlib import Path

import pytest

from traceq.writing import replacing, sweep, unfinished


def write(path: Path, text: bytes) -> None:
    with replacing(path) as out:
        out.write(text)


def write_half(path: Path, end: type[BaseException]) -> None:
    with replacing(path) as out:
        out.write(b"half")
        raise end


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")

    with replacing(path) as out:
        out.write(b"new")
        assert path.read_bytes() == b"old"

    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_everything_as_it_was(end: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"old")

    with pytest.raises(end):
        write_half(path, end)

    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def test_the_mode_stays_also_while_the_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.touch(0o600)

    with replacing(path):
        assert stat.S_IMODE(unfinished(path).stat().st_mode) == 0o600

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").touch()

    write(tmp_path / "x.json", b"")

    assert (tmp_path / "x.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "x.json").symlink_to(tmp_path / "far" / "y.json")

    write(tmp_path / "x.json", b"new")

    assert (tmp_path / "x.json").is_symlink()
    assert (tmp_path / "far" / "y.json").read_bytes() == b"new"


def test_what_a_killed_process_left_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    unfinished(tmp_path / "x.json").symlink_to(tmp_path / "precious")

    write(tmp_path / "x.json", b"new")

    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (tmp_path / "x.json").read_bytes() == b"new"


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "nowhere" / "x.json", b"")


def test_what_killed_processes_left_is_swept_away(tmp_path: Path) -> None:
    names = [".traces-1.ndjson.7.new", ".traceq-harvest.json.8.new", ".mine.7.new", "traces-1.ndjson", ".traces"]
    for name in names:
        (tmp_path / name).touch()

    sweep(tmp_path, "trace")

    assert sorted(each.name for each in tmp_path.iterdir()) == [".mine.7.new", ".traces", "traces-1.ndjson"]
