from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _utc(utc: None) -> None:
    """Draw times of UTC."""
