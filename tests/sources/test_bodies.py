from __future__ import annotations

from pathlib import Path

import pytest

from traceq.errors import InputError
from traceq.sources.bodies import expanded


def test_patterns_are_replaced_by_what_matches_in_order(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "deep/c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = expanded((f"{tmp_path}/*.json", "-", f"{tmp_path}/**/c.json"))

    assert found == (f"{tmp_path}/a.json", f"{tmp_path}/b.json", "-", f"{tmp_path}/deep/c.json")


def test_a_file_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    strange = tmp_path / "[1].json"
    strange.touch()

    assert expanded((str(strange),)) == (str(strange),)


def test_a_pattern_without_a_match_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file matches"):
        expanded((f"{tmp_path}/*.json",))
